//! When a claim has to wait, how it is carried out, and what becomes of one whose adverts do not leave.

use std::time::Duration;

use super::{Departure, Mode, Router, World};
use crate::proto::election::{Claim, State};
use crate::proto::eligibility::{self, RETRY};
use crate::report::{Reason, RouterState};
use crate::types::{Advertised, Instant, InterfaceName};

/// What keeps a Backup from claiming, and until when at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// The agent has just started.
    StartDelay(Instant),
    /// The link has just come up, and no frame has come since.
    Frames(Instant),
    /// The carrier is lost, for now.
    NoCarrier(Instant),
}

impl Hold {
    pub(super) fn until(self) -> Instant {
        match self {
            Hold::StartDelay(until) | Hold::Frames(until) | Hold::NoCarrier(until) => until,
        }
    }

    pub(super) fn reason(self, now: Instant, interface: InterfaceName) -> Reason {
        let left = self.until().since(now);
        match self {
            Hold::StartDelay(_) => Reason::StartDelay(left),
            Hold::Frames(_) => Reason::AwaitingFrames(interface, left),
            Hold::NoCarrier(_) => Reason::LinkDebounce(interface, left),
        }
    }
}

impl Router {
    /// The hold that lasts longest.
    pub(super) fn hold_back(&self, world: &World<'_>) -> Option<Hold> {
        let (links, own) = (&world.interfaces.links, self.config.interface);
        let lost = links.lost_at(own).map(|at| Hold::NoCarrier(at + self.config.link_debounce));
        let frames = links.awaited_until(own).map(Hold::Frames);
        let start = self.start_delay_until.map(Hold::StartDelay);
        let holds = [lost, frames, start].into_iter().flatten().filter(|hold| hold.until() > world.now);
        holds.max_by_key(|hold| hold.until())
    }

    /// A fit Backup says what it is held back by, and when nothing does any more.
    pub(super) fn tell_hold(&mut self, world: &mut World<'_>, before: Option<Hold>) {
        if self.reported != RouterState::Backup || self.mode != Mode::Fit || self.mute.is_some() || self.hold == before
        {
            return;
        }
        match self.hold {
            Some(hold) => self.explain(world, hold.reason(world.now, self.config.interface)),
            // Who claims at once has more to say than that it might.
            None if self.election.deadline().is_some_and(|due| due <= world.now) => {}
            None => self.explain(world, Reason::Recovered),
        }
    }

    /// The LAN passes frames again: only from now on is silence a peer's.
    pub(crate) fn frames_pass(&mut self, world: &mut World<'_>) {
        self.election.can_hear(world.now);
        self.review(world);
    }

    /// Others may have forgotten where the addresses are: the carrier was away for less than matters, or so.
    pub(crate) fn announce_again_on(&mut self, world: &mut World<'_>, interface: InterfaceName) {
        if eligibility::carriers(&self.config).any(|own| own == interface) {
            self.holding.announce_again(world.now);
        }
    }

    /// What lingers where nothing can be heard any more lingers for nobody.
    pub(super) fn let_go_without_link(&mut self, world: &mut World<'_>) {
        let lost_before = world.now - self.config.link_debounce;
        let trouble = eligibility::link_trouble(&self.config, world.interfaces, lost_before);
        if trouble.is_some() && self.holding.is_leaving() {
            self.hold(world, |holding, ground| holding.leave(ground, Departure::AtOnce));
        }
    }

    pub(super) fn claiming_deadline(&self) -> Option<Instant> {
        let claiming = self.claiming.as_ref().map(|(at, _)| *at);
        let hold = self.hold.map(Hold::until);
        [claiming, hold, self.debounced_until, self.sending.deadline()].into_iter().flatten().min()
    }

    pub(super) fn is_review_due(&self, now: Instant) -> bool {
        self.hold.is_some_and(|hold| hold.until() <= now) || self.debounced_until.is_some_and(|at| at <= now)
    }

    /// Whether a Backup whose patience is over has not yet read what came before it was: an advert may wait there, behind
    /// a flood of others.
    pub(super) fn may_be_answered(&self, world: &World<'_>) -> bool {
        let read_up_to = world.ears.read_up_to(self.config.interface);
        let due = self.election.deadline().filter(|due| *due <= world.now);
        let waits = matches!(self.election.state(), State::Backup(_));
        waits && read_up_to.zip(due).is_some_and(|(read_up_to, due)| read_up_to < due)
    }

    /// Whether it is Backup and has waited for as long as it has to.
    pub(crate) fn is_about_to_claim(&self, now: Instant) -> bool {
        matches!(self.election.state(), State::Backup(_)) && self.election.deadline().is_some_and(|due| due <= now)
    }

