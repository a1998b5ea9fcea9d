//! Planned departures, and who comes back.

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, Moment, SECOND, in_ms, now};
use crate::common::Need;
use crate::lan::{Lab, address};
use crate::live::{live, most_or_median, samples, tell, unless_disturbed};
use crate::power_loss::VIP;
use crate::probe::Probe;

/// What moving the address from one host to another cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    pub lost: u64,
    /// For how long two held it, in nanoseconds.
    pub several: u64,
    /// For how long nobody held it, in nanoseconds.
    pub none: u64,
}

/// Does something that moves the address to a host, and waits until its client gets answers from there.
pub fn cost_of_a_move(lab: &Lab, to: usize, act: impl FnOnce()) -> (Moment, Option<Cost>) {
    let probe = Probe::start(&lab.client, VIP);
    probe.wait_answer(now());
    let from = now();
    act();
    let moved = lab.holders.wait(VIP, &[to]);
    probe.wait_answer(moved);
    let lost = probe.stop().lost();
    let spans = lab.holders.spans(VIP, from, now());
    let cost = Cost { lost, several: spans.several, none: spans.none };
    let begun = lab.holders.changes(VIP, from).first().map_or(from, |change| change.at);
    (from, unless_disturbed(lab, &[(begun - 100 * MS, moved + 50 * MS)], cost))
}

/// For so long after a successor's advert its announcement is waited for.
const ANNOUNCES: u64 = 100 * MS;

/// On the wire and in the kernel: resignation, then the successor's announcement, and only then the address goes. Where
/// the machine keeps the successor from announcing for longer than is waited for, it need not be so.
pub fn made_before_broken(lab: &Lab, from: Moment, leaver: usize, successor: usize) {
    let resigned = lab.wire.wait("a resignation", from, |seen| seen.resigns(address(leaver, 0)));
    let announced = lab.wire.wait("the successor's announcement", from, |seen| {
        seen.announces() == Some(VIP) && usize::from(seen.mac[5]) == successor
    });
    let asserted = lab.wire.wait("the successor's advert", from, |seen| seen.asserts(address(successor, 0)));
    if announced.at > asserted.at + ANNOUNCES {
        return;
    }
    let changes = lab.holders.changes(VIP, from);
    let gone = changes.iter().find(|change| change.host == leaver && !change.held).expect("it left");
    assert!(resigned.at < announced.at && announced.at < gone.at, "{resigned:?} {announced:?} {gone:?}");
}

/// The costs are those of moves that nobody notices.
pub fn unnoticed(what: &str, costs: &[Cost]) {
    let lost: Vec<u64> = costs.iter().map(|cost| cost.lost).collect();
    let several: Vec<u64> = costs.iter().map(|cost| cost.several).collect();
    println!("{what}: {lost:?} echoes lost");
    tell(&format!("{what}, two holders"), &several);
    let (lost, several) = (most_or_median(&lost), most_or_median(&several));
    assert!(lost <= 1, "{what}: {lost} echoes lost of {costs:?}");
    assert!(several <= 50 * MS, "{what}: {} ms of two holders of {costs:?}", in_ms(several));
}

#[test]
fn a_planned_stop_costs_at_most_one_echo() {
    live(&[], || {
        let lab = Lab::new(2);
        let _second = Agent::locum(&lab, 2, &toml(&[Router::new(100)]));
        let costs = samples("planned stop", || {
            let mut first = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
            lab.holders.wait(VIP, &[1]);
            let (from, cost) = cost_of_a_move(&lab, 2, || assert_eq!(first.stop(), 0, "exit code"));
            made_before_broken(&lab, from, 1, 2);
            first.logged("the successor announced");
            cost
        });
        unnoticed("planned stop", &costs);
    });
}

#[test]
fn a_planned_stop_beside_keepalived_costs_at_most_one_echo() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let _second = Agent::keepalived(&lab, 2, &[Router::new(100)]);
        let costs = samples("planned stop beside keepalived", || {
            let mut first = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
            lab.holders.wait(VIP, &[1]);
            let (from, cost) = cost_of_a_move(&lab, 2, || assert_eq!(first.stop(), 0, "exit code"));
            made_before_broken(&lab, from, 1, 2);
            cost
        });
        unnoticed("planned stop beside keepalived", &costs);
    });
}

#[test]
fn a_higher_priority_that_preempts_takes_the_address_back() {
    live(&[], || {
        let lab = Lab::new(2);
        let config = |priority| toml(&[Router::new(priority)]);
        let second = Agent::locum(&lab, 2, &config(100));
        let costs = samples("return with preempt", || {
            lab.holders.wait(VIP, &[2]);
            let mut first = None;
            let (from, cost) = cost_of_a_move(&lab, 1, || first = Some(Agent::locum(&lab, 1, &config(200))));
            let asserted = lab.wire.wait("the winner's advert", from, |seen| seen.asserts(address(1, 0)));
            let changes = lab.holders.changes(VIP, from);
            assert!(changes.iter().all(|change| change.at > asserted.at), "{asserted:?} {changes:?}");
            assert_eq!(second.state("web", "backup")["reason"], "higher-priority");
            first.expect("it runs").stop();
            cost
        });
        unnoticed("return of the higher priority", &costs);
    });
}

#[test]
fn a_higher_priority_that_does_not_preempt_leaves_the_address_where_it_is() {
    live(&[], || {
        let lab = Lab::new(2);
        let _second = Agent::locum(&lab, 2, &toml(&[Router::new(100).every(500)]));
        lab.holders.wait(VIP, &[2]);
        let probe = Probe::start(&lab.client, VIP);
        probe.wait_answer(now());
        let first = Agent::locum(&lab, 1, &toml(&[Router::new(200).every(500).no_preempt()]));
        first.state("web", "backup");
        // Its Active_Down_Interval is 3 x 0.5 s + (256 - 200) / 256 x 0.5 s = 1.609375 s.
        lab.stays(VIP, 2, 4 * SECOND);
        assert_eq!(first.state("web", "backup")["active"], "192.0.2.2");
        let echoes = probe.stop();
        assert_eq!(echoes.lost(), 0, "echoes lost of {}", echoes.sent.len());
    });
}
