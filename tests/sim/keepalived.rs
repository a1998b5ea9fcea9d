//! A peer that behaves like keepalived 2.2.7, as far as one virtual router of version 3 shows on the wire.
//!
//! Its traits: a Backup waits for three adverts of the Active router's interval and a skew; one that preempts lets lower
//! adverts pass, so that its timer runs on; a resignation leaves the skew, anew each time; an Active one answers
//! resignations and lower adverts at once, and sends each advert an interval after the last one left, not on a grid; it
//! resigns once when it stops. `replay` holds it against recorded traces, `mixed` lets it play with agents of ours.

use std::net::Ipv4Addr;
use std::time::Duration;

use locum::types::Instant;

#[derive(Debug, Clone)]
pub struct Keepalived {
    pub source: Ipv4Addr,
    pub priority: u8,
    pub interval: Duration,
    pub nopreempt: bool,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Off,
    Backup {
        /// When it gives up on the Active router.
        down_at: Instant,
        /// The interval of that one.
        learned: Duration,
    },
    Master {
        advert_at: Instant,
    },
}

impl Keepalived {
    pub fn new(source: Ipv4Addr, priority: u8, interval: Duration, nopreempt: bool) -> Self {
        Keepalived { source, priority, interval, nopreempt, state: State::Off }
    }

    pub fn is_master(&self) -> bool {
        matches!(self.state, State::Master { .. })
    }

    /// It is ready, and backs up whoever is Active.
    pub fn start(&mut self, now: Instant) {
        self.back_up(now, self.interval);
    }

    /// Told to stop; whether it resigns.
    pub fn stop(&mut self) -> bool {
        let resigns = self.is_master();
        self.state = State::Off;
        resigns
    }

    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Off => None,
            State::Backup { down_at: at, .. } | State::Master { advert_at: at } => Some(at),
        }
    }

    /// Whether it sends an advert now, because time has passed.
    pub fn tick(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now);
        if due {
            self.sent(now);
        }
        due
    }

    /// Its own advert has left.
    pub fn sent(&mut self, now: Instant) {
        self.state = State::Master { advert_at: now + self.interval };
    }

    /// Whether it answers an advert with one of its own, at once.
    pub fn hear(&mut self, now: Instant, source: Ipv4Addr, priority: u8, interval: Duration) -> bool {
        match self.state {
            State::Off => false,
            State::Backup { learned, .. } if priority == 0 => {
                self.state = State::Backup { down_at: now + self.skew(learned), learned };
                false
            }
            State::Backup { .. } if self.nopreempt || priority >= self.priority => {
                self.back_up(now, interval);
                false
            }
            // Of lower priority: the timer runs on, and then it takes over.
            State::Backup { .. } => false,
            State::Master { .. } if priority > 0 && (priority, source) > (self.priority, self.source) => {
                self.back_up(now, interval);
                false
            }
            State::Master { .. } => {
                self.sent(now);
                true
            }
        }
    }

    fn back_up(&mut self, now: Instant, learned: Duration) {
        self.state = State::Backup { down_at: now + learned * 3 + self.skew(learned), learned };
    }

    fn skew(&self, interval: Duration) -> Duration {
        interval * (256 - u32::from(self.priority)) / 256
    }
}
