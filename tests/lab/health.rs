//! Checks: what a failing one does, and a healed one.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::agents::{Agent, Router, toml};
use crate::clock::{MS, PATIENCE, SECOND, eventually, now};
use crate::common::tool;
use crate::departures::{cost_of_a_move, made_before_broken, unnoticed};
use crate::lan::{Lab, address};
use crate::live::{live, samples};
use crate::power_loss::VIP;

/// A check that is ok while a file is there, and the file, there.
pub fn check(lab: &Lab, host: usize) -> (String, PathBuf) {
    let file = lab.file(&format!("{host}.healthy"));
    fs::write(&file, "").expect("a file");
    let test = tool("test").expect("test");
    let command = format!("[{:?}, \"-e\", {:?}]", test.display().to_string(), file.display().to_string());
    (format!("[check.file]\nscript = {command}\ninterval = \"200ms\"\nrise = 2\nfall = 2\n"), file)
}

fn config(router: Router, more: &str, check: &str) -> String {
    toml(&[router.more(&format!("checks = [\"file\"]\n{more}"))]) + check
}

/// With a backup that preempts it is the lower priority that moves the address, else the resignation alone.
fn moves_there_and_back(backup_preempts: bool) {
    let lab = Lab::new(2);
    let mut backup = Router::new(100).every(500);
    backup.preempt = backup_preempts;
    let second = Agent::locum(&lab, 2, &toml(&[backup]));
    let (check, file) = check(&lab, 1);
    let first = Agent::locum(&lab, 1, &config(Router::new(200).every(500), "", &check));
    lab.holders.wait(VIP, &[1]);
    let mut back = Vec::new();
    let there = samples("a failing check", || {
        let (from, cost) = cost_of_a_move(&lab, 2, || fs::remove_file(&file).expect("the file"));
        made_before_broken(&lab, from, 1, 2);
        assert_eq!(first.router("web", "is unhealthy", |router| router["reason"] == "unhealthy")["degraded"], false);
        lab.stays(VIP, 2, 2 * SECOND);
        let (_, healed) = cost_of_a_move(&lab, 1, || fs::write(&file, "").expect("the file"));
        back.extend(healed);
        second.state("web", "backup");
        cost
    });
    unnoticed("a failing check", &there);
    unnoticed("a healed check", &back);
    first.logged("check file is failing");
    first.logged("check file is healthy");
}

#[test]
fn a_failing_check_moves_the_address_and_a_healed_one_brings_it_back() {
    live(&[], || moves_there_and_back(true));
}

#[test]
fn a_failing_check_moves_the_address_to_a_backup_that_does_not_preempt() {
    live(&[], || moves_there_and_back(false));
}

#[test]
fn a_check_that_cannot_run_has_failed() {
    live(&[], || {
        let lab = Lab::new(2);
        let missing = "[check.file]\nscript = [\"/no/such/program\"]\ninterval = \"200ms\"\n";
        let first = Agent::locum(&lab, 1, &config(Router::new(200).every(500), "", missing));
        let _second = Agent::locum(&lab, 2, &toml(&[Router::new(100).every(500)]));
        lab.holders.wait(VIP, &[2]);
        lab.stays(VIP, 2, 4 * SECOND);
        assert!(lab.holders.changes(VIP, 0).iter().all(|change| change.host == 2), "it was never at host 1");
        let status = first.status().expect("a status");
        assert_eq!(status["checks"]["file"]["last_result"], "could-not-run");
        assert_eq!(status["checks"]["file"]["healthy"], false);
        assert_eq!(status["routers"]["web"]["reason"], "unhealthy");
    });
}

