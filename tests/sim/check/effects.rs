//! What an agent asks for: in which order, with what in it, and whether its status says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use locum::proto::{Addition, Effect, Lease};
use locum::report::status::AddressState;
use locum::report::{Event, Reason, RouterState, WallClock};
use locum::types::{Advertised, Instant, IpNet};
use locum::wire::{announcement, vrrp};

use super::seat::Seat;
use crate::host::{INDEX, own_nets, router_number};
use crate::world::Scene;

/// What one agent has asked to be added and not to be removed since, with router and prefix length.
#[derive(Debug, Default)]
pub struct Claims {
    asked: BTreeMap<IpAddr, (usize, u8)>,
    /// Routers that had already left, by resigning or yielding, before the input that is looked at.
    left: BTreeSet<usize>,
    /// It has just begun: what an earlier process has left may go.
    begins: bool,
}

impl Claims {
    /// What an earlier process has left.
    pub fn left(scene: &Scene, host: usize) -> Self {
        let left = scene.hosts[host].left(&scene.plan).into_iter();
        let asked = left.map(|left| (left.net.addr(), (router_number(&left.router), left.net.prefix_len())));
        Claims { asked: asked.collect(), left: BTreeSet::new(), begins: true }
    }

    pub fn after(&mut self, scene: &Scene, host: usize, seats: &[Seat], effects: &[Effect]) -> Result<(), String> {
        let wrong = |what: String| Err(format!("h{host}: {what}"));
        let mut telling = false;
        for (number, effect) in effects.iter().enumerate() {
            let (before, behind) = (&effects[..number], &effects[number + 1..]);
            match effect {
                Effect::AddAddresses { router, additions, index, .. } => {
                    telling = true;
                    let router = router_number(router);
                    if !seats[router].has_asserted() {
                        return wrong(format!("r{router}: addresses come before the advert"));
                    }
                    if *index != INDEX {
                        return wrong(format!("r{router}: wrong interface index {index}"));
                    }
                    additions.iter().try_for_each(|addition| self.add(scene, host, router, addition))?;
                }
                Effect::RemoveAddresses { router, removals, restore, .. } => {
                    telling = true;
                    let router = router_number(router);
                    // Whoever finds its place taken lets go first, and then says so.
                    let left = self.left.contains(&router) || behind.iter().any(|effect| gives_up(effect, router));
                    if !left && behind.iter().any(|effect| is_advert(effect, router, true)) {
                        return wrong(format!("r{router}: addresses go before the resignation"));
                    }
                    let seat = &seats[router];
                    let leftover = self.begins && !seat.is_active();
                    // What is not configured any more goes, and nothing else does (DESIGN.md, P5).
                    let stays = removals.iter().any(|net| scene.plan.has_configured(host, net.addr()));
                    if stays && !(leftover || seat.resigned || seat.yielded || !scene.hosts[host].link) {
                        return wrong(format!("r{router}: drops addresses without resigning: {seat:?}"));
                    }
                    removals.iter().try_for_each(|net| self.remove(host, router, *net))?;
                    if let Some(net) = restore.iter().find(|net| !self.may_be_restored(host, **net)) {
                        return wrong(format!("r{router}: restores {net}, which it does not have"));
                    }
                }
                Effect::Announce { router, frames, .. } => {
                    let right = |frame: &Vec<u8>| {
                        let is_asked = |address: IpAddr| self.asked.contains_key(&address);
                        let heard = announcement::parse(frame);
                        heard.is_some_and(|heard| heard.mac == scene.hosts[host].mac && is_asked(heard.address))
                    };
                    let listens = seats[router_number(router)].listens(scene.now);
                    if listens || !frames.iter().all(right) {
                        return wrong(format!("announces what it does not hold, or may not any more: {listens}"));
                    }
                }
                Effect::RenewLeases { router, leases, .. } => {
                    let router = router_number(router);
                    self.renew((host, router), leases, before, seats[router].has_slept())?;
                }
                Effect::Tell(Event::Transition { .. }) | Effect::Stopped => telling = true,
                Effect::Tell(_)
                | Effect::Record(_)
                | Effect::Forget { .. }
                | Effect::Listen { .. }
                | Effect::Unlisten { .. }
                | Effect::WatchFrames { .. }
                | Effect::UnwatchFrames { .. }
                | Effect::SendAdvert { .. }
                | Effect::Probe { .. } => {}
            }
        }
        let left = seats.iter().enumerate().filter(|(_, seat)| seat.resigned || seat.yielded);
        self.left = left.map(|(router, _)| router).collect();
        self.begins &= !effects.iter().any(|effect| matches!(effect, Effect::Tell(Event::Started { .. })));
        if telling { self.compare_with_status(scene, host, seats) } else { Ok(()) }
    }

    fn renew(
        &self,
        (host, router): (usize, usize),
        leases: &[Lease],
        before: &[Effect],
        slept: bool,
    ) -> Result<(), String> {
        // Who has slept has still what it promised with its last advert, while it listens.
        let said = |effect: &Effect| is_advert(effect, router, false) || is_advert(effect, router, true);
        if !slept && !before.iter().any(said) {
            return Err(format!("h{host}: r{router}: leases are renewed without an advert"));
        }
        match leases.iter().find(|lease| !self.may_be_restored(host, lease.net)) {
            Some(lease) => Err(format!("h{host}: r{router}: renews {}, which it does not have", lease.net)),
            None => Ok(()),
        }
    }

