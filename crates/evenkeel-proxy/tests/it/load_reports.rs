//! Load reports of instances: what of them strategies get to see, and what clients do.

use evenkeel_core::LoadReport;

use crate::peer::field;
use crate::support::{GET, Rig, Server, Setup, until};

/// The newest report of the only instance.
fn reported(rig: &Rig) -> Option<LoadReport> {
    let view = rig.service().view_full();
    let (_, member, _) = view.members().next().unwrap();
    let reported = member.stats().reported();
    reported.get(reported.observed()?).map(|(report, _)| report)
}

fn cpu(rig: &Rig) -> Option<f32> {
    reported(rig)?.cpu()
}

#[tokio::test]
async fn a_report_in_the_head_reaches_the_strategies_and_not_the_client() {
    for field_line in [
        "Endpoint-Load-Metrics: TEXT cpu_utilization=0.5, mem_utilization=0.25,named_metrics.q=3",
        "endpoint-load-metrics: JSON {\"cpuUtilization\": 0.5, \"mem_utilization\": 0.25}",
        "endpoint-load-metrics: BIN CQAAAAAAAOA/EQAAAAAAANA/",
        "endpoint-load-metrics-bin: CQAAAAAAAOA/EQAAAAAAANA/",
    ] {
        let answer =
            format!("HTTP/1.1 200 OK\r\nA: 1\r\n{field_line}\r\nB: 2\r\nContent-Length: 2\r\n\r\nok");
        let server = Server::start(String::leak(answer)).await;
        let rig = Setup::new(&[server.address]).start().await;
        let response = rig.request(GET).await.response().await;
        response.expect(200);
        assert!(
            response.head.starts_with("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n"),
            "{response:?}"
        );
        assert!(
            !response.head.to_lowercase().contains("load-metrics"),
            "{response:?}"
        );
        let report = reported(&rig).unwrap();
        assert_eq!(
            (report.cpu(), report.memory()),
            (Some(0.5), Some(0.25)),
            "{field_line}"
        );
        assert_eq!(rig.metrics().bad_load_reports, 0);
    }
}

#[tokio::test]
async fn a_report_in_the_trailers_is_read_too() {
    let server = Server::start(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\
         Endpoint-Load-Metrics: TEXT cpu_utilization=0.75\r\nX-End: 2\r\n\r\n",
    )
    .await;
    let mut setup = Setup::new(&[server.address]);
    let mut rig = setup.clone().start().await;
    let mut client = rig.request(GET).await;
    client.head().await;
    let body = "2\r\nok\r\n0\r\nX-Sum: 1\r\nX-End: 2\r\n\r\n";
    client.expect(body).await;
    assert_eq!(cpu(&rig), Some(0.75));
    // A client of HTTP/1.0 gets no trailers; its response reports all the same.
    let other = Setup::new(&[server.address]).start().await;
    let response = other.request("GET / HTTP/1.0\r\n\r\n").await.response().await;
    assert_eq!(response.body, "ok");
    until(|| cpu(&other) == Some(0.75)).await;

    setup.strip_load_reports = false;
    rig.configure(&setup).await;
    client.send(GET).await;
    client.head().await;
    let report = "Endpoint-Load-Metrics: TEXT cpu_utilization=0.75\r\n";
    client
        .expect(&body.replace("X-End", &format!("{report}X-End")))
        .await;
}

