//! Adverts with a trailer: which decide, which do not, and what is told of those.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use locum::config::{AuthConfig, AuthMode, Config};
use locum::proto::Input;
use locum::types::{Family, KeyId, Secret, Sequence, Version};
use locum::wire::authentication::{self, Key};
use locum::wire::ip;
use locum::wire::vrrp::{self, Advertisement, Proof};

use super::bench::*;

/// 2026-11-21 10:23 in UTC, when the bench shows 0.
const EPOCH: u64 = 1_795_256_580_000;
pub const HOUR: f64 = 3_600_000.0;
pub const OURS: &str = "correct horse battery staple, 7.";
const NEXT: &str = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const FOREIGN: &str = "a key of somebody else altogether";

fn id(number: u8) -> KeyId {
    KeyId::new(number).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::parse(text.as_bytes()).unwrap()
}

pub fn unix_nanos(millis: f64) -> u64 {
    (EPOCH * 1_000_000).saturating_add_signed((millis * 1e6) as i64)
}

/// `web` with keys 7 and 8, of which 7 is active.
pub fn authenticated(mode: AuthMode) -> Config {
    let files = BTreeMap::from([(id(7), PathBuf::from("/k/7")), (id(8), PathBuf::from("/k/8"))]);
    let mut router = web();
    router.auth = Some(AuthConfig { mode, active_key: id(7), keys: files });
    let mut config = config(&[("web", router)]);
    config.secrets = BTreeMap::from([("/k/7".into(), secret(OURS)), ("/k/8".into(), secret(NEXT))]);
    config
}

pub fn bench(mode: AuthMode) -> Bench {
    let mut bench = Bench::new(authenticated(mode));
    begin(&mut bench);
    bench
}

fn begin(bench: &mut Bench) {
    clock(bench, 0.0, 0.0);
    bench.interface(0.0, Some(facts()));
    bench.give(0.0, Input::Tick);
}

/// Active since 3609.375.
fn active(mode: AuthMode) -> Bench {
    let mut bench = bench(mode);
    bench.until(4_000.0);
    bench
}

/// The wall clock is wrong by so many milliseconds.
pub fn clock(bench: &mut Bench, millis: f64, wrong: f64) {
    bench.give(millis, Input::WallClock { unix_nanos: unix_nanos(millis + wrong) });
}

/// An advert of the peer as made at a time, under a key.
pub fn sealed(priority: u8, made_at: f64, (number, key): (u8, &str)) -> Vec<u8> {
    let advertisement = Advertisement {
        version: Version::V3,
        vrid: locum::types::Vrid::new(51).unwrap(),
        advertised: locum::types::Advertised::from_byte(priority),
        interval: locum::types::Interval::from_centiseconds(100).unwrap(),
        addresses: vec![Ipv4Addr::new(198, 51, 100, 10).into()],
    };
    let source = IpAddr::V4(PEER);
    let (key, sequence) = (Key::new(&secret(key)), Sequence::at(unix_nanos(made_at)));
    let trailer = |message: &[u8]| authentication::emit(id(number), &key, sequence, source, message);
    let form = locum::types::ChecksumForm::PseudoHeader;
    vrrp::emit(&advertisement, source, ip::group(Family::Ipv4), form, Proof::Trailer(&trailer)).unwrap()
}

pub fn discards(bench: &Bench) -> BTreeMap<String, u64> {
    bench.status().counters.discards
}

