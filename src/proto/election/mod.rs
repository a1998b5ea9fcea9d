//! The election of one virtual router: RFC 9568 section 6.4 and nothing else.
//!
//! Belongs here: states, timers, who wins. Does not belong here: addresses, checks, links, packets. The caller
//! starts it when the router is eligible, hands it valid adverts, and does what the outcomes say.

mod timers;

use std::net::IpAddr;
use std::time::Duration;

pub use timers::{active_down_interval, skew_time};

use crate::types::{Advertised, Instant, Interval, Priority, Version};

/// What the election is held with; may change while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// The version of VRRP, which decides Skew_Time.
    pub version: Version,
    /// Priority that goes out in adverts.
    pub priority: Priority,
    /// Advertisement_Interval: our own.
    pub advert_interval: Interval,
    /// Preempt_Mode.
    pub preempt: bool,
    /// How long a lower Active router is listened to before it is preempted.
    pub preempt_delay: Duration,
    /// Our source address, for ties: of the family of the adverts.
    pub source: IpAddr,
    /// Takes part although it had better not: leaves a resigned router's place to those who are fit.
    pub reluctant: bool,
    /// No claim before this, whatever is heard or not: it has just started, or its link has just come up.
    pub not_before: Instant,
}

/// The states of RFC 9568 section 6.4, each with the deadlines that only it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not taking part.
    Initialize,
    /// Listening to the Active router.
    Backup(Backup),
    /// Sending adverts.
    Active {
        /// When the next advert is due (Adver_Timer).
        adver_at: Instant,
    },
}

/// The Backup state's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// Active_Adver_Interval: learned from the Active router, at first our own.
    pub active_adver_interval: Interval,
    /// From when the Active_Down_Timer runs: the last advert that counted.
    heard_at: Instant,
    /// What it waits for from then on.
    patience: Patience,
    /// When a lower Active router may be preempted; set by its first advert if there is a delay.
    preempt_at: Option<Instant>,
}

/// How long the silence of the Active router is borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Active_Down_Interval.
    Full,
    /// Skew_Time: the Active router has resigned.
    Skew,
    /// A given time: we resigned ourselves and leave others this chance.
    Given(Duration),
    /// None: the owner waits only until it may claim.
    Owner,
}

/// What happened that the caller must act on, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do.
    Nothing,
    /// Send an advert: the regular one.
    Advertise,
    /// Became Active: send an advert, claim the addresses.
    Claim(Claim),
    /// Another router is Active with a right to it: yield to it.
    Yield,
    /// A router with less right is Active too: send an advert, and announce again (RFC 9568 section 6.4.3).
    Assert,
}

/// Why it became Active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Priority 255 at start.
    Owner,
    /// No advert within the Active_Down_Interval.
    Silence(Duration),
    /// The Active router had resigned.
    Resigned,
    /// Nobody took the place that we had resigned.
    NoSuccessor,
}

/// One virtual router's election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    params: Params,
    state: State,
    /// When it last answered an advert that called for it.
    answered_at: Option<Instant>,
}

impl Election {
    /// In Initialize.
    pub fn new(params: Params) -> Self {
        Election { params, state: State::Initialize, answered_at: None }
    }

    /// What it is held with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes over changed parameters; a Backup's timer follows, since it is derived from them.
    ///
    /// An Active router with a new interval sends its next advert no later than that interval after `now`, so
    /// that no peer that has learned a longer one is surprised.
    pub fn set_params(&mut self, params: Params, now: Instant) {
        if let State::Active { adver_at } = &mut self.state {
            *adver_at = (*adver_at).min(now + params.advert_interval.duration());
        }
        self.params = params;
    }

    /// Startup event (RFC 9568 section 6.4.1).
    pub fn start(&mut self, now: Instant) -> Outcome {
        match self.state {
            State::Initialize if self.params.priority.is_owner() && self.params.not_before <= now => {
                self.claim(now, Claim::Owner)
            }
            State::Initialize if self.params.priority.is_owner() => {
                self.listen(now, self.params.advert_interval, Patience::Owner);
                Outcome::Nothing
            }
            State::Initialize => {
                self.listen(now, self.params.advert_interval, Patience::Full);
                Outcome::Nothing
            }
            State::Backup(_) | State::Active { .. } => Outcome::Nothing,
        }
    }

    /// Shutdown event (sections 6.4.2 and 6.4.3). True if it was Active: the caller then sends priority 0.
    pub fn shut_down(&mut self) -> bool {
        let was_active = matches!(self.state, State::Active { .. });
        self.state = State::Initialize;
        was_active
    }

    /// Leaves Active to whoever claims within `chance`; takes it back if nobody does. The caller sends priority 0.
    pub fn step_back(&mut self, now: Instant, chance: Duration) {
        if let State::Active { .. } = self.state {
            self.listen(now, self.params.advert_interval, Patience::Given(chance));
        }
    }

    /// From now on the LAN can be heard: a Backup's silence counts anew.
    pub fn can_hear(&mut self, now: Instant) {
        if let State::Backup(backup) = &mut self.state {
            backup.heard_at = backup.heard_at.max(now);
        }
    }

