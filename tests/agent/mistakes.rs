//! Mistakes of configuration, here or there: each begins, is told once, stands in the status and ends.

use std::net::{IpAddr, Ipv4Addr};

use locum::config::RouterConfig;
use locum::proto::{Effect, Input};
use locum::report::{Event, Level, Mistake, RouterState, status};
use locum::types::{Family, Interval, MacAddr, Priority, Version};
use locum::wire::ip;
use locum::wire::vrrp::{Advertisement, Proof};

use super::bench::*;

const FOREIGN: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x66]);

/// The node with another `web`, as Backup.
fn up(change: impl FnOnce(&mut RouterConfig)) -> Bench {
    let mut router = web();
    change(&mut router);
    Bench::up(config(&[("web", router)]), facts())
}

/// What the bench shows of an advert of the peer that differs from a usual one of priority 200.
fn hear(bench: &mut Bench, millis: f64, change: impl FnOnce(&mut Advertisement)) -> Vec<String> {
    let group = ip::group(Family::Ipv4);
    bench.packet(millis, &advert_with(PEER.into(), group, 51, 200, change, Proof::None))
}

fn lists(addresses: &[&str]) -> impl Fn(&mut Advertisement) {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    move |advertisement| advertisement.addresses = addresses.clone()
}

fn tokens(bench: &Bench, millis: f64) -> Vec<String> {
    bench.status_at(millis).mistakes.into_iter().map(|mistake| mistake.token).collect()
}

fn only(bench: &Bench, millis: f64) -> status::Mistake {
    let mut mistakes = bench.status_at(millis).mistakes;
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes.remove(0)
}

/// An advert of the peer each second that shows a mistake, then one that does not: told when it begins, in silence while
/// it lasts, told when it ends.
fn begins_and_ends(mut bench: Bench, token: &str, words: &str, wrong: impl Fn(&mut Advertisement)) {
    let lines = hear(&mut bench, 1_000.0, &wrong);
    assert_eq!(lines, [format!("1000.000 mistake {token} of 192.0.2.3")]);
    for second in 2..60 {
        assert_eq!(hear(&mut bench, f64::from(second) * 1_000.0, &wrong), [""; 0]);
    }
    let mistake = only(&bench, 59_250.0);
    assert_eq!((mistake.token.as_str(), mistake.peer.as_str(), mistake.words.as_str()), (token, "192.0.2.3", words));
    assert_eq!((mistake.since.as_str(), mistake.seen_ms_ago, mistake.seen), ("2023-11-14T22:12:21.750Z", 250, 59));
    assert_eq!(hear(&mut bench, 60_000.0, |_| ()), [format!("60000.000 corrected: {token} of 192.0.2.3")]);
    assert_eq!(tokens(&bench, 60_000.0), [""; 0]);
    // It comes back within ten minutes: the status has it, the log has had it.
    assert_eq!(hear(&mut bench, 61_000.0, &wrong), [""; 0]);
    assert_eq!(only(&bench, 61_000.0).seen, 1);
}

#[test]
fn an_interval_that_differs() {
    let half = |advertisement: &mut Advertisement| advertisement.interval = Interval::from_centiseconds(50).unwrap();
    let words = "192.0.2.3 advertises each 500ms and this host each 1s: set the same `advert_interval` on all hosts";
    begins_and_ends(node(), "other-interval", words, half);
}

#[test]
fn a_list_that_differs_is_named_by_what_differs() {
    let bench = || up(|router| *router = self::router(51, 100, &["198.51.100.10/24", "198.51.100.11/24"]));
    let remedy = "list the same in the same order on all hosts; keepalived up to 2.3.2 drops our adverts until then, \
                  and both hosts hold the addresses";
    let cases = [
        (&["198.51.100.10"][..], "our addresses without 198.51.100.11"),
        (&["198.51.100.11", "198.51.100.10"], "the same addresses in another order"),
        (&["198.51.100.10", "198.51.100.11", "198.51.100.9"], "our addresses and 198.51.100.9 besides"),
    ];
    for (theirs, what) in cases {
        let mut bench = bench();
        assert_eq!(hear(&mut bench, 1_000.0, lists(theirs)), ["1000.000 mistake other-addresses of 192.0.2.3"]);
        assert_eq!(only(&bench, 1_000.0).words, format!("192.0.2.3 lists {what}: {remedy}"));
        let ours = lists(&["198.51.100.10", "198.51.100.11"]);
        assert_eq!(hear(&mut bench, 2_000.0, ours), ["2000.000 corrected: other-addresses of 192.0.2.3"]);
    }
}

