//! Hosts that systemd has booted: a Debian made once, a layer of its own on it for each node, namespaces around it, and
//! a bridge between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::tool;

/// Packages that a node has beside the smallest Debian.
const INCLUDE: &str = "dbus,iproute2,iputils-ping,login,nftables,passwd,procps,rpm,systemd,systemd-sysv,udev";
/// A machine that stalls now and then boots within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a program to its end; what it printed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", told(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn output(program: &str, arguments: &[&str]) -> Output {
    let path = tool(program).unwrap_or_else(|| panic!("{program} is not installed"));
    Command::new(path).args(arguments).stdin(Stdio::null()).output().expect("it starts")
}

/// All that it said, and how it ended.
pub fn told(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{}{}({})", text[0], text[1], output.status)
}

/// Waits until there is something, looking every 50 ms.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The Debian that all nodes share, made if it is not there yet.
pub fn debian() -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nspawn");
    fs::create_dir_all(&cache).expect("made");
    let lock = fs::File::create(cache.join("lock")).expect("made");
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).expect("locked");
    let root = cache.join("bookworm");
    if !root.exists() {
        let new = cache.join("bookworm.new");
        if new.exists() {
            fs::remove_dir_all(&new).expect("a half made one is removed");
        }
        let include = format!("--include={INCLUDE}");
        run("debootstrap", &["--variant=minbase", &include, "bookworm", new.to_str().expect("text")]);
        fs::rename(&new, &root).expect("renamed");
    }
    drop(lock);
    root
}

/// A bridge in a network namespace of its own.
pub struct Lan(String);

impl Lan {
    pub fn new(name: &str) -> Self {
        let name = format!("lp{}{name}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let lan = Lan(name);
        lan.ip(&["link", "add", "br0", "type", "bridge", "mcast_snooping", "0"]);
        lan.ip(&["link", "set", "br0", "up"]);
        lan.ip(&["address", "add", "192.0.2.254/24", "dev", "br0"]);
        lan
    }

    pub fn ip(&self, arguments: &[&str]) -> String {
        run("ip", &[&["-n", &self.0], arguments].concat())
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        output("ip", &["netns", "del", &self.0]);
    }
}

/// A client that asks for echoes at 100 Hz.
pub struct Load(Option<Child>);

impl Load {
    /// Stops it; how many echoes it asked for, and how many it got.
    pub fn end(mut self) -> (u64, u64) {
        let client = self.0.take().expect("it runs");
        kill(Pid::from_raw(client.id().try_into().expect("a process id")), Signal::SIGINT).expect("sent");
        let output = client.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains("packets transmitted")).unwrap_or_else(|| panic!("{text}"));
        let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
        (numbers.next().expect("sent"), numbers.next().expect("answered"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(client) = &mut self.0 {
            client.kill().ok();
            client.wait().ok();
        }
    }
}

/// One booted host.
pub struct Node {
    folder: PathBuf,
    netns: String,
    lan: String,
    nspawn: Option<Child>,
    /// Its first process.
    leader: Option<Pid>,
}

impl Node {
    /// Boots `name` on a LAN, where its eth0 has this address.
    pub fn boot(name: &str, lan: &Lan, address: &str) -> Self {
        let netns = format!("lp{}{name}", std::process::id());
        let folder = debian().with_file_name(&netns);
        let lan_name = lan.0.clone();
        let mut node = Node { folder: folder.clone(), netns: netns.clone(), lan: lan_name, nspawn: None, leader: None };
        let port = format!("port-{name}");
        for part in ["upper", "work", "root"] {
            fs::create_dir_all(folder.join(part)).expect("made");
        }
        let [upper, work, root] = ["upper", "work", "root"].map(|part| folder.join(part).display().to_string());
        let layers = format!("lowerdir={},upperdir={upper},workdir={work}", debian().display());
        run("mount", &["-t", "overlay", "overlay", "-o", &layers, &root]);
        fs::write(folder.join("root/etc/hostname"), format!("{name}\n")).expect("written");
        run("ip", &["netns", "add", &netns]);
        run("ip", &["-n", &netns, "link", "set", "lo", "up"]);
        lan.ip(&["link", "add", "name", &port, "type", "veth", "peer", "name", "eth0", "netns", &netns]);
        lan.ip(&["link", "set", &port, "master", "br0", "up"]);
        run("ip", &["-n", &netns, "address", "add", address, "dev", "eth0"]);
        run("ip", &["-n", &netns, "link", "set", "eth0", "up"]);
        let log = fs::File::create(folder.join("console")).expect("made");
        let nspawn = Command::new(tool("systemd-nspawn").expect("installed"))
            .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--capability=all", "--console=pipe"])
            .args(["--machine", &netns, "--directory", &root])
            .arg(format!("--network-namespace-path=/run/netns/{netns}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a copy"))
            .stderr(log)
            .spawn()
            .expect("systemd-nspawn starts");
        node.nspawn = Some(nspawn);
        node.leader = Some(until("the first process of a node", || node.first_process()));
        until("a node that has booted", || {
            let state = node.try_sh("systemctl is-system-running");
            let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            ["running", "degraded"].contains(&state.as_str()).then_some(())
        });
        node
    }