    /// When it must be ticked at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Initialize => None,
            State::Backup(backup) => Some(self.params.not_before.max(backup.heard_at + self.patience(backup))),
            State::Active { adver_at } => Some(*adver_at),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Outcome {
        match (self.deadline(), &self.state) {
            (Some(deadline), State::Backup(backup)) if deadline <= now => {
                let why = match backup.patience {
                    Patience::Full => Claim::Silence(now.since(backup.heard_at)),
                    Patience::Skew => Claim::Resigned,
                    Patience::Given(_) => Claim::NoSuccessor,
                    Patience::Owner => Claim::Owner,
                };
                self.claim(now, why)
            }
            (Some(deadline), State::Active { .. }) if deadline <= now => {
                self.state = State::Active { adver_at: self.next_advert(deadline, now) };
                Outcome::Advertise
            }
            (Some(_) | None, State::Initialize | State::Backup(_) | State::Active { .. }) => Outcome::Nothing,
        }
    }

    /// A valid advert of another router of this VRID. `received` is when the LAN brought it.
    pub fn hear(
        &mut self,
        now: Instant,
        received: Instant,
        source: IpAddr,
        advertised: Advertised,
        interval: Interval,
    ) -> Outcome {
        match self.state {
            State::Initialize => Outcome::Nothing,
            State::Backup(backup) => {
                self.hear_as_backup(backup, received, advertised, interval);
                Outcome::Nothing
            }
            State::Active { .. } => self.hear_as_active(now, received, source, advertised, interval),
        }
    }

    /// Section 6.4.2.
    fn hear_as_backup(&mut self, backup: Backup, received: Instant, advertised: Advertised, interval: Interval) {
        match advertised {
            // Two unhealthy routers that resigned to each other would pass the address to and fro.
            Advertised::Resigned if self.params.reluctant => {}
            // Resignations are repeated; one that put the claim off would leave a low priority no time for it.
            Advertised::Resigned if backup.patience == Patience::Skew => {}
            Advertised::Resigned => {
                self.state =
                    State::Backup(Backup { heard_at: received, patience: Patience::Skew, preempt_at: None, ..backup });
            }
            Advertised::Active(priority) if !self.params.preempt || priority >= self.params.priority => {
                self.listen(received, interval, Patience::Full);
            }
            Advertised::Active(_) => self.hear_lower(backup, received, interval),
        }
    }

    /// A lower advert leaves the timer alone (section 6.4.2), unless a preempt_delay still runs.
    fn hear_lower(&mut self, backup: Backup, received: Instant, interval: Interval) {
        if self.params.preempt_delay.is_zero() {
            return;
        }
        let preempt_at = backup.preempt_at.unwrap_or(received + self.params.preempt_delay);
        if received < preempt_at {
            self.listen(received, interval, Patience::Full);
        }
        if let State::Backup(backup) = &mut self.state {
            backup.preempt_at = Some(preempt_at);
        }
    }

    /// Section 6.4.3.
    fn hear_as_active(
        &mut self,
        now: Instant,
        received: Instant,
        source: IpAddr,
        advertised: Advertised,
        interval: Interval,
    ) -> Outcome {
        match advertised {
            Advertised::Resigned => match self.next_answer(now) {
                None => {
                    self.answered_at = Some(now);
                    self.state = State::Active { adver_at: now + self.params.advert_interval.duration() };
                    Outcome::Advertise
                }
                // The answer is owed: it comes as soon as one may, and no flood can put an advert off.
                Some(at) => {
                    if let State::Active { adver_at } = &mut self.state {
                        *adver_at = (*adver_at).min(at);
                    }
                    Outcome::Nothing
                }
            },
            Advertised::Active(priority) => {
                let (own, own_source) = (self.params.priority, self.params.source);
                if priority > own || (priority == own && source > own_source) {
                    self.listen(received, interval, Patience::Full);
                    Outcome::Yield
                } else if self.next_answer(now).is_some() {
                    Outcome::Nothing
                } else {
                    self.answered_at = Some(now);
                    Outcome::Assert
                }
            }
        }
    }

    /// When the next answer may be sent, if not now: a host that calls for them without end is not answered without
    /// end, but at most once a quarter of the interval.
    fn next_answer(&self, now: Instant) -> Option<Instant> {
        let next = self.answered_at? + self.params.advert_interval.duration() / 4;
        (now < next).then_some(next)
    }

    fn listen(&mut self, heard_at: Instant, active_adver_interval: Interval, patience: Patience) {
        self.state = State::Backup(Backup { active_adver_interval, heard_at, patience, preempt_at: None });
    }

    fn claim(&mut self, now: Instant, why: Claim) -> Outcome {
        self.state = State::Active { adver_at: now + self.params.advert_interval.duration() };
        self.answered_at = None;
        Outcome::Claim(why)
    }

    /// On the grid that the deadline stands on, so that lateness does not add up; points of it that lateness has
    /// overtaken fall away.
    fn next_advert(&self, deadline: Instant, now: Instant) -> Instant {
        let interval = self.params.advert_interval.duration();
        let missed = now.since(deadline).as_nanos() / interval.as_nanos();
        deadline + interval * u32::try_from(missed + 1).unwrap_or(u32::MAX)
    }

    fn patience(&self, backup: &Backup) -> Duration {
        let (version, priority, interval) = (self.params.version, self.params.priority, backup.active_adver_interval);
        match backup.patience {
            Patience::Full => active_down_interval(version, priority, interval),
            Patience::Skew => skew_time(version, priority, interval),
            Patience::Given(chance) => chance,
            Patience::Owner => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
