//! Decides when another candidate comes into force.

use super::evidence::{Gain, Window};
use super::past::{Least, Pace, Past};
use super::{
    BLEND, Course, EVERY, IN_A_ROW, LEAST_GAIN, LONGEST, LONGEST_PAUSE, Look, PAUSE, SAME_LOAD, STEP, Veto,
};
use crate::{Nanos, StrategyName};

/// See [the module above](super).
#[derive(Debug)]
pub(crate) struct Switcher {
    names: Vec<StrategyName>,
    pin: Option<usize>,
    window: Nanos,
    dwell: Nanos,
    current: usize,
    former: usize,
    since: Nanos,
    pause: Nanos,
    /// When the pause was last changed.
    paused: Nanos,
    /// When each candidate was last left.
    left: Vec<Option<Nanos>>,
    cases: Vec<Case>,
    past: Past,
    /// What was before the last change, until it was compared.
    before: Option<Pace>,
    least: Least,
    switched: bool,
}

/// What speaks for a candidate.
#[derive(Debug, Default)]
struct Case {
    open: Option<Window>,
    last: Option<Gain>,
    in_a_row: u32,
}

/// What a look came to, where it came to anything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Another candidate is in force.
    Changed {
        from: StrategyName,
        to: StrategyName,
        reason: String,
    },
    /// A veto took from a candidate what spoke for it.
    Vetoed(String),
}

impl Switcher {
    pub(crate) fn new(
        names: Vec<StrategyName>,
        pin: Option<usize>,
        window: Nanos,
        dwell: Nanos,
        now: Nanos,
    ) -> Self {
        let current = pin.unwrap_or(0);
        Self {
            left: vec![None; names.len()],
            cases: names.iter().map(|_| Case::default()).collect(),
            names,
            pin,
            window,
            dwell,
            current,
            former: current,
            since: now,
            pause: PAUSE,
            paused: now,
            past: Past::default(),
            before: None,
            least: Least::new(now),
            switched: false,
        }
    }

    /// Takes over from `before`, that of other settings. `same` says of each candidate which one it was there, with the same
    /// settings; `course` is what showed that.
    pub(crate) fn succeed(&mut self, before: Self, same: &[Option<usize>], course: Option<&Course>) {
        let place = |name| self.names.iter().position(|own| *own == name);
        let was = place(before.names[before.current]);
        let former = place(before.names[before.former]);
        for (name, left) in before.names.iter().zip(&before.left) {
            if let Some(place) = place(*name) {
                self.left[place] = *left;
            }
        }
        (self.pause, self.paused, self.least) = (before.pause, before.paused, before.least);
        if self.pin.is_none() {
            self.current = was.unwrap_or(0);
        }
        if was == Some(self.current) {
            self.since = before.since;
            self.switched = before.switched;
            self.former = former.unwrap_or(self.current);
        } else {
            // Who is gone takes no part in changing over.
            self.switched = was.is_some();
            self.former = was.unwrap_or(self.current);
        }
        if was == Some(self.current) && same[self.current] == Some(before.current) {
            self.past = before.past;
            self.before = before.before.filter(|_| former.is_some());
            let mut cases = before.cases;
            for (case, place) in self.cases.iter_mut().zip(same) {
                if let Some(known) = place.and_then(|place| cases.get_mut(place)) {
                    *case = std::mem::take(known);
                }
            }
        } else if let Some(course) = course {
            // It was found beside another.
            course.forget();
        }
    }

    /// The candidate in force.
    pub(crate) fn current(&self) -> StrategyName {
        self.names[self.current]
    }

    /// Since when the candidate in force has been so.
    pub(crate) fn since(&self) -> Nanos {
        self.since
    }

    /// Moves what is remembered when the clock stepped back.
    pub(crate) fn shift(&mut self, back: Nanos) {
        self.since = self.since.since(back);
        self.paused = self.paused.since(back);
        for left in self.left.iter_mut().flatten() {
            *left = left.since(back);
        }
        self.least.shift(back);
        self.past = Past::default();
        for case in &mut self.cases {
            case.open = None;
        }
    }

    /// When to look next.
    pub(crate) fn next(&self, now: Nanos) -> Nanos {
        now + if self.blends(now) { STEP } else { EVERY }
    }

    pub(crate) fn blends(&self, now: Nanos) -> bool {
        self.switched && now.since(self.since) < BLEND
    }

    /// For how long after a change what was before can be compared with what is.
    pub(crate) fn comparable(&self) -> Nanos {
        let stretches = Nanos(self.window.0.saturating_mul(IN_A_ROW.into()));
        twice(PAUSE + stretches)
    }

    /// Makes `course` go by what is in force, also one that was made since.
    pub(crate) fn steer(&self, course: &Course, now: Nanos) {
        let left = match self.blends(now) {
            true => 1.0 - now.since(self.since).as_secs_f64() / BLEND.as_secs_f64(),
            false => 0.0,
        };
        course.steer(self.current, self.former, left);
    }

    /// Takes in a look, steers `course`, and says what it came to.
    pub(crate) fn look(&mut self, look: &Look, course: &Course) -> Option<Verdict> {
        let now = look.now;
        self.least.take(look.quick, now);
        course.tell(look.regime);
        self.steer(course, now);
        if self.blends(now) {
            return None;
        }
        if now.since(self.paused) > twice(self.pause) && self.pause > PAUSE {
            (self.pause, self.paused) = (Nanos(self.pause.0 / 2).max(PAUSE), now);
        }
        let veto = self.veto(look);
        course.forbid(veto.as_ref().map(|(veto, _)| *veto));
        if matches!(veto, Some((Veto::Unsettled, _))) {
            self.past = Past::default();
        } else {
            self.past.take(look, self.window);
            if let Some(change) = self.look_back(now, course) {
                return Some(change);
            }
        }
        if let Some((_, why)) = veto {
            return self.drop_cases(&why, course);
        }
        self.hear(look, course);
        self.decide(look, course)
    }

