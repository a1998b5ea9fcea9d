//! The judge is judged: what it must find, and what it must let pass.

use super::*;
use crate::power_loss::VIP;

const CAST: Cast = Cast { ours: 2, keepalived: false, preempt: true };

/// At a millisecond of a round that begins at 10 s.
fn at(ms: u64) -> Moment {
    10 * SECOND + ms * MS
}

fn change(ms: u64, host: usize, held: bool) -> Change {
    Change { at: at(ms), host, address: VIP.into(), held }
}

fn record(kind: Kind, fault: Fault, from: u64, to: u64, changes: &[Change]) -> Record {
    let before = Change { at: SECOND, host: 1, address: VIP.into(), held: true };
    Record {
        cast: CAST,
        kind,
        from: at(0),
        settled: at(18_000),
        to: at(20_000),
        done: vec![Done { fault, from: at(from), to: Some(at(to)) }],
        changes: [&[before], changes].concat(),
        beliefs: Vec::new(),
        lost: Vec::new(),
        stalls: Vec::new(),
        slow: Vec::new(),
    }
}

fn told(record: &Record) -> Vec<String> {
    record.violations().into_iter().map(|violation| violation.what).collect()
}

fn asked(ms: u64, believed: Option<usize>) -> (Span, Option<usize>) {
    ((at(ms), at(ms + 5)), believed)
}

const KILL: Fault = Fault::Kill { host: 1, back: 9_000 };

#[test]
fn two_holders_after_a_death_are_borne_for_two_seconds_and_a_lease() {
    let moves = |gets, loses| [change(gets, 2, true), change(loses, 1, false)];
    assert_eq!(told(&record(Kind::Rough, KILL, 1_000, 10_000, &moves(4_600, 6_000))), [""; 0]);
    let long = told(&record(Kind::Rough, KILL, 1_000, 10_000, &moves(3_500, 6_000)));
    assert_eq!(long, ["a dead one and another held it for 2500 ms"]);
    let after = told(&record(Kind::Rough, KILL, 1_000, 10_000, &moves(6_000, 7_000)));
    assert_eq!(after, ["two held it for 650 ms, and nothing explains it"]);
}

#[test]
fn two_holders_of_a_partition_must_agree_within_an_interval_of_its_end() {
    let part = Fault::Part { host: 1, span: 8_000 };
    let moves = |agreed| [change(4_600, 2, true), change(agreed, 2, false)];
    assert_eq!(told(&record(Kind::Rough, part, 1_000, 9_000, &moves(10_500))), [""; 0]);
    let late = told(&record(Kind::Rough, part, 1_000, 9_000, &moves(11_600)));
    assert_eq!(late, ["two held it for 1000 ms, and nothing explains it"]);
}

#[test]
fn two_holders_of_nothing_are_none_but_for_a_move() {
    let reload = Fault::Reload { host: 1 };
    let moves = |took: u64| [change(2_000, 2, true), change(2_000 + took, 1, false)];
    assert_eq!(told(&record(Kind::Rough, reload, 1_000, 1_000, &moves(100))), [""; 0]);
    let long = told(&record(Kind::Rough, reload, 1_000, 1_000, &moves(300)));
    assert_eq!(long, ["two held it for 300 ms, and nothing explains it"]);
}

#[test]
fn nobody_holds_for_no_longer_than_an_able_host_waits() {
    let cable = Fault::Cable { host: 1, span: 9_000 };
    let moves = |took: u64| [change(1_001, 1, false), change(1_001 + took, 2, true)];
    assert_eq!(told(&record(Kind::Rough, cable, 1_000, 10_000, &moves(3_610))), [""; 0]);
    let long = told(&record(Kind::Rough, cable, 1_000, 10_000, &moves(4_300)));
    assert_eq!(long, ["nobody held it for 4300 ms, though host 2 was able to"]);
    // While all stand still nobody can.
    let freeze = Fault::FreezeAll { span: 9_000 };
    let moves = |back| [change(5_500, 1, false), change(back, 1, true)];
    assert_eq!(told(&record(Kind::Rough, freeze, 1_000, 10_000, &moves(11_100))), [""; 0]);
    let never = told(&record(Kind::Rough, freeze, 1_000, 10_000, &moves(15_000)));
    assert_eq!(never, ["nobody held it for 5000 ms, though host 1 was able to"]);
}

