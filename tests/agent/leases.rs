//! Leases: renewed with the adverts that left, and what follows when they were not.

use locum::proto::{Effect, Input};
use locum::types::{AddressOutcome, Instant, InterfaceFacts, InterfaceName, Interval, LeaseOutcome, MarkedAddress};

use super::bench::*;

/// Active since 3609.375, renewals written down.
fn leased() -> Bench {
    let mut bench = active_node();
    bench.tells_renewals = true;
    bench
}

fn gone(bench: &mut Bench, millis: f64, address: &str) -> Vec<String> {
    bench.give(millis, Input::AddressesGone { interface: eth0(), addresses: vec![net(address)] })
}

/// ceil(4 x 1 s); the kernel may be a fiftieth of a second and a tick early.
#[test]
fn each_advert_at_1_s_renews_for_4_s() {
    let mut bench = leased();
    assert_eq!(
        bench.until(5_700.0),
        [
            "4609.375 advert 100",
            "4609.375 renew 198.51.100.10/24 for 4 s before 7559.375",
            "4609.375 announce 198.51.100.10",
            "5609.375 advert 100",
            "5609.375 renew 198.51.100.10/24 for 4 s before 8559.375",
            "5609.375 announce 198.51.100.10",
        ]
    );
    // Renewed at 5609.375 for 4000 less 50.
    assert_eq!(bench.status_at(6_000.0).addresses[0].lease_left_ms, Some(3_559));
}

/// On each interface by itself: what became of one says nothing of the other.
#[test]
fn addresses_of_several_interfaces_are_renewed_and_answered_for_one_by_one() {
    let mut web = router(51, 100, &["198.51.100.10/24", "203.0.113.10/24"]);
    let eth1: InterfaceName = "eth1".parse().unwrap();
    web.addresses[1].interface = eth1;
    let mut bench = Bench::new(config(&[("web", web)]));
    bench.interface(0.0, Some(facts()));
    let other = InterfaceFacts { index: 3, addresses: Vec::new(), ..facts() };
    bench.give(0.0, Input::Interface { name: eth1, facts: Some(other) });
    bench.give(0.0, Input::Tick);
    bench.tells_renewals = true;
    let lines = bench.until(4_700.0);
    let renewals: Vec<_> = lines.iter().filter(|line| line.contains("renew")).collect();
    assert_eq!(
        renewals,
        [
            "4609.375 renew 198.51.100.10/24 for 4 s before 7559.375",
            "4609.375 renew 203.0.113.10/24 for 4 s before 7559.375"
        ]
    );
    bench.renewal = None;
    bench.until(5_700.0);
    let web = || "web".parse().unwrap();
    let answer = |interface, outcome| {
        let (asked, other_kind) = (instant(5_609.375), false);
        Input::LeasesRenewed { router: web(), interface, asked, other_kind, outcome }
    };
    bench.give(5_701.0, answer(eth0(), LeaseOutcome::Renewed));
    bench.give(5_702.0, answer(eth1, LeaseOutcome::Failed("Cannot assign".to_owned())));
    let left: Vec<_> = bench.status_at(6_000.0).addresses.iter().map(|address| address.lease_left_ms).collect();
    // Renewed at 5609.375 and at 4609.375, each for 4000 less 50.
    assert_eq!(left, [Some(3_559), Some(2_559)]);
}

/// At least 1 s, renewed once less than half of it would be left: 1000 - 50 - 450 = 500, of which an advert later 400.
#[test]
fn at_100_ms_not_every_advert_renews() {
    let mut router = web();
    router.advert_interval = Interval::from_centiseconds(10).unwrap();
    let mut bench = Bench::up(config(&[("web", router)]), facts());
    bench.tells_renewals = true;
    let lines = bench.until(1_700.0);
    let renewals: Vec<_> = lines.iter().filter(|line| line.contains("renew")).collect();
    assert_eq!(
        renewals,
        [
            "760.938 renew 198.51.100.10/24 for 1 s before 1310.938",
            "1160.938 renew 198.51.100.10/24 for 1 s before 1710.938",
            "1560.938 renew 198.51.100.10/24 for 1 s before 2110.938"
        ]
    );
}

