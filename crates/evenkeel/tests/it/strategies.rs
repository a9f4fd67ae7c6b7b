//! Strategies that are asked beside the one that picks.

use evenkeel::strategies::Auto;
use evenkeel::{Effect, StrategyName, StrategySettings};

use crate::support::{fleet, instance};

#[tokio::test]
async fn a_shadow_is_asked_beside_the_strategy() {
    let balancer = fleet(3).await;
    assert_eq!(balancer.shadow("web").unwrap(), None);
    let shadow = Some(StrategyName::round_robin.into());
    let effect = balancer.set_shadow("web", shadow.clone()).await.unwrap();
    assert_eq!(effect, Effect::Changed);
    for _ in 0..640 {
        balancer.get_instance("web").unwrap().succeeded();
    }
    let (strategy, counts) = balancer.shadow("web").unwrap().unwrap();
    assert_eq!(strategy, StrategyName::round_robin);
    assert!(counts.asked > 0, "{counts:?}");
    // A registration is a change of settings, and keeps it.
    balancer
        .register_instance("web", instance("d", 9004))
        .await
        .unwrap();
    assert!(balancer.shadow("web").unwrap().unwrap().1.asked >= counts.asked);
    assert_eq!(balancer.set_shadow("web", shadow).await, Ok(Effect::Unchanged));
    balancer.set_shadow("web", None).await.unwrap();
    assert_eq!(balancer.shadow("web").unwrap(), None);
    assert!(balancer.set_shadow("wbe", None).await.is_err());
}

#[tokio::test]
async fn auto_tells_which_candidate_is_in_force() {
    let balancer = fleet(2).await;
    assert_eq!(balancer.auto("web").unwrap(), None);
    balancer.set_strategy("web", StrategyName::auto).await.unwrap();
    let auto = balancer.auto("web").unwrap().unwrap();
    assert_eq!((auto.current, auto.pinned), (StrategyName::adaptive, false));
    balancer.get_instance("web").unwrap().succeeded();
    let explained = balancer.explain("web").unwrap();
    assert!(
        explained.notes[0].starts_with("adaptive decides, for "),
        "{explained}"
    );
    let hashing = Auto {
        candidates: vec![StrategyName::maglev.into()],
        ..Auto::default()
    };
    let refused = balancer
        .set_strategy("web", StrategySettings::auto(hashing))
        .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("candidates: `maglev` hashes")
    );
}
