use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::types::{Discard, Instant};

/// Who sends for our VRID without being let in, as many as a person reads; the one silent for longest makes room.
const MAX_STRANGERS: usize = 16;

/// Somebody is there, but what it says decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stranger {
    pub(crate) reason: Discard,
    pub(crate) heard_at: Instant,
    pub(crate) packets: u64,
}

/// Senders whose authentication failed.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    known: BTreeMap<IpAddr, Stranger>,
}

impl Strangers {
    pub(crate) fn hear(&mut self, now: Instant, source: IpAddr, reason: Discard) {
        if !self.known.contains_key(&source) && self.known.len() >= MAX_STRANGERS {
            let oldest = self.known.iter().min_by_key(|(_, stranger)| stranger.heard_at).map(|(source, _)| *source);
            oldest.map(|source| self.known.remove(&source));
        }
        let packets = self.known.get(&source).map_or(0, |stranger| stranger.packets);
        self.known.insert(source, Stranger { reason, heard_at: now, packets: packets + 1 });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&IpAddr, &Stranger)> {
        self.known.iter()
    }
}
