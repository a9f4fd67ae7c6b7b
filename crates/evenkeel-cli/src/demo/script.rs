//! What goes wrong in the demo, where and when: a table over the elapsed part of the demo, so that a
//! short demo shows the same troubles as a long one.

use std::ops::Range;
use std::time::Duration;

use evenkeel_core::Rng;

use super::text;

/// Instances of a fleet, `web-1` to `web-6`.
pub(super) const INSTANCES: usize = 6;
/// Mean service time of a backend that is well.
const SERVICE_TIME: Duration = Duration::from_millis(5);

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Starts this many times slower than usual and warms up steadily.
    Cold(f64),
    /// This many times slower than usual.
    Slow(f64),
    /// Answers this share of its requests with 503, after the usual time.
    Flaky(f64),
    /// Answers everything with 500 at once.
    FailsFast,
    /// Refuses connections; those that were open are reset.
    Dead,
}

/// One trouble of one instance.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    /// 0 is `web-1`.
    pub(super) instance: usize,
    pub(super) kind: Kind,
    /// Parts of the demo's duration.
    pub(super) during: Range<f64>,
}

/// The script. `web-1` is well all the time. At most one instance has more than a brief overlap with
/// another, so that each trouble can be told from the next on the screen.
pub(super) const SCRIPT: [Trouble; 5] = [
    Trouble {
        instance: 5,
        kind: Kind::Cold(20.0),
        during: 0.0..0.15,
    },
    Trouble {
        instance: 1,
        // At the default rate an equal share would be more than it can do.
        kind: Kind::Slow(40.0),
        during: 0.20..0.45,
    },
    Trouble {
        instance: 2,
        kind: Kind::Flaky(0.2),
        during: 0.40..0.55,
    },
    Trouble {
        instance: 3,
        kind: Kind::FailsFast,
        during: 0.55..0.67,
    },
    Trouble {
        instance: 4,
        kind: Kind::Dead,
        during: 0.70..0.85,
    },
];

/// `web-1` for 0, and so on.
pub(super) fn name(instance: usize) -> String {
    format!("web-{}", instance + 1)
}

impl Trouble {
    /// What happens when it begins.
    pub(super) fn begins(&self) -> String {
        let name = name(self.instance);
        match self.kind {
            Kind::Cold(factor) => format!("{name} starts cold: {factor} times slower than usual, warming up"),
            Kind::Slow(factor) => format!("{name} becomes {factor} times slower than usual"),
            Kind::Flaky(share) => {
                format!("{name} answers {:.0} % of its requests with 503", share * 100.0)
            }
            Kind::FailsFast => format!("{name} answers everything with 500, at once"),
            Kind::Dead => format!("{name} dies: its connections are reset, new ones refused"),
        }
    }

    /// What happens when it ends.
    pub(super) fn ends(&self) -> String {
        let name = name(self.instance);
        match self.kind {
            Kind::Cold(_) => format!("{name} is warm"),
            Kind::Dead => format!("{name} is back"),
            _ => format!("{name} is well again"),
        }
    }

    /// What goes on while it lasts.
    fn lasts(&self) -> String {
        let what = match self.kind {
            Kind::Cold(_) => "is warming up",
            Kind::Slow(_) => "is slow",
            Kind::Flaky(_) => "is flaky",
            Kind::FailsFast => "fails fast",
            Kind::Dead => "is dead",
        };
        format!("{} {what}", name(self.instance))
    }
}

/// What is going on at `at`, in a few words.
pub(super) fn caption(at: f64) -> String {
    let now: Vec<_> = SCRIPT
        .iter()
        .filter(|trouble| trouble.during.contains(&at))
        .map(Trouble::lasts)
        .collect();
    if now.is_empty() {
        "all backends are well".to_owned()
    } else {
        now.join(", ")
    }
}

/// What the script had for `instance` in a demo of `duration` that ended after `elapsed`.
pub(super) fn history(instance: usize, duration: Duration, elapsed: Duration) -> String {
    let Some(Trouble { kind, during, .. }) = SCRIPT.iter().find(|t| t.instance == instance) else {
        return "well all the time".to_owned();
    };
    let (start, end) = (duration.mul_f64(during.start), duration.mul_f64(during.end));
    if elapsed < start {
        return "well so far".to_owned();
    }
    let what = match kind {
        Kind::Cold(factor) if elapsed < end => return format!("{factor} times slower at first, warming up"),
        Kind::Cold(factor) => {
            return format!("{factor} times slower at first, warm at {}", text::seconds(end));
        }
        Kind::Slow(factor) => format!("{factor} times slower"),
        Kind::Flaky(share) => format!("{:.0} % answered 503", share * 100.0),
        Kind::FailsFast => "all answered 500".to_owned(),
        Kind::Dead => "dead".to_owned(),
    };
    let start = text::seconds(start);
    if elapsed < end {
        return format!("{what} from {start} on");
    }
    format!("{what} from {start} to {}", text::seconds(end))
}

