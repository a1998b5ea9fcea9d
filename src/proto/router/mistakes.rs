//! What adverts and claims of others show to be set up wrongly, here or there.

use std::net::IpAddr;
use std::time::Duration;

use super::{Router, World};
use crate::proto::effect::Effect;
use crate::proto::election::State;
use crate::proto::holding::{self, ANSWERED_WITHIN};
use crate::proto::peers::is_mistake;
use crate::report::{Event, Mistake, RouterState};
use crate::types::{Advertised, Discard, Instant, InterfaceName, Interval};
use crate::wire::announcement::Announcement;
use crate::wire::vrrp::{Advertisement, Received};

/// Adverts that do not come any more end a mistake after ten intervals, but not before this.
const LEAST_PATIENCE: Duration = Duration::from_secs(30);
/// Hosts announce an address seldom; we announce ours each minute, and whoever defends it answers then.
const ANSWER_PATIENCE: Duration = Duration::from_secs(150);

/// An IPv6 address that somebody else has too, until it is clear whether that is another Active router.
#[derive(Debug)]
pub(super) struct Double {
    found_at: Instant,
    settle_at: Instant,
    asked_again: bool,
}

impl Double {
    pub(super) fn deadline(&self) -> Instant {
        self.settle_at
    }
}

impl Router {
    /// Whether that is where our own adverts come from, or would once this router takes part.
    pub(super) fn is_own(&self, world: &World<'_>, source: IpAddr) -> bool {
        match self.election.state() {
            State::Initialize => world.interfaces.source(&self.config) == Some(source),
            State::Backup(_) | State::Active { .. } => self.election.params().source == source,
        }
    }

    /// Looks at an accepted advert. A resignation says little.
    pub(super) fn inspect(&mut self, world: &mut World<'_>, received: &Received) {
        if received.advertisement.advertised == Advertised::Resigned {
            return;
        }
        let shown = self.shown_by(received);
        let corrected = self.mistakes.correct(world.now, &self.name, received.source, &shown);
        world.effects.extend(corrected.into_iter().map(Effect::Tell));
        let patience = patience(received.advertisement.interval, self.config.advert_interval);
        for mistake in shown {
            let event = self.mistakes.see(world.now, &self.name, mistake, patience).flatten();
            world.effects.extend(event.map(Effect::Tell));
        }
    }

    /// A valid advert of this VRID that is not let in.
    pub(super) fn refuse(&mut self, world: &mut World<'_>, received: &Received, reason: Discard) {
        let (peer, theirs, ours) = (received.source, received.advertisement.interval, self.config.advert_interval);
        let interval = || (reason == Discard::Interval).then_some(Mistake::IntervalRefused { peer, theirs, ours });
        let mistake = self.foreign_router(received).filter(|_| is_mistake(reason)).or_else(interval);
        self.throw_away(world, reason, Some(peer), mistake, theirs);
    }

    /// A packet of this VRID that was thrown away.
    pub(crate) fn discard(&mut self, world: &mut World<'_>, reason: Discard, source: Option<IpAddr>) {
        self.throw_away(world, reason, source, None, self.config.advert_interval);
    }

    /// A mistake is told as such; whatever else is thrown away, each minute.
    fn throw_away(
        &mut self,
        world: &mut World<'_>,
        reason: Discard,
        source: Option<IpAddr>,
        mistake: Option<Mistake>,
        theirs: Interval,
    ) {
        if let Some(source) = source.filter(|_| reason.is_authentication()) {
            self.strangers.hear(world.now, source, reason);
        }
        let refused = || source.filter(|_| is_mistake(reason)).map(|peer| Mistake::Refused { peer, reason });
        let patience = patience(theirs, self.config.advert_interval);
        let see = |mistake| self.mistakes.see(world.now, &self.name, mistake, patience);
        let line = match mistake.or_else(refused).and_then(see) {
            Some(event) => {
                self.discards.count_in_silence(reason);
                event
            }
            None => self.discards.count(world.now, (Some(&self.name), self.config.interface), reason, source),
        };
        world.effects.extend(line.map(Effect::Tell));
    }

    /// Somebody claims an address that is held here: the LAN is told again where it is, as seldom as after any conflict.
    ///
    /// It is a mistake unless another router is Active too: then the election decides, and its adverts are told of.
    pub(super) fn hear_foreign_answer(&mut self, world: &mut World<'_>, interface: InterfaceName, heard: Announcement) {
        let foreign = self.hold(world, |holding, ground| holding.is_claimed(ground, interface, heard));
        // Who has slept may have lost its place to it.
        if !foreign || self.reported != RouterState::Active || self.election.has_slept(world.now) {
            return;
        }
        self.holding.announce_again(world.now);
        // Whoever held it until we took over may still answer for it, and adverts of another Active router say who it is for
        // at least as long.
        let aftermath = holding::aftermath(self.config.advert_interval);
        let settled = world.now.since(self.since.at) >= aftermath;
        let contested = self
            .peers
            .active()
            .is_some_and(|(_, peer)| world.now.since(peer.heard_at) < aftermath.max(peer.interval.duration() * 3));
        if settled && !contested {
            let mistake = Mistake::ForeignAnswer { address: heard.address, mac: heard.mac };
            let event = self.mistakes.see(world.now, &self.name, mistake, ANSWER_PATIENCE).flatten();
            world.effects.extend(event.map(Effect::Tell));
        }
    }

