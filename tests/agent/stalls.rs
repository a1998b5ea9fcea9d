//! The host stands still and wakes. Priority 100 at 1 s: Active_Down_Interval 3609.375 ms, Skew_Time 609.375 ms.

use std::time::Duration;

use locum::proto::Input;
use locum::report::WallClock;
use locum::types::{Instant, InterfaceFacts};

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
        ["11000.000 remove 198.51.100.10/24", "11000.000 released: at once", "11000.000 active -> backup: overslept"]
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

/// A round is due at 8609 ms: whoever took over would not know that caches name us again. Its lease is over at 9559 ms.
#[test]
fn a_late_active_router_announces_nothing_while_it_listens() {
    let mut bench = active_node();
    bench.until(5_700.0);
    assert_eq!(bench.wake(8_650.0, Input::Tick), ["8650.000 listens, 3040 ms silent"]);
    assert_eq!(bench.until(9_559.0), [""; 0]);
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
    assert_eq!(bench.wake_to(7_000.0, 6_900.0, 51, 50), ["7000.000 still backup: overslept"]);
    assert_eq!(bench.wake(7_000.0, Input::Tick), [""; 0]);
    assert!(bench.until(10_000.0).iter().all(|line| !line.contains("add")));
}
