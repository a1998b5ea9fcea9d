//! Who else was heard, whether it is who it says it is, and what was thrown away.
//!
//! Belongs here: whose adverts count, memory of peers, since when anybody was heard, keys and what was sent and heard
//! under them, counters of discards, the mistakes that adverts and claims show, and how often they are told. Does not
//! belong here: what a valid advert means (`election`).

mod admission;
mod authentication;
mod discards;
mod ears;
mod freshness;
mod lines;
mod mistakes;
mod strangers;
mod wall;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) use admission::admit;
pub(crate) use authentication::{Authentication, Sealing, Standing};
pub(crate) use discards::Discards;
pub(crate) use ears::Ears;
pub(crate) use mistakes::{Mistakes, is_mistake};
pub(crate) use strangers::Strangers;
pub(crate) use wall::Wall;

use crate::types::{Advertised, ChecksumForm, Instant, Interval, Version};
use crate::wire::vrrp::Received;

/// More than any real group has; the one silent for longest makes room for a new one.
const MAX_PEERS: usize = 32;

/// One peer's last advert.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) advertised: Advertised,
    pub(crate) interval: Interval,
    pub(crate) version: Version,
    /// Sent to the group, not to us alone.
    pub(crate) multicast: bool,
    pub(crate) checksum: ChecksumForm,
    /// Whether it lists the addresses that we list, in our order.
    pub(crate) lists_ours: bool,
    pub(crate) standing: Standing,
    pub(crate) heard_at: Instant,
    pub(crate) adverts: u64,
}

/// The peers of one virtual router.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    known: BTreeMap<IpAddr, Peer>,
    /// Whoever last advertised as Active.
    active: Option<IpAddr>,
}

impl Peers {
    /// Remembers a valid advert; `ours` are the addresses that our own list.
    pub(crate) fn hear(&mut self, received_at: Instant, received: &Received, standing: Standing, ours: &[IpAddr]) {
        let advertisement = &received.advertisement;
        if !self.known.contains_key(&received.source) && self.known.len() >= MAX_PEERS {
            let oldest = self.known.iter().min_by_key(|(_, peer)| peer.heard_at).map(|(source, _)| *source);
            oldest.map(|source| self.known.remove(&source));
        }
        let adverts = self.known.get(&received.source).map_or(0, |peer| peer.adverts);
        let peer = Peer {
            advertised: advertisement.advertised,
            interval: advertisement.interval,
            version: advertisement.version,
            multicast: received.is_multicast(),
            checksum: received.checksum,
            lists_ours: advertisement.addresses == ours,
            standing,
            heard_at: received_at,
            adverts: adverts + 1,
        };
        self.known.insert(received.source, peer);
        match advertisement.advertised {
            Advertised::Active(_) => self.active = Some(received.source),
            Advertised::Resigned => {}
        }
    }

    /// Who was Active last, as far as was heard, with its last advert.
    pub(crate) fn active(&self) -> Option<(IpAddr, &Peer)> {
        let source = self.active?;
        self.known.get(&source).map(|peer| (source, peer))
    }

    /// Who resigned last, be it that nothing else was ever heard of it.
    pub(crate) fn resigned_last(&self) -> Option<IpAddr> {
        let resigned = self.known.iter().filter(|(_, peer)| peer.advertised == Advertised::Resigned);
        resigned.max_by_key(|(_, peer)| peer.heard_at).map(|(source, _)| *source)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&IpAddr, &Peer)> {
        self.known.iter()
    }
}
