use std::collections::BTreeMap;

use super::table;
use crate::report::RouterState;
use crate::report::status::Mistake;
use crate::report::status::{
    Address, AddressState, Auth, Check, Contribution, Counters, Lateness, Peer, Priority, Realtime, Refused, Router,
    Status, Transition,
};
use crate::types::CheckResult;

fn status(routers: Vec<(&str, Router)>) -> Status {
    Status {
        version: 1,
        node: "lb1".to_owned(),
        program: "0.1.0".to_owned(),
        now: "2026-11-21T10:22:05.123Z".to_owned(),
        uptime: 7384.2,
        hint: None,
        lateness: Lateness::default(),
        stopping: false,
        realtime: Realtime::default(),
        routers: routers.into_iter().map(|(name, router)| (name.to_owned(), router)).collect(),
        checks: BTreeMap::new(),
        discards: BTreeMap::new(),
    }
}

fn backup() -> Router {
    Router {
        state: RouterState::Backup,
        reason: "higher-priority".to_owned(),
        words: "192.0.2.3 is Active with the higher priority 150".to_owned(),
        since: "2026-11-21T10:18:53.000Z".to_owned(),
        listens_for_ms: None,
        degraded: false,
        interface: "eth0".to_owned(),
        vrid: 51,
        version: 3,
        family: "ipv4".to_owned(),
        transport: "multicast".to_owned(),
        advert_interval_ms: 1000,
        priority: Priority { base: 100, effective: 100, contributions: Vec::new() },
        active: Some("192.0.2.3".to_owned()),
        addresses: vec![address("192.0.2.10/24", "eth0", AddressState::Absent)],
        peers: vec![Peer {
            address: "192.0.2.3".to_owned(),
            priority: 150,
            advert_interval_ms: 1000,
            version: 3,
            family: "ipv4".to_owned(),
            transport: "multicast".to_owned(),
            checksum: "pseudo-header".to_owned(),
            lists_our_addresses: true,
            heard_ms_ago: 420,
            adverts: 192,
            key: None,
            clock_behind_ms: None,
        }],
        mistakes: Vec::new(),
        auth: None,
        counters: Counters::default(),
        last_transitions: Vec::new(),
    }
}

fn address(address: &str, interface: &str, state: AddressState) -> Address {
    Address { address: address.to_owned(), interface: interface.to_owned(), state, lease_left_ms: None }
}

fn change(at: &str, from: RouterState, to: RouterState, words: &str) -> Transition {
    Transition { at: at.to_owned(), from, to, reason: String::new(), words: words.to_owned() }
}

#[test]
fn a_host_that_stood_still_says_so() {
    let mut status = status(vec![]);
    status.lateness = Lateness { last_ms: 0.125, max_ms: 99.9, suspended_ms: 0.0 };
    assert!(!table(&status).contains("stood still"));
    status.lateness.max_ms = 5_991.5;
    assert!(
        table(&status).contains("\nthis host stood still: up to 5.99 s late, 0.1 ms at last\n"),
        "{}",
        table(&status)
    );
    status.lateness.suspended_ms = 60_000.0;
    assert!(table(&status).contains("late, 0.1 ms at last, suspended for 60.00 s\n"), "{}", table(&status));
}

#[test]
fn without_a_router_the_hint_stands_there() {
    let status = Status { hint: Some("add a [virtual_router.NAME]".to_owned()), ..status(Vec::new()) };
    assert_eq!(table(&status), "lb1  locum 0.1.0  up 2h 3m\n\nadd a [virtual_router.NAME]\n");
}

#[test]
fn a_backup_names_who_is_active() {
    let expected = "\
lb1  locum 0.1.0  up 2h 3m

web  BACKUP for 3m 12s: 192.0.2.3 is Active with the higher priority 150
  interface  eth0, VRID 51, VRRPv3 by IPv4 multicast, adverts every 1s
  priority   100
  active     192.0.2.3
  addresses  192.0.2.10/24  not here
  peers      192.0.2.3  priority 150, heard 0.4s ago, adverts 192, pseudo-header
";
    assert_eq!(table(&status(vec![("web", backup())])), expected);
}

