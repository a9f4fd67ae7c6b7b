use super::*;
use proptest::prelude::*;

fn report(cpu: f64, memory: f64, rps: f64, eps: f64, application: f64) -> LoadReport {
    LoadReport::default()
        .with_cpu(cpu)
        .and_then(|report| report.with_memory(memory))
        .and_then(|report| report.with_requests_per_second(rps))
        .and_then(|report| report.with_errors_per_second(eps))
        .and_then(|report| report.with_application(application))
        .unwrap()
}

/// A field of the message: a double.
fn double(field: u8, value: f64) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 1];
    bytes.extend(value.to_le_bytes());
    bytes
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        for digit in 0..=group.len() {
            text.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize].into());
        }
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[test]
fn all_forms_say_the_same() {
    let expected = report(0.7, 0.9, 6.5, 0.25, 1.5);
    let text = "TEXT cpu_utilization=0.7, mem_utilization=0.9,rps_fractional=6.5,eps=2.5e-1,\
                named_metrics.queue=9,application_utilization = 1.5";
    assert_eq!(LoadReport::from_orca(text.as_bytes()), Ok(expected));
    for json in [
        r#"JSON {"cpu_utilization": 0.7, "mem_utilization": 0.9, "rps_fractional": 6.5, "eps": 0.25, "application_utilization": 1.5}"#,
        r#"JSON {"cpuUtilization":"0.7","memUtilization":9e-1,"namedMetrics":{"a\"}":1,"b":[{},[],true,"]"]},
           "rpsFractional":6.5,"rps":"7","eps":0.25,"applicationUtilization":1.5 } "#,
    ] {
        assert_eq!(LoadReport::from_orca(json.as_bytes()), Ok(expected), "{json}");
    }
    let mut message = double(1, 0.7);
    // rps, a named metric, and an unknown field of 32 bits.
    message.extend([
        3 << 3,
        0xac,
        0x02,
        8 << 3 | 2,
        3,
        b'a',
        b'b',
        b'c',
        15 << 3 | 5,
        1,
        2,
        3,
        4,
    ]);
    for (field, value) in [(2, 0.9), (6, 6.5), (7, 0.25), (9, 1.5)] {
        message.extend(double(field, value));
    }
    let binary = base64(&message);
    assert_eq!(LoadReport::from_orca_binary(binary.as_bytes()), Ok(expected));
    assert_eq!(
        LoadReport::from_orca(format!("BIN {binary}").as_bytes()),
        Ok(expected)
    );
}

/// `cpu_utilization: 0.5, mem_utilization: 0.25, rps_fractional: 100`, put together by hand from the
/// specification of the encoding.
#[test]
fn a_message_byte_by_byte() {
    let report = LoadReport::from_orca_binary(b"CQAAAAAAAOA/EQAAAAAAANA/MQAAAAAAAFlA").unwrap();
    assert_eq!(
        (report.cpu(), report.memory(), report.requests_per_second()),
        (Some(0.5), Some(0.25), Some(100.0))
    );
    assert_eq!((report.application(), report.errors_per_second()), (None, None));
}

#[test]
fn what_is_unknown_is_skipped() {
    for value in [
        "TEXT named_metrics.queue=3",
        "TEXT CPU_UTILIZATION=3",
        "JSON {}",
        "JSON { \"rps\": 5, \"cpu_utilization\": null }",
        "BIN ",
        "BIN GAU=",
    ] {
        assert_eq!(
            LoadReport::from_orca(value.as_bytes()),
            Ok(LoadReport::default()),
            "{value}"
        );
    }
}

