//! The kernel of each host: what it has of addresses, and when it takes one away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use locum::proto::{Effect, Input};
use locum::report::{Event, Reason, RouterState};
use locum::types::{AddressOutcome, Advertised, Instant, IpNet, LeaseOutcome, Lifetime};
use locum::wire::announcement::{self, Announcement};
use locum::wire::vrrp;

use super::{Happening, World};
use crate::check::Cause;
use crate::host::{Held, Job, interface};
use crate::lan::FRAMES;
use crate::scenario::RETRY;

/// A lease ends up to this much late (holding.md, rule 5).
const LATE: Duration = Duration::from_millis(1050);

impl World {
    pub(super) fn done(&mut self, host: usize, job: Job) {
        let now = self.scene.now;
        match job {
            Job::Announce(_, until) if until < now => {}
            Job::Announce(frames, _) => frames.iter().for_each(|frame| self.broadcast_frame(host, frame)),
            Job::Remove(nets) if self.scene.hosts[host].keeps => {
                self.trace.line(now, Some(host), || format!("kernel: cannot remove {nets:?}"));
                self.drawn.note("a removal fails");
                self.scene.hosts[host].kept = true;
                for net in nets {
                    let held = self.scene.hosts[host].addresses.get_mut(&net.addr());
                    held.into_iter().for_each(|held| held.stuck = true);
                }
            }
            Job::Remove(nets) => {
                self.trace.line(now, Some(host), || format!("kernel: removes {nets:?}"));
                for net in nets {
                    self.remove(host, net);
                }
                self.changed(host);
            }
            Job::Renew { router, leases, lifetime, asked, until } => {
                let late = until.is_some_and(|until| until <= now);
                let outcome = if late { LeaseOutcome::Lapsed } else { LeaseOutcome::Renewed };
                for net in leases.into_iter().filter(|_| !late) {
                    // As the kernel: what is gone comes back, and what somebody else has set the worker spares.
                    if !self.scene.hosts[host].spared.contains(&net.addr()) {
                        self.set(host, net, lifetime);
                    }
                }
                let (at, life) = (now + Duration::from_micros(50), self.scene.hosts[host].life);
                self.at(at, Happening::Renewed { host, life, router, asked, outcome });
            }
            Job::Add { router, addition, last, lifetime, until, again } => {
                let net = addition.address;
                let planned = &mut self.scene.hosts[host];
                let outcome = if planned.refuses {
                    planned.spared.insert(net.addr());
                    self.drawn.note("an addition fails");
                    AddressOutcome::Failed("No buffer space available".to_owned())
                } else if until <= now {
                    AddressOutcome::TooLate
                } else if again && planned.addresses.get(&net.addr()).is_some_and(|held| held.ours) {
                    AddressOutcome::StillThere
                } else if planned.addresses.contains_key(&net.addr()) {
                    planned.spared.insert(net.addr());
                    AddressOutcome::AlreadyThere
                } else {
                    planned.spared.remove(&net.addr());
                    self.set(host, IpNet::new_assert(net.addr(), addition.prefix), lifetime);
                    AddressOutcome::Added
                };
                self.trace.line(now, Some(host), || format!("kernel: {} {outcome:?}", addition.address));
                if outcome == AddressOutcome::Added {
                    self.broadcast_frame(host, &addition.announcement);
                }
                self.scene.hosts[host].outcomes.push_back((router, addition.address, outcome));
                if last {
                    let (at, life) = (now + Duration::from_micros(50), self.scene.hosts[host].life);
                    self.at(at, Happening::Report { host, life });
                }
                self.changed(host);
            }
        }
    }

    fn remove(&mut self, host: usize, net: IpNet) {
        match self.scene.hosts[host].addresses.get(&net.addr()) {
            // What the worker has found to be somebody else's it spares: the agent may not have been told yet.
            Some(held) if !held.ours && self.scene.hosts[host].spared.contains(&net.addr()) => {}
            Some(held) if !held.ours && held.prefix == net.prefix_len() => {
                self.judge.fail(format!("h{host}: removes {net}, which somebody else has set"));
            }
            Some(held) if held.prefix == net.prefix_len() => {
                self.scene.hosts[host].addresses.remove(&net.addr());
            }
            // As the kernel: no such address, and that is no failure.
            Some(_) | None => {}
        }
    }

    pub(super) fn changed(&mut self, host: usize) {
        self.judge.addresses_changed(&self.scene);
        if self.scene.plan.facts_echo {
            let (at, life) = (self.scene.now + Duration::from_micros(80), self.scene.hosts[host].life);
            self.at(at, Happening::Facts { host, life });
        }
    }

