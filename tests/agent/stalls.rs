//! The host stands still and wakes. Priority 100 at 1 s: Active_Down_Interval 3609.375 ms, Skew_Time 609.375 ms.

use std::time::Duration;

use locum::proto::Input;
use locum::report::WallClock;
use locum::types::{CheckResult, Instant, InterfaceFacts};

use super::bench::*;

#[test]
fn a_late_backup_listens_before_it_claims() {
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    assert_eq!(bench.wake(9_000.0, Input::Tick), ["9000.000 waits, 6750 ms late"]);
    assert_eq!(bench.until(10_609.0), [""; 0]);
    assert_eq!(bench.until(10_610.0)[..1], ["10609.375 advert 100"]);
}

#[test]
fn a_late_backup_that_finds_adverts_in_its_queue_goes_on_as_before() {
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    for second in 2..=9 {
        assert_eq!(bench.wake_to(9_000.0, f64::from(second) * 1_000.0, 51, 200), [""; 0]);
    }
    assert_eq!(bench.wake(9_000.0, Input::Tick), [""; 0]);
    assert_eq!(bench.until(12_600.0), [""; 0]);
    assert_eq!(bench.until(12_610.0)[..1], ["12609.375 advert 100"]);
}

/// Adverts of another router on the same LAN were stamped all the time: the kernel listened while the process did not.
#[test]
fn a_late_backup_that_listened_in_its_sleep_claims_at_once() {
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    for second in 2..=9 {
        bench.wake_to(9_000.0, f64::from(second) * 1_000.0 - 500.0, 77, 200);
    }
    assert_eq!(bench.wake(9_000.0, Input::Tick)[..1], ["9000.000 advert 100"]);
    // With a hole in it: from 1.5 s to 3.5 s nothing reached the host.
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    for second in (2..=9).filter(|second| *second != 3) {
        bench.wake_to(9_000.0, f64::from(second) * 1_000.0 - 500.0, 77, 200);
    }
    assert_eq!(bench.wake(9_000.0, Input::Tick), ["9000.000 waits, 6750 ms late"]);
}

/// What fills its queue is stamped, so it knows how far it has read.
#[test]
fn a_backup_whose_queue_is_long_does_not_claim_before_it_has_read_what_came_until_then() {
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    bench.until(4_600.0);
    // Due at 4609.375. By 4700 it has read what came until 4100, and knows that there is more.
    let behind = || Input::Behind { interface: eth0() };
    assert_eq!(bench.wake_to(4_700.0, 4_100.0, 77, 200), [""; 0]);
    assert_eq!(bench.wake(4_700.0, behind()), [""; 0]);
    assert_eq!(bench.wake(4_700.0, Input::Tick), [""; 0]);
    assert!(bench.agent.next_deadline().is_some_and(|due| due <= instant(4_700.0)), "it stays due");
    // In what was left there was an advert of 4500.
    bench.wake_to(4_750.0, 4_500.0, 51, 200);
    assert_eq!(bench.until(8_109.0), [""; 0]);
    assert_eq!(bench.until(8_110.0)[..1], ["8109.375 advert 100"]);
    // There was none: when all that came until then is read, it claims, whatever else has come since.
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    bench.until(4_600.0);
    for (read_up_to, claims) in [(4_100.0, false), (4_609.0, false), (4_610.0, true)] {
        assert_eq!(bench.wake_to(4_615.0, read_up_to, 77, 200), [""; 0]);
        bench.wake(4_615.0, behind());
        let lines = bench.wake(4_615.0, Input::Tick);
        assert_eq!(lines.first().is_some_and(|line| line == "4615.000 advert 100"), claims, "{lines:?}");
    }
    // An Active router's advert waits for nothing.
    assert_eq!(bench.wake_to(5_615.0, 4_611.0, 77, 200), [""; 0]);
    bench.wake(5_615.0, behind());
    assert!(bench.wake(5_615.0, Input::Tick).contains(&"5615.000 advert 100".to_owned()));
}

/// Active since 3609.375, for good: a lease would have ended first.
fn active_without_lease() -> Bench {
    let mut router = web();
    router.lease = false;
    let mut bench = Bench::up(config(&[("web", router)]), facts());
    bench.until(4_000.0);
    bench
}

