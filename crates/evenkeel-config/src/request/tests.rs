//! Bodies, right and wrong.

use super::*;

fn faults<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> Vec<String> {
    let error = read_body::<T>(text).unwrap_err();
    error.faults.iter().map(ToString::to_string).collect()
}

/// Each has exactly one fault, which begins with the field and holds the words.
fn each<T: DeserializeOwned + std::fmt::Debug>(rows: &[(&str, &str)]) {
    for (body, words) in rows {
        let found = faults::<T>(body);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert!(found[0].contains(words), "{body}: {found:?}");
    }
}

#[test]
fn an_instance_is_read() {
    let body = r#"{
        "address": "[::1]:9001", "weight": 7, "priority": 1, "region": "eu-west", "zone": "a",
        "metadata": { "version": "7", "smile": "\ud83d\ude00" }
    }"#;
    let request: InstanceRequest = read_body(body).unwrap();
    let instance = request.instance("web-1").unwrap();
    assert_eq!((instance.id.as_str(), instance.address.port()), ("web-1", 9001));
    assert_eq!((instance.weight.get(), instance.priority), (7, 1));
    assert_eq!(
        (instance.region.as_deref(), instance.zone.as_deref()),
        (Some("eu-west"), Some("a"))
    );
    assert_eq!(instance.metadata["smile"], "\u{1f600}");

    let request: InstanceRequest = read_body(r#"{"address":"10.0.0.1:80"}"#).unwrap();
    let instance = request.clone().instance("web-1").unwrap();
    assert_eq!((instance.weight, instance.priority), (Weight::ONE, 0));
    assert!(request.instance("a b").is_err());
}

