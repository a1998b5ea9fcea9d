//! The agents of a lab: our own, and keepalived as its judge.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::clock::eventually;
use crate::lan::Lab;

/// The program under test.
pub const LOCUM: &str = env!("CARGO_BIN_EXE_locum");

/// A virtual router, to be written in either agent's notation.
#[derive(Debug, Clone)]
pub struct Router {
    pub name: String,
    pub interface: String,
    pub vrid: u8,
    pub priority: u8,
    pub interval_ms: u32,
    pub addresses: Vec<String>,
    pub preempt: bool,
    /// Further lines in the agent's own notation.
    pub more: String,
}

impl Router {
    /// `web` on eth0, VRID 51, adverts each second, one address.
    pub fn new(priority: u8) -> Self {
        Router {
            name: "web".to_owned(),
            interface: "eth0".to_owned(),
            vrid: 51,
            priority,
            interval_ms: 1000,
            addresses: vec!["192.0.2.100/24".to_owned()],
            preempt: true,
            more: String::new(),
        }
    }

    pub fn named(mut self, name: &str, vrid: u8) -> Self {
        self.name = name.to_owned();
        self.vrid = vrid;
        self
    }

    pub fn on(mut self, interface: &str) -> Self {
        self.interface = interface.to_owned();
        self
    }

    pub fn every(mut self, interval_ms: u32) -> Self {
        self.interval_ms = interval_ms;
        self
    }

    pub fn holding(mut self, addresses: &[&str]) -> Self {
        self.addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        self
    }

    pub fn no_preempt(mut self) -> Self {
        self.preempt = false;
        self
    }

    pub fn more(mut self, lines: &str) -> Self {
        self.more = lines.to_owned();
        self
    }

    fn toml(&self) -> String {
        format!(
            "[virtual_router.{}]\ninterface = \"{}\"\nvrid = {}\npriority = {}\nadvert_interval = \"{}ms\"\n\
             addresses = {:?}\npreempt = {}\n{}\n",
            self.name,
            self.interface,
            self.vrid,
            self.priority,
            self.interval_ms,
            self.addresses,
            self.preempt,
            self.more
        )
    }

    fn keepalived(&self) -> String {
        format!(
            "vrrp_instance {} {{\n state BACKUP\n interface {}\n virtual_router_id {}\n priority {}\n advert_int {}\n{} {}\n \
             virtual_ipaddress {{\n  {}\n }}\n}}\n",
            self.name,
            self.interface,
            self.vrid,
            self.priority,
            f64::from(self.interval_ms) / 1000.0,
            if self.preempt { "" } else { " nopreempt\n" },
            self.more,
            self.addresses.join("\n  ")
        )
    }
}

/// Our configuration file for these routers.
pub fn toml(routers: &[Router]) -> String {
    routers.iter().map(Router::toml).collect()
}

/// keepalived's.
pub fn keepalived_conf(routers: &[Router]) -> String {
    let routers: String = routers.iter().map(Router::keepalived).collect();
    format!("global_defs {{\n vrrp_version 3\n enable_script_security\n script_user root\n}}\n{routers}")
}

/// A running agent; ended at once when it is dropped.
pub struct Agent {
    child: Child,
    config: PathBuf,
    runtime: PathBuf,
    log: PathBuf,
}

impl Agent {
    /// Our own, with this configuration file.
    pub fn locum(lab: &Lab, host: usize, config: &str) -> Self {
        Agent::locum_as(lab, host, config, &[])
    }

    /// The same under `setpriv` with more of its options.
    pub fn locum_as(lab: &Lab, host: usize, config: &str, privileges: &[&str]) -> Self {
        let words: Vec<&str> = privileges.iter().copied().chain([LOCUM]).collect();
        Agent::locum_by(lab, host, config, &words)
    }