#[test]
fn under_enforce_nothing_without_a_genuine_trailer_decides_and_each_reason_is_counted_and_told() {
    let mut bench = active(AuthMode::Enforce);
    assert_eq!(bench.hear(4_100.0, PEER, 200), ["4100.000 mistake auth-missing of 192.0.2.3"]);
    let mut wrong_type = sealed(200, 4_200.0, (7, OURS));
    // Key id 0 is none.
    let at = wrong_type.len() - 27;
    wrong_type[at] = 0;
    assert_eq!(bench.packet(4_200.0, &wrong_type), ["4200.000 mistake auth-malformed of 192.0.2.3"]);
    let unknown = sealed(200, 4_300.0, (9, OURS));
    assert_eq!(bench.packet(4_300.0, &unknown), ["4300.000 mistake auth-unknown-key of 192.0.2.3"]);
    let forged = sealed(200, 4_400.0, (7, FOREIGN));
    assert_eq!(bench.packet(4_400.0, &forged), ["4400.000 mistake auth-bad of 192.0.2.3"]);
    let mut resigned = sealed(200, 4_500.0, (7, OURS));
    resigned[22] = 0;
    resigned[26..28].copy_from_slice(&[0; 2]);
    // Its checksum is wrong as well, which is found first; a right one is no proof either.
    assert_eq!(bench.packet(4_500.0, &resigned), ["4500.000 discarded checksum and 0 more"]);
    let stale = sealed(200, -2_000.0, (7, OURS));
    bench.until(4_650.0);
    bench.packet(4_700.0, &stale);
    let status = bench.status();
    assert_eq!(status.state, locum::report::RouterState::Active);
    let expected = ["auth-bad", "auth-malformed", "auth-missing", "auth-stale", "auth-unknown-key", "checksum"];
    assert_eq!(status.counters.discards, expected.map(|reason| (reason.to_owned(), 1)).into());
    let auth = status.auth.expect("it is configured");
    assert_eq!((auth.mode.as_str(), auth.active_key, auth.keys.as_slice()), ("enforce", 7, &[7, 8][..]));
    let [refused] = auth.refused.as_slice() else { panic!("{:?}", auth.refused) };
    assert_eq!(
        (refused.address.as_str(), refused.reason.as_str(), refused.packets),
        ("192.0.2.3", "auth-stale", 5),
        "somebody is there"
    );
    assert!(status.peers.is_empty());
}

#[test]
fn a_genuine_advert_decides_once_and_never_again() {
    let mut bench = active(AuthMode::Enforce);
    let advert = sealed(200, 4_000.0, (7, OURS));
    assert_eq!(bench.packet(4_100.0, &advert), ["4100.000 active -> backup: higher-priority"]);
    let peer = bench.status().peers.remove(0);
    assert_eq!(peer.key, Some(7));
    assert!(peer.clock_behind_ms.is_some_and(|behind| (99..=101).contains(&behind)), "{peer:?}");
    bench.until(7_500.0);
    // Nobody else is heard; what is sent again holds nothing up.
    assert_eq!(bench.packet(7_600.0, &advert), ["7600.000 discarded auth-replayed and 0 more"]);
    let lines = bench.until(8_000.0);
    assert!(lines.contains(&"7709.375 backup -> active: active-silent".to_owned()), "{lines:?}");
    bench.until(80_000_000.0);
    assert_eq!(discards(&bench), BTreeMap::from([("auth-replayed".to_owned(), 1)]));
    clock(&mut bench, 86_404_100.0, 0.0);
    assert_eq!(bench.packet(86_404_100.0, &advert), ["86404100.000 mistake auth-stale of 192.0.2.3"]);
    assert_eq!(bench.status().state, locum::report::RouterState::Active);
}

#[test]
fn the_second_key_counts_too() {
    let mut bench = active(AuthMode::Enforce);
    let advert = sealed(200, 4_100.0, (8, NEXT));
    assert_eq!(bench.packet(4_100.0, &advert), ["4100.000 active -> backup: higher-priority"]);
    assert_eq!(bench.status().peers[0].key, Some(8));
}

#[test]
fn the_ways_there_take_adverts_without_a_trailer_but_none_with_a_wrong_one() {
    for (mode, sent) in [(AuthMode::Permissive, "advert 100 sealed"), (AuthMode::ReceiveOnly, "advert 100")] {
        let mut bench = active(mode);
        assert_eq!(bench.until(4_700.0)[0], format!("4609.375 {sent}"));
        let forged = sealed(200, 4_710.0, (7, FOREIGN));
        assert_eq!(bench.packet(4_710.0, &forged), ["4710.000 mistake auth-bad of 192.0.2.3"]);
        assert_eq!(bench.hear(4_800.0, PEER, 200), ["4800.000 active -> backup: higher-priority"]);
        assert_eq!(bench.status().auth.unwrap().unauthenticated, 1);
        assert_eq!(bench.status().peers[0].key, None);
        bench.packet(4_900.0, &sealed(200, 4_900.0, (7, OURS)));
        assert_eq!(bench.status().peers[0].key, Some(7));
    }
}

#[test]
fn without_keys_a_trailer_is_nobodys_business() {
    let mut bench = active_node();
    let forged = sealed(200, 4_100.0, (7, FOREIGN));
    assert_eq!(bench.packet(4_100.0, &forged), ["4100.000 active -> backup: higher-priority"]);
    assert_eq!(bench.status().auth, None);
}

