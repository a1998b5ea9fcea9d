//! When the machine itself stood still, so that what it did to a measurement is not laid at an agent's door.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock::{MS, Moment, now};

const NAP: Duration = Duration::from_millis(1);
/// A nap that took longer than this was a stall.
const STALL: Duration = Duration::from_millis(20);
/// As much as the beginning of a stall may lie before the nap that showed it.
const MARGIN: u64 = 2 * MS;

pub struct Stalls {
    found: Arc<Mutex<Vec<(Moment, Moment)>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stalls {
    pub fn watch() -> Self {
        let (found, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (theirs, until) = (Arc::clone(&found), Arc::clone(&end));
        let run = move || {
            while !until.load(Ordering::Relaxed) {
                let (asleep, from) = (Instant::now(), now());
                thread::sleep(NAP);
                if asleep.elapsed() > STALL {
                    theirs.lock().expect("nobody panicked over it").push((from, now()));
                }
            }
        };
        let thread = thread::Builder::new().name("stalls".into()).spawn(run).expect("a thread");
        Stalls { found, end, thread: Some(thread) }
    }

    /// Whether the machine stood still for a part of this time.
    pub fn within(&self, from: Moment, to: Moment) -> bool {
        let found = self.found.lock().expect("nobody panicked over it");
        found.iter().any(|(begin, end)| *begin <= to + MARGIN && *end + MARGIN >= from)
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
