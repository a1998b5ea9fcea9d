//! Each router beside the reference of RFC 9568 section 6.4, in every step: its state, its claims and its adverts.
//!
//! What the RFC does not know of (a host that slept, an advert that did not leave, a check that fails, a `preempt_delay`, a
//! link that has just come up, what an earlier process has left) puts the reference out of step. From the next advert that the
//! router hears as Backup, or sends as Active, it is known again. How much of all was compared is counted.

use std::time::Duration;

use locum::proto::Effect;
use locum::report::{Event, RouterState};
use locum::types::{Advertised, Instant};
use locum::wire::vrrp;

use super::{Cause, Heard};
use crate::host::{Stall, router_number, source};
use crate::model::{Advert, Call, Parameters, State};
use crate::world::Scene;

/// Between what is predicted and what a clock of nanoseconds shows.
const ROUNDING: Duration = Duration::from_micros(1);

/// What was compared: steps, those in which the reference was known, and claims and yields that it had predicted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    pub steps: u64,
    pub known: u64,
    pub claims: u64,
    pub yields: u64,
}

impl Compared {
    pub fn add(&mut self, other: &Compared) {
        self.steps += other.steps;
        self.known += other.known;
        self.claims += other.claims;
        self.yields += other.yields;
    }
}

/// One router's reference.
#[derive(Debug, Default)]
pub struct Reference {
    /// `None` while it is out of step.
    state: Option<State>,
    parameters: Option<Parameters>,
    /// The state that it was last told to be in.
    told: Option<RouterState>,
    /// A claim's advert has left, and the claim is told when the next thing happens.
    claiming: bool,
    /// It has yielded, or an earlier process has: it may say once more that it was Active (holding.md, rule 7).
    yielded: bool,
    woke: Option<(Stall, Instant)>,
}

impl Reference {
    /// Its process ends.
    pub fn reset(&mut self) {
        *self = Reference::default();
    }

    /// Its process begins. If an earlier one has left addresses here, it may tell whoever is Active so.
    pub fn boot(&mut self, leftover: bool) {
        *self = Reference { yielded: leftover, ..Reference::default() };
    }

    pub fn after(
        &mut self,
        scene: &Scene,
        (host, router): (usize, usize),
        cause: &Cause<'_>,
        effects: &[Effect],
        compared: &mut Compared,
    ) -> Result<(), String> {
        let now = scene.now;
        let parameters = parameters(scene, host, router);
        self.lose_step(scene, (host, router), cause, parameters);
        compared.steps += 1;
        compared.known += u64::from(self.state.is_some());
        let before = self.state;
        let heard = match cause {
            Cause::Advert(heard, received) if scene.plan.routers[router].is_of(heard) => Some((*heard, *received)),
            Cause::Advert(..) | Cause::Unsent(_) | Cause::Idle | Cause::Other => None,
        };
        let call = heard.map_or(Call::Nothing, |(heard, received)| self.hear(scene, (host, router), heard, received));
        let yields = matches!((before, self.state), (Some(State::Active { .. }), Some(State::Backup { .. })));
        compared.yields += u64::from(yields);
        let (mut sent, mut said) = (false, None);
        for effect in effects {
            match effect {
                Effect::Tell(Event::Transition { router: name, to, .. }) if router_number(name) == router => {
                    self.enter(now, *to, scene, (host, router)).map_err(|what| self.wrong(host, router, &what))?;
                }
                Effect::SendAdvert { router: name, packet, .. } if router_number(name) == router => {
                    let Ok(packet) = vrrp::parse(packet) else { continue };
                    let says = packet.advertisement.advertised;
                    // Each peer by itself, or each clock, gets a copy of its own.
                    if said.replace(says) == Some(says) {
                        continue;
                    }
                    let known = before.is_some();
                    sent |= self.send(now, says, known, compared).map_err(|what| self.wrong(host, router, &what))?;
                }
                _ => {}
            }
        }
        // It answers by when it reads, which may be a little less than a quarter of an interval after the last answer.
        let spared = match (before, heard) {
            (Some(State::Active { answered_at: Some(at), .. }), Some((_, received))) => {
                let interval = scene.plan.seat(host, router).interval.duration();
                received < at + interval / 4 + scene.plan.lan.read_lag
            }
            _ => false,
        };
        if spared && !sent && call == Call::Answer {
            self.state = before;
        }
        match self.state {
            Some(State::Active { .. }) if before.is_some() && call == Call::Answer && !sent && !spared => {
                Err(self.wrong(host, router, "an Active router answers this advert"))
            }
            Some(State::Backup { .. }) if self.told == Some(RouterState::Active) => {
                Err(self.wrong(host, router, "an Active router yields to this advert"))
            }
            Some(_) | None => self.look(scene, host, router),
        }
    }

