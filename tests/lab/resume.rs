//! The agent ends without a word, or its host stands still, and both go on.

use std::io::{Write, stderr};

use nix::sys::signal::Signal;

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, Moment, SECOND, in_ms, now};
use crate::common::Need;
use crate::lan::{Lab, address};
use crate::leases::renewed;
use crate::live::{live, median, samples, tell, unless_disturbed};
use crate::power_loss::VIP;
use crate::probe::Probe;

fn first() -> String {
    toml(&[Router::new(200)])
}

fn second() -> String {
    toml(&[Router::new(100)])
}

/// Where the kernel takes longer than this to end a process the peers may lose patience, and rightly: closing a packet
/// socket waits for every processor, which is seconds where there are many more programs than processors.
const PROMPT: u64 = SECOND;

/// Ends the agent of host 1 and starts another one in its place; how long after its start that one announced, in
/// nanoseconds, unless the machine stood still. Nobody notices anything else.
fn replaced(lab: &Lab, agent: &mut Agent, config: &str, how: Signal, code: i32) -> Option<u64> {
    for _ in 0..20 {
        let probe = Probe::start(&lab.client, VIP);
        probe.wait_answer(now());
        let from = now();
        // The peers must not be about to lose patience by the machine's own doing.
        let advert = lab.wire.wait("an advert of host 1", from, |seen| seen.asserts(address(1, 0)));
        agent.signal(how);
        assert_eq!(agent.ended(), code);
        let started = now();
        *agent = Agent::locum(lab, 1, config);
        if started - advert.at <= PROMPT {
            return goes_on(lab, agent, probe, from, started);
        }
        let late = in_ms(started - advert.at);
        writeln!(stderr(), "{how}: set aside, the process has ended {late} ms after its last advert").expect("written");
        lab.wire.wait("an advert of host 1", started, |seen| seen.asserts(address(1, 0)));
        lab.holders.wait(VIP, &[1]);
    }
    panic!("the machine was never quick to end a process");
}

/// The agent of host 1 has been started in the place of another one that held the address from a moment on.
fn goes_on(lab: &Lab, agent: &Agent, probe: Probe, from: Moment, started: Moment) -> Option<u64> {
    let announced =
        lab.wire.wait("the announcement of host 1", started, |seen| seen.announces() == Some(VIP) && seen.mac[5] == 1);
    assert_eq!(agent.state("web", "active")["reason"], "resumed");
    // Longer than any patience.
    lab.wire.watched_until(started + 5 * SECOND);
    // The kernel answers, whoever stands still.
    assert_eq!(probe.stop().lost(), 0, "echoes lost");
    assert_eq!(lab.holders.changes(VIP, from), [], "the holder of {VIP} changes");
    assert_eq!(lab.holders.of(VIP), [1]);
    let seen = lab.wire.since(from);
    assert!(!seen.iter().any(|seen| seen.asserts(address(2, 0))), "host 2 takes over");
    assert!(!seen.iter().any(|seen| seen.resigns(address(1, 0))), "host 1 resigns");
    lab.undisturbed(started, announced.at).then_some(announced.at - started)
}

fn is_soon(what: &str, spans: &[u64]) {
    let median = median(spans);
    tell(&format!("{what}, until it announced"), spans);
    assert!(median <= 50 * MS, "{what}: median of {spans:?} ns");
}

#[test]
fn killed_and_started_at_once_it_goes_on_and_nobody_notices() {
    live(&[], || {
        let lab = Lab::new(2);
        let [mut agent, backup] = pair(&lab);
        let spans = samples("kill -9 and start", || replaced(&lab, &mut agent, &first(), Signal::SIGKILL, -9));
        is_soon("kill -9 and start", &spans);
        backup.state("web", "backup");
        // What it took over it gives up in the end.
        assert_eq!(agent.stop(), 0);
        lab.holders.wait(VIP, &[2]);
    });
}

