//! What is judged by time is judged of a machine that did not stand still meanwhile.

use crate::attempts::until_judged;
use crate::clock::{MS, now};
use crate::stalls::Stalls;

/// With adverts of one second nobody notices a processor that stood still for less.
const NOTICED: u64 = 400 * MS;
/// Most attempts.
const ATTEMPTS: u32 = 5;

/// See [`until_judged`]; slow work of the kernel counts as standing still too.
pub fn judged(what: &str, attempt: impl FnMut() -> Option<()>) {
    let stalls = Stalls::watch();
    let stood_still = |from| stalls.slow_within(from, now()) || stalls.within(from, now(), NOTICED);
    until_judged(what, ATTEMPTS, stood_still, attempt);
}
