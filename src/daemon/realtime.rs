use super::hands::Log;
use crate::io::realtime::{self, Thread};
use crate::report::{Event, status};

/// How the protocol thread is scheduled, as far as it has a say.
#[derive(Debug, Default)]
pub(super) struct Realtime(status::Realtime);

impl Realtime {
    /// Does what the configuration wants; for the thread that calls it. What was refused before is tried again.
    pub(super) fn apply(&mut self, wanted: bool, log: &mut Log) {
        let before = (self.0.priority, self.0.memory_locked);
        self.0.wanted = wanted;
        self.0.refused.clear();
        if wanted {
            self.begin()
        } else {
            self.end()
        }
        if before != (self.0.priority, self.0.memory_locked) {
            let (priority, memory_locked) = (self.0.priority, self.0.memory_locked);
            log.hold(Event::RealtimeChanged { priority, memory_locked });
        }
        for why in &self.0.refused {
            log.hold(Event::RealtimeRefused { why: why.clone() });
        }
    }

    /// It was taken away because this thread did not let others run.
    pub(super) fn taken(&mut self, log: &mut Log) {
        if self.0.priority.take().is_some() {
            let why = "SCHED_FIFO: adverts took a processor for a second without a pause; reload to have it again";
            self.0.refused.push(why.to_owned());
            log.hold(Event::RealtimeRefused { why: why.to_owned() });
        }
    }

    pub(super) fn status(&self) -> status::Realtime {
        self.0.clone()
    }

    fn begin(&mut self) {
        if self.0.priority.is_none() {
            match Thread::current().enter_realtime() {
                Ok(()) => self.0.priority = Some(realtime::PRIORITY),
                Err(refused) => self.0.refused.push(refused.to_string()),
            }
        }
        if !self.0.memory_locked {
            match realtime::lock_memory() {
                Ok(()) => self.0.memory_locked = true,
                Err(refused) => self.0.refused.push(refused.to_string()),
            }
        }
    }

    fn end(&mut self) {
        if self.0.priority.is_some() {
            match Thread::current().leave_realtime() {
                Ok(()) => self.0.priority = None,
                Err(error) => self.0.refused.push(format!("SCHED_OTHER: {error}")),
            }
        }
        if self.0.memory_locked {
            match realtime::unlock_memory() {
                Ok(()) => self.0.memory_locked = false,
                Err(error) => self.0.refused.push(format!("unlocked memory: {error}")),
            }
        }
    }
}
