//! What an elected router holds and how: claim, hold, linger, yield, release, announce.
//!
//! Belongs here: which addresses are wanted on this host now, and when they go. Does not belong here: who is
//! elected (`election`) and how the kernel is asked (`io`). An address is one kind of resource; a further kind
//! is claimed and released at the same points.

mod announcing;
mod leaving;
mod probing;

use std::net::IpAddr;
use std::time::Duration;

use announcing::Announcer;
use leaving::Leaving;
pub(crate) use leaving::{Departure, Linger};
use probing::Prober;

use super::effect::{Addition, Effect};
use super::interfaces::Interfaces;
use crate::report::status::AddressState;
use crate::report::{Event, Release};
use crate::types::{AddressOutcome, Instant, InterfaceName, IpNet, LeftAddress, RouterName, VirtualAddress};
use crate::wire::announcement::{self, Announcement};
use crate::wire::nd;

/// What holding needs of its surroundings for one step.
pub(crate) struct Ground<'a> {
    pub(crate) now: Instant,
    pub(crate) router: &'a RouterName,
    /// Whether the addresses are the host's own (priority 255).
    pub(crate) owner: bool,
    /// For how long after a decision of now nobody else takes over.
    pub(crate) patience: Duration,
    pub(crate) interfaces: &'a Interfaces,
    pub(crate) effects: &'a mut Vec<Effect>,
}

/// What a departure has to say to the LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
    Nothing,
    /// That we have resigned, once more.
    Resign,
    /// That we were Active too.
    Challenge,
}

/// The addresses of one virtual router on this host.
#[derive(Debug)]
pub(crate) struct Holding {
    slots: Vec<Slot>,
    stage: Stage,
    announcer: Announcer,
    prober: Prober,
}

/// One configured address and what is here of it.
#[derive(Debug, Clone)]
struct Slot {
    address: VirtualAddress,
    presence: Presence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    /// Asked for with this prefix length.
    Adding(u8),
    /// Here and ours, with this prefix length.
    Ours(u8),
    /// Here before us.
    Foreign,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is wanted here.
    Nothing,
    /// Everything is wanted here.
    Held,
    /// Kept until the successor has it.
    Leaving(Leaving),
}

impl Holding {
    pub(crate) fn new(addresses: &[VirtualAddress]) -> Self {
        Holding {
            slots: addresses.iter().map(|&address| Slot { address, presence: Presence::Absent }).collect(),
            stage: Stage::Nothing,
            announcer: Announcer::default(),
            prober: Prober::default(),
        }
    }

    /// Whether this host holds nothing of it, nor is about to.
    pub(crate) fn is_empty(&self) -> bool {
        match self.stage {
            Stage::Nothing => true,
            Stage::Held | Stage::Leaving(_) => false,
        }
    }

    /// Whether it waits for a successor.
    pub(crate) fn is_leaving(&self) -> bool {
        match self.stage {
            Stage::Leaving(_) => true,
            Stage::Nothing | Stage::Held => false,
        }
    }

    /// Whether what others announce matters to it now.
    pub(crate) fn heeds_announcements(&self) -> bool {
        self.is_leaving() || self.prober.heeds()
    }

    /// Rounds of announcements begun so far.
    pub(crate) fn announcements(&self) -> u64 {
        self.announcer.rounds()
    }

    /// The router became Active: everything is wanted here and is announced.
    pub(crate) fn claim(&mut self, ground: &mut Ground<'_>) {
        // Additions announce themselves; what was held all along (a departure nobody followed) does not.
        let held_all_along = self.slots.iter().any(Slot::is_here);
        self.stage = Stage::Held;
        self.add_missing(ground);
        self.prober = self.prober_from(ground.now);
        if held_all_along {
            self.announcer.begin_unannounced(ground.now);
        } else {
            self.announcer.begin(ground.now);
        }
    }

