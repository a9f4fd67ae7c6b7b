//! Replays the corpora of the fuzz targets through the same checks.

use std::path::Path;

use crate::checks;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn request_head() {
    replay("request_head", checks::request_head);
}

#[test]
fn response_head() {
    replay("response_head", checks::response_head);
}

#[test]
fn body_filter() {
    replay("body_filter", checks::body_filter);
}
