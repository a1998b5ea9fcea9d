//! One agent of ours and one or two peers that behave like keepalived, on one LAN: judged from outside alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use locum::proto::{Effect, Input};
use locum::types::{
    AddressOutcome, Advertised, ChecksumForm, Family, Instant, Interval, LeaseOutcome, MacAddr, Priority, Version, Vrid,
};
use locum::wire::announcement::{self, Announcement};
use locum::wire::ip;
use locum::wire::vrrp::{self, Advertisement, Proof};

use crate::host::{Host, interface};
use crate::keepalived::Keepalived;
use crate::rng::Rng;
use crate::scenario::{START, Scenario};

/// From a host to the others.
const DELAY: Duration = Duration::from_micros(80);
/// Two hosts that hear each other may both have it while one lingers (holding.md, rule 7), or yields.
const TOGETHER: Duration = Duration::from_millis(110);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Start(usize),
    Stop(usize),
    /// Power is lost.
    Die(usize),
    /// Host 0 hears nobody, and nobody hears it.
    Part,
    Heal,
    Advert {
        from: usize,
        to: usize,
        packet: Vec<u8>,
    },
    Frame {
        from: usize,
        bytes: Vec<u8>,
    },
    /// The peer of this number announces the address.
    Announce(usize),
}

struct Mixed {
    now: Instant,
    plan: Scenario,
    host: Host,
    peers: Vec<Keepalived>,
    queue: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    order: u64,
    parted: bool,
    holds: Vec<bool>,
    /// Whom the client believes to have the address.
    cache: Option<usize>,
    two_since: Option<Instant>,
    /// Whether the two had it before they could hear each other.
    joined: bool,
    none_since: Option<Instant>,
    /// Ours is leaving as planned, and somebody is there to follow.
    covered: bool,
    sole_since: Instant,
    was_parted: bool,
    lines: Vec<String>,
}

impl Mixed {
    fn new(seed: u64) -> (Self, Duration) {
        let rng = &mut Rng::new(seed ^ 0x6b61);
        let mut plan = Scenario::draw(seed);
        plan.routers.truncate(1);
        let router = &mut plan.routers[0];
        (router.version, router.family, router.authenticated) = (Version::V3, Family::Ipv4, false);
        router.addresses = vec![Ipv4Addr::new(198, 51, 100, 100).into()];
        plan.unicast = false;
        (plan.foreign, plan.checks) = (None, vec![None; plan.hosts]);
        let interval = Interval::from_centiseconds(rng.pick(&[10, 20, 50, 100, 100, 200])).unwrap();
        let peers = rng.between(1, 2) as usize;
        let mut models = Vec::new();
        for number in 0..=peers {
            let priority = rng.between(1, 254) as u8;
            let preempt = rng.chance(60);
            if number == 0 {
                let seat = &mut plan.routers[0].seats[0];
                (seat.priority, seat.interval, seat.preempt) = (Priority::new(priority).unwrap(), interval, preempt);
                seat.preempt_delay = Duration::ZERO;
            } else {
                let source = Ipv4Addr::new(192, 0, 2, 10 + number as u8);
                models.push(Keepalived::new(source, priority, interval.duration(), !preempt));
            }
        }
        let mut mixed = Mixed {
            now: START,
            host: Host::new(0, START),
            plan,
            holds: vec![false; peers + 1],
            peers: models,
            queue: BinaryHeap::new(),
            order: 0,
            parted: false,
            cache: None,
            two_since: None,
            joined: false,
            none_since: None,
            covered: false,
            sole_since: START,
            was_parted: false,
            lines: Vec::new(),
        };
        let interval = interval.duration();
        mixed.draw(rng, interval);
        (mixed, interval)
    }

