//! When the machine itself stood still, so that what it did to a measurement is not laid at an agent's door.
//!
//! A virtual machine may lose one of its processors for a while, so each is watched by a thread of its own. One more
//! watches how long the kernel's own work takes that ends processes and leases: where many programs want to run it waits
//! for whichever of them was interrupted at a bad moment, for seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use crate::clock::{MS, Moment, now};

const NAP: Duration = Duration::from_millis(1);
/// A nap that took longer than this is remembered.
const REMEMBERED: Duration = Duration::from_millis(5);
/// One that took longer than this is told of after its lab is gone.
const LONGER: Duration = Duration::from_millis(200);
/// A nap that took longer than this was a stall.
pub const STALL: u64 = 20 * MS;
/// As much as the beginning of a stall may lie before the nap that showed it.
const MARGIN: u64 = 2 * MS;

/// Between two looks at the kernel's own work.
const PAUSE: Duration = Duration::from_millis(50);
/// Work of the kernel that took longer than this was a stall of its own.
const SLOW: u64 = 250 * MS;

type Naps = Arc<Mutex<Vec<(Moment, Moment)>>>;

/// Who needs this long for work of its own ends leases and processes late by as much, as if a processor had stood still.
const VERY_SLOW: u64 = 1_000 * MS;

/// Of all labs of this process, also those that are gone.
static LONG: Mutex<Vec<(Moment, Moment)>> = Mutex::new(Vec::new());

/// For how long a processor, or the kernel's own work, stood still at most, from a moment on; 0 for less than 200 ms, or a
/// second.
pub fn longest_since(from: Moment) -> u64 {
    let found = LONG.lock().expect("nobody panicked over it");
    found.iter().filter(|(_, end)| *end >= from).map(|(begin, end)| end - begin).max().unwrap_or(0)
}

/// When the kernel was slow, and since when it has been at what is asked of it just now.
#[derive(Default)]
struct Work {
    slow: Vec<(Moment, Moment)>,
    since: Option<Moment>,
}

pub struct Stalls {
    found: Naps,
    work: Arc<Mutex<Work>>,
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
        let mut threads: Vec<JoinHandle<()>> = processors.map(watch).collect();
        let work = Arc::<Mutex<Work>>::default();
        let (theirs, until) = (Arc::clone(&work), Arc::clone(&end));
        let run = move || ask_of_the_kernel(&theirs, &until);
        threads.push(thread::Builder::new().name("kernel".to_owned()).spawn(run).expect("a thread"));
        Stalls { found, work, end, threads }
    }

    /// Whether the kernel was slow to do its own work in a part of this time.
    pub fn slow_within(&self, from: Moment, to: Moment) -> bool {
        self.slow().iter().any(|(begin, end)| *begin <= to && *end >= from)
    }

    /// When the kernel was slow to do its own work, until now.
    pub fn slow(&self) -> Vec<(Moment, Moment)> {
        let work = self.work.lock().expect("nobody panicked over it");
        let under_way = work.since.map(|since| (since, now())).filter(|(since, now)| now - since > SLOW);
        work.slow.iter().copied().chain(under_way).collect()
    }

    /// Whether a processor stood still for longer than so many nanoseconds (from 5 ms on) in a part of this time.
    pub fn within(&self, from: Moment, to: Moment, longer: u64) -> bool {
        let found = self.found.lock().expect("nobody panicked over it");
        let here = found.iter().filter(|(begin, end)| *begin <= to + MARGIN && *end + MARGIN >= from);
        here.into_iter().any(|(begin, end)| end - begin > longer)
    }

    /// Every time that a processor stood still for longer than [`STALL`], from a moment on.
    pub fn since(&self, from: Moment) -> Vec<(Moment, Moment)> {
        let found = self.found.lock().expect("nobody panicked over it");
        found.iter().copied().filter(|(begin, end)| *end >= from && end - begin > STALL).collect()
    }
}

fn doze(processor: usize, found: &Naps, end: &AtomicBool) {
    let mut only = CpuSet::new();
    only.set(processor).expect("one of our processors");
    sched_setaffinity(Pid::from_raw(0), &only).expect("one of our processors");
    while !end.load(Ordering::Relaxed) {
        let (asleep, from) = (Instant::now(), now());
        thread::sleep(NAP);
        let nap = asleep.elapsed();
        if nap > REMEMBERED {
            found.lock().expect("nobody panicked over it").push((from, now()));
        }
        if nap > LONGER {
            LONG.lock().expect("nobody panicked over it").push((from, now()));
        }
    }
}

/// Closing a packet socket waits for what the end of a process waits for, and much else.
fn ask_of_the_kernel(work: &Mutex<Work>, end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).expect("a packet socket");
        let since = now();
        work.lock().expect("nobody panicked over it").since = Some(since);
        drop(socket);
        let until = now();
        let mut work = work.lock().expect("nobody panicked over it");
        work.since = None;
        if until - since > SLOW {
            work.slow.push((since, until));
        }
        if until - since > VERY_SLOW {
            LONG.lock().expect("nobody panicked over it").push((since, until));
        }
        drop(work);
        thread::sleep(PAUSE);
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
