//! A strict reader of the Prometheus text format: whatever a scraper might stumble over panics here.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

#[derive(Debug)]
pub(crate) struct Exposition(pub(crate) BTreeMap<String, Family>);

impl Exposition {
    /// The value of the only sample of `family` whose labels include `labels`.
    pub(crate) fn value(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = &self
            .0
            .get(family)
            .unwrap_or_else(|| panic!("no {family}"))
            .samples;
        let mut found = samples.iter().filter(|(name, has, _)| {
            name == family && labels.iter().all(|(k, v)| has.get(*k).is_some_and(|x| x == v))
        });
        let (_, _, value) = found.next().unwrap_or_else(|| panic!("no {family} {labels:?}"));
        assert!(found.next().is_none(), "{family} {labels:?} is there twice");
        *value
    }
}

pub(crate) fn parse(text: &str) -> Exposition {
    assert!(text.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut series = BTreeSet::new();
    let mut helped = None;
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            assert!(
                helped.replace(name.to_owned()).is_none(),
                "HELP without TYPE before {line}"
            );
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.take().as_deref(), Some(name), "TYPE follows its HELP");
            let family = Family {
                kind: kind.to_owned(),
                samples: Vec::new(),
            };
            assert!(
                families.insert(name.to_owned(), family).is_none(),
                "{name} is there twice"
            );
            name.clone_into(&mut current);
        } else {
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&current).unwrap();
            let plain = match family.kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix)),
                _ => Some(&*name),
            };
            assert_eq!(plain, Some(&*current), "the sample stands with its family");
            assert!(series.insert((name.clone(), labels.clone())), "twice: {line}");
            family.samples.push((name, labels, value));
        }
    }
    for (name, family) in &families {
        match family.kind.as_str() {
            "counter" => assert!(name.ends_with("_total"), "{name}"),
            "gauge" => assert!(!name.ends_with("_total"), "{name}"),
            "histogram" => histogram(name, family),
            other => panic!("{name} has the kind {other}"),
        }
    }
    Exposition(families)
}

fn histogram(name: &str, family: &Family) {
    let mut last: BTreeMap<Labels, (f64, f64)> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        if sample.ends_with("_bucket") {
            let bound: f64 = labels.remove("le").unwrap().parse().unwrap();
            if let Some((bound_before, below)) = last.insert(labels, (bound, *value)) {
                assert!(
                    bound > bound_before && *value >= below,
                    "{name}: buckets are cumulative"
                );
            }
        } else if sample.ends_with("_count") {
            counts.insert(labels, *value);
        }
    }
    for (labels, (bound, value)) in last {
        assert!(bound.is_infinite(), "{name} ends with +Inf");
        assert_eq!(Some(&value), counts.get(&labels), "{name}");
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let name_end = line.find(['{', ' ']).unwrap();
    let name = &line[..name_end];
    assert!(
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
        "{line}"
    );
    let mut labels = Labels::new();
    let mut rest = &line[name_end..];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match after.split_at(1) {
                (",", after) => rest = after,
                ("}", after) => {
                    rest = after;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(!value.contains(' '), "no timestamps: {line}");
    (name.to_owned(), labels, value.parse().unwrap())
}

fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return (value, &text[index + 1..]),
            '\\' => match chars.next().unwrap().1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => panic!("\\{other}"),
            },
            _ => value.push(c),
        }
    }
    panic!("no closing quote in {text}");
}
