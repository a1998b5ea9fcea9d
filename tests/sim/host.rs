//! One host: its agent, its kernel's addresses, the queue in front of the kernel, its link and its check.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use locum::config::{AuthConfig, AuthMode, Config, RouterConfig, WhenUnhealthy};
use locum::proto::{Addition, Agent};
use locum::report::WallClock;
use locum::types::{
    AddressOutcome, CheckName, CheckSpec, ChecksumForm, Family, Instant, InterfaceFacts, InterfaceName, IpNet, KeyId,
    LeftAddress, Lifetime, MacAddr, MarkedAddress, RouterName, RouterRecord, Secret, VirtualAddress, Vrid,
};

use crate::scenario::Scenario;

pub const INTERFACE: &str = "eth0";
pub const INDEX: u32 = 2;
const KEY: &str = "of all hosts, thirty-two or longer";
/// By how many nanoseconds a clock that is off by a second is off: no step of a clock hits the grid of the adverts, whose
/// numbers would then be those of earlier ones.
const OFF: i64 = 1_000_017_003;

pub struct Host {
    pub id: usize,
    pub mac: MacAddr,
    /// None while the power or the agent is off.
    pub agent: Option<Agent>,
    /// Counts boots: what was under way for an earlier life is void.
    pub life: u32,
    pub powered: bool,
    pub link: bool,
    /// Until when it could not hear for sure: its link had come up, and no frame had come since.
    pub held_until: Option<Instant>,
    /// What is happening has ended that.
    pub freed: bool,
    pub addresses: BTreeMap<IpAddr, Held>,
    /// What the agent keeps for a successor of its process, by family and VRID. Lost with the power.
    pub records: BTreeMap<(Family, u8), RouterRecord>,
    /// The addresses that bore our mark when they were last listed.
    pub marked: Vec<MarkedAddress>,
    /// Adverts that each router has counted, where they are authenticated.
    adverts_received: BTreeMap<usize, u64>,
    /// When the queue in front of the kernel is empty.
    pub kernel_free_at: Instant,
    pub outcomes: VecDeque<(RouterName, IpNet, AddressOutcome)>,
    /// When the last advert of each router left, if only for one of its peers.
    pub left_at: BTreeMap<usize, Instant>,
    /// What the worker in front of the kernel has found there when it was to add it.
    pub spared: BTreeSet<IpAddr>,
    pub refuses: bool,
    /// The kernel has no memory for removals either.
    pub keeps: bool,
    /// It had none for one, so that an address of ours is taken for somebody else's until its lease ends.
    pub kept: bool,
    /// By how many seconds its wall clock is off.
    pub clock_off: i64,
    /// Adverts that do not leave, in percent.
    pub gag: u64,
    /// Since when adverts do not leave, and when that was over the last time.
    pub gagged_since: Option<Instant>,
    pub ungagged_at: Instant,
    pub booted_at: Instant,
    /// When an advert interval was last configured anew.
    pub reloaded_at: Instant,
    /// When addresses last came into its configuration or left it.
    pub readdressed_at: Instant,
    /// Until when each router stays out since an address was refused, by its kernel or by whoever has it too.
    pub refused_until: BTreeMap<usize, Instant>,
    pub stopping: bool,
    pub boot_after_stop: bool,
    pub wake_at: Option<Instant>,
    pub check: Check,
    pub stall: Option<Stall>,
    /// When its agent was killed, until there is another one.
    pub killed_at: Option<Instant>,
    /// The last stall that is over, and when it was.
    pub woke: Option<(Stall, Instant)>,
}

/// A time in which nothing runs on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    pub since: Instant,
    /// The whole machine: its kernel hears nothing either.
    pub deaf: bool,
    /// Whether a packet came in meanwhile.
    pub heard: bool,
    /// When the stall before it ended.
    pub before: Option<Instant>,
}

/// An address on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub prefix: u8,
    pub ours: bool,
    pub renewed_at: Instant,
    /// When its lease ends, if it has one.
    pub until: Option<Instant>,
    /// Its removal has failed.
    pub stuck: bool,
}

/// What the check would say, and the verdict that its results add up to.
#[derive(Debug, Default)]
pub struct Check {
    pub sick: bool,
    pub healthy: Option<bool>,
    against: u32,
}

