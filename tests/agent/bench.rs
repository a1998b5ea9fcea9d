//! One agent on a bench: hands inputs in at literal times and writes down what it does, a line for each effect.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use locum::config::{Config, RouterConfig, WhenUnhealthy};
use locum::proto::{Addition, Agent, Effect, Input};
use locum::report::{Event, Release, WallClock, status};
use locum::types::{
    AddressOutcome, Advertised, CheckResult, CheckSpec, ChecksumForm, Family, Instant, InterfaceFacts, InterfaceName,
    Interval, IpNet, LeaseOutcome, LeftAddress, MacAddr, MarkedAddress, Priority, RouterName, RouterRecord, Version,
    VirtualAddress, Vrid,
};
use locum::wire::announcement::{self, Announcement};
use locum::wire::ip;
use locum::wire::vrrp::{self, Advertisement, Proof, Tail};

pub const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);
pub const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);
const START: u64 = 1_000_000_000_000;

pub struct Bench {
    pub agent: Agent,
    pub config: Config,
    /// What becomes of additions; `None`: nothing yet.
    pub outcome: Option<AddressOutcome>,
    /// What becomes of renewals; `None`: nothing.
    pub renewal: Option<LeaseOutcome>,
    /// Whether renewals are written down.
    pub tells_renewals: bool,
    /// Whether the kernel knows marks.
    pub marks: bool,
    /// Whether adverts leave.
    pub mute: bool,
    /// What is kept for a successor of the process.
    pub kept: BTreeMap<(InterfaceName, Vrid), RouterRecord>,
    /// The addresses of ours that are on the host.
    pub here: Vec<LeftAddress>,
    /// Whether sockets that open and close are told.
    pub sockets: bool,
    /// Whether questions who has an IPv4 address are told.
    pub asks: bool,
    lines: Vec<String>,
    now: Instant,
}

pub fn eth0() -> InterfaceName {
    "eth0".parse().unwrap()
}

pub fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub fn router(vrid: u8, priority: u8, addresses: &[&str]) -> RouterConfig {
    let address = |text: &&str| VirtualAddress { net: net(text), interface: eth0() };
    let family = Family::of(net(addresses[0]).addr());
    let hosts = addresses.iter().map(|text| net(text).addr());
    RouterConfig {
        version: Version::V3,
        family,
        advertised: hosts.filter(|address| Family::of(*address) == family).collect(),
        source: None,
        unicast_peers: Vec::new(),
        checksum: ChecksumForm::PseudoHeader,
        password: None,
        interface: eth0(),
        vrid: Vrid::new(vrid).unwrap(),
        priority: Priority::new(priority).unwrap(),
        addresses: addresses.iter().map(address).collect(),
        advert_interval: Interval::from_centiseconds(100).unwrap(),
        preempt: true,
        preempt_delay: Duration::ZERO,
        lease: true,
        start_delay: Duration::ZERO,
        link_debounce: Duration::ZERO,
        checks: Vec::new(),
        track_interfaces: Vec::new(),
        when_unhealthy: WhenUnhealthy::Hold,
        auth: None,
    }
}

pub fn check(weight: Option<i16>) -> CheckSpec {
    CheckSpec {
        name: "app".parse().unwrap(),
        script: vec!["/bin/true".to_owned()],
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 1,
        weight,
        user: None,
    }
}

pub fn config(routers: &[(&str, RouterConfig)]) -> Config {
    let routers = routers.iter().map(|(name, router)| (name.parse().unwrap(), router.clone()));
    Config {
        node: "lb1".to_owned(),
        realtime: false,
        routers: routers.collect(),
        checks: BTreeMap::new(),
        secrets: BTreeMap::new(),
    }
}

/// The node's interface as the kernel tells of it.
pub fn facts() -> InterfaceFacts {
    InterfaceFacts {
        index: 2,
        up: true,
        running: true,
        mac: Some(MacAddr([2, 0, 0, 0, 0, 2])),
        addresses: vec![net("192.0.2.2/24")],
        marked: Vec::new(),
        promote_secondaries: true,
        forwards_ipv6: false,
        mtu: 1500,
    }
}

