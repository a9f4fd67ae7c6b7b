//! `evenkeel sim`.

use crate::support::Folder;
use crate::support::process::{evenkeel, text};

#[test]
fn scenarios_are_listed_and_shown() {
    let output = evenkeel(&["sim", "list"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("fail_fast"));
    let shown = evenkeel(&["sim", "show", "fail_fast"]);
    let folder = Folder::new();
    let file = folder.write("own.yaml", &text(&shown.stdout).replace("120s", "32s"));
    let run = evenkeel(&[
        "sim",
        "run",
        "--scenario",
        file.to_str().unwrap(),
        "--strategy",
        "random",
    ]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("p99.9"), "{}", text(&run.stdout));
}

#[test]
fn the_same_seed_prints_the_same_report_in_all_forms() {
    let folder = Folder::new();
    let file = folder.write(
        "own.yaml",
        "about: <short> & small\nduration: 3s\narrivals: { rate: 300 }\nservers: [{ count: 3 }]\n\
         faults: [{ servers: 1, from: 1s, until: 2s, fault: { slow: 10 } }]\n",
    );
    let run = |more: &[&str]| {
        let common = [
            "sim",
            "run",
            "--strategy",
            "adaptive,prequal",
            "--reps",
            "2",
            "--scenario",
        ];
        let output = evenkeel(&[&common[..], &[file.to_str().unwrap()], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    for format in ["table", "json", "html"] {
        assert_eq!(run(&["--format", format]), run(&["--format", format]), "{format}");
    }
    assert_ne!(
        run(&["--format", "json"]),
        run(&["--format", "json", "--seed", "9"])
    );
    let json: serde_json::Value = serde_json::from_str(&run(&["--format", "json"])).unwrap();
    assert_eq!(json[0]["strategies"][1]["strategy"], "prequal");
    assert_eq!(json[0]["strategies"][0]["runs"].as_array().unwrap().len(), 2);
    let page = run(&["--format", "html"]);
    assert!(page.contains("&lt;short&gt; &amp; small") && page.contains("<svg") && !page.contains("src="));
    let report = folder.path().join("report.html");
    let nothing = run(&["--format", "html", "--output", report.to_str().unwrap()]);
    assert_eq!(
        (nothing, std::fs::read_to_string(report).unwrap()),
        (String::new(), page)
    );
}

#[test]
fn what_cannot_be_run_is_refused_before_it_runs() {
    let folder = Folder::new();
    let wrong = folder.write(
        "wrong.yaml",
        "about: x\nduration: 3s\narrivals: { rate: -1 }\nservers: []\n",
    );
    let huge = folder.write(
        "huge.yaml",
        "about: x\nduration: 3s\narrivals: { rate: 10 }\nclients: { count: 1000 }\nservers: [{ count: 100000 }, { count: 100000 }]\n",
    );
    let back = folder.write("back.csv", "time\n2\n1\n");
    let stepless = folder.write(
        "stepless.yaml",
        "about: x\nduration: 3s\narrivals: { steps: [] }\nservers: [{ count: 3 }]\n",
    );
    // Each run is little; what is kept of a thousand is 1.7 TB.
    let steps = folder.write(
        "steps.yaml",
        &format!(
            "about: x\nduration: 1s\narrivals: {{ steps: [{}] }}\nservers: [{{ count: 3 }}]\n",
            "0.1,".repeat(10_000)
        ),
    );
    let steps = steps.to_str().unwrap();
    let before = folder.write("report.json", "[]");
    let before = before.to_str().unwrap();
    for (arguments, part) in [
        (
            vec!["--scenario", "fail_fats"],
            "no scenario and no file `fail_fats`\n = did you mean fail_fast?",
        ),
        (vec!["--scenario", "fail"], "did you mean fail_fast?"),
        (vec!["--scenario", ""], "no file ``\n = `evenkeel sim list` shows"),
        (
            vec!["--seed", "18446744073709551615", "--reps", "2"],
            "`--seed` is 18446744073709551613 at most",
        ),
        (
            vec!["--strategy", "best"],
            "there is no strategy `best`\n = these are: round_robin,",
        ),
        (vec!["--strategy", "adaptve"], "did you mean `adaptive`?"),
        (vec!["--scenario", wrong.to_str().unwrap()], "wrong.yaml:3:"),
        (
            vec!["--scenario", huge.to_str().unwrap(), "--output", before],
            "would need about",
        ),
        (
            vec!["--scenario", steps, "--strategy", "random", "--reps", "1000"],
            "would need about",
        ),
        (vec!["--scenario", stepless.to_str().unwrap()], "stepless.yaml:3:"),
        (vec!["--trace", back.to_str().unwrap()], "time goes backwards"),
        (vec!["--output", "/no/such/folder/report"], "cannot write"),
    ] {
        let output = evenkeel(&[&["sim", "run"], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(part),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
    assert_eq!(
        std::fs::read_to_string(before).unwrap(),
        "[]",
        "it stays as it was"
    );
}

#[test]
fn the_strategy_of_the_scenario_is_the_first_that_runs() {
    let folder = Folder::new();
    let small = |strategy: &str| {
        format!("about: x\nduration: 1s\narrivals: {{ rate: 50 }}\nservers: [{{ count: 3 }}]\n{strategy}")
    };
    let of = |name: &str, strategy: &str| folder.write(name, &small(strategy)).display().to_string();
    let scenarios = [
        of("hash.yaml", "service: { strategy: consistent_hash }\n"),
        of("turns.yaml", "service: { strategy: round_robin }\n"),
        of("plain.yaml", ""),
    ];
    let scenarios = scenarios.join(",");
    let run = |more: &[&str]| -> Vec<Vec<String>> {
        let common = ["sim", "run", "--format", "json", "--scenario", &scenarios];
        let output = evenkeel(&[&common[..], more].concat());
        let json: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
        let names = |comparison: &serde_json::Value| {
            let all = comparison["strategies"].as_array().unwrap().iter();
            all.map(|one| one["strategy"].as_str().unwrap().to_owned())
                .collect()
        };
        json.as_array().unwrap().iter().map(names).collect()
    };
    assert_eq!(
        run(&[]),
        [
            vec!["consistent_hash", "adaptive", "least_connections", "round_robin"],
            vec!["round_robin", "adaptive", "least_connections"],
            vec!["adaptive", "least_connections", "round_robin"],
        ]
    );
    assert_eq!(run(&["--strategy", "random"]), [["random"]; 3]);
}

#[test]
fn what_is_asked_for_twice_is_run_once() {
    let folder = Folder::new();
    let file = folder.write(
        "own.yaml",
        "about: x\nduration: 2s\narrivals: { rate: 50 }\nservers: [{ count: 3 }]\n\
         faults: [{ servers: 1, from: 1s, fault: hang }]\n",
    );
    let trace = folder.write("trace.csv", "time\n0\n0.9\n");
    let file = file.to_str().unwrap();
    let arguments = [
        "sim",
        "run",
        "--format",
        "json",
        "--strategy",
        "random,turns,random",
    ];
    let more = [
        "--scenario",
        file,
        "--scenario",
        file,
        "--trace",
        trace.to_str().unwrap(),
    ];
    let output = evenkeel(&[&arguments[..], &more].concat());
    let json: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let strategies = json[0]["strategies"].as_array().unwrap();
    assert_eq!((json.as_array().unwrap().len(), strategies.len()), (1, 2));
    let warning = "after the last of these requests: 1";
    assert!(text(&output.stderr).contains(warning), "{}", text(&output.stderr));
    let shown = evenkeel(&["sim", "show", file]);
    assert!(
        text(&shown.stderr).contains("is a file"),
        "{}",
        text(&shown.stderr)
    );
}

#[test]
fn a_report_takes_the_place_of_the_one_before() {
    let folder = Folder::new();
    let file = folder.write(
        "own.yaml",
        "about: x\nduration: 2s\narrivals: { rate: 50 }\nclients: { count: 200 }\nservers: [{ count: 100 }]\n",
    );
    let report = folder.write("report.json", &"[]".repeat(5000));
    // More threads than there are runs take no more memory than one.
    let arguments = [
        "sim",
        "run",
        "--strategy",
        "random",
        "--threads",
        "1024",
        "--format",
        "json",
    ];
    for output in [report.to_str().unwrap(), "/dev/null"] {
        let more = ["--scenario", file.to_str().unwrap(), "--output", output];
        let output = evenkeel(&[&arguments[..], &more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(json[0]["strategies"][0]["strategy"], "random");
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2, "nothing is left beside it");
}

#[test]
fn reports_say_whose_requests_they_are() {
    let folder = Folder::new();
    let file = folder.write(
        "own.yaml",
        "about: x\nduration: 3s\narrivals: { rate: 10 }\nservers: [{ count: 9 }]\n\
         faults: [{ servers: 1-7, from: 1s, fault: { slow: 2 } }]\n",
    );
    let line =
        "{\"time\":\"2026-11-21T09:14:0N.5Z\",\"service\":\"web\",\"status\":200,\"duration_ms\":5.0}\n";
    let lines: String = (0..4).map(|i| line.replace('N', &i.to_string())).collect();
    let trace = folder.write("access.log", &lines);
    let report = |format: &str| {
        let arguments = [
            "sim",
            "run",
            "--strategy",
            "random",
            "--service",
            "web",
            "--format",
            format,
        ];
        let more = [
            "--scenario",
            file.to_str().unwrap(),
            "--trace",
            trace.to_str().unwrap(),
        ];
        text(&evenkeel(&[&arguments[..], &more].concat()).stdout)
    };
    for format in ["table", "html"] {
        let report = report(format);
        assert!(report.contains("4 requests of the service web from "), "{report}");
        assert!(report.contains("access.log"), "{report}");
    }
    assert!(report("html").contains("4 of 7 servers with a fault"));
    let json: serde_json::Value = serde_json::from_str(&report("json")).unwrap();
    assert_eq!(json[0]["recorded"]["service"], "web");
    assert_eq!(json[0]["recorded"]["requests"], 4);
    assert_eq!(json[0]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn recorded_requests_are_run() {
    let folder = Folder::new();
    let lines: String = (0..500)
        .map(|i| format!("{},4\n", f64::from(i) / 100.0))
        .collect();
    let file = folder.write("trace.csv", &format!("time,work_ms\n{lines}"));
    let output = evenkeel(&[
        "sim",
        "run",
        "--trace",
        file.to_str().unwrap(),
        "--strategy",
        "adaptive",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("500 requests counted"),
        "{}",
        text(&output.stdout)
    );
}
