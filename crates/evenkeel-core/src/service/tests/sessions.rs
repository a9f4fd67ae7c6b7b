//! Sessions that stick: who takes the requests of its own.

use super::*;
use crate::{Operation, SessionKey};

const KEY: fn() -> SessionKey = || SessionKey::new(b"0123456789abcdef", "web");

fn rig(instances: Vec<Instance>) -> Rig {
    let sessions = Some(KEY());
    Rig::new(
        ServiceSettings {
            sessions,
            ..settings()
        },
        instances,
    )
}

impl Rig {
    /// Where a session of `id` goes.
    fn session(&self, id: &str) -> Option<Slot> {
        let id = crate::InstanceId::new(id).unwrap();
        self.state.view().session(KEY().tag(&id))
    }
}

#[test]
fn a_session_stays_while_its_instance_takes_requests_of_its_own() {
    let mut rig = rig(fleet(3));
    let b = rig.slot("b");
    assert_eq!(rig.session("b"), Some(b));
    assert_eq!(rig.session("d"), None, "never registered");
    let id = crate::InstanceId::new("b").unwrap();
    let why = "kernel update".into();
    let drained = rig
        .state
        .operate(Operation::Drain { id: id.clone(), why }, rig.now);
    assert!(drained.is_ok());
    assert_eq!(rig.session("b"), Some(b), "drains");
    rig.check("b", false);
    assert_eq!(rig.session("b"), None, "drains, and is down");
    rig.check("b", true);
    rig.check("b", true);
    assert_eq!(rig.session("b"), Some(b));
    assert!(rig.state.operate(Operation::Undrain(id), rig.now).is_ok());
    rig.check("b", false);
    rig.check("b", false);
    rig.check("b", false);
    assert_eq!(rig.session("b"), None, "down");
}

#[test]
fn a_session_stays_on_an_instance_that_others_came_back_before() {
    let mut instances = fleet(3);
    instances[2].priority = 1;
    let rig = rig(instances);
    assert_eq!(rig.candidates(), "ab");
    assert_eq!(rig.session("c"), Some(rig.slot("c")));
}

#[test]
fn no_session_crosses_a_border_not_even_on_an_instance_that_drains() {
    let mut instances = fleet(3);
    for instance in &mut instances[1..] {
        instance.region = Some("us".into());
    }
    let mut rig = rig(instances.clone());
    let id = crate::InstanceId::new("b").unwrap();
    let why = "kernel update".into();
    rig.state.operate(Operation::Drain { id, why }, rig.now).unwrap();
    assert!(rig.session("b").is_some() && rig.session("c").is_some());
    let denied = crate::Regions {
        deny: ["us".into()].into(),
        ..Default::default()
    };
    for priority in [0, 1] {
        instances[1].priority = priority;
        let settings = ServiceSettings {
            sessions: Some(KEY()),
            regions: denied.clone(),
            ..settings()
        };
        rig.state.replace(settings, instances.clone(), rig.now).unwrap();
        assert_eq!([rig.session("b"), rig.session("c")], [None; 2], "{priority}");
        assert!(rig.session("a").is_some());
    }
}

#[test]
fn sessions_follow_the_instances() {
    let mut rig = rig(fleet(3));
    let table = |rig: &Rig| rig.state.view().sessions.clone().unwrap();
    let before = table(&rig);
    rig.check("a", false);
    assert!(
        rig.candidates() == "bc" && Arc::ptr_eq(&before, &table(&rig)),
        "health changes no tag"
    );

    // Another address is another instance, with the same name to its clients.
    let mut moved = fleet(3);
    moved[1] = instance("b", 9100);
    moved.remove(0);
    let with = |sessions| ServiceSettings {
        sessions,
        ..settings()
    };
    rig.state
        .replace(with(Some(KEY())), moved.clone(), rig.now)
        .unwrap();
    assert_eq!(rig.session("a"), None);
    assert_eq!(rig.session("b"), Some(rig.slot("b")));
    assert_eq!(rig.session("c"), Some(rig.slot("c")));

    let other = SessionKey::new(b"another secret", "web");
    rig.state
        .replace(with(Some(other)), moved.clone(), rig.now)
        .unwrap();
    assert_eq!(rig.session("b"), None);
    let id = rig.member("b").instance().id.clone();
    assert_eq!(rig.state.view().session(other.tag(&id)), Some(rig.slot("b")));
    rig.state.replace(with(None), moved, rig.now).unwrap();
    assert!(rig.state.view().session_key().is_none());
    assert_eq!(rig.state.view().session(other.tag(&id)), None);
}