#[test]
fn what_should_not_be_noticed_moves_nothing_and_loses_nothing() {
    let kill = Fault::Kill { host: 1, back: 0 };
    let mut quiet = record(Kind::Quiet, kill, 1_000, 1_100, &[]);
    assert_eq!(told(&quiet), [""; 0]);
    quiet.lost = vec![at(1_050), at(1_051)];
    assert_eq!(told(&quiet), ["2 echoes were lost for nothing"]);
    let moved = record(Kind::Quiet, kill, 1_000, 1_100, &[change(2_000, 1, false), change(2_001, 1, true)]);
    assert!(told(&moved)[0].starts_with("it moved for nothing"), "{:?}", told(&moved));
    let slipped = record(Kind::Quiet, kill, 1_000, 1_800, &[change(2_000, 1, false), change(2_001, 1, true)]);
    assert_eq!(told(&slipped), [""; 0]);
    let calm = record(Kind::Rough, kill, 1_000, 1_100, &[change(18_500, 1, false), change(18_501, 1, true)]);
    assert!(told(&calm)[0].starts_with("it moved when nothing was done"), "{:?}", told(&calm));
}

#[test]
fn an_address_that_was_removed_comes_back_soon_and_where_it_was() {
    let gone = change(1_000, 1, false);
    let back = |ms, host| record(Kind::Touch, Fault::Unaddress, 1_000, 1_000, &[gone.clone(), change(ms, host, true)]);
    assert_eq!(told(&back(1_080, 1)), [""; 0]);
    assert_eq!(told(&back(1_400, 1)), ["it was away for 400 ms"]);
    assert_eq!(told(&back(1_080, 2)), ["it moved between hosts {1, 2}"]);
}

#[test]
fn a_client_is_wrong_for_a_second_at_most() {
    let mut claimed = record(Kind::Touch, Fault::Claimant, 1_000, 1_000, &[]);
    claimed.beliefs = vec![asked(900, Some(1)), asked(1_100, Some(2)), asked(2_200, Some(2)), asked(2_400, Some(1))];
    assert_eq!(told(&claimed), [""; 0]);
    claimed.beliefs.push(asked(2_500, Some(2)));
    assert_eq!(told(&claimed), ["host 1 has held it alone for 2500 ms, and the client believes 2"]);
    let moves = [change(4_600, 2, true), change(6_000, 1, false)];
    let mut killed = record(Kind::Rough, KILL, 1_000, 10_000, &moves);
    killed.beliefs = vec![asked(4_000, Some(1)), asked(7_000, Some(1)), asked(7_400, None)];
    assert_eq!(told(&killed), [""; 0]);
    // It moved on while the client was asked.
    killed.beliefs.push(((at(19_990), at(20_010)), Some(1)));
    assert_eq!(told(&killed), [""; 0]);
    killed.beliefs.push(asked(7_500, Some(1)));
    assert_eq!(told(&killed), ["host 2 has held it alone for 1500 ms, and the client believes 1"]);
}

#[test]
fn the_machine_is_to_blame_only_while_it_is_slow() {
    let moves = [change(4_600, 2, true), change(8_000, 1, false)];
    let mut record = record(Kind::Rough, KILL, 1_000, 10_000, &moves);
    let violation = record.violations().pop().expect("one");
    assert!(!record.is_machines(&violation));
    record.slow = vec![(at(5_500), at(8_000))];
    assert!(record.is_machines(&violation));
}