#[test]
fn a_group_of_others_on_our_vrid() {
    let words = "192.0.2.3 uses VRID 51 for 10.0.0.1, 10.0.0.2, none of which is ours: another group on this LAN, \
                 choose another `vrid` for one of the two";
    begins_and_ends(node(), "foreign-router", words, lists(&["10.0.0.1", "10.0.0.2"]));
}

#[test]
fn an_address_that_is_held_but_not_listed_makes_no_foreign_router() {
    let mut bench = up(|router| {
        *router = self::router(51, 100, &["198.51.100.10/24", "198.51.100.11/24"]);
        router.advertised.pop();
    });
    hear(&mut bench, 1_000.0, lists(&["198.51.100.11"]));
    assert_eq!(tokens(&bench, 1_000.0), ["other-addresses"]);
}

#[test]
fn the_same_priority() {
    let words = "192.0.2.3 has the same priority 200 as this host, so their addresses decide who is Active: give each \
                 host a `priority` of its own";
    let bench = up(|router| {
        router.priority = Priority::new(200).unwrap();
        router.preempt = false;
    });
    let other = |priority: u8| {
        move |advertisement: &mut Advertisement| {
            advertisement.advertised = locum::types::Advertised::from_byte(priority);
        }
    };
    let mut bench = bench;
    assert_eq!(hear(&mut bench, 1_000.0, |_| ()), ["1000.000 mistake same-priority of 192.0.2.3"]);
    assert_eq!(only(&bench, 1_000.0).words, words);
    // A resignation says nothing of it.
    assert_eq!(hear(&mut bench, 1_100.0, other(0)), [""; 0]);
    assert_eq!(tokens(&bench, 1_100.0), ["same-priority"]);
    assert_eq!(hear(&mut bench, 1_200.0, other(210)), ["1200.000 corrected: same-priority of 192.0.2.3"]);
}

#[test]
fn a_second_owner() {
    let mut bench = up(|router| router.priority = Priority::OWNER);
    bench.until(100.0);
    assert_eq!(bench.status_at(100.0).reason, "owner");
    // It has the lower address, so it is answered.
    let first = Ipv4Addr::new(192, 0, 2, 1);
    let lines = bench.hear(500.0, first, 255);
    assert_eq!(lines[0], "500.000 mistake second-owner of 192.0.2.1");
    let words = "192.0.2.1 claims to be the owner of the addresses too: only the host whose own they are has priority \
                 255, set a lower `priority` on all others";
    assert_eq!(only(&bench, 500.0).words, words);
    assert!(!bench.hear(1_500.0, first, 255).iter().any(|line| line.contains("mistake")));
    assert!(bench.hear(2_500.0, first, 254).contains(&"2500.000 corrected: second-owner of 192.0.2.1".to_owned()));
    // To everybody else an owner is no mistake.
    let mut bench = node();
    bench.hear(1_000.0, PEER, 255);
    assert_eq!(tokens(&bench, 1_000.0), [""; 0]);
}

/// A mistake that no accepted advert can show ends when nothing is seen of it for 30 s.
#[test]
fn another_version_is_told_once_and_ends_in_silence() {
    let mut bench = node();
    let as_version_2 = |advertisement: &mut Advertisement| advertisement.version = Version::V2;
    assert_eq!(hear(&mut bench, 1_000.0, as_version_2), ["1000.000 mistake version-2 of 192.0.2.3"]);
    for second in 2..10 {
        let lines = hear(&mut bench, f64::from(second) * 1_000.0, as_version_2);
        assert!(!lines.iter().any(|line| line.contains("mistake") || line.contains("discarded")), "{lines:?}");
    }
    assert_eq!(
        only(&bench, 9_000.0).words,
        "adverts of 192.0.2.3 are discarded: the other side speaks version 2: set `version = 2` here, or version 3 there"
    );
    assert_eq!(bench.status_at(9_000.0).counters.discards.get("version-2"), Some(&9));
    let lines = bench.until(38_999.0);
    assert!(!lines.iter().any(|line| line.contains("unseen")), "{lines:?}");
    assert!(bench.until(39_000.0).contains(&"39000.000 unseen: version-2 of 192.0.2.3".to_owned()));
    assert_eq!(tokens(&bench, 39_000.0), [""; 0]);
}

