//! Membership: which instance has which slot, and when a slot may be given away again.
//!
//! An instance keeps its slot, counters and health as long as its id and address stay. What has left
//! may still be held by an old view or a lease; all versions of a member share one `Arc<Stats>`, so
//! the slot is free when the writer is the last to hold that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::entry::Entry;
use crate::health::Mark;
use crate::{
    Exclusion, Instance, InstanceError, InstanceId, Loads, Member, Nanos, OperationError, Slot, Source,
    Stats, Status,
};

/// All slots of a service.
#[derive(Debug, Default)]
pub(super) struct Slots {
    entries: Vec<Option<Entry>>,
    by_id: BTreeMap<InstanceId, Slot>,
    /// Sum of the weights.
    weight: u64,
    /// Left, but perhaps still held by a view or a lease.
    retired: Vec<(Slot, Arc<Stats>)>,
    /// Held by nobody; the lowest is given away first.
    free: BTreeSet<Slot>,
    loads: Loads,
    members: Arc<[Option<Arc<Member>>]>,
    /// Why instances are healthy that were never anything else; one text for all of them.
    registered: Option<Arc<str>>,
    /// New instances have to pass a check before they count as begun.
    pub(super) checked: bool,
    /// `members` is not what `entries` say.
    stale: bool,
}

/// Why a replacement did something to an instance; put into words only when it is told.
#[derive(Debug)]
pub(super) enum Reason {
    At(SocketAddr),
    WasAt(SocketAddr),
    Moved(SocketAddr, SocketAddr),
    Differs(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(f, "at {address}"),
            Self::WasAt(address) => write!(f, "was at {address}"),
            Self::Moved(from, to) => write!(f, "moved from {from} to {to}"),
            Self::Differs(how) => f.write_str(how),
        }
    }
}

/// What a replacement did, each with a reason.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    pub(super) registered: Vec<(InstanceId, Reason)>,
    pub(super) deregistered: Vec<(InstanceId, Reason)>,
    pub(super) changed: Vec<(InstanceId, Reason)>,
    /// A registration is declared by the configuration now.
    pub(super) adopted: bool,
}

impl Replaced {
    pub(super) fn is_empty(&self) -> bool {
        self.registered.is_empty() && self.deregistered.is_empty() && self.changed.is_empty() && !self.adopted
    }
}

impl Slots {
    /// How many instances there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// What their weights add up to.
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether a slot waits for its last lease or view.
    pub(super) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Health by slot, with who is no candidate and why.
    pub(super) fn statuses(&self, excluded: &[(Slot, Exclusion)]) -> Arc<[Option<Status>]> {
        let mut excluded = excluded.iter().peekable();
        let entries = (0..).zip(&self.entries);
        let status = |(slot, entry): (u32, &Option<Entry>)| {
            let mut status = entry.as_ref()?.status();
            status.excluded = excluded.next_if(|(who, _)| who.0 == slot).map(|(_, why)| *why);
            Some(status)
        };
        entries.map(status).collect()
    }

    /// Brings [`Self::members`] up to date; says whether that was needed. O(n) after a change of membership.
    pub(super) fn refresh(&mut self) -> bool {
        let stale = std::mem::take(&mut self.stale);
        if stale {
            let members = self.entries.iter();
            self.members = members
                .map(|entry| entry.as_ref().map(|entry| Arc::clone(&entry.member)))
                .collect();
        }
        stale
    }

    /// Members by slot, as of the last [`Self::refresh`]; shared by the views until membership changes.
    pub(super) fn members(&self) -> &Arc<[Option<Arc<Member>>]> {
        &self.members
    }