#[test]
fn a_bad_report_says_nothing() {
    let number =
        |field| move |error: &OrcaError| matches!(error, OrcaError::Number(error) if error.field == field);
    let cpu = number("cpu_utilization");
    for value in [
        "TEXT cpu_utilization=NaN",
        "TEXT cpu_utilization=inf",
        "TEXT cpu_utilization=-0.1",
        "TEXT cpu_utilization=100.5",
        "TEXT mem_utilization=0.5,cpu_utilization=1e300",
        "JSON {\"cpu_utilization\": \"NaN\"}",
        "JSON {\"cpuUtilization\": -1}",
        "BIN CQAAAAAAAPh/",
    ] {
        let error = LoadReport::from_orca(value.as_bytes()).unwrap_err();
        assert!(cpu(&error), "{value}: {error}");
    }
    for value in [
        "TEXT eps=1,eps=1",
        "JSON {\"eps\": 1, \"eps\": 1}",
        "BIN OQAAAAAAAPA/OQAAAAAAAPA/",
    ] {
        let error = LoadReport::from_orca(value.as_bytes()).unwrap_err();
        assert_eq!(error, OrcaError::Repeated("eps"), "{value}");
    }
    for value in [
        "TEXT ",
        "TEXT cpu_utilization",
        "TEXT cpu_utilization=",
        "TEXT =1",
        "TEXT cpu_utilization=0.5,",
        "TEXT cpu_utilization=0.5;mem_utilization=0.5",
        "TEXT cpu_utilization=0,5",
        "TEXT cpu_utilization=\u{ff11}",
        "JSON ",
        "JSON []",
        "JSON {",
        "JSON {}}",
        "JSON {\"eps\"}",
        "JSON {\"eps\": }",
        "JSON {\"eps\": true}",
        "JSON {\"eps\": +1}",
        "JSON {\"eps\": inf}",
        "JSON {\"eps\": [1]}",
        "JSON {\"eps\": 1,}",
        "JSON {\"eps: 1}",
        "JSON {\"a\": [[[[[[[[[1]]]]]]]]]}",
        "BIN CQAAAAAAAOA",
        "BIN !",
        "BIN CQ==",
        "BIN AA==",
        "BIN Cw==",
        "BIN gICAgICAgICAgAA=",
        "BIN QgU=",
        "BIN Qv////8P",
    ] {
        let error = LoadReport::from_orca(value.as_bytes()).unwrap_err();
        assert!(matches!(error, OrcaError::Malformed(_)), "{value}: {error}");
    }
    for value in [
        "",
        "text eps=1",
        "TEXT",
        "XML <eps>1</eps>",
        "cpu_utilization=0.5",
    ] {
        assert_eq!(
            LoadReport::from_orca(value.as_bytes()),
            Err(OrcaError::UnknownForm),
            "{value}"
        );
    }
    let long = format!("TEXT eps=1,{}=1", "a".repeat(LONGEST));
    assert!(matches!(
        LoadReport::from_orca(long.as_bytes()),
        Err(OrcaError::TooLong(_))
    ));
    assert!(matches!(
        LoadReport::from_orca_binary(&[b'A'; LONGEST + 1]),
        Err(OrcaError::TooLong(_))
    ));
    let longest = [b'A'; LONGEST];
    assert_eq!(
        LoadReport::from_orca_binary(&longest),
        Err(OrcaError::Malformed("OrcaLoadReport message"))
    );
}

/// Bytes that look like reports, as bytes at random hardly ever do.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "cpu_utilization",
            "eps",
            "\"eps\"",
            "=",
            ":",
            ",",
            "{",
            "}",
            "[",
            "]",
            "\"",
            "\\",
            "0.5",
            "1e9",
            "-",
            "NaN",
            "null",
            " ",
            "AA",
            "CQ",
            "==",
            "////",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let form = prop::sample::select(vec!["TEXT ", "JSON ", "JSON {", "BIN ", ""]);
    (form, prop::collection::vec(piece, 0..24))
        .prop_map(|(form, pieces)| [form.as_bytes(), &pieces.concat()].concat())
}

proptest! {
    #[test]
    fn no_bytes_are_too_bad(value in likely(), message in prop::collection::vec(any::<u8>(), 0..64)) {
        let message = base64(&message);
        for read in [
            LoadReport::from_orca(&value),
            LoadReport::from_orca_binary(&value),
            LoadReport::from_orca_binary(message.as_bytes()),
        ] {
            let Ok(report) = read else { continue };
            let numbers = [report.cpu(), report.application(), report.requests_per_second(), report.errors_per_second()];
            prop_assert!(numbers.iter().flatten().all(|number| *number >= 0.0 && number.is_finite()));
            prop_assert!(report.memory().is_none_or(|memory| (0.0..=1.0).contains(&memory)));
        }
    }

    #[test]
    fn numbers_survive_every_form(cpu in 0.0..100.0f64, memory in 0.0..=1.0f64, rps in 0.0..1e9f64) {
        let message = [double(1, cpu), double(2, memory), double(6, rps)].concat();
        let expected = LoadReport::from_orca_binary(base64(&message).as_bytes());
        let text = format!("TEXT cpu_utilization={cpu},mem_utilization={memory:e},rps_fractional={rps}");
        prop_assert_eq!(LoadReport::from_orca(text.as_bytes()), expected);
        let json = format!("JSON {{\"cpu_utilization\":{cpu},\"memUtilization\":\"{memory}\",\"rpsFractional\":{rps}}}");
        prop_assert_eq!(LoadReport::from_orca(json.as_bytes()), expected);
        prop_assert!(expected.is_ok());
    }
}
