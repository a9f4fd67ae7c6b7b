//! The figures of `docs/evidence.md`: runs the scenarios of the scorecard with ten seeds each, holds what they come to
//! against its goals, and prints the tables, or writes them into the page.
//!
//! ```console
//! $ cargo run --release -p evenkeel-sim --example evidence                      # all, to the terminal
//! $ cargo run --release -p evenkeel-sim --example evidence -- s3 s6 --seeds 3   # some, quickly
//! $ cargo run --release -p evenkeel-sim --example evidence -- --update          # all, into the page
//! ```
//!
//! One thread, and virtual time: the same figures on every machine. What is written between the tables is written by hand.

#![allow(clippy::unwrap_used)]

mod adaptation;
mod errors;
mod faults;
mod fleets;
mod queues;
mod regimes;
mod runs;
mod segments;

use runs::{Lines, Seeds};

/// A part of the page: its mark, and what makes its lines.
type Part = (&'static str, fn(Seeds) -> Lines);

const PARTS: &[Part] = &[
    ("s1", queues::antagonists),
    ("s2", queues::steady),
    ("s2-grid", queues::grid),
    ("s2-clients", queues::clients),
    ("s3", faults::slow_node),
    ("s4", queues::slow_of_n),
    ("s5", queues::unlike),
    ("s6", faults::fail_fast),
    ("s7", errors::errors),
    ("s8", faults::flapping),
    ("s9", fleets::regions),
    ("s10", fleets::joining),
    ("s11", fleets::hot_key),
    ("s12", faults::retry_storm),
    ("s13", fleets::telemetry),
    ("s14", regimes::orders),
    ("s15", queues::heavy_tail),
    ("s16", fleets::small),
    ("resources", adaptation::resources),
    ("thresholds", adaptation::thresholds),
];

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evidence.md");

fn main() {
    let mut seeds = Seeds(10);
    let mut update = false;
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--update" => update = true,
            "--seeds" => match arguments.next().and_then(|count| count.parse().ok()) {
                Some(count) if count > 1 => seeds = Seeds(count),
                _ => refuse("--seeds wants a number from 2 on"),
            },
            name if PARTS.iter().any(|(mark, _)| *mark == name) => wanted.push(name.to_owned()),
            name => {
                let marks: Vec<&str> = PARTS.iter().map(|(mark, _)| *mark).collect();
                refuse(&format!(
                    "there is no part `{name}`; these are: {}",
                    marks.join(", ")
                ));
            }
        }
    }
    if update && seeds.0 < 10 {
        refuse("the page has figures of ten seeds at least; leave out --seeds or --update");
    }
    let mut page = update.then(|| std::fs::read_to_string(PAGE).unwrap());
    for (mark, part) in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == mark) {
            continue;
        }
        eprintln!("{mark}");
        let text = part(seeds).markdown();
        match &mut page {
            Some(page) => *page = replaced(page, mark, &text),
            None => println!("{text}"),
        }
        if let Some(page) = &page {
            // After each part: a run that is broken off loses nothing.
            std::fs::write(PAGE, page).unwrap();
        }
    }
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(2);
}

/// The page with `text` between the marks of a part.
fn replaced(page: &str, mark: &str, text: &str) -> String {
    let begin = format!("<!-- begin {mark} -->\n");
    let end = format!("<!-- end {mark} -->");
    let (Some(from), Some(until)) = (page.find(&begin), page.find(&end)) else {
        refuse(&format!("docs/evidence.md has no marks of {mark}"));
    };
    format!("{}\n{text}\n{}", &page[..from + begin.len()], &page[until..])
}
