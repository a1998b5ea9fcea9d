//! The reference: one virtual router as the tables of RFC 9568 section 6.4 have it, and nothing else. It knows no address,
//! no check, no stall and no kernel, and takes nothing from the program but words for versions.
//!
//! It predicts who is Active, by when a Backup claims, by when an Active router's next advert leaves, and what each advert
//! makes of that. Where the program does more than the RFC asks, on purpose, a prediction is a span of time; these are all:
//!
//! - a repeated resignation does not put a claim off, as the RFC's would, and one of a router that was not Active may be ignored;
//! - an Active router answers at most once in a quarter of its interval, and answers do not move its next advert.

use std::net::IpAddr;
use std::time::Duration;

use locum::types::{Instant, Version};

/// What one router plays with (RFC 9568 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    pub version: Version,
    pub priority: u8,
    /// Advertisement_Interval.
    pub interval: Duration,
    /// Preempt_Mode; true of the owner of the address.
    pub preempt: bool,
    pub source: IpAddr,
}

/// An advert of another router of the same VRID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advert {
    pub priority: u8,
    pub interval: Duration,
    pub source: IpAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Initialize,
    Backup {
        /// Active_Adver_Interval.
        learned: Duration,
        /// Whose it is.
        active: Option<IpAddr>,
        /// Whether that one has resigned.
        resigned: bool,
        /// When the Active_Down_Timer fires: not before, and not after.
        claims: (Instant, Instant),
    },
    Active {
        /// When the Adver_Timer fires at the latest.
        advert_by: Instant,
        answered_at: Option<Instant>,
    },
}

/// What an advert calls for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Nothing,
    /// To send an advert.
    Answer,
}

impl Parameters {
    /// Skew_Time, of the Active router's interval; of a second in version 2 (RFC 3768 section 6.1).
    fn skew(&self, learned: Duration) -> Duration {
        let unit = if self.version == Version::V2 { Duration::from_secs(1) } else { learned };
        unit * (256 - u32::from(self.priority)) / 256
    }

    fn active_down_interval(&self, learned: Duration) -> Duration {
        3 * learned + self.skew(learned)
    }

    fn backup(&self, from: Instant, learned: Duration, active: Option<IpAddr>) -> State {
        let at = from + self.active_down_interval(learned);
        State::Backup { learned, active, resigned: false, claims: (at, at) }
    }

    /// Section 6.4.1, a Startup event.
    pub fn start(&self, now: Instant) -> State {
        match self.priority {
            255 => self.sent(now, None),
            _ => self.start_as_backup(now),
        }
    }

    /// A Backup since now, of whom nothing is known but that.
    pub fn start_as_backup(&self, now: Instant) -> State {
        self.backup(now, self.interval, None)
    }

    /// An advert of its own has left.
    pub fn sent(&self, now: Instant, answered_at: Option<Instant>) -> State {
        State::Active { advert_by: now + self.interval, answered_at }
    }

    /// Sections 6.4.2 and 6.4.3: an advert that came at `at`.
    pub fn hear(&self, state: State, at: Instant, advert: Advert) -> (State, Call) {
        match state {
            State::Initialize => (state, Call::Nothing),
            State::Backup { learned, active, resigned, claims } if advert.priority == 0 => {
                let skewed = at + self.skew(learned);
                let by_another = active.is_some_and(|active| active != advert.source);
                let claims = match resigned || by_another {
                    true => (claims.0.min(skewed), claims.1.max(skewed)),
                    false => (skewed, skewed),
                };
                (State::Backup { learned, active, resigned: true, claims }, Call::Nothing)
            }
            State::Backup { .. } if !self.preempt || advert.priority >= self.priority => {
                (self.backup(at, advert.interval, Some(advert.source)), Call::Nothing)
            }
            // "Discard the ADVERTISEMENT": its timer runs on, and then it preempts.
            State::Backup { .. } => (state, Call::Nothing),
            State::Active { .. } if self.yields_to(&advert) => {
                (self.backup(at, advert.interval, Some(advert.source)), Call::Nothing)
            }
            State::Active { advert_by, answered_at } => {
                let spared = answered_at.is_some_and(|before| at < before + self.interval / 4);
                match spared {
                    true => (state, Call::Nothing),
                    false => (State::Active { advert_by, answered_at: Some(at) }, Call::Answer),
                }
            }
        }
    }

