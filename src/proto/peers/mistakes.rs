use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::lines::Lines;
use crate::report::{Event, Mistake};
use crate::types::{Discard, Instant, MacAddr, RouterName};

/// Those of one kind that are remembered: many at once come from a forger, and must not hide those of other kinds.
const MAX_OF_KIND: usize = 4;
/// One that lasts is told again after this, then after twice as long, and so on.
const TOLD_AGAIN: Duration = Duration::from_secs(600);
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// What tells two mistakes apart: token, peer or address, and hardware address.
type Key = (&'static str, IpAddr, Option<MacAddr>);

/// One mistake, and when it was seen and told.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    /// As it was seen last.
    pub(crate) mistake: Mistake,
    pub(crate) since: Instant,
    pub(crate) seen_at: Instant,
    /// How often, since then.
    pub(crate) seen: u64,
    /// For how long it lasts without being seen again.
    patience: Duration,
    /// Not over.
    lasts: bool,
    /// Whether the log knows that it lasts.
    told: bool,
    told_at: Option<Instant>,
    /// How long after `told_at` it may be told again.
    pause: Duration,
    /// Seen since the last line.
    untold: u64,
}

/// The mistakes that were seen lately around one virtual router.
#[derive(Debug)]
pub(crate) struct Mistakes {
    /// Those that are over stay until they could be told again, so that one that comes and goes fills no log.
    known: BTreeMap<Key, Sighting>,
    lines: Lines,
}

/// How a mistake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Corrected,
    Unseen,
}

impl Mistakes {
    pub(crate) fn new(now: Instant) -> Self {
        Mistakes { known: BTreeMap::new(), lines: Lines::new(now) }
    }

    /// Those that last, in a fixed order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sighting> {
        self.known.values().filter(|sighting| sighting.lasts)
    }

    /// One was seen; it lasts until it has not been seen for `patience`, or is seen to be corrected. `None` where too
    /// many of its kind are known, otherwise what is to be told of it, if anything.
    pub(crate) fn see(
        &mut self,
        now: Instant,
        router: &RouterName,
        mistake: Mistake,
        patience: Duration,
    ) -> Option<Option<Event>> {
        let key = key(&mistake);
        if !self.known.contains_key(&key) && !self.makes_room(key.0) {
            return None;
        }
        let new = || Sighting {
            mistake: mistake.clone(),
            since: now,
            seen_at: now,
            seen: 0,
            patience,
            lasts: false,
            told: false,
            told_at: None,
            pause: TOLD_AGAIN,
            untold: 0,
        };
        let sighting = self.known.entry(key).or_insert_with(new);
        if !sighting.lasts {
            (sighting.since, sighting.seen, sighting.lasts) = (now, 0, true);
        }
        sighting.mistake = mistake;
        (sighting.seen_at, sighting.patience) = (now, patience);
        sighting.seen += 1;
        sighting.untold += 1;
        Some(sighting.tell(now, router, &mut self.lines))
    }

    /// Of the mistakes that an accepted advert of this peer can show, it shows these only: the others are corrected.
    pub(crate) fn correct(&mut self, now: Instant, router: &RouterName, peer: IpAddr, shown: &[Mistake]) -> Vec<Event> {
        let shown: Vec<Key> = shown.iter().map(key).collect();
        let corrected = self.known.iter_mut().filter(|(key, sighting)| {
            sighting.lasts && is_shown_by_adverts(&sighting.mistake) && key.1 == peer && !shown.contains(key)
        });
        corrected.filter_map(|(_, sighting)| sighting.end(now, router, End::Corrected)).collect()
    }

    /// When it must be ticked at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = |sighting: &Sighting| match (sighting.lasts, sighting.untold) {
            (true, 0) => sighting.ends_at(),
            (true, _) => sighting.ends_at().min(self.lines.next(sighting.tells_at())),
            (false, _) => sighting.forgotten_at(),
        };
        self.known.values().map(due).min()
    }

    /// Time has passed: what has not been seen for too long is over, what was held back is told.
    pub(crate) fn tick(&mut self, now: Instant, router: &RouterName) -> Vec<Event> {
        let mut events = Vec::new();
        for sighting in self.known.values_mut().filter(|sighting| sighting.lasts) {
            if sighting.ends_at() <= now {
                events.extend(sighting.end(now, router, End::Unseen));
            } else if sighting.untold > 0 {
                events.extend(sighting.tell(now, router, &mut self.lines));
            }
        }
        self.known.retain(|_, sighting| sighting.lasts || sighting.forgotten_at() > now);
        events
    }

    /// Room for one more of a kind, be it that of one that is over.
    fn makes_room(&mut self, token: &str) -> bool {
        let of_kind = || self.known.iter().filter(|((kind, ..), _)| *kind == token);
        if of_kind().count() < MAX_OF_KIND {
            return true;
        }
        let over = of_kind().filter(|(_, sighting)| !sighting.lasts).min_by_key(|(_, sighting)| sighting.seen_at);
        let oldest = over.map(|(key, _)| *key);
        oldest.and_then(|key| self.known.remove(&key)).is_some()
    }
}

