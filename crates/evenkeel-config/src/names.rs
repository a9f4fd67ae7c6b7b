//! Suggestions for mistyped names.

use std::fmt::Write as _;

/// Most names listed.
const LISTED: usize = 20;

/// `: did you mean ...?` when a known name is near, and always what is known.
pub(crate) fn did_you_mean(written: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return String::new();
    }
    let names: Vec<String> = known
        .iter()
        .take(LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    let mut list = names.join(", ");
    if known.len() > LISTED {
        let _ = write!(list, " and {} more", known.len() - LISTED);
    }
    match nearest(written, known) {
        Some(name) => format!(": did you mean `{name}`?\nknown here: {list}"),
        None => format!("\nknown here: {list}"),
    }
}

/// The known name nearest to what was written, when it is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let written = plain(written);
    known
        .iter()
        .map(|name| (distance(&written, &plain(name)), *name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Edit distance (insert, delete, replace, swap of neighbours), in O(a·b) time; names are short.
fn distance(a: &str, b: &str) -> usize {
    // A name far longer than any key is not a typing error, and is not worth the product of the lengths.
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_finds_typing_errors_and_nothing_else() {
        let known = ["strategy", "retry", "pool", "timeouts", "instances"];
        for (written, expected) in [
            ("strateggy", Some("strategy")),
            ("Strategy", Some("strategy")),
            ("timeout", Some("timeouts")),
            ("isntances", Some("instances")),
            ("pol", Some("pool")),
            ("state_dir", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, &known), expected, "{written}");
        }
    }
}
