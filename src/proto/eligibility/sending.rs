use std::time::Duration;

use crate::types::Instant;

/// Adverts in a row that fail: fewer may be bad luck, after so many the peers miss us.
const MISSED: u32 = 3;

/// Whether adverts leave this host, as far as the system has said.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// Failures in a row: the last one's words, since when and how many.
    failing: Option<Failing>,
    last_failed: bool,
}

#[derive(Debug)]
struct Failing {
    error: String,
    since: Instant,
    give_up_at: Instant,
    in_a_row: u32,
}

impl Sending {
    /// An advert is about to be sent: if the one before left, all is well.
    pub(crate) fn sending(&mut self) {
        if !self.last_failed {
            self.failing = None;
        }
        self.last_failed = false;
    }

    /// The advert did not leave. Peers are given `patience` to follow, from the first one on.
    pub(crate) fn failed(&mut self, now: Instant, error: String, patience: Duration) {
        let (since, in_a_row) = self.failing.take().map_or((now, 0), |failing| (failing.since, failing.in_a_row));
        self.failing = Some(Failing { error, since, give_up_at: since + patience, in_a_row: in_a_row + 1 });
        self.last_failed = true;
    }

    /// When the peers' patience with us ends.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.failing.as_ref().filter(|_| self.last_failed).map(|failing| failing.give_up_at)
    }

    /// The words of the failure, if nothing has left this host for as long as the peers are patient.
    pub(crate) fn given_up(&self, now: Instant) -> Option<&str> {
        let failing = self.failing.as_ref().filter(|_| self.last_failed);
        failing.filter(|failing| failing.give_up_at <= now).map(|failing| failing.error.as_str())
    }

    /// The same, if the peers must have missed us by now, so that who is heard has taken over.
    pub(crate) fn missed(&self) -> Option<&str> {
        let failing = self.failing.as_ref().filter(|_| self.last_failed);
        failing.filter(|failing| failing.in_a_row >= MISSED).map(|failing| failing.error.as_str())
    }

    /// The same, however short it has been.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failing.as_ref().filter(|_| self.last_failed).map(|failing| failing.error.as_str())
    }

    pub(crate) fn forget(&mut self) {
        *self = Sending::default();
    }
}