/// A slow one is awaited for ten of its own intervals.
#[test]
fn another_interval_in_version_2_is_told_with_both() {
    let mut bench = up(|router| router.version = Version::V2);
    let slower = |advertisement: &mut Advertisement| {
        advertisement.version = Version::V2;
        advertisement.interval = Interval::from_centiseconds(400).unwrap();
    };
    assert_eq!(hear(&mut bench, 1_000.0, slower), ["1000.000 mistake interval of 192.0.2.3"]);
    let words = "adverts of 192.0.2.3 are discarded: it advertises each 4s and this host each 1s, and version 2 wants the \
                 same `advert_interval` on all hosts";
    assert_eq!(only(&bench, 1_000.0).words, words);
    assert_eq!(bench.status_at(1_000.0).counters.discards.get("interval"), Some(&1));
    let lines = bench.until(40_999.0);
    assert!(!lines.iter().any(|line| line.contains("unseen")), "{lines:?}");
    assert!(bench.until(41_000.0).contains(&"41000.000 unseen: interval of 192.0.2.3".to_owned()));
}

#[test]
fn whoever_uses_our_vrid_in_another_version_for_other_addresses_is_another_group() {
    let mut bench = node();
    let lines = hear(&mut bench, 1_000.0, |advertisement| {
        advertisement.version = Version::V2;
        advertisement.addresses = vec!["10.0.0.1".parse().unwrap()];
    });
    assert_eq!(lines, ["1000.000 mistake foreign-router of 192.0.2.3"]);
    assert_eq!(bench.status_at(1_000.0).counters.discards.get("version-2"), Some(&1));
}

#[test]
fn a_peer_that_falls_silent_shows_its_mistake_for_ten_intervals() {
    let mut bench = up(|router| router.advert_interval = Interval::from_centiseconds(500).unwrap());
    hear(&mut bench, 1_000.0, |_| ());
    assert_eq!(tokens(&bench, 1_000.0), ["other-interval"]);
    let lines = bench.until(50_999.0);
    assert!(!lines.iter().any(|line| line.contains("unseen")), "{lines:?}");
    assert!(bench.until(51_000.0).contains(&"51000.000 unseen: other-interval of 192.0.2.3".to_owned()));
}

/// Whoever has an address and never says so of itself answers when it is asked, and us alone.
#[test]
fn an_ipv4_address_is_asked_for_after_each_claim_and_whoever_answers_is_named() {
    let mut bench = node();
    bench.asks = true;
    let lines = bench.until(9_000.0);
    let asked: Vec<_> = lines.iter().filter(|line| line.contains("probe")).collect();
    assert_eq!(asked, ["8659.375 probe 198.51.100.10"]);
    // An ARP reply to this host, from and to its Ethernet address, for nobody's IPv4 address.
    let reply = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0x66, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 0x66, 198, 51, 100, 10, 2,
        0, 0, 0, 0, 2, 0, 0, 0, 0,
    ];
    let lines = bench.give(9_100.0, Input::Frame { interface: eth0(), bytes: &reply });
    assert_eq!(lines, ["9100.000 mistake foreign-answer of 02:00:00:00:00:66"]);
    assert_eq!(bench.status().state, RouterState::Active);
    // Taken from it and claimed once more.
    bench.hear(9_200.0, PEER, 200);
    let lines = bench.until(20_000.0);
    let asked: Vec<_> = lines.iter().filter(|line| line.contains("probe")).collect();
    assert_eq!(asked, ["17859.375 probe 198.51.100.10"], "{lines:?}");
}

#[test]
fn a_host_that_claims_an_address_held_here_is_named_and_answered_each_750_ms() {
    let mut bench = active_node();
    // Whoever had it may still answer at first.
    assert_eq!(
        bench.announcement(5_000.0, "198.51.100.10", FOREIGN),
        ["4609.375 advert 100", "4609.375 announce 198.51.100.10"]
    );
    bench.until(8_900.0);
    let lines = bench.announcement(8_950.0, "198.51.100.10", FOREIGN);
    assert_eq!(lines, ["8950.000 mistake foreign-answer of 02:00:00:00:00:66"]);
    let words = "the host at 02:00:00:00:00:66 says that it has 198.51.100.10, which is held here: remove the address \
                 there, or if that is a host of this virtual router, see in both logs why one does not hear the other; it \
                 is announced again from here";
    assert_eq!(only(&bench, 8_950.0).words, words);
    let mut lines = Vec::new();
    for step in 0..300 {
        lines.extend(bench.announcement(8_960.0 + f64::from(step) * 10.0, "198.51.100.10", FOREIGN));
    }
    let announced: Vec<f64> = lines
        .iter()
        .filter(|line| line.contains("announce"))
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(announced, [8_950.0, 9_700.0, 10_450.0, 11_200.0]);
    assert!(!lines.iter().any(|line| line.contains("mistake")), "{lines:?}");
    assert_eq!(bench.status_at(12_000.0).state, locum::report::RouterState::Active);
    let lines = bench.until(161_949.0);
    assert!(!lines.iter().any(|line| line.contains("unseen")), "{lines:?}");
    let lines = bench.until(161_950.0);
    assert!(lines.contains(&"161950.000 unseen: foreign-answer of 02:00:00:00:00:66".to_owned()), "{lines:?}");
}

