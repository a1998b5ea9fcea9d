use std::net::IpAddr;
use std::time::Duration;

use super::{Mode, Router, World};
use crate::proto::effect::Effect;
use crate::proto::election::{Claim, Outcome, State};
use crate::proto::holding::{Departure, Holding};
use crate::proto::peers::Sealing;
use crate::report::{Event, Reason, RouterState};
use crate::types::{Advertised, Instant, Priority};
use crate::wire::ip;
use crate::wire::vrrp::{self, Advertisement, Proof, Unsendable};

/// An unhealthy router that nobody relieved resigns anew this often, so that a backup that does not preempt
/// gets its turn.
const RESIGN_AGAIN: Duration = Duration::from_secs(30);
/// A lasting conflict is told this often.
const CHALLENGE_TOLD_AGAIN: Duration = Duration::from_secs(60);

impl Router {
    /// Does what the election decided.
    pub(super) fn follow(&mut self, world: &mut World<'_>, outcome: Outcome, heard: Option<(IpAddr, Advertised)>) {
        match outcome {
            Outcome::Nothing => {}
            Outcome::Advertise => self.advertise(world),
            Outcome::Claim(why) => self.claim(world, why),
            Outcome::Yield => self.yield_to(world, heard),
            Outcome::Assert => self.assert(world, heard),
            // It may have yielded meanwhile and ask for just that.
            Outcome::AnnounceAgain => self.holding.announce_again(world.now),
            Outcome::Resume => {
                self.hold(world, |holding, ground| holding.claim(ground));
                let reason = self.resume_reason(world.now);
                self.enter(world, RouterState::Active, reason);
            }
            Outcome::Wait(late) => {
                let router = self.name.clone();
                world.effects.push(Effect::Tell(Event::LateBackup { router, late }));
            }
            Outcome::Listen(silent) => {
                let router = self.name.clone();
                world.effects.push(Effect::Tell(Event::LateActive { router, silent }));
                self.holding.keep_quiet();
                self.hold(world, Holding::renew_to_listen);
            }
            Outcome::Reassert => self.reassert(world),
            Outcome::GiveUp => self.give_up(world, heard),
            Outcome::Concede => self.concede(world, heard),
        }
    }

    pub(super) fn claim_reason(&mut self, now: Instant, why: Claim) -> Reason {
        if let Mode::Unhealthy(failing) = &self.mode {
            self.resign_again_at = Some(now + RESIGN_AGAIN);
            return Reason::Degraded(failing.clone());
        }
        let unheard = Reason::ActiveSilent { peer: None, silence: now.since(self.since.at) };
        match (why, self.peers.active()) {
            (Claim::Owner, _) => Reason::Owner,
            // Its adverts keep coming: it was overruled, not lost.
            (Claim::Silence(_) | Claim::NoSuccessor, Some((peer, heard)))
                if now.since(heard.heard_at) < heard.interval.duration() * 2 =>
            {
                match heard.advertised {
                    Advertised::Active(priority) => Reason::Preempting { peer, priority },
                    Advertised::Resigned => Reason::ActiveResigned(peer),
                }
            }
            (Claim::Silence(_), Some((peer, heard))) => {
                Reason::ActiveSilent { peer: Some(peer), silence: now.since(heard.heard_at) }
            }
            (Claim::Silence(silence), None) if self.has_heard_nobody() => Reason::NobodyHeard(silence),
            (Claim::Silence(silence), None) => Reason::ActiveSilent { peer: None, silence },
            (Claim::Resigned, Some((peer, _))) => Reason::ActiveResigned(peer),
            // The first that was ever heard of it.
            (Claim::Resigned, None) => self.peers.resigned_last().map_or(unheard, Reason::ActiveResigned),
            (Claim::NoSuccessor, _) => unheard,
        }
    }

    fn resume_reason(&mut self, now: Instant) -> Reason {
        if let Mode::Unhealthy(failing) = &self.mode {
            self.resign_again_at = Some(now + RESIGN_AGAIN);
            return Reason::Degraded(failing.clone());
        }
        Reason::Resumed { silent: self.sent_at.map_or(Duration::ZERO, |sent_at| now.since(sent_at)) }
    }

    /// The clients are the other's already: nothing is waited for.
    fn give_up(&mut self, world: &mut World<'_>, heard: Option<(IpAddr, Advertised)>) {
        self.resign_again_at = None;
        self.drop_claim();
        self.hold(world, |holding, ground| holding.leave(ground, Departure::AtOnce));
        if let Some((source, _)) = heard {
            self.enter(world, RouterState::Backup, Reason::Overslept(source));
        }
        self.concede(world, heard);
    }

