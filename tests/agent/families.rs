//! IPv6, both families under one election, and where adverts come from.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use locum::proto::{Effect, Input};
use locum::report::RouterState;
use locum::types::{AwaitedAdverts, Channel, Family, InterfaceFacts, InterfaceName, Interval, MacAddr, Version, Vrid};
use locum::wire::announcement::{self, Announcement};
use locum::wire::vrrp::Proof;
use locum::wire::{ip, nd};

use super::bench::*;

const THIRD_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

fn host(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An interface with addresses of both families, and a router of its own on neither.
fn dual() -> InterfaceFacts {
    let addresses = ["192.0.2.2/24", "2001:db8::2/64", "fe80::2/64"].map(net).to_vec();
    InterfaceFacts { addresses, ..facts() }
}

fn six() -> Bench {
    Bench::up(config(&[("web", router(51, 100, &["fe80::51/64", "2001:db8::10/64"]))]), dual())
}

fn advert6(source: &str, priority: u8) -> Vec<u8> {
    advert_with(host(source), ip::group(Family::Ipv6), 51, priority, |_| (), Proof::None)
}

/// The effects of one input, whole.
fn effects(bench: &mut Bench, millis: f64, input: Input<'_>) -> Vec<Effect> {
    // Awake until then.
    bench.until(millis - 0.001);
    let mut effects = Vec::new();
    bench.agent.handle(instant(millis), input, &mut effects);
    // A claim is carried out once its advert has left.
    while bench.agent.next_deadline().is_some_and(|due| due <= instant(millis)) {
        bench.agent.handle(instant(millis), Input::Tick, &mut effects);
    }
    effects.retain(|effect| !matches!(effect, Effect::Record(_)));
    effects
}

#[test]
fn an_ipv6_router_claims_announces_and_then_asks_for_duplicates() {
    let mut bench = six();
    let lines = bench.until(9_000.0);
    let expected = [
        "3609.375 advert 100",
        // Beside addresses of the host's own in the subnets: ours share no route with them.
        "3609.375 add fe80::51/128 2001:db8::10/128",
        "3609.375 backup -> active: active-silent",
        "4609.375 advert 100",
        "4609.375 announce fe80::51 2001:db8::10",
        "5609.375 advert 100",
        "5609.375 announce fe80::51 2001:db8::10",
        "6609.375 advert 100",
        "7609.375 advert 100",
        "8609.375 advert 100",
        "8609.375 announce fe80::51 2001:db8::10",
        "8659.375 probe fe80::51 2001:db8::10",
    ];
    assert_eq!(lines, expected);
    let status = bench.status();
    assert_eq!((status.family.as_str(), status.version, status.transport.as_str()), ("ipv6", 3, "multicast"));
    assert_eq!(status.active.as_deref(), Some("fe80::2"));
}

#[test]
fn its_adverts_go_from_the_link_local_address_to_the_group() {
    let mut bench = six();
    let due = effects(&mut bench, 3_609.375, Input::Tick);
    let Some(Effect::SendAdvert { packet, destination, .. }) = due.first() else { panic!("{due:?}") };
    assert_eq!(*destination, host("ff02::12"));
    let expected: &[u8] = &[
        0x6c, 0, 0, 0, 0, 40, 112, 255, // IPv6, 40 bytes of VRRP, hop limit 255
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // fe80::2
        0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, // ff02::12
        0x31, 51, 100, 2, 0, 100, // version 3, VRID, priority, two addresses, 1 s
    ];
    assert_eq!(packet.get(..46), Some(expected));
    let Some(Effect::AddAddresses { additions, .. }) = due.get(1) else { panic!("{due:?}") };
    let heard = nd::parse_advertisement(&additions[1].announcement).expect("a Neighbor Advertisement");
    assert_eq!(heard.claim.address, host("2001:db8::10"));
    assert!(heard.overriding && !heard.solicited && !heard.router);
}

#[test]
fn the_router_flag_follows_the_interfaces_forwarding() {
    let router = router(51, 255, &["fe80::51/64"]);
    for forwards_ipv6 in [false, true] {
        let mut bench = Bench::new(config(&[("web", router.clone())]));
        bench.interface(0.0, Some(InterfaceFacts { forwards_ipv6, ..dual() }));
        let started = effects(&mut bench, 0.0, Input::Tick);
        let frame = started.iter().find_map(|effect| match effect {
            Effect::AddAddresses { additions, .. } => additions.first().map(|addition| &addition.announcement),
            _ => None,
        });
        let heard = nd::parse_advertisement(frame.expect("an addition")).expect("a Neighbor Advertisement");
        assert_eq!(heard.router, forwards_ipv6);
    }
}

#[test]
fn of_two_active_ipv6_routers_with_one_priority_the_higher_source_stays() {
    let mut bench = six();
    bench.until(4_000.0);
    let lines = bench.packet(4_100.0, &advert6("fe80::1", 100));
    assert_eq!(lines.last().unwrap(), "4100.000 advert 100");
    let lines = bench.packet(4_400.0, &advert6("fe80::3", 100));
    assert_eq!(lines.last().unwrap(), "4400.000 active -> backup: tie-break");
}

#[test]
fn adverts_of_one_family_stand_for_the_addresses_of_both() {
    let mut bench = Bench::up(config(&[("web", router(51, 100, &["198.51.100.10/24", "2001:db8::10/64"]))]), dual());
    let due = effects(&mut bench, 3_609.375, Input::Tick);
    let Some(Effect::SendAdvert { packet, destination, .. }) = due.first() else { panic!("{due:?}") };
    assert_eq!((*destination, packet.get(20..24)), (host("224.0.0.18"), Some([0x31, 51, 100, 1].as_slice())));
    assert_eq!(packet.get(28..), Some([198, 51, 100, 10].as_slice()));
    let Some(Effect::AddAddresses { additions, .. }) = due.get(1) else { panic!("{due:?}") };
    let added: Vec<_> = additions.iter().map(|addition| (addition.address, addition.prefix)).collect();
    assert_eq!(added, [(net("198.51.100.10/24"), 24), (net("2001:db8::10/64"), 128)]);
    let claims: Vec<_> = additions.iter().map(|addition| announcement::parse(&addition.announcement)).collect();
    let claim = |address| Some(Announcement { address: host(address), mac: MacAddr([2, 0, 0, 0, 0, 2]) });
    assert_eq!(claims, [claim("198.51.100.10"), claim("2001:db8::10")]);
}

#[test]
fn each_family_has_vrids_of_its_own() {
    let routers = [("four", router(51, 100, &["198.51.100.10/24"])), ("six", router(51, 100, &["fe80::51/64"]))];
    let mut bench = Bench::up(config(&routers), dual());
    for second in 1..8 {
        bench.packet(f64::from(second) * 1_000.0, &advert6("fe80::3", 200));
    }
    let clock = locum::report::WallClock { at: instant(8_000.0), unix_nanos: 0 };
    let status = bench.agent.snapshot(clock);
    assert_eq!(status.routers["four"].state.word(), "active");
    assert_eq!(status.routers["six"].state.word(), "backup");
    assert_eq!(status.routers["six"].peers[0].address, "fe80::3");
    assert!(status.routers["four"].peers.is_empty());
}

#[test]
fn an_advert_to_the_ipv6_group_comes_from_a_link_local_address() {
    let mut bench = six();
    assert_eq!(bench.packet(100.0, &advert6("2001:db8::3", 200)), ["100.000 discarded source and 0 more"]);
    assert_eq!(bench.status().counters.adverts_received, 0);
}

/// A lease is as long as four intervals and ends up to 1.05 s late, and whoever was preempted has just renewed it.
#[test]
fn the_kernel_of_a_dead_holder_is_no_duplicate_while_its_lease_may_last() {
    let mut router = router(51, 100, &["fe80::51/64", "2001:db8::10/64"]);
    router.advert_interval = Interval::from_duration(Duration::from_secs(5)).unwrap();
    let mut bench = Bench::up(config(&[("web", router)]), dual());
    let lines = bench.until(19_000.0);
    assert_eq!(lines.first().map(String::as_str), Some("18046.875 advert 100"));
    let claimed = 18_046.875;
    for seconds in [2.1, 6.0, 21.0] {
        let lines = bench.announcement(claimed + seconds * 1_000.0, "2001:db8::10", THIRD_MAC);
        assert!(!lines.iter().any(|line| line.contains("probe") || line.contains("mistake")), "{lines:?}");
    }
    // Caches may believe it by now.
    let expected = ["39046.875 announce fe80::51 2001:db8::10", "39096.875 probe fe80::51 2001:db8::10"];
    assert_eq!(bench.until(claimed + 21_050.0), expected);
    assert_eq!(bench.status_at(39_100.0).state, RouterState::Active);
}

/// Whoever hears it while it is already settled that the address is ours has it too.
#[test]
fn an_answer_to_the_search_for_duplicates_is_a_fault() {
    let mut bench = six();
    bench.until(4_000.0);
    // The one before us may still answer.
    assert_eq!(
        bench.announcement(5_600.0, "2001:db8::10", THIRD_MAC),
        ["4609.375 advert 100", "4609.375 announce fe80::51 2001:db8::10"]
    );
    bench.until(8_700.0);
    assert_eq!(
        bench.announcement(8_800.0, "2001:db8::10", THIRD_MAC),
        ["8800.000 mistake foreign-answer of 02:00:00:00:00:09"]
    );
    // A router that is Active too would have said so by then: an interval and a quarter, and 20 ms.
    let lines = bench.until(10_071.0);
    let expected = [
        "8800.000 announce fe80::51 2001:db8::10",
        "9609.375 advert 100",
        "9800.000 announce fe80::51 2001:db8::10",
        "10070.000 probe fe80::51 2001:db8::10",
    ];
    assert_eq!(lines, expected);
    let lines = bench.announcement(10_100.0, "2001:db8::10", THIRD_MAC);
    let expected = [
        "10100.000 advert 0",
        "10100.000 active -> fault: duplicate-address",
        "10100.000 remove fe80::51/128 2001:db8::10/128",
        "10100.000 released: at once",
    ];
    assert_eq!(lines, expected);
    let words = "the host at 02:00:00:00:00:09 has 2001:db8::10 too: remove it there, or here from `addresses`, or if that \
                 is a host of this virtual router, see in both logs why one does not hear the other";
    assert_eq!(bench.status().words, words);
    // It is tried anew.
    assert_eq!(bench.until(20_150.0), ["20100.000 fault -> backup: recovered"]);
}

/// A partition has healed, and whoever heard us gives way: its kernel may answer a last time, and it says nothing more.
#[test]
fn who_has_gone_when_it_is_asked_again_was_no_duplicate() {
    let mut bench = six();
    bench.until(8_700.0);
    bench.announcement(8_800.0, "2001:db8::10", THIRD_MAC);
    let lines = bench.until(23_000.0);
    assert!(lines.contains(&"10070.000 probe fe80::51 2001:db8::10".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("fault")), "{lines:?}");
    // Nor is whoever claims it long after.
    let lines = bench.announcement(23_001.0, "2001:db8::10", THIRD_MAC);
    assert!(!lines.iter().any(|line| line.contains("fault")), "{lines:?}");
}

/// Each attempt takes the addresses from whoever has them by then, and gives them back.
#[test]
fn a_duplicate_that_stays_is_tried_ever_more_seldom() {
    let mut bench = six();
    let mut faults = Vec::new();
    for step in 0..30_000 {
        let millis = f64::from(step) * 100.0;
        let mut lines = bench.until(millis);
        if bench.status_at(millis).state == RouterState::Active {
            lines.extend(bench.announcement(millis + 1.0, "2001:db8::10", THIRD_MAC));
        }
        faults.extend(lines.into_iter().filter(|line| line.contains("duplicate-address")));
    }
    let at = |line: &String| line.split(' ').next().unwrap().parse::<f64>().unwrap() / 1_000.0;
    let pauses: Vec<f64> = faults.windows(2).map(|pair| at(&pair[1]) - at(&pair[0])).collect();
    // Each with some ten seconds to claim, to search, and to wait for a rival's advert.
    let least = [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0, 600.0];
    assert!(pauses.len() >= least.len(), "{pauses:?}");
    assert!(pauses.iter().zip(least).all(|(pause, least)| (least..least + 11.0).contains(pause)), "{pauses:?}");
}

/// Both had claimed while they did not hear each other; were both to leave, nobody would hold the addresses.
#[test]
fn a_rival_that_announces_before_it_adverts_is_no_duplicate() {
    for (priority, stays) in [(90, true), (110, false)] {
        let mut bench = six();
        bench.until(8_700.0);
        bench.announcement(8_800.0, "2001:db8::10", THIRD_MAC);
        bench.packet(9_700.0, &advert6("fe80::1", priority));
        let lines = bench.until(12_000.0);
        assert!(!lines.iter().any(|line| line.contains("fault")), "{lines:?}");
        assert_eq!(bench.status().state == RouterState::Active, stays);
    }
}

#[test]
fn what_is_no_answer_to_the_search_is_no_fault() {
    let searching = || {
        let mut bench = six();
        bench.until(8_700.0);
        bench
    };
    // Our own frame come back, another address, another interface's, and one after the time for answers.
    let mut bench = searching();
    assert_eq!(bench.announcement(8_800.0, "2001:db8::10", MacAddr([2, 0, 0, 0, 0, 2])), [""; 0]);
    assert_eq!(bench.announcement(8_800.0, "2001:db8::11", THIRD_MAC), [""; 0]);
    let bytes = announcement::emit(Announcement { address: host("2001:db8::10"), mac: THIRD_MAC }, false);
    assert_eq!(bench.give(8_800.0, Input::Frame { interface: "eth1".parse().unwrap(), bytes: &bytes }), [""; 0]);
    bench.until(9_700.0);
    assert_eq!(
        bench.announcement(9_700.0, "2001:db8::10", THIRD_MAC),
        ["9700.000 mistake foreign-answer of 02:00:00:00:00:09"]
    );
    // Another Active router: who lets go is for the election to say.
    let mut bench = searching();
    bench.packet(8_750.0, &advert6("fe80::1", 90));
    let lines = bench.announcement(8_800.0, "2001:db8::10", THIRD_MAC);
    assert!(!lines.iter().any(|line| line.contains("fault")), "{lines:?}");
}

#[test]
fn without_an_address_to_send_from_the_fault_says_which() {
    let peers = |router: locum::config::RouterConfig, peers: &[&str]| locum::config::RouterConfig {
        unicast_peers: peers.iter().map(|peer| host(peer)).collect(),
        ..router
    };
    let (four, six) = (router(51, 100, &["198.51.100.10/24"]), router(51, 100, &["fe80::51/64"]));
    let source = locum::config::RouterConfig { source: Some(host("192.0.2.7")), ..four.clone() };
    let cases = [
        (
            six.clone(),
            vec!["192.0.2.2/24", "2001:db8::2/64"],
            "it has no link-local IPv6 address of its own to send adverts from",
        ),
        // A virtual address is nobody's own.
        (six.clone(), vec!["fe80::51/64"], "it has no link-local IPv6 address of its own to send adverts from"),
        (
            peers(six.clone(), &["2001:db8::3"]),
            vec!["fe80::2/64"],
            "it has no global IPv6 address of its own to reach its peers from",
        ),
        (source, vec!["192.0.2.2/24"], "it does not have 192.0.2.7, the `source` of the adverts"),
    ];
    for (router, addresses, words) in cases {
        let addresses = addresses.into_iter().map(net).collect();
        let bench = Bench::up(config(&[("web", router)]), InterfaceFacts { addresses, ..facts() });
        assert_eq!(bench.status().words, format!("waiting for interface eth0: {words}"));
    }
    let bench = Bench::up(config(&[("web", peers(four, &["192.0.2.3", "192.0.2.2"]))]), facts());
    assert_eq!(
        bench.status().words,
        "`unicast_peers` names 192.0.2.2, which is this host's own: list the other nodes only"
    );
}

#[test]
fn the_source_of_ipv6_does_not_depend_on_the_kernels_order() {
    for addresses in [["fe80::9/64", "fe80::2/64", "fe80::51/64"], ["fe80::51/64", "fe80::2/64", "fe80::9/64"]] {
        let addresses = addresses.map(net).to_vec();
        let router = router(51, 100, &["fe80::51/64"]);
        let mut bench = Bench::up(config(&[("web", router)]), InterfaceFacts { addresses, ..facts() });
        bench.until(4_000.0);
        assert_eq!(bench.status().active.as_deref(), Some("fe80::2"));
    }
}

fn hosts(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn eth1() -> InterfaceName {
    "eth1".parse().unwrap()
}

/// Adverts of VRID 51, of anybody.
fn plain(family: Family) -> AwaitedAdverts {
    AwaitedAdverts { family, version: Version::V3, vrid: Vrid::new(51).unwrap(), senders: Vec::new(), keys: None }
}

#[test]
fn an_address_on_another_interface_is_added_and_announced_there() {
    let mut web = router(51, 100, &["198.51.100.10/24", "2001:db8::10/64"]);
    web.addresses[1].interface = eth1();
    let mut bench = Bench::new(config(&[("web", web)]));
    let listens = effects(&mut bench, 0.0, Input::Interface { name: eth0(), facts: Some(facts()) });
    let both = [Channel::Adverts(Family::Ipv4), Channel::Announcements(Family::Ipv4)];
    assert_eq!(
        listens,
        [Effect::Listen {
            interface: eth0(),
            index: 2,
            channels: both.into(),
            addresses: hosts(&["198.51.100.10"]),
            awaited: vec![plain(Family::Ipv4)],
        }]
    );
    let other = InterfaceFacts { index: 3, mac: Some(THIRD_MAC), addresses: Vec::new(), ..facts() };
    let listens = effects(&mut bench, 0.0, Input::Interface { name: eth1(), facts: Some(other) });
    let one = [Channel::Announcements(Family::Ipv6)];
    assert_eq!(
        listens,
        [Effect::Listen {
            interface: eth1(),
            index: 3,
            channels: one.into(),
            addresses: hosts(&["2001:db8::10"]),
            awaited: Vec::new(),
        }]
    );
    bench.give(0.0, Input::Tick);
    let due = effects(&mut bench, 3_609.375, Input::Tick);
    let added: Vec<_> = due
        .iter()
        .filter_map(|effect| match effect {
            Effect::AddAddresses { interface, index, additions, .. } => {
                Some((*interface, *index, additions.iter().map(|addition| addition.address).collect::<Vec<_>>()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(added, [(eth0(), 2, vec![net("198.51.100.10/24")]), (eth1(), 3, vec![net("2001:db8::10/64")])]);
    // Its interface is as needed as that of the adverts.
    let lines = bench.give(4_000.0, Input::Interface { name: eth1(), facts: None });
    assert!(lines.contains(&"4000.000 active -> fault: interface-missing".to_owned()), "{lines:?}");
}

#[test]
fn a_channel_that_cannot_be_opened_stops_those_alone_that_need_it() {
    let routers = [("four", router(51, 100, &["198.51.100.10/24"])), ("six", router(51, 100, &["fe80::51/64"]))];
    let mut bench = Bench::up(config(&routers), dual());
    let failed = |channel| Input::ListenFailed { interface: eth0(), channel, error: "Cannot assign".to_owned() };
    let lines = bench.give(100.0, failed(Channel::Adverts(Family::Ipv6)));
    assert_eq!(lines, ["100.000 six: backup -> fault: socket-failed"]);
    assert_eq!(
        bench.give(200.0, failed(Channel::Announcements(Family::Ipv4))),
        ["200.000 four: backup -> fault: socket-failed"]
    );
    let clock = locum::report::WallClock { at: instant(300.0), unix_nanos: 0 };
    let words = &bench.agent.snapshot(clock).routers["six"].words;
    assert_eq!(words, "cannot listen to adverts over IPv6 on interface eth0: Cannot assign");
    // Both are asked for again, with those that are open.
    let again = effects(&mut bench, 10_200.0, Input::Tick);
    let all = [
        Channel::Adverts(Family::Ipv4),
        Channel::Adverts(Family::Ipv6),
        Channel::Announcements(Family::Ipv4),
        Channel::Announcements(Family::Ipv6),
    ];
    let addresses = hosts(&["198.51.100.10", "fe80::51"]);
    let awaited = vec![plain(Family::Ipv4), plain(Family::Ipv6)];
    let listen = Effect::Listen { interface: eth0(), index: 2, channels: all.into(), addresses, awaited };
    assert!(again.contains(&listen), "{again:?}");
}