    pub(super) fn report(&mut self, host: usize) {
        let mut outcomes: Vec<_> = self.scene.hosts[host].outcomes.drain(..).collect();
        while let Some((router, _, _)) = outcomes.first().cloned() {
            let (these, others): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(of, _, _)| *of == router);
            outcomes = others;
            let number = crate::host::router_number(&router);
            let late = |outcome: &AddressOutcome| *outcome == AddressOutcome::TooLate;
            for (_, net, _) in these.iter().filter(|(_, _, outcome)| late(outcome)) {
                self.judge.refused(host, *net);
            }
            for (_, net, _) in these.iter().filter(|(_, _, outcome)| matches!(outcome, AddressOutcome::Failed(_))) {
                if self.judge.refused(host, *net) {
                    self.scene.hosts[host].refused_until.insert(number, self.scene.now + RETRY);
                }
            }
            let outcomes = these.into_iter().map(|(_, net, outcome)| (net, outcome)).collect();
            self.feed(host, Cause::Other, Input::AddressesAdded { router, outcomes });
        }
    }

    /// Has an address there, from now on for so long.
    fn set(&mut self, host: usize, net: IpNet, lifetime: Option<Lifetime>) {
        let until = lifetime.map(|lifetime| {
            let late = self.rng.span(Duration::ZERO, LATE);
            self.scene.now + lifetime.duration() + late
        });
        let held = Held { prefix: net.prefix_len(), ours: true, renewed_at: self.scene.now, until, stuck: false };
        self.scene.hosts[host].addresses.insert(net.addr(), held);
        if let Some(until) = until {
            self.at(until, Happening::Expires { host, net });
        }
    }

    /// Takes an address away whose lease ends now, whoever is there to see it.
    pub(super) fn expire(&mut self, host: usize, net: IpNet) {
        let now = self.scene.now;
        let ends = |held: &Held| held.until == Some(now);
        if !self.scene.hosts[host].addresses.get(&net.addr()).is_some_and(ends) {
            return;
        }
        self.scene.hosts[host].addresses.remove(&net.addr());
        self.drawn.note("a lease ends");
        self.trace.line(now, Some(host), || format!("kernel: the lease of {net} ends"));
        self.changed(host);
        let life = self.scene.hosts[host].life;
        self.at(now, Happening::Gone { host, life, net });
    }

    pub(super) fn gone(&mut self, host: usize, net: IpNet) {
        let gone = Input::AddressesGone { interface: interface(), addresses: vec![net] };
        self.feed(host, Cause::Other, gone);
    }

    pub(super) fn renewed(&mut self, host: usize, router: usize, asked: (Instant, bool), outcome: LeaseOutcome) {
        let (router, (asked, other_kind)) = (crate::host::router_name(router), asked);
        let interface = interface();
        self.feed(host, Cause::Other, Input::LeasesRenewed { router, interface, asked, other_kind, outcome });
    }

    /// Asks all others whether they have an address.
    pub(super) fn ask(&mut self, from: usize, frame: &[u8]) {
        let Some(address) = asked_for(frame) else {
            self.judge.fail(format!("h{from} asks for nothing: {frame:?}"));
            return;
        };
        for to in (0..self.scene.plan.hosts).filter(|to| *to != from) {
            if self.scene.hosts[from].link && self.scene.lan.connects(from, to) {
                for at in self.scene.lan.arrivals(self.scene.now, from, to + FRAMES, 0).into_iter().flatten() {
                    self.at(at, Happening::Question { from, to, address });
                }
            }
        }
    }

    /// A kernel answers by itself, whatever has become of the agent: over IPv6 to everybody, since a search has no sender
    /// (RFC 4861 section 7.2.4).
    pub(super) fn answer(&mut self, host: usize, asker: usize, address: IpAddr) {
        let here = &self.scene.hosts[host];
        if !here.answers(address) || here.stall.as_ref().is_some_and(|stall| stall.deaf) {
            return;
        }
        self.drawn.note("a question is answered");
        self.trace.line(self.scene.now, Some(host), || format!("kernel: answers h{asker} that it has {address}"));
        let answer = announcement::emit(Announcement { address, mac: here.mac }, false);
        match address {
            IpAddr::V4(_) => self.send_frame(host, asker, &answer.into()),
            IpAddr::V6(_) => self.broadcast_frame(host, &answer),
        }
    }

    /// An address of ours that another host has and does not let go of, since somebody else has set it there or its kernel
    /// does not remove it, is not to be had: for as long as the router says so, ever longer, nothing is tried here.
    pub(super) fn find_doubles(&mut self, host: usize, effects: &[Effect]) {
        for effect in effects {
            // The owner claims at once, and tells it when its advert has left.
            if let Effect::SendAdvert { router, packet, .. } = effect
                && vrrp::parse(packet).is_ok_and(|sent| sent.advertisement.advertised != Advertised::Resigned)
            {
                self.scene.hosts[host].refused_until.remove(&crate::host::router_number(router));
            }
            let Effect::Tell(Event::Transition { router, from, reason, .. }) = effect else { continue };
            let number = crate::host::router_number(router);
            if *from == RouterState::Fault {
                self.scene.hosts[host].refused_until.remove(&number);
            }
            let Reason::Duplicate(net, _) = reason else { continue };
            let others = self.scene.hosts.iter().filter(|other| other.id != host);
            let kept = |held: &Held| !held.ours || held.stuck;
            if others.filter_map(|other| other.addresses.get(&net.addr())).any(kept) {
                self.scene.hosts[host].refused_until.insert(number, self.scene.plan.end);
            }
        }
    }
}

/// Whose answer an ARP probe (RFC 5227 section 2.1.1) or a Neighbor Solicitation (RFC 4861 section 4.3) asks for.
fn asked_for(frame: &[u8]) -> Option<IpAddr> {
    match frame.get(12..14)? {
        [0x08, 0x06] => Some(Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(38..42)?).ok()?).into()),
        [0x86, 0xdd] => Some(Ipv6Addr::from(<[u8; 16]>::try_from(frame.get(62..78)?).ok()?).into()),
        _ => None,
    }
}