#[tokio::test]
async fn a_report_that_is_taken_out_of_the_trailers_is_not_announced_either() {
    for (announced, left) in [
        ("Trailer: Endpoint-Load-Metrics\r\n", ""),
        (
            "Trailer: endpoint-load-metrics,, endpoint-load-metrics-bin ,\r\n",
            "",
        ),
        (
            "Trailer: X-Sum, endpoint-load-metrics, X-End\r\n",
            "Trailer: X-Sum, X-End\r\n",
        ),
        (
            "Trailer: endpoint-load-metrics\r\ntrailer: X-Sum\r\n",
            "trailer: X-Sum\r\n",
        ),
        ("Trailer:  X-Sum,X-End\r\n", "Trailer:  X-Sum,X-End\r\n"),
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nDate: now\r\n{announced}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\
             Endpoint-Load-Metrics: TEXT cpu_utilization=0.75\r\nX-End: 2\r\n\r\n"
        );
        let server = Server::start(String::leak(answer)).await;
        let mut setup = Setup::new(&[server.address]);
        let mut rig = setup.clone().start().await;
        let mut client = rig.request(GET).await;
        let head = client.head().await;
        let expected = format!("HTTP/1.1 200 OK\r\nDate: now\r\n{left}Transfer-Encoding: chunked\r\n\r\n");
        assert_eq!(head, expected);
        client
            .expect("2\r\nok\r\n0\r\nX-Sum: 1\r\nX-End: 2\r\n\r\n")
            .await;

        setup.strip_load_reports = false;
        rig.configure(&setup).await;
        client.send(GET).await;
        let head = client.head().await;
        assert!(head.contains(announced), "{head}");
    }
}

#[tokio::test]
async fn a_client_gets_the_reports_if_it_shall() {
    let server = Server::start(
        "HTTP/1.1 103 Hints\r\nendpoint-load-metrics: TEXT eps=1\r\n\r\n\
         HTTP/1.1 200 OK\r\nendpoint-load-metrics: TEXT cpu_utilization=0.5\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    for strip in [true, false] {
        let mut setup = Setup::new(&[server.address]);
        setup.strip_load_reports = strip;
        let rig = setup.start().await;
        let mut client = rig.request(GET).await;
        let interim = client.bodiless().await;
        let response = client.response().await;
        let of = |value| (!strip).then_some(value);
        assert_eq!(field(&interim.head, "endpoint-load-metrics"), of("TEXT eps=1"));
        assert_eq!(
            field(&response.head, "endpoint-load-metrics"),
            of("TEXT cpu_utilization=0.5")
        );
        let report = reported(&rig).unwrap();
        assert_eq!((report.cpu(), report.errors_per_second()), (Some(0.5), None));
    }
}

#[tokio::test]
async fn a_bad_report_says_nothing_and_costs_the_client_nothing() {
    let long = format!("endpoint-load-metrics: TEXT a={}1", "0".repeat(5_000));
    for lines in [
        "endpoint-load-metrics: TEXT cpu_utilization=NaN",
        "endpoint-load-metrics: TEXT cpu_utilization=-1",
        "endpoint-load-metrics: cpu_utilization=1",
        "endpoint-load-metrics:",
        "endpoint-load-metrics: JSON {\"cpu_utilization\": 0.5",
        "endpoint-load-metrics: TEXT cpu_utilization=0.5\r\nendpoint-load-metrics: TEXT cpu_utilization=0.5",
        "endpoint-load-metrics: TEXT cpu_utilization=0.5\r\nendpoint-load-metrics-bin: CQAAAAAAAOA/",
        &long,
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 2\r\n\r\nok");
        let server = Server::start(String::leak(answer)).await;
        let rig = Setup::new(&[server.address]).start().await;
        let response = rig.request(GET).await.response().await;
        assert_eq!(response.expect(200).body, "ok");
        assert!(
            !response.head.to_lowercase().contains("load-metrics"),
            "{response:?}"
        );
        assert_eq!(rig.metrics().bad_load_reports, 1, "{lines}");
        assert_eq!(reported(&rig), None, "{lines}");
    }
}

#[tokio::test]
async fn an_answer_that_is_dropped_for_a_retry_reports_too() {
    let bad = Server::start(
        "HTTP/1.1 503 Busy\r\nendpoint-load-metrics: TEXT application_utilization=1.5\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let good = Server::start(crate::support::OK).await;
    let rig = Setup::new(&[bad.address, good.address]).start().await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send(GET).await;
        client.response().await.expect(200);
    }
    assert_eq!(reported(&rig).unwrap().utilization(), Some(1.5));
}
