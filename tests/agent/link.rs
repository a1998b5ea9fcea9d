//! Interfaces as they are, and links that come and go.

use std::net::Ipv4Addr;
use std::time::Duration;

use locum::config::RouterConfig;
use locum::proto::Input;
use locum::report::RouterState;
use locum::types::{InterfaceFacts, InterfaceName, Version};

use super::bench::*;

const CLAIM: [&str; 2] = ["add 198.51.100.10/24", "backup -> active"];

fn frames() -> Input<'static> {
    Input::FramesPass { interface: eth0() }
}

fn without_carrier() -> Option<InterfaceFacts> {
    Some(InterfaceFacts { running: false, ..facts() })
}

fn with(change: impl FnOnce(&mut RouterConfig)) -> Bench {
    let mut router = web();
    change(&mut router);
    Bench::up(config(&[("web", router)]), facts())
}

/// When it has claimed, of lines that tell of it.
fn claimed(lines: &[String]) -> f64 {
    for what in CLAIM {
        assert!(lines.iter().any(|line| line.contains(what)), "{what}: {lines:?}");
    }
    let line = lines.iter().find(|line| line.contains("advert 1")).expect("an advert");
    line.split(' ').next().expect("a time").parse().expect("a time")
}

#[test]
fn an_interface_that_lacks_something_is_a_fault_in_words_and_then_service() {
    let cases: [(Option<InterfaceFacts>, &str); 5] = [
        (None, "waiting for interface eth0: it does not exist"),
        (Some(InterfaceFacts { up: false, ..facts() }), "waiting for interface eth0: it is down (ip link set eth0 up)"),
        (Some(InterfaceFacts { running: false, ..facts() }), "waiting for interface eth0: it has no carrier"),
        (
            Some(InterfaceFacts { addresses: Vec::new(), ..facts() }),
            "waiting for interface eth0: it has no IPv4 address of its own to send adverts from",
        ),
        (
            Some(InterfaceFacts { mac: None, ..facts() }),
            "interface eth0 has no Ethernet address, so no address can be announced on it",
        ),
    ];
    for (facts_now, words) in cases {
        let mut bench = active_node();
        let lines = bench.interface(4_100.0, facts_now.clone());
        assert_eq!(lines.last().map(String::as_str), Some("4100.000 released: at once"), "{words}");
        // An interface that is missing may only go by another name.
        assert!(lines.contains(&"4100.000 remove 198.51.100.10/24".to_owned()), "{words}");
        assert!(!lines.iter().any(|line| line.contains("advert 0")), "{words}: {lines:?}");
        assert_eq!(bench.status().words, words);
        bench.interface(5_000.0, Some(facts()));
        bench.give(5_000.0, frames());
        assert_eq!(bench.status().state, locum::report::RouterState::Backup, "{words}");
        let lines = bench.until(8_610.0);
        assert!(lines.contains(&"8609.375 add 198.51.100.10/24".to_owned()), "{words}: {lines:?}");
    }
}

/// Had it only been renamed, the address would still answer under the new name: it is removed by its index.
#[test]
fn an_interface_made_anew_has_lost_its_addresses() {
    let mut bench = active_node();
    bench.sockets = true;
    let lines = bench.interface(4_100.0, Some(InterfaceFacts { index: 7, ..facts() }));
    assert_eq!(
        lines,
        [
            "4100.000 remove 198.51.100.10/24",
            "4100.000 unlisten eth0",
            "4100.000 active -> fault: interface-missing",
            "4100.000 released: at once",
            "4100.000 listen eth0 7",
            "4100.000 watch eth0 7",
            "4100.000 fault -> backup: awaiting-frames",
        ]
    );
    bench.give(4_100.0, frames());
    assert_eq!(claimed(&bench.until(7_800.0)), 7_709.375);
}

#[test]
fn a_removal_from_a_renamed_interface_names_its_old_index() {
    let mut bench = active_node();
    let mut effects = Vec::new();
    let gone = Input::Interface { name: eth0(), facts: None };
    bench.agent.handle(locum::types::Instant::from_nanos(1_005_000_000_000), gone, &mut effects);
    let index = effects.iter().find_map(|effect| match effect {
        locum::proto::Effect::RemoveAddresses { index, removals, .. } => Some((*index, removals.clone())),
        _ => None,
    });
    assert_eq!(index, Some((2, vec![net("198.51.100.10/24")])));
}