    /// Why nothing may change now.
    fn veto(&self, look: &Look) -> Option<(Veto, String)> {
        if look.changed > 0.2 {
            let why = format!(
                "{:.0} % of the instances came or changed state of late",
                100.0 * look.changed
            );
            return Some((Veto::Unsettled, why));
        }
        if let Some(used) = look.utilization.filter(|used| *used > 0.9) {
            return Some((Veto::Full, format!("processors are {:.0} % in use", 100.0 * used)));
        }
        let (time, least) = (look.quick?, self.least.get());
        (time > 4.0 * least).then(|| {
            let why = format!(
                "response times are {:.1} ms among the quicker quarter, {:.1} times the least of late",
                time / 1e6,
                time / least
            );
            (Veto::Full, why)
        })
    }

    /// Windows begin anew. Tells what is lost where something was found.
    fn drop_cases(&mut self, why: &str, course: &Course) -> Option<Verdict> {
        let found = (0..self.names.len()).filter(|place| self.cases[*place].in_a_row > 0);
        let strongest = found.max_by_key(|place| self.cases[*place].in_a_row);
        let lost = strongest.map(|place| {
            let case = &self.cases[place];
            let gain = case.last.map_or(0.0, |gain| 100.0 * gain.mean);
            let (name, stays) = (self.names[place], self.names[self.current]);
            format!(
                "{stays} stays: {why}, and windows begin anew; {name} was worth it in {} of {IN_A_ROW}, by {gain:.1} %",
                case.in_a_row
            )
        });
        self.begin_anew(course);
        lost.map(Verdict::Vetoed)
    }

    fn begin_anew(&mut self, course: &Course) {
        for (place, case) in self.cases.iter_mut().enumerate() {
            *case = Case::default();
            course.show(place, None, 0);
        }
    }

    /// Takes in what was compared.
    fn hear(&mut self, look: &Look, course: &Course) {
        let now = look.now;
        let longest = LONGEST.max(twice(self.window));
        for (place, counts) in course.counts().into_iter().enumerate() {
            if place == self.current {
                continue;
            }
            let Some(case) = self.cases.get_mut(place) else {
                continue;
            };
            let window = case.open.get_or_insert_with(|| Window::new(now, counts));
            window.take(counts);
            if window.age(now) >= self.window && window.has_enough() {
                let gain = window.gain(now);
                case.open = Some(window.next(now));
                case.last = Some(gain);
                let worth = gain.least > LEAST_GAIN && look.regime.suits(self.names[place]);
                case.in_a_row = if worth { case.in_a_row + 1 } else { 0 };
                course.show(place, case.last, case.in_a_row);
            } else if window.age(now) > longest {
                case.open = Some(window.next(now));
            }
        }
    }

    /// Changes over to the best of those that were worth it long enough.
    fn decide(&mut self, look: &Look, course: &Course) -> Option<Verdict> {
        let now = look.now;
        let rests = self.switched && now.since(self.since) < self.pause;
        if self.pin.is_some() || rests || now.since(self.since) < self.dwell {
            return None;
        }
        let cases = self.cases.iter().enumerate();
        let worth =
            cases.filter(|(place, case)| case.in_a_row >= IN_A_ROW && look.regime.suits(self.names[*place]));
        let gains = worth.filter_map(|(place, case)| Some((place, case.in_a_row, case.last?)));
        let (place, in_a_row, gain) = gains.max_by(|a, b| a.2.mean.total_cmp(&b.2.mean))?;
        let reason = format!(
            "expected times {:.1} % less, at least {:.1} %, in {in_a_row} windows in a row; the last of {} comparisons in {:.0} s; {}",
            100.0 * gain.mean,
            100.0 * gain.least,
            gain.compared,
            gain.took.as_secs_f64(),
            look.regime.as_str()
        );
        let before = self.past.mean();
        let verdict = self.change_to(place, reason, now, course);
        self.before = before;
        Some(verdict)
    }

    /// Compares what was with what is, once there are as many stretches after a change as before.
    fn look_back(&mut self, now: Nanos, course: &Course) -> Option<Verdict> {
        let before = self.before?;
        let gone = now.since(self.since);
        if gone > self.comparable() {
            self.before = None;
            return None;
        }
        let after = self.past.mean().filter(|_| gone >= PAUSE)?;
        self.before = None;
        let worse = after.time / before.time - 1.0;
        if (after.rate / before.rate - 1.0).abs() > SAME_LOAD || worse <= LEAST_GAIN {
            return None;
        }
        let reason = format!(
            "response times are {:.1} % longer than before, {:.1} instead of {:.1} ms, at {:.0} requests per second",
            100.0 * worse,
            after.time / 1e6,
            before.time / 1e6,
            after.rate
        );
        Some(self.change_to(self.former, reason, now, course))
    }

    fn change_to(&mut self, place: usize, reason: String, now: Nanos, course: &Course) -> Verdict {
        let verdict = Verdict::Changed {
            from: self.names[self.current],
            to: self.names[place],
            reason,
        };
        if self.left[place].is_some_and(|left| now.since(left) < LONGEST_PAUSE) {
            self.pause = twice(self.pause).min(LONGEST_PAUSE);
            self.paused = now;
        }
        self.left[self.current] = Some(now);
        (self.former, self.current, self.since, self.switched) = (self.current, place, now, true);
        self.past = Past::default();
        self.before = None;
        self.begin_anew(course);
        self.steer(course, now);
        verdict
    }
}

fn twice(time: Nanos) -> Nanos {
    time + time
}
