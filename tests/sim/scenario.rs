//! What one seed draws: who takes part with which settings, what the LAN is like, and what goes wrong when.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use locum::config::WhenUnhealthy;
use locum::types::{Family, Instant, Interval, Priority, Version};

use crate::check::Heard;
use crate::lan::OneWay;
use crate::rng::Rng;

pub const START: Instant = Instant::from_nanos(1_000_000_000_000);
/// When a degraded router resigns anew (holding.md, rule 8).
pub const RESIGN_AGAIN: Duration = Duration::from_secs(30);
/// How long a router stays out whose address the kernel refused.
pub const RETRY: Duration = Duration::from_secs(10);
/// How long a host whose link has come up waits for frames.
pub const LINK_HOLD: Duration = Duration::from_secs(10);
/// Packets of one sender that one receiver misses in a row, at most: a third would be a loss of the sender.
pub const LOST_IN_A_ROW: u32 = 2;

#[derive(Clone, PartialEq)]
pub struct Scenario {
    pub seed: u64,
    pub hosts: usize,
    /// Hosts that are never switched on, as bits: none is drawn so.
    pub absent: u8,
    pub routers: Vec<RouterPlan>,
    /// Whether each host has the check, and its weight.
    pub checks: Vec<Option<CheckPlan>>,
    pub promote_secondaries: bool,
    /// Whether changes of addresses come back as facts.
    pub facts_echo: bool,
    /// Whether adverts go to each peer instead of the group.
    pub unicast: bool,
    /// Whether the kernel keeps marks of addresses.
    pub marks: bool,
    pub lan: LanPlan,
    pub kernel: KernelPlan,
    /// The longest advert interval that a configuration ever has.
    pub slowest: Interval,
    /// A wake-up comes at most this late.
    pub late: Duration,
    pub faults: Vec<(Instant, Fault)>,
    /// From here on nothing goes wrong.
    pub calm_at: Instant,
    /// From here on nothing may change any more.
    pub settled_at: Instant,
    pub end: Instant,
    /// An address that an administrator has set on a host: host, router, number of the address.
    pub foreign: Option<(usize, usize, usize)>,
}

#[derive(Clone, PartialEq)]
pub struct RouterPlan {
    pub vrid: u8,
    pub version: Version,
    /// Of its adverts; the first address is of this family, others need not be.
    pub family: Family,
    pub authenticated: bool,
    pub addresses: Vec<IpAddr>,
    pub seats: Vec<SeatPlan>,
}

