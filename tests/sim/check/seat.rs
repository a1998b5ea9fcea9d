//! One router's seat in its election, replayed from what it hears: whether each claim, yield, answer and
//! resignation comes when RFC 9568 section 6.4 and holding.md say, neither early nor late.

mod hearing;
mod silence;

use std::net::IpAddr;
use std::time::Duration;

use locum::proto::Effect;
use locum::report::{Event, Reason, Release, RouterState};
use locum::types::{Advertised, Instant, Version};
use locum::wire::vrrp;

use super::{Cause, Heard, active_down_interval, skew_time};
use crate::host::{Stall, router_number, source};
use crate::scenario::{RESIGN_AGAIN, RETRY, RouterPlan};
use crate::world::Scene;

#[derive(Debug, Default)]
pub struct Seat {
    pub state: State,
    /// When it was last told that somebody is Active.
    pub heard_at: Option<Instant>,
    heard_interval: Duration,
    heard_from: Option<IpAddr>,
    /// Since its last claim: whether it has resigned, and whether it has yielded.
    pub resigned: bool,
    pub yielded: bool,
    may_challenge: bool,
    /// The advert of a claim has gone out; the rest of it comes next.
    claiming: bool,
    sent_at: Option<Instant>,
    /// The interval that it promised.
    sent_interval: Duration,
    answered_at: Option<Instant>,
    degraded_since: Option<Instant>,
    /// It has slept through the patience of its peers, or may have.
    sleep: Option<Sleep>,
    /// When it last had a resignation to answer.
    answers: Option<Instant>,
    /// Whether an earlier process has left addresses here, and whoever is Active has not been told.
    leftover: bool,
    /// When the last advert left that said it is Active, and its interval, as it was when its process was killed.
    past: Option<(Instant, Duration)>,
    /// When the last advert left that said it is Active, and the one before that.
    left_at: Option<Instant>,
    left_before: Option<Instant>,
    /// Whether the last one did not.
    unsent: bool,
    /// Whether it is out of service until an advert leaves.
    mute: bool,
    /// Whoever has followed while it slept, with its priority, and is to be told that it was not alone.
    concedes_to: Option<(u8, IpAddr)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sleep {
    woke: Instant,
    sure: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum State {
    #[default]
    Out,
    Backup {
        from: Instant,
        /// Whose advert that was, if one's.
        active: Option<IpAddr>,
        interval: Duration,
        patience: Patience,
        preempt_at: Option<Instant>,
    },
    Active {
        since: Instant,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    Full,
    Skew,
    /// It has resigned because it is unhealthy: others have A and a margin.
    Chance,
    /// Its leases have ended while it slept: others have A, or what is left of it, and keep what they took.
    Lapsed,
    /// It is the owner and waits only for its link.
    Owner,
    /// Its adverts do not leave: it tries again after its own Active_Down_Interval, or ten seconds.
    Retry,
    /// The advert of a claim did not leave: after an interval, or ten seconds.
    RetrySoon,
}

/// What a seat plays with at the moment.
struct Terms {
    version: Version,
    priority: u8,
    source: IpAddr,
    interval: Duration,
    preempt: bool,
    preempt_delay: Duration,
    unhealthy: bool,
    eligible: bool,
    /// When its link was held back to.
    held_until: Instant,
    woke: Option<(Stall, Instant)>,
    reloaded_at: Instant,
}

/// What must follow from what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    Nothing,
    Yield,
    Answer,
    /// It has slept, and somebody has taken its place.
    GiveUp,
    /// It has slept, and its addresses have gone with their leases.
    Lapse,
    /// The same, and now it hears of whoever has followed.
    Concede,
}

/// What an advert of a router says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Active,
    Resigned,
    /// That it was Active too, and has less right than whoever has followed.
    Concession,
}

/// What a router has sent in one step.
#[derive(Debug, Default, Clone, Copy)]
struct Sent {
    active: bool,
    resigned: bool,
    conceded: bool,
}

impl Seat {
    /// Whether it may claim only later, and if it is Backup, when it must have claimed.
    fn window(&self, terms: &Terms) -> Option<(Instant, Instant)> {
        let State::Backup { from, interval, patience, .. } = self.state else { return None };
        let exactly = |span| {
            let at = terms.held_until.max(from + span);
            Some((at, at))
        };
        let window = match patience {
            Patience::Full => exactly(active_down_interval(terms.version, terms.priority, interval)),
            Patience::Skew => exactly(skew_time(terms.version, terms.priority, interval)),
            Patience::Chance => Some((from + interval, from + interval * 5 / 4 + Duration::from_millis(20))),
            Patience::Lapsed => Some((from, from + interval)),
            Patience::Owner => exactly(Duration::ZERO),
            Patience::Retry => Some((from + (interval * 3).min(RETRY), from + (interval * 4).min(RETRY))),
            Patience::RetrySoon => Some((from + interval.min(RETRY), from + (interval * 4).min(RETRY))),
        };
        window.map(|window| put_off(window, from, interval, terms))
    }

