//! What must hold after every step.

use super::*;

impl World {
    /// Rules 1 and 2, from the view before and after an alarm (counters did not move between).
    pub(super) fn ejections_are_allowed(&self, before: &View) {
        let view = self.state.view();
        let was = |slot| rows(before).find(|(s, ..)| *s == slot).map(|(.., status)| status);
        // Or it would have been, had somebody looked: words on health, and how old they are, count at the next look.
        let fallback = before.is_fallback() || self.expected(before).0;
        let newly: Vec<_> = rows(view)
            .filter(|(slot, _, status)| is_out(status) && was(*slot).is_some_and(|was| !is_out(was)))
            .collect();
        if newly.is_empty() {
            return;
        }
        let settings = self.state.settings();
        let members = rows(view).filter(|(.., status)| !drains(status)).count();
        // In fallback checks have no say: all count, and one that works is enough.
        let counts = |status: &Status| !drains(status) && (fallback || status.state != InstanceState::Down);
        let wanted = match fallback {
            true => 1,
            false => (settings.min_healthy.max(1) as usize).min(members),
        };
        let good = |(_, member, status): &(Slot, &Arc<Member>, &Status)| {
            let idle = self.now.since(member.stats().last_used()) >= settings.ejection.base;
            let good = member.stats().consecutive_failures() == 0 || idle;
            counts(status) && !is_out(status) && good
        };
        assert!(rows(view).filter(good).count() >= wanted, "enough others work");
        let present = rows(view).filter(|(.., s)| counts(s)).count();
        let out = rows(before).filter(|(.., s)| counts(s) && is_out(s)).count();
        let later = rows(view)
            .filter(|row| good(row) && !fallback)
            .map(|(_, m, _)| m.instance().priority)
            .max();
        let limit = settings.ejection.consecutive_failures.min(2);
        let free = |m: &Member| {
            later > Some(m.instance().priority) || m.stats().consecutive_failures() >= 10 * limit
        };
        let capped = newly.iter().filter(|(_, m, _)| !free(m)).count();
        assert!(
            capped == 0 || out + capped <= present.div_ceil(2),
            "{out} + {capped} of {present}"
        );
        for (_, member, status) in newly {
            let run = member.stats().consecutive_failures();
            let otherwise = ["in the last 10 s", "times the", "it does not answer"];
            assert!(run >= limit || otherwise.iter().any(|words| status.reason.contains(words)));
            let InstanceState::Ejected { until } = status.state else {
                assert_eq!(status.state, InstanceState::Down);
                continue;
            };
            let length = until.since(self.now);
            assert!(
                Nanos::from_millis(4500) <= length && length <= settings.ejection.max,
                "{length}"
            );
        }
    }

    pub(super) fn nothing_is_overdue(&self) {
        for (.., status) in rows(self.state.view()) {
            if let InstanceState::Ejected { until } = status.state {
                assert!(until > self.now, "an ejection is over");
                assert!(self.state.next_deadline() <= until);
            }
        }
        assert!(self.state.next_deadline() > self.now);
        self.the_last_resort_is_the_last();
    }

    /// Right after a look at the requests: where ejected instances are used, no other works.
    pub(super) fn the_last_resort_is_the_last(&self) {
        let view = self.state.view();
        if rows(view).any(|(slot, _, status)| is_out(status) && view.is_candidate(slot)) {
            for (_, member, status) in rows(view).filter(|(.., s)| !is_out(s) && !drains(s)) {
                let fails = member.stats().consecutive_failures() > 0;
                let id = member.instance().id.as_str();
                assert!(fails || self.ejected.contains(id), "{id} works: {status:?}");
            }
        }
    }

    /// A new view has the next version; the same version is the same view; events come with a view.
    pub(super) fn versions(&self, before: &Arc<View>, events: &[Event]) {
        let view = self.state.view();
        assert_eq!(Arc::ptr_eq(before, view), before.version() == view.version());
        assert!(before.version() <= view.version());
        let seen = events.iter().any(|e| e.kind != EventKind::EjectionWithheld);
        assert!(!seen || before.version() < view.version(), "{events:?}");
    }

    /// Statuses agree with the reference, and candidates with statuses.
    pub(super) fn agreement(&self) {
        let view = self.state.view();
        let ids: Vec<_> = rows(view).map(|(_, m, _)| m.instance().id.to_string()).collect();
        assert_eq!(ids.len(), self.checked.len());
        for (_, member, status) in rows(view) {
            let checked = &self.checked[member.instance().id.as_str()];
            assert_eq!(member.instance().address, checked.address);
            let draining = self.draining.contains(member.instance().id.as_str());
            assert_eq!(drains(status), draining, "{}: {status:?}", member.instance().id);
            let down = status.state == InstanceState::Down;
            assert_eq!(
                down,
                checked.down && !draining,
                "{}: {status:?}",
                member.instance().id
            );
            assert_eq!(status.answers, !checked.down && !is_out(status));
            let registered = self.registered.contains(member.instance().id.as_str());
            assert_eq!(status.source == Source::Registration, registered);
            assert!(status.since <= self.now);
        }
        let (fallback, expected) = self.expected(view);
        assert_eq!(view.is_fallback(), fallback);
        assert_eq!(**view.candidates().slots(), *expected);
        for (slot, _, status) in rows(view) {
            assert_eq!(status.excluded.is_none(), view.is_candidate(slot), "{status:?}");
        }
    }

