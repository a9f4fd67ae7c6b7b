//! Tables of results, for a terminal or for a document.

use std::fmt::Write as _;

use super::load::Round;

/// A line of a table: the proxy, the number that ratios are made of, and cells with their headings.
pub(super) struct Row {
    name: &'static str,
    measure: f64,
    errors: u64,
    cells: Vec<(&'static str, String)>,
}

impl Row {
    /// Medians of the rounds of one proxy.
    pub(super) fn of_rounds(name: &'static str, rounds: &[Round], resident: u64) -> Self {
        let cpu = sorted(rounds, Round::cpu_micros);
        let middle = |of: &dyn Fn(&Round) -> f64| median(&sorted(rounds, of));
        let micros = median(&cpu);
        let cells = vec![
            ("CPU µs/request", format!("{micros:.2}")),
            ("min–max", format!("{:.2}–{:.2}", cpu[0], cpu[cpu.len() - 1])),
            ("requests/s", format!("{:.0}", middle(&Round::rate))),
            (
                "p50 ms",
                format!("{:.2}", middle(&|round| round.p50.as_secs_f64() * 1e3)),
            ),
            (
                "p99 ms",
                format!("{:.2}", middle(&|round| round.p99.as_secs_f64() * 1e3)),
            ),
            ("core busy", format!("{:.0} %", middle(&Round::busy) * 100.0)),
            ("RSS MiB", mebibytes(resident)),
        ];
        Self {
            name,
            measure: micros,
            errors: rounds.iter().map(|round| round.errors).sum(),
            cells,
        }
    }

    /// Memory of one proxy before and with idle clients.
    pub(super) fn of_idle(
        name: &'static str,
        before: u64,
        with: u64,
        clients: usize,
        busy: f64,
        lost: usize,
    ) -> Self {
        let each = with.saturating_sub(before) as f64 / clients as f64;
        let cells = vec![
            ("RSS MiB", mebibytes(with)),
            ("at start", mebibytes(before)),
            ("bytes/client", format!("{each:.0}")),
            ("core busy", format!("{:.1} %", busy * 100.0)),
        ];
        Self {
            name,
            measure: with as f64,
            errors: lost as u64,
            cells,
        }
    }
}

/// The table as text. The ratio is the first row's number divided by that of the row: below 1, less is used.
pub(super) fn print(title: &str, rows: &[Row], markdown: bool) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let ratio = format!("{}/proxy", first.name);
    let mut headings = vec!["proxy"];
    headings.extend(first.cells.iter().map(|(heading, _)| *heading));
    headings.extend([ratio.as_str(), "errors"]);
    let mut lines: Vec<Vec<String>> = vec![headings.into_iter().map(str::to_owned).collect()];
    for row in rows {
        let mut line = vec![row.name.to_owned()];
        line.extend(row.cells.iter().map(|(_, cell)| cell.clone()));
        line.extend([
            format!("{:.2}", first.measure / row.measure),
            row.errors.to_string(),
        ]);
        lines.push(line);
    }
    layout(title, &lines, markdown)
}

/// `lines` of cells under a title; the first line is the heading, the first column is text.
pub(super) fn layout(title: &str, lines: &[Vec<String>], markdown: bool) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = if markdown {
        format!("### {title}\n\n")
    } else {
        format!("{title}\n")
    };
    for (index, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| {
                if column == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        // Writing to a string cannot fail.
        let _ = if markdown {
            writeln!(text, "| {} |", cells.join(" | "))
        } else {
            writeln!(text, "{}", cells.join("  "))
        };
        if markdown && index == 0 {
            let rule = widths.iter().enumerate().map(|(column, width)| {
                if column == 0 {
                    format!("|{}", "-".repeat(width + 2))
                } else {
                    format!("|{}:", "-".repeat(width + 1))
                }
            });
            let _ = writeln!(text, "{}|", rule.collect::<String>());
        }
    }
    text
}

fn sorted(rounds: &[Round], of: impl Fn(&Round) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn round(requests: u64) -> Round {
        let second = Duration::from_secs(1);
        Round {
            requests,
            took: second,
            p50: second,
            p99: second,
            errors: 1,
            cpu: second,
        }
    }

    #[test]
    fn rows_hold_medians_and_ratios() {
        let rows = [
            Row::of_rounds(
                "evenkeel",
                &[round(100_000), round(50_000), round(125_000)],
                3 << 20,
            ),
            Row::of_rounds("nginx", &[round(50_000), round(40_000)], 3 << 20),
        ];
        let text = print("GET", &rows, true);
        assert!(
            text.contains("| evenkeel |          10.00 |  8.00–20.00 |     100000 |"),
            "{text}"
        );
        assert!(
            text.contains("| nginx    |          22.50 | 20.00–25.00 |"),
            "{text}"
        );
        assert!(text.contains("|           0.44 |      2 |"), "{text}");
        assert!(print("GET", &rows, false).starts_with("GET\nproxy "));
    }
}
