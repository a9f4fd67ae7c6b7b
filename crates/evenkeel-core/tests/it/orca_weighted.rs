//! Weights from reports: the formula, who is without, who lies, who fails.

use evenkeel_core::math::Factor;
use evenkeel_core::strategy::OrcaWeighted;
use evenkeel_core::testing::{candidates, lease};
use evenkeel_core::{Candidates, LoadReport, Nanos, Outcome, PickContext, Picker, Share, Slot, Strategy};

use crate::conformance::pick;

struct Service {
    candidates: Candidates,
    picker: Box<dyn Picker>,
    cx: PickContext,
}

const START: Nanos = Nanos::from_secs(1000);

impl Service {
    fn new(weights: &[u32]) -> Self {
        Self::with(OrcaWeighted::default(), candidates(weights).unwrap())
    }

    fn with(settings: OrcaWeighted, candidates: Candidates) -> Self {
        let picker = settings.build(&candidates, 1);
        let mut cx = PickContext::new(1);
        cx.now = START;
        Self {
            candidates,
            picker,
            cx,
        }
    }

    /// Reports requests per second, utilization and errors per second.
    fn report(&self, slot: u32, rate: f64, cpu: f64, errors: f64) {
        let report = LoadReport::default()
            .with_requests_per_second(rate)
            .and_then(|report| report.with_cpu(cpu))
            .and_then(|report| report.with_errors_per_second(errors));
        let stats = self.candidates.member(Slot(slot)).unwrap().stats();
        assert!(
            stats
                .reported()
                .observe(&report.unwrap(), self.cx.now, self.cx.now)
        );
    }

