//! What only together is wrong in a scenario.

use std::collections::BTreeSet;

use evenkeel_core::Nanos;

use super::{FaultFile, FaultKindFile, ScenarioFile, ServersFile, Span, WorkFile, effect, foreign};
use crate::check::Finding;
use crate::file::DefaultsFile;
use crate::names::nearest;
use crate::path::{Path, at};
use crate::read::by_rules;

/// All findings. `complete` says that nothing lacks because it could not be read.
pub(super) fn check(file: Option<&ScenarioFile>, complete: bool) -> Vec<Finding> {
    let Some(file) = file else {
        return vec![Finding::new(
            at![],
            "the file is empty\nwrite at least `about`, `duration`, `arrivals` and `servers`",
        )];
    };
    let mut found = Vec::new();
    service(file, &mut found);
    time(file, &mut found);
    arrivals(file, &mut found);
    work(file, &mut found);
    if complete {
        servers(file, &mut found);
        network(file, &mut found);
        if !file.servers.is_empty() && file.duration.0 > Nanos::ZERO {
            effect::check(file, &mut found);
        }
    }
    found
}

/// The same as of a service of a configuration, and what is without effect.
fn service(file: &ScenarioFile, found: &mut Vec<Finding>) {
    let Some(service) = &file.service else { return };
    let inside = |finding: Finding| Finding {
        path: Path([vec!["service".into()], finding.path.0].concat()),
        ..finding
    };
    found.extend(by_rules(service).into_iter().map(inside));
    let fleet = file.servers.iter().fold((0, 0), |(servers, weight), group| {
        let count = group.servers() as u64;
        let each = group.weight.map_or(1, usize::from) as u64;
        (servers + count, weight + count * each)
    });
    let none = DefaultsFile::default();
    crate::check::settings(&file.as_service(), &none, fleet, &at!["service"], found);
    foreign::check(service, &at!["service"], found);
}

fn time(file: &ScenarioFile, found: &mut Vec<Finding>) {
    if file.duration.0 == Nanos::ZERO {
        found.push(Finding::new(
            at!["duration"],
            "a run without time shows nothing\nwrite `60s`, for example",
        ));
    }
    if let Some(warm_up) = file.warm_up.filter(|warm_up| *warm_up >= file.duration) {
        let text = format!(
            "the warm-up of {} takes the whole run, and nothing would be counted\nmake it shorter than `duration`",
            warm_up.0
        );
        found.push(Finding::new(at!["warm_up"], text).with("the duration is", at!["duration"]));
    }
}

fn arrivals(file: &ScenarioFile, found: &mut Vec<Finding>) {
    let arrivals = &file.arrivals;
    let given = [
        arrivals.rate.is_some(),
        arrivals.load.is_some(),
        arrivals.steps.is_some(),
        arrivals.concurrency.is_some(),
    ];
    let ways = "write one of `rate: 1000`, `load: 0.7`, `steps: [0.5, 0.9]` and `concurrency: 50`";
    match given.iter().filter(|given| **given).count() {
        0 => found.push(Finding::absent(
            at!["arrivals"],
            format!("how many requests come?\n{ways}"),
        )),
        1 => {}
        several => found.push(Finding::new(
            at!["arrivals"],
            format!("how many requests come? There are {several} answers\n{ways}"),
        )),
    }
    if arrivals.steps.as_ref().is_some_and(Vec::is_empty) {
        let text =
            "a load without steps brings no request\nwrite one step at least, such as `steps: [0.5, 0.9]`";
        found.push(Finding::new(at!["arrivals", "steps"], text));
    }
    let Some(clients) = &file.clients else { return };
    if clients.deadline.is_some_and(|deadline| deadline.0 == Nanos::ZERO) {
        let text =
            "clients that wait for nothing have no answer, and all requests fail\nwrite `5s`, for example";
        found.push(Finding::new(at!["clients", "deadline"], text));
    }
    if let Some(regions) = &clients.regions {
        let sum: f64 = regions.values().map(|part| part.0).sum();
        if (sum - 1.0).abs() > 1e-6 {
            let text = format!(
                "the parts of the regions add up to {sum:.3}\nthey are parts of all clients: make them 1 together"
            );
            found.push(Finding::new(at!["clients", "regions"], text));
        }
    }
    if let Some(hot) = clients.keys.as_ref().and_then(|keys| keys.hot.as_ref()) {
        order(hot.from, hot.until, &at!["clients", "keys", "hot"], found);
    }
}

fn order(from: Span, until: Span, at: &Path, found: &mut Vec<Finding>) {
    if from >= until {
        let text = format!(
            "it ends at {} and begins at {}\nlet it end after it began",
            until.0, from.0
        );
        found.push(Finding::new(at.then("until"), text).with("it begins", at.then("from")));
    }
}

fn work(file: &ScenarioFile, found: &mut Vec<Finding>) {
    let at = at!["work"];
    let before = found.len();
    let none = |span: Span| span.0 == Nanos::ZERO;
    let nothing = match file.work {
        None => false,
        Some(WorkFile::Fixed(mean) | WorkFile::Exponential(mean)) => none(mean),
        Some(WorkFile::Normal(normal) | WorkFile::PositiveNormal(normal)) => none(normal.mean),
        Some(WorkFile::Uniform(uniform)) => {
            if uniform.min >= uniform.max {
                found.push(Finding::new(at.then("uniform"), "`min` is not below `max`"));
            }
            false
        }
        Some(WorkFile::Mixture(mixture)) => {
            none(mixture.usual) || none(mixture.rare) && mixture.share.0 >= 1.0
        }
        Some(WorkFile::Pareto(pareto)) => {
            if pareto.min >= pareto.max {
                found.push(Finding::new(at.then("pareto"), "`min` is not below `max`"));
            }
            none(pareto.min)
        }
    };
    // Whatever else: a load is a part of what servers can do, and that is nothing or everything then.
    let mean = file.work.map_or(1.0, |work| work.mean());
    let sound = found.len() == before;
    if !nothing && sound && !(mean.is_finite() && mean > 0.0) {
        found.push(Finding::new(
            at.clone(),
            "the mean of this work cannot be computed\nwrite times that are less far apart, or a `shape` nearer to 1",
        ));
    }
    if nothing {
        found.push(Finding::new(
            at,
            "requests without work make no queue\nwrite a time above 0",
        ));
    }
}

