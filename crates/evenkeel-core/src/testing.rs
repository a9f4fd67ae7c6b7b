//! Shared by tests and benches: services built in a line.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::view::{Candidates, Member, Slot};
use crate::{Instance, InstanceError, Loads, Weight};

/// Candidates with the given weights, named `i0`, `i1`, … on distinct loopback ports.
///
/// # Errors
/// When a weight is 0.
pub fn candidates(weights: &[u32]) -> Result<Candidates, InstanceError> {
    let loads = Loads::default().with_room_for(weights.len());
    let mut members = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let address = SocketAddr::from(([127, (index >> 16) as u8, (index >> 8) as u8, index as u8], 80));
        let instance =
            Instance::new(&format!("i{index}"), address)?.with_weight(Weight::new(u64::from(*weight))?);
        let load = loads.slot(index as u32);
        members.push(load.map(|load| Arc::new(Member::new(instance, Arc::default(), load))));
    }
    let slots = (0..weights.len() as u32).map(Slot).collect();
    Ok(Candidates::new(members.into(), slots, loads))
}