    /// The same reports for so many seconds, weights renewed after each.
    fn reporting(&mut self, seconds: u64, reports: &[(u32, f64, f64, f64)]) {
        for _ in 0..seconds {
            for (slot, rate, cpu, errors) in reports {
                self.report(*slot, *rate, *cpu, *errors);
            }
            self.pass(1);
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.cx.now = self.cx.now + Nanos::from_secs(seconds);
        self.picker.refresh(self.cx.now);
    }

    /// Parts of 20,000 picks, in hundredths. They are spread evenly, so this is exact to one.
    fn shares(&mut self) -> Vec<u32> {
        let mut counts = vec![0u32; self.candidates.len()];
        for _ in 0..20_000 {
            counts[pick(&*self.picker, &mut self.cx).0 as usize] += 1;
        }
        counts.into_iter().map(|count| (count + 100) / 200).collect()
    }
}

#[test]
fn weights_are_rate_per_utilization_and_errors_count_as_utilization() {
    let mut service = Service::new(&[1, 1, 1]);
    // 200, 400 and 100 / (0.25 + 0.25) = 200.
    let reports = [
        (0, 100.0, 0.5, 0.0),
        (1, 100.0, 0.25, 0.0),
        (2, 100.0, 0.25, 25.0),
    ];
    service.reporting(12, &reports);
    assert_eq!(service.shares(), [25, 50, 25]);
    // Twice the penalty: 100 / (0.25 + 0.5) = 133.
    let settings = OrcaWeighted {
        error_penalty: Factor::clamped(2.0),
        ..OrcaWeighted::default()
    };
    let mut service = Service::with(settings, candidates(&[1; 3]).unwrap());
    service.reporting(12, &reports);
    assert_eq!(service.shares(), [27, 55, 18]);
}

#[test]
fn registered_weights_count_where_nobody_reports_and_for_those_who_do_not() {
    let mut service = Service::new(&[1, 2, 1]);
    service.pass(1);
    assert_eq!(service.shares(), [25, 50, 25]);
    // 100 per weight, of which the third has one.
    service.reporting(12, &[(0, 50.0, 0.5, 0.0), (1, 100.0, 0.5, 0.0)]);
    assert_eq!(service.shares(), [25, 50, 25]);
    // 300, and 50 per registered weight: the mean of 175 for the third.
    service.reporting(1, &[(0, 150.0, 0.5, 0.0), (1, 50.0, 0.5, 0.0)]);
    assert_eq!(service.shares(), [52, 17, 30]);
}

#[test]
fn reports_count_after_the_blackout_and_until_they_expire() {
    let mut service = Service::new(&[1, 1]);
    let reports = [(0, 100.0, 0.5, 0.0), (1, 300.0, 0.5, 0.0)];
    service.reporting(10, &reports);
    assert_eq!(service.shares(), [50, 50]);
    service.reporting(2, &reports);
    assert_eq!(service.shares(), [25, 75]);
    // 78 s old they are worth 0.6 of themselves and 0.4 of the mean, 280 and 520; then nothing.
    service.pass(77);
    assert_eq!(service.shares(), [35, 65]);
    service.pass(110);
    assert_eq!(service.shares(), [50, 50]);
    // Whoever begins anew waits anew.
    service.reporting(9, &reports);
    assert_eq!(service.shares(), [50, 50]);
    service.reporting(3, &reports);
    assert_eq!(service.shares(), [25, 75]);
}

#[test]
fn a_new_view_keeps_weights_of_who_stays() {
    let mut service = Service::new(&[1, 1]);
    service.reporting(12, &[(0, 100.0, 0.5, 0.0), (1, 300.0, 0.5, 0.0)]);
    let settings = OrcaWeighted::default();
    service.picker = settings.rebuild(&*service.picker, &service.candidates, 2);
    service.picker.refresh(service.cx.now);
    assert_eq!(service.shares(), [25, 75]);
    service.picker = settings.build(&service.candidates, 2);
    service.picker.refresh(service.cx.now);
    assert_eq!(service.shares(), [50, 50], "one that comes back waits");
}

#[test]
fn shares_multiply() {
    let half = candidates(&[1, 1])
        .unwrap()
        .with_shares(&[Share::of(0.5), Share::FULL]);
    let mut service = Service::with(OrcaWeighted::default(), half);
    service.pass(1);
    assert_eq!(service.shares(), [33, 67]);
    service.reporting(12, &[(0, 300.0, 0.5, 0.0), (1, 300.0, 0.5, 0.0)]);
    assert_eq!(service.shares(), [33, 67]);
}

#[test]
fn a_lie_is_worth_ten_times_the_others_at_most_and_nothing_is_no_report() {
    let mut service = Service::new(&[1; 12]);
    let mut reports: Vec<_> = (0..11).map(|slot| (slot, 100.0, 0.5, 0.0)).collect();
    reports.push((11, 1e30, 1e-30, 0.0));
    service.reporting(12, &reports);
    // 10 of 21.
    assert_eq!(service.shares()[11], 48);
    for (rate, cpu) in [(0.0, 0.5), (100.0, 0.0)] {
        reports[11] = (11, rate, cpu, 0.0);
        service.reporting(1, &reports);
        assert_eq!(service.shares()[11], 8, "{rate} {cpu}");
    }
    reports[11] = (11, 1e-30, 100.0, 0.0);
    service.reporting(12, &reports);
    assert_eq!(service.shares()[11], 1, "a tenth of the others");
}

#[test]
fn who_fails_at_once_and_is_idle_for_that_attracts_nothing() {
    for reports in [true, false] {
        let mut service = Service::new(&[1; 4]);
        for _ in 0..60 {
            let lease = lease(&service.candidates, Slot(0), START).unwrap();
            let _ = lease.finish(&Outcome::failed(Nanos(20_000)), START);
        }
        let mut all = vec![(1, 100.0, 0.5, 0.0), (2, 100.0, 0.5, 0.0), (3, 100.0, 0.5, 0.0)];
        if reports {
            // Many requests, hardly in use, and no word of errors.
            all.push((0, 100.0, 0.01, 0.0));
        }
        service.reporting(12, &all);
        let shares = service.shares();
        // By its utilization it would have 94 %.
        assert!(shares[0] <= if reports { 15 } else { 4 }, "{shares:?}");
    }
}

#[test]
fn equal_weights_come_nearly_in_turn() {
    let mut service = Service::new(&[1; 10]);
    let mut last = [0u32; 10];
    for step in 1..10_000 {
        let slot = pick(&*service.picker, &mut service.cx).0 as usize;
        let pause = step - last[slot];
        assert!(last[slot] == 0 || (5..=21).contains(&pause), "{pause}");
        last[slot] = step;
    }
}

#[test]
fn one_great_weight_among_thousands_of_small_ones_has_its_part() {
    let n = 10_000;
    let mut weights = vec![1; n];
    weights[7] = 65_535;
    let mut service = Service::new(&weights);
    service.pass(1);
    let picks = 200_000u32;
    let mine = (0..picks).filter(|_| pick(&*service.picker, &mut service.cx).0 == 7);
    let part = mine.count() as f64 / f64::from(picks);
    let exact = 65_535.0 / (65_535.0 + n as f64 - 1.0);
    assert!((part - exact).abs() < 0.002, "{part} instead of {exact}");
}
