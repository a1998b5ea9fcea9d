//! Hosts that systemd has booted: a Debian made once, a layer of its own on it for each node, namespaces around it, and
//! a bridge between them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::tool;

/// Packages that a node has beside the smallest Debian.
const INCLUDE: &str =
    "curl,dbus,iproute2,iputils-ping,login,luajit,nftables,openssl,passwd,procps,rpm,systemd,systemd-sysv,udev";
/// What systemd-nspawn refuses unless told otherwise, and a host does not.
const CALLS: &str = "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp";
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

/// The Debian that all nodes share, made if it is not there yet or lacks something.
pub fn debian() -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nspawn");
    fs::create_dir_all(&cache).expect("made");
    let lock = fs::File::create(cache.join("lock")).expect("made");
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).expect("locked");
    let (root, new, packages) = (cache.join("bookworm"), cache.join("bookworm.new"), cache.join("bookworm.packages"));
    if fs::read_to_string(&packages).unwrap_or_default() != INCLUDE {
        for old in [&root, &new].into_iter().filter(|folder| folder.exists()) {
            fs::remove_dir_all(old).expect("one of before, or half made, is removed");
        }
        let include = format!("--include={INCLUDE}");
        run("debootstrap", &["--variant=minbase", &include, "bookworm", new.to_str().expect("text")]);
        fs::rename(&new, &root).expect("renamed");
        fs::write(packages, INCLUDE).expect("written");
    }
    drop(lock);
    root
}

/// A layer of its own on the Debian that is shared.
pub struct Root(PathBuf);

impl Root {
    pub fn new(name: &str) -> Self {
        let folder = debian().with_file_name(format!("lp{}{name}", std::process::id()));
        let parts = ["upper", "work", "root"].map(|part| folder.join(part));
        for part in &parts {
            fs::create_dir_all(part).expect("made");
        }
        let [upper, work, root] = parts.map(|part| part.display().to_string());
        let layers = format!("lowerdir={},upperdir={upper},workdir={work}", debian().display());
        run("mount", &["-t", "overlay", "overlay", "-o", &layers, &root]);
        Root(folder)
    }

    /// A file of its, as this machine sees it.
    pub fn path(&self, place: &str) -> PathBuf {
        self.0.join("root").join(place.trim_start_matches('/'))
    }

    /// Has its shell do something although nothing of it has booted.
    pub fn sh(&self, script: &str) -> String {
        let root = self.path("").display().to_string();
        run("chroot", &[&root, "/bin/sh", "-c", &format!("exec 2>&1; {script}")])
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        output("umount", &["--lazy", self.0.join("root").to_str().expect("text")]);
        fs::remove_dir_all(&self.0).ok();
    }
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
pub struct Load {
    begun: Instant,
    client: Child,
    answers: fs::File,
}

/// What came of it.
#[derive(Debug)]
pub struct Echoes {
    /// Asked for.
    pub sent: u64,
    /// Not answered although a later one was.
    pub lost: Vec<u64>,
}

impl Load {
    /// Stops it, not before it has asked for a while.
    pub fn end(mut self) -> Echoes {
        std::thread::sleep(Duration::from_secs(1).saturating_sub(self.begun.elapsed()));
        kill(Pid::from_raw(self.client.id().try_into().expect("a process id")), Signal::SIGINT).expect("sent");
        self.client.wait().expect("it ends");
        let mut text = String::new();
        self.answers.rewind().expect("a file");
        self.answers.read_to_string(&mut text).expect("text");
        let word = |line: &str, after: &str| -> Option<u64> {
            line.split_once(after)?.1.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let answered: BTreeSet<u64> = text.lines().filter_map(|line| word(line, " icmp_seq=")).collect();
        let last = answered.last().copied().unwrap_or_default();
        let sent = text.lines().find(|line| line.contains(" packets transmitted")).and_then(|line| word(line, ""));
        let lost = (1..=last).filter(|number| !answered.contains(number)).collect();
        // The last ones may have been on their way when it was stopped.
        Echoes { sent: sent.filter(|sent| *sent < last + 20).unwrap_or_else(|| panic!("{text}")), lost }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.client.kill().ok();
        self.client.wait().ok();
    }
}

/// One booted host.
pub struct Node {
    root: Root,
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
        let root = Root::new(name);
        let lan_name = lan.0.clone();
        let mut node = Node { root, netns: netns.clone(), lan: lan_name, nspawn: None, leader: None };
        let port = format!("port-{name}");
        node.write("/etc/hostname", &format!("{name}\n"));
        run("ip", &["netns", "add", &netns]);
        run("ip", &["-n", &netns, "link", "set", "lo", "up"]);
        lan.ip(&["link", "add", "name", &port, "type", "veth", "peer", "name", "eth0", "netns", &netns]);
        lan.ip(&["link", "set", &port, "master", "br0", "up"]);
        run("ip", &["-n", &netns, "address", "add", address, "dev", "eth0"]);
        run("ip", &["-n", &netns, "link", "set", "eth0", "up"]);
        let log = fs::File::create(node.root.0.join("console")).expect("made");
        let nspawn = Command::new(tool("systemd-nspawn").expect("installed"))
            .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--capability=all", "--console=pipe"])
            .args([CALLS, "--machine", &netns, "--directory"])
            .arg(node.path("/"))
            .arg(format!("--network-namespace-path=/run/netns/{netns}"))
            // One hierarchy of control groups, as hosts have it.
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
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
        self.root.path(place)
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