#[test]
fn a_link_that_comes_up_is_listened_on_for_ten_seconds_if_nothing_is_heard() {
    let mut bench = active_node();
    assert_eq!(
        bench.interface(4_100.0, without_carrier()),
        ["4100.000 active -> fault: no-carrier", "4100.000 remove 198.51.100.10/24", "4100.000 released: at once"]
    );
    assert_eq!(
        bench.interface(5_000.0, Some(facts())),
        ["5000.000 watch eth0 2", "5000.000 fault -> backup: awaiting-frames"]
    );
    assert_eq!(bench.status_at(6_000.0).listens_for_ms, Some(9_000));
    assert_eq!(
        bench.status_at(12_500.0).words,
        "only listening until frames pass on interface eth0, whose link has just come up, for 2.50 s at most"
    );
    assert_eq!(
        bench.until(15_100.0),
        [
            "15000.000 unwatch eth0",
            "15000.000 advert 100",
            "15000.000 add 198.51.100.10/24",
            "15000.000 backup -> active: active-silent",
        ]
    );
    assert_eq!(bench.status_at(15_100.0).listens_for_ms, None);
}

#[test]
fn silence_counts_from_the_first_frame() {
    let mut bench = active_node();
    bench.interface(4_100.0, without_carrier());
    bench.interface(5_000.0, Some(facts()));
    assert_eq!(bench.give(9_000.0, frames()), ["9000.000 unwatch eth0", "9000.000 still backup: recovered"]);
    assert_eq!(bench.give(9_500.0, frames()), [""; 0]);
    assert_eq!(claimed(&bench.until(20_000.0)), 12_609.375);
}

#[test]
fn an_advert_is_a_frame_and_its_sender_is_heard_out() {
    let mut bench = active_node();
    bench.interface(4_100.0, without_carrier());
    bench.interface(5_000.0, Some(facts()));
    // Of lower priority, so that it would not have put a claim off.
    assert_eq!(bench.hear(8_000.0, PEER, 50), ["8000.000 unwatch eth0", "8000.000 still backup: recovered"]);
    assert_eq!(claimed(&bench.until(20_000.0)), 11_609.375);
}

#[test]
fn an_interface_that_appears_is_waited_for_too_and_one_that_is_merely_readdressed_is_not() {
    let mut bench = Bench::new(config(&[("web", web())]));
    bench.sockets = true;
    bench.interface(0.0, None);
    bench.give(0.0, Input::Tick);
    assert_eq!(
        bench.interface(1_000.0, Some(facts())),
        ["1000.000 listen eth0 2", "1000.000 watch eth0 2", "1000.000 fault -> backup: awaiting-frames"]
    );
    let mut bench = active_node();
    bench.interface(4_100.0, Some(InterfaceFacts { addresses: Vec::new(), ..facts() }));
    assert_eq!(bench.interface(5_000.0, Some(facts())), ["5000.000 fault -> backup: recovered"]);
}

#[test]
fn adverts_go_from_the_new_address_and_ties_use_it() {
    let mut bench = active_node();
    let other = InterfaceFacts { addresses: vec![net("192.0.2.4/24")], ..facts() };
    assert_eq!(bench.interface(4_100.0, Some(other)), [""; 0]);
    let lines = bench.until(4_700.0);
    assert_eq!(lines[0], "4609.375 advert 100 from 192.0.2.4");
    // 192.0.2.3 would have won against 192.0.2.2.
    assert_eq!(bench.hear(5_000.0, PEER, 100).last().unwrap(), "5000.000 advert 100 from 192.0.2.4");
    let lines = bench.hear(5_300.0, Ipv4Addr::new(192, 0, 2, 5), 100);
    assert_eq!(lines.last().unwrap(), "5300.000 active -> backup: tie-break");
}

