//! What is judged by time is judged of a machine that did not stand still meanwhile.

use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::clock::{Moment, now};

/// Has something tried until it succeeds, so many times at most. An attempt counts for nothing if it says so by `None`, or if it
/// fails although the machine stood still since its beginning; any other failure is one, and that of the last attempt in any
/// case. Each attempt begins with what it needs.
pub fn until_judged(
    what: &str,
    most: u32,
    stood_still: impl Fn(Moment) -> bool,
    mut attempt: impl FnMut() -> Option<()>,
) {
    for number in 1..=most {
        let from = now();
        let panic = match catch_unwind(AssertUnwindSafe(&mut attempt)) {
            Ok(Some(())) => return,
            Ok(None) => None,
            Err(panic) => Some(panic),
        };
        let counts = !stood_still(from) || number == most;
        if let Some(panic) = panic.filter(|_| counts) {
            resume_unwind(panic);
        }
        // Not eprintln!, which the test runner captures.
        writeln!(stderr(), "{what}: attempt {number} is set aside, the machine stood still").expect("standard error");
    }
    panic!("{what}: the machine was too slow {most} times");
}
