//! The process ends without a word, and another one begins. Adverts leave at 3609.375 and each second from there on;
//! peers wait for 3 s at least, of which a quarter of the interval is kept: a successor goes on until 2750 ms after one.

use locum::config::WhenUnhealthy;
use locum::proto::Input;
use locum::types::{CheckResult, InterfaceFacts, LeftAddress};

use super::bench::*;

#[test]
fn killed_and_started_at_once_it_is_active_on_its_grid_and_announces() {
    let mut bench = active_node();
    assert_eq!(bench.restart(5_000.0, 5_040.0), ["5040.000 initialize -> active: resumed"]);
    assert_eq!(bench.until(5_700.0), ["5040.000 announce 198.51.100.10", "5609.375 advert 100"]);
    assert_eq!(
        bench.until(7_700.0),
        [
            "6040.000 announce 198.51.100.10",
            "6609.375 advert 100",
            "7040.000 announce 198.51.100.10",
            "7609.375 advert 100"
        ]
    );
    assert_eq!(bench.status().counters.became_active, 0);
    // What it took over is its own: renewed, and removed when it stops.
    assert!(bench.give(8_000.0, Input::StopAtOnce).contains(&"8000.000 remove 198.51.100.10/24".to_owned()));
}

#[test]
fn an_advert_that_was_missed_leaves_at_once() {
    let mut bench = active_node();
    assert_eq!(bench.restart(4_100.0, 6_300.0), ["6300.000 initialize -> active: resumed"]);
    assert_eq!(bench.until(7_000.0), ["6300.000 advert 100", "6300.000 announce 198.51.100.10", "6609.375 advert 100"]);
}

#[test]
fn peers_that_may_have_given_up_are_left_alone() {
    // The last advert left at 4609.375.
    let mut bench = active_node();
    assert_eq!(bench.restart(5_000.0, 7_359.0), ["7359.000 initialize -> active: resumed"]);
    let mut bench = active_node();
    assert_eq!(
        bench.restart(5_000.0, 7_360.0),
        [
            "7360.000 not resumed, 2750 ms silent",
            "7360.000 initialize -> backup: startup",
            "7360.000 released: leftover",
            "7360.000 remove 198.51.100.10/24"
        ]
    );
    // A Backup like any other: 7360 + 3609.375.
    let lines = bench.until(11_000.0);
    assert_eq!(lines[..2], ["10969.375 advert 100", "10969.375 add 198.51.100.10/24"]);
}

/// It was killed while a partition kept it from hearing who followed, and that one from hearing it.
#[test]
fn whoever_has_followed_is_told_where_caches_may_still_point() {
    let mut bench = active_node();
    bench.restart(5_000.0, 9_000.0);
    assert_eq!(bench.hear(9_400.0, PEER, 200), ["9400.000 advert 1"]);
    assert_eq!(bench.hear(10_400.0, PEER, 200), [""; 0]);
    // Who has left nothing has nothing to tell, nor who goes on.
    let mut bench = node();
    bench.restart(3_000.0, 3_050.0);
    assert_eq!(bench.hear(3_400.0, PEER, 200), [""; 0]);
    let mut bench = active_node();
    bench.restart(5_000.0, 5_040.0);
    assert!(!bench.hear(5_100.0, PEER, 200).contains(&"5100.000 advert 1".to_owned()));
}

#[test]
fn who_has_left_or_never_was_active_is_not_resumed() {
    let mut bench = node();
    assert_eq!(bench.restart(3_000.0, 3_050.0), ["3050.000 initialize -> backup: startup"]);
    // Resigned, and killed while it waits for a successor.
    let mut bench = active_node();
    bench.give(4_000.0, Input::Stop);
    let lines = bench.restart(4_050.0, 4_100.0);
    assert_eq!(lines[0], "4100.000 initialize -> backup: startup");
    assert_eq!(lines[2], "4100.000 remove 198.51.100.10/24");
    // Yielded to a better one.
    let mut bench = active_node();
    bench.hear(4_100.0, PEER, 200);
    assert_eq!(bench.restart(4_120.0, 4_150.0)[0], "4150.000 initialize -> backup: startup");
}

