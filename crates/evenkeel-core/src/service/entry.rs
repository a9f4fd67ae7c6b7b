//! One instance with all that its service's writer knows of it.

use std::sync::Arc;

use super::detect::Finding;
use super::dry::Dry;
use super::headroom::Pace;
use crate::health::burst::{BAR, BAR_ON_PROBATION};
use crate::health::checks::Checks;
use crate::health::ejection::{Ejection, PROBATION_FAILURES};
use crate::health::foresight::Foresight;
use crate::health::vitals::Vitals;
use crate::health::{InstanceState, Mark};
use crate::{
    BreakerState, CheckThresholds, EjectionSettings, HealthPart, HealthParts, Instance, Member, Mode, Nanos,
    Score, ServiceSettings, Share, Source, Status,
};

/// Whoever has so many times fewer requests since it fails is left alone by the strategy.
const LEFT_ALONE: f64 = 8.0;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) member: Arc<Member>,
    pub(super) checks: Checks,
    pub(super) ejection: Ejection,
    pub(super) vitals: Vitals,
    pub(super) pace: Pace,
    /// What is to become of it, while predictions are made.
    pub(super) foresight: Option<Box<Foresight>>,
    /// What dry runs said.
    pub(super) dry: Dry,
    /// Something other than a run of failures speaks against it, it may not be ejected, and that was said.
    pub(super) spared: bool,
    pub(super) source: Source,
    /// Since when and why it gets no new requests, if somebody said so.
    pub(super) drain: Option<Mark>,
    /// Since when there is an instance with this id and address, if it was not from the start.
    pub(super) registered: Nanos,
    /// The newest word on its health from outside, and which time it speaks of.
    pub(super) told: Option<(Score, Nanos)>,
    /// Since when it may be used; `None` while its checks have not passed once.
    pub(super) began: Option<Nanos>,
    /// Since when and why it is healthy, when nothing speaks against it.
    pub(super) healthy: Mark,
    /// It fails, may not be ejected, and that was said…
    pub(super) withheld: bool,
    /// …when, as far as it is not over.
    pub(super) withheld_told: Option<Nanos>,
    /// The strategy asks it no more than to see whether it is back…
    pub(super) spared_by_strategy: bool,
    /// …which was said then…
    pub(super) fall_told: Option<Nanos>,
    /// …it fails, and that was said.
    pub(super) on_trial: bool,
}

impl Entry {
    /// `healthy` since then and because of that.
    pub(super) fn new(member: Member, source: Source, healthy: Mark) -> Self {
        let now = healthy.since;
        Self {
            member: Arc::new(member),
            checks: Checks::new(now),
            ejection: Ejection::default(),
            vitals: Vitals::new(now),
            pace: Pace::default(),
            foresight: None,
            dry: Dry::default(),
            spared: false,
            source,
            drain: None,
            registered: now,
            told: None,
            began: Some(now),
            healthy,
            withheld: false,
            withheld_told: None,
            spared_by_strategy: false,
            fall_told: None,
            on_trial: false,
        }
    }

    /// The same instance with other weight, priority or labels.
    pub(super) fn update(&mut self, instance: Instance) {
        let stats = Arc::clone(self.member.stats());
        self.member = Arc::new(Member::new(instance, stats, self.member.load().clone()));
    }

    /// What somebody said outranks what was seen, and checks outrank ejection: what does not answer need not
    /// be judged by its answers.
    pub(super) fn state(&self) -> InstanceState {
        if self.drain.is_some() {
            return InstanceState::Draining;
        }
        if self.checks.down().is_some() {
            return InstanceState::Down;
        }
        match self.ejection.until() {
            Some(until) => InstanceState::Ejected { until },
            None if self.vitals.below().is_some() => InstanceState::Weak,
            None => InstanceState::Healthy,
        }
    }

    /// The score of its health, as last judged.
    pub(super) fn score(&self) -> f32 {
        self.member.stats().health()
    }

    /// Whether its score fell below the threshold, and has not come back to the recovery threshold.
    pub(super) fn is_below_threshold(&self) -> bool {
        self.vitals.below().is_some()
    }