    /// Its process is killed.
    pub fn kill(&mut self) {
        let past = match self.state {
            State::Active { .. } => self.left_at.map(|at| (at, self.sent_interval)),
            // Killed before it began.
            State::Out => self.past,
            State::Backup { .. } => None,
        };
        *self = Seat { past, ..Seat::default() };
    }

    /// Another process begins.
    pub fn boot(&mut self, leftover: bool) {
        *self = Seat { past: self.past, leftover, ..Seat::default() };
    }

    pub fn is_active(&self) -> bool {
        matches!(self.state, State::Active { .. }) && !self.claiming
    }

    /// Whether it has, or may have, slept through the patience of its peers, and has not asserted itself since.
    pub fn has_slept(&self) -> bool {
        self.sleep.is_some()
    }

    /// Whether it has slept through the patience of its peers for sure and still listens.
    pub fn listens(&self, now: Instant) -> bool {
        self.is_active() && self.sleep.is_some_and(|sleep| sleep.sure && now < sleep.woke + self.sent_interval)
    }

    /// Whether it has sent an advert since its claim.
    pub fn has_asserted(&self) -> bool {
        matches!(self.state, State::Active { since } if self.sent_at.is_some_and(|at| at >= since))
    }

    pub fn after(
        &mut self,
        scene: &Scene,
        host: usize,
        router: usize,
        cause: &Cause<'_>,
        effects: &[Effect],
    ) -> Result<(), String> {
        let terms = terms(scene, host, router);
        self.notice_sleep(scene.now, &terms);
        // What came just now ended the wait of its link: silence counts from here.
        if let (true, State::Backup { from, .. }) = (scene.hosts[host].freed, &mut self.state) {
            *from = scene.now.max(*from);
        }
        self.notice_silence(scene.now, cause, router, &terms);
        let heard = match cause {
            Cause::Advert(heard, received) if scene.plan.routers[router].is_of(heard) => Some((*heard, *received)),
            Cause::Advert(..) | Cause::Unsent(_) | Cause::Idle | Cause::Other => None,
        };
        // Giving way, it let its leases end, and whoever has not heard it does not know.
        self.leftover |=
            matches!(self.state, State::Backup { .. }) && effects.iter().any(|effect| lapses(effect, router));
        // Leases end before anything is made of an input.
        if effects.iter().any(|effect| self.leaves_asleep(effect, router) == Some(Duty::Lapse)) {
            // Those that were not over when it woke are renewed for as long as it listens.
            let slack = scene.plan.kernel_slack() + scene.plan.late + Duration::from_millis(1);
            match self.sleep.take() {
                Some(sleep) if scene.now <= sleep.woke + slack => {}
                asleep => {
                    let what = "lets its leases end although it was awake";
                    return Err(format!("h{host} r{router}: {what}: {asleep:?} {self:?}"));
                }
            }
            self.enter(scene, host, router, RouterState::Backup, &terms, Duty::Lapse)?;
        }
        let duty = heard.map_or(Duty::Nothing, |(heard, received)| self.hear(scene.now, received, heard, &terms));
        if let (Duty::Concede, Some((heard, _))) = (duty, heard) {
            self.concedes_to = Some((heard.priority, heard.source));
        }
        let was_active = self.is_active();
        let sent = self.act(scene, (host, router), heard, effects, duty)?;
        if self.claiming && sent.resigned {
            self.listen(scene.now, &terms, Patience::Chance);
        }
        let link = scene.hosts[host].link;
        self.has_done_its_duty(&duty, sent, was_active, &terms, link)
            .map_err(|what| format!("h{host} r{router}: {what}"))?;
        self.look(scene, host, router)
    }

