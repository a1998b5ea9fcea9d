//! What is judged by time is judged of a machine that did not stand still meanwhile.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::clock::{MS, now};
use crate::stalls::Stalls;

/// With adverts of one second nobody notices a processor that stood still for less.
const NOTICED: u64 = 400 * MS;
/// Most attempts.
const ATTEMPTS: u32 = 5;

/// Has something tried until it succeeds. An attempt counts for nothing if it says so by `None`, or if it fails although
/// the machine stood still meanwhile; any other failure is one. Each attempt begins with what it needs.
pub fn judged(what: &str, mut attempt: impl FnMut() -> Option<()>) {
    let stalls = Stalls::watch();
    for number in 1..=ATTEMPTS {
        let from = now();
        let panic = match catch_unwind(AssertUnwindSafe(&mut attempt)) {
            Ok(Some(())) => return,
            Ok(None) => None,
            Err(panic) => Some(panic),
        };
        let stood_still = stalls.slow_within(from, now()) || stalls.within(from, now(), NOTICED);
        if let Some(panic) = panic.filter(|_| !stood_still || number == ATTEMPTS) {
            resume_unwind(panic);
        }
        // Not eprintln!, which the test runner captures.
        writeln!(std::io::stderr(), "{what}: attempt {number} is set aside, the machine was too slow for it").ok();
    }
    panic!("{what}: the machine was too slow {ATTEMPTS} times");
}