    /// An earlier process of ours has left these addresses here: they are ours from now on.
    pub(crate) fn adopt(&mut self, left: &[LeftAddress]) {
        for slot in &mut self.slots {
            let found = left.iter().find(|left| slot.is(left.interface, left.net.addr()));
            if let Some(left) = found {
                slot.presence = Presence::Ours(left.net.prefix_len());
            }
        }
    }

    /// Announces nothing until it is asked to: the addresses may be another's by now.
    pub(crate) fn keep_quiet(&mut self) {
        self.announcer.stop();
    }

    /// Another router was Active too, and we asserted ourselves: every cache may be wrong now.
    pub(crate) fn announce_again(&mut self, now: Instant) {
        if let Stage::Held = self.stage {
            self.announcer.provoke(now);
        }
    }

    /// Gives up what is held, in the way the departure says. Nothing happens if nothing is held.
    pub(crate) fn leave(&mut self, ground: &mut Ground<'_>, departure: Departure) {
        match (&self.stage, departure) {
            (Stage::Nothing, _) => {}
            (Stage::Held | Stage::Leaving(_), Departure::AtOnce) => {
                let began = ground.now;
                self.finish(ground, Release::AtOnce, began);
            }
            (Stage::Held | Stage::Leaving(_), Departure::Linger(_) | Departure::Yield(_)) => {
                self.announcer.stop();
                self.prober = Prober::Idle;
                self.stage = Stage::Leaving(Leaving::new(ground.now, departure));
            }
        }
    }

    /// A router that has a right to the addresses was heard.
    pub(crate) fn hear_successor(&mut self, now: Instant) {
        if let Stage::Leaving(leaving) = &mut self.stage {
            leaving.hear_successor(now);
        }
    }

    /// Somebody announced an address on an interface. What we are leaving goes to them at once.
    pub(crate) fn hear_announcement(&mut self, ground: &mut Ground<'_>, interface: InterfaceName, heard: Announcement) {
        let own = ground.interfaces.mac(interface);
        let began = match &self.stage {
            Stage::Leaving(leaving) if own != Some(heard.mac) => leaving.began(),
            Stage::Leaving(_) | Stage::Nothing | Stage::Held => return,
        };
        let claimed = |slot: &Slot| slot.is(interface, heard.address);
        let removed = self.remove(ground, claimed);
        if removed && !self.slots.iter().any(Slot::is_here) {
            self.finish(ground, Release::Announced(heard.mac), began);
        }
    }

    /// The address that somebody else has too, if an answer to a question of ours says so.
    pub(crate) fn duplicate(
        &self,
        ground: &Ground<'_>,
        interface: InterfaceName,
        heard: Announcement,
    ) -> Option<IpNet> {
        let foreign = ground.interfaces.mac(interface) != Some(heard.mac);
        let mut held = self.slots.iter().filter(|slot| slot.is_probed() && slot.is(interface, heard.address));
        held.next().filter(|_| foreign && self.prober.heeds()).map(|slot| slot.address.net)
    }

    /// What became of additions. The first failure, if there was one.
    pub(crate) fn added(
        &mut self,
        ground: &mut Ground<'_>,
        outcomes: Vec<(IpNet, AddressOutcome)>,
    ) -> Option<(IpNet, String)> {
        let mut failure = None;
        let mut foreign = false;
        for (net, outcome) in outcomes {
            let Some(slot) = self.slots.iter_mut().find(|slot| slot.address.net == net) else {
                continue;
            };
            // What was asked for in a stage that has passed was removed by an effect behind its addition.
            let Presence::Adding(prefix) = slot.presence else {
                continue;
            };
            slot.presence = match outcome {
                AddressOutcome::Added => Presence::Ours(prefix),
                AddressOutcome::AlreadyThere => {
                    tell_foreign(ground, slot.address);
                    foreign = true;
                    Presence::Foreign
                }
                AddressOutcome::Failed(error) => {
                    failure = failure.or(Some((net, error)));
                    Presence::Absent
                }
            };
        }
        if let (true, Stage::Held) = (foreign, &self.stage) {
            // An address that was here before us was not announced by its addition.
            self.announcer.begin_unannounced(ground.now);
        }
        failure
    }

