//! The simulator: whole agents on a simulated LAN, on virtual time, from one seed.
//!
//! A faulty phase, then a calm one that must converge; invariants are looked at in every step. A seed that fails
//! prints itself, as little of what it drew as still fails so, and what happened last. `LOCUM_SIM_SEED=N cargo test --test sim replay -- --nocapture`
//! plays it again and prints everything. `LOCUM_SIM_SEEDS` says how many seeds `many_seeds` plays.

mod check;
mod drawn;
mod host;
mod keepalived;
mod lan;
mod mixed;
mod model;
mod recorded;
mod replay;
mod rng;
mod scenario;
mod shrink;
mod trace;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use check::Compared;
use drawn::Drawn;
use scenario::{START, Scenario};
use world::World;

/// In so many seeds each kind of fault is drawn; the rarest is in one of a hundred.
const ENOUGH: u64 = 2_000;
/// Played by a plain `cargo test`; the long run sets LOCUM_SIM_SEEDS.
const SEEDS: u64 = 300;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}: no number: {text}")))
}

/// What a seed that went well gives.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    inputs: u64,
    virtual_seconds: u64,
    trace: String,
    drawn: Drawn,
    compared: Compared,
}

/// Plays one seed, or says what went wrong, to be read.
fn play(seed: u64, whole_trace: bool) -> Result<Played, String> {
    let plan = Scenario::draw(seed);
    let virtual_seconds = plan.end.since(START).as_secs();
    let drawn = plan.to_string();
    let mut world = World::new(plan, whole_trace);
    match world.run() {
        Ok(()) => {
            let mut drawn = world.drawn.clone();
            drawn.plan(&Scenario::draw(seed));
            Ok(Played {
                inputs: world.handled,
                virtual_seconds,
                trace: world.trace.text(),
                drawn,
                compared: world.compared(),
            })
        }
        Err(wrong) if whole_trace => Err(format!("{drawn}\n{}\nseed {seed}: {wrong}\n", world.trace.text())),
        Err(wrong) => {
            let least = shrink::shrink(Scenario::draw(seed), &wrong);
            let drawn = least.to_string();
            let mut world = World::new(least, false);
            let least_wrong = world.run().err().unwrap_or_default();
            let trace = world.trace.text();
            Err(format!("as little of it as fails:\n{drawn}\n{trace}\n{least_wrong}\n\nseed {seed}: {wrong}\n"))
        }
    }
}

#[test]
fn ten_thousand_seeds() {
    let seeds = number_from("LOCUM_SIM_SEEDS").unwrap_or(SEEDS);
    let first = number_from("LOCUM_SIM_FIRST").unwrap_or(0);
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let (handled, seconds) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let seen = Mutex::new((Drawn::default(), Compared::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    match play(seed, false) {
                        Ok(played) => {
                            handled.fetch_add(played.inputs, Ordering::Relaxed);
                            seconds.fetch_add(played.virtual_seconds, Ordering::Relaxed);
                            let mut seen = seen.lock().unwrap();
                            seen.0.add(&played.drawn);
                            seen.1.add(&played.compared);
                        }
                        Err(report) => {
                            failed.store(true, Ordering::Relaxed);
                            failures.lock().unwrap().push((seed, report));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    if let Some((seed, report)) = failures.into_iter().min() {
        panic!("{report}replay: LOCUM_SIM_SEED={seed} cargo test --test sim replay -- --nocapture");
    }
    let hours = seconds.into_inner() / 3600;
    let (drawn, compared) = seen.into_inner().unwrap();
    println!(
        "{seeds} seeds, {hours} simulated hours, {} inputs\ndrawn: {drawn}\nby the reference: {compared:?}",
        handled.into_inner()
    );
    if seeds >= ENOUGH {
        assert_eq!(drawn.missing(), [""; 0], "never drawn");
    }
    if seeds >= SEEDS {
        // Else the reference would be out of step for most of the time, and agree with everything.
        assert!(compared.known * 2 > compared.steps && compared.claims > seeds, "{compared:?}");
    }
}

#[test]
fn replay() {
    if let Some(seed) = number_from("LOCUM_SIM_SEED") {
        let played = play(seed, true).unwrap_or_else(|report| panic!("{report}"));
        println!("{}{}", Scenario::draw(seed), played.trace);
    }
}

#[test]
fn a_seed_plays_the_same_twice() {
    for seed in 0..5 {
        assert_eq!(play(seed, true), play(seed, true));
    }
}