/// One host's part in one virtual router.
#[derive(Clone, Copy, PartialEq)]
pub struct SeatPlan {
    pub priority: Priority,
    pub interval: Interval,
    pub preempt: bool,
    pub preempt_delay: Duration,
    pub when_unhealthy: WhenUnhealthy,
    /// Addresses that it does not have configured for the time being, as bits.
    pub without: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckPlan {
    pub weight: Option<i16>,
    pub rise: u32,
    pub fall: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LanPlan {
    pub delay_min: Duration,
    pub delay_max: Duration,
    /// Between the kernel's stamp of a packet and the agent's reading it.
    pub read_lag: Duration,
    pub duplicate_lag: Duration,
    /// A host whose link has come up hears a frame of somebody else within this; `None`: only adverts.
    pub frames_within: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct KernelPlan {
    pub add_min: Duration,
    pub add_max: Duration,
    pub remove_max: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Power loss.
    Crash(usize),
    /// Power is back; also ends a planned stop.
    Boot(usize),
    /// The agent is killed; the host lives on.
    Kill(usize),
    /// The agent ends as if killed, of itself (SIGUSR1).
    Leave(usize),
    Stop(usize),
    CheckFails(usize),
    CheckRecovers(usize),
    LinkDown(usize),
    LinkUp(usize),
    /// So many adverts in a hundred do not leave: a firewall drops them, or there is no buffer, and that is said.
    Gag(usize, u64),
    Ungag(usize),
    /// The kernel refuses new addresses.
    RefuseAddresses(usize),
    AcceptAddresses(usize),
    /// The kernel cannot remove addresses.
    KeepAddresses(usize),
    ReleaseAddresses(usize),
    /// Hosts whose bit is set are cut off from the others.
    Partition(u8),
    Heal,
    /// Loss and duplication, in percent.
    Dirty(u64, u64),
    Clean,
    /// Loss between some in one direction.
    Worsen(OneWay),
    Mend,
    /// The agent takes its configuration over again.
    Reload(usize, Change),
    /// Nothing runs on a host until it wakes; in the second kind its kernel hears nothing either.
    Stall(usize, bool),
    Wake(usize),
    /// The wall clock of a host is set, and is off by so many seconds then.
    SetClock(usize, i64),
    /// Somebody sends again what was on the LAN: the advert so many before the last one.
    Replay(usize),
}

/// What has changed in a configuration that is taken over again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// The priority of a virtual router.
    Priority(usize, Priority),
    /// Its Preempt_Mode.
    Preempt(usize, bool),
    /// Its advert interval.
    Interval(usize, Interval),
    /// Its addresses: all but those whose bit is set.
    Addresses(usize, u8),
}

impl Scenario {
    pub fn draw(seed: u64) -> Self {
        let rng = &mut Rng::new(seed ^ 0x10c0_0000_0000_0000);
        let hosts = rng.pick(&[2, 2, 2, 3, 3, 4, 5]);
        let base = interval(rng);
        let count = if rng.chance(35) { 2 } else { 1 };
        let style = Style::draw(rng);
        let mut routers: Vec<RouterPlan> = (0..count).map(|number| router(rng, number, hosts, base, &style)).collect();
        if let [one, other] = &mut routers[..]
            && one.family != other.family
            && rng.chance(50)
        {
            other.vrid = one.vrid;
        }
        let seats = || routers.iter().flat_map(|router| router.seats.iter());
        let shortest = seats().map(|seat| seat.interval.duration()).min().unwrap_or_default();
        let slowest = seats().map(|seat| seat.interval).max().unwrap_or(base);
        let slower = Interval::from_centiseconds((slowest.centiseconds() * rng.between(1, 3) as u16).min(500));
        let slowest = if rng.chance(25) { slower.unwrap_or(slowest).max(slowest) } else { slowest };
        let longest = slowest.duration();
        let delay = seats().map(|seat| seat.preempt_delay).max().unwrap_or_default();
        let checks = (0..hosts).map(|_| check(rng)).collect();
        // Room for everything that is still under way when calm comes: an agent that waits to try again, one
        // that stays degraded until it resigns anew, a preempt_delay after each, and the elections themselves.
        let settle = RESIGN_AGAIN + RETRY + longest * 5 + delay * 2 + longest * 16 + Duration::from_secs(2);
        let watch = longest * 8 + Duration::from_secs(7);
        let faulty = (shortest * 300).clamp(Duration::from_secs(18), Duration::from_secs(300));
        let faulty = rng.span(faulty * 2 / 3, faulty);
        let calm_at = START + faulty;
        let settled_at = calm_at + settle;
        // Latencies of a LAN and a kernel that suit the interval: others are stalls.
        let step = |most: u64, part: u32| Duration::from_micros(most).min(shortest / part);
        let jitter = rng.chance(50);
        let mut scenario = Scenario {
            seed,
            hosts,
            absent: 0,
            checks,
            promote_secondaries: rng.chance(50),
            facts_echo: rng.chance(50),
            marks: rng.chance(70),
            unicast: rng.chance(20),
            lan: LanPlan {
                delay_min: step(50, 100),
                delay_max: if jitter { step(2_000, 20) } else { step(100, 50) },
                read_lag: if rng.chance(30) { step(1_000, 40) } else { Duration::ZERO },
                duplicate_lag: step(5_000, 8),
                frames_within: rng.pick(&[None, Some(Duration::from_millis(1)), Some(Duration::from_secs(3))]),
            },
            kernel: KernelPlan {
                add_min: Duration::from_micros(50),
                add_max: step(5_000, 8),
                remove_max: if rng.chance(50) { step(5_000, 8) } else { Duration::ZERO },
            },
            slowest,
            late: step(300, 200),
            faults: Vec::new(),
            calm_at,
            settled_at,
            end: settled_at + watch,
            foreign: rng.chance(10).then(|| (rng.below(hosts as u64) as usize, 0, 0)),
            routers,
        };
        scenario.faults = scenario.draw_faults(rng, faulty, [shortest, longest]);
        scenario
    }

    /// Each fault begins and ends somewhere in the faulty phase; a few last.
    fn draw_faults(
        &self,
        rng: &mut Rng,
        faulty: Duration,
        [shortest, longest]: [Duration; 2],
    ) -> Vec<(Instant, Fault)> {
        let mut faults: Vec<(Instant, Fault)> = Vec::new();
        let mut dead_for_good = 0;
        let longest_lease = longest * 4 + Duration::from_millis(2_100);
        for _ in 0..rng.between(2, 9) {
            let host = rng.below(self.hosts as u64) as usize;
            let (begin, end) = match rng.below(25) {
                23 | 24 => (Fault::KeepAddresses(host), Fault::ReleaseAddresses(host)),
                19 | 20 => (self.draw_clock(rng, host), Fault::SetClock(host, 0)),
                21 => (Fault::Replay(rng.between(0, 40) as usize), Fault::Replay(rng.between(0, 200) as usize)),
                22 => self.draw_other_addresses(rng, host),
                14 | 15 => (Fault::Kill(host), Fault::Boot(host)),
                16 => (Fault::Leave(host), Fault::Boot(host)),
                17 => (Fault::Stall(host, rng.chance(50)), Fault::Wake(host)),
                18 => (Fault::Gag(host, rng.pick(&[100, 100, 1])), Fault::Ungag(host)),
                0 | 1 => (Fault::Crash(host), Fault::Boot(host)),
                2 => (Fault::Stop(host), Fault::Boot(host)),
                3 => (Fault::CheckFails(host), Fault::CheckRecovers(host)),
                4 => (Fault::LinkDown(host), Fault::LinkUp(host)),
                5 if rng.chance(60) => (Fault::RefuseAddresses(host), Fault::AcceptAddresses(host)),
                5 | 6 => (Fault::Partition(rng.between(1, (1 << self.hosts) - 2) as u8), Fault::Heal),
                7 => (self.draw_one_way(rng), Fault::Mend),
                8 => (self.draw_reload(rng, host), self.draw_reload(rng, host)),
                10 | 11 => (Fault::Stall(host, rng.chance(50)), Fault::Wake(host)),
                9 => (self.draw_clock(rng, host), Fault::SetClock(host, 0)),
                _ => (Fault::Dirty(rng.between(1, 40), rng.between(0, 20)), Fault::Clean),
            };
            let longest_fault = (longest * 15).min(faulty / 2);
            let at = START + rng.span(Duration::from_micros(1), faulty);
            let mut until = at + rng.span(longest / 8, longest_fault);
            if let Fault::Kill(_) | Fault::Leave(_) = begin {
                // While its peers wait for it, when they have just given up on it, and when its leases are over.
                until = match rng.below(4) {
                    0 | 1 => at + rng.span(Duration::from_millis(5), shortest * 3),
                    2 => at + rng.span(shortest * 2, longest_lease),
                    _ => until.max(at + longest_lease),
                };
            }
            if let Fault::Stall(..) = begin {
                until = match rng.below(3) {
                    0 => until.min(at + shortest * 19 / 10),
                    1 => at + rng.span(shortest * 2, shortest * 5),
                    _ => at + rng.span(shortest * 3, longest_lease * 2),
                };
            }
            faults.push((at, begin));
            let lasts = match begin {
                Fault::Crash(_) | Fault::Stop(_) | Fault::Kill(_) | Fault::Leave(_) => {
                    let lasts = rng.chance(15) && dead_for_good + 1 < self.hosts;
                    dead_for_good += usize::from(lasts);
                    lasts
                }
                Fault::CheckFails(_) => rng.chance(40),
                _ => false,
            };
            match (lasts, until < self.calm_at) {
                (true, _) => {}
                (false, true) => faults.push((until, end)),
                (false, false) => faults.push((self.calm_at, end)),
            }
        }
        faults.sort_by_key(|(at, _)| *at);
        faults
    }

    fn draw_one_way(&self, rng: &mut Rng) -> Fault {
        let some = |rng: &mut Rng| rng.between(1, (1 << self.hosts) - 1) as u8;
        Fault::Worsen(OneWay { from: some(rng), to: some(rng), percent: rng.pick(&[100, 100, 20, 50]) })
    }

    fn draw_reload(&self, rng: &mut Rng, host: usize) -> Fault {
        let router = rng.below(self.routers.len() as u64) as usize;
        let change = match rng.below(4) {
            0 => Change::Nothing,
            // Whose intervals differ do not hear each other (RFC 3768 section 7.1).
            3 if self.routers[router].version == Version::V2 => Change::Nothing,
            3 => Change::Interval(router, self.other_interval(rng, router, host)),
            1 => Change::Preempt(router, rng.chance(50)),
            _ if self.seat(host, router).priority.is_owner() => Change::Nothing,
            _ => Change::Priority(router, Priority::new(rng.between(1, 254) as u8).unwrap_or(Priority::DEFAULT)),
        };
        Fault::Reload(host, change)
    }

    /// Up to three times as slow.
    fn other_interval(&self, rng: &mut Rng, router: usize, host: usize) -> Interval {
        let own = self.routers[router].seats[host].interval;
        let slower = Interval::from_centiseconds(own.centiseconds() * rng.between(1, 3) as u16);
        slower.unwrap_or(own).min(self.slowest)
    }

    fn draw_clock(&self, rng: &mut Rng, host: usize) -> Fault {
        let seconds = rng.pick(&[1, 3, 7, 20, 60, 600, 3_600, 18_000, 400_000_000]);
        Fault::SetClock(host, if rng.chance(50) { seconds } else { -seconds })
    }

    /// Some addresses leave the configuration of a host, and come back. The first one stays.
    fn draw_other_addresses(&self, rng: &mut Rng, host: usize) -> (Fault, Fault) {
        let router = rng.below(self.routers.len() as u64) as usize;
        let without = rng.between(1, 3) as u8 * 2;
        (Fault::Reload(host, Change::Addresses(router, without)), Fault::Reload(host, Change::Addresses(router, 0)))
    }

    pub fn seat(&self, host: usize, router: usize) -> &SeatPlan {
        &self.routers[router].seats[host]
    }

    /// Whether a host has an address in its configuration now.
    pub fn has_configured(&self, host: usize, address: IpAddr) -> bool {
        let router = &self.routers[self.router_of(address)];
        let number = router.addresses.iter().position(|other| *other == address);
        number.is_some_and(|number| (router.seats[host].without >> number) & 1 == 0)
    }

    /// The address that somebody else has set on one of the hosts.
    pub fn foreign_address(&self) -> Option<IpAddr> {
        self.foreign.map(|(_, router, number)| self.routers[router].addresses[number])
    }

    /// The virtual router that an address belongs to.
    pub fn router_of(&self, address: IpAddr) -> usize {
        self.routers.iter().position(|router| router.addresses.contains(&address)).expect("an address of the plan")
    }

    /// The longest advert interval of a virtual router.
    pub fn longest_interval(&self, router: usize) -> Duration {
        let seats = || self.routers[router].seats.iter().map(|seat| seat.interval.duration());
        let changes = |fault: &Fault| match fault {
            Fault::Reload(_, Change::Interval(of, interval)) if *of == router => Some(interval.duration()),
            _ => None,
        };
        let ever = self.faults.iter().filter_map(|(_, fault)| changes(fault));
        seats().chain(ever).max().unwrap_or_default()
    }

    /// The kernel's longest way through a queue of one host: all addresses come and go, twice.
    pub fn kernel_slack(&self) -> Duration {
        let addresses: usize = self.routers.iter().map(|router| router.addresses.len()).sum();
        (self.kernel.add_max + self.kernel.remove_max) * (addresses as u32 * 2)
    }

    /// From a decision here to its consequence there, without the kernel.
    pub fn lan_slack(&self) -> Duration {
        (self.lan.delay_max + self.lan.read_lag + self.late) * 2 + Duration::from_micros(100)
    }
}

impl RouterPlan {
    /// Whether an advert is one of this virtual router: each family has its own (RFC 9568 section 5.2.3).
    pub fn is_of(&self, heard: &Heard) -> bool {
        (self.vrid, self.family) == (heard.vrid, heard.family)
    }
}

/// Traits that the virtual routers of a scenario share, so that whole scenarios are of a kind.
struct Style {
    equal_priorities: bool,
    high_priorities: bool,
    mixed_intervals: bool,
    preempt_percent: u64,
    delays: bool,
    hold_percent: u64,
    owner: bool,
    authenticated_percent: u64,
}

impl Style {
    fn draw(rng: &mut Rng) -> Self {
        Style {
            equal_priorities: rng.chance(25),
            high_priorities: rng.chance(20),
            mixed_intervals: rng.chance(25),
            preempt_percent: rng.pick(&[0, 50, 100, 100]),
            delays: rng.chance(25),
            hold_percent: rng.pick(&[0, 50, 100]),
            owner: rng.chance(10),
            authenticated_percent: rng.pick(&[0, 0, 50, 100]),
        }
    }
}

fn interval(rng: &mut Rng) -> Interval {
    let centiseconds = rng.pick(&[1, 1, 2, 5, 10, 10, 20, 25, 50, 100, 100, 100, 150, 200, 300, 500]);
    Interval::from_centiseconds(centiseconds).unwrap_or(Interval::DEFAULT)
}

fn router(rng: &mut Rng, number: usize, hosts: usize, base: Interval, style: &Style) -> RouterPlan {
    let (version, family) = match rng.below(10) {
        0 | 1 => (Version::V2, Family::Ipv4),
        2..=4 => (Version::V3, Family::Ipv6),
        _ => (Version::V3, Family::Ipv4),
    };
    let base = match version {
        Version::V2 => Interval::from_centiseconds(rng.pick(&[100, 100, 200, 300])).unwrap_or(Interval::DEFAULT),
        Version::V3 => base,
    };
    let count = rng.pick(&[1, 1, 2, 3]);
    let addresses = addresses(rng, number, count, family);
    let common = rng.between(1, 254) as u8;
    let seats = (0..hosts).map(|host| {
        let priority = match (style.equal_priorities, style.high_priorities) {
            _ if style.owner && host == number => 255,
            (true, _) if rng.chance(75) => common,
            (_, true) => rng.between(200, 254) as u8,
            (_, false) => rng.between(1, 254) as u8,
        };
        let other = Interval::from_centiseconds((base.centiseconds() * rng.between(1, 3) as u16).min(500));
        let units = rng.between(1, 12) as u32;
        SeatPlan {
            priority: Priority::new(priority).unwrap_or(Priority::DEFAULT),
            interval: if style.mixed_intervals && version == Version::V3 { other.unwrap_or(base) } else { base },
            preempt: rng.chance(style.preempt_percent),
            preempt_delay: if style.delays { base.duration() * units } else { Duration::ZERO },
            when_unhealthy: if rng.chance(style.hold_percent) { WhenUnhealthy::Hold } else { WhenUnhealthy::Release },
            without: 0,
        }
    });
    let seats = seats.collect();
    let authenticated = version == Version::V3 && rng.chance(style.authenticated_percent);
    RouterPlan { vrid: 51 + number as u8, version, family, authenticated, addresses, seats }
}

/// The first one is of the family of the adverts; the others may be of either.
fn addresses(rng: &mut Rng, number: usize, count: u8, family: Family) -> Vec<IpAddr> {
    let (own_subnet, mixed) = (rng.chance(50), rng.chance(40));
    let address = |k: u8| {
        let last = 100 + number as u8 * 10 + k;
        let family = match family {
            Family::Ipv4 if mixed && k > 0 => Family::Ipv6,
            Family::Ipv6 if mixed && k > 0 => Family::Ipv4,
            Family::Ipv4 | Family::Ipv6 => family,
        };
        match (family, own_subnet) {
            (Family::Ipv4, true) => Ipv4Addr::new(192, 0, 2, last).into(),
            (Family::Ipv4, false) => Ipv4Addr::new(198, 51, 100, last).into(),
            // RFC 9568 section 5.2.9: the first one is link-local.
            (Family::Ipv6, _) if k == 0 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last.into()).into(),
            (Family::Ipv6, true) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into(),
            (Family::Ipv6, false) => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last.into()).into(),
        }
    };
    (0..count).map(address).collect()
}