pub fn web() -> RouterConfig {
    router(51, 100, &["198.51.100.10/24"])
}

/// The node with `web`, eligible since 0.
pub fn node() -> Bench {
    Bench::up(config(&[("web", web())]), facts())
}

/// The same, Active since 3609.375; the lines until then are not kept.
pub fn active_node() -> Bench {
    let mut bench = node();
    bench.until(4_000.0);
    bench
}

/// The same with a check that is healthy at first.
pub fn checked_node(weight: Option<i16>, change: impl FnOnce(&mut RouterConfig)) -> Bench {
    let mut router = web();
    router.checks = vec!["app".parse().unwrap()];
    change(&mut router);
    let mut config = config(&[("web", router)]);
    config.checks.insert("app".parse().unwrap(), check(weight));
    let mut bench = Bench::up(config, facts());
    bench.check(0.0, CheckResult::Ok);
    bench
}

pub fn instant(millis: f64) -> Instant {
    Instant::from_nanos(START + (millis * 1e6).round() as u64)
}

impl Bench {
    pub fn new(config: Config) -> Self {
        let agent = Agent::new(config.clone(), instant(0.0));
        let (kept, here) = (BTreeMap::new(), Vec::new());
        let (outcome, lines, now) = (Some(AddressOutcome::Added), Vec::new(), instant(0.0));
        let (renewal, tells_renewals, marks) = (Some(LeaseOutcome::Renewed), false, true);
        let (mute, sockets, asks) = (false, false, false);
        Bench { agent, config, outcome, renewal, tells_renewals, marks, mute, kept, here, sockets, asks, lines, now }
    }

    /// The process is killed at one time, and another one has begun at the other.
    pub fn restart(&mut self, killed: f64, started: f64) -> Vec<String> {
        self.until(killed);
        let now = instant(started);
        self.agent = Agent::new(self.config.clone(), now);
        let (records, left) = (self.kept.values().cloned().collect(), self.here.clone());
        self.handle(now, Input::Past { records, left: left.clone() });
        let addresses = facts().addresses.into_iter().chain(left.iter().map(|left| left.net)).collect();
        let mark = |left: &LeftAddress| MarkedAddress {
            net: left.net,
            left: Some(Duration::from_secs(3)),
            renewed_at: instant(killed),
        };
        let marked = left.iter().filter(|_| self.marks).map(mark).collect();
        let there = InterfaceFacts { addresses, marked, ..facts() };
        self.handle(now, Input::Interface { name: eth0(), facts: Some(there) });
        self.handle(now, Input::Tick);
        std::mem::take(&mut self.lines)
    }

    /// What is done with this input after a sleep through all that was due before.
    pub fn wake(&mut self, millis: f64, input: Input<'_>) -> Vec<String> {
        self.handle(instant(millis), input);
        std::mem::take(&mut self.lines)
    }

    /// The same with an advert that the kernel had at another time.
    pub fn wake_to(&mut self, millis: f64, received: f64, vrid: u8, priority: u8) -> Vec<String> {
        let bytes = advert(PEER, vrid, priority);
        self.wake(millis, Input::Packet { interface: eth0(), received: instant(received), bytes: &bytes })
    }

    /// Started at 0 with an interface of these facts; the first lines are not kept.
    pub fn up(config: Config, facts: InterfaceFacts) -> Self {
        let mut bench = Bench::new(config);
        bench.interface(0.0, Some(facts));
        bench.give(0.0, Input::Tick);
        bench
    }

    /// What is done until then, deadlines that fall on it included.
    pub fn until(&mut self, millis: f64) -> Vec<String> {
        self.ticks(instant(millis));
        std::mem::take(&mut self.lines)
    }

    fn ticks(&mut self, until: Instant) {
        let mut before = (Instant::default(), 0);
        while let Some(due) = self.agent.next_deadline().filter(|due| *due <= until) {
            // What an effect is answered with may be due at once.
            before = if before.0 == due { (due, before.1 + 1) } else { (due, 0) };
            assert!(before.1 < 3, "the deadline {due} does not move");
            // A deadline may have been set into the past.
            self.handle(due.max(self.now), Input::Tick);
        }
    }