#[test]
fn a_tracked_interface_is_followed_through_everything() {
    let mut bench = with(|router| router.track_interfaces = vec!["eth1".parse().unwrap()]);
    let name: InterfaceName = "eth1".parse().unwrap();
    assert_eq!(bench.status().words, "waiting for tracked interface eth1: it has no link");
    let tell = |bench: &mut Bench, millis, facts| bench.give(millis, Input::Interface { name, facts });
    let up = || Some(InterfaceFacts { index: 3, addresses: Vec::new(), ..facts() });
    // Its frames are not waited for: nothing is claimed on it.
    assert_eq!(tell(&mut bench, 1_000.0, up()), ["1000.000 fault -> backup: startup"]);
    bench.until(5_000.0);
    let lines = tell(&mut bench, 5_000.0, Some(InterfaceFacts { running: false, ..up().unwrap() }));
    // The adverts' own link is there, so a successor is waited for.
    assert_eq!(lines, ["5000.000 advert 0", "5000.000 active -> fault: tracked-interface"]);
    bench.hear(5_100.0, PEER, 50);
    bench.until(6_000.0);
    assert_eq!(tell(&mut bench, 6_000.0, up()), ["6000.000 fault -> backup: recovered"]);
    assert_eq!(tell(&mut bench, 6_100.0, None), ["6100.000 backup -> fault: tracked-interface"]);
    let anew = Some(InterfaceFacts { index: 9, ..up().unwrap() });
    assert_eq!(tell(&mut bench, 6_200.0, anew), ["6200.000 fault -> backup: recovered"]);
}

#[test]
fn a_loss_of_carrier_within_link_debounce_is_no_fault() {
    let mut bench = with(|router| router.link_debounce = Duration::from_millis(500));
    bench.until(20_000.0);
    assert_eq!(bench.interface(20_100.0, without_carrier()), [""; 0]);
    // Back in time: switches may have forgotten where the address is.
    assert_eq!(bench.interface(20_500.0, Some(facts())), ["20500.000 watch eth0 2"]);
    assert_eq!(bench.until(20_500.0), ["20500.000 announce 198.51.100.10"]);
    bench.give(21_000.0, frames());
    bench.until(30_000.0);
    assert_eq!(bench.interface(30_100.0, without_carrier()), [""; 0]);
    assert_eq!(
        bench.until(30_600.0),
        ["30600.000 active -> fault: no-carrier", "30600.000 remove 198.51.100.10/24", "30600.000 released: at once"]
    );
    // An interface that is down or gone is no loss of carrier.
    bench.interface(31_000.0, Some(facts()));
    let lines = bench.interface(31_100.0, Some(InterfaceFacts { up: false, ..facts() }));
    assert!(lines.contains(&"31100.000 backup -> fault: interface-down".to_owned()), "{lines:?}");
}

#[test]
fn a_backup_without_a_carrier_claims_nothing_and_hears_its_peers_out_afterwards() {
    let mut bench = with(|router| router.link_debounce = Duration::from_secs(5));
    bench.hear(1_000.0, PEER, 200);
    let lines = bench.interface(1_100.0, without_carrier());
    assert_eq!(lines, ["1100.000 still backup: link-debounce"]);
    // 3609.375 ms after the last advert the link is still away.
    assert_eq!(bench.until(5_500.0), [""; 0]);
    let lines = bench.interface(5_500.0, Some(facts()));
    assert_eq!(lines, ["5500.000 watch eth0 2", "5500.000 still backup: awaiting-frames"]);
    assert_eq!(bench.give(6_000.0, frames())[0], "6000.000 unwatch eth0");
    assert_eq!(claimed(&bench.until(20_000.0)), 9_609.375);
}

#[test]
fn who_lingers_lets_go_when_its_link_goes() {
    let mut bench = active_node();
    bench.give(4_100.0, Input::Stop);
    let lines = bench.interface(4_200.0, without_carrier());
    let end = ["4200.000 remove 198.51.100.10/24", "4200.000 released: at once", "4200.000 stopped"];
    assert_eq!(lines[lines.len() - 3..], end);
}

