//! Captures on the switch's end of the client's cable: what the client can see, stamped by the kernel.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::frame::{self, Sight};
use crate::io::capture::Capture;
use crate::types::MacAddr;

/// A moment: nanoseconds since 1970, as the kernel stamps.
pub(super) type Stamp = u64;

/// Everything captured so far that matters, each list in the order of its stamps.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) adverts: Vec<(Stamp, Ipv4Addr, u8)>,
    pub(super) announcements: Vec<(Stamp, Ipv4Addr, MacAddr)>,
    /// Echo requests by number.
    pub(super) requests: Vec<(Stamp, u64)>,
    /// Echo replies: number and the host they came from.
    pub(super) replies: Vec<(Stamp, u64, MacAddr)>,
    /// Frames that the capture missed.
    pub(super) missed: u32,
    /// Why the capture ended, if it did.
    broken: Option<String>,
}

impl Record {
    fn note(&mut self, stamp: Stamp, sight: Sight) {
        match sight {
            Sight::Advert { from, priority } => self.adverts.push((stamp, from, priority)),
            Sight::Announcement { address, mac } => self.announcements.push((stamp, address, mac)),
            Sight::Request { number } => self.requests.push((stamp, number)),
            Sight::Reply { number, mac } => self.replies.push((stamp, number, mac)),
        }
    }
}

/// How waiting for something ended without it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It did not come in time.
    Late,
    /// It cannot come any more; why.
    Hopeless(String),
}

/// The capturing thread and what it has seen.
#[derive(Debug)]
pub(super) struct Observer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    record: Mutex<Record>,
    news: Condvar,
    stop: AtomicBool,
}

/// How often one who waits looks beyond the wire.
const LOOK_AROUND: Duration = Duration::from_millis(100);

impl Observer {
    /// Begins to observe.
    pub(super) fn start(capture: Capture) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("observer".to_owned()).spawn(move || observe(capture, &theirs))?;
        Ok(Observer { shared, thread: Some(thread) })
    }

    /// Waits until `found` finds what it looks for in the record, at most `patience`, and no longer than
    /// `hopeless` has nothing to say.
    pub(super) fn wait_for<T>(
        &self,
        patience: Duration,
        mut hopeless: impl FnMut() -> Option<String>,
        mut found: impl FnMut(&Record) -> Option<T>,
    ) -> Result<T, Missing> {
        let deadline = Instant::now() + patience;
        let mut look_around = Instant::now();
        let mut record = self.record();
        loop {
            if let Some(found) = found(&record) {
                return Ok(found);
            }
            if let Some(why) = &record.broken {
                return Err(Missing::Hopeless(why.clone()));
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(Missing::Late);
            }
            if now >= look_around {
                look_around = now + LOOK_AROUND;
                if let Some(why) = hopeless() {
                    return Err(Missing::Hopeless(why));
                }
            }
            let until = deadline.min(look_around).saturating_duration_since(now);
            record = self.shared.news.wait_timeout(record, until).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was seen so far.
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // A panic of the thread ends the process, so there is nothing else to learn from joining it.
        self.thread.take().map(JoinHandle::join);
    }
}

fn observe(mut capture: Capture, shared: &Shared) {
    while !shared.stop.load(Ordering::Relaxed) {
        if let Err(error) = take_all(&mut capture, shared) {
            let mut record = shared.record.lock().unwrap_or_else(PoisonError::into_inner);
            record.broken = Some(format!("the capture on the client's cable ended: {error}"));
            shared.news.notify_all();
            return;
        }
    }
}

fn take_all(capture: &mut Capture, shared: &Shared) -> std::io::Result<()> {
    capture.wait(100)?;
    let mut record = shared.record.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(frame) = capture.take()? {
        if let Some(sight) = frame::read(frame.bytes) {
            record.note(frame.stamp, sight);
        }
    }
    record.missed = record.missed.saturating_add(capture.lost()?);
    shared.news.notify_all();
    Ok(())
}
