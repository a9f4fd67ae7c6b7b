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
    let file = folder.write("own.yaml", &text(&shown.stdout).replace("120s", "12s"));
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
    for (arguments, part) in [
        (
            vec!["--scenario", "fail_fats"],
            "no scenario and no file `fail_fats`",
        ),
        (vec!["--scenario", "fail"], "did you mean fail_fast?"),
        (vec!["--strategy", "best"], "there is no strategy `best`"),
        (vec!["--scenario", wrong.to_str().unwrap()], "wrong.yaml:3:"),
        (vec!["--scenario", huge.to_str().unwrap()], "would need about"),
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