    /// Whether it gets nothing for what its requests or its score say.
    pub(super) fn is_out(&self) -> bool {
        self.ejection.until().is_some() || self.is_below_threshold()
    }

    /// Whether that would be so if what is in dry run were enforced.
    pub(super) fn would_be_out(&self) -> bool {
        self.is_out() || self.dry.is_out()
    }

    /// Its score as it would be if its checks passed: those that fail speak for themselves.
    pub(super) fn score_beside_checks(&self) -> f32 {
        let parts = self.member.stats().health_parts();
        parts.with(HealthPart::Checks, 1.0).score()
    }

    /// The part of its share that it gets at `now`, because it came back from an ejection.
    pub(super) fn recovery_share(&self, now: Nanos) -> Share {
        self.ejection.share(self.member.stats(), now)
    }

    /// The part of its share that is left to it, for what is foreseen of it.
    pub(super) fn predicted_share(&self) -> f32 {
        self.foresight.as_ref().map_or(1.0, |foresight| foresight.left())
    }

    /// The parts of its score at `now`.
    pub(super) fn parts(
        &self,
        checks: Option<CheckThresholds>,
        settings: &EjectionSettings,
        now: Nanos,
    ) -> HealthParts {
        let checks = checks.map_or(1.0, |thresholds| self.checks.part(thresholds));
        let told = self.told.map(|(score, observed)| (score.get(), observed));
        self.vitals
            .parts(checks, told, self.member.stats(), settings, now)
    }

    /// Lets it return from an ejection; `successes` is its count from which on an answer is a proof.
    pub(super) fn come_back(&mut self, successes: u64, settings: &EjectionSettings, now: Nanos) {
        let stats = self.member.stats();
        self.ejection.end(successes, stats.failures(), settings, now);
        stats.forgive();
        self.vitals.come_back(stats, settings, now);
        self.withheld = false;
        self.spared = false;
        self.on_trial = false;
        self.arm(settings);
    }

    /// State, since when, and why; where several speak against it, what all of them say.
    pub(super) fn status(&self) -> Status {
        let (down, out) = (self.checks.down(), self.ejection.mark());
        let mut all = [self.drain.as_ref(), down, out, self.vitals.below()]
            .into_iter()
            .flatten();
        let mark = all.next().unwrap_or(&self.healthy);
        let reason = all.fold(Arc::clone(&mark.reason), |reason, next| {
            format!("{reason}; {}", next.reason).into()
        });
        Status {
            state: self.state(),
            since: mark.since,
            reason,
            ejected_until: self.ejection.until(),
            breaker: match self.ejection.breaker(self.member.stats().successes()) {
                BreakerState::Closed if self.on_trial => BreakerState::HalfOpen,
                state => state,
            },
            source: self.source,
            answers: down.is_none() && out.is_none(),
            excluded: None,
        }
    }

    /// Whether its requests show nothing but good: it is not ejected, its last request succeeded or was
    /// long ago, and if it came back from an ejection it has answered since.
    pub(super) fn works(&self, settings: &EjectionSettings, now: Nanos) -> bool {
        let stats = self.member.stats();
        let run = stats.consecutive_failures();
        let good = run == 0 || (run < self.ejection.limit(settings) && self.is_idle(settings, now));
        good && self.ejection.answered(stats.successes())
    }

    /// Whether its score is all that speaks against it.
    pub(super) fn is_only_weak(&self) -> bool {
        matches!(self.state(), InstanceState::Weak)
    }

    /// Whether nothing speaks against it.
    pub(super) fn serves(&self) -> bool {
        matches!(self.state(), InstanceState::Healthy)
    }

    /// Whether nobody has asked it for as long as a first ejection lasts. Failures before say little then:
    /// who gets no requests cannot make up for them.
    pub(super) fn is_idle(&self, settings: &EjectionSettings, now: Nanos) -> bool {
        now.since(self.member.stats().last_used()) >= settings.base
    }