#[test]
fn an_advert_that_did_not_leave_promised_nothing() {
    let mut bench = active_node();
    bench.until(5_000.0);
    bench.mute = true;
    bench.until(6_700.0);
    // The last one that left was that of 4609.375.
    let lines = bench.restart(6_700.0, 7_400.0);
    assert_eq!(lines[..2], ["7400.000 not resumed, 2790 ms silent", "7400.000 initialize -> backup: startup"]);
}

#[test]
fn leaving_is_like_being_killed() {
    let mut bench = active_node();
    assert_eq!(
        bench.give(4_700.0, Input::Leave),
        ["4609.375 advert 100", "4609.375 announce 198.51.100.10", "4700.000 stopped"]
    );
    assert_eq!(bench.restart(4_700.0, 4_800.0), ["4800.000 initialize -> active: resumed"]);
    // Who is stopping has resigned already.
    bench.give(5_000.0, Input::Stop);
    assert_eq!(bench.give(5_001.0, Input::Leave), [""; 0]);
}

#[test]
fn somebody_better_that_is_active_meanwhile_is_yielded_to() {
    let mut bench = active_node();
    bench.restart(5_000.0, 5_040.0);
    assert_eq!(bench.hear(5_100.0, PEER, 200)[1..], ["5100.000 active -> backup: higher-priority"]);
    assert_eq!(
        bench.announcement(5_101.0, "198.51.100.10", PEER_MAC),
        ["5101.000 remove 198.51.100.10/24", "5101.000 released: announced"]
    );
}

#[test]
fn what_the_configuration_no_longer_names_goes_and_what_it_names_anew_comes() {
    let mut bench = active_node();
    bench.until(5_000.0);
    let both = router(51, 100, &["198.51.100.11/24"]);
    bench.config = config(&[("web", both)]);
    assert_eq!(
        bench.restart(5_000.0, 5_040.0),
        [
            "5040.000 add 198.51.100.11/24",
            "5040.000 initialize -> active: resumed",
            "5040.000 released: leftover",
            "5040.000 remove 198.51.100.10/24 restore 198.51.100.11/24"
        ]
    );
    assert_eq!(bench.kept.len(), 1);
    // Nor is it kept in mind that there was a router with another VRID.
    bench.config = config(&[("web", router(52, 100, &["198.51.100.11/24"]))]);
    assert_eq!(bench.restart(5_100.0, 5_140.0)[0], "5140.000 initialize -> backup: startup");
    assert_eq!(bench.kept.keys().map(|(_, vrid)| vrid.get()).collect::<Vec<_>>(), [52]);
}

#[test]
fn a_router_of_another_name_is_the_same_one() {
    let mut bench = active_node();
    bench.until(5_000.0);
    bench.config = config(&[("shop", web())]);
    assert_eq!(bench.restart(5_000.0, 5_040.0), ["5040.000 shop: initialize -> active: resumed"]);
}

#[test]
fn an_address_that_moved_to_another_router_stays_where_it_is() {
    let (old, new) = ("198.51.100.10/24", "198.51.100.20/24");
    let mut bench = Bench::up(config(&[("one", router(51, 100, &[old])), ("two", router(52, 100, &[new]))]), facts());
    bench.until(5_000.0);
    bench.config = config(&[("one", router(51, 100, &[new])), ("two", router(52, 100, &[old]))]);
    let lines = bench.restart(5_000.0, 5_040.0);
    assert_eq!(lines, ["5040.000 one: initialize -> active: resumed", "5040.000 two: initialize -> active: resumed"]);
}