    /// Takes in what it does, in order.
    fn act(
        &mut self,
        scene: &Scene,
        (host, router): (usize, usize),
        heard: Option<(&Heard, Instant)>,
        effects: &[Effect],
        duty: Duty,
    ) -> Result<Sent, String> {
        let terms = terms(scene, host, router);
        let mut sent = Sent::default();
        // Where each peer or each clock gets its own, the first one stands for all.
        let mut said = None;
        let mut again = |packet: &[u8]| {
            let says = vrrp::parse(packet).ok().map(|heard| (heard.advertisement.vrid, heard.advertisement.advertised));
            said.replace(says) == Some(says)
        };
        for effect in effects {
            match (self.leaves_asleep(effect, router), heard) {
                (Some(Duty::GiveUp), Some((heard, _))) if self.sleep.take().is_some() || duty == Duty::GiveUp => {
                    self.concedes_to = Some((heard.priority, heard.source));
                    self.enter(scene, host, router, RouterState::Backup, &terms, Duty::GiveUp)?;
                    continue;
                }
                // See above.
                (Some(Duty::Lapse), _) => continue,
                (Some(_) | None, _) => {}
            }
            if self.falls_silent(scene, (host, router), effect, heard)? {
                continue;
            }
            match effect {
                Effect::Tell(Event::Transition { router: name, to, .. }) if router_number(name) == router => {
                    self.enter(scene, host, router, *to, &terms, duty)?;
                }
                Effect::SendAdvert { router: name, packet, .. } if router_number(name) == router && again(packet) => {}
                Effect::SendAdvert { router: name, packet, .. } if router_number(name) == router => {
                    match self.send(scene.now, packet, &terms).map_err(|what| format!("h{host} r{router}: {what}"))? {
                        Said::Active => sent.active = true,
                        Said::Resigned => sent.resigned = true,
                        Said::Concession => sent.conceded = true,
                    }
                }
                Effect::SendAdvert { .. }
                | Effect::Record(_)
                | Effect::Forget { .. }
                | Effect::Tell(_)
                | Effect::Listen { .. }
                | Effect::Unlisten { .. }
                | Effect::WatchFrames { .. }
                | Effect::UnwatchFrames { .. }
                | Effect::AddAddresses { .. }
                | Effect::RemoveAddresses { .. }
                | Effect::RenewLeases { .. }
                | Effect::Announce { .. }
                | Effect::Probe { .. }
                | Effect::Stopped => {}
            }
        }
        Ok(sent)
    }

    /// How the effect shows that it leaves its place since it has slept, if it does.
    fn leaves_asleep(&self, effect: &Effect, router: usize) -> Option<Duty> {
        let Effect::Tell(event) = effect else { return None };
        let (name, reason) = match event {
            Event::Transition { router: name, to: RouterState::Backup, reason, .. } => (name, reason),
            // A claim of which nothing but the advert was done was never told.
            Event::ReasonChanged { router: name, state: RouterState::Backup, reason } if self.claiming => {
                (name, reason)
            }
            _ => return None,
        };
        match reason {
            _ if router_number(name) != router => None,
            Reason::Overslept(_) => Some(Duty::GiveUp),
            Reason::LeaseLapsed => Some(Duty::Lapse),
            _ => None,
        }
    }

