//! Adverts leave on time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, Moment, now};
use crate::lan::{Lab, address};
use crate::live::{alone, median, samples};
use crate::power_loss::VIP;

const INTERVAL: u64 = 10 * MS;
const THOUSAND: usize = 1_000;
/// Half an interval: less than this an agent makes up for by itself.
const STALL: u64 = 5 * MS;

/// A thousand adverts at 10 ms in a row. Those that a stall of the machine swallowed are counted as due; a run in which
/// it stood still at the first or the last one says nothing of the pace.
#[test]
fn a_thousand_adverts_at_10_ms_take_9_99_s_to_a_millisecond() {
    alone(&[], || {
        let lab = Lab::new(1);
        // Without it the first and the last advert come when other programs let them; the pace between is the same.
        let realtime = "[node]\nrealtime = true\n";
        let _agent = Agent::locum(&lab, 1, &format!("{realtime}{}", toml(&[Router::new(200).every(10)])));
        lab.holders.wait(VIP, &[1]);
        let mut naps = Vec::new();
        let runs = samples("a thousand adverts at 10 ms", || {
            let (adverts, slept) = beside_a_sleeper(|| a_thousand(&lab));
            let (first, last) = (adverts[0], adverts[THOUSAND - 1]);
            let stood_still = |at: Moment| lab.stalls.within(at - 50 * MS, at + 50 * MS, STALL);
            let explained =
                adverts.windows(2).all(|pair| is_next(first, pair) || lab.stalls.within(pair[0], pair[1], STALL));
            naps.extend(slept);
            (!stood_still(first) && !stood_still(last) && explained).then_some(adverts)
        });
        let off: Vec<u64> = runs.iter().map(|adverts| off_pace(adverts)).collect();
        assert!(median(&off) <= MS, "from the first to the last advert they are off by {off:?} ns");
        let late = median(&runs.iter().flat_map(|adverts| lateness(&lab, adverts)).collect::<Vec<_>>());
        // A wake-up of a build without optimisation takes that long by itself where others have used the caches.
        let most = if cfg!(debug_assertions) { MS / 2 } else { MS / 5 };
        // Where more wants to run than there are processors, nobody is woken sooner than the scheduler likes.
        let sleeper = median(&naps);
        assert!(late <= most + sleeper, "median lateness is {late} ns, that of a mere sleeper {sleeper} ns");
    });
}

/// Does something while a thread that does nothing else wakes up at the same pace; how late that one was each time.
pub fn beside_a_sleeper<T>(what: impl FnOnce() -> T) -> (T, Vec<u64>) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            nix::sys::prctl::set_timerslack(1).expect("no slack, as a timerfd has none");
            let nap = Duration::from_nanos(INTERVAL);
            let mut late = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let from = Instant::now();
                thread::sleep(nap);
                late.push(u64::try_from((from.elapsed() - nap).as_nanos()).expect("less than centuries"));
            }
            late
        });
        let done = catch_unwind(AssertUnwindSafe(what));
        // Also where it failed: else this scope would wait for the sleeper for ever.
        over.store(true, Ordering::Relaxed);
        let done = done.unwrap_or_else(|panic| resume_unwind(panic));
        (done, sleeper.join().expect("it only slept"))
    })
}

fn a_thousand(lab: &Lab) -> Vec<Moment> {
    let from = now();
    let mut until = from + (THOUSAND as u64 + 5) * INTERVAL;
    loop {
        lab.wire.watched_until(until);
        let seen = lab.wire.since(from);
        let adverts: Vec<Moment> =
            seen.iter().filter(|seen| seen.asserts(address(1, 0))).map(|seen| seen.at).take(THOUSAND).collect();
        if adverts.len() == THOUSAND {
            return adverts;
        }
        assert!(until < from + 3 * THOUSAND as u64 * INTERVAL, "only {} adverts", adverts.len());
        until += (THOUSAND - adverts.len()) as u64 * INTERVAL;
    }
}

/// Which place on the pace of the first one an advert has.
fn place(first: Moment, at: Moment) -> u64 {
    (at - first + INTERVAL / 2) / INTERVAL
}

/// Whether the second of two adverts has the place after the first one's. A pace of its own would skip one sooner or
/// later, without any stall.
fn is_next(first: Moment, pair: &[Moment]) -> bool {
    place(first, pair[1]) == place(first, pair[0]) + 1
}

/// By how much the last advert is off its place.
fn off_pace(adverts: &[Moment]) -> u64 {
    let (first, last) = (adverts[0], adverts[adverts.len() - 1]);
    (last - first).abs_diff(place(first, last) * INTERVAL)
}

/// How late each advert is, on the pace that the most punctual one sets; without those of a stall.
fn lateness(lab: &Lab, adverts: &[Moment]) -> Vec<u64> {
    let calm = adverts.iter().filter(|at| !lab.stalls.within(**at - 20 * MS, **at, STALL));
    let phases: Vec<Moment> = calm.map(|at| at - place(adverts[0], *at) * INTERVAL).collect();
    let punctual = phases.iter().min().expect("adverts outside of stalls");
    phases.iter().map(|phase| phase - punctual).collect()
}
