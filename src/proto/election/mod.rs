//! The election of one virtual router: RFC 9568 section 6.4 and nothing else.
//!
//! Belongs here: states, timers, who wins. Does not belong here: addresses, checks, links, packets. The caller
//! starts it when the router is eligible, hands it valid adverts, and does what the outcomes say.

mod timers;
mod vigil;

use std::net::IpAddr;
use std::time::Duration;

pub use timers::{active_down_interval, skew_time};
use vigil::Vigil;

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
        /// Whether it has slept through the patience of its peers: then it listens until `adver_at`, and leaves the
        /// place to anybody who has taken it meanwhile.
        overslept: bool,
    },
}

/// The Backup state's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// Active_Adver_Interval: learned from the Active router, at first our own.
    pub active_adver_interval: Interval,
    /// From when the Active_Down_Timer runs: the last advert that counted.
    heard_at: Instant,
    /// Whose that was.
    active: Option<IpAddr>,
    /// What it waits for from then on.
    patience: Patience,
    /// When a lower Active router may be preempted; set by its first advert if there is a delay.
    preempt_at: Option<Instant>,
    /// Whether this host was awake to hear what it takes for silence.
    vigil: Vigil,
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
    /// A given time: our leases have ended. Whoever is heard then is waited for like any Active router, also one of lower
    /// priority.
    Lapsed(Duration),
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
    /// The same, so soon after the last answer that only the announcement is called for.
    AnnounceAgain,
    /// Active again, as before the process ended: hold what is held, claim what is missing, announce.
    Resume,
    /// Woke this much too late to take the silence for the Active router's: it listens once more.
    Wait(Duration),
    /// Woke this long after its last advert, as the Active router: the others may have given up on it, so it listens.
    Listen(Duration),
    /// Nobody took the place in between: send an advert, and announce again.
    Reassert,
    /// Somebody took the place while it slept: give everything up at once, and tell them that they were not alone.
    GiveUp,
    /// Somebody took the place while it slept so long that nothing is left to give up: tell them that they were not alone.
    Concede,
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
        match self.state {
            State::Initialize => {}
            State::Backup(mut backup) => {
                // A stall that ends with news is one all the same; what the news move into the past is not slept through.
                let claim_at = self.claim_at(&backup);
                backup.vigil.tick(now, claim_at, backup.active_adver_interval.duration());
                self.state = State::Backup(backup);
            }
            State::Active { adver_at, overslept } => {
                let interval = params.advert_interval.duration();
                let adver_at = adver_at.min(now + interval);
                // The peers' patience was that of the interval before: a sleep through it is one also by another.
                let adver_at =
                    if self.has_slept(now) && !overslept { adver_at.min(now - interval * 2) } else { adver_at };
                self.state = State::Active { adver_at, overslept };
            }
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

    /// Instead of a startup event: goes on as the Backup that it was, since the advert of `heard_at`.
    pub fn go_on(
        &mut self,
        now: Instant,
        heard_at: Instant,
        active_adver_interval: Interval,
        preempt_at: Option<Instant>,
    ) -> Outcome {
        if self.state == State::Initialize {
            self.listen(heard_at, active_adver_interval, Patience::Full);
            if let State::Backup(backup) = &mut self.state {
                backup.preempt_at = preempt_at;
                // Another program of ours was awake until a moment ago.
                backup.vigil.awake(now);
            }
        }
        Outcome::Nothing
    }

    /// Shutdown event (sections 6.4.2 and 6.4.3). True if it was Active: the caller then sends priority 0.
    pub fn shut_down(&mut self) -> bool {
        let was_active = matches!(self.state, State::Active { .. });
        self.state = State::Initialize;
        was_active
    }

    /// Instead of a startup event: goes on as the Active router that it was before its process ended, with adverts on
    /// the grid of the last one. That left at `sent_at` and promised the next one within `interval`.
    pub fn resume(&mut self, sent_at: Instant, interval: Interval) -> Outcome {
        match self.state {
            State::Initialize => {
                let promised = interval.min(self.params.advert_interval).duration();
                self.state = State::Active { adver_at: sent_at + promised, overslept: false };
                Outcome::Resume
            }
            State::Backup(_) | State::Active { .. } => Outcome::Nothing,
        }
    }

    /// Leaves Active to whoever claims within `chance`; takes it back if nobody does. The caller sends priority 0.
    pub fn step_back(&mut self, now: Instant, chance: Duration) {
        if let State::Active { .. } = self.state {
            self.listen(now, self.params.advert_interval, Patience::Given(chance));
        }
    }

    /// What an Active router held is gone, since it stood still for too long: it listens for an interval, or for what is
    /// left of one that it listens for anyway, and claims anew where nobody has followed.
    pub fn lapse(&mut self, now: Instant) {
        let interval = self.params.advert_interval.duration();
        if let State::Active { adver_at, overslept } = self.state {
            let span = if overslept && now < adver_at { adver_at.since(now) } else { interval };
            self.listen(now, self.params.advert_interval, Patience::Lapsed(span));
        }
    }

    /// From now on the LAN can be heard: a Backup's silence counts anew.
    pub fn can_hear(&mut self, now: Instant) {
        if let State::Backup(backup) = &mut self.state
            && backup.heard_at < now
        {
            backup.heard_at = now;
            backup.vigil = Vigil::new(now, backup.active_adver_interval.duration());
        }
    }

    /// When it decides something by itself; it must be ticked then, and at [`Election::wake_at`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Initialize => None,
            State::Backup(backup) => Some(self.claim_at(backup)),
            State::Active { adver_at, .. } => Some(*adver_at),
        }
    }

    /// When it must be ticked only to know that this host was awake.
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.state {
            State::Backup(backup) => Some(backup.vigil.wake_at()),
            State::Initialize | State::Active { .. } => None,
        }
    }

    /// Time has passed. `listened_since` is when the last stretch began in which the kernel's own stamps show that
    /// packets reached this host all the time until now, awake or not.
    pub fn tick(&mut self, now: Instant, listened_since: Option<Instant>) -> Outcome {
        match self.state {
            State::Initialize => Outcome::Nothing,
            State::Backup(backup) => self.tick_backup(now, backup, listened_since),
            State::Active { adver_at, overslept } if adver_at <= now => self.tick_active(now, adver_at, overslept),
            State::Active { .. } => Outcome::Nothing,
        }
    }

    fn tick_backup(&mut self, now: Instant, mut backup: Backup, listened_since: Option<Instant>) -> Outcome {
        let claim_at = self.claim_at(&backup);
        let interval = backup.active_adver_interval.duration();
        let late = backup.vigil.tick(now, claim_at, interval);
        self.state = State::Backup(backup);
        if now < claim_at {
            return Outcome::Nothing;
        }
        let listened = listened_since.is_some_and(|since| since <= backup.heard_at + interval);
        // Whoever is preferred waits less, also where all hosts slept.
        let wait = interval + skew_time(self.params.version, self.params.priority, backup.active_adver_interval);
        if !listened && backup.vigil.extend(now + wait) {
            self.state = State::Backup(backup);
            return Outcome::Wait(late);
        }
        let why = match backup.patience {
            Patience::Full => Claim::Silence(now.since(backup.heard_at)),
            Patience::Skew => Claim::Resigned,
            Patience::Given(_) | Patience::Lapsed(_) => Claim::NoSuccessor,
            Patience::Owner => Claim::Owner,
        };
        self.claim(now, why)
    }

    fn tick_active(&mut self, now: Instant, adver_at: Instant, overslept: bool) -> Outcome {
        let interval = self.params.advert_interval.duration();
        if self.has_overslept(now, adver_at) {
            // Also one that has slept through what it was to listen to.
            self.state = State::Active { adver_at: now + interval, overslept: true };
            return Outcome::Listen(now.since(adver_at - interval));
        }
        self.state = State::Active { adver_at: self.next_advert(adver_at, now), overslept: false };
        if overslept { Outcome::Reassert } else { Outcome::Advertise }
    }

    /// Whether it is Active and has slept so long that another one may be too: then it says nothing, not even that it
    /// resigns, before it has listened.
    pub fn has_slept(&self, now: Instant) -> bool {
        match self.state {
            State::Active { adver_at, overslept } => overslept || self.has_overslept(now, adver_at),
            State::Initialize | State::Backup(_) => false,
        }
    }

    /// Whether it is Active and listens after such a sleep.
    pub fn listens(&self) -> bool {
        matches!(self.state, State::Active { overslept: true, .. })
    }

    /// Whether peers have been without an advert for three intervals, so that one with a short Skew_Time may be Active.
    fn has_overslept(&self, now: Instant, adver_at: Instant) -> bool {
        now >= adver_at + self.params.advert_interval.duration() * 2
    }

    fn claim_at(&self, backup: &Backup) -> Instant {
        self.params.not_before.max(backup.vigil.until().unwrap_or_else(|| backup.heard_at + self.patience(backup)))
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
                self.hear_as_backup(backup, received, source, advertised, interval);
                match (backup.patience, advertised) {
                    (Patience::Lapsed(_), Advertised::Active(_)) => Outcome::Concede,
                    (Patience::Lapsed(_), Advertised::Resigned)
                    | (Patience::Full | Patience::Skew | Patience::Given(_) | Patience::Owner, _) => Outcome::Nothing,
                }
            }
            State::Active { adver_at, overslept } if overslept || self.has_overslept(now, adver_at) => {
                self.hear_after_sleep(now, source, advertised, interval)
            }
            State::Active { .. } => self.hear_as_active(now, received, source, advertised, interval),
        }
    }

    /// Section 6.4.2.
    fn hear_as_backup(
        &mut self,
        backup: Backup,
        received: Instant,
        source: IpAddr,
        advertised: Advertised,
        interval: Interval,
    ) {
        match advertised {
            // Two unhealthy routers that resigned to each other would pass the address to and fro.
            Advertised::Resigned if self.params.reluctant => {}
            // Resignations are repeated; one that put the claim off would leave a low priority no time for it.
            Advertised::Resigned if backup.patience == Patience::Skew => {}
            // Whoever has followed is Active by now: a repeated resignation of the one before, or one that comes late,
            // leaves no place that a third could take.
            Advertised::Resigned if backup.active.is_some_and(|active| active != source) => {}
            Advertised::Resigned => {
                self.listen(received, backup.active_adver_interval, Patience::Skew);
            }
            Advertised::Active(priority) if !self.params.preempt || priority >= self.params.priority => {
                self.listen_to(source, received, interval);
            }
            Advertised::Active(_) => self.hear_lower(backup, received, source, interval),
        }
    }

    /// A lower advert leaves the timer alone (section 6.4.2), unless a preempt_delay still runs, or it is the first that is
    /// heard after a lapse.
    fn hear_lower(&mut self, backup: Backup, mut received: Instant, source: IpAddr, interval: Interval) {
        if let Patience::Lapsed(_) = backup.patience {
            // What was queued is old: only from the lapse on a silence can be heard.
            received = received.max(backup.heard_at);
            self.listen_to(source, received, interval);
        }
        if self.params.preempt_delay.is_zero() {
            return;
        }
        let preempt_at = backup.preempt_at.unwrap_or(received + self.params.preempt_delay);
        if received < preempt_at {
            self.listen_to(source, received, interval);
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
            Advertised::Resigned => self.answer_resignation(now),
            Advertised::Active(priority) => {
                let (own, own_source) = (self.params.priority, self.params.source);
                if priority > own || (priority == own && source > own_source) {
                    self.listen_to(source, received, interval);
                    Outcome::Yield
                } else if self.next_answer(now).is_some() {
                    Outcome::AnnounceAgain
                } else {
                    self.answered_at = Some(now);
                    Outcome::Assert
                }
            }
        }
    }

    /// From when a Backup's patience runs and until when it leaves a lower router alone, if it waits for nothing but the
    /// Active router's silence.
    pub fn waits(&self) -> Option<(&Backup, Instant, Option<Instant>)> {
        match &self.state {
            State::Backup(backup) if backup.patience == Patience::Full => {
                Some((backup, backup.heard_at, backup.preempt_at))
            }
            State::Initialize | State::Backup(_) | State::Active { .. } => None,
        }
    }

    /// The place was left to others by sleeping; whoever has it now keeps it, whatever its priority.
    fn hear_after_sleep(
        &mut self,
        now: Instant,
        source: IpAddr,
        advertised: Advertised,
        interval: Interval,
    ) -> Outcome {
        match advertised {
            Advertised::Resigned => self.answer_resignation(now),
            Advertised::Active(_) => {
                // What was queued is old: only from now on a silence can be heard.
                self.listen_to(source, now, interval);
                Outcome::GiveUp
            }
        }
    }

    fn answer_resignation(&mut self, now: Instant) -> Outcome {
        match self.next_answer(now) {
            None => {
                self.answered_at = Some(now);
                self.state = State::Active { adver_at: now + self.params.advert_interval.duration(), overslept: false };
                Outcome::Advertise
            }
            // The answer is owed: it comes as soon as one may, and no flood can put an advert off.
            Some(at) => {
                if let State::Active { adver_at, .. } = &mut self.state {
                    *adver_at = (*adver_at).min(at);
                }
                Outcome::Nothing
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
        let vigil = Vigil::new(heard_at, active_adver_interval.duration());
        let active = None;
        self.state =
            State::Backup(Backup { active_adver_interval, heard_at, active, patience, preempt_at: None, vigil });
    }

    /// Backs this Active router up from its advert on.
    fn listen_to(&mut self, source: IpAddr, received: Instant, interval: Interval) {
        self.listen(received, interval, Patience::Full);
        if let State::Backup(backup) = &mut self.state {
            backup.active = Some(source);
        }
    }

    fn claim(&mut self, now: Instant, why: Claim) -> Outcome {
        self.state = State::Active { adver_at: now + self.params.advert_interval.duration(), overslept: false };
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
            Patience::Given(span) | Patience::Lapsed(span) => span,
            Patience::Owner => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
