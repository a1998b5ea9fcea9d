//! Other implementations as the other node, in both roles: who holds each address is asked from outside, for longer
//! than anybody's Active_Down_Interval, through planned stops and power losses of either side.
//!
//! All rows of a table run in the same two agents at once, each under a VRID of its own.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use serde_json::Value;

use crate::agents::{Agent, Router, toml};
use crate::ask::{Mac, card, who_answers};
use crate::clock::{PATIENCE, SECOND, in_ms, now};
use crate::common::Need;
use crate::frr::{Frr, virtual_mac};
use crate::judges::is_content;
use crate::lan::Lab;
use crate::live::live;
use crate::wire::Seen;

/// Longer than the Active_Down_Interval of anybody here: 3 x 1 s + (256 - 100) / 256 x 1 s.
const LONGER: u64 = 4 * SECOND;

/// Who runs on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Locum,
    Keepalived,
    Frr,
}

/// One virtual router, and what differs from a usual one.
struct Row {
    name: &'static str,
    vrid: u8,
    addresses: &'static [&'static str],
    /// Lines in our notation and in keepalived's, by the number of the host.
    ours: fn(usize) -> String,
    theirs: fn(usize) -> String,
    /// Of the host whose priority is higher; the other's is 100.
    priority: u8,
    preempt: bool,
    /// Version, family, transport and checksum of the peer as our status shows them.
    shown: (u8, &'static str, &'static str, &'static str),
}

const PLAIN: Row = Row {
    name: "",
    vrid: 0,
    addresses: &[],
    ours: |_| String::new(),
    theirs: |_| String::new(),
    priority: 200,
    preempt: true,
    shown: (3, "ipv4", "multicast", "pseudo-header"),
};

const V4: Row = Row { name: "v3-ipv4", vrid: 51, addresses: &["192.0.2.151/24"], ..PLAIN };
const V6: Row = Row {
    name: "v3-ipv6",
    vrid: 52,
    addresses: &["fe80::152/64", "2001:db8::152/64"],
    shown: (3, "ipv6", "multicast", "pseudo-header"),
    ..PLAIN
};

const KEEPALIVED: [Row; 10] = [
    V4,
    V6,
    Row {
        name: "v2",
        vrid: 53,
        addresses: &["192.0.2.153/24"],
        ours: |_| "version = 2".to_owned(),
        theirs: |_| "version 2".to_owned(),
        shown: (2, "ipv4", "multicast", "message"),
        ..PLAIN
    },
    Row {
        name: "v2-pass",
        vrid: 54,
        addresses: &["192.0.2.154/24"],
        ours: |_| "version = 2\n[virtual_router.v2-pass.auth]\npass = \"s3cret\"".to_owned(),
        theirs: |_| "version 2\n authentication {\n auth_type PASS\n auth_pass s3cret\n }".to_owned(),
        shown: (2, "ipv4", "multicast", "message"),
        ..PLAIN
    },
    Row {
        name: "unicast-ipv4",
        vrid: 55,
        addresses: &["192.0.2.155/24"],
        ours: |host| format!("source = \"192.0.2.{host}\"\nunicast_peers = [\"192.0.2.{}\"]", 3 - host),
        theirs: |host| format!("unicast_src_ip 192.0.2.{host}\n unicast_peer {{\n 192.0.2.{}\n }}", 3 - host),
        shown: (3, "ipv4", "unicast", "pseudo-header"),
        ..PLAIN
    },
    Row {
        name: "unicast-ipv6",
        vrid: 56,
        addresses: &["fe80::156/64", "2001:db8::156/64"],
        ours: |host| format!("source = \"2001:db8::{host}\"\nunicast_peers = [\"2001:db8::{}\"]", 3 - host),
        // Its hop limit of unicast is 64 otherwise, over IPv6.
        theirs: |host| {
            format!("unicast_src_ip 2001:db8::{host}\n unicast_ttl 255\n unicast_peer {{\n 2001:db8::{}\n }}", 3 - host)
        },
        shown: (3, "ipv6", "unicast", "pseudo-header"),
        ..PLAIN
    },
    Row {
        name: "three-addresses",
        vrid: 57,
        addresses: &["192.0.2.177/24", "192.0.2.157/24", "192.0.2.167/24"],
        ..PLAIN
    },
    Row { name: "nopreempt", vrid: 58, addresses: &["192.0.2.158/24"], preempt: false, ..PLAIN },
    Row {
        name: "nopreempt-ipv6",
        vrid: 60,
        addresses: &["fe80::160/64", "2001:db8::160/64"],
        preempt: false,
        shown: (3, "ipv6", "multicast", "pseudo-header"),
        ..PLAIN
    },
    Row { name: "owner", vrid: 59, addresses: &["192.0.2.159/24"], priority: 255, ..PLAIN },
];

