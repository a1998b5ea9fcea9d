//! Numbers of authenticated adverts over the end of a process: none is taken twice, and none of ours is refused.

use std::net::{IpAddr, Ipv4Addr};

use locum::config::{AuthMode, Config};
use locum::proto::{Agent, Effect, Input};
use locum::types::{InterfaceFacts, LeftAddress, RouterRecord};
use locum::wire::vrrp::{self, Tail};

use super::authentication::{HOUR, OURS, authenticated, bench, clock, discards, sealed};
use super::bench::*;

const DAY: f64 = 24.0 * HOUR;

/// The process is killed at one time and another one has begun at the other, by a wall clock that is wrong by so many
/// milliseconds then.
fn restart(bench: &mut Bench, killed: f64, started: f64, wrong: f64) {
    bench.until(killed);
    let (records, left) = (bench.kept.values().cloned().collect(), bench.here.clone());
    bench.agent = Agent::new(bench.config.clone(), instant(started));
    wind(bench, started, wrong);
    bench.wake(started, Input::Past { records, left });
    bench.wake(started, Input::Interface { name: eth0(), facts: Some(facts()) });
    bench.wake(started, Input::Tick);
}

/// Tells the clock without passing time.
fn wind(bench: &mut Bench, millis: f64, wrong: f64) {
    bench.wake(millis, Input::WallClock { unix_nanos: super::authentication::unix_nanos(millis + wrong) });
}

fn refused(bench: &Bench, reason: &str) -> u64 {
    discards(bench).get(reason).copied().unwrap_or_default()
}

#[test]
fn a_restart_takes_nothing_twice() {
    let mut bench = bench(AuthMode::Enforce);
    let advert = sealed(200, 1_000.0, (7, OURS));
    bench.packet(1_000.0, &advert);
    restart(&mut bench, 1_400.0, 1_450.0, 0.0);
    assert_eq!(bench.packet(1_500.0, &advert), ["1500.000 discarded auth-replayed and 0 more"]);
    bench.packet(2_000.0, &sealed(200, 2_000.0, (7, OURS)));
    assert_eq!(bench.status().peers[0].adverts, 1);
    // And once more, whoever kept it: the agent before, or the one before that.
    restart(&mut bench, 2_400.0, 2_450.0, 0.0);
    restart(&mut bench, 2_450.0, 2_460.0, 0.0);
    bench.packet(2_500.0, &advert);
    bench.packet(2_510.0, &sealed(200, 2_000.0, (7, OURS)));
    assert_eq!((refused(&bench, "auth-replayed"), bench.status().peers.len()), (2, 0));
    // Without what the one before knew, what is not older than the window could be new.
    bench.kept.clear();
    restart(&mut bench, 2_600.0, 2_610.0, 0.0);
    bench.packet(2_620.0, &sealed(200, 2_000.0, (7, OURS)));
    assert_eq!(bench.status().peers.len(), 1);
    let old = sealed(200, 2_700.0 - 5_100.0, (7, OURS));
    assert_eq!(bench.packet(2_700.0, &old), ["2700.000 mistake auth-stale of 192.0.2.3"]);
}

#[test]
fn what_was_captured_is_refused_a_day_later_whatever_the_clock_says_by_then() {
    for (wrong, reason) in [(0.0, "auth-stale"), (-DAY, "auth-replayed"), (-HOUR, "auth-stale"), (HOUR, "auth-stale")] {
        let mut bench = bench(AuthMode::Enforce);
        let captured: Vec<_> = (1..5).map(|second| sealed(0, f64::from(second) * 1_000.0, (7, OURS))).collect();
        for (second, advert) in (1..).zip(&captured) {
            bench.packet(f64::from(second) * 1_000.0, advert);
        }
        restart(&mut bench, 4_500.0, DAY, wrong);
        for (second, advert) in (1..).zip(&captured) {
            bench.packet(DAY + f64::from(second) * 1_000.0, advert);
        }
        assert_eq!(discards(&bench), [(reason.to_owned(), 4)].into(), "our clock is wrong by {wrong}");
        assert_eq!(bench.status().peers.len(), 0);
    }
}

