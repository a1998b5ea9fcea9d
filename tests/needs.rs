//! That tests which need a machine take turns and say what they lack.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{Need, live_guard, require, tool};

#[test]
fn live_tests_take_turns() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let turns = (0..4).map(|_| {
        thread::spawn(|| {
            let _turn = live_guard();
            assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0, "two live tests at once");
            thread::yield_now();
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        })
    });
    for turn in turns.collect::<Vec<_>>() {
        turn.join().expect("no turn was disturbed");
    }
}

#[test]
fn a_program_is_found_or_missed() {
    assert!(tool("sh").is_some_and(|path| path.is_absolute()));
    assert_eq!(tool("no-such-program-anywhere"), None);
    assert!(require(&[Need::Tool("sh")]));
}
