//! What strategies found out that their picks depend on: in metrics, and in the API.

use evenkeel_core::{Learned, View};
use evenkeel_runtime::Service;

use crate::text::{MetricKind::Gauge, MetricsText};
use crate::wire;

/// Writes the families, of which most services have no sample.
pub(crate) fn write(services: &[(&Service, &View)], text: &mut MetricsText) {
    let mut family = |name, help, sample: &dyn Fn(&str, &View, Learned<'_>, &mut MetricsText)| {
        text.family(name, Gauge, help);
        for (service, view) in services {
            view.learned(&mut |learned| sample(service.name(), view, learned, text));
        }
    };
    family(
        "evenkeel_resource_weight",
        "Weight of a resource in force, where the strategy learns it.",
        &|service, _, learned, text| {
            if let Learned::ResourceWeight {
                resource,
                weight,
                place,
                ..
            } = learned
            {
                let labels = [("service", service), ("resource", resource)];
                match place {
                    Some(place) => text.sample(&[labels[0], labels[1], ("place", place)], weight),
                    None => text.sample(&labels, weight),
                }
            }
        },
    );
    family(
        "evenkeel_resource_expected_ratio",
        "Part of a resource that an instance is expected to use in a moment, where the strategy predicts it.",
        &|service, view, learned, text| {
            if let Learned::ResourceForecast {
                slot,
                resource,
                value,
            } = learned
                && let Some(member) = view.candidates().member(slot)
            {
                let id = member.instance().id.as_str();
                let labels = [("service", service), ("instance", id), ("resource", resource)];
                text.sample(&labels, f64::from(value));
            }
        },
    );
    family(
        "evenkeel_region_time_seconds",
        "Response time that is expected of a region, where the strategy goes by regions.",
        &|service, _, learned, text| {
            if let Learned::RegionTime { region, seconds, .. } = learned {
                text.sample(&[("service", service), ("region", region)], seconds);
            }
        },
    );
    family(
        "evenkeel_region_time_error_seconds",
        "By how much that may be wrong either way, at about two standard deviations.",
        &|service, _, learned, text| {
            if let Learned::RegionTime { region, error, .. } = learned {
                text.sample(&[("service", service), ("region", region)], error);
            }
        },
    );
}

/// For the API; `None` when there is nothing.
pub(crate) fn describe(view: &View) -> Option<wire::Learned> {
    let mut found = wire::Learned::default();
    view.learned(&mut |learned| match learned {
        Learned::ResourceWeight {
            resource,
            weight,
            trust,
            place,
        } => {
            let (weights, trusted) = match place {
                Some(place) => {
                    let place = found.places.entry(place.to_owned()).or_default();
                    (&mut place.resource_weights, &mut place.resource_trust)
                }
                None => (&mut found.resource_weights, &mut found.resource_trust),
            };
            weights.insert(resource.to_owned(), weight);
            *trusted = Some(trust);
        }
        Learned::RegionTime {
            region,
            seconds,
            error,
            measured,
            rank,
        } => found.regions.push(wire::RegionTime {
            region: region.to_owned(),
            seconds,
            error_seconds: error,
            measured,
            rank: rank as u64,
        }),
        // Of each instance: those are metrics.
        _ => {}
    });
    found.regions.sort_by_key(|region| region.rank);
    (found != wire::Learned::default()).then_some(found)
}