    /// Somebody has an IPv6 address that is held here. If that is a router that is Active too, as when a partition has just
    /// healed, its next advert says so; or it gives way and is gone in a moment. So it counts if it answers once more.
    pub(super) fn hear_double(&mut self, world: &mut World<'_>, interface: InterfaceName, heard: Announcement) {
        let found = self.hold(world, |holding, ground| holding.duplicate(ground, interface, heard));
        let Some(address) = found.filter(|_| !self.is_contested()) else { return };
        match &self.double {
            None => {
                let (found_at, settle_at) = (world.now, world.now + self.chance());
                self.double = Some(Double { found_at, settle_at, asked_again: false });
            }
            Some(double) if double.asked_again && self.believes(world, double) => {
                self.double = None;
                self.troubles.duplicate(world.now, address, heard.mac);
                self.review(world);
            }
            Some(_) => {}
        }
    }

    /// No router has turned out to be Active too since somebody was found to have an address of ours: is it still there?
    pub(super) fn settle_double(&mut self, world: &mut World<'_>) {
        let Some(double) = self.double.take_if(|double| double.settle_at <= world.now) else { return };
        if !double.asked_again && self.believes(world, &double) {
            let settle_at = world.now + self.chance() + ANSWERED_WITHIN;
            self.double = Some(Double { settle_at, asked_again: true, ..double });
            self.hold(world, |holding, ground| holding.search_again(ground.now));
        }
    }

    /// Whether it may be a duplicate: we are Active all along, and nobody else says to be.
    fn believes(&self, world: &World<'_>, double: &Double) -> bool {
        let still = self.reported == RouterState::Active && self.since.at <= double.found_at;
        // Who has slept may have missed it.
        still && !self.is_contested() && !self.election.has_slept(world.now)
    }

    /// Whether another router has been Active too since this one is: then the election decides who lets go.
    fn is_contested(&self) -> bool {
        self.peers.active().is_some_and(|(_, peer)| peer.heard_at >= self.since.at)
    }

    pub(super) fn tell_mistakes(&mut self, world: &mut World<'_>) {
        let events: Vec<Event> = self.mistakes.tick(world.now, &self.name);
        world.effects.extend(events.into_iter().map(Effect::Tell));
    }

    /// All that one advert shows.
    fn shown_by(&self, received: &Received) -> Vec<Mistake> {
        let (peer, ours) = (received.source, &self.config);
        if let Some(foreign) = self.foreign_router(received) {
            return vec![foreign];
        }
        let Advertisement { advertised, interval: theirs, .. } = received.advertisement;
        let priority = match advertised {
            Advertised::Active(priority) if priority != ours.priority => None,
            Advertised::Active(priority) if priority.is_owner() => Some(Mistake::SecondOwner { peer }),
            Advertised::Active(priority) => Some(Mistake::SamePriority { peer, priority }),
            Advertised::Resigned => None,
        };
        let interval = Mistake::Interval { peer, theirs, ours: ours.advert_interval };
        let interval = (theirs != ours.advert_interval).then_some(interval);
        [priority, interval, self.other_addresses(received)].into_iter().flatten().collect()
    }

    fn other_addresses(&self, received: &Received) -> Option<Mistake> {
        let (ours, theirs) = (&self.config.advertised, &received.advertisement.addresses);
        let without = |all: &[IpAddr], some: &[IpAddr]| -> Vec<IpAddr> {
            all.iter().filter(|address| !some.contains(address)).copied().collect()
        };
        let differ =
            || Mistake::Addresses { peer: received.source, lacks: without(ours, theirs), has: without(theirs, ours) };
        (ours != theirs).then(differ)
    }

    /// Whoever lists none of the addresses that are held here is another virtual router.
    fn foreign_router(&self, received: &Received) -> Option<Mistake> {
        let theirs = &received.advertisement.addresses;
        let shared = self.config.addresses.iter().any(|ours| theirs.contains(&ours.net.addr()));
        let foreign =
            || Mistake::ForeignRouter { peer: received.source, vrid: self.config.vrid, addresses: theirs.clone() };
        (!shared).then(foreign)
    }
}

fn patience(theirs: Interval, ours: Interval) -> Duration {
    (theirs.max(ours).duration() * 10).max(LEAST_PATIENCE)
}
