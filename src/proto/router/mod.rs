//! One virtual router: its eligibility, election, holding and peers, wired together.
//!
//! Belongs here: what follows in one of them from what happened in another. Does not belong here: their own
//! rules, and anything that concerns several routers (`agent`).

mod claiming;
mod follow;
mod losses;
mod memory;
mod mistakes;
mod snapshot;
mod trust;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::effect::Effect;
use super::election::{self, Claim, Election, Outcome, Params, State};
use super::eligibility::{self, Checks, Sending, Troubles, Verdict};
use super::holding::{self, Departure, Ground, Holding, Legacy, Linger, Say};
use super::interfaces::Interfaces;
use super::peers::{Authentication, Discards, Ears, Mistakes, Peers, Strangers, Wall, admit};
use claiming::Hold;
use mistakes::Double;

use crate::config::RouterConfig;
use crate::report::{Event, Reason, RouterState, WallClock};
use crate::types::{
    Advertised, BackupMemory, Channel, CheckName, CheckResult, Discard, Instant, InterfaceName, LeftAddress, Priority,
    RouterName,
};
use crate::wire::announcement::Announcement;
use crate::wire::vrrp::{Advertisement, Received};

pub(crate) use memory::NOTHING_LEFT;
use memory::{Remembered, Resumption};

/// Nobody is waited for longer, however slow the adverts.
const LONGEST_LINGER: Duration = Duration::from_secs(10);
/// Announcements may wait that long for the kernel, however fast the adverts.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(500);
/// Changes of state that are remembered for the status.
const REMEMBERED: usize = 20;

/// What a router needs of the agent for one step.
pub(crate) struct World<'a> {
    pub(crate) now: Instant,
    pub(crate) interfaces: &'a Interfaces,
    pub(crate) checks: &'a Checks,
    pub(crate) wall: &'a Wall,
    pub(crate) ears: &'a Ears,
    /// What an earlier process has left, while that may still be taken over.
    pub(crate) left: &'a [LeftAddress],
    pub(crate) effects: &'a mut Vec<Effect>,
}

/// One virtual router.
#[derive(Debug)]
pub(crate) struct Router {
    name: RouterName,
    config: RouterConfig,
    election: Election,
    holding: Holding,
    peers: Peers,
    authentication: Authentication,
    strangers: Strangers,
    mistakes: Mistakes,
    double: Option<Double>,
    discards: Discards,
    troubles: Troubles,
    sending: Sending,
    mode: Mode,
    /// Until when it only listens because the agent has just started.
    start_delay_until: Option<Instant>,
    /// What keeps it from claiming now.
    hold: Option<Hold>,
    /// A claim whose advert has been sent just now, and has not failed so far.
    claiming: Option<(Instant, Claim)>,
    /// Why its adverts could not be sent, from when it gave up until one has left again.
    mute: Option<String>,
    /// When a lost carrier that counts as there is looked at again.
    debounced_until: Option<Instant>,
    /// Whether it has ever been let into its election; from then on a check without a result holds nobody back.
    started: bool,
    /// The state as everybody was last told it, why, and since when.
    reported: RouterState,
    reason: Reason,
    since: WallClock,
    transitions: VecDeque<(WallClock, RouterState, RouterState, Reason)>,
    counters: Counters,
    /// Where it was when this program took over, until it has begun.
    memory: Option<BackupMemory>,
    /// When the last advert left that said it is Active, and the one before that.
    sent_at: Option<Instant>,
    sent_before: Option<Instant>,
    /// What was last written down for a successor of this process.
    remembered: Option<Remembered>,
    /// What an earlier process was, until it is clear whether that can go on.
    resumption: Option<Resumption>,
    /// Whether an earlier process has left addresses that are not gone on with, or leases have ended before it had given
    /// way: caches may name this host, and whoever is Active does not know.
    leftover: bool,
    /// Packets that the newest advert went out in, one for each destination, and how many of them did not leave.
    outgoing: usize,
    unsent: usize,
    /// When an unhealthy Active router resigns anew.
    resign_again_at: Option<Instant>,
    /// When the log last heard of a challenger, so that a lasting conflict is told once a minute.
    challenge_told_at: Option<Instant>,
}

/// Whether it takes part in its election, and if not, what it is in instead.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Not looked at yet.
    New,
    Fit,
    /// Takes part at the lowest priority.
    Unhealthy(Vec<(CheckName, CheckResult)>),
    Fault,
    /// For good: the agent stops, or the configuration no longer has it.
    Ended,
}