    /// Whether the service is in fallback, and who gets requests: by the statuses of `view` and what is known of their health
    /// now.
    fn expected(&self, view: &View) -> (bool, Vec<Slot>) {
        // Weak ones are left out, unless more than half are for another reason than what was told of them.
        let ejection = &self.state.settings().ejection;
        let enough = ejection.recovery_threshold.max(ejection.threshold);
        let told = |member: &Member| {
            let parts = member.stats().health_parts();
            let told = parts.get(HealthPart::Reported);
            told < ejection.threshold || (told < enough && told <= parts.worst().1 + 1e-3)
        };
        let in_state = |state| rows(view).filter(move |(.., status)| status.state == state);
        let well = in_state(InstanceState::Healthy).count();
        let weak = in_state(InstanceState::Weak)
            .filter(|(_, member, _)| !told(member))
            .count();
        let takes = |member: &Member, state| match state {
            InstanceState::Healthy => true,
            InstanceState::Weak => weak > well && !told(member),
            _ => false,
        };
        let healthy: Vec<_> = rows(view)
            .filter(|(_, member, status)| takes(member, status.state))
            .map(|(slot, member, _)| (member.instance().priority, slot))
            .collect();
        let present: Vec<_> = rows(view).filter(|(.., status)| !drains(status)).collect();
        let least = self.state.settings().min_healthy.max(1) as usize;
        let of = |priority: u8| {
            let members = rows(view).filter(|(_, m, _)| m.instance().priority == priority);
            let weight: u32 = members.map(|(_, m, _)| m.instance().weight.get()).sum();
            let present = present
                .iter()
                .filter(|(_, m, _)| m.instance().priority == priority);
            let healthy = healthy.iter().filter(|(p, _)| *p == priority);
            let healthy_weight = healthy.clone().map(|(_, slot)| {
                let member = view.candidates().member(*slot).unwrap();
                member.instance().weight.get()
            });
            (
                present.count(),
                healthy.clone().count(),
                healthy_weight.sum::<u32>(),
                weight,
            )
        };
        let panic = self.state.settings().panic;
        let enough = |priority: u8| {
            let (present, healthy, ..) = of(priority);
            healthy > 0 && (panic != Panic::NextPriority || healthy >= least.min(present))
        };
        let fallback = match panic {
            Panic::NextPriority => !present.is_empty() && !(0..3).any(enough),
            _ => healthy.len() < least.min(present.len()),
        };
        let mut expected: Vec<Slot> = Vec::new();
        if fallback {
            let last_resort = view.candidates().len() == present.len();
            let used = present
                .iter()
                .filter(|(.., status)| last_resort || !is_out(status));
            expected = used.map(|(slot, ..)| *slot).collect();
            if panic == Panic::Fail {
                expected.clear();
            }
        } else {
            // A priority gets what those before cannot carry, with a reserve of 1.4.
            let mut before = 0.0;
            for priority in (0..3).filter(|priority| enough(*priority)) {
                if before < 1.0 - 1e-9 {
                    let mine = healthy.iter().filter(|(p, _)| *p == priority);
                    expected.extend(mine.map(|(_, slot)| *slot));
                }
                let (.., healthy, all) = of(priority);
                before += (1.4 * f64::from(healthy) / f64::from(all)).min(1.0);
            }
        }
        expected.sort_unstable();
        (fallback, expected)
    }

    /// In flight is what is open, and a slot with a lease or in a held view belongs to no other.
    pub(super) fn conservation(&self) {
        let view = self.state.view();
        let mut open = BTreeMap::new();
        for lease in &self.leases {
            *open.entry(lease.slot().0).or_insert(0) += 1;
        }
        for slot in 0..64 {
            let expected = open.get(&slot).copied().unwrap_or(0);
            assert_eq!(view.candidates().loads().get(slot), expected, "slot {slot}");
        }
        let held = self
            .views
            .iter()
            .flat_map(|v| rows(v).map(|(slot, member, _)| (slot, member)));
        let leased = self.leases.iter().map(|lease| (lease.slot(), lease.member()));
        for (slot, member) in held.chain(leased) {
            if let Some(present) = view.candidates().member(slot) {
                assert!(
                    Arc::ptr_eq(present.stats(), member.stats()),
                    "{slot:?} was given away"
                );
            }
        }
    }
}
