//! A program that takes over from another one in the same process goes on where that one was.

use locum::proto::Input;
use locum::report::RouterState;
use locum::types::{CheckResult, Memory};

use super::bench::*;

/// Another agent with the same configuration, started at this time with what the first one knew.
fn successor(of: &Bench, millis: f64, memory: Memory) -> Bench {
    let mut bench = Bench::new(of.config.clone());
    assert_eq!(bench.give(millis, Input::Memory(memory)), [""; 0]);
    bench.interface(millis, Some(facts()));
    bench.give(millis, Input::Tick);
    bench
}

#[test]
fn a_backup_goes_on_from_the_last_advert_it_heard() {
    let mut first = node();
    first.hear(1_000.0, PEER, 150);
    // 1000 + Active_Down_Interval at priority 100: 3 s and 156/256 of one.
    let mut second = successor(&first, 3_000.0, first.agent.memory());
    assert_eq!(second.until(60_000.0)[..2], ["4609.375 advert 100", "4609.375 add 198.51.100.10/24"]);
    let mut anew = successor(&first, 3_000.0, Memory::default());
    assert_eq!(anew.until(60_000.0)[0], "6609.375 advert 100");
}

#[test]
fn a_preempt_delay_that_runs_goes_on() {
    let mut config = web();
    config.preempt_delay = std::time::Duration::from_secs(10);
    let mut first = Bench::up(super::bench::config(&[("web", config)]), facts());
    for second in 1..=5 {
        first.hear(f64::from(second) * 1_000.0, PEER, 50);
    }
    let mut second = successor(&first, 5_500.0, first.agent.memory());
    for time in 6..=13 {
        second.hear(f64::from(time) * 1_000.0, PEER, 50);
    }
    // The delay began at 1000 and ends at 11000; the last advert before that came at 10000.
    second.until(13_609.0);
    assert_eq!(second.until(13_610.0)[0], "13609.375 advert 100");
}

#[test]
fn it_is_not_remembered_for_longer_than_the_start() {
    let mut first = node();
    first.hear(1_000.0, PEER, 150);
    let mut second = Bench::new(first.config.clone());
    second.give(1_500.0, Input::Memory(first.agent.memory()));
    second.give(1_500.0, Input::Tick);
    second.interface(60_000.0, Some(facts()));
    assert_eq!(second.until(63_609.0), [""; 0]);
    assert_eq!(second.until(63_610.0)[0], "63609.375 advert 100");
    // One that comes too late is not listened to.
    let mut running = node();
    assert_eq!(running.give(2_000.0, Input::Memory(first.agent.memory())), [""; 0]);
    assert_eq!(running.until(3_610.0)[0], "3609.375 advert 100");
}

#[test]
fn verdicts_stand_until_there_are_new_ones() {
    let mut first = checked_node(None, |_| {});
    first.hear(1_000.0, PEER, 150);
    let second = successor(&first, 1_500.0, first.agent.memory());
    assert_eq!(second.status().state, RouterState::Backup);
    let anew = successor(&first, 1_500.0, Memory::default());
    assert_eq!(anew.status().reason, "waiting-for-checks");
    first.check(2_000.0, CheckResult::Failed);
    let sick = successor(&first, 2_500.0, first.agent.memory());
    assert_eq!(sick.status().reason, "unhealthy");
}

#[test]
fn nothing_is_handed_over_while_addresses_are_on_their_way_out() {
    let mut bench = active_node();
    assert!(bench.agent.is_quiet());
    bench.hear(4_100.0, PEER, 150);
    assert!(!bench.agent.is_quiet(), "it yields");
    bench.announcement(4_110.0, "198.51.100.10", PEER_MAC);
    assert!(bench.agent.is_quiet());
    bench.hear(4_200.0, PEER, 0);
    assert!(!bench.agent.is_quiet(), "it is about to claim");
    bench.until(6_000.0);
    bench.give(6_000.0, Input::Stop);
    assert!(!bench.agent.is_quiet(), "it stops");
}
