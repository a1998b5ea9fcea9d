//! The agent as it runs: what the kernel says of it, and the runner that it has started before.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::isolation::{ip, isolated};

/// For what ends by itself: only a test that fails waits for so long.
const LONG: Duration = Duration::from_secs(30);

struct Agent {
    child: Child,
    folder: PathBuf,
}

impl Agent {
    fn start(name: &str, config: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("locum-confined-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("conf")).expect("a folder");
        fs::write(folder.join("conf/locum.toml"), config).expect("written");
        let mut agent = Agent { child: Command::new("true").spawn().expect("a child"), folder };
        agent.child.wait().expect("it ends");
        agent.run();
        agent
    }

    fn run(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).expect("a log");
        // With a limit that a few interfaces exceed, as the usual 1,024 is by hundreds.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -Sn 64 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_locum")]);
        command.arg("run").arg("--config").arg(self.folder.join("conf/locum.toml"));
        command.arg("--runtime-dir").arg(self.folder.join("run")).stdin(Stdio::null());
        self.child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the agent starts");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).expect("a log")
    }

    /// Waits until the log has so many lines with these words.
    fn logged(&self, words: &str, times: usize) {
        until(&format!("{words} is logged; {}", self.log()), || self.log().matches(words).count() >= times);
    }

    fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process id")
    }

    /// The runner and its keeper.
    fn runner(&self) -> (i32, i32) {
        let keeper = only_child(self.pid());
        (only_child(keeper), keeper)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            kill(Pid::from_raw(self.pid()), Signal::SIGTERM).expect("a child of ours");
        }
        self.child.wait().expect("it ends");
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.folder).expect("removed");
        }
    }
}

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended, and been waited for, already: the standard library remembers that.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a process has one child.
fn only_child(pid: i32) -> i32 {
    let mut child = None;
    until(&format!("{pid} has one child"), || {
        let all = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let all: Vec<i32> = all.split_whitespace().map(|pid| pid.parse().expect("a number")).collect();
        child = all.first().copied().filter(|_| all.len() == 1);
        child.is_some()
    });
    child.expect("found")
}

fn is_gone(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.map_or(true, |status| status.contains("State:\tZ"))
}

/// Of a `status` of the kernel: these fields, as it prints them.
fn fields(path: &str, names: &[&str]) -> Vec<String> {
    let status = fs::read_to_string(path).expect("a process");
    let field =
        |name: &&str| status.lines().find_map(|line| line.strip_prefix(*name)).expect("a field").trim().to_owned();
    names.iter().map(field).collect()
}

/// A router that waits for its interface, and a check of it that is ok and quick to decide.
const CHECKED: &str = r#"
[virtual_router.web]
interface = "locum-none"
vrid = 51
addresses = ["192.0.2.10/24"]
checks = ["web"]

[check.web]
script = ["/bin/sh", "-c", "exit 0"]
interval = "100ms"
timeout = "20s"
rise = 1
fall = 1
"#;

const HEALTHY: &str = "check web is healthy";

#[test]
fn every_thread_of_the_agent_is_confined() {
    isolated("agent::every_thread_of_the_agent_is_confined", || {
        let agent = Agent::start("threads", CHECKED);
        agent.logged(HEALTHY, 1);
        let tasks: Vec<_> = fs::read_dir(format!("/proc/{}/task", agent.pid())).expect("threads").collect();
        assert!(tasks.len() >= 3, "{tasks:?}");
        for task in tasks {
            let path = task.expect("a thread").path().join("status").display().to_string();
            let names = ["CapPrm:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:"];
            let rights = "0000000000003000";
            assert_eq!(fields(&path, &names), [rights, rights, rights, "1", "2"]);
        }
        assert!(!agent.log().contains("cannot"), "nothing was missing: {}", agent.log());
        // What starts programs is not, but for its rights: CAP_KILL is 5, CAP_SETGID 6, CAP_SETUID 7.
        for pid in [agent.runner().0, agent.runner().1] {
            let rights = "00000000000000e0";
            let names = ["CapPrm:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:"];
            assert_eq!(fields(&format!("/proc/{pid}/status"), &names), [rights, rights, rights, "0", "0"]);
        }
    });
}

#[test]
fn many_interfaces_find_room() {
    isolated("agent::many_interfaces_find_room", || {
        let mut config = String::new();
        for n in 1..=30 {
            ip(&format!("link add v{n} up type veth peer name w{n}"));
            ip(&format!("link set w{n} up"));
            ip(&format!("link set v{n} up"));
            ip(&format!("address add 10.0.{n}.1/24 dev v{n}"));
            config +=
                &format!("[virtual_router.r{n}]\ninterface = \"v{n}\"\nvrid = 51\naddresses = [\"192.0.2.{n}/32\"]\n");
        }
        let agent = Agent::start("many", &config);
        agent.logged("backup -> active", 30);
        assert!(!agent.log().contains("Too many open files"), "{}", agent.log());
    });
}