/// One thing for the kernel to do.
#[derive(Debug)]
pub enum Job {
    Add {
        router: RouterName,
        addition: Addition,
        last: bool,
        lifetime: Option<Lifetime>,
        until: Instant,
        again: bool,
    },
    Renew {
        router: usize,
        leases: Vec<IpNet>,
        lifetime: Option<Lifetime>,
        asked: (Instant, bool),
        until: Option<Instant>,
    },
    Remove(Vec<IpNet>),
    /// Until when.
    Announce(Vec<Vec<u8>>, Instant),
}

impl Host {
    pub fn new(id: usize, now: Instant) -> Self {
        Host {
            id,
            mac: MacAddr([2, 0, 0, 0, 0, id as u8]),
            agent: None,
            life: 0,
            powered: false,
            link: true,
            held_until: None,
            freed: false,
            addresses: BTreeMap::new(),
            records: BTreeMap::new(),
            marked: Vec::new(),
            adverts_received: BTreeMap::new(),
            kernel_free_at: now,
            outcomes: VecDeque::new(),
            left_at: BTreeMap::new(),
            spared: BTreeSet::new(),
            refuses: false,
            keeps: false,
            kept: false,
            clock_off: 0,
            gag: 0,
            gagged_since: None,
            ungagged_at: Instant::default(),
            booted_at: Instant::default(),
            reloaded_at: Instant::default(),
            readdressed_at: Instant::default(),
            refused_until: BTreeMap::new(),
            stopping: false,
            boot_after_stop: false,
            wake_at: None,
            check: Check::default(),
            stall: None,
            killed_at: None,
            woke: None,
        }
    }

    /// The power fails: everything that lives in memory is gone.
    pub fn crash(&mut self) {
        self.life += 1;
        self.powered = false;
        // Set right before the agent starts again.
        self.clock_off = 0;
        self.addresses.clear();
        self.records.clear();
        self.killed_at = None;
        self.end();
    }

    /// The agent is killed: its addresses stay for as long as their leases last.
    pub fn kill(&mut self, now: Instant) {
        self.life += 1;
        self.end();
        self.killed_at = Some(now);
    }

    /// Since when nobody has renewed a lease here: it sleeps, or its agent was killed.
    pub fn idle_since(&self) -> Option<Instant> {
        self.killed_at.or_else(|| self.stall.map(|stall| stall.since))
    }

    /// What an earlier process of ours has left here.
    pub fn left(&self, plan: &Scenario) -> Vec<LeftAddress> {
        let left = |(address, held): (&IpAddr, &Held)| LeftAddress {
            router: router_name(plan.router_of(*address)),
            interface: interface(),
            index: INDEX,
            net: IpNet::new_assert(*address, held.prefix),
        };
        self.addresses.iter().filter(|(_, held)| held.ours).map(left).collect()
    }

    /// Whether peers are sure to be still waiting for an advert of a router that a record is of: for three intervals, of
    /// which a quarter of one is kept (holding.md, rule 1).
    pub fn is_awaited(record: &RouterRecord, now: Instant) -> bool {
        record.sent_at.is_some_and(|at| now.since(at) < record.interval.duration() * 11 / 4)
    }

    /// The agent has ended.
    pub fn end(&mut self) {
        self.agent = None;
        self.adverts_received.clear();
        self.left_at.clear();
        self.spared.clear();
        self.outcomes.clear();
        self.refused_until.clear();
        self.held_until = None;
        (self.stall, self.woke) = (None, None);
        self.stopping = false;
        self.boot_after_stop = false;
        self.wake_at = None;
        self.check.healthy = None;
        self.check.against = 0;
    }

    /// Somebody else's frame reaches it: if its link was held back, it no longer is.
    pub fn hears_frames(&mut self, now: Instant) {
        self.freed = self.held_until.is_some_and(|until| until > now);
        self.held_until = self.held_until.map(|until| until.min(now));
    }