    /// All start; then things happen, each long after the one before or shortly.
    fn draw(&mut self, rng: &mut Rng, interval: Duration) {
        let hosts = self.holds.len();
        for host in 0..hosts {
            let at = START + rng.span(Duration::from_millis(1), interval * 6);
            self.at(at, Event::Start(host));
        }
        let mut at = START + interval * 12;
        for _ in 0..rng.between(1, 6) {
            let host = rng.below(hosts as u64) as usize;
            let event = match rng.below(5) {
                0 => Event::Die(host),
                1 | 2 => Event::Stop(host),
                3 => Event::Start(host),
                _ => Event::Part,
            };
            self.at(at, event.clone());
            let lasts = rng.span(interval / 10, interval * 9);
            match event {
                Event::Part => self.at(at + lasts, Event::Heal),
                Event::Die(host) | Event::Stop(host) if rng.chance(70) => self.at(at + lasts, Event::Start(host)),
                _ => {}
            }
            at = at + rng.span(interval / 10, interval * 12);
        }
        self.at(at + interval * 10, Event::Heal);
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, event)));
    }

    fn hear_each_other(&self, one: usize, other: usize) -> bool {
        !self.parted || (one == 0) == (other == 0)
    }

    fn play(&mut self, interval: Duration) -> Result<(), String> {
        let last = self.queue.iter().map(|Reverse((at, _, _))| *at).max().unwrap_or(START);
        // A stop may take ten seconds; whoever comes last waits for its own Active_Down_Interval.
        let end = last + Duration::from_secs(11) + interval * 16;
        let mut at_once = 0;
        while self.now < end {
            let of_agent = self.host.agent.as_ref().and_then(|agent| agent.next_deadline());
            let of_peers = self.peers.iter().filter_map(Keepalived::deadline).min();
            let of_queue = self.queue.peek().map(|Reverse((at, _, _))| *at);
            let next = of_agent.into_iter().chain(of_peers).chain(of_queue).min().unwrap_or(end).max(self.now);
            self.judge(next.min(end), interval)?;
            at_once = if next == self.now { at_once + 1 } else { 0 };
            if at_once > 1_000 {
                return Err(format!("a deadline that does not move: {of_agent:?}"));
            }
            self.now = next;
            if of_queue == Some(next) {
                let Some(Reverse((_, _, event))) = self.queue.pop() else { continue };
                self.happen(event);
            } else if let Some(peer) = self.peers.iter_mut().position(|peer| peer.tick(next)) {
                self.advertise(peer + 1, self.peers[peer].priority);
                if !std::mem::replace(&mut self.holds[peer + 1], true) {
                    self.happen(Event::Announce(peer + 1));
                    self.at(next + Duration::from_secs(5), Event::Announce(peer + 1));
                }
            } else if of_agent.is_some_and(|at| at <= next) {
                self.feed(Input::Tick);
            }
            self.look();
        }
        self.converged()
    }

    fn happen(&mut self, event: Event) {
        if !matches!(event, Event::Advert { .. } | Event::Frame { .. }) {
            self.lines.push(format!("{:10.6} {event:?}", self.now.since(START).as_secs_f64()));
        }
        // What happens next may take the successor away.
        self.covered &= !matches!(event, Event::Stop(_) | Event::Die(_) | Event::Part);
        match event {
            Event::Start(0) if self.host.agent.is_none() => {
                self.host.boot(&self.plan, self.now);
                let facts = self.host.facts(&self.plan);
                self.feed(Input::Interface { name: interface(), facts: Some(facts) });
                self.feed(Input::Tick);
            }
            Event::Stop(0) if self.host.agent.is_some() => {
                self.covered = self.holds[0] && !self.parted && self.is_backed_up();
                self.feed(Input::Stop);
            }
            Event::Die(0) => {
                (self.host.agent, self.holds[0]) = (None, false);
            }
            Event::Start(0) | Event::Stop(0) => {}
            Event::Start(peer) if self.peers[peer - 1].deadline().is_none() => self.peers[peer - 1].start(self.now),
            Event::Start(_) => {}
            Event::Stop(peer) => {
                if self.peers[peer - 1].stop() {
                    self.advertise(peer, 0);
                }
                self.holds[peer] = false;
            }
            Event::Die(peer) => {
                self.peers[peer - 1].stop();
                self.holds[peer] = false;
            }
            Event::Part => (self.parted, self.was_parted) = (true, true),
            Event::Heal => self.parted = false,
            Event::Advert { from, to, packet } => self.hear(from, to, &packet),
            Event::Frame { bytes, from } => {
                if self.hear_each_other(from, 0) {
                    self.feed(Input::Frame { interface: interface(), bytes: &bytes });
                }
            }
            Event::Announce(peer) if self.holds[peer] => {
                self.cache = Some(peer);
                let address = self.plan.routers[0].addresses[0];
                let mac = MacAddr([2, 0, 0, 0, 0, peer as u8]);
                let bytes = announcement::emit(Announcement { address, mac }, false);
                self.at(self.now + DELAY, Event::Frame { from: peer, bytes });
            }
            Event::Announce(_) => {}
        }
    }

    fn is_backed_up(&self) -> bool {
        self.peers.iter().any(|peer| peer.deadline().is_some() && !peer.is_master())
    }

    fn hear(&mut self, from: usize, to: usize, packet: &[u8]) {
        if !self.hear_each_other(from, to) {
            return;
        }
        if to == 0 {
            return self.feed(Input::Packet { interface: interface(), received: self.now, bytes: packet });
        }
        let received = vrrp::parse(packet).expect("a valid advert");
        let IpAddr::V4(source) = received.source else { return };
        let (priority, interval) =
            (received.advertisement.advertised.byte(), received.advertisement.interval.duration());
        let peer = &mut self.peers[to - 1];
        let was_master = peer.is_master();
        if peer.hear(self.now, source, priority, interval) {
            let own = peer.priority;
            self.advertise(to, own);
            if priority > 0 {
                self.happen(Event::Announce(to));
            }
        } else if was_master && !self.peers[to - 1].is_master() {
            self.holds[to] = false;
        }
    }

    fn advertise(&mut self, from: usize, priority: u8) {
        let peer = &self.peers[from - 1];
        let advertisement = Advertisement {
            version: Version::V3,
            vrid: Vrid::new(self.plan.routers[0].vrid).unwrap(),
            advertised: Advertised::from_byte(priority),
            interval: Interval::from_centiseconds((peer.interval.as_millis() / 10) as u16).unwrap(),
            addresses: self.plan.routers[0].addresses.clone(),
        };
        let (source, group) = (IpAddr::V4(peer.source), ip::group(Family::Ipv4));
        let packet = vrrp::emit(&advertisement, source, group, ChecksumForm::PseudoHeader, Proof::None);
        self.send(from, packet.expect("a valid advert"));
    }

    fn send(&mut self, from: usize, packet: Vec<u8>) {
        for to in (0..self.holds.len()).filter(|to| *to != from) {
            self.at(self.now + DELAY, Event::Advert { from, to, packet: packet.clone() });
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        let Some(agent) = self.host.agent.as_mut() else { return };
        let mut effects = Vec::new();
        agent.handle(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::SendAdvert { packet, .. } => self.send(0, packet),
                Effect::AddAddresses { router, additions, .. } => {
                    (self.holds[0], self.cache) = (true, Some(0));
                    for addition in &additions {
                        let bytes = addition.announcement.clone();
                        assert!(announcement::parse(&bytes).is_some());
                    }
                    let outcomes = additions.iter().map(|addition| (addition.address, AddressOutcome::Added));
                    let outcomes = outcomes.collect();
                    self.feed(Input::AddressesAdded { router, outcomes });
                }
                Effect::RemoveAddresses { .. } => self.holds[0] = false,
                Effect::RenewLeases { router, interface, asked, other_kind, .. } => {
                    let outcome = LeaseOutcome::Renewed;
                    self.feed(Input::LeasesRenewed { router, interface, asked, other_kind, outcome });
                }
                Effect::Announce { .. } => self.cache = Some(0),
                Effect::Stopped => self.host.agent = None,
                Effect::Tell(event) => {
                    self.lines.push(format!("{:10.6} h0 {event}", self.now.since(START).as_secs_f64()));
                }
                _ => {}
            }
        }
    }

    /// Notes how the holders stand after something has happened.
    fn look(&mut self) {
        let holders: Vec<usize> = (0..self.holds.len()).filter(|host| self.holds[*host]).collect();
        let pairs = holders.iter().flat_map(|one| holders.iter().map(move |other| (*one, *other)));
        let two = pairs.into_iter().any(|(one, other)| one < other && self.hear_each_other(one, other));
        self.joined = two && (self.joined || holders.len() > 1 && self.two_since.is_none() && self.was_parted);
        self.two_since = if two { self.two_since.or(Some(self.now)) } else { None };
        let alive = self.host.agent.is_some() || self.peers.iter().any(|peer| peer.deadline().is_some());
        self.none_since = if holders.is_empty() && alive { self.none_since.or(Some(self.now)) } else { None };
        if holders.len() != 1 {
            self.sole_since = self.now;
        }
    }

    fn judge(&mut self, until: Instant, interval: Duration) -> Result<(), String> {
        let holders = &self.holds;
        if let Some(since) = self.two_since {
            let allowed = TOGETHER + if self.joined { interval } else { Duration::ZERO };
            if until > since + allowed {
                return Err(format!("two holders for more than {allowed:?}: {holders:?}"));
            }
        }
        // Whoever starts meanwhile waits for an Active_Down_Interval of its own.
        if self.none_since.is_some_and(|since| until > since + interval * 9) {
            return Err("no holder".to_owned());
        }
        if self.covered && !holders.contains(&true) {
            return Err("the address is nowhere although ours left in an orderly way".to_owned());
        }
        if self.host.agent.is_none() || self.parted {
            self.covered = false;
        }
        let sole = holders.iter().filter(|holds| **holds).count() == 1;
        if sole && !self.was_parted && until > self.sole_since + Duration::from_secs(1) {
            let holder = holders.iter().position(|holds| *holds);
            if self.cache != holder {
                return Err(format!("the client believes {:?}, and {holder:?} has it", self.cache));
            }
        }
        Ok(())
    }

    /// One holder, and nobody who preempts has a better right.
    fn converged(&self) -> Result<(), String> {
        let seat = &self.plan.routers[0].seats[0];
        let own = (self.host.agent.is_some(), seat.priority.get(), seat.preempt);
        let others = self.peers.iter().map(|peer| (peer.deadline().is_some(), peer.priority, !peer.nopreempt));
        let all: Vec<(bool, u8, bool)> = std::iter::once(own).chain(others).collect();
        let holders: Vec<usize> = (0..all.len()).filter(|host| self.holds[*host]).collect();
        let alive = all.iter().any(|(alive, ..)| *alive);
        match holders[..] {
            [] if !alive => Ok(()),
            [holder] => {
                match all.iter().position(|(alive, priority, preempt)| *alive && *preempt && *priority > all[holder].1)
                {
                    Some(better) => Err(format!("{holder} holds, and {better} has more right to it: {all:?}")),
                    None => Ok(()),
                }
            }
            _ => Err(format!("{holders:?} hold in the end: {all:?}")),
        }
    }
}

#[test]
fn among_peers_that_behave_like_keepalived() {
    for seed in 0..2_000 {
        let (mut mixed, interval) = Mixed::new(seed);
        if let Err(wrong) = mixed.play(interval) {
            let seat = &mixed.plan.routers[0].seats[0];
            let ours = (seat.priority, seat.preempt);
            let (peers, lines) = (&mixed.peers, mixed.lines.join("\n"));
            panic!("seed {seed}: {wrong} at {}\nours {ours:?}, every {interval:?}, {peers:#?}\n{lines}", mixed.now);
        }
    }
}
