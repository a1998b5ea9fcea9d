//! A network namespace as a place to do things in.
//!
//! It has no name: it lives as long as its descriptor and what runs inside, so nothing is left of it when the test is
//! killed. What must happen inside is done by the room's own thread; programs started there die with that thread.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

type Task = Box<dyn FnOnce() + Send>;

pub struct Room {
    name: String,
    net: File,
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Room {
    pub fn new(name: &str) -> Self {
        let (tasks, queue) = mpsc::channel::<Task>();
        let (opened, net) = mpsc::channel();
        let inside = move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            opened.send(File::open("/proc/thread-self/ns/net").expect("the namespace")).expect("somebody waits");
            queue.into_iter().for_each(|task| task());
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(inside).expect("a thread");
        let net = net.recv().expect("the room's thread is inside");
        let room = Room { name: name.to_owned(), net, tasks: Some(tasks), thread: Some(thread) };
        room.ip("link set lo up");
        room
    }

    /// Does something inside and waits for it.
    pub fn within<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let task = move || {
            // Whoever asked takes the panic over.
            drop(done.send(catch_unwind(AssertUnwindSafe(what))));
        };
        self.tasks.as_ref().expect("the room is open").send(Box::new(task)).expect("the room's thread lives");
        match result.recv().expect("the room's thread lives") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Runs a program to its end; what it printed.
    ///
    /// # Errors
    /// It ended badly; what it said about it.
    pub fn try_run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(crate::common::tool(program).unwrap_or_else(|| panic!("no {program} here")));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        let output = self.within(move || {
            let mut child = command.spawn().expect("a program");
            child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads its input");
            child.wait_with_output().expect("its end")
        });
        let said = String::from_utf8_lossy(&output.stderr);
        let asked = format!("{}: {program} {}", self.name, arguments.join(" "));
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("{asked}: {}", said.trim()))
        }
    }

    /// iproute2 inside; what it printed.
    pub fn ip(&self, arguments: &str) -> String {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.try_run("ip", &arguments, "").unwrap_or_else(|error| panic!("{error}"))
    }

    /// Several iproute2 commands in one go.
    pub fn ip_all(&self, commands: &[String]) {
        self.try_run("ip", &["-batch", "-"], &commands.join("\n")).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Feeds nftables a ruleset.
    pub fn nft(&self, ruleset: &str) {
        self.try_run("nft", &["-f", "-"], ruleset).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sets one of `net`'s sysctls, its name with slashes.
    pub fn sysctl(&self, name: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/net/{name}"), value.to_owned());
        self.within(move || fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }

    /// Starts a program that lives at most as long as the room.
    pub fn spawn(&self, program: &str, configure: impl FnOnce(&mut Command)) -> Child {
        // The signal comes when the room's thread ends, also when all of the test's threads do.
        let mut command = Command::new(crate::common::tool("setpriv").expect("setpriv"));
        command.args(["--pdeathsig", "KILL", program]);
        configure(&mut command);
        self.within(move || command.spawn().expect("a program"))
    }

    /// How iproute2 is told to put an interface here.
    pub fn target(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.net.as_raw_fd())
    }

    /// Processes inside, whoever's children they are.
    pub fn processes(&self) -> Vec<Pid> {
        let ours = self.net.metadata().expect("the namespace").ino();
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let inside = entries.filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let net = fs::metadata(format!("/proc/{pid}/ns/net")).ok()?;
            (net.ino() == ours).then(|| Pid::from_raw(pid))
        });
        inside.filter(|pid| *pid != Pid::this()).collect()
    }

    /// Ends every process inside at once.
    pub fn kill_all(&self) {
        for pid in self.processes() {
            // It may have ended by itself in between.
            kill(pid, Signal::SIGKILL).ok();
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.kill_all();
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