#[derive(Debug, Default)]
struct Counters {
    adverts_sent: u64,
    adverts_received: u64,
    became_active: u64,
    resignations_sent: u64,
    resignations_received: u64,
    send_errors: u64,
    leases_lapsed: u64,
    unauthenticated: u64,
}

impl Router {
    /// Not taking part until `review` lets it.
    ///
    /// `with_agent`: the agent starts with it, so that it begins with its `start_delay`.
    pub(crate) fn new(name: RouterName, config: RouterConfig, now: WallClock, with_agent: bool) -> Self {
        let params = Params {
            version: config.version,
            priority: config.priority,
            advert_interval: config.advert_interval,
            preempt: config.preempt,
            preempt_delay: config.preempt_delay,
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            reluctant: false,
            not_before: Instant::default(),
        };
        Router {
            election: Election::new(params),
            holding: Holding::new(&config.addresses),
            peers: Peers::default(),
            authentication: Authentication::default(),
            strangers: Strangers::default(),
            mistakes: Mistakes::new(now.at),
            double: None,
            discards: Discards::new(now.at),
            troubles: Troubles::default(),
            sending: Sending::default(),
            mode: Mode::New,
            start_delay_until: with_agent.then(|| now.at + config.start_delay),
            hold: None,
            claiming: None,
            mute: None,
            debounced_until: None,
            started: false,
            reported: RouterState::Initialize,
            reason: Reason::Startup,
            since: now,
            transitions: VecDeque::new(),
            counters: Counters::default(),
            outgoing: 0,
            memory: None,
            sent_at: None,
            sent_before: None,
            remembered: None,
            resumption: None,
            leftover: false,
            unsent: 0,
            resign_again_at: None,
            challenge_told_at: None,
            name,
            config,
        }
    }

    pub(crate) fn name(&self) -> &RouterName {
        &self.name
    }

    pub(crate) fn config(&self) -> &RouterConfig {
        &self.config
    }

    pub(crate) fn holding(&self) -> &Holding {
        &self.holding
    }

    /// Whether it has left its election for good.
    pub(crate) fn is_ended(&self) -> bool {
        self.mode == Mode::Ended
    }

