//! Shared by tests and benches: services built in a line.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::view::{Candidates, Member, Slot};
use crate::{
    Instance, InstanceError, Lease, Loads, Nanos, PickContext, PickRequest, Stats, Strategy, Weight,
};

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

/// Candidates at these addresses with these weights, slot by slot. Their ids tell nothing.
///
/// # Errors
/// When a weight is 0 or above 65,535.
pub fn candidates_of(addresses: &[(SocketAddr, u32)]) -> Result<Candidates, InstanceError> {
    let loads = Loads::default().with_room_for(addresses.len());
    let mut members = Vec::with_capacity(addresses.len());
    for (slot, (address, weight)) in (0..).zip(addresses) {
        let weight = Weight::new(u64::from(*weight))?;
        let instance = Instance::new(&format!("any-{slot}"), *address)?.with_weight(weight);
        let load = loads.slot(slot);
        members.push(load.map(|load| Arc::new(Member::new(instance, Arc::default(), load))));
    }
    let slots: Vec<Slot> = (0..addresses.len() as u32).map(Slot).collect();
    Ok(Candidates::new(members.into(), slots.into(), loads))
}

/// Whom a strategy that hashes picks among `candidates` for a key, by address.
pub fn owner(
    strategy: &dyn Strategy,
    candidates: &Candidates,
) -> impl Fn(&[u8]) -> Option<SocketAddr> + use<> {
    let (hash, picker) = (strategy.request_key(), strategy.build(candidates, 1));
    let candidates = candidates.clone();
    move |key| {
        let request = PickRequest {
            key: Some(hash.as_ref()?.hash.hash(key)),
            ..PickRequest::default()
        };
        let slot = picker.pick(&request, &mut PickContext::new(0)).ok()?;
        Some(candidates.member(slot)?.instance().address)
    }
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
