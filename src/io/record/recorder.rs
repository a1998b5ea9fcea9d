use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::slots::{Key, Slots};
use crate::types::RouterRecord;

/// Batches that may wait for the disk; what comes then is held back, the newest of each virtual router.
const BATCHES: usize = 16;

/// What is to be remembered of each virtual router; `None`: nothing more.
type Batch = BTreeMap<Key, Option<Box<RouterRecord>>>;

#[derive(Debug)]
enum Order {
    Write(Batch),
    /// Everything before it is written.
    Reply(SyncSender<()>),
}

/// Writes to the slots on a thread of its own: a disk that does not answer must not hold an advert up.
///
/// A process that dies with something unwritten has its successor take the last advert for an older one, which errs on
/// the safe side.
#[derive(Debug)]
pub struct Recorder {
    orders: SyncSender<Order>,
    troubles: Receiver<io::Error>,
    held: Batch,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's: no threads.
    pub fn start(mut slots: Slots) -> io::Result<Self> {
        Recorder::start_with(move |key, record| match record {
            Some(record) => slots.write(record),
            None => slots.forget(key),
        })
    }

    fn start_with(
        mut write: impl FnMut(Key, Option<&RouterRecord>) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, queue) = sync_channel(BATCHES);
        let (complaints, troubles) = sync_channel(1);
        let thread = std::thread::Builder::new().name("locum-record".to_owned()).spawn(move || {
            let mut works = true;
            for order in queue {
                let batch = match order {
                    Order::Write(batch) => batch,
                    Order::Reply(reply) => {
                        // Whoever asked may have gone on since.
                        reply.send(()).ok();
                        continue;
                    }
                };
                for (key, record) in batch {
                    match write(key, record.as_deref()) {
                        Ok(()) => works = true,
                        // Told when it begins, not with each advert.
                        Err(error) if works => works = complaints.try_send(error).is_err(),
                        Err(_) => {}
                    }
                }
            }
        })?;
        Ok(Recorder { orders, troubles, held: Batch::new(), thread })
    }

    /// Keeps this in place of what was kept of the same virtual router, with the next [`Recorder::hand_over`].
    pub fn keep(&mut self, record: Box<RouterRecord>) {
        self.held.insert((record.interface, record.family, record.vrid), Some(record));
    }

    /// Keeps nothing more of a virtual router, from the next [`Recorder::hand_over`] on.
    pub fn forget(&mut self, key: Key) {
        self.held.insert(key, None);
    }

    /// Hands the thread what there is to write. Where it has not come to what it was handed before, the rest is held until the
    /// next call.
    pub fn hand_over(&mut self) {
        if self.held.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(Order::Write(batch))) =
            self.orders.try_send(Order::Write(std::mem::take(&mut self.held)))
        {
            self.held = batch;
        }
    }

    /// Why nothing can be written, once when that begins.
    pub fn trouble(&mut self) -> Option<io::Error> {
        self.troubles.try_recv().ok()
    }

    /// Waits until all that was to be kept is written, so long at most; whether it is.
    pub fn settle(&mut self, patience: Duration) -> bool {
        self.hand_over();
        let (reply, answer) = sync_channel(1);
        self.held.is_empty()
            && self.orders.try_send(Order::Reply(reply)).is_ok()
            && answer.recv_timeout(patience).is_ok()
    }

    /// Has the thread end when it has written everything.
    pub fn close(self) -> JoinHandle<()> {
        if !self.held.is_empty() {
            // It fails only if the thread has ended, which whoever joins it learns.
            drop(self.orders.send(Order::Write(self.held)));
        }
        self.thread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Family, Freshness, Instant, Interval, Priority, Version, Vrid};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn record(vrid: u8, sent_at: u64) -> Box<RouterRecord> {
        Box::new(RouterRecord {
            name: "web".parse().expect("a name"),
            interface: "eth0".parse().expect("a name"),
            family: Family::Ipv4,
            version: Version::V3,
            vrid: Vrid::new(vrid).expect("a VRID"),
            sent_at: Some(Instant::from_nanos(sent_at)),
            interval: Interval::from_centiseconds(100).expect("an interval"),
            priority: Priority::new(100).expect("a priority"),
            verdicts: BTreeMap::new(),
            freshness: Freshness::default(),
        })
    }

    fn sent_at(record: Option<&RouterRecord>) -> Option<u64> {
        record.and_then(|record| record.sent_at).map(Instant::as_nanos)
    }

    #[test]
    fn a_disk_that_does_not_answer_holds_nobody_up_and_gets_the_newest() {
        let (answers, disk) = sync_channel::<()>(1000);
        let (written, seen) = std::sync::mpsc::channel();
        let mut recorder = Recorder::start_with(move |key, record| {
            disk.recv_timeout(PATIENCE).expect("the disk answers at last");
            written.send((key.2.get(), sent_at(record))).expect("somebody looks");
            Ok(())
        })
        .expect("a thread");
        for at in 1..=100 {
            recorder.keep(record(51, at));
            recorder.hand_over();
        }
        recorder.keep(record(52, 7));
        recorder.forget((record(51, 0).interface, Family::Ipv4, Vrid::new(51).expect("a VRID")));
        assert!(!recorder.settle(Duration::from_millis(1)), "nothing is written yet");
        (0..100).for_each(|_| answers.send(()).expect("the disk waits"));
        assert_eq!(seen.recv_timeout(PATIENCE), Ok((51, Some(1))));
        while !recorder.settle(PATIENCE) {}
        let rest: Vec<_> = seen.try_iter().collect();
        assert!(rest.len() <= BATCHES + 2, "what waited was replaced by what is newer: {rest:?}");
        assert_eq!(rest[rest.len() - 2..], [(51, None), (52, Some(7))]);
    }

    #[test]
    fn trouble_is_told_when_it_begins() {
        let mut calls = 0;
        let mut recorder = Recorder::start_with(move |_, _| {
            calls += 1;
            if calls == 4 { Ok(()) } else { Err(io::Error::other(format!("call {calls}"))) }
        })
        .expect("a thread");
        let mut told = Vec::new();
        for at in 1..=6 {
            recorder.keep(record(51, at));
            assert!(recorder.settle(PATIENCE));
            told.push(recorder.trouble().map(|error| error.to_string()));
        }
        assert_eq!(told, [Some("call 1".to_owned()), None, None, None, Some("call 5".to_owned()), None]);
    }

    #[test]
    fn all_is_written_before_it_ends() {
        let (written, seen) = std::sync::mpsc::channel();
        let mut recorder = Recorder::start_with(move |_, record| {
            written.send(sent_at(record)).expect("somebody looks");
            Ok(())
        })
        .expect("a thread");
        recorder.keep(record(51, 3));
        recorder.close().join().expect("it ends well");
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [Some(3)]);
    }
}