#[test]
fn a_late_active_router_listens_and_goes_on() {
    let mut bench = active_without_lease();
    assert_eq!(bench.wake(11_000.0, Input::Tick)[0], "11000.000 listens, 7390 ms silent");
    assert!(bench.until(11_999.0).iter().all(|line| !line.contains("advert")));
    let lines = bench.until(12_000.0);
    assert_eq!(lines, ["12000.000 advert 100", "12000.000 announce 198.51.100.10"]);
    assert_eq!(bench.status().reason, "active-silent");
}

#[test]
fn a_late_active_router_gives_up_to_whom_it_hears_and_preempts_as_any_other() {
    let mut bench = active_without_lease();
    // Its queue is read before the clock is looked at.
    let lines = bench.wake_to(11_000.0, 10_800.0, 51, 50);
    assert_eq!(
        lines,
        [
            "11000.000 remove 198.51.100.10/24",
            "11000.000 released: at once",
            "11000.000 active -> backup: overslept",
            "11000.000 advert 1",
        ]
    );
    assert_eq!(bench.wake(11_000.0, Input::Tick), [""; 0]);
    for second in 12..15 {
        assert_eq!(bench.hear(f64::from(second) * 1_000.0 - 200.0, PEER, 50), [""; 0]);
    }
    let lines = bench.until(15_000.0);
    assert_eq!(lines[..2], ["14609.375 advert 100", "14609.375 add 198.51.100.10/24"]);
}

/// News of the host itself come first after a sleep, before any time is judged.
#[test]
fn a_late_backup_listens_whatever_it_learns_first() {
    let mut bench = node();
    bench.hear(1_000.0, PEER, 200);
    bench.wake(9_000.0, Input::Interface { name: eth0(), facts: Some(InterfaceFacts { mtu: 1400, ..facts() }) });
    assert_eq!(bench.wake(9_000.0, Input::Tick), ["9000.000 waits, 6750 ms late"]);
    assert_eq!(bench.until(10_609.0), [""; 0]);
    assert_eq!(bench.until(10_610.0)[..1], ["10609.375 advert 100"]);
}

/// A round is due at 8609 ms: whoever took over would not know that caches name us again. Its lease would be over at
/// 9559 ms, before it has listened for an interval: the kernel keeps what is here for so long, and a little more.
#[test]
fn a_late_active_router_announces_nothing_while_it_listens_and_keeps_what_nobody_has_taken() {
    let mut bench = active_node();
    bench.tells_renewals = true;
    bench.until(5_700.0);
    assert_eq!(
        bench.wake(8_650.0, Input::Tick),
        ["8650.000 listens, 3040 ms silent", "8650.000 renew 198.51.100.10/24 for 2 s before 9559.375"]
    );
    assert_eq!(bench.until(9_649.0), [""; 0]);
    assert_eq!(
        bench.until(9_650.0),
        [
            "9650.000 advert 100",
            "9650.000 renew 198.51.100.10/24 for 4 s before 10600.000",
            "9650.000 announce 198.51.100.10",
        ]
    );
    // Nothing of that kind where it has still enough.
    let mut bench = active_node();
    bench.tells_renewals = true;
    bench.until(4_000.0);
    assert_eq!(bench.wake(6_600.0, Input::Tick)[..1], ["6600.000 advert 100"]);
}

/// It falls silent again at once, for good: the kernel has taken the addresses when it wakes.
#[test]
fn what_is_kept_while_it_listens_ends_soon_without_it() {
    let mut bench = active_node();
    bench.until(5_700.0);
    bench.wake(8_650.0, Input::Tick);
    assert_eq!(bench.wake(10_600.0, Input::Tick)[2..], ["10600.000 active -> backup: lease-lapsed"]);
    // It has not listened yet.
    assert_eq!(bench.until(11_599.0), [""; 0]);
    assert_eq!(bench.until(11_600.0)[..1], ["11600.000 advert 100"]);
}

#[test]
fn whoever_sleeps_through_what_it_was_to_listen_to_listens_anew() {
    let mut bench = active_without_lease();
    assert_eq!(bench.wake(11_000.0, Input::Tick), ["11000.000 listens, 7390 ms silent"]);
    assert_eq!(bench.wake(15_000.0, Input::Tick), ["15000.000 listens, 4000 ms silent"]);
    assert_eq!(bench.until(15_999.0), [""; 0]);
    assert_eq!(bench.until(16_000.0)[..1], ["16000.000 advert 100"]);
}

