//! Which addresses are added with which prefix, and what is never removed or taken along.

use locum::proto::Input;
use locum::types::{AddressOutcome, InterfaceFacts, IpNet};

use super::bench::*;

#[test]
fn a_foreign_address_is_announced_and_never_removed() {
    let mut bench = node();
    bench.outcome = Some(AddressOutcome::AlreadyThere);
    assert_eq!(bench.until(3_700.0)[3..], ["3609.375 foreign 198.51.100.10/24", "3609.375 announce 198.51.100.10"]);
    bench.give(4_000.0, Input::Stop);
    bench.hear(4_100.0, PEER, 90);
    assert_eq!(
        bench.announcement(4_101.0, "198.51.100.10", PEER_MAC),
        ["4101.000 released: announced", "4101.000 stopped"]
    );
}

#[test]
fn a_reload_adds_before_it_removes_and_touches_nothing_that_stays() {
    let mut bench = active_node();
    let web = |addresses: &[&str]| router(51, 100, addresses);
    let name = || "web".parse().unwrap();
    let lines = bench.reload(4_100.0, |config| {
        config.routers.insert(name(), web(&["198.51.100.10/24", "198.51.100.11/24"]));
    });
    assert_eq!(lines, ["4100.000 add 198.51.100.11/24"]);
    let lines = bench.reload(4_200.0, |config| {
        config.routers.insert(name(), web(&["198.51.100.11/24", "198.51.100.12/24"]));
    });
    assert_eq!(
        lines,
        ["4200.000 add 198.51.100.12/24", "4200.000 remove 198.51.100.10/24 restore 198.51.100.11/24 198.51.100.12/24"]
    );
    assert_eq!(bench.reload(4_300.0, |_| ()), [""; 0]);
}

/// Without an address of the host's own in the subnet the first one added is the primary, and goes with its
/// secondaries unless the kernel promotes one.
#[test]
fn what_goes_with_a_primary_is_put_back_in_the_same_batch() {
    let both = router(51, 100, &["198.51.100.10/24", "198.51.100.11/24"]);
    let mut bench = Bench::up(config(&[("web", both)]), InterfaceFacts { promote_secondaries: false, ..facts() });
    let lines = bench.until(4_000.0);
    assert_eq!(lines[1], "3609.375 add 198.51.100.10/24 198.51.100.11/24");
    let lines = bench.reload(4_100.0, |config| {
        config.routers.insert("web".parse().unwrap(), router(51, 100, &["198.51.100.11/24"]));
    });
    assert_eq!(lines, ["4100.000 remove 198.51.100.10/24 restore 198.51.100.11/24"]);
}

#[test]
fn beside_an_address_of_the_hosts_own_that_is_not_promoted_ours_goes_in_alone() {
    let beside = || config(&[("web", router(51, 100, &["192.0.2.10/24"]))]);
    let mut bench = Bench::up(beside(), InterfaceFacts { promote_secondaries: false, ..facts() });
    assert_eq!(bench.until(3_700.0)[1], "3609.375 add 192.0.2.10/32");
    // It is removed as it was added, whatever has become of the sysctl since.
    bench.interface(3_800.0, Some(facts()));
    assert_eq!(bench.give(4_000.0, Input::StopAtOnce)[2], "4000.000 remove 192.0.2.10/32");
    let mut bench = Bench::up(beside(), facts());
    assert_eq!(bench.until(3_700.0)[1], "3609.375 add 192.0.2.10/24");
    assert_eq!(bench.give(4_000.0, Input::StopAtOnce)[2], "4000.000 remove 192.0.2.10/24 restore 192.0.2.2/24");
}

#[test]
fn two_routers_that_stop_do_not_put_each_others_addresses_back() {
    let routers = [("one", router(51, 100, &["198.51.100.10/24"])), ("two", router(52, 100, &["198.51.100.11/24"]))];
    let mut bench = Bench::up(config(&routers), InterfaceFacts { promote_secondaries: false, ..facts() });
    bench.until(4_000.0);
    let lines = bench.give(4_100.0, Input::StopAtOnce);
    let removals: Vec<_> = lines.iter().filter(|line| line.contains("remove")).collect();
    assert_eq!(removals, ["4100.000 one: remove 198.51.100.10/24", "4100.000 two: remove 198.51.100.11/24"]);
}

#[test]
fn a_router_that_leaves_alone_has_the_others_address_put_back() {
    let routers = [("one", router(51, 100, &["198.51.100.10/24"])), ("two", router(52, 100, &["198.51.100.11/24"]))];
    let mut bench = Bench::up(config(&routers), InterfaceFacts { promote_secondaries: false, ..facts() });
    bench.until(4_000.0);
    bench.reload(4_100.0, |config| {
        config.routers.remove(&"one".parse().unwrap());
    });
    let lines = bench.until(9_000.0);
    assert!(lines.contains(&"8096.094 one: remove 198.51.100.10/24 restore 198.51.100.11/24".to_owned()), "{lines:?}");
}

#[test]
fn a_late_outcome_of_an_addition_that_was_withdrawn_changes_nothing() {
    let mut bench = node();
    bench.outcome = None;
    bench.until(4_000.0);
    let lines = bench.give(4_000.0, Input::StopAtOnce);
    assert_eq!(lines[2], "4000.000 remove 198.51.100.10/24");
    let outcomes = vec![(net("198.51.100.10/24"), AddressOutcome::Added)];
    let late = Input::AddressesAdded { router: "web".parse().unwrap(), outcomes };
    assert_eq!(bench.give(4_001.0, late), [""; 0]);
    let absent: IpNet = net("198.51.100.10/24");
    assert_eq!(bench.status().addresses[0].address, absent.to_string());
    assert_eq!(bench.status().addresses[0].state, locum::report::status::AddressState::Absent);
}

/// Only an addition with the same length is refused by the kernel, and so found out to be somebody else's address.
#[test]
fn an_address_that_is_there_already_is_asked_for_as_it_is_there() {
    for (there, promote_secondaries) in [("192.0.2.10/24", false), ("192.0.2.10/32", true)] {
        let addresses = ["192.0.2.2/24", there].map(|net| net.parse::<IpNet>().unwrap()).to_vec();
        let beside = config(&[("web", router(51, 100, &["192.0.2.10/24"]))]);
        let mut bench = Bench::up(beside, InterfaceFacts { promote_secondaries, addresses, ..facts() });
        assert_eq!(bench.until(3_700.0)[1], format!("3609.375 add {there}"));
    }
}