/// Much at once: degraded, lingering, weights, discards, and more changes than are shown.
fn busy() -> Router {
    Router {
        state: RouterState::Active,
        words: "degraded: check disk failed, but nobody else claims the address".to_owned(),
        degraded: true,
        advert_interval_ms: 40_950,
        priority: Priority {
            base: 150,
            effective: 90,
            contributions: vec![
                Contribution { check: "haproxy".to_owned(), weight: -60 },
                Contribution { check: "quiet".to_owned(), weight: 0 },
            ],
        },
        active: Some("192.0.2.2".to_owned()),
        addresses: vec![
            Address { lease_left_ms: Some(3_559), ..address("192.0.2.10/24", "eth0", AddressState::Held) },
            address("192.0.2.11/24", "eth0", AddressState::Lingering),
            address("198.51.100.100/32", "eth1.4094", AddressState::Foreign),
            address("192.0.2.12/24", "eth0", AddressState::Adding),
        ],
        peers: vec![Peer { priority: 0, heard_ms_ago: 61_000, lists_our_addresses: false, ..backup().peers.remove(0) }],
        counters: Counters {
            discards: BTreeMap::from([("checksum".to_owned(), 2), ("length".to_owned(), 0), ("ttl".to_owned(), 3)]),
            addresses_restored: 2,
            leases_lapsed: 1,
            ..Counters::default()
        },
        last_transitions: (0..4)
            .map(|_| change("2026-11-19T00:00:00.000Z", RouterState::Backup, RouterState::Active, "old"))
            .chain([
                change("2026-11-20T23:59:59.999Z", RouterState::Active, RouterState::Fault, "waiting for eth0"),
                change("2026-11-21T09:00:00.000Z", RouterState::Fault, RouterState::Backup, "what it waited for"),
            ])
            .collect(),
        ..backup()
    }
}