/// Begins and ends in `(after, until]`, in order, each with the part of the demo at which it is.
pub(super) fn changes(after: f64, until: f64) -> Vec<(f64, String)> {
    let within = |at: f64| after < at && at <= until;
    let mut changes: Vec<(f64, String)> = Vec::new();
    for trouble in &SCRIPT {
        if within(trouble.during.start) {
            changes.push((trouble.during.start, trouble.begins()));
        }
        if within(trouble.during.end) {
            changes.push((trouble.during.end, trouble.ends()));
        }
    }
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    changes
}

/// When `instance` is dead.
pub(super) fn outage(instance: usize) -> Option<Range<f64>> {
    let trouble = SCRIPT
        .iter()
        .find(|t| t.instance == instance && t.kind == Kind::Dead)?;
    Some(trouble.during.clone())
}

/// What a backend does with one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long a worker of the backend is busy with it; `None` takes no worker.
    pub(super) work: Option<Duration>,
}

/// The answer of `instance` at `at` with the luck of `rng`.
///
/// Half of a service time is fixed, the other half exponential: most requests take about the same,
/// one in a hundred almost three times as long.
pub(super) fn answer(instance: usize, at: f64, rng: &mut Rng) -> Answer {
    let (luck, tail) = (rng.unit(), -(1.0 - rng.unit()).ln());
    let mut answer = Answer {
        status: 200,
        work: None,
    };
    let mut slower = 1.0;
    let troubles = SCRIPT.iter().filter(|t| t.instance == instance);
    for trouble in troubles.filter(|t| t.during.contains(&at)) {
        match trouble.kind {
            Kind::Slow(factor) => slower = factor,
            Kind::Cold(factor) => {
                let Range { start, end } = trouble.during;
                slower = 1.0 + (factor - 1.0) * (end - at) / (end - start);
            }
            Kind::Flaky(share) if luck < share => answer.status = 503,
            Kind::FailsFast => {
                return Answer {
                    status: 500,
                    ..answer
                };
            }
            Kind::Flaky(_) | Kind::Dead => {}
        }
    }
    answer.work = Some(SERVICE_TIME.mul_f64(slower * 0.5 * (1.0 + tail)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean service time in ms and share of errors over many requests.
    fn measure(instance: usize, at: f64) -> (f64, f64) {
        let mut rng = Rng::new(7);
        let n = 20_000;
        let answers: Vec<_> = (0..n).map(|_| answer(instance, at, &mut rng)).collect();
        let work: f64 = answers
            .iter()
            .filter_map(|a| a.work)
            .map(|w| w.as_secs_f64())
            .sum();
        let errors = answers.iter().filter(|a| a.status >= 500).count();
        (work * 1e3 / f64::from(n), errors as f64 / f64::from(n))
    }

    #[track_caller]
    fn assert_near(value: f64, expected: f64) {
        assert!(
            (value - expected).abs() <= 0.05 * expected,
            "{value}, expected {expected}"
        );
    }

    #[test]
    fn each_instance_does_what_its_row_says() {
        for at in [0.0, 0.3, 0.5, 0.6, 0.8, 0.99] {
            let (ms, errors) = measure(0, at);
            assert_near(ms, 5.0);
            assert_eq!(errors, 0.0, "web-1 is well at {at}");
        }
        assert_near(measure(1, 0.1).0, 5.0);
        assert_near(measure(1, 0.3).0, 200.0);
        assert_near(measure(2, 0.5).1, 0.2);
        assert_eq!(measure(3, 0.6), (0.0, 1.0));
        assert_near(measure(3, 0.68).0, 5.0);
        assert_near(measure(5, 0.0).0, 100.0);
        assert_near(measure(5, 0.075).0, 52.5);
        assert_near(measure(5, 0.2).0, 5.0);
    }

    #[test]
    fn everything_is_well_when_the_script_is_over() {
        for instance in 0..INSTANCES {
            let (ms, errors) = measure(instance, 1.0);
            assert_near(ms, 5.0);
            assert_eq!(errors, 0.0);
        }
        assert_eq!(caption(1.0), "all backends are well");
    }

    #[test]
    fn the_same_luck_gives_the_same_answer() {
        let draw = || answer(2, 0.5, &mut Rng::new(42));
        assert_eq!(draw(), draw());
    }

    #[test]
    fn changes_are_told_once_and_in_order() {
        let steps: Vec<f64> = (0..=1000).map(|step| f64::from(step) / 1000.0).collect();
        let mut told = changes(-1.0, 0.0);
        told.extend(steps.windows(2).flat_map(|step| changes(step[0], step[1])));
        assert_eq!(told.len(), 2 * SCRIPT.len());
        assert_eq!(
            told[0].1,
            "web-6 starts cold: 20 times slower than usual, warming up"
        );
        assert_eq!(told[1].1, "web-6 is warm");
        assert_eq!(told.last().map(|change| &*change.1), Some("web-5 is back"));
        assert_eq!(told, changes(-1.0, 1.0));
    }

    #[test]
    fn the_caption_names_all_that_is_going_on() {
        assert_eq!(caption(0.42), "web-2 is slow, web-3 is flaky");
        assert_eq!(caption(0.75), "web-5 is dead");
        assert_eq!(outage(4), Some(0.70..0.85));
        assert_eq!(outage(0), None);
    }
}