fn servers(file: &ScenarioFile, found: &mut Vec<Finding>) {
    if file.servers.is_empty() {
        found.push(Finding::absent(
            at!["servers"],
            "there are no servers\nadd `servers: [{ count: 10 }]`",
        ));
        return;
    }
    let n: usize = file.servers.iter().map(ServersFile::servers).sum();
    for (i, group) in file.servers.iter().enumerate() {
        let at = at!["servers", i];
        if let (Some(joins), Some(leaves)) = (group.joins, group.leaves)
            && joins >= leaves
        {
            let text = format!(
                "they leave at {} and join at {}\nlet them leave after they joined",
                leaves.0, joins.0
            );
            found.push(Finding::new(at.then("leaves"), text).with("they join", at.then("joins")));
        }
        let cores = group.cores.map_or(1.0, |cores| cores.0);
        if let Some(machine) = group.machine
            && machine.cores.0 < cores
        {
            let text = format!(
                "the machine has {} cores, and the server is promised {cores}\ngive it as many at least",
                machine.cores.0
            );
            found.push(Finding::new(at.then("machine").then("cores"), text));
        }
        let keys = file
            .clients
            .as_ref()
            .is_some_and(|clients| clients.keys.is_some());
        if group.cache.is_some() && !keys {
            found.push(Finding::new(
                at.then("cache"),
                "requests have no keys, so there is nothing to remember\nadd `keys: { count: 100000, zipf: 1.1 }` to `clients`",
            ));
        }
    }
    if file
        .servers
        .iter()
        .all(|group| group.joins.is_some_and(|joins| joins.0 > Nanos::ZERO))
    {
        found.push(Finding::new(
            at!["servers"],
            "no server is there when the run begins\nleave `joins` out in one group at least",
        ));
    }
    let reporting = |group: &ServersFile| std::iter::repeat_n(group.reports == Some(true), group.servers());
    let reporting: Vec<bool> = file.servers.iter().flat_map(reporting).collect();
    for (i, fault) in file.faults.iter().enumerate() {
        let at = at!["faults", i];
        check_fault(fault, n, &at, found);
        let told = fault.servers.below(n).into_iter().any(|server| reporting[server]);
        if matches!(fault.fault, FaultKindFile::Reports(_) | FaultKindFile::Memory(_)) && !told {
            found.push(Finding::new(
                at.then("fault"),
                "none of these servers reports anything, so nobody learns of it\ngive them `reports: true`",
            ));
        }
    }
}

/// Between regions in which somebody is, each two once.
fn network(file: &ScenarioFile, found: &mut Vec<Finding>) {
    let servers = file.servers.iter().filter_map(|group| group.region.as_deref());
    let clients = file.clients.iter().filter_map(|clients| clients.regions.as_ref());
    let known: BTreeSet<&str> = servers
        .chain(clients.flat_map(|parts| parts.keys().map(String::as_str)))
        .collect();
    let known: Vec<&str> = known.into_iter().collect();
    let between = file.network.as_ref().map_or(&[][..], |network| &network.between);
    for (i, pair) in between.iter().enumerate() {
        let at = at!["network", "between", i, "regions"];
        let (a, b) = (&pair.regions.0, &pair.regions.1);
        for (j, region) in [a, b].into_iter().enumerate() {
            if known.contains(&region.as_str()) {
                continue;
            }
            let help = match nearest(region, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => "give servers a `region`, and clients `regions`".to_owned(),
                None => format!("servers and clients are in {}", known.join(", ")),
            };
            let text = format!("nobody is in region `{region}`\n{help}");
            found.push(Finding::new(at.then(j), text));
        }
        let same =
            |other: &(String, String)| (&other.0, &other.1) == (a, b) || (&other.0, &other.1) == (b, a);
        if let Some(first) = between[..i].iter().position(|before| same(&before.regions)) {
            let text = format!("how far {a} and {b} are apart is said already\nleave one of the two out");
            let before = at!["network", "between", first, "regions"];
            found.push(Finding::new(at, text).with("the first is", before));
        }
    }
}

fn check_fault(fault: &FaultFile, n: usize, at: &Path, found: &mut Vec<Finding>) {
    if let Some(last) = fault.servers.greatest().filter(|last| *last >= n) {
        let text = format!(
            "there is no server {last}: the {n} servers are numbered from 0 to {}",
            n - 1
        );
        found.push(Finding::new(at.then("servers"), text));
    }
    if let (from, Some(until)) = (fault.from.unwrap_or(Span(Nanos::ZERO)), fault.until) {
        order(from, until, at, found);
    }
    let grows = matches!(
        fault.fault,
        FaultKindFile::Slow(_) | FaultKindFile::Errors(_) | FaultKindFile::Memory(_)
    );
    if fault.over.is_some() && !grows {
        found.push(Finding::new(
            at.then("over"),
            "only `slow`, `errors` and `memory` can grow\nleave `over` out",
        ));
    }
    if fault
        .period
        .is_some_and(|period| period.0 < Nanos::from_millis(2))
    {
        found.push(Finding::new(at.then("period"), "a period is at least `2ms`"));
    }
}
