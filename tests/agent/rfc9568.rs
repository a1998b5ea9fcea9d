//! Rules of RFC 9568 that no other scenario is about.

use locum::config::RouterConfig;
use locum::proto::{Effect, Input};
use locum::types::{Family, InterfaceFacts, Interval, MacAddr, Version};
use locum::wire::ip;
use locum::wire::vrrp::{Advertisement, Proof};

use super::bench::*;

/// The source address of the first advert after a silence.
fn source(bench: &mut Bench, millis: f64) -> Option<Vec<u8>> {
    let mut effects = Vec::new();
    bench.until(millis - 0.001);
    bench.agent.handle(instant(millis), Input::Tick, &mut effects);
    effects.iter().find_map(|effect| match effect {
        Effect::SendAdvert { packet, .. } => packet.get(12..16).map(<[u8]>::to_vec),
        _ => None,
    })
}

#[test]
fn adverts_come_from_the_first_address_that_is_no_virtual_one() {
    let addresses = ["198.51.100.10/24", "192.0.2.9/24", "192.0.2.2/24"].map(net).to_vec();
    let mut bench = Bench::up(config(&[("web", web())]), InterfaceFacts { addresses, ..facts() });
    assert_eq!(source(&mut bench, 3_609.375), Some(vec![192, 0, 2, 9]));
}

#[test]
fn nobody_but_the_owner_sends_from_a_virtual_address() {
    let addresses = vec![net("198.51.100.10/24")];
    let there = || InterfaceFacts { addresses: addresses.clone(), ..facts() };
    let bench = Bench::up(config(&[("web", web())]), there());
    assert_eq!(bench.status().state.word(), "fault");
    let mut owner = Bench::new(config(&[("web", router(51, 255, &["198.51.100.10/24"]))]));
    owner.interface(0.0, Some(there()));
    assert_eq!(source(&mut owner, 0.0), Some(vec![198, 51, 100, 10]));
}

#[test]
fn an_advert_on_another_interface_is_for_another_virtual_router() {
    let mut bench = node();
    bench.give(
        0.0,
        Input::Interface { name: "eth1".parse().unwrap(), facts: Some(InterfaceFacts { index: 3, ..facts() }) },
    );
    let packet = advert(PEER, 51, 200);
    let interface = "eth1".parse().unwrap();
    bench.give(1_000.0, Input::Packet { interface, received: instant(1_000.0), bytes: &packet });
    assert_eq!(bench.status().counters.adverts_received, 0);
    assert!(bench.status().peers.is_empty());
    assert_eq!(bench.until(3_700.0)[0], "3609.375 advert 100");
}

#[test]
fn the_virtual_router_of_an_interface_hears_its_adverts() {
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    assert_eq!(bench.status().counters.adverts_received, 1);
    assert_eq!(bench.until(4_600.0), [""; 0]);
    assert_eq!(bench.until(4_700.0)[0], "4609.375 advert 100");
}

#[test]
fn a_backup_neither_has_nor_announces_the_address() {
    let mut bench = node();
    for second in 1..60 {
        assert_eq!(bench.hear(f64::from(second) * 1_000.0, PEER, 200), [""; 0]);
    }
    assert!(bench.here.is_empty());
}

#[test]
fn nothing_is_announced_that_the_kernel_refused() {
    let mut bench = node();
    bench.outcome = Some(locum::types::AddressOutcome::Failed("Permission denied".to_owned()));
    let lines = bench.until(9_000.0);
    assert!(lines.iter().any(|line| line.contains("add 198.51.100.10/24")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("announce")), "{lines:?}");
}

#[test]
fn another_hardware_address_of_the_interface_is_announced_at_once() {
    let mut bench = active_node();
    bench.until(20_000.0);
    let mac = MacAddr([2, 0, 0, 0, 0, 0x22]);
    let mut effects = Vec::new();
    let news = Input::Interface { name: eth0(), facts: Some(InterfaceFacts { mac: Some(mac), ..facts() }) };
    bench.agent.handle(instant(20_000.0), news, &mut effects);
    bench.agent.handle(instant(20_000.0), Input::Tick, &mut effects);
    let frames = effects.iter().find_map(|effect| match effect {
        Effect::Announce { frames, .. } => Some(frames),
        _ => None,
    });
    // From and for the new one: source of the frame, and sender's hardware address in the ARP packet.
    let frame = frames.and_then(|frames| frames.first()).expect("an announcement");
    assert_eq!([frame.get(6..12), frame.get(22..28)], [Some(mac.0.as_slice()); 2]);
}

#[test]
fn a_router_in_fault_hears_nothing_and_says_nothing() {
    let mut bench = active_node();
    bench.interface(4_100.0, Some(InterfaceFacts { up: false, ..facts() }));
    for (second, priority) in (5..15).zip([0, 1, 100, 200, 255].into_iter().cycle()) {
        let lines = bench.hear(f64::from(second) * 1_000.0, PEER, priority);
        // Who is odd is said in any state.
        assert!(lines.iter().all(|line| line.contains("same-priority")), "{lines:?}");
    }
    assert_eq!(bench.status().state.word(), "fault");
}

