//! What strategies found out, in the API and in `/metrics`.

use evenkeel_admin::wire;
use evenkeel_core::strategy::{Geographical, ResourceAware};
use evenkeel_core::{LoadReport, Nanos, StrategySettings};

use crate::client::get;
use crate::exposition::parse;
use crate::fleet::{Fleet, instance, service};

#[test]
fn weights_expectations_and_regions_are_told() {
    let mut resources = service("resources", vec![instance("a", 9001)]);
    resources.settings.strategy = StrategySettings::resource_aware(ResourceAware {
        learn: true,
        predict: true,
        ..ResourceAware::default()
    });
    let at = |id, port, region: &str| {
        let mut instance = instance(id, port);
        instance.region = Some(region.into());
        instance
    };
    let mut regions = service("regions", vec![at("near", 9002, "eu"), at("far", 9003, "us")]);
    regions.settings.strategy = StrategySettings::geographical(Geographical {
        from: vec!["eu".into()],
        probe: false,
        within: Box::new(StrategySettings::resource_aware(ResourceAware::default())),
        ..Geographical::default()
    });
    let plain = service("plain", vec![instance("b", 9004)]);
    let fleet = Fleet::new(vec![resources, regions, plain]);
    for (_, member, _) in fleet.balancer.service("regions").unwrap().view_full().members() {
        let ms = if member.instance().id.as_str() == "far" {
            35
        } else {
            1
        };
        (0..3).for_each(|_| member.stats().distance().observe(Nanos::from_millis(ms)));
    }
    let now = fleet.balancer.clock().now();
    let report = LoadReport::default().with_cpu(0.25).unwrap();
    for (_, member, _) in fleet.balancer.service("resources").unwrap().view_full().members() {
        assert!(member.stats().reported().observe(&report, now, now));
    }
    // Strategies look once a second.
    let (regions, page) = fleet.serve(|address| {
        loop {
            let regions: wire::Service =
                serde_json::from_str(&get(address, "/api/v1/services/regions").body).unwrap();
            let page = get(address, "/metrics").body;
            if let Some(learned) = regions.learned
                && learned.regions.len() == 2
                && page.contains("evenkeel_resource_expected_ratio{")
            {
                assert_eq!(learned.resource_weights["cpu"], 0.4);
                assert_eq!(learned.places["us"].resource_weights["memory"], 0.3);
                assert_eq!(learned.places["us"].resource_trust, Some(0.0));
                break (learned.regions, page);
            }
        }
    });
    let [near, far] = <[_; 2]>::try_from(regions).unwrap();
    assert_eq!((&*near.region, near.rank, near.measured), ("eu", 0, false));
    assert_eq!((&*far.region, far.rank), ("us", 1));
    assert!(
        (far.seconds - 0.035).abs() < 1e-4 && far.error_seconds < 0.035,
        "{far:?}"
    );

    let resources = get(fleet.address(), "/api/v1/services/resources").json();
    assert_eq!(resources["learned"]["resource_weights"]["cpu"], 0.4);
    assert_eq!(resources["learned"]["resource_trust"], 0.0);
    let plain = get(fleet.address(), "/api/v1/services/plain").json();
    assert!(plain["learned"].is_null());

    let metrics = parse(&page);
    let of = |family: &str, labels: &[(&str, &str)]| metrics.value(family, labels);
    let weight = of(
        "evenkeel_resource_weight",
        &[("service", "resources"), ("resource", "memory")],
    );
    assert_eq!(weight, 0.3);
    let labels = [("service", "regions"), ("resource", "cpu"), ("place", "us")];
    assert_eq!(of("evenkeel_resource_weight", &labels), 0.4);
    let labels = [("service", "resources"), ("instance", "a"), ("resource", "cpu")];
    assert_eq!(of("evenkeel_resource_expected_ratio", &labels), 0.25);
    let far = [("service", "regions"), ("region", "us")];
    assert!((of("evenkeel_region_time_seconds", &far) - 0.035).abs() < 1e-4);
    assert!(of("evenkeel_region_time_error_seconds", &far) > 0.0);
}