    /// Whoever has followed may not know that it was not alone (a partition has healed meanwhile), and where caches still
    /// name this host. It answers an advert of less right and announces again; one of the lowest priority moves nobody
    /// else. A resignation would: backups follow those too.
    pub(super) fn concede(&mut self, world: &mut World<'_>, heard: Option<(IpAddr, Advertised)>) {
        let Some((source, Advertised::Active(priority))) = heard else { return };
        let less = (Priority::LOWEST, self.election.params().source) < (priority, source);
        self.send(world, if less { Advertised::Active(Priority::LOWEST) } else { Advertised::Resigned });
    }

    /// It has listened, and nobody took the place. One that had a reason to resign when it woke does so now.
    fn reassert(&mut self, world: &mut World<'_>) {
        let unhealthy = matches!(self.mode, Mode::Unhealthy(_));
        if unhealthy && self.resign_again_at.is_none_or(|at| at <= world.now) {
            return self.step_back(world);
        }
        self.advertise(world);
        self.holding.announce_again(world.now);
    }

    /// Neither an advert that counts nor one that does not: then it is the network that is looked at first.
    fn has_heard_nobody(&self) -> bool {
        self.peers.iter().next().is_none() && self.discards.totals().is_empty()
    }

    fn yield_to(&mut self, world: &mut World<'_>, heard: Option<(IpAddr, Advertised)>) {
        self.resign_again_at = None;
        self.drop_claim();
        let interval = match self.election.state() {
            State::Backup(backup) => backup.active_adver_interval,
            State::Initialize | State::Active { .. } => self.config.advert_interval,
        };
        self.hold(world, |holding, ground| holding.leave(ground, Departure::Yield(interval.duration())));
        if let Some((peer, Advertised::Active(priority))) = heard {
            let reason = if priority > self.election.params().priority {
                Reason::HigherPriority { peer, priority }
            } else {
                Reason::TieBreak { peer, priority }
            };
            self.enter(world, RouterState::Backup, reason);
        }
    }

    /// Answers a router with less right.
    fn assert(&mut self, world: &mut World<'_>, heard: Option<(IpAddr, Advertised)>) {
        self.advertise(world);
        self.holding.announce_again(world.now);
        let told = self.challenge_told_at.is_some_and(|at| world.now < at + CHALLENGE_TOLD_AGAIN);
        if let (false, Some((peer, Advertised::Active(priority)))) = (told, heard) {
            self.challenge_told_at = Some(world.now);
            let event = Event::Challenged { router: self.name.clone(), peer, priority };
            world.effects.push(Effect::Tell(event));
        }
    }

    pub(super) fn advertise(&mut self, world: &mut World<'_>) {
        let priority = self.election.params().priority;
        self.send(world, Advertised::Active(priority));
    }

    pub(super) fn resign(&mut self, world: &mut World<'_>) {
        self.counters.resignations_sent += 1;
        self.send(world, Advertised::Resigned);
    }

    /// Built from the values of this moment, never kept.
    fn send(&mut self, world: &mut World<'_>, advertised: Advertised) {
        let advertisement = Advertisement {
            version: self.config.version,
            vrid: self.config.vrid,
            advertised,
            interval: self.config.advert_interval,
            addresses: self.config.advertised.clone(),
        };
        self.sending.sending();
        self.unsent = 0;
        self.counters.adverts_sent += 1;
        self.sent_before = self.sent_at;
        self.sent_at = match advertised {
            Advertised::Active(_) => Some(world.now),
            Advertised::Resigned => None,
        };
        let seals = self.authentication.seals(world.now, world.wall, self.config.advert_interval);
        let destinations = self.destinations();
        self.outgoing = seals.len() * destinations.len();
        for (sealing, destination) in seals.iter().flat_map(|seal| destinations.iter().map(move |to| (seal, *to))) {
            let (router, interface) = (self.name.clone(), self.config.interface);
            match self.packet(&advertisement, destination, sealing.as_ref()) {
                Ok(packet) => world.effects.push(Effect::SendAdvert { router, interface, destination, packet }),
                Err(unsendable) => self.send_failed(world, unsendable.to_string()),
            }
        }
        self.hold(world, Holding::renew);
    }

    fn packet(
        &self,
        advertisement: &Advertisement,
        destination: IpAddr,
        sealing: Option<&Sealing>,
    ) -> Result<Vec<u8>, Unsendable> {
        let (source, checksum) = (self.election.params().source, self.config.checksum);
        match (sealing, self.config.password) {
            (None, None) => vrrp::emit(advertisement, source, destination, checksum, Proof::None),
            (None, Some(password)) => {
                vrrp::emit(advertisement, source, destination, checksum, Proof::Password(password))
            }
            (Some(sealing), _) => {
                let trailer = |message: &[u8]| sealing.trailer(source, message);
                vrrp::emit(advertisement, source, destination, checksum, Proof::Trailer(&trailer))
            }
        }
    }

    /// Where each advert goes: to the group, or to every peer.
    pub(super) fn destinations(&self) -> Vec<IpAddr> {
        if self.config.is_unicast() { self.config.unicast_peers.clone() } else { vec![ip::group(self.config.family)] }
    }
}
