//! What an elected router holds and how: claim, hold, linger, yield, release, announce.
//!
//! Belongs here: which addresses are wanted on this host now, and when they go. Does not belong here: who is
//! elected (`election`) and how the kernel is asked (`io`). An address is one kind of resource; a further kind
//! is claimed and released at the same points. `leases` has the kernel take away what is not renewed, `reconciling` puts
//! back what somebody else removed.

mod announcing;
mod leases;
mod leaving;
mod probing;
mod reconciling;
mod slot;

use std::net::IpAddr;
use std::time::Duration;

use announcing::Announcer;
pub(crate) use leases::{aftermath, lifetime};
use leaving::Leaving;
pub(crate) use leaving::{Departure, Linger};
pub(crate) use probing::ANSWERED_WITHIN;
use probing::Prober;
pub(crate) use slot::{Asked, Legacy};
use slot::{Presence, Slot};

use super::effect::{Addition, Effect};
use super::interfaces::Interfaces;
use crate::report::status::AddressState;
use crate::report::{Event, Release};
use crate::types::{
    AddressOutcome, Instant, InterfaceName, Interval, IpNet, LeftAddress, Lifetime, RouterName, VirtualAddress,
};
use crate::wire::announcement::{self, Announcement};
use crate::wire::{arp, nd};

/// What holding needs of its surroundings for one step.
pub(crate) struct Ground<'a> {
    pub(crate) now: Instant,
    pub(crate) router: &'a RouterName,
    /// Whether the addresses are the host's own (priority 255).
    pub(crate) owner: bool,
    /// Our advert interval.
    pub(crate) interval: Interval,
    /// How long the kernel keeps an address that is not renewed; `None`: for good.
    pub(crate) lifetime: Option<Lifetime>,
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
    /// The renewal that is under way, by the time of its decision.
    asked: Option<Instant>,
    /// Whether the last renewal was refused, so that it is told once.
    refused: bool,
    /// Addresses put back after somebody else had removed them.
    restored: u64,
    prober: Prober,
}

