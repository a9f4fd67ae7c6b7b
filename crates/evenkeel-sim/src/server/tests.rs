use super::*;

fn spec(cores: f64, workers: Option<u32>) -> ServersFile {
    ServersFile {
        cores: Some(evenkeel_config::Amount(cores)),
        workers: workers.map(Into::into),
        ..ServersFile::default()
    }
}

fn job(request: u32, work: f64) -> Job {
    Job {
        request,
        attempt: 1,
        work,
        arrived: Nanos::ZERO,
        met: 0,
        took: 0.0,
    }
}

/// When each request ends that arrives at these times with this work.
fn ends(server: &mut Server, arrivals: &[(u64, f64)]) -> Vec<(u32, u64)> {
    let mut ends = Vec::new();
    let mut now = Nanos::ZERO;
    let mut arrivals = arrivals.iter().enumerate().peekable();
    loop {
        let plan = server.plan(now);
        let next = arrivals.peek().map(|(_, (at, _))| Nanos(*at));
        match (plan, next) {
            (Some((at, version)), next) if next.is_none_or(|next| at <= next) => {
                now = at;
                let job = server.finish(version, now, |_| true).unwrap();
                ends.push((job.request, now.0));
            }
            (_, Some(at)) => {
                now = at;
                let (request, (_, work)) = arrivals.next().unwrap();
                assert_eq!(
                    server.receive(job(request as u32, *work), 0, now),
                    Reception::Taken
                );
            }
            _ => return ends,
        }
    }
}

#[test]
fn requests_that_share_a_core_slow_each_other_down() {
    let mut server = Server::new(&spec(1.0, None), Vec::new(), &mut Rng::new(1));
    // Alone for 100, then both at half speed until the first is done.
    assert_eq!(
        ends(&mut server, &[(0, 300.0), (100, 300.0)]),
        [(0, 500), (1, 600)]
    );
    assert_eq!(server.in_flight(), 0);
}

#[test]
fn cores_are_not_shared_before_all_are_taken() {
    let mut server = Server::new(&spec(2.0, None), Vec::new(), &mut Rng::new(1));
    assert_eq!(ends(&mut server, &[(0, 300.0), (0, 300.0)]), [(0, 300), (1, 300)]);
}

#[test]
fn workers_take_one_after_the_other() {
    let mut server = Server::new(&spec(1.0, Some(1)), Vec::new(), &mut Rng::new(1));
    assert_eq!(
        ends(&mut server, &[(0, 300.0), (100, 300.0)]),
        [(0, 300), (1, 600)]
    );
}

#[test]
fn one_more_than_there_is_room_for_is_refused() {
    let room = ServersFile {
        queue: Some(1u32.into()),
        ..spec(1.0, Some(1))
    };
    let mut server = Server::new(&room, Vec::new(), &mut Rng::new(1));
    let mut receive = |request| server.receive(job(request, 10.0), 0, Nanos::ZERO);
    assert_eq!(receive(0), Reception::Taken);
    assert_eq!(receive(1), Reception::Taken);
    assert_eq!(receive(2), Reception::Full);
}

#[test]
fn who_gives_up_makes_room() {
    let spec = ServersFile {
        works_on: Some(false),
        ..spec(1.0, None)
    };
    let mut server = Server::new(&spec, Vec::new(), &mut Rng::new(1));
    for request in 0..2 {
        server.receive(job(request, 300.0), 0, Nanos::ZERO);
    }
    server.plan(Nanos::ZERO);
    server.abandon(0, 1, Nanos(200), |_| true);
    let (at, version) = server.plan(Nanos(200)).unwrap();
    // The one that is left has 200 to go, and the core for itself; the other is still in the heap.
    assert_eq!((at, server.in_flight()), (Nanos(400), 1));
    let alive = |job: &Job| job.request == 1;
    let first = server.finish(version, at, alive);
    let (at, version) = server.plan(at).unwrap();
    let second = server.finish(version, at, alive);
    assert_eq!(
        [first, second].map(|job| job.map(|job| job.request)),
        [None, Some(1)]
    );
    assert_eq!((at, server.in_flight()), (Nanos(400), 0));
}

#[test]
fn who_gave_up_is_forgotten_where_nothing_ends() {
    let spec = ServersFile {
        works_on: Some(false),
        ..spec(1.0, None)
    };
    let mut server = Server::new(&spec, Vec::new(), &mut Rng::new(1));
    const N: u32 = 10_000;
    for request in 0..N {
        server.receive(job(request, 300.0), 0, Nanos::ZERO);
        if request > 0 {
            server.abandon(request, 1, Nanos::ZERO, |job| job.request == 0);
        }
    }
    assert_eq!(server.in_flight(), 1);
    assert!(server.running.len() <= FORGOTTEN + 4, "{}", server.running.len());
    let (at, version) = server.plan(Nanos::ZERO).unwrap();
    let first = server.finish(version, at, |job| job.request == 0);
    assert_eq!((first.map(|job| job.request), at), (Some(0), Nanos(300)));
}