    /// What is done up to then and with this input.
    pub fn give(&mut self, millis: f64, input: Input<'_>) -> Vec<String> {
        let now = instant(millis);
        self.ticks(now - Duration::from_nanos(1));
        self.handle(now, input);
        std::mem::take(&mut self.lines)
    }

    pub fn hear(&mut self, millis: f64, source: Ipv4Addr, priority: u8) -> Vec<String> {
        self.packet(millis, &advert(source, 51, priority))
    }

    pub fn packet(&mut self, millis: f64, bytes: &[u8]) -> Vec<String> {
        self.give(millis, Input::Packet { interface: eth0(), received: instant(millis), bytes })
    }

    pub fn announcement(&mut self, millis: f64, address: &str, mac: MacAddr) -> Vec<String> {
        let frame = announcement::emit(Announcement { address: address.parse().unwrap(), mac }, false);
        self.give(millis, Input::Frame { interface: eth0(), bytes: &frame })
    }

    pub fn interface(&mut self, millis: f64, facts: Option<InterfaceFacts>) -> Vec<String> {
        self.give(millis, Input::Interface { name: eth0(), facts })
    }

    pub fn check(&mut self, millis: f64, result: CheckResult) -> Vec<String> {
        self.give(millis, Input::Check { name: "app".parse().unwrap(), result, output: String::new() })
    }

    pub fn reload(&mut self, millis: f64, change: impl FnOnce(&mut Config)) -> Vec<String> {
        change(&mut self.config);
        let config = Box::new(self.config.clone());
        self.give(millis, Input::Reload(config))
    }

    pub fn status(&self) -> status::Router {
        self.status_at(100_000.0)
    }

    pub fn status_at(&self, millis: f64) -> status::Router {
        let clock = WallClock { at: instant(millis), unix_nanos: 1_700_000_000_000_000_000 };
        self.agent.snapshot(clock).routers.remove("web").unwrap()
    }

    /// Packets thrown away that were of no router's VRID.
    pub fn discards_of_others(&self) -> u64 {
        let clock = WallClock { at: instant(100_000.0), unix_nanos: 0 };
        self.agent.snapshot(clock).discards.values().flat_map(|counts| counts.values()).sum()
    }

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        let mut effects = Vec::new();
        self.agent.handle(now, input, &mut effects);
        let millis = (now.as_nanos() - START) as f64 / 1e6;
        let is_told = |effect: &&Effect| match effect {
            Effect::Listen { .. } | Effect::Unlisten { .. } => self.sockets,
            Effect::RenewLeases { .. } => self.tells_renewals,
            Effect::Probe { frames, .. } => self.asks || frames.iter().any(|frame| frame[12..14] == [0x86, 0xdd]),
            _ => true,
        };
        let told = effects.iter().filter(is_told).filter_map(words);
        self.lines.extend(told.map(|words| format!("{millis:.3} {words}")));
        let mut failed = Vec::new();
        for effect in effects {
            failed.extend(self.answer(now, effect));
        }
        for router in failed {
            self.handle(now, Input::SendFailed { router, error: "Operation not permitted".to_owned() });
        }
    }

    /// What the kernel says to an effect; whose advert did not leave.
    fn answer(&mut self, now: Instant, effect: Effect) -> Option<RouterName> {
        match (effect, self.outcome.clone()) {
            (Effect::Record(record), _) => {
                self.kept.insert((record.interface, record.vrid), *record);
            }
            (Effect::Forget { interface, vrid, .. }, _) => {
                self.kept.remove(&(interface, vrid));
            }
            (Effect::RemoveAddresses { removals, .. }, _) => self.here.retain(|here| !removals.contains(&here.net)),
            (Effect::AddAddresses { router, additions, interface, index, .. }, Some(outcome)) => {
                if outcome == AddressOutcome::Added {
                    let net = |addition: &Addition| IpNet::new(addition.address.addr(), addition.prefix).unwrap();
                    let new = additions.iter().map(net);
                    let of = |net| LeftAddress { router: router.clone(), interface, index, net };
                    self.here.extend(new.map(of));
                }
                let outcomes = additions.iter().map(|addition| (addition.address, outcome.clone())).collect();
                self.handle(now, Input::AddressesAdded { router, outcomes });
            }
            (Effect::RenewLeases { router, interface, asked, other_kind, with_advert, .. }, _)
                if !self.mute || !with_advert =>
            {
                if let Some(outcome) = self.renewal.clone() {
                    self.handle(now, Input::LeasesRenewed { router, interface, asked, other_kind, outcome });
                }
            }
            (Effect::SendAdvert { router, .. }, _) if self.mute => return Some(router),
            _ => {}
        }
        None
    }
}