    /// Whether something that the RFC does not know of has happened.
    fn lose_step(&mut self, scene: &Scene, (host, router): (usize, usize), cause: &Cause<'_>, parameters: Parameters) {
        let here = &scene.hosts[host];
        let changed = self.parameters.is_some_and(|before| before != parameters);
        let slept = self.woke != here.woke;
        let unsent = matches!(cause, Cause::Unsent(of) if *of == router);
        let held = here.freed || here.held_until.is_some_and(|until| until > scene.now);
        if changed || slept || unsent || held || here.gagged_since.is_some() || here.is_unhealthy(&scene.plan) {
            self.state = None;
        }
        (self.parameters, self.woke) = (Some(parameters), here.woke);
    }

    fn hear(&mut self, scene: &Scene, at: (usize, usize), heard: &Heard, received: Instant) -> Call {
        let Some(parameters) = self.parameters else { return Call::Nothing };
        let advert = Advert { priority: heard.priority, interval: heard.interval, source: heard.source };
        let lower = parameters.preempt && heard.priority < parameters.priority;
        let counts = heard.priority > 0 && !lower;
        let delayed = !scene.plan.seat(at.0, at.1).preempt_delay.is_zero();
        match self.state {
            Some(State::Backup { .. }) if lower && heard.priority > 0 && delayed => self.state = None,
            Some(state) => {
                let (state, call) = parameters.hear(state, received, advert);
                self.yielded |= matches!((self.state, state), (Some(State::Active { .. }), State::Backup { .. }));
                self.state = Some(state);
                return call;
            }
            // Whatever its timer was, it is this advert's now.
            None if counts
                && slept_before(scene, at.0, received)
                && self.told == Some(RouterState::Backup)
                && !self.claiming
                && can_follow(scene, at.0) =>
            {
                self.state = Some(parameters.hear(parameters.start_as_backup(received), received, advert).0);
            }
            None => {}
        }
        Call::Nothing
    }

    /// It says what it is now.
    fn enter(
        &mut self,
        now: Instant,
        to: RouterState,
        scene: &Scene,
        (host, router): (usize, usize),
    ) -> Result<(), String> {
        let from = self.told.replace(to);
        let claiming = std::mem::take(&mut self.claiming);
        let Some(parameters) = self.parameters else { return Ok(()) };
        match (to, self.state) {
            (RouterState::Active, Some(State::Active { .. }) | None) => {}
            (RouterState::Active, Some(_)) => return Err("it is no Active router".to_owned()),
            (RouterState::Backup, Some(State::Active { .. })) if from == Some(RouterState::Active) || claiming => {
                return Err("it is an Active router".to_owned());
            }
            (RouterState::Backup, _) if matches!(from, None | Some(RouterState::Initialize | RouterState::Fault)) => {
                let here = &scene.hosts[host];
                let plain = here.held_until.is_none_or(|until| until <= now) && here.gagged_since.is_none();
                let plain = plain && !here.is_unhealthy(&scene.plan);
                self.state = plain.then(|| parameters.start(now));
            }
            (RouterState::Backup, _) => self.yielded |= claiming || from == Some(RouterState::Active),
            (RouterState::Initialize | RouterState::Fault, _) => {
                let eligible = here_eligible(scene, host, router);
                if eligible && self.state.is_some_and(|state| state != State::Initialize) {
                    return Err("nothing keeps it from its election".to_owned());
                }
                // It may be back at once, and give way then.
                self.yielded |= from == Some(RouterState::Active);
                self.state = None;
            }
        }
        Ok(())
    }