#[test]
fn start_delay_holds_claims_back_and_nothing_else() {
    let mut bench = with(|router| router.start_delay = Duration::from_secs(30));
    assert_eq!(bench.status_at(10_000.0).state, RouterState::Backup);
    assert_eq!(bench.status_at(10_000.0).reason, "start-delay");
    assert_eq!(
        bench.status_at(10_000.0).words,
        "only listening for 20.00 s after the start of the agent (start_delay)"
    );
    assert_eq!(bench.status_at(10_000.0).listens_for_ms, Some(20_000));
    for second in 1..30 {
        assert_eq!(bench.hear(f64::from(second) * 1_000.0, PEER, 50), [""; 0]);
    }
    assert_eq!(bench.status_at(29_100.0).peers[0].adverts, 29);
    let lines = bench.until(30_000.0);
    assert_eq!(lines[0], "30000.000 advert 100");
    assert_eq!(lines[2], "30000.000 backup -> active: preempting");
    // Once over it is over.
    bench.hear(31_000.0, PEER, 200);
    bench.hear(31_100.0, PEER, 0);
    assert_eq!(claimed(&bench.until(40_000.0)), 31_709.375);
}

#[test]
fn who_is_behind_a_better_one_says_when_its_start_delay_is_over() {
    let mut bench = with(|router| router.start_delay = Duration::from_secs(5));
    for second in 1..5 {
        bench.hear(f64::from(second) * 1_000.0, PEER, 200);
    }
    assert_eq!(bench.until(5_000.0), ["5000.000 still backup: recovered"]);
}

#[test]
fn the_owner_waits_for_its_start_delay_and_no_longer() {
    let mut owner = router(51, 255, &["198.51.100.10/24"]);
    owner.start_delay = Duration::from_secs(5);
    let mut bench = Bench::up(config(&[("web", owner)]), facts());
    let expected = ["5000.000 advert 255", "5000.000 add 198.51.100.10/24", "5000.000 backup -> active: owner"];
    assert_eq!(bench.until(5_100.0), expected);
}

#[test]
fn a_reload_begins_no_start_delay_and_can_end_one() {
    let delay = |bench: &mut Bench, at, name: &str, seconds| {
        bench.reload(at, |config| {
            let mut router = web();
            router.start_delay = Duration::from_secs(seconds);
            config.routers.insert(name.parse().unwrap(), router);
        })
    };
    let mut bench = node();
    delay(&mut bench, 1_000.0, "web", 60);
    assert_eq!(claimed(&bench.until(5_000.0)), 3_609.375);

    let mut bench = with(|router| router.start_delay = Duration::from_secs(60));
    delay(&mut bench, 5_000.0, "web", 10);
    assert_eq!(claimed(&bench.until(15_000.0)), 10_000.0);

    let mut bench = Bench::up(config(&[]), facts());
    delay(&mut bench, 1_000.0, "web", 60);
    let lines = bench.until(10_000.0);
    assert_eq!(claimed(&lines), 4_609.375);
}

#[test]
fn adverts_that_do_not_fit_the_interface_are_a_fault_with_its_remedy() {
    // Header, message and 30 addresses: 20 + 8 + 30 x 4.
    let addresses: Vec<String> = (1..=30).map(|host| format!("198.51.100.{host}/24")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut bench = Bench::up(config(&[("web", router(51, 100, &addresses))]), InterfaceFacts { mtu: 148, ..facts() });
    assert_eq!(bench.status().reason, "startup");
    assert_eq!(
        bench.interface(1_000.0, Some(InterfaceFacts { mtu: 147, ..facts() })),
        ["1000.000 backup -> fault: advert-too-large"]
    );
    assert_eq!(
        bench.status().words,
        "an advert takes 148 bytes, and interface eth0 has an MTU of 147: write `advertise = false` for some of \
         `addresses`, on all nodes alike, or raise the MTU"
    );
    assert_eq!(bench.interface(2_000.0, Some(facts())), ["2000.000 fault -> backup: recovered"]);
    // Over IPv6 40 + 8 + 2 x 16, behind a trailer 28 more; version 2 has a password field of 8.
    let six = router(51, 100, &["fe80::51/64", "2001:db8::51/64"]);
    let two = RouterConfig { version: Version::V2, ..web() };
    assert_eq!((six.advert_length(), web().advert_length(), two.advert_length()), (80, 32, 40));
    let sealed = super::authentication::authenticated(locum::config::AuthMode::Enforce);
    let lengths: Vec<usize> = sealed.routers.values().map(RouterConfig::advert_length).collect();
    assert_eq!(lengths, [60]);
}
