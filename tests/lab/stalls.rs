//! When the machine itself stood still, so that what it did to a measurement is not laid at an agent's door.
//!
//! A virtual machine may lose one of its processors for a while, so each is watched by a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::clock::{MS, Moment, now};

const NAP: Duration = Duration::from_millis(1);
/// A nap that took longer than this is remembered.
const REMEMBERED: Duration = Duration::from_millis(5);
/// A nap that took longer than this was a stall.
pub const STALL: u64 = 20 * MS;
/// As much as the beginning of a stall may lie before the nap that showed it.
const MARGIN: u64 = 2 * MS;

type Naps = Arc<Mutex<Vec<(Moment, Moment)>>>;

pub struct Stalls {
    found: Naps,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Stalls {
    pub fn watch() -> Self {
        let (found, end) = (Naps::default(), Arc::new(AtomicBool::new(false)));
        let ours = sched_getaffinity(Pid::from_raw(0)).expect("our processors");
        let processors = (0..CpuSet::count()).filter(|processor| ours.is_set(*processor).unwrap_or(false));
        let watch = |processor: usize| {
            let (theirs, until) = (Arc::clone(&found), Arc::clone(&end));
            let run = move || doze(processor, &theirs, &until);
            thread::Builder::new().name(format!("stalls {processor}")).spawn(run).expect("a thread")
        };
        let threads = processors.map(watch).collect();
        Stalls { found, end, threads }
    }

    /// Whether a processor stood still for longer than so many nanoseconds (from 5 ms on) in a part of this time.
    pub fn within(&self, from: Moment, to: Moment, longer: u64) -> bool {
        let found = self.found.lock().expect("nobody panicked over it");
        let here = found.iter().filter(|(begin, end)| *begin <= to + MARGIN && *end + MARGIN >= from);
        here.into_iter().any(|(begin, end)| end - begin > longer)
    }
}

fn doze(processor: usize, found: &Naps, end: &AtomicBool) {
    let mut only = CpuSet::new();
    only.set(processor).expect("one of our processors");
    sched_setaffinity(Pid::from_raw(0), &only).expect("one of our processors");
    while !end.load(Ordering::Relaxed) {
        let (asleep, from) = (Instant::now(), now());
        thread::sleep(NAP);
        if asleep.elapsed() > REMEMBERED {
            found.lock().expect("nobody panicked over it").push((from, now()));
        }
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}
