//! What a service manager hears, and what its other children do not.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::agents::{Agent, LOCUM, Router, toml};
use crate::clock::{PATIENCE, eventually};
use crate::lan::Lab;
use crate::live::live;

/// The manager's end: a socket, and what an agent is started with so that it finds it.
struct Manager {
    socket: UnixDatagram,
    variable: String,
}

/// Long beside what a busy machine makes of an interval, short beside a test's patience.
const WATCHDOG: Duration = Duration::from_millis(1500);

impl Manager {
    fn new(lab: &Lab) -> Self {
        let path = lab.file("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Manager { socket, variable: format!("NOTIFY_SOCKET={}", path.display()) }
    }

    fn start(&self, lab: &Lab, config: &str) -> Agent {
        let watchdog = format!("WATCHDOG_USEC={}", WATCHDOG.as_micros());
        Agent::locum_by(lab, 1, config, &["env", &self.variable, &watchdog, LOCUM])
    }

    /// The next message that comes within this time.
    fn within(&self, time: Duration) -> Option<String> {
        let mut buffer = [0; 4096];
        self.socket.set_read_timeout(Some(time)).expect("set");
        let count = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..count].to_vec()).expect("text"))
    }

    /// Waits for a message with this line; the messages before it but the watchdog's, and itself.
    fn until(&self, line: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let message = self.within(PATIENCE).unwrap_or_else(|| panic!("no {line} after {before:?}"));
            if message != "WATCHDOG=1\n" || line == "WATCHDOG=1" {
                before.push(message.clone());
            }
            if message.lines().any(|here| here == line) {
                return before;
            }
        }
    }

    fn forget(&self) {
        while self.within(Duration::from_millis(1)).is_some() {}
    }
}

fn threads(agent: &Agent) -> Vec<(Pid, String)> {
    let folder = format!("/proc/{}/task", agent.pid());
    let entries = fs::read_dir(folder).expect("the agent runs").flatten();
    let thread = |entry: fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((Pid::from_raw(entry.file_name().to_str()?.parse().ok()?), name.trim().to_owned()))
    };
    entries.filter_map(thread).collect()
}

/// The stages of a life, in order.
#[test]
fn the_manager_hears_ready_reloading_and_stopping() {
    live(&[], || {
        let lab = Lab::new(1);
        let manager = Manager::new(&lab);
        let config = toml(&[Router::new(100).every(500)]);
        let mut agent = manager.start(&lab, &config);
        let ready = manager.until("READY=1");
        assert_eq!(ready, ["READY=1\nSTATUS=web backup\n"], "the first it hears is that it backs up");
        manager.until("STATUS=web active");
        agent.signal(Signal::SIGHUP);
        let reloading = manager.until("READY=1");
        let (first, rest) = reloading[0].split_once('\n').expect("two lines");
        let time = rest.trim().strip_prefix("MONOTONIC_USEC=").expect("the time");
        assert_eq!(first, "RELOADING=1");
        assert!(time.parse::<u64>().expect("a number") > 0);
        agent.configure("nonsense");
        assert_eq!(agent.ask(&["reload"]).status.code(), Some(78));
        let refused = manager.until("READY=1");
        assert!(refused[0].starts_with("RELOADING=1\n"), "{refused:?}");
        let status = "STATUS=web active; what is on disk was refused and does not run: see `locum check`";
        assert_eq!(refused.last().expect("a message"), &format!("READY=1\n{status}\n"), "refused is over too");
        agent.configure(&config);
        assert_eq!(agent.ask(&["reload"]).status.code(), Some(0));
        assert_eq!(manager.until("READY=1").last().expect("a message"), "READY=1\nSTATUS=web active\n");
        agent.signal(Signal::SIGTERM);
        manager.until("STOPPING=1");
        assert_eq!(agent.ended(), 0);
    });
}

#[test]
fn a_boot_waits_for_checks_and_not_for_an_interface() {
    live(&[], || {
        let lab = Lab::new(1);
        let manager = Manager::new(&lab);
        let flag = lab.file("go");
        let script = format!(
            "[check.slow]\nscript = [\"/bin/sh\", \"-c\", \"until [ -e {} ]; do sleep 0.02; done\"]\n",
            flag.display()
        );
        let routers = [
            Router::new(100).more("checks = [\"slow\"]"),
            Router::new(100).named("lost", 52).on("eth7").holding(&["192.0.2.101/24"]),
        ];
        let agent = manager.start(&lab, &format!("{}{script}interval = \"20s\"\ntimeout = \"20s\"\n", toml(&routers)));
        agent.router("web", "waits", |router| router["reason"] == "waiting-for-checks");
        while let Some(message) = manager.within(Duration::from_millis(200)) {
            assert!(!message.contains("READY=1"), "{message}");
        }
        fs::write(&flag, "").expect("written");
        let ready = manager.until("READY=1").pop().expect("a message");
        assert!(ready.contains("web backup") && ready.contains("lost in fault") && ready.contains("eth7"), "{ready}");
    });
}

#[test]
fn the_watchdog_hears_from_the_protocol_thread_itself() {
    live(&[], || {
        let lab = Lab::new(1);
        let manager = Manager::new(&lab);
        let agent = manager.start(&lab, &toml(&[Router::new(100)]));
        manager.until("READY=1");
        for _ in 0..3 {
            manager.until("WATCHDOG=1");
        }
        let is_protocol = |thread: &(Pid, String)| thread.1 == "locum-protocol";
        let (thread, _) = threads(&agent).into_iter().find(is_protocol).expect("the protocol thread");
        ptrace::seize(thread, ptrace::Options::empty()).expect("held");
        ptrace::interrupt(thread).expect("held");
        eventually("the thread stands still", || {
            let state = fs::read_to_string(format!("/proc/{thread}/stat")).expect("its state");
            state.contains(") t ").then_some(())
        });
        manager.forget();
        assert_eq!(manager.within(2 * WATCHDOG), None, "nobody else feeds it");
        // A thread that is traced must have been waited for before it can be let go.
        nix::sys::wait::waitpid(thread, Some(nix::sys::wait::WaitPidFlag::__WALL)).expect("stopped");
        ptrace::detach(thread, None).expect("let go");
        manager.until("WATCHDOG=1");
    });
}

#[test]
fn no_child_speaks_to_the_manager_in_our_name() {
    live(&[], || {
        let lab = Lab::new(1);
        let manager = Manager::new(&lab);
        let check = "[check.see]\nscript = [\"/usr/bin/env\"]\n";
        let web = Router::new(100).more("checks = [\"see\"]");
        let agent = manager.start(&lab, &format!("{}{check}", toml(&[web])));
        manager.until("READY=1");
        let others = lab.host(1).processes().into_iter().filter(|pid| *pid != agent.pid());
        let environments: Vec<String> =
            others.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/environ")).ok()).collect();
        assert!(!environments.is_empty(), "the runner is there");
        for environment in environments {
            assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG"), "{environment}");
        }
    });
}
