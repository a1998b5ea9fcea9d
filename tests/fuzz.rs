//! What fuzzing has found worth keeping, played again: each file of `tests/fuzz/corpus` against the property of its target.

use std::fs;
use std::path::Path;

#[path = "fuzz/properties/advert.rs"]
mod advert;
#[path = "fuzz/properties/arp.rs"]
mod arp;
#[path = "fuzz/properties/nd.rs"]
mod nd;
#[path = "fuzz/properties/trailer.rs"]
mod trailer;

/// Each target must have at least this many files: an empty folder proves nothing.
const FEWEST: usize = 10;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= FEWEST, "{} has {} files", folder.display(), files.len());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let outcome = std::panic::catch_unwind(|| check(&bytes));
        assert!(outcome.is_ok(), "{} breaks the property", file.display());
    }
}

#[test]
fn adverts() {
    replay("advert", advert::check);
}

#[test]
fn arp_packets() {
    replay("arp", arp::check);
}

#[test]
fn neighbor_advertisements() {
    replay("nd", nd::check);
}

#[test]
fn trailers() {
    replay("trailer", trailer::check);
}