#[test]
fn without_a_lease_nothing_is_renewed_and_nothing_ends() {
    let mut router = web();
    router.lease = false;
    let mut bench = Bench::up(config(&[("web", router)]), facts());
    bench.tells_renewals = true;
    assert!(
        !bench
            .until(60_000.0)
            .iter()
            .any(|line| line.contains("renew") || line.contains("backup ->") && !line.contains("active"))
    );
    assert_eq!(bench.status().addresses[0].lease_left_ms, None);
}

/// The lease of 3609.375 ends 3950 later at the earliest; the peers' patience is over then too.
#[test]
fn adverts_that_do_not_leave_renew_nothing_and_end_in_a_fault() {
    let mut bench = leased();
    bench.mute = true;
    let lines = bench.until(7_600.0);
    assert!(!lines.iter().any(|line| line.contains("restored")), "{lines:?}");
    assert_eq!(
        lines[lines.len() - 3..],
        ["7559.375 remove 198.51.100.10/24", "7559.375 released: lapsed", "7559.375 active -> fault: send-failed",]
    );
}

/// Late by more than the lease: what is left goes, and others get an interval to be heard.
#[test]
fn whoever_is_too_late_to_renew_is_backup_and_listens_for_an_interval() {
    let mut bench = leased();
    bench.renewal = None;
    assert_eq!(
        bench.wake(11_000.0, Input::Tick),
        ["11000.000 remove 198.51.100.10/24", "11000.000 released: lapsed", "11000.000 active -> backup: lease-lapsed",]
    );
    assert_eq!(bench.status().counters.leases_lapsed, 1);
    let lines = bench.until(12_000.0);
    assert_eq!(
        lines,
        ["12000.000 advert 100", "12000.000 add 198.51.100.10/24", "12000.000 backup -> active: active-silent",]
    );
}

#[test]
fn whoever_was_too_late_asserts_nothing_to_the_one_who_has_followed() {
    let mut bench = leased();
    let lines = bench.wake_to(11_000.0, 11_000.0, 51, 90);
    assert_eq!(
        lines,
        [
            "11000.000 remove 198.51.100.10/24",
            "11000.000 released: lapsed",
            "11000.000 active -> backup: lease-lapsed",
            // So that it announces once more.
            "11000.000 advert 1",
        ]
    );
    let lines = bench.hear(11_500.0, PEER, 250);
    assert_eq!(lines, [""; 0]);
    assert_eq!(bench.until(14_000.0), [""; 0]);
}

#[test]
fn an_address_that_went_when_its_lease_could_have_ended_is_not_put_back() {
    let mut bench = leased();
    let lines =
        bench.wake(7_560.0, Input::AddressesGone { interface: eth0(), addresses: vec![net("198.51.100.10/24")] });
    assert_eq!(lines[2], "7560.000 active -> backup: lease-lapsed");
    assert!(!lines.iter().any(|line| line.contains("add")));
}

#[test]
fn a_renewal_that_came_too_late_is_a_lapse() {
    let mut bench = leased();
    bench.renewal = Some(LeaseOutcome::Lapsed);
    assert_eq!(
        bench.until(4_700.0)[3..],
        ["4609.375 remove 198.51.100.10/24", "4609.375 released: lapsed", "4609.375 active -> backup: lease-lapsed",]
    );
}

/// Told once, tried with each advert, and over when the lease is.
#[test]
fn renewals_that_are_refused_end_with_the_lease() {
    let mut bench = leased();
    bench.renewal = Some(LeaseOutcome::Failed("No buffer space available".to_owned()));
    let lines = bench.until(7_600.0);
    assert_eq!(lines.iter().filter(|line| line.contains("renew 198")).count(), 3, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("refused")).count(), 1, "{lines:?}");
    assert_eq!(lines.last().unwrap(), "7559.375 active -> backup: lease-lapsed");
}

