//! Version 2, and unicast: whose adverts count, and how ours go out.

use std::net::{IpAddr, Ipv4Addr};

use locum::config::RouterConfig;
use locum::proto::{Effect, Input};
use locum::types::{ChecksumForm, Discard, Family, Interval, Password, Version};
use locum::wire::ip;
use locum::wire::vrrp::{Advertisement, Proof};

use super::bench::*;

const FOURTH: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 4);
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn up(change: impl FnOnce(&mut RouterConfig)) -> Bench {
    let mut router = web();
    change(&mut router);
    Bench::up(config(&[("web", router)]), facts())
}

fn version_2(password: Option<&[u8]>, centiseconds: u16) -> Bench {
    up(|router| {
        router.version = Version::V2;
        router.password = password.and_then(Password::new);
        router.advert_interval = Interval::from_centiseconds(centiseconds).unwrap();
    })
}

fn heard(bench: &mut Bench, millis: f64, change: impl FnOnce(&mut Advertisement), proof: Proof<'_>) -> Vec<String> {
    let group = ip::group(Family::Ipv4);
    bench.packet(millis, &advert_with(PEER.into(), group, 51, 200, change, proof))
}

fn as_version_2(centiseconds: u16) -> impl FnOnce(&mut Advertisement) {
    move |advertisement| {
        advertisement.version = Version::V2;
        advertisement.interval = Interval::from_centiseconds(centiseconds).unwrap();
    }
}

fn proof(password: &[u8]) -> Proof<'static> {
    Proof::Password(Password::new(password).unwrap())
}

/// The whole of the first advert after a silence.
fn first_advert(bench: &mut Bench, millis: f64) -> Vec<u8> {
    // Awake until then.
    bench.until(millis - 0.001);
    let mut effects = Vec::new();
    bench.agent.handle(instant(millis), Input::Tick, &mut effects);
    match effects.into_iter().next() {
        Some(Effect::SendAdvert { packet, .. }) => packet,
        other => panic!("{other:?}"),
    }
}

/// (256 - 100) / 256 s beside three intervals, whatever these are.
#[test]
fn the_skew_of_version_2_is_part_of_a_second() {
    assert_eq!(version_2(None, 100).until(3_700.0)[0], "3609.375 advert 100");
    assert_eq!(version_2(None, 500).until(15_700.0)[0], "15609.375 advert 100");
    // After a resignation, too.
    let mut bench = version_2(None, 500);
    heard(&mut bench, 1_000.0, as_version_2(500), Proof::None);
    let resigned = advert_with(PEER.into(), ip::group(Family::Ipv4), 51, 0, as_version_2(500), Proof::None);
    bench.packet(2_000.0, &resigned);
    assert_eq!(bench.until(2_700.0)[0], "2609.375 advert 100");
}

#[test]
fn version_2_is_written_with_its_password_and_without() {
    let packet = first_advert(&mut version_2(Some(b"secret"), 200), 6_609.375);
    // Version 2, VRID, priority, one address, a password, 2 s; then checksum, address and the password.
    assert_eq!(packet.get(20..26), Some([0x21, 51, 100, 1, 1, 2].as_slice()));
    assert_eq!(packet.get(28..), Some([198, 51, 100, 10, b's', b'e', b'c', b'r', b'e', b't', 0, 0].as_slice()));
    let packet = first_advert(&mut version_2(None, 100), 3_609.375);
    assert_eq!(packet.get(20..26), Some([0x21, 51, 100, 1, 0, 1].as_slice()));
    assert_eq!(packet.get(32..), Some([0; 8].as_slice()));
}

