//! The judge: invariants, each kind in a file of its own. It sees what the world sees, and keeps the first wrong.
//!
//! `seat` replays RFC 9568 section 6.4 beside each router and knows when a claim is due. `effects` looks at what an
//! agent asks for, `holders` at who has the addresses, `views` at what clients believe, `calm` at how it all ends.

mod calm;
mod effects;
mod freshness;
mod holders;
mod reference;
mod seat;
mod views;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use locum::proto::Effect;
use locum::report::{Event, Release};
use locum::types::{Family, Instant, IpNet, Version};

use crate::host::router_number;
use crate::scenario::Scenario;
use crate::world::Scene;
use calm::Calm;
use effects::Claims;
use freshness::Freshness;
use holders::Holders;
pub use reference::Compared;
use reference::Reference;
use seat::Seat;
use views::Views;

/// An advert as its receivers understand it.
pub struct Heard {
    pub source: IpAddr,
    pub family: Family,
    pub vrid: u8,
    /// 0 is a resignation.
    pub priority: u8,
    pub interval: Duration,
    pub packet: Vec<u8>,
    /// When it was first sent, and which of all it was.
    pub sent: (Instant, u64),
    /// Whether its sender's clock was ahead then.
    pub ahead: bool,
}

impl Heard {
    /// What of one sender is lost on its own: its virtual router, by family.
    pub fn stream(&self) -> u16 {
        u16::from(self.vrid) + if self.family == Family::Ipv6 { 256 } else { 0 }
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vrid {} priority {} every {:?}", self.source, self.vrid, self.priority, self.interval)
    }
}

/// What an agent was handed.
pub enum Cause<'a> {
    /// With the stamp of its arrival.
    Advert(&'a Heard, Instant),
    /// An advert of this router did not leave.
    Unsent(usize),
    /// What must not move anything.
    Idle,
    Other,
}

pub struct Judge {
    seats: Vec<Vec<Seat>>,
    references: Vec<Vec<Reference>>,
    pub compared: Compared,
    claims: Vec<Claims>,
    freshness: Freshness,
    holders: Holders,
    views: Views,
    calm: Calm,
    wrong: Option<String>,
}

impl Judge {
    pub fn new(plan: &Scenario) -> Self {
        let references = || (0..plan.routers.len()).map(|_| Reference::default()).collect();
        let seats = || (0..plan.routers.len()).map(|_| Seat::default()).collect();
        Judge {
            seats: (0..plan.hosts).map(|_| seats()).collect(),
            references: (0..plan.hosts).map(|_| references()).collect(),
            compared: Compared::default(),
            claims: (0..plan.hosts).map(|_| Claims::default()).collect(),
            freshness: Freshness::default(),
            holders: Holders::new(plan),
            views: Views::default(),
            calm: Calm::default(),
            wrong: None,
        }
    }

    pub fn verdict(&mut self) -> Option<String> {
        self.wrong.take()
    }

    pub fn fail(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }

    fn note(&mut self, result: Result<(), String>) {
        if let Err(wrong) = result {
            self.fail(wrong);
        }
    }

    /// An agent has taken an input in and wants these effects.
    pub fn after(&mut self, scene: &Scene, host: usize, cause: &Cause<'_>, effects: &[Effect]) {
        let mut results = Vec::new();
        for (router, seat) in self.seats[host].iter_mut().enumerate() {
            results.push(seat.after(scene, host, router, cause, effects));
        }
        for (router, reference) in self.references[host].iter_mut().enumerate() {
            results.push(reference.after(scene, (host, router), cause, effects, &mut self.compared));
        }
        // Whoever has slept through its leases notices that first, whatever it is handed.
        let lapses = |effect: &Effect| matches!(effect, Effect::Tell(Event::Released { how: Release::Lapsed, .. }));
        if matches!(cause, Cause::Idle) && !effects.iter().any(lapses) {
            results.push(nothing_moves(host, effects));
        }
        results.push(self.claims[host].after(scene, host, &self.seats[host], effects));
        results.into_iter().for_each(|result| self.note(result));
        self.holders.eligibility_changed(scene, &self.seats);
    }

    /// An agent has taken an authenticated advert for a new one of a peer's, or not.
    pub fn authenticated(&mut self, scene: &mut Scene, at: (usize, usize), heard: &Heard, counts: bool) {
        let before = scene.strangers.len();
        let result = self.freshness.judge(scene, at, heard, counts);
        self.note(result);
        if scene.strangers.len() != before {
            self.addresses_changed(scene);
        }
    }