#[test]
fn claims_that_are_no_conflict() {
    // Our own, come back.
    let mut bench = active_node();
    bench.announcement(8_000.0, "198.51.100.10", MacAddr([2, 0, 0, 0, 0, 2]));
    // One of an address that is not ours.
    bench.announcement(8_100.0, "198.51.100.11", FOREIGN);
    assert_eq!(tokens(&bench, 8_100.0), [""; 0]);
    // Another router that is Active as well: its adverts are told of, and the election decides.
    bench.hear(8_200.0, PEER, 50);
    bench.announcement(8_300.0, "198.51.100.10", PEER_MAC);
    assert_eq!(tokens(&bench, 8_300.0), [""; 0]);
    // Caches may believe it all the same: told at 8200, so again 750 ms later.
    bench.until(8_960.0);
    bench.announcement(9_800.0, "198.51.100.10", PEER_MAC);
    assert_eq!(bench.until(9_801.0), ["9800.000 announce 198.51.100.10"]);
    // It is heard no more, and claims the address all the same.
    bench.announcement(14_000.0, "198.51.100.10", PEER_MAC);
    assert_eq!(tokens(&bench, 14_000.0), ["foreign-answer"]);
    // A Backup has nothing that others could claim.
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    bench.announcement(1_500.0, "198.51.100.10", FOREIGN);
    assert_eq!(tokens(&bench, 1_500.0), [""; 0]);
}

#[test]
fn every_line_says_whose_it_is_and_what_to_do() {
    let mut bench = node();
    let packet = advert_with(PEER.into(), ip::group(Family::Ipv4), 51, 100, |_| (), Proof::None);
    let mut effects = Vec::new();
    let input = Input::Packet { interface: eth0(), received: instant(1_000.0), bytes: &packet };
    bench.agent.handle(instant(1_000.0), input, &mut effects);
    let told: Vec<&Event> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Tell(event @ Event::Mistake { .. }) => Some(event),
            _ => None,
        })
        .collect();
    let [event] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        event.to_string(),
        "web: 192.0.2.3 has the same priority 100 as this host, so their addresses decide who is Active: give each host a \
         `priority` of its own"
    );
    let fields: Vec<String> = event.fields().iter().map(|field| format!("{}={}", field.name, field.value)).collect();
    assert_eq!(fields, ["mistake=same-priority", "peer=192.0.2.3", "more=0"]);
    assert_eq!((event.token(), event.level()), ("mistake", Level::Notice));
    let mistake = Mistake::ForeignAnswer { address: "198.51.100.10".parse().unwrap(), mac: FOREIGN };
    let router = "web".parse().unwrap();
    assert_eq!(Event::Mistake { router, mistake, more: 0 }.level(), Level::Error);
}

#[test]
fn a_peer_that_was_never_heard_is_told_from_one_that_went_silent() {
    let bench = active_node();
    assert_eq!(
        bench.status_at(4_000.0).words,
        "nobody else has been heard for 3.61 s, nor ever since the start: if another host runs, see that firewalls and \
         switches let IP protocol 112 (VRRP) through"
    );
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    bench.until(5_000.0);
    assert_eq!(bench.status_at(5_000.0).words, "192.0.2.3 was Active and has been silent for 3.61 s");
    // Somebody is there, though what it says does not count.
    let mut bench = node();
    hear(&mut bench, 1_000.0, |advertisement| advertisement.version = Version::V2);
    bench.until(4_000.0);
    assert_eq!(bench.status_at(4_000.0).words, "nobody else has been heard for 3.61 s");
}