    /// The same, started by these words: options of `setpriv` and the program.
    pub fn locum_by(lab: &Lab, host: usize, config: &str, program: &[&str]) -> Self {
        let (file, runtime) = (lab.file(&format!("{host}.toml")), lab.file(&format!("{host}.run")));
        fs::write(&file, config).expect("a configuration file");
        let mut words: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["run", "--config"].map(str::to_owned));
        words.extend([path(&file), "--runtime-dir".to_owned(), path(&runtime)]);
        Agent::start(lab, host, &words, file, runtime)
    }

    /// A keepalived with these routers.
    pub fn keepalived(lab: &Lab, host: usize, routers: &[Router]) -> Self {
        Agent::keepalived_with(lab, host, routers, "")
    }

    /// The same with more lines in its `global_defs`.
    pub fn keepalived_with(lab: &Lab, host: usize, routers: &[Router], global: &str) -> Self {
        Agent::keepalived_by(lab, host, routers, global, &crate::common::tool("keepalived").expect("keepalived"))
    }

    /// Another keepalived than that of the system.
    pub fn keepalived_by(lab: &Lab, host: usize, routers: &[Router], global: &str, program: &Path) -> Self {
        let (file, runtime) = (lab.file(&format!("{host}.conf")), lab.file(&format!("{host}.ka")));
        let config = keepalived_conf(routers).replacen("global_defs {\n", &format!("global_defs {{\n{global}"), 1);
        fs::write(&file, config).expect("a configuration file");
        // A process id file of one that was killed stops the next one, if that process is not reaped yet.
        fs::remove_dir_all(&runtime).ok();
        fs::create_dir_all(&runtime).expect("a folder");
        let mut words =
            vec![path(program), "-n".into(), "-l".into(), "-D".into(), "-P".into(), "-f".into(), path(&file)];
        words.extend(["-p".into(), path(&runtime.join("pid")), "-r".into(), path(&runtime.join("vrrp"))]);
        Agent::start(lab, host, &words, file, runtime)
    }

    /// Any other, by its words, the first of which is the program.
    pub fn start(lab: &Lab, host: usize, words: &[String], config: PathBuf, runtime: PathBuf) -> Self {
        let log = lab.file(&format!("{host}.log"));
        let out = OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let child = lab.host(host).spawn(&words[0], move |command: &mut Command| {
            command.args(&words[1..]);
            command.stdin(std::process::Stdio::null());
            command.stdout(out.try_clone().expect("the log")).stderr(out);
        });
        Agent { child, config, runtime, log }
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the agent runs");
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// How long a thread of it has waited for a processor since it began, in nanoseconds.
    pub fn waited(&self, thread: &str) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("a process");
        let paths: Vec<PathBuf> = tasks.map(|task| task.expect("a thread").path()).collect();
        let named = |path: &&PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == thread);
        let path = paths.iter().find(named).expect("a thread of this name");
        let schedstat = fs::read_to_string(path.join("schedstat")).expect("scheduling statistics");
        schedstat.split(' ').nth(1).and_then(|waited| waited.parse().ok()).expect("a time")
    }

    /// Waits for its end; its exit code, or the signal that ended it as a negative number.
    pub fn ended(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        eventually("the end of an agent", || {
            let status = self.child.try_wait().expect("a child")?;
            status.code().or_else(|| status.signal().map(|signal| -signal))
        })
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// A planned stop, to its end.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.ended()
    }

    /// What it has logged, and whoever ran on its host before.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// Puts another configuration file in place, as editors do: nobody ever reads half of one.
    pub fn configure(&self, config: &str) {
        let new = self.config.with_extension("new");
        fs::write(&new, config).expect("a configuration file");
        fs::rename(&new, &self.config).expect("a configuration file");
    }

    /// Puts another configuration file in place and has it read.
    pub fn reload(&self, config: &str) {
        self.configure(config);
        self.signal(Signal::SIGHUP);
    }

    /// Waits for a line in the log that holds these words; the line.
    pub fn logged(&self, words: &str) -> String {
        eventually(&format!("\"{words}\" in the log"), || {
            self.log().lines().find(|line| line.contains(words)).map(str::to_owned)
        })
    }

    /// One of our commands about it.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("a program")
    }

    /// The same, to be run by whoever cannot wait for it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(LOCUM);
        command.args(arguments).args(["--runtime-dir", &path(&self.runtime)]);
        command
    }

    /// The status document; `None` while nobody answers.
    pub fn status(&self) -> Option<Value> {
        serde_json::from_slice(&self.ask(&["status", "--json"]).stdout).ok()
    }

    /// Waits until a router's part of the status fits; that part.
    pub fn router(&self, name: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        eventually(&format!("router {name} {what}"), || {
            last = self.status()?.get("routers")?.get(name)?.clone();
            fits(&last).then(|| last.clone())
        })
    }

    /// Waits until a router is in a state; its part of the status.
    pub fn state(&self, name: &str, state: &str) -> Value {
        self.router(name, &format!("is {state}"), |router| router["state"] == state)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn path(path: &Path) -> String {
    path.to_str().expect("a path of ASCII").to_owned()
}
