//! Claims, yields and departures.

use locum::proto::Input;

use super::bench::*;

#[test]
fn a_claim_is_an_advert_first_then_the_address_then_announcements() {
    let mut bench = node();
    assert_eq!(bench.until(3_609.0), [""; 0]);
    assert_eq!(
        bench.until(9_000.0),
        [
            "3609.375 advert 100",
            "3609.375 add 198.51.100.10/24",
            "3609.375 backup -> active: active-silent",
            "4609.375 advert 100",
            "4609.375 announce 198.51.100.10",
            "5609.375 advert 100",
            "5609.375 announce 198.51.100.10",
            "6609.375 advert 100",
            "7609.375 advert 100",
            "8609.375 advert 100",
            "8609.375 announce 198.51.100.10",
        ]
    );
}

#[test]
fn a_stop_resigns_repeats_that_and_goes_with_the_successors_announcement() {
    let mut bench = active_node();
    assert_eq!(bench.give(4_100.0, Input::Stop), ["4100.000 advert 0", "4100.000 active -> initialize: stopping"]);
    assert_eq!(bench.hear(4_150.0, PEER, 90), ["4120.000 advert 0", "4140.000 advert 0"]);
    assert_eq!(
        bench.announcement(4_152.0, "198.51.100.10", PEER_MAC),
        ["4152.000 remove 198.51.100.10/24", "4152.000 released: announced", "4152.000 stopped"]
    );
    assert_eq!(bench.agent.next_deadline(), None);
}

#[test]
fn a_successor_that_is_heard_but_never_announces_gets_100_ms_and_is_told_once_more() {
    let mut bench = active_node();
    bench.give(4_100.0, Input::Stop);
    bench.hear(4_150.0, PEER, 90);
    assert_eq!(
        bench.until(10_000.0),
        ["4250.000 advert 0", "4250.000 remove 198.51.100.10/24", "4250.000 released: heard", "4250.000 stopped"]
    );
}

#[test]
fn without_a_successor_it_resigns_once_more_after_everybodys_turn_and_waits_for_the_slowest_backup() {
    let mut bench = active_node();
    bench.give(4_100.0, Input::Stop);
    assert_eq!(
        bench.until(60_000.0),
        [
            "4120.000 advert 0",
            "4140.000 advert 0",
            "5370.000 advert 0",
            // 3 s and 255 / 256 s, the Active_Down_Interval of priority 1.
            "8096.094 remove 198.51.100.10/24",
            "8096.094 released: no successor",
            "8096.094 stopped",
        ]
    );
}

#[test]
fn a_stop_of_a_backup_is_over_at_once_and_a_stop_at_once_does_not_linger() {
    assert_eq!(node().give(100.0, Input::Stop), ["100.000 backup -> initialize: stopping", "100.000 stopped"]);
    assert_eq!(
        active_node().give(4_100.0, Input::StopAtOnce),
        [
            "4100.000 advert 0",
            "4100.000 active -> initialize: stopping",
            "4100.000 remove 198.51.100.10/24",
            "4100.000 released: at once",
            "4100.000 stopped",
        ]
    );
}

#[test]
fn who_yields_goes_with_the_winners_announcement() {
    let mut bench = active_node();
    assert_eq!(bench.hear(4_100.0, PEER, 150), ["4100.000 active -> backup: higher-priority"]);
    assert_eq!(
        bench.announcement(4_101.0, "198.51.100.10", PEER_MAC),
        ["4101.000 remove 198.51.100.10/24", "4101.000 released: announced"]
    );
}

#[test]
fn a_winner_that_does_not_announce_within_50_ms_is_told_that_it_has_to() {
    let mut bench = active_node();
    bench.hear(4_100.0, PEER, 150);
    assert_eq!(
        bench.until(4_200.0),
        ["4150.000 advert 100", "4150.000 remove 198.51.100.10/24", "4150.000 released: heard"]
    );
}

#[test]
fn who_has_yielded_and_may_not_take_part_any_more_resigns_instead() {
    let mut bench = checked_node(None, |router| router.when_unhealthy = locum::config::WhenUnhealthy::Release);
    bench.until(4_000.0);
    bench.hear(4_100.0, PEER, 150);
    assert_eq!(bench.check(4_120.0, locum::types::CheckResult::Failed), ["4120.000 backup -> fault: unhealthy"]);
    assert_eq!(
        bench.until(4_200.0),
        ["4150.000 advert 0", "4150.000 remove 198.51.100.10/24", "4150.000 released: heard"]
    );
}

#[test]
fn an_active_router_answers_a_resignation_and_announces_again() {
    let mut bench = active_node();
    bench.until(8_700.0);
    assert_eq!(bench.hear(8_800.0, PEER, 0), ["8800.000 advert 100"]);
    assert_eq!(bench.until(9_700.0), ["9359.375 announce 198.51.100.10"]);
}

