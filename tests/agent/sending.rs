//! Adverts that do not leave this host, and answers that are asked for too often.

use locum::proto::Input;
use locum::report::RouterState;

use super::bench::*;

#[test]
fn a_claim_whose_advert_does_not_leave_holds_nothing_and_is_tried_again() {
    let mut bench = node();
    bench.mute = true;
    assert_eq!(bench.until(4_000.0), ["3609.375 advert 100", "3609.375 backup -> fault: send-failed"]);
    assert_eq!(bench.status().words, "cannot send adverts on interface eth0: Operation not permitted");
    // The state stays what it is, without a word for each attempt.
    assert_eq!(bench.until(11_000.0), ["4609.375 advert 100", "8218.750 advert 100"]);
    bench.mute = false;
    assert_eq!(
        bench.until(12_000.0),
        ["11828.125 advert 100", "11828.125 add 198.51.100.10/24", "11828.125 fault -> active: active-silent"]
    );
    assert_eq!(bench.status().counters.send_errors, 3);
}

#[test]
fn slow_adverts_do_not_slow_the_next_attempt_down() {
    let mut router = web();
    router.advert_interval = locum::types::Interval::from_centiseconds(4_000).unwrap();
    let mut bench = Bench::up(config(&[("web", router)]), facts());
    bench.mute = true;
    // 3 x 40 s + 156 / 256 x 40 s, then each 10 s.
    let lines = bench.until(170_000.0);
    assert_eq!(lines[0], "144375.000 advert 100");
    assert_eq!(lines[2..], ["154375.000 advert 100", "164375.000 advert 100"]);
}

#[test]
fn adverts_that_do_not_leave_are_a_fault_once_the_backups_have_given_up() {
    let mut router = web();
    // With a lease that ends first, and is the fault then.
    router.lease = false;
    let mut bench = Bench::up(config(&[("web", router)]), facts());
    bench.until(4_000.0);
    bench.mute = true;
    // The first one fails at 4609.375; 3609.375 ms later whoever is there has followed.
    let lines = bench.until(8_218.0);
    assert!(!lines.iter().any(|line| line.contains("fault") || line.contains("remove")), "{lines:?}");
    assert_eq!(bench.status().state, RouterState::Active);
    assert_eq!(
        bench.until(8_300.0),
        ["8218.750 remove 198.51.100.10/24", "8218.750 released: at once", "8218.750 active -> fault: send-failed",]
    );
    bench.mute = false;
    let lines = bench.until(12_000.0);
    assert_eq!(lines[2], "11828.125 fault -> active: active-silent");
}

#[test]
fn single_failures_are_counted_and_nothing_else() {
    let mut bench = active_node();
    for second in 4..40 {
        // The advert and the answer of every other second fail.
        bench.mute = second % 2 == 0;
        let lines = bench.until(f64::from(second) * 1_000.0 + 700.0);
        assert!(!lines.iter().any(|line| line.contains("->")), "{lines:?}");
        bench.hear(f64::from(second) * 1_000.0 + 900.0, PEER, 50);
    }
    assert!(bench.status().counters.send_errors >= 30);
}

#[test]
fn a_mute_active_leaves_to_whoever_follows_whatever_its_priority() {
    let mut bench = active_node();
    bench.mute = true;
    bench.until(7_000.0);
    // Adverts at 4609, 5609 and 6609 have failed: whoever is Active now has missed them.
    let lines = bench.hear(7_100.0, PEER, 50);
    assert_eq!(lines, ["7100.000 active -> fault: send-failed"]);
    assert_eq!(
        bench.announcement(7_101.0, "198.51.100.10", PEER_MAC),
        ["7101.000 remove 198.51.100.10/24", "7101.000 released: announced"]
    );
    // It preempts, and tries; an attempt that fails takes nothing from the other one.
    bench.hear(10_000.0, PEER, 50);
    assert_eq!(bench.until(10_800.0), ["10709.375 advert 100"]);
    bench.mute = false;
    bench.hear(14_000.0, PEER, 50);
    let lines = bench.until(14_400.0);
    assert_eq!(lines[2], "14318.750 fault -> active: preempting");
}

#[test]
fn who_is_mute_behind_a_better_one_says_that_it_does_not_know() {
    let mut bench = node();
    bench.mute = true;
    bench.until(4_000.0);
    assert_eq!(bench.hear(4_500.0, PEER, 150), ["4500.000 fault -> backup: send-unproven"]);
    assert_eq!(
        bench.status().words,
        "its last adverts on interface eth0 could not be sent (Operation not permitted); whether they can be now shows when it takes over"
    );
    // The other one dies: 4500 + 3609.375.
    assert_eq!(bench.until(8_200.0), ["8109.375 advert 100", "8109.375 backup -> fault: send-failed"]);
    bench.hear(8_300.0, PEER, 150);
    bench.mute = false;
    let lines = bench.until(12_000.0);
    assert_eq!(lines[2], "11909.375 backup -> active: active-silent");
    bench.give(12_500.0, Input::StopAtOnce);
}

#[test]
fn resignations_without_end_are_answered_four_times_an_interval_and_put_no_advert_off() {
    let mut bench = active_node();
    bench.until(9_000.0);
    let mut adverts = Vec::new();
    for number in 0..400 {
        let lines = bench.hear(9_000.0 + f64::from(number) * 10.0, PEER, 0);
        let sent = lines.iter().filter(|line| line.contains("advert"));
        adverts.extend(sent.map(|line| line.split(' ').next().unwrap().parse::<f64>().unwrap()));
    }
    // One a 250 ms for 4 s, the first at once.
    assert_eq!(adverts.len(), 16, "{adverts:?}");
    assert!(adverts.windows(2).all(|pair| pair[1] - pair[0] >= 250.0 && pair[1] - pair[0] <= 260.0), "{adverts:?}");
    let rounds = bench.status().counters.announcements;
    // At the claim, after 1, 2 and 5 s, and once a second since.
    assert!((8..=9).contains(&rounds), "{rounds}");
}