    pub(super) fn loads(&self) -> &Loads {
        &self.loads
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        let slots = self.entries.iter().enumerate();
        slots.filter_map(|(slot, entry)| Some((Slot(slot as u32), entry.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut Entry)> {
        let slots = self.entries.iter_mut().enumerate();
        slots.filter_map(|(slot, entry)| Some((Slot(slot as u32), entry.as_mut()?)))
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.0 as usize)?.as_mut()
    }

    pub(super) fn by_id(&mut self, id: &InstanceId) -> Option<&mut Entry> {
        let slot = *self.by_id.get(id)?;
        self.get_mut(slot)
    }

    /// The entry of `id`, which somebody outside named.
    pub(super) fn known(&mut self, id: &InstanceId) -> Result<&mut Entry, OperationError> {
        self.by_id(id)
            .ok_or_else(|| OperationError::UnknownInstance(id.clone()))
    }

    /// Puts `instance` in the place of the one with its id; says in which way they differ, if they do.
    pub(super) fn update(&mut self, instance: Instance) -> Option<String> {
        let entry = self.by_id(&instance.id)?;
        let old = entry.member.instance();
        let difference = (*old != instance).then(|| differences(old, &instance))?;
        let (before, after) = (weight_of(old), weight_of(&instance));
        entry.update(instance);
        self.weight = self.weight - before + after;
        self.stale = true;
        Some(difference)
    }

    /// Removes the instance with this id.
    pub(super) fn remove(&mut self, id: &InstanceId) {
        if let Some(slot) = self.by_id.get(id) {
            self.retire(*slot);
        }
    }

    /// Puts `instances` in the place of those that the configuration declared before; registrations stay,
    /// unless they are declared now. O(n log n).
    ///
    /// # Errors
    /// When two share an id; nothing changed then.
    pub(super) fn replace(
        &mut self,
        instances: Vec<Instance>,
        now: Nanos,
    ) -> Result<Replaced, InstanceError> {
        let mut wanted = BTreeMap::new();
        for (index, instance) in instances.iter().enumerate() {
            if wanted.insert(&instance.id, index).is_some() {
                return Err(InstanceError::DuplicateId(instance.id.clone()));
            }
        }
        let mut replaced = Replaced::default();
        let mut kept = vec![false; instances.len()];
        for slot in 0..self.entries.len() {
            let Some(entry) = &mut self.entries[slot] else {
                continue;
            };
            let old = entry.member.instance();
            let index = wanted.get(&old.id).copied();
            match index.map(|index| (index, &instances[index])) {
                None if entry.source == Source::Registration => {}
                Some((index, new)) if new.address == old.address => {
                    kept[index] = true;
                    replaced.adopted |= entry.source != Source::Configuration;
                    entry.source = Source::Configuration;
                    if new != old {
                        let change = (new.id.clone(), Reason::Differs(differences(old, new)));
                        replaced.changed.push(change);
                        self.weight = self.weight - weight_of(old) + weight_of(new);
                        entry.update(new.clone());
                    }
                }
                new => {
                    let reason = match new {
                        Some((_, new)) => Reason::Moved(old.address, new.address),
                        None => Reason::WasAt(old.address),
                    };
                    replaced.deregistered.push((old.id.clone(), reason));
                    self.retire(Slot(slot as u32));
                }
            }
        }
        drop(wanted);
        self.reclaim();
        let places = kept.iter().filter(|kept| !**kept).count();
        // Exactly: half of a large service more would be megabytes that nobody uses.
        self.entries.reserve_exact(places.saturating_sub(self.free.len()));
        let fresh = instances.into_iter().zip(kept).filter(|(_, kept)| !kept);
        for (instance, _) in fresh {
            let reason = Reason::At(instance.address);
            replaced.registered.push((instance.id.clone(), reason));
            self.place(instance, Source::Configuration, now);
        }
        self.stale |= !replaced.is_empty();
        Ok(replaced)
    }

    /// Adds an instance whose id is new.
    pub(super) fn place(&mut self, instance: Instance, source: Source, now: Nanos) {
        self.stale = true;
        let slot = self.free.pop_first().unwrap_or_else(|| {
            self.entries.push(None);
            Slot(self.entries.len() as u32 - 1)
        });
        let room = self.entries.len().next_power_of_two();
        self.loads = self.loads.with_room_for(room);
        let Some(load) = self.loads.slot(slot.0) else {
            unreachable!("room was made for all slots");
        };
        debug_assert_eq!(load.get(), 0, "a slot is given away only without leases");
        self.by_id.insert(instance.id.clone(), slot);
        self.weight += weight_of(&instance);
        let member = Member::new(instance, Arc::default(), load);
        let why = self.registered.get_or_insert_with(|| "registered".into());
        let mut entry = Entry::new(member, source, Mark::new(now, Arc::clone(why)));
        entry.began = (!self.checked).then_some(now);
        self.entries[slot.0 as usize] = Some(entry);
    }

    fn retire(&mut self, slot: Slot) {
        if let Some(entry) = self.entries[slot.0 as usize].take() {
            self.stale = true;
            let instance = entry.member.instance();
            self.weight -= weight_of(instance);
            self.by_id.remove(&instance.id);
            self.retired.push((slot, Arc::clone(entry.member.stats())));
        }
    }

    /// Frees the slots of retired members that nobody holds any more.
    pub(super) fn reclaim(&mut self) {
        let free = &mut self.free;
        self.retired.retain_mut(|(slot, stats)| {
            // `get_mut` acquires what the last holder released: its lease's final count included.
            let held = Arc::get_mut(stats).is_none();
            if !held {
                free.insert(*slot);
            }
            held
        });
        while let Some(None) = self.entries.last() {
            if !self.free.remove(&Slot(self.entries.len() as u32 - 1)) {
                break;
            }
            self.entries.pop();
        }
    }
}

fn weight_of(instance: &Instance) -> u64 {
    instance.weight.get().into()
}

fn differences(old: &Instance, new: &Instance) -> String {
    let mut parts = Vec::new();
    if old.weight != new.weight {
        parts.push(format!("weight {} to {}", old.weight.get(), new.weight.get()));
    }
    if old.priority != new.priority {
        parts.push(format!("priority {} to {}", old.priority, new.priority));
    }
    if (&old.region, &old.zone, &old.metadata) != (&new.region, &new.zone, &new.metadata) {
        parts.push("labels".into());
    }
    parts.join(", ")
}