#[test]
fn a_clock_that_is_set_while_no_agent_runs_silences_no_peer_and_lets_nothing_in_twice() {
    for wrong in [HOUR, -HOUR, DAY, -DAY] {
        let mut bench = bench(AuthMode::Enforce);
        let captured: Vec<_> = (1..100).map(|second| sealed(200, f64::from(second) * 1_000.0, (7, OURS))).collect();
        for (second, advert) in (1..).zip(&captured) {
            bench.packet(f64::from(second) * 1_000.0, advert);
        }
        restart(&mut bench, 99_500.0, 99_900.0, wrong);
        assert_eq!(bench.status().peers.len(), 0);
        for (number, advert) in (100..).zip(&captured) {
            let millis = f64::from(number) * 1_000.0;
            clock(&mut bench, millis, wrong);
            bench.packet(millis, &sealed(200, millis, (7, OURS)));
            bench.packet(millis + 1.0, advert);
        }
        let status = bench.status();
        assert_eq!((status.counters.adverts_received, status.counters.became_active), (99, 0), "ours by {wrong}");
        assert_eq!(discards(&bench).values().sum::<u64>(), 99, "ours by {wrong}");
        // Put right, with the next agent.
        restart(&mut bench, 199_500.0, 199_600.0, 0.0);
        bench.packet(200_000.0, &sealed(200, 200_000.0, (7, OURS)));
        bench.packet(200_100.0, &captured[98]);
        assert_eq!((bench.status().peers.len(), discards(&bench).values().sum::<u64>()), (1, 1));
    }
}

#[test]
fn numbers_of_a_peer_that_was_ahead_are_refused_when_its_clock_comes_to_them_after_a_restart() {
    let mut bench = bench(AuthMode::Enforce);
    bench.packet(500.0, &sealed(200, 500.0, (7, OURS)));
    // Its clock is an hour ahead for a while.
    let captured: Vec<_> = (1..10).map(|second| sealed(0, f64::from(second) * 1_000.0 + HOUR, (7, OURS))).collect();
    for (second, advert) in (1..).zip(&captured) {
        bench.packet(f64::from(second) * 1_000.0, advert);
    }
    assert_eq!(refused(&bench, "auth-replayed") + refused(&bench, "auth-stale"), 0);
    restart(&mut bench, 9_500.0, 9_600.0, 0.0);
    // An hour later its right clock says the same.
    for second in (10..3_700).filter(|second| *second < 20 || *second > 3_590) {
        let millis = f64::from(second) * 1_000.0;
        clock(&mut bench, millis, 0.0);
        bench.packet(millis, &sealed(200, millis - 10.0, (7, OURS)));
        if let Some(advert) = captured.get(usize::try_from(second - 3_601).unwrap_or(usize::MAX)) {
            bench.packet(millis + 1.0, advert);
        }
    }
    assert_eq!(refused(&bench, "auth-replayed"), 9, "{:?}", discards(&bench));
    assert_eq!(bench.status().counters.resignations_received, 0);
}

/// Adverts that an agent sends until then, and what is kept of it.
fn sends(agent: &mut Agent, until: f64, kept: &mut Option<RouterRecord>) -> Vec<(f64, Vec<u8>)> {
    let mut sent = Vec::new();
    while let Some(due) = agent.next_deadline().filter(|due| *due <= instant(until)) {
        let mut effects = Vec::new();
        agent.handle(due, Input::Tick, &mut effects);
        for effect in effects {
            match effect {
                Effect::SendAdvert { packet, .. } => sent.push((millis(due), packet)),
                Effect::Record(record) => *kept = Some(*record),
                _ => {}
            }
        }
    }
    sent
}

fn millis(at: locum::types::Instant) -> f64 {
    at.since(instant(0.0)).as_secs_f64() * 1e3
}