#[test]
fn who_lingers_renews_with_its_resignation() {
    let mut bench = leased();
    assert_eq!(
        bench.give(4_100.0, Input::Stop)[..2],
        ["4100.000 advert 0", "4100.000 renew 198.51.100.10/24 for 4 s before 7559.375"]
    );
}

#[test]
fn a_lease_is_given_and_taken_back_by_a_reload_in_place() {
    let mut bench = leased();
    let name = || "web".parse().unwrap();
    let mut permanent = web();
    permanent.lease = false;
    assert_eq!(bench.reload(4_100.0, |config| drop(config.routers.insert(name(), permanent))), [""; 0]);
    let lines = bench.until(4_700.0);
    assert_eq!(lines[1], "4609.375 renew 198.51.100.10/24 for good anew before 7559.375");
    assert_eq!(bench.until(5_700.0).iter().filter(|line| line.contains("renew")).count(), 0);
    bench.reload(5_800.0, |config| drop(config.routers.insert(name(), web())));
    assert_eq!(bench.until(6_700.0)[1], "6609.375 renew 198.51.100.10/24 for 4 s anew");
    assert_eq!(bench.until(7_700.0)[1], "7609.375 renew 198.51.100.10/24 for 4 s before 10559.375");
}

#[test]
fn a_removed_address_is_back_at_once_announced_and_counted() {
    let mut bench = leased();
    bench.tells_renewals = false;
    assert_eq!(
        last_two(gone(&mut bench, 10_000.0, "198.51.100.10/24")),
        ["10000.000 add again 198.51.100.10/24", "10000.000 restored 198.51.100.10/24 and 0 more"]
    );
    assert_eq!(bench.status().counters.addresses_restored, 1);
    // Its addition announced it; repeats follow.
    let announced: Vec<_> = bench.until(16_000.0).into_iter().filter(|line| line.contains("announce")).collect();
    assert_eq!(announced.len(), 4, "{announced:?}");
    // With another length it is not ours, nor is somebody else's.
    assert_eq!(gone(&mut bench, 16_100.0, "198.51.100.10/32"), [""; 0]);
    assert_eq!(gone(&mut bench, 16_200.0, "198.51.100.99/24"), [""; 0]);
}

/// A renewal that was under way has brought it back first; or, in IPv6, it was our own removal that was heard of.
#[test]
fn one_that_is_there_again_counts_where_it_was_surely_away() {
    let mut bench = active_node();
    bench.outcome = Some(AddressOutcome::StillThere);
    assert_eq!(
        gone(&mut bench, 4_100.0, "198.51.100.10/24"),
        ["4100.000 add again 198.51.100.10/24", "4100.000 restored 198.51.100.10/24 and 0 more"]
    );
    assert_eq!(bench.status().counters.addresses_restored, 1);
    assert_eq!(bench.status().addresses[0].state, locum::report::status::AddressState::Held);
    bench.outcome = Some(AddressOutcome::AlreadyThere);
    assert_eq!(gone(&mut bench, 4_200.0, "198.51.100.10/24")[1], "4200.000 foreign 198.51.100.10/24");
    let mut bench = Bench::up(config(&[("web", router(51, 100, &["198.51.100.10/24", "2001:db8::10/64"]))]), facts());
    bench.until(4_000.0);
    bench.outcome = Some(AddressOutcome::StillThere);
    assert_eq!(gone(&mut bench, 4_100.0, "2001:db8::10/64"), ["4100.000 add again 2001:db8::10/64"]);
    assert_eq!(bench.status().counters.addresses_restored, 0);
}