#[test]
fn adverts_are_made_with_the_configured_checksum_whatever_the_peer_sends() {
    let mut bench = active_node();
    let mut packet = advert(PEER, 51, 50);
    // Over the message alone: ~(3133 + 3201 + 0064 + c633 + 640a) = ~(18dd5 -> 8dd6) = 7229.
    packet[26..28].copy_from_slice(&[0x72, 0x29]);
    let mut effects = Vec::new();
    let input = Input::Packet { interface: eth0(), received: instant(4_100.0), bytes: &packet };
    bench.agent.handle(instant(4_100.0), input, &mut effects);
    assert_eq!(bench.status().peers[0].checksum, "message");
    let Some(Effect::SendAdvert { packet, .. }) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(packet.get(26..28), Some([0x9d, 0x97].as_slice()));
    // A form in use is no licence for any sum.
    let mut wrong = advert(PEER, 51, 200);
    wrong[26..28].copy_from_slice(&[0x72, 0x2a]);
    assert_eq!(bench.packet(4_200.0, &wrong), ["4200.000 discarded checksum and 0 more"]);
}

#[test]
fn an_active_that_is_late_once_is_told_of_with_who_it_is() {
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    // Its next advert is late by more than three intervals: that is a flap of the LAN's own making.
    let lines = bench.until(4_650.0);
    assert_eq!(lines.last().map(String::as_str), Some("4609.375 backup -> active: active-silent"));
    assert_eq!(bench.hear(4_700.0, PEER, 200), ["4700.000 active -> backup: higher-priority"]);
    let status = bench.status();
    let reasons: Vec<&str> = status.last_transitions.iter().map(|change| change.reason.as_str()).collect();
    assert!(reasons.ends_with(&["active-silent", "higher-priority"]), "{reasons:?}");
    assert!(status.words.contains("192.0.2.3"), "{}", status.words);
}

#[test]
fn a_change_keeps_the_date_that_the_log_told() {
    let mut bench = node();
    // 22:13:20 on 14 November 2023.
    bench.give(1_000.0, Input::WallClock { unix_nanos: 1_700_000_000_000_000_000 });
    bench.hear(1_000.0, PEER, 200);
    bench.until(4_650.0);
    // Steered, or set by somebody: what was told is told alike.
    for unix_nanos in [1_700_000_003_651_000_000, 1_600_000_000_000_000_000] {
        bench.give(4_651.0, Input::WallClock { unix_nanos });
        let status = bench.status_at(4_651.0);
        assert_eq!(status.last_transitions.last().unwrap().at, "2023-11-14T22:13:23.609Z");
        assert_eq!(status.since, "2023-11-14T22:13:23.609Z");
    }
}

/// An advert of the peer, changed.
fn changed(priority: u8, change: impl FnOnce(&mut Advertisement)) -> Vec<u8> {
    advert_with(PEER.into(), ip::group(Family::Ipv4), 51, priority, change, Proof::None)
}

#[test]
fn a_slower_active_router_is_given_its_own_time() {
    let mut bench = node();
    let slower = changed(200, |advert| advert.interval = Interval::from_centiseconds(300).unwrap());
    assert_eq!(bench.packet(1_000.0, &slower), ["1000.000 mistake other-interval of 192.0.2.3"]);
    // 3 * 3 s + 156 / 256 * 3 s later, not 3.6 s.
    assert_eq!(bench.until(11_828.0), [""; 0]);
    assert_eq!(bench.until(11_829.0)[0], "11828.125 advert 100");
}

#[test]
fn version_2_counts_no_advert_of_another_interval() {
    let mut bench = Bench::up(config(&[("web", RouterConfig { version: Version::V2, ..web() })]), facts());
    let as_configured = changed(200, |advert| advert.version = Version::V2);
    assert_eq!(bench.packet(1_000.0, &as_configured), [""; 0]);
    let slower = changed(200, |advert| {
        advert.version = Version::V2;
        advert.interval = Interval::from_centiseconds(300).unwrap();
    });
    assert_eq!(bench.packet(2_000.0, &slower), ["2000.000 mistake interval of 192.0.2.3"]);
    assert_eq!(bench.until(4_700.0)[0], "4609.375 advert 100");
}

#[test]
fn an_advert_with_another_list_decides_all_the_same() {
    let mut bench = active_node();
    let other = changed(200, |advert| advert.addresses = vec![[198, 51, 100, 77].into()]);
    assert_eq!(
        bench.packet(4_100.0, &other),
        ["4100.000 mistake foreign-router of 192.0.2.3", "4100.000 active -> backup: higher-priority"]
    );
}