#[test]
fn a_lower_advert_is_answered_and_announced_after_at_most_four_times_an_interval() {
    let mut bench = active_node();
    bench.until(8_700.0);
    assert_eq!(bench.hear(8_800.0, PEER, 50), ["8800.000 advert 100"]);
    assert_eq!(bench.hear(9_000.0, PEER, 50), [""; 0]);
    // The last round was at 8609.375; provoked ones are 750 ms apart.
    assert_eq!(bench.hear(9_100.0, PEER, 50), ["9100.000 advert 100"]);
    assert_eq!(bench.until(9_609.4), ["9359.375 announce 198.51.100.10", "9609.375 advert 100"]);
}

/// Its adverts did not leave the switch: the other one was Active each second, and clients were told of both. When it is
/// heard again, the other one yields, and says once more that it was Active too, so that the address is announced.
#[test]
fn who_was_mute_announces_again_within_750_ms_of_the_last_round_that_was_lost() {
    let announced = |challenged: f64, until: f64| {
        let mut bench = active_node();
        bench.until(20_000.0);
        let lines = [20_300.0, 21_300.0, 22_300.0].map(|at| bench.hear(at, PEER, 50));
        assert_eq!(lines[2].last().unwrap(), "22300.000 advert 100");
        bench.until(22_301.0);
        bench.hear(challenged, PEER, 50);
        bench.until(until)
    };
    assert_eq!(announced(22_660.0, 23_100.0), ["23050.000 announce 198.51.100.10"]);
    // So soon after the last answer that no advert is called for.
    assert_eq!(announced(22_540.0, 23_100.0), ["22609.375 advert 100", "23050.000 announce 198.51.100.10"]);
    assert_eq!(announced(23_290.0, 23_290.0), ["23290.000 announce 198.51.100.10"]);
}

/// After 1, 2 and 5 s each minute, for caches that have missed all of that.
#[test]
fn an_active_router_announces_each_minute_ever_after() {
    let mut bench = active_node();
    bench.until(8_700.0);
    let lines = bench.until(190_000.0);
    let announced: Vec<_> = lines.iter().filter(|line| line.contains("announce")).collect();
    assert_eq!(
        announced,
        [68_609, 128_609, 188_609].map(|at| format!("{at}.375 announce 198.51.100.10")).iter().collect::<Vec<_>>()
    );
}

#[test]
fn the_owner_does_not_wait_and_preempts_even_if_told_not_to() {
    let mut owner = router(51, 255, &["198.51.100.10/24"]);
    owner.preempt = false;
    let mut bench = Bench::new(config(&[("web", owner)]));
    bench.interface(0.0, Some(facts()));
    assert_eq!(bench.give(0.0, Input::Tick), ["0.000 advert 255"]);
    assert_eq!(bench.until(0.0), ["0.000 add 198.51.100.10/24", "0.000 initialize -> active: owner"]);
    bench.hear(100.0, PEER, 255);
    bench.hear(500.0, PEER, 254);
    // Priority 255: 3 s and 1 / 256 s after the last advert that counted.
    let lines = bench.until(4_000.0);
    assert!(lines.contains(&"3103.906 backup -> active: active-silent".to_owned()), "{lines:?}");
}

#[test]
fn a_reload_of_the_vrid_is_a_new_election_while_the_address_stays() {
    let mut bench = active_node();
    let lines = bench.reload(4_100.0, |config| {
        config.routers.get_mut(&"web".parse().unwrap()).unwrap().vrid = locum::types::Vrid::new(60).unwrap();
    });
    assert_eq!(
        lines,
        ["4100.000 advert 0", "4100.000 active -> initialize: reconfigured", "4100.000 initialize -> backup: startup",]
    );
    let lines = bench.until(7_800.0);
    assert!(lines.contains(&"7709.375 backup -> active: active-silent".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("remove")), "{lines:?}");
}

/// Whoever performs its effects makes ready for the addresses before the advert leaves.
#[test]
fn a_claim_is_foreseen_by_the_tick_that_makes_it_and_by_no_other() {
    let mut bench = node();
    let (before, due) = (instant(3_609.374), instant(3_609.375));
    assert!(bench.until(3_609.374).iter().all(|line| !line.contains("active")));
    assert!(!bench.agent.is_about_to_claim(before));
    assert!(bench.agent.is_about_to_claim(due));
    bench.until(3_610.0);
    let advert = bench.agent.next_deadline().expect("the next advert");
    assert!(!bench.agent.is_about_to_claim(advert));
}

/// It came too late to hear anything else of it.
#[test]
fn a_backup_that_heard_nothing_but_a_resignation_says_so() {
    let mut bench = node();
    bench.hear(500.0, PEER, 0);
    assert_eq!(
        bench.until(1_200.0),
        ["1109.375 advert 100", "1109.375 add 198.51.100.10/24", "1109.375 backup -> active: active-resigned",]
    );
}