#[test]
fn told_to_leave_it_ends_without_a_word_and_the_next_one_goes_on() {
    live(&[], || {
        let lab = Lab::new(2);
        let [mut agent, backup] = pair(&lab);
        let spans = samples("SIGUSR1 and start", || replaced(&lab, &mut agent, &first(), Signal::SIGUSR1, 0));
        is_soon("SIGUSR1 and start", &spans);
        agent.logged("the next agent on this host goes on");
        backup.state("web", "backup");
    });
}

/// As our own bug would end it.
#[test]
fn a_crash_is_like_being_killed() {
    live(&[], || {
        let lab = Lab::new(2);
        let [mut agent, _backup] = pair(&lab);
        for (how, code) in [(Signal::SIGABRT, -6), (Signal::SIGILL, -4)] {
            replaced(&lab, &mut agent, &first(), how, code);
        }
    });
}

#[test]
fn keepalived_does_not_notice_either() {
    live(&[Need::Tool("keepalived")], || {
        let lab = Lab::new(2);
        let mut agent = Agent::locum(&lab, 1, &first());
        lab.holders.wait(VIP, &[1]);
        let backup = Agent::keepalived(&lab, 2, &[Router::new(100)]);
        backup.logged("Entering BACKUP STATE");
        for (how, code) in [(Signal::SIGKILL, -9), (Signal::SIGUSR1, 0)] {
            replaced(&lab, &mut agent, &first(), how, code);
        }
    });
}

/// A check whose first result takes a second holds no resumption up.
#[test]
fn the_verdict_of_before_stands_until_the_first_result() {
    live(&[], || {
        let lab = Lab::new(2);
        let checks =
            "checks = [\"slow\"]\n[check.slow]\nscript = [\"/bin/sh\", \"-c\", \"sleep 0.9\"]\ntimeout = \"2s\"";
        let config = toml(&[Router::new(200).more(checks)]);
        let mut agent = Agent::locum(&lab, 1, &config);
        lab.holders.wait(VIP, &[1]);
        let backup = Agent::locum(&lab, 2, &second());
        backup.state("web", "backup");
        replaced(&lab, &mut agent, &config, Signal::SIGKILL, -9);
    });
}

#[test]
fn too_late_it_clears_away_what_it_left_and_is_a_backup() {
    live(&[], || {
        let lab = Lab::new(2);
        let config = toml(&[Router::new(200).no_preempt()]);
        let mut agent = Agent::locum(&lab, 1, &config);
        lab.holders.wait(VIP, &[1]);
        let _backup = Agent::locum(&lab, 2, &second());
        agent.signal(Signal::SIGKILL);
        agent.ended();
        let moved = lab.wire.wait("the takeover of host 2", now(), |seen| seen.asserts(address(2, 0))).at;
        let started = now();
        let agent = Agent::locum(&lab, 1, &config);
        lab.holders.wait(VIP, &[2]);
        agent.router("web", "hears host 2", |router| router["active"] == "192.0.2.2");
        lab.stays(VIP, 2, 5 * SECOND);
        assert_eq!(agent.state("web", "backup")["counters"]["became_active"], 0);
        let seen = lab.wire.since(started.max(moved));
        assert!(!seen.iter().any(|seen| seen.asserts(address(1, 0))), "host 1 asserts itself");
    });
}