/// Five times within 10 s: it resigns, so that another host may try, and comes back after a minute.
#[test]
fn who_removes_an_address_again_and_again_is_left_alone() {
    let mut bench = active_node();
    for millis in [4_100.0, 4_200.0, 4_300.0, 4_400.0] {
        let lines = gone(&mut bench, millis, "198.51.100.10/24");
        assert!(lines.contains(&format!("{millis}.000 restored 198.51.100.10/24 and 0 more")), "{lines:?}");
    }
    let lines = gone(&mut bench, 4_500.0, "198.51.100.10/24");
    assert_eq!(
        lines[1..],
        [
            "4500.000 restored 198.51.100.10/24 and 0 more",
            "4500.000 advert 0",
            "4500.000 active -> fault: address-fight",
        ]
    );
    assert_eq!(gone(&mut bench, 4_505.0, "198.51.100.10/24"), ["4505.000 released: gone"]);
    assert_eq!(bench.until(64_400.0), [""; 0]);
    assert_eq!(bench.until(64_600.0), ["64500.000 fault -> backup: recovered"]);
}

#[test]
fn five_removals_in_a_minute_are_no_fight() {
    let mut bench = active_node();
    for number in 0..5 {
        gone(&mut bench, 5_000.0 + 3_000.0 * f64::from(number), "198.51.100.10/24");
    }
    assert_eq!(bench.status().state, locum::report::RouterState::Active);
    assert_eq!(bench.status().counters.addresses_restored, 5);
}

#[test]
fn one_removed_while_it_is_added_is_asked_for_again_when_that_is_answered() {
    let mut bench = node();
    bench.outcome = None;
    bench.until(3_700.0);
    assert_eq!(gone(&mut bench, 3_710.0, "198.51.100.10/24"), [""; 0]);
    let outcomes = vec![(net("198.51.100.10/24"), AddressOutcome::Added)];
    let answer = Input::AddressesAdded { router: "web".parse().unwrap(), outcomes };
    assert_eq!(bench.give(3_720.0, answer), ["3720.000 add again 198.51.100.10/24"]);
}

/// After news were lost: what is missing comes back, what was let go of goes.
#[test]
fn a_new_listing_is_held_against_what_is_wanted() {
    let all = |nets: &[&str]| nets.iter().map(|text| net(text)).collect::<Vec<_>>();
    let marked = |text: &str| MarkedAddress { net: net(text), left: None, renewed_at: Instant::default() };
    let mut bench = active_node();
    let present = InterfaceFacts {
        addresses: all(&["192.0.2.2/24", "198.51.100.10/24"]),
        marked: vec![marked("198.51.100.10/24")],
        ..facts()
    };
    bench.interface(4_100.0, Some(present.clone()));
    assert_eq!(bench.give(4_100.0, Input::Listed), [""; 0]);
    bench.interface(4_200.0, Some(facts()));
    assert_eq!(
        bench.give(4_200.0, Input::Listed),
        ["4200.000 add again 198.51.100.10/24", "4200.000 restored 198.51.100.10/24 and 0 more"]
    );
    bench.hear(4_300.0, PEER, 250);
    bench.announcement(4_310.0, "198.51.100.10", PEER_MAC);
    bench.interface(4_400.0, Some(present));
    assert_eq!(bench.give(4_400.0, Input::Listed), ["4400.000 remove 198.51.100.10/24"]);
    // Without our mark it is somebody else's.
    bench.interface(4_500.0, Some(InterfaceFacts { addresses: all(&["192.0.2.2/24", "198.51.100.10/24"]), ..facts() }));
    assert_eq!(bench.give(4_500.0, Input::Listed), [""; 0]);
}

#[test]
fn somebody_elses_address_that_goes_is_ours_to_hold() {
    let mut bench = node();
    bench.outcome = Some(AddressOutcome::AlreadyThere);
    bench.until(4_000.0);
    bench.outcome = Some(AddressOutcome::Added);
    assert_eq!(gone(&mut bench, 4_100.0, "198.51.100.10/24"), ["4100.000 add 198.51.100.10/24"]);
}