    /// Whether requests do not speak against it, as of the last look at them.
    pub(super) fn answers(&self) -> bool {
        !self.withheld && self.ejection.answered(self.member.stats().successes())
    }

    /// Failures up to now are no evidence any more.
    pub(super) fn forgive(&mut self) {
        self.member.stats().forgive();
        self.vitals.forgive(self.member.stats());
        self.withheld = false;
        self.spared = false;
    }

    /// The same, but whether it is below the threshold is for its score to say, in which words about it count too.
    pub(super) fn forgive_requests(&mut self, settings: &ServiceSettings, now: Nanos) {
        let below = self.vitals.below().cloned();
        self.forgive();
        self.vitals.set_below(below);
        let parts = self.parts(settings.checks, &settings.ejection, now);
        self.member.stats().set_health_parts(parts);
    }

    /// How long it is out at least: who is asked seldom, for as long as it takes, at the rate of the present run of
    /// failures, until one ejects.
    pub(super) fn least_out(&self, finding: Finding, settings: &EjectionSettings, now: Nanos) -> Nanos {
        let Finding::Run(run) = finding else {
            return Nanos::ZERO;
        };
        let took = now.since(self.vitals.sound_at());
        let each = took.0 / u64::from(run.max(1));
        if each > settings.max.0 {
            // No ejection would reach to its next request; as likely as not the clock jumped ahead.
            return Nanos::ZERO;
        }
        Nanos(each.saturating_mul(self.ejection.limit(settings).into()))
    }

    /// How far apart its requests come since it fails, when the strategy asks it so seldom that an ejection would spare it
    /// hardly any.
    pub(super) fn left_alone(&self, settings: &EjectionSettings, now: Nanos) -> Option<Nanos> {
        let run = self.member.stats().consecutive_failures();
        let gap = self.vitals.gap()?;
        // The first few came as fast as ever.
        let each = Nanos(now.since(self.vitals.sound_at()).0 / u64::from(run.saturating_sub(2).max(1)));
        // At its full share; with a reduced one fewer come whatever the strategy.
        let usual = gap.0 as f64 / self.recovery_share(now).as_f64();
        let is_seldom = each.0 >= settings.base.0 / 2 && each.0 as f64 >= usual * LEFT_ALONE;
        (self.spared_by_strategy && run > 0 && is_seldom).then_some(each)
    }

    /// How many requests without an answer speak against it, and how sure one has to be, as a logarithm.
    pub(super) fn patience(&self, settings: &EjectionSettings) -> (u32, f32) {
        match self.ejection.on_probation() {
            true => (
                PROBATION_FAILURES.min(settings.consecutive_failures),
                BAR_ON_PROBATION,
            ),
            false => (settings.consecutive_failures, BAR),
        }
    }

    /// Tells the workers how long a run of failures, and how much suspicion, is worth an alarm.
    pub(super) fn arm(&self, settings: &EjectionSettings) {
        self.member.stats().set_alarm_at(self.ejection.limit(settings));
        let bar = match settings.on_burst {
            _ if settings.is_off() => f32::INFINITY,
            Mode::Off => f32::INFINITY,
            _ if self.ejection.on_probation() => BAR_ON_PROBATION,
            Mode::Enforce | Mode::DryRun => BAR,
        };
        self.member.stats().suspicion().set_bar(bar);
    }

    pub(super) fn shift(&mut self, back: Nanos) {
        self.checks.shift(back);
        self.ejection.shift(back);
        self.vitals.shift(back);
        if let Some(foresight) = &mut self.foresight {
            foresight.shift(back);
        }
        self.healthy.shift(back);
        self.registered = self.registered.since(back);
        self.dry.shift(back);
        self.withheld_told = self.withheld_told.map(|told| told.since(back));
        self.fall_told = self.fall_told.map(|told| told.since(back));
        if let Some(began) = &mut self.began {
            *began = began.since(back);
        }
        if let Some(drain) = &mut self.drain {
            drain.shift(back);
        }
        if let Some((_, observed)) = &mut self.told {
            *observed = observed.since(back);
        }
        self.member.stats().reported().shift(back);
    }
}