#[test]
fn one_that_is_late_within_its_peers_patience_advertises_at_once() {
    let mut bench = active_node();
    // The last advert was that of 3609.375.
    assert_eq!(bench.wake(6_600.0, Input::Tick), ["6600.000 advert 100", "6600.000 announce 198.51.100.10"]);
}

#[test]
fn lateness_is_a_figure_of_the_status() {
    let mut bench = active_node();
    bench.wake(6_109.375, Input::Tick);
    bench.wake(6_609.375, Input::Suspended(Duration::from_millis(400)));
    bench.wake(6_609.500, Input::Tick);
    let lateness = bench.agent.snapshot(WallClock { at: Instant::from_nanos(0), unix_nanos: 0 }).lateness;
    assert_eq!((lateness.max_ms, lateness.suspended_ms), (1_500.0, 400.0));
    assert!(lateness.last_ms < 10.0, "{lateness:?}");
}

/// The claim's advert has left, and then the process stands still before it can hold anything.
#[test]
fn a_claim_that_was_slept_through_is_none() {
    let mut bench = node();
    bench.until(3_609.0);
    assert_eq!(bench.wake(3_609.375, Input::Tick), ["3609.375 advert 100"]);
    assert_eq!(bench.wake(7_000.0, Input::Tick), ["7000.000 still backup: lease-lapsed"]);
    let lines = bench.until(8_000.0);
    assert_eq!(lines[..2], ["8000.000 advert 100", "8000.000 add 198.51.100.10/24"]);
    let mut bench = node();
    bench.until(3_609.0);
    bench.wake(3_609.375, Input::Tick);
    // Somebody has followed meanwhile.
    assert_eq!(bench.wake_to(7_000.0, 6_900.0, 51, 50), ["7000.000 still backup: overslept", "7000.000 advert 1"]);
    assert_eq!(bench.wake(7_000.0, Input::Tick), [""; 0]);
    assert!(bench.until(10_000.0).iter().all(|line| !line.contains("add")));
}

/// Whoever followed on the other side of a partition cannot know that caches name this host.
#[test]
fn who_has_followed_unheard_is_told_that_it_was_not_alone() {
    // After its lease, too.
    let mut bench = active_node();
    let lapsed =
        ["11000.000 remove 198.51.100.10/24", "11000.000 released: lapsed", "11000.000 active -> backup: lease-lapsed"];
    assert_eq!(bench.wake(11_000.0, Input::Tick), lapsed);
    assert_eq!(bench.hear(11_200.0, PEER, 50), ["11200.000 advert 1"]);
    assert_eq!(bench.hear(11_900.0, PEER, 50), [""; 0]);
    // Whoever is Active at the lowest priority and loses a tie would take it for a better one.
    let mut bench = active_without_lease();
    let bytes = advert("192.0.2.1".parse().unwrap(), 51, 1);
    let lines = bench.wake(11_000.0, Input::Packet { interface: eth0(), received: instant(10_900.0), bytes: &bytes });
    assert_eq!(lines[2..], ["11000.000 active -> backup: overslept", "11000.000 advert 0"]);
}

/// Active since 3609.375 with a check, its last advert at 4609.375.
fn checked_sleeper() -> Bench {
    let mut bench = checked_node(None, |_| ());
    bench.until(5_000.0);
    bench
}

fn failed() -> Input<'static> {
    Input::Check { name: "app".parse().unwrap(), result: CheckResult::Failed, output: String::new() }
}

#[test]
fn who_has_slept_and_learns_that_it_is_unhealthy_listens_before_it_resigns() {
    let mut bench = checked_sleeper();
    assert_eq!(bench.wake(7_700.0, failed()), ["7700.000 priority 100 -> 1"]);
    assert_eq!(bench.wake(7_700.0, Input::Tick), ["7700.000 listens, 3090 ms silent"]);
    // Somebody is Active by now: no resignation calls for a third.
    assert_eq!(
        bench.hear(8_100.0, PEER, 50),
        [
            "8100.000 remove 198.51.100.10/24",
            "8100.000 released: at once",
            "8100.000 active -> backup: overslept",
            "8100.000 advert 1",
        ]
    );
    let mut bench = checked_sleeper();
    bench.wake(7_700.0, failed());
    bench.wake(7_700.0, Input::Tick);
    assert_eq!(bench.until(8_699.0), [""; 0]);
    assert_eq!(bench.until(8_700.0), ["8700.000 advert 0", "8700.000 active -> backup: unhealthy"]);
}

