//! Picks that are recorded: which, what of them, at what cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use allocation_counter::measure;
use evenkeel_core::{InstanceId, Nanos, PickContext, PickRequest, Slot, StrategyName};
use evenkeel_runtime::{Balancer, Observe, PickRecords, Service};

use crate::support::*;

const NOW: Nanos = Nanos::from_secs(100);

async fn web(letters_of: &str) -> (Balancer, Arc<Service>) {
    let balancer = balancer();
    balancer
        .apply(vec![spec("web", letters(letters_of))])
        .await
        .unwrap();
    let service = balancer.service("web").unwrap();
    (balancer, service)
}

fn record(share: f64) -> Observe {
    Observe {
        record_picks: share,
        ..Observe::default()
    }
}

/// Picks at this time; says who was picked.
fn pick(service: &Service, now: Nanos, times: u32) -> Vec<String> {
    let mut cx = PickContext::new(1);
    cx.now = now;
    let picks = (0..times).map(|_| {
        let lease = service.pick(&PickRequest::default(), &mut cx).unwrap();
        lease.member().instance().id.to_string()
    });
    picks.collect()
}

fn chosen(records: &PickRecords) -> Vec<String> {
    let picks = records.picks.iter();
    picks
        .map(|pick| pick.chosen.as_ref().map_or("-".to_owned(), ToString::to_string))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_recorded_until_it_is_asked_for() {
    let (_balancer, service) = web("abc").await;
    pick(&service, NOW, 10);
    let records = service.recorded_picks(NOW);
    assert_eq!((records.share, records.until, records.seen), (0.0, None, 0));
    assert_eq!(records.picks, []);
}

#[tokio::test(start_paused = true)]
async fn a_record_says_who_by_whom_and_out_of_how_many() {
    let (_balancer, service) = web("abc").await;
    service.observe(record(1.0));
    let mut reader = service.reader();
    let mut cx = PickContext::new(1);
    cx.now = NOW;
    let held = reader.pick(&PickRequest::default(), &mut cx).unwrap();
    let tried = [Slot(0), Slot(1)];
    cx.now = NOW + Nanos(1);
    let request = PickRequest {
        tried: &tried,
        ..PickRequest::default()
    };
    let again = reader.pick(&request, &mut cx).unwrap();
    again.member().stats().set_health(0.5);
    let last = service.pick(&request, &mut cx).unwrap();

    let records = service.recorded_picks(NOW);
    assert_eq!((records.share, records.until), (1.0, None));
    assert_eq!(
        (
            records.seen,
            records.recorded,
            records.overwritten,
            records.dropped
        ),
        (3, 3, 0, 0)
    );
    let [newest, second, first] = &records.picks[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (first.at, first.strategy, first.version),
        (NOW, StrategyName::round_robin, service.view().version())
    );
    assert_eq!((first.candidates, first.tried, first.fallback), (3, 0, false));
    assert_eq!((first.score, first.in_flight), (1.0, 1));
    assert_eq!((second.at, second.tried, second.score), (NOW + Nanos(1), 2, 1.0));
    assert_eq!((newest.score, newest.in_flight), (0.5, 2));
    let ids = [&last, &again, &held].map(|lease| lease.member().instance().id.to_string());
    assert_eq!(chosen(&records), ids);
    assert_eq!(ids[0], "c");
}

#[tokio::test(start_paused = true)]
async fn the_last_thousand_are_kept_and_the_others_counted() {
    let (_balancer, service) = web("abc").await;
    service.observe(record(1.0));
    let picked = pick(&service, NOW, 3000);
    let records = service.recorded_picks(NOW);
    assert_eq!(
        (records.seen, records.recorded, records.overwritten),
        (3000, 3000, 3000 - 1024)
    );
    let last: Vec<_> = picked.into_iter().rev().take(1024).collect();
    assert_eq!(chosen(&records), last);
}

/// A service that goes in turns, and a share that its turns divide: every instance is met all the same.
#[tokio::test(start_paused = true)]
async fn a_share_of_the_picks_is_taken_evenly() {
    let (_balancer, service) = web("abcd").await;
    service.observe(record(0.25));
    pick(&service, NOW, 4000);
    let records = service.recorded_picks(NOW);
    assert_eq!(records.seen, 4000);
    // Six deviations of 4000 draws of a quarter are 164.
    assert!((836..=1164).contains(&records.recorded), "{}", records.recorded);
    let mut counts = BTreeMap::new();
    for id in chosen(&records) {
        *counts.entry(id).or_insert(0) += 1;
    }
    // Of about 1000, a quarter each: six deviations are 82.
    assert!(
        counts.len() == 4 && counts.values().all(|n| (168..=332).contains(n)),
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_recording_for_a_time_ends_by_itself() {
    let (_balancer, service) = web("abc").await;
    let until = NOW + Nanos::from_secs(10);
    service.record_picks(1.0, until);
    assert_eq!(service.recorded_picks(NOW).until, Some(until));
    // A reload in between takes nothing from it.
    service.observe(Observe::default());
    pick(&service, until.since(Nanos(1)), 5);
    pick(&service, until, 5);
    let records = service.recorded_picks(until);
    assert_eq!((records.recorded, records.share, records.until), (5, 0.0, None));

    // Whoever reads ends it, too, when no pick comes; and before its time who asks for that.
    service.observe(record(0.5));
    service.record_picks(1.0, until + Nanos(9));
    assert_eq!(service.recorded_picks(until).share, 1.0);
    assert!((service.recorded_picks(until + Nanos(9)).share - 0.5).abs() < 1e-6);
    service.record_picks(1.0, until + Nanos(99));
    service.stop_recording();
    let records = service.recorded_picks(until);
    assert!((records.share - 0.5).abs() < 1e-6 && records.until.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_has_left_is_not_taken_for_who_came() {
    let (balancer, service) = web("a").await;
    service.observe(record(1.0));
    pick(&service, NOW, 2);
    balancer.apply(vec![spec("web", letters("z"))]).await.unwrap();
    assert_eq!(chosen(&service.recorded_picks(NOW)), ["-", "-"]);
    pick(&service, NOW, 1);
    assert_eq!(chosen(&service.recorded_picks(NOW)), ["z", "-", "-"]);
}

#[tokio::test(start_paused = true)]
async fn recording_changes_no_pick_and_allocates_nothing() {
    for &strategy in StrategyName::ALL {
        let mut services = Vec::new();
        for _ in 0..2 {
            let (balancer, service) = web("abcde").await;
            service.set_strategy(strategy.into()).await.unwrap();
            services.push((balancer, service));
        }
        let [(_, recorded), (_, other)] = &services[..] else {
            unreachable!()
        };
        recorded.observe(record(0.5));
        assert_eq!(pick(recorded, NOW, 200), pick(other, NOW, 200), "{strategy}");
        assert!(recorded.recorded_picks(NOW).recorded > 0, "{strategy}");
        let mut cx = PickContext::new(1);
        let counted = measure(|| {
            for _ in 0..200 {
                drop(recorded.pick(&PickRequest::default(), &mut cx).unwrap());
            }
        });
        assert_eq!(counted.count_total, 0, "{strategy}");
    }
    let counted = measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_ne!(counted.count_total, 0, "the counter counts");
}

/// Writers lap each other and the reader; what is read is whole all the same: time and score belong together.
#[tokio::test(start_paused = true)]
async fn records_are_whole_under_threads() {
    const WRITERS: u64 = 4;
    const PICKS: u64 = 20_000;
    let (_balancer, service) = web("a").await;
    service.observe(record(1.0));
    let (service, whole) = (&service, |records: &PickRecords| {
        for pick in &records.picks {
            assert_eq!(
                pick.chosen.as_ref().map(InstanceId::as_str),
                Some("a"),
                "{pick:?}"
            );
            assert_eq!((pick.candidates, pick.score), (1, 1.0));
            assert_eq!(u64::from(pick.tried), pick.at.0 % 3, "{pick:?}");
        }
    });
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let tried = [Slot(7), Slot(8)];
                let mut cx = PickContext::new(writer);
                for number in 0..PICKS {
                    cx.now = Nanos(1 + number * WRITERS + writer);
                    let request = PickRequest {
                        tried: &tried[..(cx.now.0 % 3) as usize],
                        ..PickRequest::default()
                    };
                    drop(service.pick(&request, &mut cx).unwrap());
                }
            });
        }
        for _ in 0..50 {
            whole(&service.recorded_picks(Nanos(1)));
        }
    });
    let records = service.recorded_picks(Nanos(1));
    whole(&records);
    assert_eq!(
        (records.seen, records.recorded),
        (WRITERS * PICKS, WRITERS * PICKS)
    );
    assert!(
        records.picks.len() as u64 + records.dropped >= 1024,
        "{}",
        records.dropped
    );
}
