//! What predictive health gains and costs: scenarios with it and without, on the same arrivals.
//!
//! `cargo run --release -p evenkeel-sim --example prediction -- SEEDS STRATEGY[,…] SCENARIO[,…]`
//!
//! For each figure: without prediction, with it, and the mean of the paired differences with its 95 % interval.

use evenkeel_core::{Calibration, Nanos};
use evenkeel_sim::{Figure, Policy, Run, Scenario, built_in_text, run};

/// One figure of a run.
type Of = fn(&Run) -> Option<f64>;

const FIGURES: [(&str, Of); 6] = [
    ("p50 ms", |run| run.all.quantile(0.5)),
    ("p99 ms", |run| run.all.quantile(0.99)),
    ("p99.9 ms", |run| run.all.quantile(0.999)),
    ("p99 ms, faults on", |run| run.during.quantile(0.99)),
    ("failed", |run| Some(run.all.errors() as f64)),
    ("attempts for 1000", |run| Some(1000.0 * run.attempts)),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |or: &str| arguments.next().unwrap_or_else(|| or.to_owned());
    let seeds: u64 = next("10").parse()?;
    let strategies = next("adaptive,least_connections,round_robin");
    let scenarios = next("leak,memory_leak,region_brown_out,gray_errors,healthy,heavy_tail");
    for name in scenarios.split(',') {
        let text = match built_in_text(name) {
            Some(text) => text.to_owned(),
            None => std::fs::read_to_string(name)?,
        };
        for strategy in strategies.split(',') {
            let policy: Policy = strategy.parse()?;
            let all = |mode: &str| -> Result<Vec<Run>, Box<dyn std::error::Error>> {
                let scenario = Scenario::from_str(name, &with(&text, mode))?;
                let runs = (1..=seeds).map(|seed| {
                    let run = run(&scenario, &policy, seed, &mut |_: Nanos| true)?;
                    run.ok_or_else(|| "it was ended".into())
                });
                runs.collect()
            };
            let (off, on) = (all("off")?, all("enforce")?);
            let same = off
                .iter()
                .zip(&on)
                .filter(|(off, on)| off.trace == on.trace)
                .count();
            println!("\n{name}, {strategy}, {seeds} seeds, {same} runs without any difference");
            for (figure, of) in FIGURES {
                let [without, with] = [&off, &on].map(|runs| Figure::of(runs.iter().map(of)));
                let both = off.iter().zip(&on).map(|(off, on)| Some(of(on)? - of(off)?));
                let difference = Figure::of(both);
                println!(
                    "  {figure:18} {:9.2} {:9.2}  {:+9.3} ± {:.3}",
                    without.mean, with.mean, difference.mean, difference.half_width
                );
            }
            println!("  with it:    {}", calibration(&on));
            println!("  a dry run:  {}", calibration(&all("dry_run")?));
        }
    }
    Ok(())
}

/// The scenario with this setting.
fn with(text: &str, mode: &str) -> String {
    let setting = format!("health: {{ on_prediction: {mode} }}");
    match text.contains("\nservice: {") {
        true => text.replace("\nservice: {", &format!("\nservice: {{ {setting},")),
        false if text.contains("\nservice:\n") => {
            text.replace("\nservice:\n", &format!("\nservice:\n  {setting}\n"))
        }
        false => format!("{text}\nservice: {{ {setting} }}\n"),
    }
}

fn calibration(runs: &[Run]) -> String {
    let all = runs
        .iter()
        .fold(Calibration::default(), |all, run| all.with(&run.calibration));
    let rows = all.bins.iter().filter(|bin| bin.predictions > 0).map(|bin| {
        let n = bin.predictions as f64;
        format!("{:.3}→{:.3} ({n})", bin.said / n, bin.came_true as f64 / n)
    });
    format!(
        "{} predictions, {} came true, Brier {:.5} beside {:.5}, skill {:.3}\n              {}",
        all.predictions(),
        all.came_true(),
        all.brier().unwrap_or(f64::NAN),
        all.base_brier().unwrap_or(f64::NAN),
        all.skill().unwrap_or(f64::NAN),
        rows.collect::<Vec<_>>().join("  ")
    )
}