#[test]
fn version_2_wants_the_same_interval_and_password() {
    let cases: [(Option<&[u8]>, u16, Proof<'_>, &str); 6] = [
        (Some(b"secret"), 100, proof(b"secret"), ""),
        (None, 100, Proof::None, ""),
        (Some(b"secret"), 100, proof(b"other"), "password"),
        (Some(b"secret"), 100, Proof::None, "password"),
        (None, 100, proof(b"secret"), "password"),
        (None, 200, Proof::None, "interval"),
    ];
    for (ours, centiseconds, theirs, reason) in cases {
        let mut bench = version_2(ours, 100);
        let lines = heard(&mut bench, 1_000.0, as_version_2(centiseconds), theirs);
        let accepted = bench.status().counters.adverts_received;
        if reason.is_empty() {
            assert_eq!((lines.as_slice(), accepted), ([].as_slice(), 1));
        } else {
            assert_eq!(lines, [format!("1000.000 mistake {reason} of 192.0.2.3")]);
            assert_eq!(accepted, 0);
            // It puts nothing off.
            assert_eq!(bench.until(3_700.0)[0], "3609.375 advert 100");
        }
    }
}

#[test]
fn the_other_version_is_told_by_its_number() {
    let mut bench = node();
    assert_eq!(heard(&mut bench, 1_000.0, as_version_2(100), Proof::None), ["1000.000 mistake version-2 of 192.0.2.3"]);
    assert_eq!(bench.status().counters.discards.get("version-2"), Some(&1));
    let mut bench = version_2(None, 100);
    assert_eq!(heard(&mut bench, 1_000.0, |_| (), Proof::None), ["1000.000 mistake version-3 of 192.0.2.3"]);
    assert!(Discard::Version2.words().starts_with("the other side speaks version 2"));
}

fn unicast() -> Bench {
    up(|router| router.unicast_peers = vec![PEER.into(), FOURTH.into()])
}

fn to(source: Ipv4Addr, destination: IpAddr, priority: u8) -> Vec<u8> {
    advert_with(source.into(), destination, 51, priority, |_| (), Proof::None)
}

#[test]
fn unicast_adverts_go_to_every_peer_and_to_nobody_else() {
    let mut bench = unicast();
    let lines = bench.until(4_000.0);
    assert_eq!(
        lines[..3],
        ["3609.375 advert 100 to 192.0.2.3", "3609.375 advert 100 to 192.0.2.4", "3609.375 add 198.51.100.10/24"]
    );
    assert_eq!(bench.status().counters.adverts_sent, 1);
    assert_eq!(bench.status().transport, "unicast");
    let lines = bench.give(4_100.0, Input::Stop);
    assert_eq!(lines[..2], ["4100.000 advert 0 to 192.0.2.3", "4100.000 advert 0 to 192.0.2.4"]);
}

#[test]
fn unicast_adverts_count_from_peers_alone() {
    let mut bench = unicast();
    let stranger = Ipv4Addr::new(192, 0, 2, 66);
    assert_eq!(bench.packet(1_000.0, &to(stranger, OWN.into(), 200)), ["1000.000 discarded unlisted and 0 more"]);
    // A listed one that speaks to the group is set up otherwise.
    let group = ip::group(Family::Ipv4);
    assert_eq!(bench.packet(1_100.0, &to(PEER, group, 200)), ["1100.000 discarded destination and 0 more"]);
    let mut far = to(PEER, OWN.into(), 200);
    far[8] = 254;
    assert_eq!(bench.packet(1_200.0, &far), ["1200.000 discarded ttl and 0 more"]);
    assert_eq!(bench.status().counters.adverts_received, 0);
    assert_eq!(bench.packet(1_300.0, &to(FOURTH, OWN.into(), 200)), [""; 0]);
    let status = bench.status();
    let peer = &status.peers[0];
    assert_eq!((peer.address.as_str(), peer.transport.as_str()), ("192.0.2.4", "unicast"));
    assert_eq!((peer.family.as_str(), peer.version, peer.checksum.as_str()), ("ipv4", 3, "pseudo-header"));
}

#[test]
fn a_stranger_is_named_in_the_log() {
    let mut bench = unicast();
    let packet = to(Ipv4Addr::new(192, 0, 2, 66), OWN.into(), 200);
    let mut effects = Vec::new();
    let input = Input::Packet { interface: eth0(), received: instant(1_000.0), bytes: &packet };
    bench.agent.handle(instant(1_000.0), input, &mut effects);
    let [Effect::Tell(event)] = effects.as_slice() else { panic!("{effects:?}") };
    let words = "web: packet on eth0 from 192.0.2.66 discarded: its sender is not among `unicast_peers`: add it there if it \
                 is one of this virtual router's hosts";
    assert_eq!(event.to_string(), words);
}

#[test]
fn a_multicast_router_hears_no_unicast() {
    let mut bench = node();
    assert_eq!(bench.packet(1_000.0, &to(PEER, OWN.into(), 200)), ["1000.000 discarded destination and 0 more"]);
}

#[test]
fn the_configured_source_is_used_and_stays_ours() {
    let mut bench = Bench::up(
        config(&[("web", RouterConfig { source: Some([192, 0, 2, 9].into()), ..web() })]),
        locum::types::InterfaceFacts { addresses: vec![net("192.0.2.2/24"), net("192.0.2.9/24")], ..facts() },
    );
    let packet = first_advert(&mut bench, 3_609.375);
    assert_eq!(packet.get(12..16), Some([192, 0, 2, 9].as_slice()));
    bench.until(3_700.0);
    assert_eq!(bench.hear(4_000.0, Ipv4Addr::new(192, 0, 2, 9), 200), ["4000.000 discarded own-packet and 0 more"]);
}

#[test]
fn an_advert_that_reaches_one_peer_is_no_failure() {
    let mut bench = unicast();
    bench.until(3_700.0);
    let failed = || Input::SendFailed { router: "web".parse().unwrap(), error: "No route to host".to_owned() };
    for second in 4..20 {
        bench.until(f64::from(second) * 1_000.0 + 609.375);
        assert_eq!(bench.give(f64::from(second) * 1_000.0 + 610.0, failed()), [""; 0]);
    }
    assert_eq!(bench.status().state.word(), "active");
    assert_eq!(bench.status().counters.send_errors, 16);
    // None at all for as long as a backup waits is one.
    bench.mute = true;
    let lines = bench.until(24_700.0);
    assert!(lines.iter().any(|line| line.ends_with("active -> fault: send-failed")), "{lines:?}");
}

#[test]
fn the_checksum_is_made_as_configured() {
    for (form, sum) in [(ChecksumForm::PseudoHeader, [0x9d, 0x97]), (ChecksumForm::Message, [0x40, 0x29])] {
        let packet = first_advert(&mut up(|router| router.checksum = form), 3_609.375);
        assert_eq!(packet.get(26..28), Some(sum.as_slice()), "{form:?}");
    }
}

#[test]
fn a_peer_that_lists_other_addresses_is_shown() {
    let mut bench = node();
    heard(&mut bench, 1_000.0, |_| (), Proof::None);
    assert!(bench.status().peers[0].lists_our_addresses);
    heard(&mut bench, 1_100.0, |advert| advert.addresses = vec![[198, 51, 100, 11].into()], Proof::None);
    assert!(!bench.status().peers[0].lists_our_addresses);
    assert_eq!(bench.status().counters.adverts_received, 2);
}