#[test]
fn what_is_no_longer_configured_goes_at_start_and_what_others_set_stays() {
    live(&[], || {
        let lab = Lab::new(1);
        let gone = std::net::Ipv4Addr::new(192, 0, 2, 101);
        let both = Router::new(200).holding(&["192.0.2.100/24", "192.0.2.101/24"]);
        let mut agent = Agent::locum(&lab, 1, &toml(&[both]));
        lab.holders.wait(VIP, &[1]);
        lab.holders.wait(gone, &[1]);
        let from = now();
        agent.signal(Signal::SIGKILL);
        agent.ended();
        lab.host(1).ip("addr add 192.0.2.102/24 dev eth0");
        let agent = Agent::locum(&lab, 1, &toml(&[Router::new(200).holding(&["192.0.2.100/24", "192.0.2.102/24"])]));
        lab.holders.wait(gone, &[]);
        let active = agent.state("web", "active");
        assert_eq!(active["addresses"][0]["state"], "held");
        agent.router("web", "finds the other one", |router| router["addresses"][1]["state"] == "foreign");
        assert_eq!(lab.holders.changes(VIP, from), []);
        // The mark decides beside the record: one that was removed and set again by somebody else is that one's.
        let mut agent = agent;
        agent.signal(Signal::SIGKILL);
        agent.ended();
        // It stands beside the host's own address as it would never be tied to that one's life.
        lab.host(1).ip("addr del 192.0.2.100/32 dev eth0");
        lab.host(1).ip("addr add 192.0.2.100/32 dev eth0");
        let mut agent = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
        agent.router("web", "finds it foreign", |router| router["addresses"][0]["state"] == "foreign");
        agent.signal(Signal::SIGTERM);
        agent.signal(Signal::SIGTERM);
        assert_eq!(agent.ended(), 0);
        assert_eq!(lab.holders.of(VIP), [1]);
    });
}

/// For how long the agents of these hosts stand still; when they go on.
fn stalled(lab: &Lab, agents: &[&Agent], span: u64) -> Moment {
    let from = now();
    lab.wire.wait("an advert of host 1", from, |seen| seen.asserts(address(1, 0)));
    standing(agents, span)
}

/// The same from this moment on.
fn standing(agents: &[&Agent], span: u64) -> Moment {
    agents.iter().for_each(|agent| agent.signal(Signal::SIGSTOP));
    // Nobody may be left to say anything that could be waited for.
    std::thread::sleep(std::time::Duration::from_nanos(span));
    let resumed = now();
    agents.iter().for_each(|agent| agent.signal(Signal::SIGCONT));
    resumed
}

fn pair(lab: &Lab) -> [Agent; 2] {
    pair_with(lab, "")
}

fn pair_with(lab: &Lab, more: &str) -> [Agent; 2] {
    let one = Agent::locum(lab, 1, &toml(&[Router::new(200).more(more)]));
    lab.holders.wait(VIP, &[1]);
    let two = Agent::locum(lab, 2, &toml(&[Router::new(100).more(more)]));
    two.state("web", "backup");
    [one, two]
}

fn nobody_noticed(lab: &Lab, from: Moment) -> Option<()> {
    lab.stays(VIP, 1, 5 * SECOND);
    assert_eq!(lab.holders.changes(VIP, from), []);
    assert!(!lab.wire.since(from).iter().any(|seen| seen.asserts(address(2, 0))), "host 2 asserts itself");
    Some(())
}

#[test]
fn a_backup_that_stood_still_takes_nothing() {
    live(&[], || {
        let lab = Lab::new(2);
        let [_one, two] = pair(&lab);
        samples("a backup that stands still for 7 s", || {
            let from = now();
            stalled(&lab, &[&two], 7 * SECOND);
            nobody_noticed(&lab, from)
        });
        // 7 s less the 250 ms and the interval it is awake for nothing else.
        let late = two.status().expect("a status")["lateness"]["max_ms"].as_f64().expect("a number");
        assert!((4_000.0..8_000.0).contains(&late), "{late} ms");
    });
}

#[test]
fn two_that_stood_still_within_their_patience_go_on() {
    live(&[], || {
        let lab = Lab::new(2);
        let [one, two] = pair(&lab);
        samples("both stand still for 2.5 s", || {
            let from = now();
            stalled(&lab, &[&one, &two], 2_500 * MS);
            nobody_noticed(&lab, from)
        });
    });
}