pub fn advert(source: Ipv4Addr, vrid: u8, priority: u8) -> Vec<u8> {
    let source = IpAddr::V4(source);
    advert_with(source, ip::group(Family::Ipv4), vrid, priority, |_| (), Proof::None)
}

/// An advert that differs from a usual one: its interval is 1 s, and it lists the addresses of `web`.
pub fn advert_with(
    source: IpAddr,
    destination: IpAddr,
    vrid: u8,
    priority: u8,
    change: impl FnOnce(&mut Advertisement),
    proof: Proof<'_>,
) -> Vec<u8> {
    let address = match source {
        IpAddr::V4(_) => "198.51.100.10",
        IpAddr::V6(_) => "2001:db8::10",
    };
    let mut advertisement = Advertisement {
        version: Version::V3,
        vrid: Vrid::new(vrid).unwrap(),
        advertised: Advertised::from_byte(priority),
        interval: Interval::from_centiseconds(100).unwrap(),
        addresses: vec![address.parse().unwrap()],
    };
    change(&mut advertisement);
    vrrp::emit(&advertisement, source, destination, ChecksumForm::PseudoHeader, proof).unwrap()
}

/// Who it is about is said only where it is not `web`.
fn of(router: &RouterName) -> String {
    if router.as_str() == "web" { String::new() } else { format!("{router}: ") }
}

fn list(nets: impl Iterator<Item = IpNet>) -> String {
    nets.map(|net| net.to_string()).collect::<Vec<_>>().join(" ")
}