    /// Restarts the agent. Now and then systemd removes a control group that a service is about to enter, says so by
    /// 219, and starts it once more by itself.
    pub fn restart(&self) {
        let output = self.try_sh("systemctl restart locum");
        if !output.status.success() {
            let why = self.sh("journalctl --no-pager _PID=1 | grep locum | tail -n 20");
            assert!(why.contains("status=219/CGROUP"), "{}{why}", told(&output));
            until("a service that runs", || (self.property("ActiveState") == "active").then_some(()));
        }
    }

    /// What the agent, its runner and systemd said of both, the last of it.
    pub fn journal(&self) -> String {
        let units = "--unit=locum.service --unit=locum-runner.service";
        let output = self.try_sh(&format!("journalctl --no-pager --output=short-precise {units} | tail -n 80"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the journal, however long it is, has a line with this.
    pub fn until_told(&self, what: &str) {
        let look = format!(
            "journalctl --no-pager --output=cat -u locum -u locum-runner | grep --quiet --fixed-strings '{what}'"
        );
        let begun = Instant::now();
        while !self.try_sh(&look).status.success() {
            assert!(begun.elapsed() < PATIENCE, "{}: {what:?} is never told: {}", self.netns, self.journal());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The value of a property of locum.service.
    pub fn property(&self, name: &str) -> String {
        self.property_of("locum.service", name)
    }

    pub fn property_of(&self, unit: &str, name: &str) -> String {
        self.sh(&format!("systemctl show --value --property={name} {unit}")).trim().to_owned()
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
        let path = self.root.0.join("echoes");
        let answers = fs::File::options().read(true).write(true).create(true).truncate(true).open(path).expect("made");
        let client = Command::new(tool("ip").expect("installed"))
            .args(["netns", "exec", &self.lan, "ping", "-n", "-i", "0.01", address])
            .stdin(Stdio::null())
            .stdout(answers.try_clone().expect("a copy"))
            .spawn()
            .expect("ping starts");
        Load { begun: Instant::now(), client, answers }
    }

    /// The status document of its agent; nothing while there is no answer.
    pub fn document(&self) -> serde_json::Value {
        let output = self.try_sh("locum status --json");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// What its agent says of the virtual router `web`.
    pub fn state(&self) -> String {
        self.document()["routers"]["web"]["state"].as_str().unwrap_or("no answer").to_owned()
    }

    /// Every change of state of `web` that its agent has seen.
    pub fn transitions(&self) -> String {
        self.document()["routers"]["web"]["last_transitions"].to_string()
    }

    /// Of the kernel's status of a process: these fields, as it prints them.
    pub fn fields(&self, process: &str, names: &[&str]) -> Vec<String> {
        let status = self.sh(&format!("cat /proc/{process}/status"));
        let field = |name: &&str| status.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'));
        names.iter().map(|name| field(name).unwrap_or_else(|| panic!("{name}: {status}")).trim().to_owned()).collect()
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
        output("ip", &["netns", "del", &self.netns]);
    }
}
