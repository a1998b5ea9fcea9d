//! One LAN: who hears whom, how late, and what gets lost; and a client on either side with its ARP cache.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use locum::types::Instant;

use crate::rng::Rng;
use crate::scenario::{LOST_IN_A_ROW, LanPlan};

/// Announcements of a host are lost on their own: their receivers are numbered from here, clients from twice that.
pub const FRAMES: usize = 100;
/// Clients, one for each side a partition can have.
pub const CLIENTS: usize = 2;

/// What the first hosts send is lost on its way to the second ones, so often in a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneWay {
    pub from: u8,
    pub to: u8,
    pub percent: u64,
}

impl OneWay {
    fn loss(&self, from: usize, to: usize) -> u64 {
        if (self.from >> from) & (self.to >> to) & 1 == 1 { self.percent } else { 0 }
    }
}

pub struct Lan {
    rng: Rng,
    delay_min: Duration,
    delay_max: Duration,
    duplicate_lag: Duration,
    /// Hosts whose bit is set are on the other side.
    side: u8,
    parted: bool,
    loss: u64,
    duplication: u64,
    one_way: Option<OneWay>,
    /// Since when nothing is lost, doubled or parted; `None` while something is.
    clean_since: Option<Instant>,
    /// What one receiver has missed of one sender and virtual router (0: of its frames), in a row, by when it was sent last.
    missed: BTreeMap<(usize, usize, u16), (Instant, u32)>,
    /// A switch does not let one frame overtake another of the same pair.
    last_arrival: BTreeMap<(usize, usize), Instant>,
    /// What each client believes.
    pub caches: [BTreeMap<IpAddr, usize>; CLIENTS],
}

impl Lan {
    pub fn new(plan: &LanPlan, now: Instant, rng: Rng) -> Self {
        Lan {
            rng,
            delay_min: plan.delay_min,
            delay_max: plan.delay_max,
            duplicate_lag: plan.duplicate_lag,
            side: 0,
            parted: false,
            loss: 0,
            one_way: None,
            duplication: 0,
            clean_since: Some(now),
            missed: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            caches: Default::default(),
        }
    }

    pub fn part(&mut self, side: u8) {
        (self.side, self.parted, self.clean_since) = (side, true, None);
    }

    pub fn heal(&mut self, now: Instant) {
        if self.parted {
            (self.side, self.parted) = (0, false);
            self.settle(now);
        }
    }

    pub fn dirty(&mut self, loss: u64, duplication: u64) {
        (self.loss, self.duplication, self.clean_since) = (loss, duplication, None);
    }

    pub fn clean(&mut self, now: Instant) {
        if self.loss + self.duplication > 0 {
            (self.loss, self.duplication) = (0, 0);
            self.settle(now);
        }
    }

    pub fn worsen(&mut self, one_way: OneWay) {
        (self.one_way, self.clean_since) = (Some(one_way), None);
    }

    pub fn mend(&mut self, now: Instant) {
        if self.one_way.take().is_some() {
            self.settle(now);
        }
    }

    fn settle(&mut self, now: Instant) {
        if !self.parted && self.one_way.is_none() && self.loss + self.duplication == 0 {
            // Late duplicates are still under way.
            self.clean_since = Some(now + self.duplicate_lag + self.delay_max);
        }
    }

    /// Whether nothing has been lost, doubled or parted since `then`.
    pub fn is_clean_since(&self, then: Instant) -> bool {
        self.clean_since.is_some_and(|since| since <= then)
    }

    pub fn clean_since(&self) -> Option<Instant> {
        self.clean_since
    }

    /// Whether anything that one sends reaches the other.
    pub fn connects(&self, from: usize, to: usize) -> bool {
        let cut = self.one_way.is_some_and(|one_way| one_way.loss(from, to) == 100);
        (self.side >> from) & 1 == (self.side >> to) & 1 && !cut
    }

    /// Whether a client hears a host. Client 1 is on the other side.
    pub fn serves(&self, host: usize, client: usize) -> bool {
        !self.parted || usize::from((self.side >> host) & 1) == client
    }

    /// When what `from` sends now, for this virtual router or 0, arrives at `to`: not at all, once or twice.
    pub fn arrivals(&mut self, now: Instant, from: usize, to: usize, stream: u16) -> [Option<Instant>; 2] {
        // Clients are on neither side of what is lost one way.
        let one_way =
            self.one_way.filter(|_| to < FRAMES + FRAMES).map_or(0, |one_way| one_way.loss(from, to % FRAMES));
        let (sent_at, missed) = self.missed.entry((from, to, stream)).or_default();
        // Copies of one advert share its fate.
        let lost = match *sent_at == now && stream > 0 {
            true => *missed > 0,
            false if *missed < LOST_IN_A_ROW && self.rng.chance(self.loss.max(one_way)) => {
                *missed += 1;
                true
            }
            false => {
                *missed = 0;
                false
            }
        };
        *sent_at = now;
        if lost {
            return [None, None];
        }
        let at = now + self.rng.span(self.delay_min, self.delay_max);
        let last = self.last_arrival.entry((from, to)).or_insert(at);
        let at = at.max(*last);
        *last = at;
        let twice = self.rng.chance(self.duplication);
        let again = twice.then(|| at + self.rng.span(Duration::ZERO, self.duplicate_lag));
        [Some(at), again]
    }
}