    fn add(&mut self, scene: &Scene, host: usize, router: usize, addition: &Addition) -> Result<(), String> {
        let here = &scene.hosts[host];
        let wrong = |what: &str| Err(format!("h{host} r{router}: {}: {what}", addition.address));
        let net = addition.address;
        let known = scene.plan.routers[router].addresses.contains(&net.addr());
        if !known || !scene.plan.has_configured(host, net.addr()) {
            return wrong("added, but not configured");
        }
        let announced = announcement::parse(&addition.announcement);
        if !announced.is_some_and(|heard| heard.mac == here.mac && heard.address == net.addr()) {
            return wrong("added without its announcement");
        }
        let beside = own_nets(host).iter().any(|own| own.trunc() == net.trunc());
        let tied = beside && (net.addr().is_ipv6() || !scene.plan.promote_secondaries);
        // What is there already is asked for as it is there, so that the kernel refuses it.
        let there = here.addresses.get(&net.addr()).map(|held| held.prefix);
        // What has left the configuration counts as the host's own until its removal is known.
        let own = here.readdressed_at > Instant::default() && addition.prefix == net.max_prefix_len();
        if !own && addition.prefix != there.unwrap_or(if tied { net.max_prefix_len() } else { net.prefix_len() }) {
            return wrong("added with the wrong prefix length");
        }
        match self.asked.insert(net.addr(), (router, addition.prefix)) {
            None => Ok(()),
            // Somebody else's is asked for at each claim, and never removed in between.
            Some(_) if is_foreign(scene, host, &net.addr()) || here.kept => Ok(()),
            Some(_) => wrong("added twice"),
        }
    }

    pub fn refused(&mut self, net: IpNet) -> bool {
        self.asked.remove(&net.addr()).is_some()
    }

    fn remove(&mut self, host: usize, router: usize, net: IpNet) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("h{host} r{router}: {net}: {what}"));
        match self.asked.remove(&net.addr()) {
            Some(claimed) if claimed == (router, net.prefix_len()) => Ok(()),
            Some(_) => wrong("removed with another prefix length or by another router than it was added"),
            None => wrong("removed, but never added"),
        }
    }

    fn may_be_restored(&self, host: usize, net: IpNet) -> bool {
        let own = own_nets(host).contains(&net);
        own || self.asked.get(&net.addr()).is_some_and(|(_, prefix)| *prefix == net.prefix_len())
    }

    fn compare_with_status(&self, scene: &Scene, host: usize, seats: &[Seat]) -> Result<(), String> {
        let Some(agent) = &scene.hosts[host].agent else { return Ok(()) };
        let status = agent.snapshot(WallClock { at: scene.now, unix_nanos: 1_700_000_000_000_000_000 });
        for (number, seat) in seats.iter().enumerate() {
            let wrong = |what: &str| Err(format!("h{host} r{number}: status: {what}"));
            let Some(router) = status.routers.get(&format!("r{number}")) else { return wrong("not listed") };
            if (router.state == RouterState::Active) != seat.is_active() {
                return wrong("not the state that was told");
            }
            let holds = |address: &IpAddr| self.asked.contains_key(address);
            let all = scene.plan.routers[number].addresses.iter();
            let configured: Vec<&IpAddr> = all.filter(|address| scene.plan.has_configured(host, **address)).collect();
            if seat.is_active() && !configured.iter().all(|address| holds(address)) {
                return wrong("Active without its addresses");
            }
            if router.addresses.len() != configured.len() {
                return wrong("not the configured addresses");
            }
            let listed = router.addresses.iter().zip(configured);
            for (listed, address) in listed.filter(|(_, address)| !is_foreign(scene, host, address)) {
                let fits = match listed.state {
                    AddressState::Absent => !holds(address),
                    AddressState::Adding => holds(address),
                    AddressState::Held => holds(address) && seat.is_active(),
                    AddressState::Lingering => holds(address) && !seat.is_active(),
                    AddressState::Foreign => true,
                };
                // What its kernel did not remove it may take for somebody else's.
                if !fits && !scene.hosts[host].kept {
                    return wrong(&format!("{} is called {:?}", listed.address, listed.state));
                }
            }
        }
        Ok(())
    }
}

fn gives_up(effect: &Effect, router: usize) -> bool {
    matches!(effect, Effect::Tell(Event::Transition { router: name, reason: Reason::Overslept(_) | Reason::LeaseLapsed, .. })
        if router_number(name) == router)
}

fn is_foreign(scene: &Scene, host: usize, address: &IpAddr) -> bool {
    scene.hosts[host].addresses.get(address).is_some_and(|held| !held.ours)
}

fn is_advert(effect: &Effect, router: usize, resigned: bool) -> bool {
    match effect {
        Effect::SendAdvert { router: name, packet, .. } if router_number(name) == router => {
            let advertised = vrrp::parse(packet).map(|received| received.advertisement.advertised);
            advertised.is_ok_and(|advertised| (advertised == Advertised::Resigned) == resigned)
        }
        Effect::SendAdvert { .. }
        | Effect::RenewLeases { .. }
        | Effect::Listen { .. }
        | Effect::Unlisten { .. }
        | Effect::WatchFrames { .. }
        | Effect::UnwatchFrames { .. }
        | Effect::AddAddresses { .. }
        | Effect::RemoveAddresses { .. }
        | Effect::Announce { .. }
        | Effect::Record(_)
        | Effect::Forget { .. }
        | Effect::Probe { .. }
        | Effect::Tell(_)
        | Effect::Stopped => false,
    }
}
