//! `realtime = true`: which threads it is for, and what is told where it is refused.

use std::fs;

use serde_json::Value;

use crate::agents::{Agent, Router, toml};
use crate::clock::eventually;
use crate::common::Need;
use crate::lan::Lab;
use crate::live::live;
use crate::power_loss::VIP;

const SEE: &str = "[check.see]\nscript = [\"/usr/bin/cut\", \"-d \", \"-f41\", \"/proc/self/stat\"]\n";

fn config(realtime: bool) -> String {
    let web = Router::new(100).every(500).more("checks = [\"see\"]");
    format!("[node]\nrealtime = {realtime}\n{}{SEE}", toml(&[web]))
}

/// Name, real-time priority and policy of each thread (proc_pid_stat(5), fields 2, 40 and 41).
fn schedule(agent: &Agent) -> Vec<(String, i32, i32)> {
    let entries = fs::read_dir(format!("/proc/{}/task", agent.pid())).expect("the agent runs").flatten();
    let thread = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (name, rest) = text.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some((name.to_owned(), fields[37].parse().expect("a number"), fields[38].parse().expect("a number")))
    };
    entries.filter_map(thread).collect()
}

/// Kilobytes of the agent that are locked.
fn locked(agent: &Agent) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("the agent runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn told(agent: &Agent) -> Value {
    agent.status().expect("a status")["realtime"].clone()
}

#[test]
fn the_protocol_thread_alone_is_in_real_time_and_a_reload_puts_it_back() {
    live(&[Need::Root], || {
        let lab = Lab::new(1);
        let agent = Agent::locum(&lab, 1, &config(true));
        lab.holders.wait(VIP, &[1]);
        let check = || agent.status().expect("a status")["checks"]["see"].clone();
        assert_eq!(check()["output"], "0", "a check is scheduled as any program: {}", check());
        let threads = schedule(&agent);
        for (name, priority, policy) in &threads {
            // SCHED_FIFO is 1, SCHED_OTHER 0.
            let expected = if name == "locum-protocol" { (10, 1) } else { (0, 0) };
            assert_eq!((*priority, *policy), expected, "{name} of {threads:?}");
        }
        assert!(threads.len() >= 4, "{threads:?}");
        assert!(locked(&agent) > 0);
        assert_eq!(told(&agent)["priority"], 10);
        assert_eq!(told(&agent)["memory_locked"], true);
        assert!(
            String::from_utf8_lossy(&agent.ask(&["status"]).stdout).contains("real time: SCHED_FIFO 10, memory locked")
        );

        agent.reload(&config(false));
        eventually("all threads are scheduled as usual", || {
            schedule(&agent).iter().all(|(_, priority, policy)| (*priority, *policy) == (0, 0)).then_some(())
        });
        eventually("nothing is locked", || (locked(&agent) == 0).then_some(()));
        agent.reload(&config(true));
        eventually("real time again", || (told(&agent)["priority"] == 10).then_some(()));
        // Another program in the same process begins as usual, and then puts its own protocol thread there.
        let replaced = agent.ask(&["reload", "--exec"]);
        assert!(replaced.status.success(), "{replaced:?}");
        assert_eq!(told(&agent)["priority"], 10, "{}", agent.log());
        for (name, priority, policy) in &schedule(&agent) {
            let expected = if name == "locum-protocol" { (10, 1) } else { (0, 0) };
            assert_eq!((*priority, *policy), expected, "{name} after another program took over");
        }
        assert_eq!(lab.holders.of(VIP), [1]);
    });
}

#[test]
fn where_it_is_refused_the_status_says_what_is_missing_and_all_else_works() {
    live(&[Need::Root], || {
        let lab = Lab::new(1);
        let without =
            ["--bounding-set", "-sys_nice,-ipc_lock,-sys_resource", "prlimit", "--memlock=65536", "--rtprio=0"];
        let agent = Agent::locum_as(&lab, 1, &config(true), &without);
        lab.holders.wait(VIP, &[1]);
        let told = told(&agent);
        assert_eq!((&told["priority"], &told["memory_locked"]), (&Value::Null, &Value::Bool(false)));
        let refused = told["refused"].to_string();
        for words in ["SCHED_FIFO", "CAP_SYS_NICE", "RLIMIT_MEMLOCK is 65536 bytes", "CAP_IPC_LOCK"] {
            assert!(refused.contains(words), "{words} is missing: {refused}");
        }
        agent.logged("`realtime` refused");
    });
}