/// The other node, of a higher address and priority; what an earlier process has left is there.
fn other(started: f64, wrong: f64, record: Option<RouterRecord>) -> Agent {
    let mut config: Config = authenticated(AuthMode::Enforce);
    config.routers.values_mut().for_each(|router| router.priority = locum::types::Priority::new(200).unwrap());
    let now = instant(started);
    let mut agent = Agent::new(config, now);
    let left: Vec<LeftAddress> = Vec::new();
    let there = InterfaceFacts { addresses: vec![net("192.0.2.3/24")], ..facts() };
    let mut nothing = Vec::new();
    for input in [
        Input::WallClock { unix_nanos: super::authentication::unix_nanos(started + wrong) },
        Input::Past { records: record.into_iter().collect(), left },
        Input::Interface { name: eth0(), facts: Some(there) },
        Input::Tick,
    ] {
        agent.handle(now, input, &mut nothing);
    }
    agent
}

#[test]
fn a_sender_that_restarts_is_heard_at_once_whatever_its_clock_says_by_then() {
    const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
    for wrong in [0.0, HOUR, -HOUR] {
        let (mut bench, mut kept) = (bench(AuthMode::Enforce), None);
        // Active from 3218.75 on.
        let before = sends(&mut other(0.0, 0.0, None), 9_500.0, &mut kept);
        // It starts anew 0.3 s later, and goes on at once as it was.
        let after = sends(&mut other(9_800.0, wrong, kept), 30_500.0, &mut None);
        for (at, packet) in before.iter().chain(&after) {
            let received = vrrp::parse(packet).unwrap();
            assert_eq!((received.source, matches!(received.tail, Tail::Trailer(_))), (THEIRS, true));
            bench.packet(*at, packet);
        }
        let heard: Vec<f64> = after.iter().map(|(at, _)| *at).collect();
        assert!(heard.first().is_some_and(|at| *at < 10_500.0), "{heard:?}");
        bench.until(30_600.0);
        let status = bench.status();
        assert_eq!(status.counters.became_active, 0, "their clock is wrong by {wrong}: {:?}", status.last_transitions);
        let ticks = heard.iter().map(|at| at.to_bits()).collect::<std::collections::BTreeSet<_>>().len();
        let told = u64::try_from(ticks + before.len()).unwrap();
        assert!(status.counters.adverts_received >= told, "{} of {told}", status.counters.adverts_received);
    }
}

/// Whose clock is set forward, whom nobody knows it from or only from when it was further ahead, still goes on by the
/// former clock beside it: else two would be Active until somebody sees to it.
#[test]
fn a_sender_whose_clock_is_set_forward_is_heard_by_who_has_just_begun_and_by_who_knew_it_further_ahead() {
    for settings in [vec![(5_000.0, HOUR)], vec![(5_000.0, 24.0 * HOUR), (8_000.0, 0.0), (11_000.0, HOUR)]] {
        let (mut bench, mut peer, mut adverts) = (bench(AuthMode::Enforce), other(0.0, 0.0, None), Vec::new());
        for (at, wrong) in &settings {
            adverts.extend(sends(&mut peer, *at, &mut None));
            let unix_nanos = super::authentication::unix_nanos(at + wrong);
            peer.handle(instant(*at), Input::WallClock { unix_nanos }, &mut Vec::new());
        }
        adverts.extend(sends(&mut peer, 20_000.0, &mut None));
        // The first one begins only after the clock was set.
        let from = if settings.len() == 1 { 6_000.0 } else { 0.0 };
        adverts.iter().filter(|(at, _)| *at > from).for_each(|(at, packet)| drop(bench.packet(*at, packet)));
        let status = bench.status();
        assert_eq!(status.state, locum::report::RouterState::Backup, "{:?}", status.last_transitions);
        let of_late = adverts.last().map(|(at, _)| *at).unwrap_or_default();
        bench.until(of_late + 3_000.0);
        assert_eq!(bench.status().state, locum::report::RouterState::Backup, "the last advert was heard");
    }
}
