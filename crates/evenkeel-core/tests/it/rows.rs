//! What each row of the strategy table promises. A new row fails here until it says so.

use std::collections::BTreeSet;

use evenkeel_core::StrategyName;

/// How an idle service is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    /// In turn: counts over a round are exact. By weight or evenly.
    Exact { by_weight: bool },
    /// By chance, in proportion. By weight or evenly.
    Chance { by_weight: bool },
    /// By weight over a ring of this many points per unit of weight, whose shares are themselves drawn.
    Ring { points: u32 },
    /// By measurements, which idleness does not settle.
    Measured,
}

pub(crate) fn split(name: StrategyName) -> Split {
    match name.as_str() {
        "round_robin" => Split::Exact { by_weight: false },
        "weighted_round_robin" | "health_weighted_round_robin" => Split::Exact { by_weight: true },
        "random" => Split::Chance { by_weight: false },
        "consistent_hash" => Split::Ring { points: 160 },
        "orca_weighted" | "weighted_random" | "maglev" | "rendezvous" | "least_connections"
        | "power_of_two" => Split::Chance { by_weight: true },
        "health_aware_least_connections" | "adaptive_health_aware" | "resource_aware" => {
            Split::Chance { by_weight: true }
        }
        "adaptive" | "least_response_time" | "peak_ewma" | "hot_cold" => Split::Measured,
        // Where nobody says where requests come from.
        // As long as it has no reason to do otherwise.
        "auto" | "geographical" => split(StrategyName::DEFAULT),
        other => panic!("{other}: say in tests/it/rows.rs what it promises"),
    }
}

#[test]
fn every_row_has_a_file_and_a_promise_and_every_file_a_row() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/strategy");
    let files: BTreeSet<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let rows: BTreeSet<String> = StrategyName::ALL
        .iter()
        .map(|row| row.as_str().to_owned())
        .collect();
    assert_eq!(files, rows);
    for row in StrategyName::ALL {
        let _ = split(*row);
        assert!(!row.summary().is_empty());
    }
}

#[test]
fn names_parse_back_and_unknown_ones_do_not() {
    for row in StrategyName::ALL {
        assert_eq!(row.as_str().parse(), Ok(*row));
        assert_eq!(row.to_string(), row.as_str());
    }
    assert!("Round_Robin".parse::<StrategyName>().is_err());
    assert!(StrategyName::ALL.contains(&StrategyName::DEFAULT));
}