#[test]
fn an_active_router_that_is_degraded_or_lingers_says_so() {
    let name = "a-name-of-sixty-four-bytes-as-long-as-one-may-be-in-the-configur";
    let mut status = Status { stopping: true, ..status(vec![(name, busy())]) };
    let ok = Check {
        healthy: Some(true),
        last_result: Some(CheckResult::Ok),
        result_ms_ago: Some(300),
        output: String::new(),
        runs: 40,
        failures: 0,
    };
    let bad = Check {
        healthy: Some(false),
        last_result: Some(CheckResult::TimedOut),
        output: "no \u{1b}[2Jspace".to_owned(),
        failures: 3,
        ..ok.clone()
    };
    let new = Check { healthy: None, last_result: None, result_ms_ago: None, runs: 0, ..ok.clone() };
    status.checks = [("a-new-one", new), ("disk", bad), ("haproxy", ok)].map(|(name, c)| (name.to_owned(), c)).into();
    status.discards.insert("eth0".to_owned(), BTreeMap::from([("foreign-vrid".to_owned(), 7)]));
    let expected = "\
lb1  locum 0.1.0  up 2h 3m  STOPPING

a-name-of-sixty-four-bytes-as-long-as-one-may-be-in-the-configur  ACTIVE, DEGRADED for 3m 12s: degraded: check disk failed, but nobody else claims the address
  interface  eth0, VRID 51, VRRPv3 by IPv4 multicast, adverts every 40.95s
  priority   90 (base 150, -60 haproxy)
  active     192.0.2.2 (this host)
  addresses  192.0.2.10/24                   held, lease 3.6s more
             192.0.2.11/24                   held until the successor has it
             198.51.100.100/32 on eth1.4094  here, but set by somebody else: left alone
             192.0.2.12/24                   being added
  peers      192.0.2.3  resigned, heard 1m 1s ago, adverts 192, pseudo-header, LISTS OTHER ADDRESSES
  put back   2x, after somebody removed an address
  lapsed     1x, this host having stood still for too long
  discarded  checksum 2, ttl 3
  changes    2026-11-19 00:00:00  backup -> active  old
             2026-11-19 00:00:00  backup -> active  old
             2026-11-19 00:00:00  backup -> active  old
             2026-11-20 23:59:59  active -> fault   waiting for eth0
             09:00:00  fault -> backup              what it waited for

checks
  a-new-one  no result yet
  disk       FAILING, timed out 0.3s ago, 3 of 40 runs failed: no [2Jspace
  haproxy    healthy, ok 0.3s ago, 0 of 40 runs failed

packets of no virtual router, discarded
  eth0  foreign-vrid 7
";
    assert_eq!(table(&status), expected);
}

#[test]
fn authentication_shows_its_keys_and_who_is_refused() {
    let refused =
        Refused { address: "192.0.2.66".to_owned(), reason: "auth-bad".to_owned(), heard_ms_ago: 700, packets: 12 };
    let auth = Auth {
        mode: "permissive".to_owned(),
        active_key: 2,
        keys: vec![1, 2],
        unauthenticated: 3,
        refused: vec![refused],
    };
    let peer = Peer { key: Some(1), clock_behind_ms: Some(-3_600_000), ..backup().peers.remove(0) };
    let router = Router { auth: Some(auth), peers: vec![peer], ..backup() };
    let text = table(&status(vec![("web", router)]));
    let expected = "\
  peers      192.0.2.3  priority 150, heard 0.4s ago, adverts 192, pseudo-header, key 1, its clock 1h 0m ahead
  auth       permissive, key 2 of 1, 2, accepted without: 3
  refused    192.0.2.66  auth-bad, heard 0.7s ago, adverts 12
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn mistakes_stand_there_with_their_remedy() {
    let mistake = Mistake {
        token: "same-priority".to_owned(),
        words: "192.0.2.3 has the same priority 100 as this host".to_owned(),
        peer: "192.0.2.3".to_owned(),
        since: "2026-11-21T10:18:53.000Z".to_owned(),
        seen_ms_ago: 420,
        seen: 12,
    };
    let other =
        Mistake { token: "version-2".to_owned(), words: "another".to_owned(), seen_ms_ago: 9_000, ..mistake.clone() };
    let text = table(&status(vec![("web", Router { mistakes: vec![mistake, other], ..backup() })]));
    let expected = "
  mistakes   SAME-PRIORITY  192.0.2.3 has the same priority 100 as this host; seen 0.4s ago
             VERSION-2      another; seen 9.0s ago
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_fault_says_what_it_waits_for() {
    let router = Router {
        state: RouterState::Fault,
        words: "waiting for interface eth0: it does not exist".to_owned(),
        active: None,
        peers: Vec::new(),
        advert_interval_ms: 10,
        ..backup()
    };
    let expected = "\
lb1  locum 0.1.0  up 2h 3m

web  FAULT for 3m 12s: waiting for interface eth0: it does not exist
  interface  eth0, VRID 51, VRRPv3 by IPv4 multicast, adverts every 10ms
  priority   100
  active     nobody that is known
  addresses  192.0.2.10/24  not here
  peers      nobody has been heard since the start
";
    assert_eq!(table(&status(vec![("web", router)])), expected);
}

#[test]
fn whoever_was_heard_and_does_not_count_is_not_passed_over_in_silence() {
    let row = |discards: &[(&str, u64)]| {
        let discards = discards.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
        let counters = Counters { discards, ..Counters::default() };
        let text = table(&status(vec![("web", Router { peers: Vec::new(), counters, ..backup() })]));
        text.lines().find(|line| line.starts_with("  peers")).unwrap().to_owned()
    };
    assert_eq!(row(&[("ttl", 4)]), "  peers      nobody whose adverts count has been heard since the start");
    assert_eq!(row(&[("ttl", 0), ("own-packet", 4)]), "  peers      nobody has been heard since the start");
}
