//! Shared by tests and benches: services built in a line.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::view::{Candidates, Member, Slot};
use crate::{Instance, InstanceError, Lease, Loads, Nanos, Stats, Weight};

/// What stands at a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nothing: the instance that was here is gone.
    Hole,
    /// An instance of this weight that may not be picked.
    Excluded(u32),
    /// A candidate of this weight.
    Candidate(u32),
}

/// Candidates with the given weights in slots 0, 1, …
///
/// # Errors
/// When a weight is 0 or above 65,535.
pub fn candidates(weights: &[u32]) -> Result<Candidates, InstanceError> {
    let places: Vec<Place> = weights.iter().map(|w| Place::Candidate(*w)).collect();
    candidates_at(&places)
}

/// Candidates among `places`, slot by slot, named `i0`, `i1`, … on distinct loopback addresses.
///
/// # Errors
/// When a weight is 0 or above 65,535.
pub fn candidates_at(places: &[Place]) -> Result<Candidates, InstanceError> {
    let loads = Loads::default().with_room_for(places.len());
    let mut members = Vec::with_capacity(places.len());
    let mut slots = Vec::with_capacity(places.len());
    for (slot, place) in (0..).zip(places) {
        let (Place::Candidate(weight) | Place::Excluded(weight)) = *place else {
            members.push(None);
            continue;
        };
        if matches!(place, Place::Candidate(_)) {
            slots.push(Slot(slot));
        }
        let [_, high, middle, low] = slot.to_be_bytes();
        let address = SocketAddr::from(([127, high, middle, low], 80));
        let weight = Weight::new(u64::from(weight))?;
        let instance = Instance::new(&format!("i{slot}"), address)?.with_weight(weight);
        let load = loads.slot(slot);
        members.push(load.map(|load| Arc::new(Member::new(instance, Arc::default(), load))));
    }
    Ok(Candidates::new(members.into(), slots.into(), loads))
}

/// Makes `requests` more in flight at `slot`.
pub fn add_load(candidates: &Candidates, slot: Slot, requests: u32) {
    if let Some(member) = candidates.member(slot) {
        (0..requests).for_each(|_| member.load().start());
    }
}

/// The lease that a view would return for a pick of `slot`; `None` when nothing is there.
#[must_use]
pub fn lease(candidates: &Candidates, slot: Slot, now: Nanos) -> Option<Lease> {
    Some(Lease::start(candidates.member(slot)?, slot, now))
}

/// Arms the test for sudden failures of `stats`, and says afterwards whether it is over its bar.
pub fn arm(stats: &Stats, bar: f32) -> impl Fn() -> bool + '_ {
    stats.suspicion().set_bar(bar);
    move || stats.suspicion().is_over()
}