/// The kernel would take it along when our lease ends, with nobody there to put it back.
#[test]
fn the_hosts_own_address_does_not_stay_a_secondary_of_ours() {
    let without = InterfaceFacts { promote_secondaries: false, ..facts() };
    let mut bench = Bench::up(config(&[("web", web())]), without.clone());
    bench.until(4_000.0);
    let addresses = vec![net("192.0.2.2/24"), net("198.51.100.1/24")];
    let joined = InterfaceFacts { addresses, ..without };
    assert_eq!(
        bench.interface(4_100.0, Some(joined)),
        ["4100.000 add again 198.51.100.10/32", "4100.000 remove 198.51.100.10/24 restore 198.51.100.1/24",]
    );
    assert_eq!(bench.status().addresses[0].state, locum::report::status::AddressState::Held);
    assert_eq!(
        gone(&mut bench, 4_200.0, "198.51.100.10/32"),
        ["4200.000 add again 198.51.100.10/32", "4200.000 restored 198.51.100.10/24 and 0 more"]
    );
}

/// Its old MAC address is in every cache.
#[test]
fn another_mac_address_is_announced() {
    let mut bench = active_node();
    bench.until(20_000.0);
    let changed = InterfaceFacts { mac: Some(PEER_MAC), ..facts() };
    bench.interface(20_100.0, Some(changed));
    assert!(bench.until(20_110.0).contains(&"20100.000 announce 198.51.100.10".to_owned()));
}

/// Everybody stood still for longer than the lease: listened for an interval, then claimed anew.
#[test]
fn who_slept_through_its_lease_with_all_others_holds_it_again_after_an_interval() {
    let mut bench = active_node();
    assert_eq!(
        bench.wake(11_000.0, Input::Tick),
        ["11000.000 remove 198.51.100.10/24", "11000.000 released: lapsed", "11000.000 active -> backup: lease-lapsed"]
    );
    assert_eq!(bench.until(11_999.0), [""; 0]);
    assert_eq!(bench.until(12_000.0)[..2], ["12000.000 advert 100", "12000.000 add 198.51.100.10/24"]);
}

/// What a reload brings is not claimed before it has listened either.
#[test]
fn who_slept_through_its_lease_adds_nothing_that_a_reload_brings() {
    let mut bench = active_node();
    let more = router(51, 100, &["198.51.100.10/24", "198.51.100.11/24"]);
    let more = config(&[("web", more)]);
    let lines = bench.wake(11_000.0, Input::Reload(Box::new(more)));
    assert!(lines.iter().all(|line| !line.contains(" add ")), "{lines:?}");
    assert_eq!(bench.until(12_000.0)[..2], ["12000.000 advert 100", "12000.000 add 198.51.100.10/24 198.51.100.11/24"]);
}

/// 11000 + 3609.375: as a Backup that has just heard of the other one, not after the interval it listens for.
#[test]
fn who_slept_through_its_lease_preempts_a_lower_successor_as_any_backup() {
    let mut bench = active_node();
    let lines = bench.wake_to(11_000.0, 10_800.0, 51, 50);
    assert_eq!(lines[2..], ["11000.000 active -> backup: lease-lapsed", "11000.000 advert 1"]);
    for second in 12..15 {
        assert_eq!(bench.hear(f64::from(second) * 1_000.0 - 200.0, PEER, 50), [""; 0]);
    }
    assert_eq!(bench.until(15_000.0)[..2], ["14609.375 advert 100", "14609.375 add 198.51.100.10/24"]);
}

/// It listens from 6800 on, and what it held is gone at 7559.375: the kernel does not answer.
#[test]
fn a_lease_that_ends_while_a_late_active_router_listens_does_not_make_it_listen_for_longer() {
    let mut bench = active_node();
    bench.until(3_700.0);
    bench.renewal = None;
    assert_eq!(bench.wake(6_800.0, Input::Tick)[0], "6800.000 listens, 3190 ms silent");
    let lines = bench.until(7_799.0);
    assert_eq!(lines.last().map(String::as_str), Some("7559.375 active -> backup: lease-lapsed"));
    assert_eq!(bench.until(7_800.0)[..2], ["7800.000 advert 100", "7800.000 add 198.51.100.10/24"]);
}