    /// Holds what it sent, adverts and resignations, against what it had to do.
    fn has_done_its_duty(
        &mut self,
        duty: &Duty,
        sent: Sent,
        was_active: bool,
        terms: &Terms,
        link: bool,
    ) -> Result<(), &'static str> {
        let active = self.is_active();
        match *duty {
            Duty::Yield if active => return Err("does not yield to a better advert"),
            Duty::GiveUp if active => return Err("has slept and does not leave its place to whoever took it"),
            Duty::GiveUp if sent.active => return Err("has slept and asserts"),
            Duty::Answer if active && !sent.active && self.sleep.is_none() => {
                return Err("does not answer an advert it has to answer");
            }
            Duty::Yield | Duty::GiveUp | Duty::Lapse | Duty::Concede | Duty::Answer | Duty::Nothing => {}
        }
        if self.concedes_to.take().is_some() && link {
            return Err("does not tell whoever has followed that it was not alone");
        }
        // Who has yielded may say once more that it was Active, so that the winner announces.
        if sent.active && !active && !self.claiming && !std::mem::take(&mut self.may_challenge) {
            return Err("advertises although it is not Active");
        }
        let gives_way = matches!(duty, Duty::Yield | Duty::GiveUp) || self.yielded || self.sleep.is_some();
        if was_active && !active && !gives_way && !sent.resigned && link {
            return Err("leaves without resigning");
        }
        if active && !terms.eligible {
            return Err("is Active and must not be");
        }
        if active && terms.unhealthy && self.degraded_since.is_none() && self.sleep.is_none() {
            return Err("is unhealthy and has not resigned");
        }
        Ok(())
    }

