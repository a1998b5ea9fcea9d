//! False takeovers on a machine that has too much to do: adverts each 10 ms, 16 spinning processes, `realtime` on, beside
//! a pair of keepalived with its own real-time settings on the same bridge. Nothing fails, so each takeover is a false one.
//!
//!   cargo bench --bench starved [-- RUNS SECONDS]     5 runs of 60 s unless told otherwise; needs root and keepalived
//!
//! Takeovers within 200 ms of a stall of the whole machine are nobody's fault: they are set aside, and counted.

#![allow(dead_code, reason = "the lab is made for more than this")]

use std::io::{Write, stdout};
use std::net::Ipv4Addr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[path = "../tests/common/mod.rs"]
mod common;

#[path = "../tests/lab/agents.rs"]
mod agents;
#[path = "../tests/lab/clock.rs"]
mod clock;
#[path = "../tests/lab/holders.rs"]
mod holders;
#[path = "../tests/lab/lan.rs"]
mod lan;
#[path = "../tests/lab/probe.rs"]
mod probe;
#[path = "../tests/lab/room.rs"]
mod room;
#[path = "../tests/lab/stalls.rs"]
mod stalls;
#[path = "../tests/lab/wire.rs"]
mod wire;

use agents::{Agent, Router, toml};
use clock::{MS, Moment, now};
use lan::{Lab, address};

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
const SPINNING: usize = 16;
/// A pause of a real-time thread that is longer was the machine's.
const STALL: u64 = 4 * MS;
/// Adverts of a Backup that are further apart belong to two takeovers.
const APART: u64 = 50 * MS;
const NEAR: u64 = 200 * MS;

/// keepalived's own way to what `realtime` does.
const KEEPALIVED: &str = " vrrp_rt_priority 10\n vrrp_no_swap\n";

/// A process that never rests.
struct Spinner(Child);

impl Spinner {
    fn start() -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
        Spinner(command.spawn().expect("a process"))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A thread that comes before everything else and notes when it could not run: then nobody could.
struct Sentinel {
    stalls: Arc<Mutex<Vec<(Moment, Moment)>>>,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sentinel {
    fn start() -> Self {
        let (stalls, end) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(AtomicBool::new(false)));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let watch = |processor: usize| {
            let (found, until) = (Arc::clone(&stalls), Arc::clone(&end));
            thread::spawn(move || {
                let id = nix::unistd::gettid().to_string();
                let mut only = nix::sched::CpuSet::new();
                only.set(processor).expect("a processor");
                nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &only).expect("a processor of ours");
                let chrt = Command::new("chrt").args(["--fifo", "--pid", "90", &id]).status();
                assert!(chrt.is_ok_and(|status| status.success()), "chrt is needed, and to be root");
                while !until.load(Ordering::Relaxed) {
                    let before = now();
                    thread::sleep(Duration::from_millis(1));
                    let after = now();
                    if after - before > STALL {
                        found.lock().expect("no panic").push((before, after));
                    }
                }
            })
        };
        let threads = (0..processors).map(watch).collect();
        Sentinel { stalls, end, threads }
    }

    fn finish(self) -> Vec<(Moment, Moment)> {
        self.end.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it only slept"));
        self.stalls.lock().expect("no panic").clone()
    }
}

/// When a host that should only back up began to assert.
fn takeovers(lab: &Lab, from: Moment, backup: usize) -> Vec<Moment> {
    let (mut found, mut last) = (Vec::new(), 0);
    for at in lab.wire.since(from).iter().filter(|seen| seen.asserts(address(backup, 0))).map(|seen| seen.at) {
        if at - last > APART {
            found.push(at);
        }
        last = at;
    }
    found
}

/// Counted, and set aside.
fn judged(takeovers: &[Moment], stalls: &[(Moment, Moment)]) -> (usize, usize) {
    let near = |at: &&Moment| stalls.iter().any(|(from, to)| **at + NEAR >= *from && **at <= *to + NEAR);
    let aside = takeovers.iter().filter(near).count();
    (takeovers.len() - aside, aside)
}

fn run(seconds: u64) -> [(usize, usize); 2] {
    let lab = Lab::new(4);
    let router = |priority, name, vrid, address: Ipv4Addr| {
        Router::new(priority).every(10).named(name, vrid).holding(&[&format!("{address}/24")])
    };
    let mut agents = Vec::new();
    for (host, priority) in [(1, 200), (2, 100)] {
        let config = format!("[node]\nrealtime = true\n{}", toml(&[router(priority, "ours", 51, OURS)]));
        agents.push(Agent::locum(&lab, host, &config));
    }
    for (host, priority) in [(3, 200), (4, 100)] {
        agents.push(Agent::keepalived_with(&lab, host, &[router(priority, "theirs", 52, THEIRS)], KEEPALIVED));
    }
    lab.holders.wait(OURS, &[1]);
    lab.holders.wait(THEIRS, &[3]);
    let realtime = agents[0].status().expect("a status")["realtime"].clone();
    assert_eq!(realtime["priority"], 10, "real time is not to be had here: {realtime}");
    let sentinel = Sentinel::start();
    let spinners: Vec<Spinner> = (0..SPINNING).map(|_| Spinner::start()).collect();
    let from = now();
    thread::sleep(Duration::from_secs(seconds));
    let until = now();
    drop(spinners);
    lab.wire.watched_until(until);
    let stalls = sentinel.finish();
    let longest = stalls.iter().map(|(from, to)| to - from).max().unwrap_or(0);
    let told = [2, 4].map(|backup| judged(&takeovers(&lab, from, backup), &stalls));
    let [(ours, ours_aside), (theirs, theirs_aside)] = told;
    let line = format!(
        "{seconds} s: locum {ours} ({ours_aside} set aside), keepalived {theirs} ({theirs_aside} set aside); \
         the machine stood still {} times, {} ms at the longest\n",
        stalls.len(),
        longest / MS
    );
    stdout().write_all(line.as_bytes()).expect("standard output");
    told
}

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let (runs, seconds) = (numbers.first().copied().unwrap_or(5), numbers.get(1).copied().unwrap_or(60));
    if !common::require(&[common::Need::Root, common::Need::Tool("keepalived"), common::Need::Tool("chrt")]) {
        return ExitCode::SUCCESS;
    }
    let _turn = common::live_alone();
    let told: Vec<_> = (0..runs).map(|_| run(seconds)).collect();
    let sum = |who: usize| told.iter().map(|run| run[who].0).sum::<usize>();
    let (ours, theirs) = (sum(0), sum(1));
    let line = format!("false takeovers in {} s: locum {ours}, keepalived {theirs}\n", runs * seconds);
    stdout().write_all(line.as_bytes()).expect("standard output");
    if ours <= theirs { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