    /// Sends the advert of a claim. Only when that has left is anything held: the next tick comes after its failure.
    pub(super) fn claim(&mut self, world: &mut World<'_>, why: Claim) {
        self.claiming = Some((world.now, why));
        self.advertise(world);
    }

    /// The claim's advert has left.
    pub(super) fn finish_claim(&mut self, world: &mut World<'_>) {
        let Some((at, why)) = self.claiming.take() else {
            return;
        };
        if world.now > at + self.patience() {
            // This process stood still since then.
            return self.lapse(world);
        }
        self.mute = None;
        self.leftover = false;
        let reason = self.claim_reason(world.now, why);
        self.hold(world, |holding, ground| holding.claim(ground));
        self.counters.became_active += 1;
        self.enter(world, RouterState::Active, reason);
    }

    /// Forgets a claim that is not carried out; its advert has left all the same.
    pub(super) fn drop_claim(&mut self) {
        if self.claiming.take().is_some() {
            self.mute = None;
        }
        self.sending.forget();
    }

    /// An advert did not leave to one of its destinations; as long as another one gets it, this host is not mute. One
    /// that was a claim has claimed nothing; of others a few may fail.
    pub(crate) fn send_failed(&mut self, world: &mut World<'_>, error: String) {
        self.holding.not_renewed();
        self.counters.send_errors += 1;
        self.unsent += 1;
        if self.unsent < self.outgoing {
            return;
        }
        self.sent_at = self.sent_before;
        if self.claiming.take().is_some() {
            // A queue that was full may have room soon, and nobody else may be there.
            let soon = self.mute.is_none().then(|| self.config.advert_interval.duration());
            self.fall_silent(world, error, Departure::AtOnce, soon);
        } else if let State::Active { .. } = self.election.state() {
            let patience = self.active_down_interval(self.config.priority);
            self.sending.failed(world.now, error, patience);
        }
    }

    /// Nothing has left this host for so long that the others have given up on it, heard or not.
    pub(super) fn give_up_if_mute(&mut self, world: &mut World<'_>) {
        if let Some(error) = self.sending.given_up(world.now).map(str::to_owned) {
            self.fall_silent(world, error, Departure::AtOnce, None);
        }
    }

    /// Somebody who is heard while nothing leaves this host has taken over, whatever its priority: it cannot be told
    /// otherwise.
    pub(super) fn yield_if_mute(&mut self, world: &mut World<'_>, advertised: Advertised) {
        let error = match advertised {
            Advertised::Active(_) => self.sending.missed().map(str::to_owned),
            Advertised::Resigned => None,
        };
        if let Some(error) = error {
            let interval = self.config.advert_interval.duration();
            self.fall_silent(world, error, Departure::Yield(interval), None);
        }
    }

    /// Out of service until an advert leaves. Only another claim shows that one does, so it is tried again and again
    /// where nobody better is heard: at the pace of those who take over, unless `soon`.
    pub(super) fn fall_silent(
        &mut self,
        world: &mut World<'_>,
        error: String,
        departure: Departure,
        soon: Option<Duration>,
    ) {
        self.sending.forget();
        self.resign_again_at = None;
        let patience = soon.unwrap_or_else(|| self.active_down_interval(self.config.priority));
        self.election.step_back(world.now, patience.min(RETRY));
        self.hold(world, |holding, ground| holding.leave(ground, departure));
        self.mute = Some(error.clone());
        self.enter(world, RouterState::Fault, Reason::SendFailed(self.config.interface, error));
    }

    /// A mute router that hears somebody better has nothing to send, and cannot know whether it could.
    pub(super) fn leave_to_better(&mut self, world: &mut World<'_>, advertised: Advertised) {
        let params = self.election.params();
        let better = match advertised {
            Advertised::Active(priority) => !params.preempt || priority >= params.priority,
            Advertised::Resigned => false,
        };
        let waits = matches!(self.election.state(), State::Backup(_)) && self.reported == RouterState::Fault;
        if let (true, true, Some(error)) = (better, waits, self.mute.clone()) {
            self.enter(world, RouterState::Backup, Reason::SendUnproven(self.config.interface, error));
        }
    }

    /// Why it is Backup when it begins to take part.
    pub(super) fn backup_reason(&self, now: Instant, recovered: bool) -> Reason {
        let own = self.config.interface;
        match (&self.mode, &self.mute, self.hold) {
            (Mode::Unhealthy(failing), _, _) => Reason::Unhealthy(failing.clone()),
            (_, Some(error), _) => Reason::SendUnproven(own, error.clone()),
            (_, None, Some(hold)) => hold.reason(now, own),
            (_, None, None) if recovered => Reason::Recovered,
            (_, None, None) => Reason::Startup,
        }
    }
}