impl Row {
    fn router(&self, kind: Kind, host: usize, priority: u8) -> Router {
        let lines = match kind {
            Kind::Locum => (self.ours)(host),
            Kind::Keepalived => (self.theirs)(host),
            Kind::Frr => String::new(),
        };
        let router = Router::new(priority).named(self.name, self.vrid).holding(self.addresses).more(&lines);
        if self.preempt { router } else { router.no_preempt() }
    }

    fn hosts(&self) -> Vec<IpAddr> {
        let host = |net: &&str| net.split('/').next().expect("an address").parse().expect("an address");
        self.addresses.iter().map(host).collect()
    }
}

/// An agent that runs.
enum Running {
    Locum(Agent),
    Keepalived(Agent),
    Frr(Frr),
}

impl Running {
    fn stop(&mut self, lab: &Lab, host: usize) {
        match self {
            Running::Locum(agent) => assert_eq!(agent.stop(), 0, "our exit code"),
            Running::Keepalived(agent) => drop(agent.stop()),
            Running::Frr(frr) => frr.stop(lab, host),
        }
    }

    /// It has found nothing wrong with what it was sent.
    fn is_content(&self) {
        match self {
            Running::Locum(_) => {}
            Running::Keepalived(keepalived) => is_content(keepalived),
            Running::Frr(frr) => {
                let log = frr.log();
                let line = log.lines().find(|line| line.contains("Datagram invalid"));
                assert_eq!(line, None, "FRR complains");
            }
        }
    }
}

/// Where an address should be, and who answers for it there.
struct Place {
    name: &'static str,
    address: IpAddr,
    host: usize,
    macs: BTreeSet<Mac>,
}

/// Two hosts: on 1 who has the higher priority.
struct Match<'a> {
    lab: Lab,
    rows: &'a [Row],
    kinds: [Kind; 2],
}