    /// It sends an advert. True if that says it is Active.
    fn send(&mut self, now: Instant, says: Advertised, known: bool, compared: &mut Compared) -> Result<bool, String> {
        let Some(parameters) = self.parameters else { return Ok(false) };
        let Advertised::Active(priority) = says else {
            // It leaves its election, or gives somebody else a chance; when, is for others to judge.
            self.state = None;
            return Ok(false);
        };
        if priority.get() != parameters.priority {
            return Ok(false);
        }
        match self.state {
            Some(State::Active { answered_at, .. }) => self.state = Some(parameters.sent(now, answered_at)),
            Some(State::Backup { .. }) if !known => {}
            Some(State::Backup { claims: (earliest, _), .. }) if now + ROUNDING < earliest => {
                if !std::mem::take(&mut self.yielded) {
                    return Err(format!("a Backup claims at {earliest}"));
                }
            }
            Some(State::Backup { .. }) => {
                self.yielded = false;
                compared.claims += 1;
                self.claiming = true;
                self.state = Some(parameters.sent(now, None));
            }
            Some(State::Initialize) => return Err("it takes no part".to_owned()),
            // It may have been an answer.
            None if self.told == Some(RouterState::Active) => self.state = Some(parameters.sent(now, Some(now))),
            None => self.claiming = true,
        }
        Ok(true)
    }

    /// Whether something that is due by the RFC has not come.
    pub fn look(&self, scene: &Scene, host: usize, router: usize) -> Result<(), String> {
        let here = &scene.hosts[host];
        let due = here.agent.as_ref().and_then(|agent| agent.next_deadline());
        // The tick that follows any input sees to what that has moved into the past.
        if here.stall.is_some() || due.is_some_and(|due| due <= scene.now) {
            return Ok(());
        }
        let late = scene.plan.late + ROUNDING * 10;
        let held = here.gagged_since.is_some() || !here.link;
        match self.state {
            Some(State::Backup { claims: (_, latest), .. }) if !held && scene.now > latest + late => {
                Err(self.wrong(host, router, "a Backup has claimed by now"))
            }
            Some(State::Active { advert_by, .. }) if !held && scene.now > advert_by + late => {
                Err(self.wrong(host, router, "an Active router has sent an advert by now"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn wrong(&self, host: usize, router: usize, what: &str) -> String {
        format!("h{host} r{router}: by the reference, {what}: {self:?}")
    }
}

/// Whether an advert came after the last sleep of its host, and not into it.
fn slept_before(scene: &Scene, host: usize, received: Instant) -> bool {
    scene.hosts[host].woke.is_none_or(|(_, woke)| woke <= received)
}

fn can_follow(scene: &Scene, host: usize) -> bool {
    scene.hosts[host].gagged_since.is_none() && !scene.hosts[host].is_unhealthy(&scene.plan)
}

fn here_eligible(scene: &Scene, host: usize, router: usize) -> bool {
    scene.hosts[host].is_eligible(&scene.plan, router, scene.now)
}

pub fn parameters(scene: &Scene, host: usize, router: usize) -> Parameters {
    let (here, plan, seat) = (&scene.hosts[host], &scene.plan.routers[router], scene.plan.seat(host, router));
    let priority = here.priority(&scene.plan, router);
    Parameters {
        version: plan.version,
        priority,
        interval: seat.interval.duration(),
        preempt: seat.preempt || priority == 255,
        source: source(host, plan.family),
    }
}