#[test]
fn faults_of_an_instance_name_the_field() {
    each::<InstanceRequest>(&[
        ("", "the body is not JSON"),
        ("{", "the body is not JSON"),
        ("address: 10.0.0.1:80", "the body is not JSON"),
        ("[]", "the body is not a JSON object"),
        ("null", "the body is not a JSON object"),
        ("{}", "the key `address` is missing"),
        (
            r#"{"address":"web.example:80"}"#,
            "address: `web.example:80` is a name, and names are not resolved",
        ),
        (r#"{"address":"10.0.0.1:0"}"#, "address: "),
        (r#"{"address":"10.0.0.1"}"#, "address: "),
        (r#"{"address":null}"#, "address: "),
        (r#"{"address":7}"#, "address: "),
        (r#"{"address":"10.0.0.1:80","weight":0}"#, "weight: "),
        (r#"{"address":"10.0.0.1:80","weight":-1}"#, "weight: "),
        (r#"{"address":"10.0.0.1:80","weight":65536}"#, "weight: "),
        (r#"{"address":"10.0.0.1:80","weight":1.5}"#, "weight: "),
        (r#"{"address":"10.0.0.1:80","weight":"5"}"#, "weight: "),
        (
            r#"{"address":"10.0.0.1:80","weight":1e999}"#,
            "the body is not JSON",
        ),
        (
            r#"{"address":"10.0.0.1:80","weight":NaN}"#,
            "the body is not JSON",
        ),
        (r#"{"address":"10.0.0.1:80","priority":256}"#, "priority: "),
        (
            r#"{"address":"10.0.0.1:80","wieght":5}"#,
            "unknown key `wieght`: did you mean `weight`?",
        ),
        (r#"{"address":"10.0.0.1:80","id":"other"}"#, "unknown key `id`"),
        (r#"{"address":"10.0.0.1:80","metadata":{"a":[]}}"#, "metadata.a: "),
        (
            r#"{"address":"10.0.0.1:80","address":"10.0.0.2:80"}"#,
            "stands here twice",
        ),
    ]);
    let both = faults::<InstanceRequest>(r#"{"address":"x","weight":0,"zon":"a"}"#);
    assert_eq!(both.len(), 3, "{both:?}");
}

#[test]
fn scores_and_loads_are_numbers() {
    let health: HealthRequest = read_body(r#"{"score":1}"#).unwrap();
    assert_eq!((health.score, health.observed_at()), (1.0, None));
    let health: HealthRequest = read_body(r#"{"score":0.25,"observed_at":"1970-01-01T00:00:00Z"}"#).unwrap();
    assert_eq!(health.observed_at(), Some(SystemTime::UNIX_EPOCH));
    each::<HealthRequest>(&[
        ("{}", "`score` is missing"),
        (r#"{"score":"0.5"}"#, "score: wrong kind of value; write a number"),
        (r#"{"score":null}"#, "score: "),
        (r#"{"score":true}"#, "score: "),
        (
            r#"{"score":0.5,"observed_at":"now"}"#,
            "observed_at: `now` is not a time",
        ),
        (r#"{"score":0.5,"observed":1}"#, "did you mean `observed_at`"),
    ]);

    let load: LoadRequest = read_body(r#"{"cpu_utilization":0.5,"rps_fractional":120}"#).unwrap();
    let report = load.report().unwrap();
    assert_eq!((report.cpu(), report.memory()), (Some(0.5), None));
    assert_eq!(report.requests_per_second(), Some(120.0));
    let load: LoadRequest = read_body("{}").unwrap();
    assert!(load.report().unwrap().is_empty());
    for (body, field) in [
        (r#"{"cpu_utilization":-0.1}"#, "cpu_utilization"),
        (r#"{"cpu_utilization":1e300}"#, "cpu_utilization"),
        (r#"{"mem_utilization":1.01}"#, "mem_utilization"),
        (r#"{"application_utilization":101}"#, "application_utilization"),
        (r#"{"rps_fractional":-1}"#, "rps_fractional"),
        (r#"{"eps":-1}"#, "eps"),
    ] {
        let load: LoadRequest = read_body(body).unwrap();
        let error = load.report().unwrap_err();
        assert_eq!(error.faults.len(), 1);
        assert_eq!(error.faults[0].field.as_deref(), Some(field));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("{field}: ")) && text.len() < 100,
            "{text}"
        );
    }
    let load = r#"{"cpu_utilization":1e308,"mem_utilization":2,"application_utilization":0.5,"eps":-1}"#;
    let load: LoadRequest = read_body(load).unwrap();
    let all = load.report().unwrap_err();
    let fields: Vec<_> = all
        .faults
        .iter()
        .filter_map(|fault| fault.field.as_deref())
        .collect();
    assert_eq!(
        fields,
        ["cpu_utilization", "mem_utilization", "eps"],
        "all are told"
    );
    assert_eq!(
        all.faults[0].message,
        "1e308 is not a utilization from 0 to 100 (1 is all it has)"
    );
    each::<LoadRequest>(&[
        (r#"{"cpu":0.5}"#, "unknown key `cpu`"),
        (r#"{"eps":"many"}"#, "eps: "),
    ]);
}

#[test]
fn strategies_are_read_as_in_the_file() {
    let strategy = |body: &str| read_body::<ServicePatch>(body)?.operation("web");
    let named = strategy(r#"{"strategy":"round_robin"}"#).unwrap();
    assert!(matches!(
        named,
        Operation::SetStrategyByName(StrategyName::round_robin)
    ));
    let hashing = r#"{"name":"maglev","key":{"header":"x-user"},"table_size":1021}"#;
    match strategy(&format!(r#"{{"strategy":{hashing}}}"#)).unwrap() {
        Operation::SetStrategy(settings) => assert_eq!(settings.name(), StrategyName::maglev),
        other => panic!("{other:?}"),
    }
    let named = strategy(r#"{"shadow":"round_robin"}"#).unwrap();
    assert!(matches!(
        named,
        Operation::SetShadowByName(StrategyName::round_robin)
    ));
    match strategy(&format!(r#"{{"shadow":{hashing}}}"#)).unwrap() {
        Operation::SetShadow(Some(settings)) => assert_eq!(settings.name(), StrategyName::maglev),
        other => panic!("{other:?}"),
    }
    for none in [r#"{"shadow":null}"#, r#"{"shadow":"off"}"#] {
        let none = strategy(none).unwrap();
        assert!(matches!(none, Operation::SetShadow(None)));
    }
    for (body, words) in [
        ("{}", "there is nothing to change"),
        (
            r#"{"strategy":"random","shadow":null}"#,
            "one thing is changed at a time",
        ),
        (
            r#"{"shadow":{"name":"round_robin","key":"path"}}"#,
            "shadow.key: `round_robin` has no setting `key`",
        ),
        (
            r#"{"strategy":"rond_robin"}"#,
            "strategy: there is no strategy `rond_robin`: did you mean `round_robin`?",
        ),
        (
            r#"{"strategy":{"name":"maglev","table_size":250}}"#,
            "strategy.table_size: ",
        ),
        (
            r#"{"strategy":{"name":"round_robin","key":"path"}}"#,
            "strategy.key: `round_robin` has no setting `key`",
        ),
        (
            r#"{"strategy":{"name":"maglev","hash_secret_file":"/etc/passwd"}}"#,
            "strategy.hash_secret_file: files are not read",
        ),
        (r#"{"stratgy":"random"}"#, "did you mean `strategy`?"),
    ] {
        let error = strategy(body).unwrap_err().to_string();
        assert!(error.contains(words), "{body}: {error}");
    }
}
