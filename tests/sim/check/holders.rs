//! Who has each address: not two for longer than the protocol allows, somebody within D, nobody missing
//! during an orderly departure, and a stop that ends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use locum::types::{Instant, Version};

use super::seat::{Seat, State};
use super::{active_down_interval, skew_time};
use crate::scenario::{LOST_IN_A_ROW, RETRY, Scenario};
use crate::world::Scene;

/// Somebody who yields waits at most this long for the winner's announcement (holding.md, rule 7).
const YIELD: Duration = Duration::from_millis(50);
/// Somebody who lingers, this long after the successor's advert (holding.md, rule 7).
const LINGER: Duration = Duration::from_millis(100);
/// The longest wait for a successor (holding.md, rule 7).
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Holders {
    pub addresses: Vec<Watched>,
    /// By host and router.
    eligible_since: Vec<Vec<Option<Instant>>>,
    /// By when a host that was told to stop must have ended.
    stop_by: BTreeMap<usize, Instant>,
    disturbed_at: Option<Instant>,
}

/// One virtual address.
pub struct Watched {
    pub router: usize,
    pub address: IpAddr,
    /// Hosts that have it by their agent's doing, as bits.
    pub holders: u8,
    /// When the holders last changed.
    pub since: Instant,
    overlaps: BTreeMap<(usize, usize), Overlap>,
    /// For each host, since when nobody it is connected with answers for the address.
    bereft_since: Vec<Option<Instant>>,
    /// Until when an orderly departure is under way during which somebody must have it.
    covered: Option<(usize, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Overlap {
    since: Instant,
    /// Both had it before they could hear each other.
    joined: bool,
    lingers: bool,
}

impl Holders {
    pub fn new(plan: &Scenario) -> Self {
        let watched = |(router, address)| Watched {
            router,
            address,
            holders: 0,
            since: crate::scenario::START,
            overlaps: BTreeMap::new(),
            bereft_since: vec![None; plan.hosts],
            covered: None,
        };
        let routers = plan.routers.iter().enumerate();
        let all = routers.flat_map(|(number, router)| router.addresses.iter().map(move |address| (number, *address)));
        Holders {
            addresses: all.map(watched).collect(),
            eligible_since: vec![vec![None; plan.routers.len()]; plan.hosts],
            stop_by: BTreeMap::new(),
            disturbed_at: None,
        }
    }

    pub fn disturbed(&mut self, now: Instant) {
        self.disturbed_at = Some(now);
        for watched in &mut self.addresses {
            watched.covered = None;
        }
    }

    pub fn ended(&mut self, host: usize) {
        self.stop_by.remove(&host);
    }

    pub fn woke(&mut self, host: usize, after: Duration) {
        self.stop_by.entry(host).and_modify(|by| *by = *by + after);
    }

    pub fn eligibility_changed(&mut self, scene: &Scene, _seats: &[Vec<Seat>]) {
        for (host, since) in self.eligible_since.iter_mut().enumerate() {
            for (router, since) in since.iter_mut().enumerate() {
                match (scene.hosts[host].is_eligible(&scene.plan, router, scene.now), &since) {
                    (true, None) => *since = Some(scene.now),
                    (false, Some(_)) => *since = None,
                    (true, Some(_)) | (false, None) => {}
                }
            }
        }
    }

    pub fn stops(&mut self, scene: &Scene, host: usize) {
        let longest =
            (0..scene.plan.routers.len()).map(|router| scene.plan.seat(host, router).interval.duration()).max();
        let patience = active_down_interval(Version::V3, 1, longest.unwrap_or_default()).min(PATIENCE);
        let slack = scene.plan.kernel_slack() + scene.plan.lan_slack();
        self.stop_by.insert(host, scene.now + patience + slack);
    }

    /// From now on, and unless something else happens, whoever follows must have the address before it goes.
    pub fn departs(&mut self, scene: &Scene, host: usize, seats: &[Vec<Seat>]) {
        let now = scene.now;
        for watched in &mut self.addresses {
            let router = watched.router;
            let longest = scene.plan.longest_interval(router);
            let quiet = now - longest * 5;
            let follows = |other: usize| {
                let here = &scene.hosts[other];
                other != host
                    && scene.plan.has_configured(other, watched.address)
                    && self.eligible_since[other][router].is_some_and(|since| since < quiet)
                    && !here.is_unhealthy(&scene.plan)
                    && here.stall.is_none()
                    && !here.was_gagged(now, longest * 5)
                    && matches!(seats[other][router].state, State::Backup { .. })
            };
            let heard = !scene.hosts[host].was_gagged(now, longest * 5);
            let holds = watched.holders == 1 << host && seats[host][router].is_active() && heard;
            let calm = scene.lan.is_clean_since(quiet) && self.disturbed_at.is_none_or(|at| at < quiet || at == now);
            // Where somebody else's address answers, who holds is not for the agents to decide.
            let foreign = scene.plan.foreign_address() == Some(watched.address);
            let refused = scene.hosts.iter().any(|host| host.refuses);
            let interval = scene.plan.seat(host, router).interval.duration();
            let version = scene.plan.routers[router].version;
            let followers = (0..scene.plan.hosts).filter(|other| follows(*other));
            let mut claims: Vec<_> = followers.map(|other| scene.hosts[other].priority(&scene.plan, router)).collect();
            claims.sort_unstable();
            let mut claims = claims.into_iter().rev().map(|priority| skew_time(version, priority, interval));
            // Where several claim at once, those who yield go with the announcement of any of them: a wire does not
            // say whose it is, so an address may be away until the winner's kernel has it.
            let slack = scene.plan.kernel_slack() + scene.plan.lan_slack() * 2;
            let in_turn = match (claims.next(), claims.next()) {
                (Some(first), Some(second)) => second > first + slack,
                (Some(_), None) => true,
                (None, _) => false,
            };
            // Whoever follows may not have it in its configuration.
            let known = (0..scene.plan.hosts).all(|other| scene.plan.seat(other, router).without == 0);
            if holds && calm && !foreign && !refused && in_turn && known {
                watched.covered = Some((host, now + PATIENCE));
            }
        }
    }

    pub fn update(&mut self, scene: &Scene, seats: &[Vec<Seat>]) -> Result<(), String> {
        for watched in &mut self.addresses {
            watched.update(scene, seats)?;
        }
        Ok(())
    }

    /// Cheap enough for every step.
    pub fn watch(&mut self, scene: &Scene, seats: &[Vec<Seat>]) -> Result<(), String> {
        self.addresses.iter_mut().try_for_each(|watched| {
            watched.watch_the_dead(scene)?;
            watched.watch_overlaps(scene, seats)
        })
    }

    pub fn look(&mut self, scene: &Scene, seats: &[Vec<Seat>]) -> Result<(), String> {
        if let Some((host, by)) =
            self.stop_by.iter().find(|(host, by)| scene.now > **by && scene.hosts[**host].stall.is_none())
        {
            return Err(format!("h{host} was to have stopped by {by}"));
        }
        self.eligibility_changed(scene, seats);
        for watched in &self.addresses {
            for host in 0..scene.plan.hosts {
                watched.look_for_holder(scene, host, seats, self.eligible_since[host][watched.router])?;
            }
        }
        Ok(())
    }
}

impl Watched {
    fn update(&mut self, scene: &Scene, seats: &[Vec<Seat>]) -> Result<(), String> {
        let (now, hosts) = (scene.now, scene.plan.hosts);
        let before = self.holders;
        let mask = (0..hosts).filter(|host| scene.hosts[*host].holds(self.address)).map(|host| 1 << host).sum();
        self.holders = mask;
        if mask != before {
            self.since = now;
        }
        for host in 0..hosts {
            let answered = (0..hosts)
                .any(|other| scene.hosts[other].answers(self.address) && (other == host || hears(scene, host, other)));
            self.bereft_since[host] = if answered { None } else { self.bereft_since[host].or(Some(now)) };
        }
        for one in 0..hosts {
            for other in one + 1..hosts {
                let pair = (1u8 << one) | (1 << other);
                if mask & pair == pair && reaches(scene, one, other) {
                    let joined = before & pair == pair;
                    let overlap = Overlap { since: now, joined, lingers: false };
                    self.overlaps.entry((one, other)).or_insert(overlap);
                } else {
                    self.overlaps.remove(&(one, other));
                }
            }
        }
        if let Some((host, until)) = self.covered {
            if mask == 0 && now < until {
                let seat = &seats[host][self.router];
                return Err(format!("{} is nowhere although h{host} left in an orderly way: {seat:?}", self.address));
            }
            if now >= until || (mask & (1 << host) == 0 && mask.count_ones() == 1) {
                self.covered = None;
            }
        }
        Ok(())
    }

    /// The dead and the frozen do not hold: their kernels end what nobody renews (DESIGN.md, P3).
    fn watch_the_dead(&self, scene: &Scene) -> Result<(), String> {
        let longest = lease(scene.plan.longest_interval(self.router)) + scene.plan.kernel_slack();
        let held_on = |since: &Instant| scene.now > *since + longest;
        for (host, here) in scene.hosts.iter().enumerate().filter(|(host, _)| self.holders & (1 << host) != 0) {
            if let Some(since) = here.idle_since().filter(held_on) {
                return Err(format!("{} is still on h{host}, which sleeps or is dead since {since}", self.address));
            }
        }
        Ok(())
    }

    /// Two holders: whoever is to go has heard of the other within one delay of the LAN, and waits for its
    /// announcement: 50 ms (A, if that is less) after it yielded, 100 ms after it resigned. Two that held before they
    /// could hear each other hear at the next advert, so A later. Where adverts get lost, two more of them.
    fn watch_overlaps(&mut self, scene: &Scene, seats: &[Vec<Seat>]) -> Result<(), String> {
        for ((one, other), overlap) in &mut self.overlaps {
            let interval = |host: usize| scene.plan.seat(host, self.router).interval.duration();
            let slower = interval(*one).max(interval(*other));
            // Who stalls or is dead lets go when it wakes or starts, and has heard of the other; or its kernel does before.
            let idle = |host: &usize| scene.hosts[*host].stall.is_some() || scene.hosts[*host].agent.is_none();
            if [*one, *other].iter().any(idle) {
                *overlap = Overlap { since: scene.now, joined: true, ..*overlap };
                continue;
            }
            // What a kernel does not remove goes with its lease.
            let is_stuck =
                |host: &usize| scene.hosts[*host].addresses.get(&self.address).is_some_and(|held| held.stuck);
            // Whose adverts leave only now and then is told apart from the dead by luck alone.
            if [*one, *other].iter().any(|host| is_stuck(host) || scene.hosts[*host].stammers()) {
                *overlap = Overlap { since: scene.now, joined: true, ..*overlap };
                continue;
            }
            // Who is told to stop when it has slept listens first, and waits for whoever it hears as if it had resigned.
            let slept = |host: usize| scene.hosts[host].stopping && scene.hosts[host].woke.is_some();
            let lingers = |host: usize| seats[host][self.router].resigned || slept(host);
            overlap.lingers |= lingers(*one) || lingers(*other);
            let mut allowed = if overlap.lingers { LINGER } else { YIELD.min(slower) };
            if overlap.joined {
                allowed += slower;
            }
            let gagged = [one, other].into_iter().any(|host| scene.hosts[*host].was_gagged(overlap.since, slower * 5));
            if gagged || !scene.lan.is_clean_since(overlap.since - slower * 5) {
                allowed += slower * (LOST_IN_A_ROW + 1);
            }
            // Whose kernel slept too, while the other one claimed, hears the next advert.
            let missed = |host: &usize| {
                scene.hosts[*host].woke.is_some_and(|(stall, at)| stall.deaf && overlap.since < at + slower)
            };
            if !overlap.joined && [*one, *other].iter().any(missed) {
                allowed += slower;
            }
            allowed += scene.plan.kernel_slack() + scene.plan.lan_slack() * 2;
            if scene.now > overlap.since + allowed {
                let (seat, rival) = (&seats[*one][self.router], &seats[*other][self.router]);
                return Err(format!(
                    "{} has two holders for more than {allowed:?}: h{one} {seat:?}, h{other} {rival:?}, {overlap:?}",
                    self.address
                ));
            }
        }
        Ok(())
    }

    /// Some holder: whoever takes part and hears of nobody who is Active claims within its own D.
    fn look_for_holder(
        &self,
        scene: &Scene,
        host: usize,
        seats: &[Vec<Seat>],
        eligible_since: Option<Instant>,
    ) -> Result<(), String> {
        let (Some(bereft), Some(eligible)) = (self.bereft_since[host], eligible_since) else { return Ok(()) };
        if scene.hosts[host].refuses
            || !(0..scene.plan.hosts).all(|host| scene.plan.has_configured(host, self.address))
            || scene.hosts[host].stall.is_some()
            || scene.hosts[host].was_gagged(scene.now, RETRY)
        {
            return Ok(());
        }
        let held_until = scene.hosts[host].held_until.unwrap_or_default();
        let since = bereft.max(eligible).max(held_until).max(seats[host][self.router].heard_at.unwrap_or(bereft));
        let since = scene.hosts.iter().fold(since, |since, host| since.max(host.readdressed_at));
        let priority = scene.hosts[host].priority(&scene.plan, self.router);
        let version = scene.plan.routers[self.router].version;
        let patience = active_down_interval(version, priority, scene.plan.longest_interval(self.router));
        let since = scene.hosts[host].woke.map_or(since, |(_, at)| since.max(at.min(scene.now)));
        // A silence in which it has slept is borne for another interval.
        let slept = scene.hosts[host].woke.is_some_and(|(_, at)| bereft <= at + patience);
        let patience = if slept { patience * 2 } else { patience };
        let allowed = patience + scene.plan.kernel_slack() + scene.plan.lan_slack();
        if scene.now > since + allowed {
            let seat = &seats[host][self.router];
            return Err(format!(
                "{} has no holder and h{host} lets that be for more than {allowed:?}: {seat:?}",
                self.address
            ));
        }
        Ok(())
    }
}

/// How long a kernel keeps an address after its last renewal, at most (holding.md, rule 5).
fn lease(interval: Duration) -> Duration {
    let seconds = (interval * 4).as_nanos().div_ceil(1_000_000_000).max(1);
    Duration::from_secs(seconds as u64) + Duration::from_millis(1050)
}

/// Whether two hosts hear each other, and not just one the other.
fn reaches(scene: &Scene, one: usize, other: usize) -> bool {
    hears(scene, one, other) && hears(scene, other, one)
}

fn hears(scene: &Scene, one: usize, other: usize) -> bool {
    !scene.strangers.contains(&(one, other))
        && scene.lan.connects(other, one)
        && scene.hosts[one].link
        && scene.hosts[other].link
}