/// What came of additions that the router must know.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    /// The first one that failed, with the system's words.
    pub(crate) failed: Option<(IpNet, String)>,
    /// Whether some came too late.
    pub(crate) late: bool,
    /// One that somebody removes again and again.
    pub(crate) fought: Option<IpNet>,
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
            slots: addresses.iter().map(|&address| Slot::new(address)).collect(),
            stage: Stage::Nothing,
            announcer: Announcer::default(),
            asked: None,
            refused: false,
            restored: 0,
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

    /// Whether it matters to it now who else has an address.
    pub(crate) fn heeds(&self, interface: InterfaceName, address: IpAddr) -> bool {
        !self.is_empty() && self.slots.iter().any(|slot| slot.is(interface, address))
    }

    /// Whether another host claims an address that is held here.
    pub(crate) fn is_claimed(&self, ground: &Ground<'_>, interface: InterfaceName, heard: Announcement) -> bool {
        let held = match self.stage {
            Stage::Held => self.slots.iter().any(|slot| slot.is_here() && slot.is(interface, heard.address)),
            Stage::Leaving(_) | Stage::Nothing => false,
        };
        held && !ground.interfaces.is_own(heard.mac)
    }

    /// Rounds of announcements begun so far.
    pub(crate) fn announcements(&self) -> u64 {
        self.announcer.rounds()
    }

    /// Addresses put back so far after somebody else had removed them.
    pub(crate) fn restored(&self) -> u64 {
        self.restored
    }

    /// The router became Active: everything is wanted here and is announced.
    pub(crate) fn claim(&mut self, ground: &mut Ground<'_>) {
        // Additions announce themselves; what was held all along (a departure nobody followed) does not.
        let held_all_along = self.slots.iter().any(Slot::is_here);
        self.stage = Stage::Held;
        self.add_missing(ground);
        self.prober = Prober::begin(ground.now, aftermath(ground.interval));
        if held_all_along {
            self.announcer.begin_unannounced(ground.now);
        } else {
            self.announcer.begin(ground.now);
        }
    }

    /// An earlier process of ours has left these addresses here: they are ours from now on.
    /// Its last advert promised the next one within `interval`.
    pub(crate) fn adopt(&mut self, ground: &Ground<'_>, left: &[LeftAddress], interval: Interval) {
        for slot in &mut self.slots {
            let found = left.iter().find(|left| slot.is(left.interface, left.net.addr()));
            if let Some(left) = found {
                slot.presence = Presence::Ours(left.net.prefix_len());
                slot.term = leases::term_of_left(ground.interfaces, left, interval);
            }
        }
    }

    /// Announces nothing until it is asked to: the addresses may be another's by now.
    pub(crate) fn keep_quiet(&mut self) {
        self.announcer.stop();
    }

    /// Caches may be wrong now: another router was Active too and we asserted ourselves, the link was away, or we were.
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

    /// Asks everybody for the addresses once more, now.
    pub(crate) fn search_again(&mut self, now: Instant) {
        self.prober = Prober::begin(now, Duration::ZERO);
    }

    /// The IPv6 address that somebody else has too, if an answer to a question of ours says so. Over IPv4 an answer is a
    /// claim like any other.
    pub(crate) fn duplicate(
        &self,
        ground: &Ground<'_>,
        interface: InterfaceName,
        heard: Announcement,
    ) -> Option<IpNet> {
        let foreign = ground.interfaces.mac(interface) != Some(heard.mac);
        let mut held = self.slots.iter().filter(|slot| slot.is_probed() && slot.is(interface, heard.address));
        let found = held.next().filter(|_| foreign && self.prober.heeds() && heard.address.is_ipv6());
        found.map(|slot| slot.address.net)
    }

    /// What became of additions.
    pub(crate) fn added(&mut self, ground: &mut Ground<'_>, outcomes: Vec<(IpNet, AddressOutcome)>) -> Additions {
        let mut came = Additions::default();
        let (mut foreign, mut restored, mut doubted) = (false, Vec::new(), Vec::new());
        for (net, outcome) in outcomes {
            let Some(slot) = self.slots.iter_mut().find(|slot| slot.address.net == net) else {
                continue;
            };
            // What was asked for in a stage that has passed was removed by an effect behind its addition.
            let (prefix, again, doubtful) = match slot.presence {
                Presence::Adding(prefix, doubtful) => (prefix, false, doubtful),
                Presence::Again(prefix) => (prefix, true, false),
                Presence::Absent | Presence::Ours(_) | Presence::Foreign => continue,
            };
            slot.presence = match outcome {
                AddressOutcome::Added | AddressOutcome::StillThere => Presence::Ours(prefix),
                AddressOutcome::AlreadyThere => {
                    tell_foreign(ground, slot.address);
                    foreign = true;
                    Presence::Foreign
                }
                AddressOutcome::TooLate => {
                    came.late = true;
                    Presence::Absent
                }
                AddressOutcome::Failed(ref error) => {
                    came.failed = came.failed.or(Some((net, error.clone())));
                    Presence::Absent
                }
            };
            if doubtful {
                doubted.extend(slot.held().map(|net| (slot.address.interface, net)));
            }
            // A renewal may have been quicker than we. In IPv6 it may as well never have been away.
            let was_away =
                outcome == AddressOutcome::Added || outcome == AddressOutcome::StillThere && net.addr().is_ipv4();
            if again && was_away {
                restored.push(slot.address);
                if slot.count_restored(ground.now) {
                    came.fought = Some(net);
                }
            }
        }
        for (interface, net) in doubted {
            self.gone(ground, interface, &[net]);
        }
        self.tell_restored(ground, &restored);
        if let (true, Stage::Held) = (foreign, &self.stage) {
            // An address that was here before us was not announced by its addition.
            self.announcer.begin_unannounced(ground.now);
        }
        came
    }

    /// Lets go of an address without touching it: another virtual router of this host has it from now on. How it is
    /// there, if it was ours.
    pub(crate) fn hand_over(&mut self, interface: InterfaceName, address: IpAddr) -> Option<Legacy> {
        let slot = self.slots.iter_mut().find(|slot| slot.is(interface, address))?;
        let prefix = slot.ours()?.prefix_len();
        slot.forget();
        Some(Legacy { prefix, term: slot.term })
    }

    /// Takes over an address that is here and was another virtual router's of this host.
    pub(crate) fn take_over(&mut self, interface: InterfaceName, address: IpAddr, legacy: Legacy) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is(interface, address)) {
            slot.presence = Presence::Ours(legacy.prefix);
            slot.term = legacy.term;
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
            ours.extend(slot.ours());
            slot.forget();
        }
        ours
    }

    /// Takes over another list: what stays is not touched, what is new comes before what goes.
    pub(crate) fn reconfigure(&mut self, ground: &mut Ground<'_>, addresses: &[VirtualAddress]) {
        // A renewal that is under way counts by the old interval: it is asked for once more.
        self.asked = None;
        self.slots.iter_mut().for_each(|slot| slot.asked = None);
        let kept = |address: &VirtualAddress| self.slots.iter().find(|slot| slot.address == *address).cloned();
        let slots = addresses.iter().map(|address| kept(address).unwrap_or_else(|| Slot::new(*address))).collect();
        let before = std::mem::replace(&mut self.slots, slots);
        if let Stage::Held = self.stage {
            self.add_missing(ground);
            self.prober = Prober::begin(ground.now, aftermath(ground.interval));
        }
        let mut leftover = Holding { slots: before, ..Holding::new(&[]) };
        leftover.remove(ground, |slot| !addresses.contains(&slot.address));
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let own = match &self.stage {
            Stage::Nothing => return None,
            Stage::Held => self.announcer.deadline().into_iter().chain(self.prober.deadline()).min(),
            Stage::Leaving(leaving) => Some(leaving.deadline()),
        };
        own.into_iter().chain(self.ends_at()).min()
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
            (
                Some(
                    Release::Announced(_)
                    | Release::NoSuccessor
                    | Release::AtOnce
                    | Release::Lapsed
                    | Release::Gone
                    | Release::Leftover,
                ),
                _,
            )
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
        self.slots.iter().filter_map(|slot| Some((slot.address.interface, slot.ours()?)))
    }

    /// Each address with its state, and how long the kernel keeps it at least, for the status.
    pub(crate) fn addresses<'a>(
        &'a self,
        interfaces: &'a Interfaces,
    ) -> impl Iterator<Item = (VirtualAddress, AddressState, Option<Instant>)> + 'a {
        self.slots.iter().map(|slot| {
            let state = match slot.presence {
                Presence::Ours(_) if self.is_leaving() => AddressState::Lingering,
                Presence::Ours(_) => AddressState::Held,
                Presence::Adding(..) | Presence::Again(_) => AddressState::Adding,
                Presence::Foreign => AddressState::Foreign,
                // The kernel's notice of a removal of ours may still be under way; then it is absent all the same.
                Presence::Absent if interfaces.has(slot.address.interface, slot.address.net.addr()) => {
                    AddressState::Foreign
                }
                Presence::Absent => AddressState::Absent,
            };
            (slot.address, state, slot.ends_at().filter(|_| slot.held().is_some()))
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
                let prefix = ground.interfaces.prefix_for(interface, slot.address.net);
                let Some(addition) = addition(ground.interfaces, slot.address, prefix) else { continue };
                slot.presence = Presence::Adding(prefix, false);
                slot.asked = None;
                slot.term = leases::term(ground.now, ground.lifetime);
                additions.push(addition);
            }
            if !additions.is_empty() {
                let (router, index, lifetime) = (ground.router.clone(), facts.index, ground.lifetime);
                let (until, again) = (ground.now + ground.patience, false);
                let add = Effect::AddAddresses { router, interface, index, additions, lifetime, until, again };
                ground.effects.push(add);
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

    fn tell_restored(&mut self, ground: &mut Ground<'_>, restored: &[VirtualAddress]) {
        let Some((address, others)) = restored.split_first() else { return };
        self.restored += restored.len() as u64;
        let (router, address, others) = (ground.router.clone(), *address, others.len());
        ground.effects.push(Effect::Tell(Event::AddressRestored { router, address, others }));
        // Its addition announces it once.
        self.announce_again(ground.now);
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

    /// Asks for the addresses that are due.
    fn probe_due(&mut self, ground: &mut Ground<'_>) {
        let probed: Vec<&Slot> = self.slots.iter().filter(|slot| slot.is_probed()).collect();
        let Some(range) = self.prober.due(ground.now, probed.len()) else {
            return;
        };
        let chunk = probed.get(range).unwrap_or_default();
        for interface in self.carriers() {
            let on_it = chunk.iter().filter(|slot| slot.address.interface == interface);
            let frame = |slot: &&Slot| match (slot.address.net, ground.interfaces.mac(interface)?) {
                (IpNet::V6(net), mac) => Some(nd::probe(net.addr(), mac)),
                (IpNet::V4(net), mac) => Some(arp::probe(net.addr(), mac)),
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

fn addition(interfaces: &Interfaces, address: VirtualAddress, prefix: u8) -> Option<Addition> {
    Some(Addition { address: address.net, prefix, announcement: announcement(interfaces, address)? })
}

/// A tenth of a second: what a successor gets, after its advert, to announce an address that was left to it.
pub(crate) const ANNOUNCE_PATIENCE: Duration = Duration::from_millis(100);