/// The lease of four seconds would end while it listens for one; nobody has followed, so there is no reason for that.
#[test]
fn a_lone_one_that_stood_still_within_its_lease_keeps_its_address() {
    live(&[], || {
        let lab = Lab::new(1);
        let one = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
        lab.holders.wait(VIP, &[1]);
        samples("an active one that stands still for 3.3 s", || {
            renewed(&one);
            let from = now();
            let resumed = standing(&[&one], 3_300 * MS);
            let asserted = lab.wire.wait("an advert of host 1", resumed, |seen| seen.asserts(address(1, 0))).at;
            // Beyond the end of the lease from before: 4 s, and up to 1.05 s late.
            lab.wire.watched_until(resumed + 3 * SECOND);
            let listened = (resumed.saturating_sub(100 * MS), asserted);
            // It is the kernel that renews a lease, or is too slow for it.
            let measured = unless_disturbed(&lab, &[(from, from + 100 * MS), listened], ());
            measured.filter(|()| !lab.stalls.slow_within(from, now()))?;
            assert!(asserted > resumed + 950 * MS, "{} ms after", in_ms(asserted - resumed));
            assert_eq!(lab.holders.changes(VIP, from), []);
            Some(())
        });
    });
}

#[test]
fn of_two_that_stood_still_for_long_the_same_one_goes_on() {
    live(&[], || {
        let lab = Lab::new(2);
        let [one, two] = pair(&lab);
        let spans = samples("both stand still for 7 s", || {
            let from = now();
            let resumed = stalled(&lab, &[&one, &two], 7 * SECOND);
            // The address has left with its lease, which the kernel ends.
            if lab.stalls.slow_within(from, resumed) && !lab.holders.of(VIP).is_empty() {
                lab.holders.wait(VIP, &[1]);
                return None;
            }
            assert_eq!(lab.holders.of(VIP), [0; 0]);
            let asserted = lab.wire.wait("an advert of host 1", resumed, |seen| seen.asserts(address(1, 0)));
            let held = lab.holders.wait(VIP, &[1]);
            assert_eq!(lab.holders.spans(VIP, from, held).several, 0);
            // It listens for an interval first.
            assert!(asserted.at > resumed + 950 * MS, "{} ms after", in_ms(asserted.at - resumed));
            lab.stays(VIP, 1, 5 * SECOND);
            assert!(!lab.wire.since(resumed).iter().any(|seen| seen.asserts(address(2, 0))), "host 2 asserts itself");
            Some(held - resumed)
        });
        tell("held again after both stood still for 7 s", &spans);
        assert!(spans.iter().all(|span| *span < 1_500 * MS), "{spans:?} ns after");
    });
}

/// Without a lease, which would have ended meanwhile.
#[test]
fn an_active_one_that_stood_still_gives_up_at_once_and_takes_the_place_back_in_its_turn() {
    live(&[], || {
        let lab = Lab::new(2);
        let [one, _two] = pair_with(&lab, "lease = false");
        let from = now();
        let resumed = stalled(&lab, &[&one], 7 * SECOND);
        lab.holders.wait(VIP, &[2]);
        assert_eq!(one.state("web", "backup")["reason"], "overslept");
        let back = lab.wire.wait("an advert of host 1", resumed, |seen| seen.asserts(address(1, 0)));
        lab.holders.wait(VIP, &[1]);
        lab.stays(VIP, 1, 5 * SECOND);
        // As any preempting backup: priority 200 bears 3.21875 s.
        assert!(back.at > resumed + 2_000 * MS, "{} ms after", in_ms(back.at - resumed));
        // For one move and one back each host gets the address once and loses it once.
        let changes = lab.holders.changes(VIP, from);
        let of = |host, held| changes.iter().filter(|change| (change.host, change.held) == (host, held)).count();
        assert_eq!([of(1, true), of(1, false), of(2, true), of(2, false)], [1; 4], "{changes:?}");
        let gone = changes.iter().find(|change| change.host == 1 && !change.held).expect("it left");
        // Long before the next advert it would hear.
        assert!(gone.at < resumed + 500 * MS, "host 1 gives up {} ms after", in_ms(gone.at - resumed));
    });
}
