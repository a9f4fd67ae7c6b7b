//! What a pick costs beside the strategy: no allocation.

use allocation_counter::measure;
use evenkeel::strategies::ConsistentHash;
use evenkeel::{Selection, StrategyName, StrategySettings};

use crate::support::fleet;

#[test]
fn picks_and_leases_allocate_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let balancer = runtime.block_on(fleet(10));
    let hashing = StrategySettings::consistent_hash(ConsistentHash::default());
    for strategy in [
        StrategyName::DEFAULT.into(),
        StrategyName::round_robin.into(),
        hashing,
    ] {
        runtime.block_on(balancer.set_strategy("web", strategy)).unwrap();
        let picks = || {
            for _ in 0..100 {
                let selection = Selection::new().key("alice").region("eu-west");
                let mut lease = balancer.select_instance("web", &selection).unwrap();
                lease.head_arrived();
                lease.succeeded();
                drop(balancer.get_instance("web").unwrap());
            }
        };
        // The first pick of a thread makes its context.
        picks();
        assert_eq!(measure(picks).count_total, 0);
    }
    let counted = measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_ne!(counted.count_total, 0, "the counter counts");
}