    /// Lets go of an address without touching it: another virtual router of this host has it from now on. The
    /// prefix length it is there with, if it was ours.
    pub(crate) fn hand_over(&mut self, interface: InterfaceName, address: IpAddr) -> Option<u8> {
        let slot = self.slots.iter_mut().find(|slot| slot.is(interface, address))?;
        match slot.presence {
            Presence::Adding(prefix) | Presence::Ours(prefix) => {
                slot.presence = Presence::Absent;
                Some(prefix)
            }
            Presence::Absent | Presence::Foreign => None,
        }
    }

    /// Takes over an address that is here and was another virtual router's of this host.
    pub(crate) fn take_over(&mut self, interface: InterfaceName, address: IpAddr, prefix: u8) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is(interface, address)) {
            slot.presence = Presence::Ours(prefix);
        }
    }

    /// The interface of this index no longer goes by its name. If it is gone, so is what was on it, and there is
    /// nothing to remove; under another name it would still answer for us.
    pub(crate) fn interface_gone(&mut self, ground: &mut Ground<'_>, interface: InterfaceName, index: u32) {
        let removals = self.take_ours(interface, |_| true);
        if !removals.is_empty() {
            let router = ground.router.clone();
            ground.effects.push(Effect::RemoveAddresses { router, interface, index, removals, restore: Vec::new() });
        }
    }

    /// Forgets the chosen slots of an interface; those that were ours, as they are there.
    fn take_ours(&mut self, interface: InterfaceName, chosen: impl Fn(&Slot) -> bool) -> Vec<IpNet> {
        let mut ours = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.address.interface == interface && chosen(slot)) {
            match slot.presence {
                Presence::Adding(prefix) | Presence::Ours(prefix) => ours.push(with_prefix(slot.address.net, prefix)),
                Presence::Absent | Presence::Foreign => {}
            }
            slot.presence = Presence::Absent;
        }
        ours
    }

    /// Takes over another list: what stays is not touched, what is new comes before what goes.
    pub(crate) fn reconfigure(&mut self, ground: &mut Ground<'_>, addresses: &[VirtualAddress]) {
        let kept = |address: &VirtualAddress| {
            self.slots.iter().find(|slot| slot.address == *address).map_or(Presence::Absent, |slot| slot.presence)
        };
        let slots = addresses.iter().map(|address| Slot { address: *address, presence: kept(address) }).collect();
        let before = std::mem::replace(&mut self.slots, slots);
        if let Stage::Held = self.stage {
            self.add_missing(ground);
            self.prober = self.prober_from(ground.now);
        }
        let mut leftover = Holding { slots: before, ..Holding::new(&[]) };
        leftover.remove(ground, |slot| !addresses.contains(&slot.address));
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Nothing => None,
            Stage::Held => self.announcer.deadline().into_iter().chain(self.prober.deadline()).min(),
            Stage::Leaving(leaving) => Some(leaving.deadline()),
        }
    }

    /// What is to be said now, before `tick` lets go.
    ///
    /// A successor that never announced was Active before it could be heard (a partition has healed) and does not
    /// know that caches name us: one more advert of ours makes it answer and announce.
    pub(crate) fn say(&mut self, now: Instant) -> Say {
        let Stage::Leaving(leaving) = &mut self.stage else {
            return Say::Nothing;
        };
        match (leaving.over(now), leaving.resign_due(now)) {
            (Some(Release::Heard), _) if leaving.yields() => Say::Challenge,
            (Some(Release::Heard), _) | (None, true) => Say::Resign,
            (Some(Release::Announced(_) | Release::NoSuccessor | Release::AtOnce | Release::Leftover), _)
            | (None, false) => Say::Nothing,
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, ground: &mut Ground<'_>) {
        match &self.stage {
            Stage::Nothing => {}
            Stage::Held => {
                self.announce_due(ground);
                self.probe_due(ground);
            }
            Stage::Leaving(leaving) => {
                let began = leaving.began();
                if let Some(how) = leaving.over(ground.now) {
                    self.finish(ground, how, began);
                }
            }
        }
    }

    /// The addresses that are or will be on this host, with the prefix lengths they are there with.
    pub(crate) fn present(&self) -> impl Iterator<Item = (InterfaceName, IpNet)> + '_ {
        self.slots.iter().filter_map(|slot| match slot.presence {
            Presence::Adding(prefix) | Presence::Ours(prefix) => {
                Some((slot.address.interface, with_prefix(slot.address.net, prefix)))
            }
            Presence::Absent | Presence::Foreign => None,
        })
    }

    /// Each address with its state, for the status.
    pub(crate) fn addresses<'a>(
        &'a self,
        interfaces: &'a Interfaces,
    ) -> impl Iterator<Item = (VirtualAddress, AddressState)> + 'a {
        self.slots.iter().map(|slot| {
            let state = match slot.presence {
                Presence::Ours(_) if self.is_leaving() => AddressState::Lingering,
                Presence::Ours(_) => AddressState::Held,
                Presence::Adding(_) => AddressState::Adding,
                Presence::Foreign => AddressState::Foreign,
                // The kernel's notice of a removal of ours may still be under way; then it is absent all the same.
                Presence::Absent if interfaces.has(slot.address.interface, slot.address.net.addr()) => {
                    AddressState::Foreign
                }
                Presence::Absent => AddressState::Absent,
            };
            (slot.address, state)
        })
    }

    fn add_missing(&mut self, ground: &mut Ground<'_>) {
        for interface in self.carriers() {
            let Some(facts) = ground.interfaces.get(interface) else {
                continue;
            };
            let on_it = |slot: &&mut Slot| slot.address.interface == interface;
            let mut additions = Vec::new();
            for slot in self.slots.iter_mut().filter(on_it).filter(|slot| !slot.is_here()) {
                let Some(announcement) = announcement(ground.interfaces, slot.address) else {
                    continue;
                };
                let prefix = ground.interfaces.prefix_for(interface, slot.address.net);
                slot.presence = Presence::Adding(prefix);
                additions.push(Addition { address: slot.address.net, prefix, announcement });
            }
            if !additions.is_empty() {
                let router = ground.router.clone();
                ground.effects.push(Effect::AddAddresses { router, interface, index: facts.index, additions });
            }
        }
    }

    /// Removes what is ours of the chosen slots. True if anything chosen was here.
    fn remove(&mut self, ground: &mut Ground<'_>, chosen: impl Fn(&Slot) -> bool) -> bool {
        let mut any = false;
        for interface in self.carriers() {
            any |= self.slots.iter().any(|slot| slot.address.interface == interface && chosen(slot) && slot.is_here());
            let removals = self.take_ours(interface, &chosen);
            let Some(facts) = ground.interfaces.get(interface).filter(|_| !removals.is_empty()) else {
                continue;
            };
            let (router, index) = (ground.router.clone(), facts.index);
            // What the kernel takes along is known when everything of this step is: see `Agent::handle`.
            ground.effects.push(Effect::RemoveAddresses { router, interface, index, removals, restore: Vec::new() });
        }
        any
    }

    fn finish(&mut self, ground: &mut Ground<'_>, how: Release, began: Instant) {
        self.remove(ground, |_| true);
        self.stage = Stage::Nothing;
        self.announcer.stop();
        self.prober = Prober::Idle;
        let (router, after) = (ground.router.clone(), ground.now.since(began));
        let addresses = self.slots.len();
        ground.effects.push(Effect::Tell(Event::Released { router, addresses, how, after }));
    }

    fn announce_due(&mut self, ground: &mut Ground<'_>) {
        let here: Vec<&Slot> = self.slots.iter().filter(|slot| slot.is_announceable()).collect();
        let Some(range) = self.announcer.due(ground.now, here.len()) else {
            return;
        };
        let chunk = here.get(range).unwrap_or_default();
        for interface in self.carriers() {
            let on_it = chunk.iter().filter(|slot| slot.address.interface == interface);
            let frame = |slot: &&Slot| announcement(ground.interfaces, slot.address);
            let frames: Vec<Vec<u8>> = on_it.filter_map(frame).collect();
            if !frames.is_empty() {
                let (router, until) = (ground.router.clone(), ground.now + ground.patience);
                ground.effects.push(Effect::Announce { router, interface, frames, until });
            }
        }
    }

    /// What is to be asked once addresses have been added now; nothing where all are IPv4.
    fn prober_from(&self, now: Instant) -> Prober {
        let any = self.slots.iter().any(|slot| matches!(slot.address.net, IpNet::V6(_)));
        if any { Prober::begin(now) } else { Prober::Idle }
    }

    /// Asks for the IPv6 addresses that are due.
    fn probe_due(&mut self, ground: &mut Ground<'_>) {
        let probed: Vec<&Slot> = self.slots.iter().filter(|slot| slot.is_probed()).collect();
        let Some(range) = self.prober.due(ground.now, probed.len()) else {
            return;
        };
        let chunk = probed.get(range).unwrap_or_default();
        for interface in self.carriers() {
            let on_it = chunk.iter().filter(|slot| slot.address.interface == interface);
            let frame = |slot: &&Slot| match slot.address.net {
                IpNet::V6(net) => Some(nd::probe(net.addr(), ground.interfaces.mac(interface)?)),
                IpNet::V4(_) => None,
            };
            let frames: Vec<Vec<u8>> = on_it.filter_map(frame).collect();
            if !frames.is_empty() {
                ground.effects.push(Effect::Probe { router: ground.router.clone(), interface, frames });
            }
        }
    }

    /// The interfaces that carry the addresses, each once, in configured order.
    fn carriers(&self) -> Vec<InterfaceName> {
        let mut carriers = Vec::new();
        for slot in &self.slots {
            if !carriers.contains(&slot.address.interface) {
                carriers.push(slot.address.interface);
            }
        }
        carriers
    }
}

