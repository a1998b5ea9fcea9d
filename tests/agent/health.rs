//! Checks, links and failures of the host's own.

use locum::config::WhenUnhealthy;
use locum::types::{AddressOutcome, CheckName, CheckResult, CheckSpec};

use super::bench::*;

#[test]
fn hold_offers_its_place_and_goes_on_degraded_if_nobody_takes_it() {
    let mut bench = checked_node(None, |_| ());
    bench.until(4_000.0);
    assert_eq!(
        bench.check(4_100.0, CheckResult::TimedOut),
        ["4100.000 priority 100 -> 1", "4100.000 advert 0", "4100.000 active -> backup: unhealthy"]
    );
    // A and a margin: 1000 + 250 + 20 ms. The address has been there all along.
    assert_eq!(
        bench.until(5_400.0),
        [
            "4120.000 advert 0",
            "4140.000 advert 0",
            "5370.000 advert 1",
            "5370.000 backup -> active: degraded",
            "5370.000 announce 198.51.100.10",
        ]
    );
    assert!(bench.status().degraded);
    let lines = bench.until(35_370.0);
    assert_eq!(lines[lines.len() - 2..], ["35370.000 advert 0", "35370.000 active -> backup: unhealthy"]);
    assert!(!lines.iter().any(|line| line.contains("remove")), "{lines:?}");
}

#[test]
fn hold_leaves_to_a_backup_that_follows_and_ignores_its_resignation_while_unhealthy() {
    let mut bench = checked_node(None, |_| ());
    bench.until(4_000.0);
    bench.check(4_100.0, CheckResult::Failed);
    bench.hear(4_115.0, PEER, 50);
    assert_eq!(
        bench.announcement(4_116.0, "198.51.100.10", PEER_MAC),
        ["4116.000 remove 198.51.100.10/24", "4116.000 released: announced"]
    );
    bench.hear(5_000.0, PEER, 0);
    // Priority 1, from the last advert: 4115 + 3996.094.
    let lines = bench.until(8_200.0);
    assert_eq!(lines, ["8111.094 advert 1", "8111.094 add 198.51.100.10/24", "8111.094 backup -> active: degraded"]);
    assert_eq!(
        bench.check(8_300.0, CheckResult::Ok),
        ["8300.000 priority 1 -> 100", "8300.000 still active: recovered"]
    );
    assert!(!bench.status().degraded);
}

#[test]
fn release_leaves_the_election_and_comes_back_as_backup() {
    let mut bench = checked_node(None, |router| router.when_unhealthy = WhenUnhealthy::Release);
    bench.until(4_000.0);
    assert_eq!(
        bench.check(4_100.0, CheckResult::CouldNotRun),
        ["4100.000 advert 0", "4100.000 active -> fault: unhealthy"]
    );
    let lines = bench.until(20_000.0);
    assert_eq!(lines[3..], ["8096.094 remove 198.51.100.10/24", "8096.094 released: no successor"]);
    assert_eq!(bench.check(20_000.0, CheckResult::Ok), ["20000.000 fault -> backup: recovered"]);
}

#[test]
fn a_weight_changes_the_priority_and_nothing_else() {
    let mut bench = checked_node(Some(-60), |_| ());
    bench.until(4_000.0);
    assert_eq!(bench.check(4_100.0, CheckResult::Failed), ["4100.000 priority 100 -> 40"]);
    assert_eq!(bench.until(4_609.4), ["4609.375 advert 40", "4609.375 announce 198.51.100.10"]);
    assert_eq!(bench.check(5_000.0, CheckResult::Ok), ["5000.000 priority 40 -> 100"]);
}

#[test]
fn first_results_come_before_the_first_election() {
    let mut router = web();
    router.checks = vec!["app".parse().unwrap()];
    let mut config = config(&[("web", router)]);
    config.checks.insert("app".parse().unwrap(), check(None));
    let mut bench = Bench::up(config, facts());
    assert_eq!(bench.until(60_000.0), [""; 0]);
    assert_eq!(bench.status().words, "waiting for the first result of app");
    assert_eq!(bench.check(60_000.0, CheckResult::Ok), ["60000.000 fault -> backup: startup"]);
}

#[test]
fn fewer_results_to_wait_for_are_no_news() {
    let names = ["app", "disk", "page"].map(|name| name.parse::<CheckName>().unwrap());
    let mut router = web();
    router.checks = names.to_vec();
    let mut config = config(&[("web", router)]);
    config.checks.extend(names.map(|name| (name.clone(), CheckSpec { name, ..check(None) })));
    let mut bench = Bench::up(config, facts());
    assert_eq!(bench.check(100.0, CheckResult::Ok), [""; 0]);
    assert_eq!(bench.status().words, "waiting for the first result of disk, page");
}

#[test]
fn a_refused_address_is_a_fault_that_is_tried_again_after_ten_seconds() {
    let mut bench = node();
    bench.outcome = Some(AddressOutcome::Failed("Permission denied".to_owned()));
    let lines = bench.until(13_609.0);
    assert_eq!(
        lines,
        [
            "3609.375 advert 100",
            "3609.375 add 198.51.100.10/24",
            "3609.375 backup -> active: active-silent",
            "3609.375 advert 0",
            "3609.375 active -> fault: address-failed",
            "3609.375 released: at once",
        ]
    );
    assert_eq!(bench.status().words, "cannot add address 198.51.100.10/24: Permission denied");
    assert_eq!(bench.until(13_610.0), ["13609.375 fault -> backup: recovered"]);
}

#[test]
fn a_backup_says_that_it_is_unhealthy_and_that_it_has_recovered() {
    let mut bench = checked_node(None, |_| ());
    bench.hear(500.0, PEER, 200);
    bench.check(1_000.0, CheckResult::TimedOut);
    let status = bench.status();
    assert_eq!((status.reason.as_str(), status.words.as_str()), ("unhealthy", "unhealthy: check app timed out"));
    assert_eq!(status.priority.effective, 1);
    bench.check(1_500.0, CheckResult::Ok);
    assert_eq!(bench.status().reason, "recovered");
    assert_eq!(bench.status().priority.effective, 100);
}
