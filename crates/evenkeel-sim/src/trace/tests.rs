use super::*;

#[test]
fn requests_are_read_with_what_is_known_of_them() {
    let trace = read_trace(
        "t",
        "time,work_ms,key\n10.0,8,alice\n# later\n\n10.5,,alice\n12, 1.5 ,\n",
        None,
    )
    .unwrap();
    assert_eq!(
        trace.iter().map(|r| r.at).collect::<Vec<_>>(),
        [0, 500, 2000].map(Nanos::from_millis)
    );
    assert_eq!(
        trace.iter().map(|r| r.work).collect::<Vec<_>>(),
        [Some(8e6), None, Some(1.5e6)]
    );
    assert!(trace[0].key.is_some() && trace[0].key == trace[1].key && trace[2].key.is_none());
}

#[test]
fn a_mark_of_the_encoding_is_no_part_of_the_record() {
    let log = logged("01", 5, "");
    for text in ["time\n1\n", &log] {
        assert_eq!(
            read_trace("t", &format!("\u{feff}{text}"), None).unwrap().len(),
            1
        );
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, line, part) in [
        ("", 1, "empty"),
        ("a,b\n", 1, "no column `time`"),
        ("time,wrok_ms\n", 1, "unknown column `wrok_ms`"),
        ("time\n", 1, "no request"),
        ("time\n1\nx\n", 3, "`x` is no time"),
        ("time\n1\nNaN\n", 3, "`NaN` is no time"),
        ("time\n2\n\n1\n", 4, "backwards"),
        ("time\n0\n86401\n", 3, "after the first"),
        ("time,work_ms\n0,-1\n", 2, "no amount of work"),
        ("time,key,time\n0,a,1\n", 1, "column `time` is there twice"),
        ("time,key\n0,a,b\n", 2, "3 cells, and the header 2"),
        ("time,key\n0,\"a\"\n", 2, "without quotes"),
        ("\"time\",key\n0,a\n", 1, "without quotes"),
        ("time\n-1\n", 2, "before 0"),
    ] {
        let error = read_trace("t.csv", text, None).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(
            error.to_string().contains(part) && error.to_string().contains("t.csv:"),
            "{error}"
        );
    }
}

/// A line as `evenkeel serve` writes it, of a request that came `at` seconds into a minute and took `ms`.
fn logged(at: &str, ms: u32, more: &str) -> String {
    format!(
        "{{\"time\":\"2026-11-21T09:14:{at}Z\",\"listener\":\"web\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\
         \"path\":\"/\\u0001\\\"\",\"status\":200,\"service\":\"web\",\"bytes_in\":0,\"bytes_out\":2,\
         \"duration_ms\":{ms}.0,\"instance_ms\":{ms}.0{more}}}\n"
    )
}

#[test]
fn an_access_log_is_read_in_the_order_in_which_requests_came() {
    let failed = logged("09.5", 10, "").replace("\"status\":200", "\"status\":503");
    let refused = "{\"time\":\"2026-11-21T09:14:09.600000Z\",\"status\":400,\"duration_ms\":0.1}\n";
    let text = [
        &*logged("09.250000", 10, ",\"key\":\"00000000000000ff\""),
        &failed,
        refused,
        &logged("09.000000", 700, ""),
        // Half of a line that is just being written.
        "{\"time\":\"2026-1",
    ]
    .concat();
    let trace = read_trace("access.log", &text, None).unwrap();
    let request = |ms, work, key| Recorded {
        at: Nanos::from_millis(ms),
        work,
        key,
    };
    assert_eq!(
        trace,
        [
            request(0, Some(700e6), None),
            request(250, Some(10e6), Some(255)),
            request(500, None, None),
        ]
    );
}

#[test]
fn of_several_services_one_is_chosen() {
    let api = logged("01", 5, "").replace("\"web\",\"bytes_in", "\"api\",\"bytes_in");
    let text = [&*logged("00", 5, ""), &api, &logged("02", 5, "")].concat();
    assert_eq!(read_trace("a", &text, Some("api")).unwrap().len(), 1);
    assert_eq!(read_trace("a", &text, Some("web")).unwrap().len(), 2);
    for (service, part) in [
        (None, "several services: api (1), web (2)"),
        (Some("wbe"), "no request of the service `wbe`"),
    ] {
        let error = read_trace("a", &text, service).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = read_trace("a", "time\n1\n", Some("web")).unwrap_err();
    assert!(error.to_string().contains("leave out `--service`"), "{error}");
}

#[test]
fn what_is_wrong_with_an_access_log_is_told_with_its_line() {
    let good = logged("30", 5, "");
    for (line, part) in [
        ("{\"time\":\"2026-1\n", "no line of an access log: EOF"),
        (
            "192.0.2.7 - - [21/Nov/2026]\n",
            "no line of an access log: it is not a JSON object",
        ),
        (
            "{\"time\":\"2026-11-21T09:14:31Z\",\"status\":200}\n",
            "missing field `duration_ms`",
        ),
        (
            "{\"time\":\"yesterday\",\"status\":200,\"duration_ms\":1}\n",
            "`yesterday` is not a time",
        ),
        (
            "{\"time\":\"2026-11-21T09:14:31Z\",\"status\":200,\"duration_ms\":-1}\n",
            "`duration_ms` is -1",
        ),
        (
            &*logged("19.9", 5, ""),
            "this request ended 10 s before that of line 1",
        ),
        (&logged("31", 5, ",\"status\":1"), "duplicate field `status`"),
    ] {
        let error = read_trace("access.log", &format!("{good}{line}{good}"), None).unwrap_err();
        assert_eq!(error.line, 2, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.to_string().contains(" --> access.log:2\n = "), "{error}");
    }
    // As long as what runs at the same time explains it.
    let late = format!("{good}{}", logged("20.1", 5, ""));
    assert_eq!(read_trace("a", &late, None).unwrap().len(), 2);
    let refused = "{\"time\":\"2026-11-21T09:14:09.600000Z\",\"status\":400,\"duration_ms\":0.1}\n";
    let error = read_trace("a", refused, None).unwrap_err();
    assert!(
        error.to_string().contains("no request that came to a service"),
        "{error}"
    );
}