fn check(rng: &mut Rng) -> Option<CheckPlan> {
    let weight = match rng.below(4) {
        0 => Some(rng.pick(&[-254, -60, -10, 10, 60])),
        _ => None,
    };
    let plan = CheckPlan { weight, rise: rng.between(1, 3) as u32, fall: rng.between(1, 3) as u32 };
    rng.chance(80).then_some(plan)
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |at: Instant| at.since(START).as_secs_f64();
        let until = seconds(self.end);
        writeln!(
            f,
            "seed {}: {} hosts, {until:.1} s, calm from {:.3} s",
            self.seed,
            self.hosts,
            seconds(self.calm_at)
        )?;
        writeln!(f, "  {:?}, {:?}, late up to {:?}", self.lan, self.kernel, self.late)?;
        let Scenario { promote_secondaries, facts_echo, marks, unicast, .. } = self;
        writeln!(
            f,
            "  promote_secondaries {promote_secondaries}, facts echo {facts_echo}, marks {marks}, unicast {unicast}"
        )?;
        for (number, router) in self.routers.iter().enumerate() {
            let RouterPlan { vrid, version, family, authenticated, addresses, .. } = router;
            writeln!(
                f,
                "  router r{number}: vrid {vrid}, {version:?}, {family}, authenticated {authenticated}: {addresses:?}"
            )?;
            for (host, seat) in router.seats.iter().enumerate() {
                writeln!(
                    f,
                    "    h{host}: priority {}, every {}, preempt {}, preempt_delay {:?}, {:?}",
                    seat.priority, seat.interval, seat.preempt, seat.preempt_delay, seat.when_unhealthy
                )?;
            }
        }
        for (host, check) in self.checks.iter().enumerate() {
            writeln!(f, "  check of h{host}: {check:?}")?;
        }
        if let Some((host, router, address)) = self.foreign {
            writeln!(f, "  set by somebody else: h{host} r{router} address {address}")?;
        }
        if self.absent > 0 {
            writeln!(f, "  never switched on: {:b}", self.absent)?;
        }
        for (at, fault) in &self.faults {
            writeln!(f, "  {:10.6} {fault:?}", seconds(*at))?;
        }
        Ok(())
    }
}