#[test]
fn an_addition_that_came_too_late_is_taken_for_a_lapse() {
    let mut bench = node();
    bench.outcome = Some(AddressOutcome::TooLate);
    let lines = bench.until(4_000.0);
    assert_eq!(lines[3..], ["3609.375 released: lapsed", "3609.375 active -> backup: lease-lapsed"], "{lines:?}");
    bench.outcome = Some(AddressOutcome::Added);
    assert_eq!(bench.until(4_700.0)[..2], ["4609.375 advert 100", "4609.375 add 198.51.100.10/24"]);
}

/// What an earlier process has left is renewed with the first advert, before its lease can have ended; the kernel's ticks
/// say when that began, a quarter of a second this way or that.
#[test]
fn what_was_taken_over_is_renewed_with_the_first_advert() {
    let mut bench = active_node();
    bench.tells_renewals = true;
    bench.restart(5_000.0, 5_040.0);
    let lines = bench.until(6_700.0);
    let renewals: Vec<&String> = lines.iter().filter(|line| line.contains("renew")).collect();
    assert_eq!(
        renewals,
        [
            "5609.375 renew 198.51.100.10/24 for 4 s before 8750.000",
            "6609.375 renew 198.51.100.10/24 for 4 s before 9559.375"
        ]
    );
    let mut bench = active_node();
    bench.restart(5_000.0, 5_040.0);
    assert_eq!(bench.wake(8_750.0, Input::Tick)[1], "8750.000 released: lapsed");
    // A kernel that knows no marks says nothing of it.
    let mut bench = active_node();
    (bench.tells_renewals, bench.marks) = (true, false);
    bench.restart(5_000.0, 5_040.0);
    assert!(bench.until(5_700.0).contains(&"5609.375 renew 198.51.100.10/24 for 4 s anew".to_owned()));
}

/// In a subnet of the host's own an IPv6 address brings no route of its own that could end the host's.
#[test]
fn an_ipv6_address_beside_the_hosts_own_leaves_the_route_alone() {
    let addresses = vec![net("192.0.2.2/24"), net("2001:db8::2/64")];
    let router = router(51, 100, &["198.51.100.10/24", "2001:db8::10/64", "2001:db8:1::10/64"]);
    let mut bench = Bench::up(config(&[("web", router)]), InterfaceFacts { addresses, ..facts() });
    let mut effects = Vec::new();
    // The claim's advert, and then the addresses.
    bench.until(3_609.0);
    for _ in 0..2 {
        bench.agent.handle(instant(3_609.375), Input::Tick, &mut effects);
    }
    let prefixes: Vec<u8> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::AddAddresses { additions, .. } => Some(additions.iter().map(|addition| addition.prefix)),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(prefixes, [24, 128, 64]);
}

fn last_two(lines: Vec<String>) -> Vec<String> {
    lines[lines.len() - 2..].to_vec()
}

/// A host that dies must not hold for as long as slow adverts would have let it: 10 s were for 40 s.
#[test]
fn a_lease_of_slower_adverts_is_made_as_short_as_those_of_now() {
    let mut router = web();
    router.advert_interval = Interval::from_centiseconds(1_000).unwrap();
    let mut bench = Bench::up(config(&[("web", router)]), facts());
    bench.tells_renewals = true;
    bench.until(37_000.0);
    let lines = bench.reload(37_000.0, |config| {
        let router = config.routers.values_mut().next().unwrap();
        router.advert_interval = Interval::from_centiseconds(100).unwrap();
    });
    assert_eq!(lines, [""; 0]);
    let lines = bench.until(38_000.0);
    assert_eq!(lines[1..], ["38000.000 advert 100", "38000.000 renew 198.51.100.10/24 for 4 s before 76043.750"]);
}