    /// systemd-nspawn's child in namespaces of its own.
    fn first_process(&self) -> Option<Pid> {
        let pid = self.nspawn.as_ref()?.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let child = children.split_whitespace().next()?;
        let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        (name.trim() == "systemd").then(|| Pid::from_raw(child.parse().expect("a process id")))
    }

    /// Puts a file of this machine into it.
    pub fn put(&self, file: &Path, place: &str) {
        fs::copy(file, self.path(place)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    pub fn write(&self, place: &str, text: &str) {
        fs::write(self.path(place), text).expect("written");
    }

    /// A file of its, as this machine sees it.
    pub fn path(&self, place: &str) -> PathBuf {
        self.folder.join("root").join(place.trim_start_matches('/'))
    }

    /// Has its shell do something, which must succeed; what it printed, also on standard error.
    pub fn sh(&self, script: &str) -> String {
        let output = self.try_sh(&format!("exec 2>&1; {script}"));
        assert!(output.status.success(), "{}: {script}: {}\n{}", self.netns, told(&output), self.journal());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn try_sh(&self, script: &str) -> Output {
        let leader = self.leader.expect("booted").to_string();
        output("nsenter", &["--target", &leader, "--all", "/bin/sh", "-c", script])
    }

    pub fn journal(&self) -> String {
        let output = self.try_sh("journalctl --no-pager --output=short-precise --unit=locum.service | tail -n 60");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The value of a property of locum.service.
    pub fn property(&self, name: &str) -> String {
        self.sh(&format!("systemctl show --value --property={name} locum.service")).trim().to_owned()
    }

    /// Whether eth0 has this address.
    pub fn holds(&self, address: &str) -> bool {
        run("ip", &["-n", &self.netns, "-o", "address", "show", "dev", "eth0"]).contains(&format!(" {address}/"))
    }

    /// Waits until its agent is Active and eth0 has this address.
    pub fn until_it_holds(&self, address: &str) {
        self.until_state("active");
        until("an address on eth0", || self.holds(address).then_some(()));
    }

    /// A client of this address on the node's LAN.
    pub fn under_load(&self, address: &str) -> Load {
        let client = Command::new(tool("ip").expect("installed"))
            .args(["netns", "exec", &self.lan, "ping", "-q", "-i", "0.01", address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ping starts");
        Load(Some(client))
    }

    /// What its agent says of the virtual router `web`.
    pub fn state(&self) -> String {
        let output = self.try_sh("locum status --json");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        document["routers"]["web"]["state"].as_str().unwrap_or("no answer").to_owned()
    }

    /// Waits until its agent says so.
    pub fn until_state(&self, state: &str) {
        let begun = Instant::now();
        while self.state() != state {
            assert!(begun.elapsed() < PATIENCE, "{} is never {state}: {}", self.netns, self.journal());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // With its first process all of a process id namespace goes, and systemd-nspawn after it.
        if let Some(leader) = self.leader {
            kill(leader, Signal::SIGKILL).ok();
        }
        if let Some(nspawn) = &mut self.nspawn {
            if self.leader.is_none() {
                nspawn.kill().ok();
            }
            nspawn.wait().ok();
        }
        output("umount", &["--lazy", self.folder.join("root").to_str().expect("text")]);
        output("ip", &["netns", "del", &self.netns]);
        fs::remove_dir_all(&self.folder).ok();
    }
}