#[test]
fn where_nobody_is_healthy_one_holds_as_degraded() {
    live(&[], || {
        let lab = Lab::new(2);
        let (mut agents, mut files) = (Vec::new(), Vec::new());
        for (host, priority) in [(1, 200), (2, 100)] {
            let (check, file) = check(&lab, host);
            agents.push(Agent::locum(&lab, host, &config(Router::new(priority).every(500), "", &check)));
            files.push(file);
        }
        lab.holders.wait(VIP, &[1]);
        let from = now();
        files.iter().for_each(|file| fs::remove_file(file).expect("the file"));
        for agent in &agents {
            agent.logged("check file is failing");
        }
        let degraded = |agent: &Agent| agent.status().is_some_and(|all| all["routers"]["web"]["degraded"] == true);
        let holder = crate::clock::eventually("one degraded host", || {
            let sole = lab.holders.of(VIP);
            (sole.len() == 1 && degraded(&agents[sole[0] - 1])).then(|| sole[0])
        });
        // 2 x Active_Down_Interval at priority 1 is 2 x (3 x 0.5 s + 255 / 256 x 0.5 s), just below 4 s.
        lab.stays(VIP, holder, 5 * SECOND);
        agents[holder - 1].router("web", "says it is degraded", |router| router["reason"] == "degraded");
        let other = &agents[2 - holder];
        other.router("web", "is an unhealthy backup", |router| {
            router["state"] == "backup" && router["degraded"] == false
        });
        // What the kernel says of two hosts at one moment is read a little later, one after the other.
        assert!(lab.holders.spans(VIP, from, now()).none < 20 * MS, "it was never away");
        lab.wire.wait("adverts at the lowest priority", from, |seen| {
            seen.advert().is_some_and(|advert| advert.source == address(holder, 0) && advert.priority == 1)
        });
    });
}

#[test]
fn where_nobody_is_healthy_and_nobody_may_hold_nobody_holds() {
    live(&[], || {
        let lab = Lab::new(2);
        let (mut agents, mut files) = (Vec::new(), Vec::new());
        for (host, priority) in [(1, 200), (2, 100)] {
            let (check, file) = check(&lab, host);
            let router = Router::new(priority).every(500);
            agents.push(Agent::locum(&lab, host, &config(router, "when_unhealthy = \"release\"", &check)));
            files.push(file);
        }
        lab.holders.wait(VIP, &[1]);
        files.iter().for_each(|file| fs::remove_file(file).expect("the file"));
        lab.holders.wait(VIP, &[]);
        for agent in &agents {
            assert_eq!(agent.state("web", "fault")["reason"], "unhealthy");
        }
        nobody_for(&lab, VIP, 6);
        fs::write(&files[1], "").expect("the file");
        lab.holders.wait(VIP, &[2]);
    });
}

/// What keeps the runner going may be told that it hangs before it has begun to listen, where the machine is slow.
#[test]
fn a_keeper_that_is_told_too_early_goes_on() {
    live(&[], || {
        let lab = Lab::new(1);
        let (check, _) = check(&lab, 1);
        for _ in 0..5 {
            let mut agent = Agent::locum(&lab, 1, &config(Router::new(200), "", &check));
            let (begun, parent) = (Instant::now(), agent.pid());
            let keeper = loop {
                if let Some(keeper) = children(parent).into_iter().find(|child| command_line(*child).contains("keeper"))
                {
                    break keeper;
                }
                assert!(begun.elapsed() < PATIENCE, "no keeper");
            };
            kill(keeper, Signal::SIGUSR2).expect("it has only just begun");
            eventually("a healthy check", || (agent.status()?["checks"]["file"]["healthy"] == true).then_some(()));
            assert!(command_line(keeper).contains("keeper"), "it has ended");
            assert_eq!(agent.stop(), 0);
        }
    });
}

fn children(parent: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok().map(Pid::from_raw)).collect()
}

fn command_line(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// Watches that nobody takes an address. The LAN may be silent, so that only asking shows that time has passed.
fn nobody_for(lab: &Lab, vip: Ipv4Addr, seconds: u64) {
    let from = now();
    crate::clock::eventually("the end of the watch", || (now() > from + seconds * SECOND).then_some(()));
    assert_eq!(lab.holders.changes(vip, from), [], "nobody takes {vip}");
    assert_eq!(lab.holders.of(vip), Vec::<usize>::new());
}