    pub fn boot(&mut self, plan: &Scenario, now: Instant) {
        self.life += 1;
        self.booted_at = now;
        self.killed_at = None;
        self.kernel_free_at = now;
        if !self.powered {
            self.powered = true;
            if let Some((host, router, address)) = plan.foreign.filter(|(host, _, _)| *host == self.id) {
                debug_assert_eq!(host, self.id);
                self.addresses.insert(
                    plan.routers[router].addresses[address],
                    Held {
                        prefix: prefix(plan.routers[router].addresses[address]),
                        ours: false,
                        renewed_at: now,
                        until: None,
                        stuck: false,
                    },
                );
            }
        }
        let mark = |(address, held): (&IpAddr, &Held)| MarkedAddress {
            net: IpNet::new_assert(*address, held.prefix),
            left: held.until.map(|until| Duration::from_secs(until.since(now).as_secs())),
            renewed_at: held.renewed_at,
        };
        let marked = self.addresses.iter().filter(|(_, held)| held.ours && plan.marks);
        self.marked = marked.map(mark).collect();
        // Verdicts of a router that goes on stand until there are others.
        let recalled = self.records.values().filter(|record| Self::is_awaited(record, now));
        self.check.healthy = recalled.filter_map(|record| record.verdicts.get(&check_name()).copied()).next();
        self.agent = Some(Agent::new(self.config(plan), now));
    }

    pub fn facts(&self, plan: &Scenario) -> InterfaceFacts {
        let held = self.addresses.iter().map(|(address, held)| IpNet::new_assert(*address, held.prefix));
        let addresses = own_nets(self.id).into_iter().chain(held).collect();
        InterfaceFacts {
            index: INDEX,
            up: self.link,
            running: self.link,
            mac: Some(self.mac),
            addresses,
            marked: self.marked.iter().filter(|marked| self.has(marked.net)).cloned().collect(),
            promote_secondaries: plan.promote_secondaries,
            forwards_ipv6: false,
            mtu: 1500,
        }
    }

    /// The other hosts, where adverts go to each by itself.
    pub fn unicast_peers(&self, plan: &Scenario, family: Family) -> Vec<IpAddr> {
        let others = (0..plan.hosts).filter(|other| *other != self.id && plan.unicast);
        others.map(|other| source(other, family)).collect()
    }

    pub fn config(&self, plan: &Scenario) -> Config {
        let router = |number: usize| {
            let (router, seat) = (&plan.routers[number], plan.seat(self.id, number));
            let family = router.family;
            let configured = || router.addresses.iter().filter(|address| plan.has_configured(self.id, **address));
            let address = |address: &IpAddr| VirtualAddress {
                net: IpNet::new_assert(*address, prefix(*address)),
                interface: interface(),
            };
            let config = RouterConfig {
                interface: interface(),
                vrid: Vrid::new(router.vrid).unwrap(),
                priority: seat.priority,
                version: router.version,
                family,
                advertised: configured().copied().filter(|address| Family::of(*address) == family).collect(),
                source: plan.unicast.then_some(source(self.id, family)),
                unicast_peers: self.unicast_peers(plan, family),
                checksum: ChecksumForm::PseudoHeader,
                password: None,
                addresses: configured().map(address).collect(),
                advert_interval: seat.interval,
                preempt: seat.preempt,
                preempt_delay: seat.preempt_delay,
                lease: true,
                start_delay: Duration::ZERO,
                link_debounce: Duration::ZERO,
                checks: plan.checks[self.id].iter().map(|_| check_name()).collect(),
                track_interfaces: Vec::new(),
                when_unhealthy: seat.when_unhealthy,
                auth: router.authenticated.then(auth),
            };
            (router_name(number), config)
        };
        let spec = |check: &crate::scenario::CheckPlan| CheckSpec {
            name: check_name(),
            script: vec!["/bin/true".to_owned()],
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: check.rise,
            fall: check.fall,
            weight: check.weight,
            user: None,
        };
        Config {
            node: format!("h{}", self.id),
            realtime: false,
            routers: (0..plan.routers.len()).map(router).collect(),
            checks: plan.checks[self.id].iter().map(|check| (check_name(), spec(check))).collect(),
            secrets: BTreeMap::from([(key_file(), Secret::parse(KEY.as_bytes()).unwrap())]),
        }
    }

    /// Takes in the result of one run, as the rule of rise and fall says.
    pub fn run_check(&mut self, plan: &Scenario) {
        let Some(check) = plan.checks[self.id] else { return };
        let ok = !self.check.sick;
        let needed = if ok { check.rise } else { check.fall };
        self.check.against = if self.check.healthy == Some(ok) { 0 } else { self.check.against + 1 };
        if self.check.healthy.is_none() || self.check.against >= needed {
            self.check.healthy = Some(ok);
            self.check.against = 0;
        }
    }