    /// Whether it has left its election for good and holds nothing any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ended() && self.holding.is_empty()
    }

    /// When it must be ticked at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [
            self.election.deadline(),
            self.election.wake_at(),
            self.holding.deadline(),
            self.troubles.deadline(),
            self.discards.deadline(),
            self.mistakes.deadline(),
            self.double.as_ref().map(Double::deadline),
            self.resign_again_at.filter(|_| !self.election.listens()),
            self.claiming_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Looks at all facts anew and draws the consequences; to be called when one has changed.
    pub(crate) fn review(&mut self, world: &mut World<'_>) {
        if self.mode == Mode::Ended {
            return self.let_go_without_link(world);
        }
        self.lapse_if_due(world);
        self.debounced_until = eligibility::debounced_until(&self.config, world.interfaces, world.now);
        let at = (world.now, self.started || self.resumption.is_some());
        match eligibility::verdict(&self.config, world.interfaces, world.checks, &self.troubles, at) {
            Verdict::Fault(reason) => self.fail(world, reason),
            Verdict::Fit(priority) => self.take_part(world, priority, Mode::Fit),
            Verdict::Unhealthy(failing) => self.take_part(world, Priority::LOWEST, Mode::Unhealthy(failing)),
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, world: &mut World<'_>) {
        self.lapse_if_due(world);
        self.finish_claim(world);
        self.settle_double(world);
        if self.troubles.tick(world.now) || self.is_review_due(world.now) {
            self.review(world);
        }
        self.give_up_if_mute(world);
        if self.resign_again_at.is_some_and(|at| at <= world.now) && !self.election.has_slept(world.now) {
            self.step_back(world);
        }
        let listened_since = match self.election.state() {
            State::Backup(backup) => {
                world.ears.since(self.config.interface, world.now, backup.active_adver_interval.duration())
            }
            State::Initialize | State::Active { .. } => None,
        };
        if !self.may_be_answered(world) {
            let outcome = self.election.tick(world.now, listened_since);
            self.follow(world, outcome, None);
        }
        // A claim under way goes on with whatever is still here of a departure.
        if self.claiming.is_none() {
            self.depart(world);
        }
        let about = (Some(&self.name), self.config.interface);
        let lines = self.discards.tick(world.now, about);
        world.effects.extend(lines.into_iter().map(Effect::Tell));
        self.tell_mistakes(world);
    }

    /// Goes on holding, or leaving.
    fn depart(&mut self, world: &mut World<'_>) {
        match (self.holding.say(world.now), self.election.state()) {
            (Say::Resign, _) => self.resign(world),
            (Say::Challenge, State::Backup(_)) => self.advertise(world),
            (Say::Challenge, State::Initialize) => self.resign(world),
            (Say::Challenge, State::Active { .. }) | (Say::Nothing, _) => {}
        }
        self.hold(world, |holding, ground| holding.tick(ground));
    }

    /// A valid advert of this VRID.
    pub(crate) fn hear(&mut self, world: &mut World<'_>, received_at: Instant, received: &Received) {
        self.lapse_if_due(world);
        let source = received.source;
        if self.is_own(world, source) {
            return self.discard(world, Discard::OwnPacket, Some(source));
        }
        let examined = admit(&self.config, received).and_then(|()| self.examine(world, received_at, received));
        let standing = match examined {
            Ok(standing) => standing,
            Err(reason) => return self.refuse(world, received, reason),
        };
        self.inspect(world, received);
        self.peers.hear(received_at, received, standing, &self.config.advertised);
        let Advertisement { advertised, interval, .. } = received.advertisement;
        self.counters.adverts_received += 1;
        match advertised {
            Advertised::Resigned => {
                self.counters.resignations_received += 1;
                // If we are Active, so was the sender, and caches may name it.
                self.holding.announce_again(world.now);
            }
            Advertised::Active(_) => self.holding.hear_successor(world.now),
        }
        self.yield_if_mute(world, advertised);
        let outcome = self.election.hear(world.now, received_at, source, advertised, interval);
        self.follow(world, outcome, Some((source, advertised)));
        self.leave_to_better(world, advertised);
        let follows = matches!((self.election.state(), advertised), (State::Backup(_), Advertised::Active(_)));
        if follows && std::mem::take(&mut self.leftover) {
            self.concede(world, Some((source, advertised)));
        }
    }

    /// Somebody announced an address.
    pub(crate) fn hear_announcement(&mut self, world: &mut World<'_>, interface: InterfaceName, heard: Announcement) {
        self.hold(world, |holding, ground| holding.hear_announcement(ground, interface, heard));
        self.hear_double(world, interface, heard);
        self.hear_foreign_answer(world, interface, heard);
    }

    /// A channel that it needs could not be opened.
    pub(crate) fn listen_failed(
        &mut self,
        world: &mut World<'_>,
        interface: InterfaceName,
        channel: Channel,
        error: String,
    ) {
        self.troubles.listen_failed(world.now, interface, channel, error);
        self.review(world);
    }

    /// No interface goes by this name any more, or another one does: nothing is known of it, be it good or bad. Had
    /// it only been renamed, the addresses would still be there.
    pub(crate) fn interface_gone(&mut self, world: &mut World<'_>, interface: InterfaceName, index: u32) {
        self.hold(world, |holding, ground| holding.interface_gone(ground, interface, index));
        if interface == self.config.interface {
            self.troubles.forget();
            self.sending.forget();
            self.mute = None;
        }
    }

    /// Takes over another configuration in place. The caller reviews it afterwards.
    pub(crate) fn reconfigure(&mut self, world: &mut World<'_>, config: RouterConfig) {
        self.lapse_if_due(world);
        if !self.is_same_as(&config) {
            // As another virtual router nobody knows us: a new election, while the addresses stay until it is decided.
            self.quit(world, RouterState::Initialize, Reason::Reconfigured);
            let (interface, family, vrid) = (self.config.interface, self.config.family, self.config.vrid);
            world.effects.push(Effect::Forget { interface, family, vrid });
            self.mode = Mode::New;
            self.peers = Peers::default();
        }
        // A delay under way can be cut short; none begins with a reload.
        let shorter = self.config.start_delay.saturating_sub(config.start_delay);
        self.start_delay_until = self.start_delay_until.map(|until| until - shorter);
        self.config = config;
        let addresses = self.config.addresses.clone();
        self.hold(world, |holding, ground| holding.reconfigure(ground, &addresses));
    }

    /// Whether it stays the same virtual router to its peers under another configuration.
    pub(crate) fn is_same_as(&self, other: &RouterConfig) -> bool {
        let identity = |config: &RouterConfig| (config.interface, config.family, config.version, config.vrid);
        identity(&self.config) == identity(other)
    }

    /// The configuration calls it otherwise.
    pub(crate) fn rename(&mut self, name: RouterName) {
        self.name = name;
    }

    /// See [`Holding::hand_over`].
    pub(crate) fn hand_over(&mut self, interface: InterfaceName, address: IpAddr) -> Option<Legacy> {
        self.holding.hand_over(interface, address)
    }

    /// See [`Holding::take_over`].
    pub(crate) fn take_over(&mut self, interface: InterfaceName, address: IpAddr, legacy: Legacy) {
        self.holding.take_over(interface, address, legacy);
    }

    /// Leaves the election for good: resigns, if Active, and lingers.
    pub(crate) fn end(&mut self, world: &mut World<'_>, reason: Reason) {
        if self.mode != Mode::Ended {
            self.quit(world, RouterState::Initialize, reason);
            self.mode = Mode::Ended;
        }
    }

    /// Lets go of everything without waiting for anybody.
    pub(crate) fn end_at_once(&mut self, world: &mut World<'_>) {
        self.end(world, Reason::Stopping);
        self.hold(world, |holding, ground| holding.leave(ground, Departure::AtOnce));
    }

    fn take_part(&mut self, world: &mut World<'_>, priority: Priority, mode: Mode) {
        let source = world.interfaces.source(&self.config);
        let hold = self.hold_back(world);
        let held = std::mem::replace(&mut self.hold, hold);
        let params = Params {
            version: self.config.version,
            priority,
            advert_interval: self.config.advert_interval,
            // The owner preempts whatever Preempt_Mode says (RFC 9568 section 6.1).
            preempt: self.config.preempt || priority.is_owner(),
            preempt_delay: self.config.preempt_delay,
            source: source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            reluctant: matches!(mode, Mode::Unhealthy(_)),
            not_before: self.hold.map(Hold::until).unwrap_or_default(),
        };
        let before = self.election.params().priority;
        if before != priority && self.started {
            let router = self.name.clone();
            world.effects.push(Effect::Tell(Event::PriorityChanged { router, from: before, to: priority }));
        }
        self.election.set_params(params, world.now);
        let was = std::mem::replace(&mut self.mode, mode);
        if *self.election.state() == State::Initialize {
            let recovered = was == Mode::Fault && self.started;
            self.started = true;
            let outcome = self.begin(world);
            match outcome {
                Outcome::Claim(_)
                | Outcome::Resume
                | Outcome::Advertise
                | Outcome::Yield
                | Outcome::Assert
                | Outcome::AnnounceAgain
                | Outcome::Wait(_)
                | Outcome::Listen(_)
                | Outcome::Reassert
                | Outcome::GiveUp
                | Outcome::Concede => {}
                Outcome::Nothing => {
                    let reason = self.backup_reason(world.now, recovered);
                    self.enter(world, RouterState::Backup, reason);
                }
            }
            self.follow(world, outcome, None);
        }
        self.adapt_to_health(world, &was);
        self.tell_hold(world, held);
    }

    /// An Active router that has become unhealthy offers its place, one that has recovered stops doing so, and a
    /// Backup says how it is.
    fn adapt_to_health(&mut self, world: &mut World<'_>, was: &Mode) {
        match (self.election.state(), &self.mode, self.resign_again_at) {
            // Another one may be Active by now: it resigns when it has listened, if nobody is.
            (State::Active { .. }, Mode::Unhealthy(_), None) if self.election.has_slept(world.now) => {}
            (State::Active { .. }, Mode::Unhealthy(_), None) => self.step_back(world),
            (State::Active { .. }, Mode::Unhealthy(failing), Some(_)) if self.mode != *was => {
                self.explain(world, Reason::Degraded(failing.clone()));
            }
            (State::Active { .. }, Mode::Fit, Some(_)) => {
                self.resign_again_at = None;
                self.explain(world, Reason::Recovered);
            }
            (State::Backup(_), Mode::Unhealthy(failing), _) if self.mode != *was => {
                self.explain(world, Reason::Unhealthy(failing.clone()));
            }
            (State::Backup(_), Mode::Fit, _) if matches!(was, Mode::Unhealthy(_)) => {
                self.explain(world, Reason::Recovered);
            }
            (State::Initialize | State::Backup(_) | State::Active { .. }, _, _) => {}
        }
    }

    /// Resigns but stays ready to go on, should nobody follow.
    fn step_back(&mut self, world: &mut World<'_>) {
        self.resign_again_at = None;
        self.drop_claim();
        let Mode::Unhealthy(failing) = &self.mode else {
            return;
        };
        let reason = Reason::Unhealthy(failing.clone());
        self.resign(world);
        let chance = self.chance();
        self.election.step_back(world.now, chance);
        // The address stays until the election is decided, one way or the other.
        let linger = Linger { listens: None, skew: self.skew(), resign_again: None, patience: chance * 2 };
        self.hold(world, |holding, ground| holding.leave(ground, Departure::Linger(linger)));
        self.enter(world, RouterState::Backup, reason);
    }

    fn fail(&mut self, world: &mut World<'_>, reason: Reason) {
        let cut_off = eligibility::is_cut_off(&reason);
        if self.mode == Mode::Fault {
            self.explain(world, reason);
        } else {
            self.quit(world, RouterState::Fault, reason);
            self.mode = Mode::Fault;
        }
        if cut_off {
            self.hold(world, |holding, ground| holding.leave(ground, Departure::AtOnce));
        }
    }

    /// Leaves the election, by resignation if Active.
    fn quit(&mut self, world: &mut World<'_>, state: RouterState, reason: Reason) {
        self.lapse_if_due(world);
        self.resign_again_at = None;
        self.drop_claim();
        (self.hold, self.debounced_until) = (None, None);
        let slept = self.election.has_slept(world.now);
        if self.election.shut_down() {
            let heard = !eligibility::is_cut_off(&reason)
                || matches!(reason, Reason::AddressFailed(..) | Reason::Duplicate(..));
            if heard && !slept {
                self.resign(world);
            }
            if slept {
                self.hold(world, Holding::renew_to_listen);
            }
            self.linger(world, slept.then(|| self.config.advert_interval.duration()));
        }
        self.enter(world, state, reason);
    }

    /// Holds on after a resignation until somebody follows, for as long as somebody may.
    fn linger(&mut self, world: &mut World<'_>, listens: Option<Duration>) {
        // Who has heard none of the resignations follows within the longest Active_Down_Interval there can be.
        let patience = self.active_down_interval(Priority::LOWEST);
        let resign_again = Some(self.chance());
        let patience = patience.min(LONGEST_LINGER);
        let linger = Linger { listens, skew: self.skew(), resign_again, patience };
        self.hold(world, |holding, ground| holding.leave(ground, Departure::Linger(linger)));
    }

    /// What a resigning router leaves others: a backup follows within its Skew_Time, which is shorter than the
    /// interval, counted from the last of the first resignations; the rest is for a slow one.
    fn chance(&self) -> Duration {
        let interval = self.config.advert_interval.duration();
        interval + interval / 4 + Duration::from_millis(20)
    }

    fn skew(&self) -> Duration {
        election::skew_time(self.config.version, self.config.priority, self.config.advert_interval)
    }

    fn active_down_interval(&self, priority: Priority) -> Duration {
        election::active_down_interval(self.config.version, priority, self.config.advert_interval)
    }

    /// For how long after a decision of this router nobody else takes over.
    fn patience(&self) -> Duration {
        (self.config.advert_interval.duration() * 3).max(SHORTEST_PATIENCE)
    }

    fn hold<R>(&mut self, world: &mut World<'_>, step: impl FnOnce(&mut Holding, &mut Ground<'_>) -> R) -> R {
        let mut ground = Ground {
            now: world.now,
            router: &self.name,
            owner: self.config.priority.is_owner(),
            interval: self.config.advert_interval,
            lifetime: self.config.lease.then(|| holding::lifetime(self.config.advert_interval)),
            patience: self.patience(),
            interfaces: world.interfaces,
            effects: &mut *world.effects,
        };
        step(&mut self.holding, &mut ground)
    }

    fn enter(&mut self, world: &mut World<'_>, to: RouterState, reason: Reason) {
        let from = self.reported;
        if from == to {
            self.explain(world, reason);
            return;
        }
        self.reported = to;
        self.reason = reason.clone();
        self.since = world.wall.reading(world.now);
        if self.transitions.len() >= REMEMBERED {
            self.transitions.pop_front();
        }
        self.transitions.push_back((self.since, from, to, reason.clone()));
        let (router, priority) = (self.name.clone(), self.election.params().priority);
        world.effects.push(Effect::Tell(Event::Transition { router, from, to, reason, priority }));
    }

    /// The state stays, its reason may be another.
    fn explain(&mut self, world: &mut World<'_>, reason: Reason) {
        if self.reason != reason {
            let (is_news, router, state) = (!reason.is_rest_of(&self.reason), self.name.clone(), self.reported);
            self.reason = reason.clone();
            world.effects.extend(is_news.then_some(Effect::Tell(Event::ReasonChanged { router, state, reason })));
        }
    }
}
