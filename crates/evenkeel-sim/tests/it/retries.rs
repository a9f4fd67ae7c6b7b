//! Which attempts that failed are followed by another.

use evenkeel_sim::{Policy, Scenario, run};

fn attempts(text: &str, policy: &str) -> f64 {
    let text = format!("about: x\nduration: 10s\narrivals: {{ rate: 50 }}\n{text}\n");
    let scenario = Scenario::from_str("x", &text).unwrap_or_else(|error| panic!("{error}"));
    let policy: Policy = policy.parse().unwrap();
    run(&scenario, &policy, 1, &mut |_| true)
        .unwrap()
        .unwrap()
        .attempts
}

/// Retries without a limit, on servers that all have `fault`, of whom nobody is ejected.
fn with(fault: &str, on: &str) -> String {
    format!(
        "clients: {{ retries: 2, retry_budget: none, deadline: 100ms }}\nservers: [{{ count: 4 }}]\n\
         faults: [{{ servers: all, fault: {fault} }}]\nservice: {{ retry: {{ on: {on} }} }}"
    )
}

#[test]
fn what_is_not_to_be_tried_again_is_not() {
    for (fault, reason) in [
        ("{ fail_fast: 1 }", "503"),
        ("{ errors: 1 }", "503"),
        ("refuse", "connect"),
        ("hang", "no_response"),
    ] {
        for on in ["503", "connect", "no_response", "500"] {
            let expected = if on == reason { 3.0 } else { 1.0 };
            for policy in ["random", "turns"] {
                let attempts = attempts(&with(fault, &format!("[{on}]")), policy);
                assert!(
                    (attempts - expected).abs() < 0.01,
                    "{policy}, {fault}, on {on}: {attempts} attempts"
                );
            }
        }
        // What is tried again unless it says otherwise.
        let all = attempts(&with(fault, "[connect, no_response, 5xx]"), "random");
        assert!((all - 3.0).abs() < 0.01, "{fault}: {all} attempts");
    }
}

#[test]
fn another_try_needs_another_candidate() {
    let text = |service: &str| {
        format!(
            "clients: {{ retries: 2, retry_budget: none }}\nservers: [{{ region: eu }}, {{ count: 3, region: us }}]\n\
             faults: [{{ servers: all, fault: {{ fail_fast: 1 }} }}]\nservice: {service}"
        )
    };
    let others = attempts(&text("{ strategy: random }"), "random");
    assert!((others - 3.0).abs() < 0.01, "{others}");
    // The three in the other region are registered, but no candidates: the one that is left would be tried thrice.
    let none = attempts(
        &text("{ strategy: random, locality: { allow_regions: [eu] } }"),
        "random",
    );
    assert!((none - 1.0).abs() < 0.01, "{none}");
}
