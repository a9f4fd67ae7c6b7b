//! The example does what it says.

#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../examples/hyper_client.rs"]
mod hyper_client;

#[tokio::test]
async fn the_hyper_client_loses_no_request_to_a_killed_server() {
    let summary = hyper_client::run().await.unwrap();
    assert_eq!(summary.failed, 0, "{summary}");
    assert_eq!(summary.answered[..2], [300, 300], "{summary}");
    let [before, dead, after] = summary.from_mortal;
    assert!(before > 0 && dead == 0 && after > 0, "{summary}");
    assert!(summary.retries > 0, "requests met the dead server: {summary}");
    // An ejection keeps them from meeting it each time.
    assert!(summary.retries < 100, "{summary}");
}