#[test]
fn a_runner_that_is_killed_fails_the_checks_and_comes_back() {
    isolated("agent::a_runner_that_is_killed_fails_the_checks_and_comes_back", || {
        let slow = CHECKED.replace("exit 0", "sleep 0.2");
        let agent = Agent::start("runner", &slow);
        agent.logged(HEALTHY, 1);
        let (worker, keeper) = agent.runner();
        kill(Pid::from_raw(worker), Signal::SIGKILL).expect("it lives");
        agent.logged("the runner of check programs is gone", 1);
        agent.logged("check web is failing: could not run", 1);
        agent.logged(HEALTHY, 2);
        let (another, same) = agent.runner();
        assert!(another != worker && same == keeper);
        // One that does not even take its programs' ends in is killed and replaced.
        kill(Pid::from_raw(another), Signal::SIGSTOP).expect("it lives");
        fs::write(agent.folder.join("conf/locum.toml"), slow.replace("20s", "200ms").replace("0.2", "0.01"))
            .expect("written");
        kill(Pid::from_raw(agent.pid()), Signal::SIGHUP).expect("it lives");
        agent.logged("it hangs", 1);
        agent.logged(HEALTHY, 3);
        assert_ne!(agent.runner().0, another);
    });
}

#[test]
fn without_its_keeper_every_check_fails_and_the_log_says_what_to_do() {
    isolated("agent::without_its_keeper_every_check_fails_and_the_log_says_what_to_do", || {
        let agent = Agent::start("keeper", CHECKED);
        agent.logged(HEALTHY, 1);
        let (worker, keeper) = agent.runner();
        kill(Pid::from_raw(keeper), Signal::SIGKILL).expect("it lives");
        agent.logged("only a new agent can start one; restart it", 1);
        agent.logged("check web is failing: could not run", 1);
        until("the runner is gone with it", || is_gone(worker));
    });
}

#[test]
fn a_killed_agent_leaves_nobody_behind_and_the_next_one_is_served() {
    isolated("agent::a_killed_agent_leaves_nobody_behind_and_the_next_one_is_served", || {
        let mut agent = Agent::start("killed", CHECKED);
        agent.logged(HEALTHY, 1);
        let (worker, keeper) = agent.runner();
        kill(Pid::from_raw(agent.pid()), Signal::SIGKILL).expect("it lives");
        agent.child.wait().expect("it ends");
        agent.run();
        agent.logged(HEALTHY, 2);
        until("the runner before is gone", || is_gone(worker) && is_gone(keeper));
        assert!(agent.runner().0 != worker);
        let (worker, keeper) = agent.runner();
        kill(Pid::from_raw(agent.pid()), Signal::SIGTERM).expect("it lives");
        assert!(agent.child.wait().expect("it ends").success());
        assert!(is_gone(worker) && is_gone(keeper), "a stop leaves nobody behind either");
    });
}

#[test]
fn a_runner_that_is_a_service_is_used_missed_and_found_again() {
    isolated("agent::a_runner_that_is_a_service_is_used_missed_and_found_again", || {
        let folder = std::env::temp_dir().join(format!("locum-confined-{}-service", std::process::id()));
        fs::create_dir_all(folder.join("run")).expect("a folder");
        let run = folder.join("run");
        let start = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_locum"));
            command.args(["runner", "--runtime-dir"]).arg(&run).stdin(Stdio::null());
            let service =
                Service(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the runner starts"));
            until("it listens", || run.join("runner.sock").exists());
            service
        };
        let mut service = start();
        let agent = Agent::start("service", CHECKED);
        agent.logged(HEALTHY, 1);
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", agent.pid())).expect("a process");
        assert_eq!(children, "", "the agent has started none of its own");
        service.0.kill().expect("it lives");
        service.0.wait().expect("it ends");
        agent.logged("check web is failing: could not run", 1);
        agent.logged("does not listen at", 1);
        let mut service = start();
        agent.logged(HEALTHY, 2);
        kill(Pid::from_raw(service.0.id().try_into().expect("a process id")), Signal::SIGTERM).expect("it lives");
        assert!(service.0.wait().expect("it ends").success());
        assert!(!run.join("runner.sock").exists());
    });
}

#[test]
fn a_reload_finds_what_was_replaced_and_is_refused_what_is_out_of_reach() {
    isolated("agent::a_reload_finds_what_was_replaced_and_is_refused_what_is_out_of_reach", || {
        let agent = Agent::start("reload", CHECKED);
        agent.logged(HEALTHY, 1);
        let file = agent.folder.join("conf/locum.toml");
        let reload = |config: &str| {
            // As an editor does it.
            fs::write(file.with_extension("new"), config).expect("written");
            fs::rename(file.with_extension("new"), &file).expect("renamed");
            kill(Pid::from_raw(agent.pid()), Signal::SIGHUP).expect("it lives");
        };
        reload(&CHECKED.replace("exit 0", "exit 1"));
        agent.logged("check web is failing: failed: exit code 1", 1);
        let key = agent.folder.join("key");
        fs::write(&key, "0123456789abcdef0123456789abcdef\n").expect("written");
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
        let router = format!(
            "[virtual_router.web]\ninterface = \"locum-none\"\nvrid = 51\naddresses = [\"192.0.2.10/24\"]\n\
             [virtual_router.web.auth]\nmode = \"enforce\"\nactive_key = 1\nkeys = [{{ id = 1, file = {key:?} }}]\n"
        );
        reload(&router);
        agent.logged("Permission denied", 1);
        agent.logged("named when it started", 1);
    });
}
