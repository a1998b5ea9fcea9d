use std::time::Duration;

use super::ANNOUNCE_PATIENCE;
use crate::report::Release;
use crate::types::Instant;

/// A successor that is Active already announces within this.
const LONGEST_YIELD: Duration = Duration::from_millis(50);
/// Between the first resignations; they are repeated in case one is lost.
const RESIGN_GAP: Duration = Duration::from_millis(20);

/// The ways to give addresses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// We resigned: hold and answer until the successor has it.
    Linger(Linger),
    /// A better router is Active already, with this advert interval: hold until it announces, but not for long.
    Yield(Duration),
    /// Nothing to wait for.
    AtOnce,
}

/// The times of a departure with resignation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Linger {
    /// How long to listen before anything is said: the others may have given up on this host already.
    pub(crate) listens: Option<Duration>,
    /// The own Skew_Time; the first resignations are repeated well within it.
    pub(crate) skew: Duration,
    /// When to resign once more if nobody has followed. A backup may count its Skew_Time from the last
    /// resignation, so this one comes after all that heard the first ones have had their turn.
    pub(crate) resign_again: Option<Duration>,
    /// How long a successor is waited for.
    pub(crate) patience: Duration,
}

/// A departure under way.
#[derive(Debug)]
pub(crate) struct Leaving {
    began: Instant,
    give_up_at: Instant,
    successor_heard: bool,
    /// Whether it gives way to a router that is Active already.
    yields: bool,
    resignations: Resignations,
}

#[derive(Debug)]
enum Resignations {
    None,
    /// Some more of the first ones, then perhaps a last one.
    Early {
        next_at: Instant,
        left: u32,
        gap: Duration,
        last_at: Option<Instant>,
    },
    Last {
        at: Instant,
    },
}

impl Leaving {
    /// The first resignation, if there is one and nothing is listened for before, has been sent just now.
    pub(crate) fn new(now: Instant, departure: Departure) -> Self {
        let yields = matches!(departure, Departure::Yield(_));
        match departure {
            Departure::Linger(Linger { listens, skew, resign_again, patience }) => {
                let gap = RESIGN_GAP.min(skew / 4);
                let listens_until = now + listens.unwrap_or_default();
                let last_at = resign_again.map(|after| listens_until + after);
                let (next_at, left) = if listens.is_some() { (listens_until, 3) } else { (now + gap, 2) };
                let resignations = Resignations::Early { next_at, left, gap, last_at };
                let give_up_at = listens_until + patience;
                Leaving { began: now, give_up_at, successor_heard: false, yields, resignations }
            }
            Departure::Yield(interval) => Leaving {
                began: now,
                give_up_at: now + interval.min(LONGEST_YIELD),
                successor_heard: true,
                yields,
                resignations: Resignations::None,
            },
            Departure::AtOnce => Leaving {
                began: now,
                give_up_at: now,
                successor_heard: false,
                yields,
                resignations: Resignations::None,
            },
        }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn yields(&self) -> bool {
        self.yields
    }

    /// The successor's advert: it has what it needs from us, and only its announcement is waited for.
    pub(crate) fn hear_successor(&mut self, now: Instant) {
        self.resignations = Resignations::None;
        if !self.successor_heard {
            self.successor_heard = true;
            self.give_up_at = self.give_up_at.min(now + ANNOUNCE_PATIENCE);
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        match self.resignations {
            Resignations::None => self.give_up_at,
            Resignations::Early { next_at: at, .. } | Resignations::Last { at } => self.give_up_at.min(at),
        }
    }

    /// How it ended, if its time is up.
    pub(crate) fn over(&self, now: Instant) -> Option<Release> {
        match (now >= self.give_up_at, self.successor_heard) {
            (false, _) => None,
            (true, true) => Some(Release::Heard),
            (true, false) => Some(Release::NoSuccessor),
        }
    }

    /// Whether a further resignation is due.
    pub(crate) fn resign_due(&mut self, now: Instant) -> bool {
        match self.resignations {
            Resignations::Early { next_at, left, gap, last_at } if next_at <= now => {
                self.resignations = match left {
                    0 | 1 => last_at.map_or(Resignations::None, |at| Resignations::Last { at }),
                    _ => Resignations::Early { next_at: now + gap, left: left - 1, gap, last_at },
                };
                true
            }
            Resignations::Last { at } if at <= now => {
                self.resignations = Resignations::None;
                true
            }
            Resignations::None | Resignations::Early { .. } | Resignations::Last { .. } => false,
        }
    }
}
