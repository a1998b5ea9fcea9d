//! That tests which need a machine take turns and say what they lack.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{Need, live_alone, live_guard, require, tool};

#[test]
fn who_must_be_alone_is_alone() {
    static BESIDE: AtomicUsize = AtomicUsize::new(0);
    static ALONE: AtomicUsize = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _turn = live_guard();
                BESIDE.fetch_add(1, Ordering::SeqCst);
                assert_eq!(ALONE.load(Ordering::SeqCst), 0, "beside a test that must be alone");
                thread::yield_now();
                BESIDE.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for _ in 0..3 {
            scope.spawn(|| {
                let _turn = live_alone();
                assert_eq!(ALONE.fetch_add(1, Ordering::SeqCst), 0, "two at once that must be alone");
                assert_eq!(BESIDE.load(Ordering::SeqCst), 0, "another one beside it");
                thread::yield_now();
                ALONE.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
}

#[test]
fn a_program_is_found_or_missed() {
    assert!(tool("sh").is_some_and(|path| path.is_absolute()));
    assert_eq!(tool("no-such-program-anywhere"), None);
    assert!(require(&[Need::Tool("sh")]));
}