impl Match<'_> {
    fn kind(&self, host: usize) -> Kind {
        self.kinds[host - 1]
    }

    fn start(&self, host: usize) -> Running {
        let kind = self.kind(host);
        let priority = |row: &Row| if host == 1 { row.priority } else { 100 };
        let routers: Vec<Router> = self.rows.iter().map(|row| row.router(kind, host, priority(row))).collect();
        match kind {
            Kind::Locum => Running::Locum(Agent::locum(&self.lab, host, &toml(&routers))),
            Kind::Keepalived => Running::Keepalived(Agent::keepalived(&self.lab, host, &routers)),
            Kind::Frr => Running::Frr(Frr::start(&self.lab, host, &routers)),
        }
    }

    fn power_on(&self, host: usize) {
        self.lab.power_on(host);
        self.lab.give_ipv6(host);
    }

    /// The address that a host answers with.
    fn mac(&self, row: &Row, host: usize) -> Mac {
        match self.kind(host) {
            Kind::Locum | Kind::Keepalived => card(host),
            Kind::Frr => virtual_mac(&row.router(Kind::Frr, host, 100)),
        }
    }

    /// Every address with where it should be.
    fn places(&self, holder: impl Fn(&Row) -> usize) -> Vec<Place> {
        let of = |row: &Row| {
            let (name, host) = (row.name, holder(row));
            let macs = BTreeSet::from([self.mac(row, host)]);
            row.hosts().into_iter().map(move |address| Place { name, address, host, macs: macs.clone() })
        };
        self.rows.iter().flat_map(of).collect()
    }

    /// Waits until each address is where it should be.
    fn reached(&self, when: &str, holder: impl Fn(&Row) -> usize) -> Vec<Place> {
        let places = self.places(holder);
        for place in places.iter().filter(|_| self.is_told()) {
            self.lab.holders.wait(place.address, &[place.host]);
        }
        let begun = Instant::now();
        while let Some(wrong) = self.wrong(&places) {
            assert!(begun.elapsed() < PATIENCE, "{when}: {wrong}");
        }
        places
    }

    /// The same, and watches it stay there for longer than anybody would wait.
    fn held(&self, when: &str, holder: impl Fn(&Row) -> usize) {
        let places = self.reached(when, holder);
        let from = now();
        while now() < from + LONGER {
            assert_eq!(self.wrong(&places), None, "{when}, after {:.0} ms", in_ms(now() - from));
            self.lab.wire.watched_until(now() + SECOND / 4);
        }
        for Place { name, address, host, .. } in places.iter().filter(|_| self.is_told()) {
            assert_eq!(self.lab.holders.changes(*address, from), [], "{when}, {name}: {address} stays at host {host}");
        }
    }

    /// Whether the kernel tells of an address only where it is held: what FRR does not hold waits on its host.
    fn is_told(&self) -> bool {
        !self.kinds.contains(&Kind::Frr)
    }

    /// The first address that others than the right one answer for.
    fn wrong(&self, places: &[Place]) -> Option<String> {
        let addresses: Vec<IpAddr> = places.iter().map(|place| place.address).collect();
        let answers = who_answers(&self.lab, &addresses);
        let (place, answer) = places.iter().zip(&answers).find(|(place, answer)| place.macs != **answer)?;
        let Place { name, address, host, .. } = place;
        Some(format!("{name}: {address} should be at host {host}, but {answer:02x?} answer"))
    }

    /// What our status on host 2 says of a peer that is Active.
    fn shown(&self, ours: &Running) {
        let Running::Locum(ours) = ours else { return };
        for row in self.rows {
            let router = ours.router(row.name, "shows its peer", |router| !router["peers"][0].is_null());
            let peer = &router["peers"][0];
            let word = |field: &str| peer[field].as_str().expect("a word").to_owned();
            let shown = ["family", "transport", "checksum"].map(word);
            let (version, family, transport, checksum) = row.shown;
            assert_eq!(shown, [family, transport, checksum], "{}: {peer}", row.name);
            assert_eq!((&peer["version"], &peer["lists_our_addresses"]), (&version.into(), &true.into()), "{peer}");
            assert_eq!(router["counters"]["discards"], Value::Object(Default::default()), "{}: {router}", row.name);
        }
    }

    /// Adverts went as their row says.
    fn went_as_configured(&self) {
        for advert in self.lab.wire.since(0).iter().filter_map(Seen::advert) {
            let row = self.rows.iter().find(|row| row.vrid == advert.vrid).expect("a row of this VRID");
            let (version, family, transport, _) = row.shown;
            let multicast = if family == "ipv4" { "224.0.0.18" } else { "ff02::12" };
            let to_group = advert.destination == multicast.parse::<IpAddr>().expect("an address");
            assert_eq!((advert.version, to_group), (version, transport == "multicast"), "{}: {advert:?}", row.name);
            assert_eq!(advert.addresses, row.hosts(), "{}: {advert:?}", row.name);
        }
    }

    fn play(&self) {
        let all_at = |host: usize| move |_: &Row| host;
        let patient_at = |host: usize| move |row: &Row| if row.preempt { 1 } else { host };
        let mut second = self.start(2);
        self.reached("alone", all_at(2));
        let mut first = self.start(1);
        self.held("the better one came", patient_at(2));
        second.stop(&self.lab, 2);
        second.is_content();
        self.held("the other one was stopped", all_at(1));
        second = self.start(2);
        self.held("the other one came back", all_at(1));
        self.shown(&second);
        first.stop(&self.lab, 1);
        first.is_content();
        self.held("the better one was stopped", all_at(2));
        first = self.start(1);
        self.reached("the better one came back", patient_at(2));
        self.lab.power_off(2);
        self.held("the other one lost its power", all_at(1));
        self.power_on(2);
        second = self.start(2);
        self.shown(&second);
        self.lab.power_off(1);
        self.held("the better one lost its power", all_at(2));
        first.is_content();
        second.is_content();
        self.went_as_configured();
    }
}

fn play(rows: &[Row], kinds: [Kind; 2]) {
    let lab = Lab::new(2);
    lab.turn_on_ipv6();
    Match { lab, rows, kinds }.play();
}

#[test]
fn keepalived_backs_us_up_and_yields_to_us() {
    live(&[Need::Tool("keepalived")], || play(&KEEPALIVED, [Kind::Locum, Kind::Keepalived]));
}

#[test]
fn we_back_keepalived_up_and_yield_to_it() {
    live(&[Need::Tool("keepalived")], || play(&KEEPALIVED, [Kind::Keepalived, Kind::Locum]));
}

#[test]
fn frr_backs_us_up_and_yields_to_us() {
    live(&[Need::Root, Need::Tool("vtysh")], || play(&[V4, V6], [Kind::Locum, Kind::Frr]));
}

#[test]
fn we_back_frr_up_and_yield_to_it() {
    live(&[Need::Root, Need::Tool("vtysh")], || play(&[V4, V6], [Kind::Frr, Kind::Locum]));
}