/// Degraded since 6859.375 (5 s, and A and a margin), it is to resign anew 30 s later.
#[test]
fn a_degraded_router_that_has_slept_listens_before_it_resigns_anew() {
    let mut bench = checked_node(None, |router| router.lease = false);
    bench.until(5_000.0);
    bench.check(5_000.0, CheckResult::Failed);
    let lines = bench.until(7_000.0);
    assert!(lines.contains(&"6270.000 backup -> active: degraded".to_owned()), "{lines:?}");
    bench.until(33_000.0);
    assert_eq!(bench.wake(37_000.0, Input::Tick), ["37000.000 listens, 4730 ms silent"]);
    assert_eq!(bench.until(37_999.0), [""; 0]);
    assert_eq!(bench.until(38_000.0), ["38000.000 advert 0", "38000.000 active -> backup: unhealthy"]);
}

#[test]
fn who_has_slept_and_is_to_stop_listens_before_it_resigns() {
    let mut bench = active_without_lease();
    assert_eq!(bench.wake(11_000.0, Input::Stop), ["11000.000 active -> initialize: stopping"]);
    assert_eq!(bench.until(11_999.0), [""; 0]);
    assert_eq!(bench.until(12_030.0), ["12000.000 advert 0", "12020.000 advert 0"]);
    let mut bench = active_without_lease();
    bench.wake(11_000.0, Input::Stop);
    let lines = bench.hear(11_300.0, PEER, 50);
    assert_eq!(lines, [""; 0]);
    // That may have been its claim: its address comes next.
    let lines = bench.until(11_400.0);
    assert_eq!(lines[..3], ["11400.000 advert 0", "11400.000 remove 198.51.100.10/24", "11400.000 released: heard"]);
}

/// Its leases were over before it learned anything.
#[test]
fn who_has_slept_beyond_its_lease_and_is_to_stop_has_nothing_to_resign() {
    let mut bench = active_node();
    let lines = bench.wake(11_000.0, Input::Stop);
    assert_eq!(lines[..2], ["11000.000 remove 198.51.100.10/24", "11000.000 released: lapsed"]);
    assert!(lines.iter().all(|line| !line.contains("advert")), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "11000.000 stopped");
}

/// Yielded at 4990, given up to be heard at 5040: that is when it hears that the other one resigns, with a Skew_Time of 0.
#[test]
fn a_claim_in_the_moment_in_which_a_yield_ends_holds_on() {
    let mut bench = active_without_lease();
    bench.until(4_700.0);
    bench.hear(4_990.0, PEER, 200);
    bench.hear(4_991.0, PEER, 0);
    // 4991 + 609.375 is far behind it, so the end of the yield is slept through.
    let lines = bench.wake(5_600.375, Input::Tick);
    assert_eq!(lines, ["5600.375 advert 100"]);
    let lines = bench.wake(5_600.375, Input::Tick);
    assert_eq!(lines[..1], ["5600.375 backup -> active: active-resigned"]);
    assert!(lines.iter().all(|line| !line.contains("add") && !line.contains("remove")), "{lines:?}");
}

#[test]
fn a_late_active_router_that_listens_does_not_answer_whoever_announces() {
    let mut bench = active_without_lease();
    bench.until(9_000.0);
    bench.wake(12_600.0, Input::Tick);
    assert_eq!(bench.announcement(12_700.0, "198.51.100.10", PEER_MAC), [""; 0]);
    assert_eq!(bench.until(13_599.0), [""; 0]);
}

/// The last renewal was that of 4609.375, for 3950: it would end before the first resignation.
#[test]
fn who_listens_before_it_resigns_keeps_what_it_has_for_so_long() {
    let mut bench = active_node();
    bench.tells_renewals = true;
    bench.until(5_000.0);
    assert_eq!(
        bench.wake(7_700.0, Input::Stop),
        ["7700.000 renew 198.51.100.10/24 for 2 s before 8559.375", "7700.000 active -> initialize: stopping"]
    );
    assert_eq!(bench.until(8_699.0), [""; 0]);
    assert_eq!(bench.until(8_700.0)[..1], ["8700.000 advert 0"]);
}
