use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::freshness::{Incoming, Moment, Outgoing};
use super::wall::Wall;
use crate::config::{AuthConfig, AuthMode, Secrets};
use crate::types::{Discard, Freshness, Instant, Interval, KeyId, Sequence, WallOffsets};
use crate::wire::authentication::{self, Key};
use crate::wire::vrrp::{Received, TRAILER_LEN, Tail};

/// However fast the adverts, clocks may differ by this much.
const LEAST_WINDOW: Duration = Duration::from_secs(5);
/// A clock that is off is told of this often.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Senders whose clocks are remembered as told of.
const MAX_TOLD: usize = 64;

/// What shows that an advert comes from one of the nodes, if anything does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// This virtual router has no keys: nobody is asked for anything.
    Unasked,
    /// It has no trailer, and the mode does not ask for one.
    Unauthenticated,
    /// Its trailer is genuine and new.
    Authenticated {
        key: KeyId,
        /// How far its number lies behind our clock, in nanoseconds; negative if it is ahead.
        behind: i64,
    },
}

/// The keys of one virtual router, and what was sent and heard under them.
#[derive(Debug, Default)]
pub(crate) struct Authentication {
    setup: Option<Setup>,
    outgoing: Outgoing,
    incoming: Incoming,
    /// How often any of these two has changed.
    changes: u64,
    /// When it was last told of whom that his clock is off.
    told_at: BTreeMap<IpAddr, Instant>,
}

#[derive(Debug)]
struct Setup {
    mode: AuthMode,
    active: KeyId,
    keys: BTreeMap<KeyId, Key>,
}

/// The greatest difference between a number and our clock that is not odd.
pub(crate) fn window(interval: Interval) -> Duration {
    (interval.duration() * 3).max(LEAST_WINDOW)
}

impl Authentication {
    /// Takes over modes and keys; what was sent and heard stays.
    pub(crate) fn configure(&mut self, config: Option<&AuthConfig>, secrets: &Secrets) {
        self.setup = config.map(|config| {
            let ready = |(id, file): (&KeyId, &std::path::PathBuf)| Some((*id, Key::new(secrets.get(file)?)));
            let keys = config.keys.iter().filter_map(ready).collect();
            Setup { mode: config.mode, active: config.active_key, keys }
        });
    }

    /// Judges an advert, and remembers it if it is genuine and new.
    ///
    /// # Errors
    /// One of the `Auth` reasons.
    pub(crate) fn examine(
        &mut self,
        (at, wall, interval): (Instant, &Wall, Interval),
        received: &Received,
    ) -> Result<Standing, Discard> {
        let Some(setup) = &self.setup else {
            return Ok(Standing::Unasked);
        };
        let trailer = match (&received.tail, setup.mode) {
            (Tail::Trailer(trailer), _) => trailer,
            (Tail::Nothing, AuthMode::Enforce) => return Err(Discard::AuthMissing),
            (Tail::Nothing, AuthMode::Permissive | AuthMode::ReceiveOnly) => return Ok(Standing::Unauthenticated),
            (Tail::Unknown, _) => return Err(Discard::AuthMalformed),
        };
        let seal = authentication::parse(&trailer.bytes).ok_or(Discard::AuthMalformed)?;
        let key = setup.keys.get(&seal.key).ok_or(Discard::AuthUnknownKey)?;
        if !seal.is_genuine(key, received.source, &trailer.message) {
            return Err(Discard::AuthBad);
        }
        let moment = Moment { at, wall, window: window(interval) };
        let sender = (received.source, seal.key);
        self.incoming.judge(moment, sender, seal.sequence)?;
        self.incoming.accept(moment, sender, seal.sequence);
        self.changes += 1;
        Ok(Standing::Authenticated { key: seal.key, behind: seal.sequence.behind(wall.current(at)) })
    }

    /// Whether it is time to tell that this sender's clock and ours differ so much that more would be refused.
    pub(crate) fn is_odd(&mut self, at: Instant, source: IpAddr, behind: i64, interval: Interval) -> bool {
        let half = window(interval).as_nanos() / 2;
        if u128::from(behind.unsigned_abs()) < half
            || self.told_at.get(&source).is_some_and(|told| at < *told + TOLD_AGAIN)
        {
            return false;
        }
        if self.told_at.len() >= MAX_TOLD {
            self.told_at.clear();
        }
        self.told_at.insert(source, at);
        true
    }

    /// What the copies of the next advert are sealed with, in order; `None` for one without a trailer. More than one while it is unclear which of two
    /// clocks is right: a receiver takes at least one of them.
    pub(crate) fn seals(&mut self, now: Instant, wall: &Wall, interval: Interval) -> Vec<Option<Sealing>> {
        match &self.setup {
            None | Some(Setup { mode: AuthMode::ReceiveOnly, .. }) => vec![None],
            Some(Setup { mode: AuthMode::Enforce | AuthMode::Permissive, active, keys }) => {
                let numbers = self.outgoing.next(now, wall, window(interval));
                self.changes += 1;
                // The key is there: a configuration names an active one, and is taken over with all its keys.
                let key = keys.get(active);
                let seal = |sequence| Some(Some(Sealing { id: *active, key: key?.clone(), sequence }));
                numbers.into_iter().filter_map(seal).collect()
            }
        }
    }

    /// Mode, active key and the ids of all keys, for the status.
    pub(crate) fn setup(&self) -> Option<(AuthMode, KeyId, impl Iterator<Item = KeyId> + '_)> {
        self.setup.as_ref().map(|setup| (setup.mode, setup.active, setup.keys.keys().copied()))
    }

    /// What must not be forgotten over a restart, so that no advert is taken twice and none of ours refused.
    pub(crate) fn freshness(&self, wall: &Wall) -> Freshness {
        // Where nothing was ever sealed or opened there is nothing to forget, and no clock matters.
        let wall = if self.changes == 0 { WallOffsets::default() } else { wall.offsets() };
        Freshness { sent: self.outgoing.sent.clone(), marks: self.incoming.marks(), wall }
    }

    /// Grows whenever that has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes over what an agent before us remembered.
    pub(crate) fn restore(&mut self, freshness: &Freshness) {
        self.outgoing = Outgoing { sent: freshness.sent.clone() };
        self.incoming.restore(&freshness.marks);
        self.changes += 1;
    }
}

/// What one trailer is made with.
#[derive(Debug)]
pub(crate) struct Sealing {
    id: KeyId,
    key: Key,
    sequence: Sequence,
}

impl Sealing {
    /// The trailer for a message from this source.
    pub(crate) fn trailer(&self, source: IpAddr, message: &[u8]) -> [u8; TRAILER_LEN] {
        authentication::emit(self.id, &self.key, self.sequence, source, message)
    }
}
