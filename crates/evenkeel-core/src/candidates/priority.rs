//! Priorities: 0 first, later ones for what those before cannot take.
//!
//! A priority is taken to be built with a reserve: it can carry all requests while 1/1.4 of its weight is
//! healthy (**overprovisioning**, the rule of Envoy and of gRPC's xDS). With the healthy part `h` of its
//! weight, its health is `min(1, 1.4 h)`. The first priority takes its health of the requests, the next its own
//! of what is left, and so on; when the healths add up to less than 1, all are scaled up alike. So 71 % of the
//! first being healthy sends 1 % to the second, and 50 % sends 30 %.

use std::collections::BTreeMap;

use super::{Exclusion, Minimum, Prospect, exclude, minimum};

/// What a priority can carry for its healthy part.
const OVERPROVISIONING: f64 = 1.4;

/// Requests by priority, of 1; those that get none are absent.
pub(super) type Loads = BTreeMap<u8, f64>;

/// Leaves out the priorities that get no requests; says what part of them the others get.
pub(super) fn leave(all: &mut [Prospect<'_>], minimum: &Minimum) -> Loads {
    let loads = loads(&healths(all, minimum));
    let passed = |prospect: &Prospect<'_>| match minimum.of_each {
        Some(_) if loads.keys().any(|priority| *priority > prospect.priority) => Exclusion::Minimum,
        _ => Exclusion::Priority,
    };
    exclude(all, |prospect| {
        (!loads.contains_key(&prospect.priority)).then(|| passed(prospect))
    });
    loads
}

/// The health of each priority. What drains is missing from it as much as what is down; what may not be used
/// does not belong to it.
fn healths(all: &[Prospect<'_>], minimum: &Minimum) -> Vec<(u8, f64)> {
    let mut weights = BTreeMap::<u8, (u64, u64)>::new();
    for prospect in all {
        if prospect.excluded == Some(Exclusion::Region) {
            continue;
        }
        let (healthy, present) = weights.entry(prospect.priority).or_default();
        *present += u64::from(prospect.weight);
        if prospect.excluded.is_none() {
            *healthy += u64::from(prospect.weight);
        }
    }
    let tiers = minimum.of_each.map(|least| (minimum::tiers(all), least));
    let passed_over = |priority: u8| {
        tiers
            .as_ref()
            .is_some_and(|(tiers, least)| !tiers.get(&priority).is_some_and(|tier| tier.has(*least)))
    };
    let health = |priority: u8, healthy: u64, present: u64| {
        if passed_over(priority) || present == 0 {
            return 0.0;
        }
        (OVERPROVISIONING * healthy as f64 / present as f64).min(1.0)
    };
    weights
        .into_iter()
        .map(|(priority, (healthy, present))| (priority, health(priority, healthy, present)))
        .collect()
}

/// From healths to requests.
fn loads(healths: &[(u8, f64)]) -> Loads {
    let sum: f64 = healths.iter().map(|(_, health)| health).sum();
    let all = sum.min(1.0);
    let mut left = 1.0f64;
    let mut loads = Loads::new();
    for (priority, health) in healths.iter().filter(|(_, health)| *health > 0.0) {
        let load = (health / all).min(left);
        // What is left by rounding is nobody's.
        if load > 1e-9 {
            loads.insert(*priority, load);
            left -= load;
        }
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Percent of the requests by priority, for percent of healthy instances.
    fn percent(healthy: &[u32]) -> Vec<u32> {
        let healths = healthy.iter().zip(0..).map(|(healthy, priority)| {
            let health = (OVERPROVISIONING * f64::from(*healthy) / 100.0).min(1.0);
            (priority, health)
        });
        let loads = loads(&healths.collect::<Vec<_>>());
        (0..healthy.len() as u8)
            .map(|priority| (100.0 * loads.get(&priority).unwrap_or(&0.0)).round() as u32)
            .collect()
    }

    #[test]
    fn requests_spill_as_envoy_documents() {
        for (healthy, expected) in [
            (vec![100, 100], vec![100, 0]),
            (vec![72, 100], vec![100, 0]),
            (vec![71, 100], vec![99, 1]),
            (vec![50, 100], vec![70, 30]),
            (vec![25, 100], vec![35, 65]),
            (vec![0, 100], vec![0, 100]),
            (vec![100, 100, 100], vec![100, 0, 0]),
            (vec![72, 72, 100], vec![100, 0, 0]),
            (vec![71, 71, 100], vec![99, 1, 0]),
            (vec![50, 50, 100], vec![70, 30, 0]),
            (vec![25, 100, 100], vec![35, 65, 0]),
            (vec![25, 25, 100], vec![35, 35, 30]),
            // Less than one in all: scaled up alike.
            (vec![20, 30], vec![40, 60]),
            (vec![20, 20], vec![50, 50]),
            (vec![1, 0], vec![100, 0]),
        ] {
            assert_eq!(percent(&healthy), expected, "{healthy:?}");
        }
    }
}
