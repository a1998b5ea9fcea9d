//! The host that holds the address loses its power.

use std::net::Ipv4Addr;

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, Moment, in_ms, now};
use crate::lan::{Lab, address, mac};
use crate::live::{live, median, samples, unless_disturbed};
use crate::probe::{Probe, believed};

pub const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

/// Cuts host 1, which holds the address, right after one of its adverts; the client's longest gap in nanoseconds, unless
/// the machine stood still at one of its ends. Afterwards host 2 holds the address, and the client knows.
pub fn cut_after_an_advert(lab: &Lab) -> Option<u64> {
    let probe = Probe::start(&lab.client, VIP);
    probe.wait_answer(now());
    let from = now();
    lab.wire.wait("an advert of host 1", from, |seen| seen.asserts(address(1, 0)));
    lab.power_off(1);
    let moved = lab.holders.wait(VIP, &[2]);
    probe.wait_answer(moved);
    let announced = lab.wire.wait("the announcement of host 2", moved.saturating_sub(100 * MS), |seen| {
        seen.announces() == Some(VIP) && seen.mac[5] == 2
    });
    assert_eq!(believed(&lab.client, VIP), Some(mac(2)), "whom the client believes after {announced:?}");
    let (last, first) = probe.stop().longest_gap();
    let around = |at: Moment| (at.saturating_sub(250 * MS), at + 50 * MS);
    unless_disturbed(lab, &[around(last), around(first)], first - last)
}

/// Host 1 (priority 200) and host 2 (priority 100), whose Active_Down_Interval is `expected` nanoseconds.
fn the_gap_is_the_active_down_interval(interval_ms: u32, expected: u64) {
    let lab = Lab::new(2);
    let config = |priority| toml(&[Router::new(priority).every(interval_ms)]);
    let _second = Agent::locum(&lab, 2, &config(100));
    let gaps = samples(&format!("gap after a power loss at {interval_ms} ms"), || {
        let _first = Agent::locum(&lab, 1, &config(200));
        lab.holders.wait(VIP, &[1]);
        let gap = cut_after_an_advert(&lab);
        lab.power_on(1);
        gap
    });
    let gap = median(&gaps);
    assert!(gap < expected + 20 * MS, "median of {gaps:?} ns, expected {} ms", in_ms(expected));
    assert!(gap > expected - 20 * MS, "median of {gaps:?} ns, expected {} ms", in_ms(expected));
}

// 3 x 1 s + (256 - 100) / 256 x 1 s
#[test]
fn costs_no_more_than_the_active_down_interval_at_1_s() {
    live(&[], || the_gap_is_the_active_down_interval(1000, 3_609_375_000));
}

// 3 x 0.1 s + (256 - 100) / 256 x 0.1 s
#[test]
fn costs_no_more_than_the_active_down_interval_at_100_ms() {
    live(&[], || the_gap_is_the_active_down_interval(100, 360_937_500));
}