    fn fails(&self, plan: &Scenario, weighted: bool) -> bool {
        let Some(check) = plan.checks[self.id] else { return false };
        check.weight.is_some() == weighted && self.check.healthy == Some(false)
    }

    /// Whether an unweighted check says no.
    pub fn is_unhealthy(&self, plan: &Scenario) -> bool {
        self.fails(plan, false)
    }

    /// The priority a router has to take part with now.
    pub fn priority(&self, plan: &Scenario, router: usize) -> u8 {
        let base = plan.seat(self.id, router).priority.get();
        let weight = match (plan.checks[self.id].and_then(|check| check.weight), self.check.healthy) {
            (Some(weight), Some(true)) => i32::from(weight.max(0)),
            (Some(weight), Some(false)) => i32::from(weight.min(0)),
            (None, _) | (_, None) => 0,
        };
        match base {
            _ if self.is_unhealthy(plan) => 1,
            255 => 255,
            _ => (i32::from(base) + weight).clamp(1, 254) as u8,
        }
    }

    /// Whether a router is to take part in its election now.
    pub fn is_eligible(&self, plan: &Scenario, router: usize, now: Instant) -> bool {
        let waits = plan.checks[self.id].is_some() && self.check.healthy.is_none();
        let refused = self.refused_until.get(&router).is_some_and(|until| now < *until);
        let released = self.is_unhealthy(plan) && plan.seat(self.id, router).when_unhealthy == WhenUnhealthy::Release;
        self.agent.is_some() && !self.stopping && self.link && !waits && !refused && !released
    }

    /// What its wall clock shows at a time: on 2026-11-21, unless it is off.
    pub fn unix_nanos(&self, at: Instant) -> u64 {
        (1_795_200_000_000_000_000 + at.as_nanos()).saturating_add_signed(self.clock_off * OFF)
    }

    /// Whether the agent says that it has taken another advert in.
    pub fn counts_another_advert(&mut self, router: usize, at: Instant) -> bool {
        let Some(agent) = &self.agent else { return false };
        let status = agent.snapshot(WallClock { at, unix_nanos: 0 });
        let name = router_name(router);
        let received = status.routers.get(name.as_str()).map_or(0, |router| router.counters.adverts_received);
        let before = self.adverts_received.insert(router, received).unwrap_or_default();
        received > before
    }

    fn has(&self, net: IpNet) -> bool {
        self.addresses.iter().any(|(address, held)| *address == net.addr() && held.prefix == net.prefix_len())
    }

    /// Whether its adverts leave only now and then.
    pub fn stammers(&self) -> bool {
        (1..100).contains(&self.gag)
    }

    /// Whether adverts did not leave it some time in this span until now.
    pub fn was_gagged(&self, now: Instant, span: Duration) -> bool {
        self.gagged_since.is_some() || now < self.ungagged_at + span
    }

    /// Whether the LAN finds this address here, by the agent's doing.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.answers(address) && self.addresses.get(&address).is_some_and(|held| held.ours)
    }

    /// Whether the LAN finds this address here.
    pub fn answers(&self, address: IpAddr) -> bool {
        self.powered && self.link && self.addresses.contains_key(&address)
    }
}

/// Where adverts of a family come from: in IPv6 the link-local address (RFC 9568 section 5.1.2.1).
pub fn source(host: usize, family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(192, 0, 2, 10 + host as u8).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10 + host as u16).into(),
    }
}

/// A host's own addresses, which nobody moves.
pub fn own_nets(host: usize) -> [IpNet; 3] {
    let global: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10 + host as u16).into();
    [source(host, Family::Ipv4), source(host, Family::Ipv6), global].map(|own| IpNet::new_assert(own, prefix(own)))
}

/// The prefix length of every subnet.
pub fn prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

fn auth() -> AuthConfig {
    let key = KeyId::new(7).unwrap();
    AuthConfig { mode: AuthMode::Enforce, active_key: key, keys: BTreeMap::from([(key, key_file())]) }
}

fn key_file() -> PathBuf {
    "/key".into()
}

pub fn interface() -> InterfaceName {
    INTERFACE.parse().unwrap()
}

pub fn router_name(number: usize) -> RouterName {
    format!("r{number}").parse().unwrap()
}

pub fn router_number(name: &RouterName) -> usize {
    name.as_str()[1..].parse().unwrap()
}

pub fn check_name() -> CheckName {
    "app".parse().unwrap()
}