    /// Whether something that is due has not come.
    pub fn look(&self, scene: &Scene, host: usize, router: usize) -> Result<(), String> {
        if scene.hosts[host].stall.is_some() {
            return Ok(());
        }
        let (terms, now) = (terms(scene, host, router), scene.now);
        let late = scene.plan.late + Duration::from_micros(10);
        // A changed priority can put a deadline into the past; the tick that follows any input sees to it.
        let agent = scene.hosts[host].agent.as_ref();
        if agent.and_then(|agent| agent.next_deadline()).is_some_and(|due| due <= now) {
            return Ok(());
        }
        let overdue = |what: &str| Err(format!("h{host} r{router}: {what}: {self:?}"));
        self.is_heard(scene, host, &terms).map_err(|what| format!("h{host} r{router}: {what}: {self:?}"))?;
        match self.state {
            State::Out => {}
            State::Backup { .. } => {
                if self.window(&terms).is_some_and(|(_, latest)| now > latest + late) {
                    return overdue("a claim is overdue");
                }
            }
            State::Active { .. } => {
                let listens =
                    self.sleep.map_or(Duration::ZERO, |sleep| sleep.woke.since(self.sent_at.unwrap_or_default()));
                let from = self.sent_at.map(|at| at.max(scene.hosts[host].reloaded_at));
                if from.is_none_or(|at| now > at + listens + terms.interval + late) {
                    return overdue("an advert is overdue");
                }
                let listened = terms.woke.map_or(Instant::default(), |(_, woke)| woke + terms.interval);
                let due = |at: Instant| (at + RESIGN_AGAIN).max(listened) + late;
                if self.degraded_since.is_some_and(|at| terms.unhealthy && now > due(at)) {
                    return overdue("a degraded router has to resign anew");
                }
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        scene: &Scene,
        host: usize,
        router: usize,
        to: RouterState,
        terms: &Terms,
        duty: Duty,
    ) -> Result<(), String> {
        let now = scene.now;
        let wrong = |what: &str, seat: &Seat| Err(format!("h{host} r{router}: {what}: {seat:?}"));
        // holding.md, rule 1: peers wait for three intervals, of which a quarter of one is kept.
        let past = self.past.take().filter(|(at, interval)| now.since(*at) < *interval * 11 / 4);
        match (to, self.state) {
            (RouterState::Active, State::Out) if past.is_some() => {
                let (sent_at, interval) = past.unwrap_or_default();
                (self.sent_at, self.left_at, self.sent_interval) = (Some(sent_at), Some(sent_at), interval);
                self.state = State::Active { since: sent_at };
                self.leftover = false;
                self.degraded_since = terms.unhealthy.then_some(now);
            }
            _ if past.is_some() && terms.eligible => {
                return wrong("its peers still wait for it, and it does not go on", self);
            }
            (RouterState::Active, State::Active { .. }) if self.claiming => {
                (self.claiming, self.mute, self.leftover) = (false, false, false);
            }
            (RouterState::Active, _) => return wrong("claims out of turn", self),
            // The yield itself was entered when the advert was heard.
            (RouterState::Backup, State::Backup { .. }) if duty == Duty::Yield => {
                (self.yielded, self.may_challenge) = (true, true);
            }
            (RouterState::Backup, _) if duty == Duty::Lapse => {
                self.listen(now, terms, Patience::Lapsed);
                self.yielded = true;
            }
            (RouterState::Backup, _) if duty == Duty::GiveUp => {
                self.listen(now, terms, Patience::Full);
                if let State::Backup { interval, active, .. } = &mut self.state {
                    (*interval, *active) = (self.heard_interval, self.heard_from);
                }
                self.yielded = true;
            }
            (RouterState::Backup, State::Backup { .. }) => return wrong("enters Backup twice", self),
            (RouterState::Backup, State::Active { .. }) => {
                if !terms.unhealthy || !self.resigned {
                    return wrong("steps back without a cause", self);
                }
                self.listen(now, terms, Patience::Chance);
            }
            // RFC 9568 section 6.4.1.
            (RouterState::Backup, State::Out) if terms.priority == 255 && now < terms.held_until => {
                self.listen(now, terms, Patience::Owner);
            }
            (RouterState::Backup, State::Out) if terms.priority == 255 => return wrong("the owner waits", self),
            (RouterState::Backup, State::Out) => self.listen(now, terms, Patience::Full),
            (RouterState::Fault | RouterState::Initialize, _) => {
                // Before its first facts an agent is out already.
                if terms.eligible && self.state != State::Out {
                    return wrong("leaves the election without a cause", self);
                }
                // It resigns only when it has listened, and not to whoever has announced meanwhile.
                self.yielded |= self.sleep.is_some();
                (self.state, self.claiming) = (State::Out, false);
            }
        }
        Ok(())
    }

    fn notice_sleep(&mut self, now: Instant, terms: &Terms) {
        let (State::Active { .. }, Some((_, woke)), Some(sent_at)) = (self.state, terms.woke, self.sent_at) else {
            self.sleep = None;
            return;
        };
        // Another interval counts from when it was configured.
        let sent_at = if terms.reloaded_at < woke { sent_at.max(terms.reloaded_at) } else { sent_at };
        // One that sleeps through what it was to listen to, and three intervals in all, listens anew.
        if let Some(sleep) = self.sleep.as_mut().filter(|sleep| woke <= now && sleep.woke + terms.interval * 3 <= woke)
        {
            let sure = sleep.woke + terms.interval * 3 + Duration::from_millis(2) <= woke;
            *sleep = Sleep { woke, sure };
        }
        // Adverts are on a grid that answers leave alone, so that its last point may have been earlier.
        if self.sleep.is_none() && woke <= now && sent_at + terms.interval * 2 <= woke {
            self.sleep = Some(Sleep { woke, sure: sent_at + terms.interval * 3 <= woke });
        }
    }

    fn listen(&mut self, from: Instant, terms: &Terms, patience: Patience) {
        self.claiming = false;
        self.state = State::Backup { from, active: None, interval: terms.interval, patience, preempt_at: None };
    }

    fn claim(&mut self, now: Instant, terms: &Terms) {
        (self.state, self.claiming, self.answered_at) = (State::Active { since: now }, true, None);
        self.degraded_since = terms.unhealthy.then_some(now);
        (self.resigned, self.yielded) = (false, false);
    }

    fn send(&mut self, now: Instant, packet: &[u8], terms: &Terms) -> Result<Said, String> {
        let advertisement = vrrp::parse(packet).map_err(|reason| format!("sends what is {reason:?}"))?;
        if advertisement.source != terms.source || advertisement.advertisement.interval.duration() != terms.interval {
            return Err("sends an advert with another host's source or interval".to_owned());
        }
        self.unsent = false;
        if let Some(to) = self.concedes_to.take() {
            // The lowest priority, unless that would win a tie: then as a resignation.
            let said = if to > (1, terms.source) { 1 } else { 0 };
            let byte = advertisement.advertisement.advertised.byte();
            return if byte == said { Ok(Said::Concession) } else { Err(format!("concedes with {byte}, not {said}")) };
        }
        let listens = |sleep: &Sleep| sleep.sure && now < sleep.woke + terms.interval;
        match advertisement.advertisement.advertised {
            Advertised::Resigned if self.is_active() && self.sleep.as_ref().is_some_and(listens) => {
                Err("resigns although it has slept through the patience of its peers".to_owned())
            }
            Advertised::Resigned => {
                self.resigned = true;
                Ok(Said::Resigned)
            }
            Advertised::Active(priority) if priority.get() == terms.priority => {
                if self.sleep.take().is_some_and(|sleep| listens(&sleep) && self.answers.take() != Some(now)) {
                    return Err("asserts although it has slept through the patience of its peers".to_owned());
                }
                (self.sent_at, self.sent_interval) = (Some(now), terms.interval);
                (self.left_at, self.left_before) = (Some(now), self.left_at);
                match self.state {
                    State::Backup { .. } if self.window(terms).is_some_and(|(earliest, _)| now >= earliest) => {
                        self.claim(now, terms);
                    }
                    State::Out if priority.is_owner() && terms.eligible && now >= terms.held_until => {
                        self.claim(now, terms);
                    }
                    State::Out | State::Backup { .. } | State::Active { .. } => {}
                }
                Ok(Said::Active)
            }
            Advertised::Active(priority) => Err(format!("sends priority {priority}, not {}", terms.priority)),
        }
    }
}

/// Who was not awake, or may not have been, bears a silence for another interval; and it must, where the stall hides
/// an advert for sure: its kernel heard nothing either.
fn put_off(window: (Instant, Instant), from: Instant, interval: Duration, terms: &Terms) -> (Instant, Instant) {
    let Some((stall, woke)) = terms.woke.filter(|(_, woke)| *woke > from) else { return window };
    // Once a silence: else a slow host never claims (holding.md, rule 12).
    let first = stall.before.is_none_or(|before| before <= from);
    let hidden = woke.since(stall.since.max(from));
    let hides = first && !stall.heard && hidden > interval * 3 / 2 + Duration::from_millis(1);
    let (earliest, latest) = window;
    let earliest = if hides { earliest.max(woke) + interval } else { earliest };
    // Skew_Time, at most, of whatever priority it had then.
    (earliest, latest.max(woke) + interval * 2)
}

fn terms(scene: &Scene, host: usize, router: usize) -> Terms {
    let (seat, here) = (scene.plan.seat(host, router), &scene.hosts[host]);
    let priority = here.priority(&scene.plan, router);
    let RouterPlan { version, family, .. } = scene.plan.routers[router];
    Terms {
        version,
        priority,
        source: source(host, family),
        interval: seat.interval.duration(),
        // The owner preempts whatever Preempt_Mode says (RFC 9568 section 6.1).
        preempt: seat.preempt || priority == 255,
        preempt_delay: seat.preempt_delay,
        unhealthy: here.is_unhealthy(&scene.plan),
        eligible: here.is_eligible(&scene.plan, router, scene.now),
        held_until: here.held_until.unwrap_or_default(),
        woke: here.woke,
        reloaded_at: here.reloaded_at,
    }
}

/// Whether a router's leases have ended.
fn lapses(effect: &Effect, router: usize) -> bool {
    matches!(effect, Effect::Tell(Event::Released { router: name, how: Release::Lapsed, .. })
        if router_number(name) == router)
}
