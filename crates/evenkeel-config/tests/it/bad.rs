//! Bad input, each with everything the operator sees.

use evenkeel_config::Config;

mod across;
mod by_health_and_place;
mod document;
mod strategies;
mod traffic;
mod values;

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// The file; a newline at its start is not part of it, so that line 1 is the line after it.
    input: &'static str,
    shown: &'static str,
}

#[test]
fn every_error_is_shown_with_its_place_and_a_remedy() {
    let mut wrong = Vec::new();
    let cases = [
        document::CASES,
        values::CASES,
        across::CASES,
        strategies::CASES,
        by_health_and_place::CASES,
        traffic::CASES,
    ];
    for case in cases.concat() {
        let shown = match Config::from_str("bad.yaml", case.input.strip_prefix('\n').unwrap_or(case.input)) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        if shown != case.shown.trim_matches('\n') {
            wrong.push(format!(
                "=== {} ===\n{shown}\n--- expected ---{}",
                case.name, case.shown
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