/// An effect in words; `None` for what no scenario is about.
fn words(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Listen { interface, index, .. } => Some(format!("listen {interface} {index}")),
        Effect::Unlisten { interface } => Some(format!("unlisten {interface}")),
        Effect::WatchFrames { interface, index, .. } => Some(format!("watch {interface} {index}")),
        Effect::UnwatchFrames { interface } => Some(format!("unwatch {interface}")),
        Effect::SendAdvert { router, packet, destination, .. } => {
            let received = vrrp::parse(packet).expect("a valid advert");
            assert_eq!(received.destination, *destination);
            let sealed = match &received.tail {
                Tail::Nothing => "",
                Tail::Trailer(_) => " sealed",
                Tail::Unknown => panic!("bytes behind the message"),
            };
            let own = received.source == OWN || received.source.is_ipv6();
            let from = if own { String::new() } else { format!(" from {}", received.source) };
            let to = if received.is_multicast() { String::new() } else { format!(" to {destination}") };
            Some(format!("{}advert {}{from}{to}{sealed}", of(router), received.advertisement.advertised.byte()))
        }
        Effect::RenewLeases { router, leases, lifetime, until, other_kind, .. } => {
            let lifetime = lifetime.map_or("for good".to_owned(), |lifetime| format!("for {} s", lifetime.seconds()));
            let until = until.map(|at| format!(" before {:.3}", (at.as_nanos() - START) as f64 / 1e6));
            let kind = if *other_kind { " anew" } else { "" };
            let nets = leases.iter().map(|lease| lease.net);
            Some(format!("{}renew {} {lifetime}{kind}{}", of(router), list(nets), until.unwrap_or_default()))
        }
        Effect::AddAddresses { router, additions, again, .. } => {
            let nets = additions.iter().map(|addition| {
                let heard = announcement::parse(&addition.announcement).expect("an announcement");
                assert_eq!(addition.address.addr(), heard.address);
                IpNet::new(addition.address.addr(), addition.prefix).unwrap()
            });
            Some(format!("{}add {}{}", of(router), if *again { "again " } else { "" }, list(nets)))
        }
        Effect::RemoveAddresses { router, removals, restore, .. } => {
            let restore = match restore.as_slice() {
                [] => String::new(),
                some => format!(" restore {}", list(some.iter().copied())),
            };
            Some(format!("{}remove {}{restore}", of(router), list(removals.iter().copied())))
        }
        Effect::Announce { router, frames, .. } => {
            let address = |frame: &Vec<u8>| announcement::parse(frame).expect("an announcement").address.to_string();
            Some(format!("{}announce {}", of(router), frames.iter().map(address).collect::<Vec<_>>().join(" ")))
        }
        Effect::Record(_) | Effect::Forget { .. } => None,
        Effect::Probe { router, frames, .. } => {
            // The target of a Neighbor Solicitation, or of an ARP request.
            let target = |frame: &Vec<u8>| match frame.get(62..78) {
                Some(target) => Ipv6Addr::from(<[u8; 16]>::try_from(target).unwrap()).to_string(),
                None => Ipv4Addr::from(<[u8; 4]>::try_from(&frame[38..42]).unwrap()).to_string(),
            };
            Some(format!("{}probe {}", of(router), frames.iter().map(target).collect::<Vec<_>>().join(" ")))
        }
        Effect::Stopped => Some("stopped".to_owned()),
        Effect::Tell(event) => told(event),
    }
}

/// A line of the log in words.
fn told(event: &Event) -> Option<String> {
    match event {
        Event::LateBackup { router, late } => Some(format!("{}waits, {} ms late", of(router), late.as_millis())),
        Event::LateActive { router, silent } => {
            Some(format!("{}listens, {} ms silent", of(router), silent.as_millis()))
        }
        Event::NotResumed { router, silent } => {
            Some(format!("{}not resumed, {} ms silent", of(router), silent.as_millis()))
        }
        Event::Transition { router, from, to, reason, .. } => {
            Some(format!("{}{from} -> {to}: {}", of(router), reason.token()))
        }
        Event::ReasonChanged { router, state, reason } => {
            Some(format!("{}still {state}: {}", of(router), reason.token()))
        }
        Event::Released { router, how, .. } => {
            let how = match how {
                Release::Announced(_) => "announced",
                Release::Heard => "heard",
                Release::NoSuccessor => "no successor",
                Release::Lapsed => "lapsed",
                Release::Gone => "gone",
                Release::AtOnce => "at once",
                Release::Leftover => "leftover",
            };
            Some(format!("{}released: {how}", of(router)))
        }
        Event::ForeignAddress { router, address } => Some(format!("{}foreign {}", of(router), address.net)),
        Event::AddressRestored { router, address, others } => {
            Some(format!("{}restored {} and {others} more", of(router), address.net))
        }
        Event::ClocksApart { peer, behind_ms, .. } => Some(format!("clock of {peer} behind by {behind_ms} ms")),
        Event::Mistake { mistake, more, .. } => {
            let more = if *more == 0 { String::new() } else { format!(" and {more} more") };
            Some(format!("mistake {} of {}{more}", mistake.token(), mistake.peer()))
        }
        Event::MistakeOver { mistake, unseen, .. } => {
            let how = if unseen.is_some() { "unseen" } else { "corrected" };
            Some(format!("{how}: {} of {}", mistake.token(), mistake.peer()))
        }
        Event::PriorityChanged { router, from, to } => Some(format!("{}priority {from} -> {to}", of(router))),
        Event::Discarded { reason, suppressed, .. } => {
            Some(format!("discarded {} and {suppressed} more", reason.token()))
        }
        Event::SystemRefused { what, .. } => Some(format!("refused: {what}")),
        _ => None,
    }
}