    /// A greater priority wins, and of two equal ones the greater address.
    fn yields_to(&self, advert: &Advert) -> bool {
        advert.priority > self.priority || advert.priority == self.priority && advert.source > self.source
    }
}

/// Whether one may be Active in the end beside another one that hears it: that has no greater priority, or does not preempt.
pub fn may_be_active(holder: &Parameters, other: &Parameters) -> bool {
    !other.preempt || other.priority <= holder.priority
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn router(priority: u8, preempt: bool) -> Parameters {
        let (version, interval) = (Version::V3, Duration::from_secs(1));
        Parameters { version, priority, interval, preempt, source: "192.0.2.2".parse().unwrap() }
    }

    fn advert(priority: u8, source: &str) -> Advert {
        Advert { priority, interval: Duration::from_secs(2), source: source.parse().unwrap() }
    }

    fn claims(state: State) -> (Instant, Instant) {
        let State::Backup { claims, .. } = state else { panic!("{state:?}") };
        claims
    }

    /// Priority 64: Skew_Time is three quarters of the interval.
    #[test]
    fn a_backup_claims_after_three_intervals_and_a_skew() {
        let started = router(64, true).start(at(0));
        assert_eq!(claims(started), (at(3_750), at(3_750)));
        let (learned, _) = router(64, true).hear(started, at(100), advert(64, "192.0.2.1"));
        assert_eq!(claims(learned), (at(7_600), at(7_600)));
        assert_eq!(router(64, true).hear(started, at(100), advert(63, "192.0.2.9")), (started, Call::Nothing));
        let (followed, _) = router(64, false).hear(started, at(100), advert(63, "192.0.2.9"));
        assert_eq!(claims(followed), (at(7_600), at(7_600)));
    }

    #[test]
    fn a_resignation_leaves_a_skew() {
        let (learned, _) = router(64, true).hear(router(64, true).start(at(0)), at(100), advert(64, "192.0.2.1"));
        let (resigned, _) = router(64, true).hear(learned, at(200), advert(0, "192.0.2.1"));
        assert_eq!(claims(resigned).0, at(1_700));
        let (repeated, _) = router(64, true).hear(resigned, at(300), advert(0, "192.0.2.1"));
        assert_eq!(claims(repeated), (at(1_700), at(1_800)));
        let (by_another, _) = router(64, true).hear(learned, at(200), advert(0, "192.0.2.7"));
        assert_eq!(claims(by_another), (at(1_700), at(7_600)));
        let second = Parameters { version: Version::V2, ..router(64, true) };
        assert_eq!(claims(second.hear(learned, at(200), advert(0, "192.0.2.1")).0).0, at(950));
    }

    #[test]
    fn an_active_router_yields_to_a_better_one_and_answers_others() {
        let active = router(64, true).sent(at(0), None);
        for (priority, source, yields) in
            [(65, "192.0.2.1", true), (64, "192.0.2.3", true), (64, "192.0.2.1", false), (0, "192.0.2.9", false)]
        {
            let (state, call) = router(64, true).hear(active, at(500), advert(priority, source));
            assert_eq!(matches!(state, State::Backup { .. }), yields, "{priority} {source}");
            assert_eq!(call, if yields { Call::Nothing } else { Call::Answer });
        }
        assert_eq!(active, State::Active { advert_by: at(1_000), answered_at: None });
        assert!(matches!(router(255, false).start(at(0)), State::Active { .. }));
    }
}