/// An address of a router that is no more is not taken for one of the host's own, to send adverts from.
#[test]
fn what_was_left_is_never_our_source() {
    let mut bench = active_node();
    bench.until(5_000.0);
    bench.config = config(&[("web", router(52, 100, &["192.0.2.10/24"]))]);
    let net = net("192.0.2.9/24");
    bench.here = vec![LeftAddress { router: "web".parse().unwrap(), interface: eth0(), index: 2, net }];
    bench.restart(5_000.0, 5_040.0);
    let only = InterfaceFacts { addresses: vec![net], ..facts() };
    let lines = bench.interface(5_041.0, Some(only));
    assert_eq!(lines[0], "5041.000 backup -> fault: no-source-address");
    // Once it has gone it is an address like any other.
    bench.interface(5_042.0, Some(InterfaceFacts { addresses: vec![], ..facts() }));
    let back = InterfaceFacts { addresses: vec![net], ..facts() };
    assert_eq!(bench.interface(5_043.0, Some(back))[0], "5043.000 fault -> backup: recovered");
}

#[test]
fn recorded_verdicts_stand_until_the_first_results() {
    let mut bench = checked_node(None, |_| ());
    bench.until(5_000.0);
    assert_eq!(bench.restart(5_000.0, 5_040.0), ["5040.000 initialize -> active: resumed"]);
    // The first result counts as the next one: fall is 1.
    let lines = bench.check(5_200.0, CheckResult::Failed);
    assert_eq!(lines[1..3], ["5200.000 priority 100 -> 1", "5200.000 advert 0"]);
}

#[test]
fn a_recorded_weight_counts() {
    let mut bench = checked_node(Some(20), |_| ());
    bench.until(5_000.0);
    bench.restart(5_000.0, 5_040.0);
    assert_eq!(bench.until(5_700.0).last().unwrap(), "5531.250 advert 120");
}

#[test]
fn a_degraded_router_goes_on_degraded() {
    let mut bench = checked_node(None, |_| ());
    bench.until(5_000.0);
    bench.check(5_000.0, CheckResult::Failed);
    bench.until(8_000.0);
    assert!(bench.status().degraded);
    assert_eq!(bench.restart(8_000.0, 8_050.0), ["8050.000 initialize -> active: degraded"]);
    let lines = bench.until(9_500.0);
    assert!(lines.iter().all(|line| !line.contains("advert 0")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("advert 1")), "{lines:?}");
}

#[test]
fn under_release_an_unhealthy_router_has_nothing_to_resume() {
    let mut bench = checked_node(None, |router| router.when_unhealthy = WhenUnhealthy::Release);
    bench.until(5_000.0);
    bench.check(5_000.0, CheckResult::Failed);
    assert_eq!(bench.restart(5_010.0, 5_050.0)[0], "5050.000 initialize -> fault: waiting-for-checks");
}

#[test]
fn without_its_link_it_does_not_go_on() {
    let mut bench = active_node();
    bench.until(5_000.0);
    let records = bench.kept.values().cloned().collect();
    let mut other = Bench::new(bench.config.clone());
    other.give(5_040.0, Input::Past { records, left: bench.here.clone() });
    other.interface(5_040.0, Some(InterfaceFacts { running: false, ..facts() }));
    assert_eq!(
        other.give(5_040.0, Input::Tick),
        ["5040.000 initialize -> fault: no-carrier", "5040.000 released: leftover", "5040.000 remove 198.51.100.10/24"]
    );
    assert_eq!(
        other.interface(5_100.0, Some(facts())),
        ["5100.000 watch eth0 2", "5100.000 fault -> backup: awaiting-frames"]
    );
}

#[test]
fn a_past_that_comes_late_is_none() {
    let mut bench = active_node();
    let (records, left) = (bench.kept.values().cloned().collect(), bench.here.clone());
    assert_eq!(bench.give(4_100.0, Input::Past { records, left }), [""; 0]);
}
