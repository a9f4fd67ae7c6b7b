//! Files stay small enough to be read in one sitting.

use super::{File, Finding, Tree, code};

/// Lines without unit tests at which a file is worth another look.
const NOTED: usize = 400;
/// Lines without unit tests above which a file is refused.
const REFUSED: usize = 600;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    measured(tree)
        .filter(|(_, lines)| *lines > REFUSED)
        .map(|(file, lines)| {
            let text =
                format!("{lines} lines without tests, {REFUSED} allowed; split it where its subject changes");
            Finding::new(&file.path, REFUSED + 1, text)
        })
        .collect()
}

/// Files on their way to the limit.
pub(super) fn notes(tree: &Tree) -> Vec<Finding> {
    measured(tree)
        .filter(|(_, lines)| (NOTED + 1..=REFUSED).contains(lines))
        .map(|(file, lines)| {
            Finding::new(
                &file.path,
                1,
                format!("{lines} lines without tests; is it still one subject?"),
            )
        })
        .collect()
}

fn measured(tree: &Tree) -> impl Iterator<Item = (&File, usize)> {
    tree.files
        .iter()
        .filter(|file| file.is_rust())
        .map(|file| (file, lines(&file.text)))
}

/// Lines of `source` outside `#[cfg(test)]` items.
fn lines(source: &str) -> usize {
    let blanked = code::blank(source);
    let kept = code::without_tests(&blanked);
    let in_tests = blanked
        .lines()
        .zip(kept.lines())
        .filter(|(all, kept)| all != kept)
        .count();
    source.lines().count() - in_tests
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn long_files_are_refused_and_their_tests_do_not_count() {
        let body = "fn a() {}\n".repeat(REFUSED + 1);
        let tests = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{body}}}\n");
        let noted = "fn a() {}\n".repeat(NOTED + 1);
        let tree = tree(&[
            ("a.rs", &body),
            ("b.rs", &tests),
            ("c.rs", &noted),
            ("d.txt", &body),
        ]);
        assert_eq!(
            check(&tree)
                .iter()
                .map(|found| found.path.as_str())
                .collect::<Vec<_>>(),
            ["a.rs"]
        );
        assert_eq!(
            notes(&tree)
                .iter()
                .map(|found| found.path.as_str())
                .collect::<Vec<_>>(),
            ["c.rs"]
        );
    }
}
