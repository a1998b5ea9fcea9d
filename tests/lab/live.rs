//! How a live test begins, and how often something is measured.

use std::any::type_name;
use std::io::{Write, stderr};
use std::process::Command;

use crate::attempts::until_judged;
use crate::clock::{Moment, SECOND, in_ms};
use crate::common::{LiveGuard, Need, full, live_alone, live_guard, require, tool};
use crate::lan::Lab;
use crate::stalls;

/// What every lab is made with.
const ALWAYS: [Need; 4] = [Need::Namespaces, Need::Tool("ip"), Need::Tool("nft"), Need::Tool("setpriv")];
const INSIDE: &str = "LOCUM_LAB_INSIDE";

/// A processor that stood still for longer has agents miss adverts and leases without a fault of theirs.
const TOO_LONG: u64 = SECOND / 2;
/// How often a test is run at most for the sake of that.
const ATTEMPTS: u32 = 4;

/// Runs a test, beside others: as root right here, else as a child that is root of a user namespace.
pub fn live<F: Fn()>(needs: &[Need], test: F) {
    run(type_name::<F>(), needs, live_guard, || on_a_running_machine(type_name::<F>(), &test));
}

/// The same for a test that others would disturb: it waits until no other live test runs.
pub fn alone<F: Fn()>(needs: &[Need], test: F) {
    run(type_name::<F>(), needs, live_alone, || on_a_running_machine(type_name::<F>(), &test));
}

/// The same for a test that itself judges what a machine that stood still has done.
pub fn once<F: Fn()>(needs: &[Need], test: F) {
    run(type_name::<F>(), needs, live_guard, test);
}

/// A test that fails while a processor stands still has shown nothing, and is run again; not for ever.
fn on_a_running_machine(path: &str, test: &impl Fn()) {
    let stood_still = |from| stalls::longest_since(from) >= TOO_LONG;
    until_judged(path, ATTEMPTS, stood_still, || {
        test();
        Some(())
    });
}

/// `path` is that of the test's closure: so it is named, whatever the test runner calls this thread.
fn run(path: &str, needs: &[Need], turn: fn() -> LiveGuard, test: impl Fn()) {
    let inside = std::env::var_os(INSIDE).is_some();
    if !inside && !require(&[&ALWAYS, needs].concat()) {
        return;
    }
    if nix::unistd::geteuid().is_root() {
        let _turn = turn();
        return test();
    }
    let name = path.split_once("::").map_or(path, |(_, rest)| rest).trim_end_matches("::{{closure}}");
    // A process with threads cannot enter a user namespace, so a child begins inside one.
    let program = std::env::current_exe().expect("this test's program");
    let status = Command::new(tool("unshare").expect("unshare"))
        .args(["--user", "--map-root-user", "--net"])
        .arg(program)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare");
    assert!(status.success(), "{name} failed in its user namespace");
}

/// Measures until there are three undisturbed results, or twenty under `LOCUM_FULL=1`; `measure` gives `None` where the
/// machine stood still at a moment that matters.
pub fn samples<T>(what: &str, mut measure: impl FnMut() -> Option<T>) -> Vec<T> {
    let wanted = if full() { 20 } else { 3 };
    let mut results = Vec::new();
    let mut aside = 0;
    while results.len() < wanted {
        match measure() {
            Some(result) => results.push(result),
            None => aside += 1,
        }
        assert!(aside <= 10 * wanted, "{what}: the machine stood still in {aside} of {} runs", aside + results.len());
    }
    if aside > 0 {
        // Not eprintln!, which the test runner captures.
        writeln!(stderr(), "{what}: {aside} runs set aside because the machine stood still").expect("standard error");
    }
    results
}

/// The middle of them.
pub fn median<T: Copy + Ord>(results: &[T]) -> T {
    let mut sorted = results.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// What nine of ten of them do not exceed; of three, none.
pub fn most<T: Copy + Ord>(results: &[T]) -> T {
    let mut sorted = results.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * 9).div_ceil(10) - 1]
}

/// What a limit is for that nine of ten must keep: of a few runs, where one stands for a third of them, only the middle
/// one shows anything.
pub fn most_or_median<T: Copy + Ord>(results: &[T]) -> T {
    if full() { most(results) } else { median(results) }
}

/// Tells what was measured, in nanoseconds.
pub fn tell(what: &str, results: &[u64]) {
    let figures = [median(results), most(results), results.iter().copied().max().unwrap_or(0)].map(in_ms);
    let [median, most, max] = figures;
    let count = results.len();
    println!("{what}: median {median:.1} ms, 90th percentile {most:.1} ms, maximum {max:.1} ms of {count} runs");
}

/// A result, unless the machine stood still in one of these times.
pub fn unless_disturbed<T>(lab: &Lab, times: &[(Moment, Moment)], result: T) -> Option<T> {
    times.iter().all(|(from, to)| lab.undisturbed(*from, *to)).then_some(result)
}