    /// After everything that happens.
    pub fn watch(&mut self, scene: &Scene) {
        let result = self.holders.watch(scene, &self.seats);
        self.note(result);
    }

    /// Now and then.
    pub fn look(&mut self, scene: &Scene) {
        let mut results = Vec::new();
        for (host, seats) in self.seats.iter().enumerate() {
            for (router, seat) in seats.iter().enumerate() {
                results.push(seat.look(scene, host, router));
                results.push(self.references[host][router].look(scene, host, router));
            }
        }
        results.push(self.holders.look(scene, &self.seats));
        results.push(self.views.look(scene, &self.seats));
        results.push(self.calm.look(scene));
        results.into_iter().for_each(|result| self.note(result));
    }

    /// A kernel's addresses, a link or the LAN changed.
    pub fn addresses_changed(&mut self, scene: &Scene) {
        let result = self.holders.update(scene, &self.seats);
        self.note(result);
        self.views.update(scene, &self.holders, &self.seats);
    }

    pub fn booted(&mut self, scene: &Scene, host: usize) {
        let left = scene.hosts[host].left(&scene.plan);
        for (router, seat) in self.seats[host].iter_mut().enumerate() {
            seat.boot(left.iter().any(|left| router_number(&left.router) == router));
        }
        for (router, reference) in self.references[host].iter_mut().enumerate() {
            reference.boot(left.iter().any(|left| router_number(&left.router) == router));
        }
        self.claims[host] = Claims::left(scene, host);
        self.holders.eligibility_changed(scene, &self.seats);
    }

    /// The power of a host has failed.
    pub fn lost_power(&mut self, host: usize) {
        self.freshness.forget(host);
    }

    /// An agent was killed; its addresses are its kernel's now.
    pub fn killed(&mut self, scene: &Scene, host: usize) {
        self.seats[host].iter_mut().for_each(Seat::kill);
        self.references[host].iter_mut().for_each(Reference::reset);
        self.holders.ended(host);
        self.holders.eligibility_changed(scene, &self.seats);
    }

    /// An agent is no more, be it by power loss or as planned.
    pub fn ended(&mut self, scene: &Scene, host: usize) {
        self.seats[host].iter_mut().for_each(|seat| *seat = Seat::default());
        self.references[host].iter_mut().for_each(Reference::reset);
        let left = scene.hosts[host].addresses.iter().find(|(_, held)| held.ours && !held.stuck);
        if let Some((address, _)) = left {
            self.fail(format!("h{host}: the agent has ended and {address} is still there"));
        }
        self.holders.ended(host);
        self.holders.eligibility_changed(scene, &self.seats);
    }

    /// A kernel has refused an address. Whether it is still wanted, so that the refusal matters.
    pub fn refused(&mut self, host: usize, address: IpNet) -> bool {
        self.claims[host].refused(address)
    }

    /// Something goes wrong, or right again, now.
    pub fn disturbed(&mut self, scene: &Scene) {
        self.holders.disturbed(scene.now);
    }

    /// A host is about to give its addresses up in an orderly way.
    pub fn departs(&mut self, scene: &Scene, host: usize) {
        self.holders.departs(scene, host, &self.seats);
    }

    /// A host has woken after so long.
    pub fn woke(&mut self, host: usize, after: Duration) {
        self.holders.woke(host, after);
    }

    /// A host is about to be told to stop.
    pub fn stops(&mut self, scene: &Scene, host: usize) {
        self.holders.stops(scene, host);
    }
}

/// DESIGN.md, P5.
fn nothing_moves(host: usize, effects: &[Effect]) -> Result<(), String> {
    // Why it stands where it does may be told anew.
    let told = |effect: &&Effect| {
        matches!(effect, Effect::Tell(Event::Reloaded { .. } | Event::ReasonChanged { .. } | Event::ClockSet { .. }))
    };
    match effects.iter().find(|effect| !told(effect)) {
        Some(effect) => Err(format!("h{host}: nothing has changed, and it wants {effect:?}")),
        None => Ok(()),
    }
}

/// Skew_Time (RFC 9568 section 6.1).
pub fn skew_time(version: Version, priority: u8, interval: Duration) -> Duration {
    let unit = match version {
        // Seconds, whatever the interval (RFC 3768 section 6.1).
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    unit * (256 - u32::from(priority)) / 256
}

/// Active_Down_Interval (RFC 9568 section 6.1).
pub fn active_down_interval(version: Version, priority: u8, interval: Duration) -> Duration {
    interval * 3 + skew_time(version, priority, interval)
}