impl Sighting {
    fn ends_at(&self) -> Instant {
        self.seen_at + self.patience
    }

    fn tells_at(&self) -> Instant {
        self.told_at.map_or(self.since, |told_at| told_at + self.pause)
    }

    /// Of one that is over.
    fn forgotten_at(&self) -> Instant {
        self.told_at.map_or(self.seen_at, |told_at| told_at + self.pause)
    }

    fn tell(&mut self, now: Instant, router: &RouterName, lines: &mut Lines) -> Option<Event> {
        if now < self.tells_at() || !lines.take(now) {
            return None;
        }
        if self.told_at.is_some() {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        (self.told, self.told_at) = (true, Some(now));
        let more = std::mem::take(&mut self.untold).saturating_sub(1);
        Some(Event::Mistake { router: router.clone(), mistake: self.mistake.clone(), more })
    }

    /// The log hears of the end of what it has heard of.
    fn end(&mut self, now: Instant, router: &RouterName, how: End) -> Option<Event> {
        self.lasts = false;
        let lasted = now.since(self.since);
        let unseen = match how {
            End::Corrected => None,
            End::Unseen => Some(now.since(self.seen_at)),
        };
        let event = || Event::MistakeOver { router: router.clone(), mistake: self.mistake.clone(), lasted, unseen };
        std::mem::take(&mut self.told).then(event)
    }
}

fn key(mistake: &Mistake) -> Key {
    let token = mistake.token();
    match mistake {
        Mistake::SamePriority { peer, .. }
        | Mistake::SecondOwner { peer }
        | Mistake::Interval { peer, .. }
        | Mistake::Addresses { peer, .. }
        | Mistake::ForeignRouter { peer, .. }
        | Mistake::IntervalRefused { peer, .. }
        | Mistake::Refused { peer, .. } => (token, *peer, None),
        Mistake::ForeignAnswer { address, mac } => (token, *address, Some(*mac)),
    }
}

/// Whether an accepted advert shows it, and one without it shows that it is corrected. Who sends refused adverts may
/// send others that are accepted.
fn is_shown_by_adverts(mistake: &Mistake) -> bool {
    match mistake {
        Mistake::SamePriority { .. }
        | Mistake::SecondOwner { .. }
        | Mistake::Interval { .. }
        | Mistake::Addresses { .. }
        | Mistake::ForeignRouter { .. } => true,
        Mistake::IntervalRefused { .. } | Mistake::Refused { .. } | Mistake::ForeignAnswer { .. } => false,
    }
}

/// Whether a refusal says that two hosts are set up differently, rather than that a packet is broken or forged.
pub(crate) fn is_mistake(reason: Discard) -> bool {
    match reason {
        Discard::Version2
        | Discard::Version3
        | Discard::Interval
        | Discard::AuthType
        | Discard::Password
        | Discard::AuthMissing
        | Discard::AuthMalformed
        | Discard::AuthUnknownKey
        | Discard::AuthBad
        | Discard::AuthStale => true,
        Discard::Truncated
        | Discard::Length
        | Discard::IpHeader
        | Discard::Ttl
        | Discard::Destination
        | Discard::Version
        | Discard::Type
        | Discard::Checksum
        | Discard::NoAddresses
        | Discard::ZeroInterval
        | Discard::ForeignVrid
        | Discard::OwnPacket
        | Discard::AuthReplayed
        | Discard::Source
        | Discard::Unlisted
        | Discard::Unread
        | Discard::Overrun => false,
    }
}

#[cfg(test)]
mod tests;