impl Slot {
    fn is(&self, interface: InterfaceName, address: IpAddr) -> bool {
        self.address.interface == interface && self.address.net.addr() == address
    }

    fn is_here(&self) -> bool {
        match self.presence {
            Presence::Absent => false,
            Presence::Adding(_) | Presence::Ours(_) | Presence::Foreign => true,
        }
    }

    /// Whether others are asked for it: IPv4 has its own ways, and what is foreign is not ours to fear for.
    fn is_probed(&self) -> bool {
        match (self.address.net, self.presence) {
            (IpNet::V6(_), Presence::Ours(_)) => true,
            (IpNet::V4(_), _) | (IpNet::V6(_), Presence::Absent | Presence::Adding(_) | Presence::Foreign) => false,
        }
    }

    /// Being added, it announces itself.
    fn is_announceable(&self) -> bool {
        match self.presence {
            Presence::Absent | Presence::Adding(_) => false,
            Presence::Ours(_) | Presence::Foreign => true,
        }
    }
}

/// The owner's addresses are expected to be there; anybody else's stay on this host when another one takes over.
fn tell_foreign(ground: &mut Ground<'_>, address: VirtualAddress) {
    if !ground.owner {
        ground.effects.push(Effect::Tell(Event::ForeignAddress { router: ground.router.clone(), address }));
    }
}

/// The frame that announces an address, if its interface has a hardware address to announce it at.
fn announcement(interfaces: &Interfaces, address: VirtualAddress) -> Option<Vec<u8>> {
    let facts = interfaces.get(address.interface)?;
    let claim = Announcement { address: address.net.addr(), mac: facts.mac? };
    Some(announcement::emit(claim, facts.forwards_ipv6))
}

fn with_prefix(net: IpNet, prefix: u8) -> IpNet {
    IpNet::new(net.addr(), prefix).unwrap_or(net)
}

/// A tenth of a second: what a successor gets, after its advert, to announce an address that was left to it.
pub(crate) const ANNOUNCE_PATIENCE: Duration = Duration::from_millis(100);