#[test]
fn our_adverts_are_taken_by_a_peer_whatever_happens_to_our_clock() {
    let mut bench = active(AuthMode::Enforce);
    assert_eq!(bench.until(4_700.0)[0], "4609.375 advert 100 sealed");
    clock(&mut bench, 4_700.0, -HOUR);
    // Under either clock: nobody knows yet which one is right.
    assert_eq!(bench.until(5_700.0)[..2], ["5609.375 advert 100 sealed", "5609.375 advert 100 sealed"]);
    assert!(bench.until(6_500.0).is_empty());
    clock(&mut bench, 6_500.0, 0.0);
    assert_eq!(bench.until(7_000.0), ["6609.375 advert 100 sealed"]);
}

#[test]
fn a_peer_goes_on_being_heard_when_our_clock_or_its_clock_is_set() {
    for (ours, theirs) in [(HOUR, 0.0), (-HOUR, 0.0), (0.0, HOUR), (HOUR, HOUR), (HOUR, -HOUR)] {
        let mut bench = bench(AuthMode::Enforce);
        bench.packet(1_000.0, &sealed(200, 1_000.0, (7, OURS)));
        clock(&mut bench, 1_500.0, ours);
        for second in 2..200 {
            let millis = f64::from(second) * 1_000.0;
            let wrong = if second < 100 { theirs } else { 0.0 };
            clock(&mut bench, millis - 1.0, if second < 150 { ours } else { 0.0 });
            // A Locum whose clock is set back goes on by the former one beside it.
            if wrong < 0.0 {
                bench.packet(millis, &sealed(200, millis + wrong, (7, OURS)));
                bench.packet(millis, &sealed(200, millis, (7, OURS)));
            } else {
                bench.packet(millis, &sealed(200, millis + wrong, (7, OURS)));
            }
        }
        let status = bench.status();
        assert_eq!(status.counters.became_active, 0, "ours wrong by {ours}, theirs by {theirs}: {status:?}");
    }
}

#[test]
fn an_odd_clock_is_told_once_a_minute_from_half_the_window_on() {
    let mut bench = bench(AuthMode::Enforce);
    let mut told = Vec::new();
    for second in 1..100 {
        let millis = f64::from(second) * 1_000.0;
        let behind = if second < 10 { 2_400.0 } else { 2_600.0 };
        let lines = bench.packet(millis, &sealed(200, millis - behind, (7, OURS)));
        told.extend(lines.into_iter().filter(|line| line.contains("clock")));
    }
    assert_eq!(
        told,
        ["10000.000 clock of 192.0.2.3 behind by 2600 ms", "70000.000 clock of 192.0.2.3 behind by 2600 ms"]
    );
}

#[test]
fn a_change_of_keys_moves_nothing() {
    let mut bench = active(AuthMode::Enforce);
    let lines = bench.reload(4_100.0, |config| {
        let auth = config.routers.get_mut(&"web".parse().unwrap()).unwrap().auth.as_mut().unwrap();
        auth.active_key = id(8);
        auth.keys.remove(&id(7));
    });
    assert_eq!(lines, [""; 0]);
    assert_eq!(bench.until(4_700.0)[0], "4609.375 advert 100 sealed");
    let old = sealed(200, 4_800.0, (7, OURS));
    assert_eq!(bench.packet(4_800.0, &old), ["4800.000 mistake auth-unknown-key of 192.0.2.3"]);
    // The same file with another content.
    bench.reload(4_900.0, |config| {
        config.secrets.insert("/k/8".into(), secret(FOREIGN));
    });
    assert_eq!(bench.packet(5_000.0, &sealed(200, 5_000.0, (8, NEXT))), ["5000.000 mistake auth-bad of 192.0.2.3"]);
    assert_eq!(
        bench.packet(5_100.0, &sealed(200, 5_100.0, (8, FOREIGN))),
        ["5100.000 active -> backup: higher-priority"]
    );
}

#[test]
fn nothing_prints_a_key() {
    let mut bench = active(AuthMode::Enforce);
    bench.packet(4_100.0, &sealed(200, 4_100.0, (7, FOREIGN)));
    bench.packet(4_200.0, &sealed(200, 4_200.0, (7, OURS)));
    let config = authenticated(AuthMode::Enforce);
    let status = serde_json::to_string(&bench.status()).unwrap();
    let all = format!("{:?} {:#?} {:?} {:#?} {status} {:?}", bench.agent, bench.agent, config, config, bench.kept);
    assert!(all.len() > 10_000 && all.contains("Secret") && all.contains("Key"));
    let lower = all.to_lowercase();
    // As text, as hexadecimal digits, and as the numbers of a byte array.
    for trace in ["horse", "686f727365", "104, 111, 114, 115, 101", "0x68, 0x6f", "000102030405", "0, 1, 2, 3, 4, 5"] {
        assert!(!lower.contains(trace), "{trace}");
    }
}
