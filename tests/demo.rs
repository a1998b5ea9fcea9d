//! `locum demo` from outside: what it prints is held against a capture by another program, and whatever ends it,
//! nothing of it stays.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Need, live_guard, require, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

/// An ordinary user that every system has.
const NOBODY: u32 = 65534;
/// Marks all processes of one demo by their environment.
const MARK: &str = "LOCUM_DEMO_TEST";
/// For what the kernel does in its own time after a process has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// A demo that runs, and what is needed to find everything of it.
struct Demo {
    child: Child,
    lines: BufReader<ChildStdout>,
    mark: String,
    /// A copy of the program where every user can reach it.
    folder: PathBuf,
}

impl Demo {
    fn start(user: Option<u32>) -> Demo {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mark = format!("{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(format!("locum-demo-test-{mark}"));
        fs::create_dir(&folder).expect("a folder of our own");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let program = folder.join("locum");
        // By another process: while this one wrote to the file, a child of another test's thread could hold it open,
        // and the program would be too busy to be started.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_locum")).arg(&program).status();
        assert!(copied.is_ok_and(|status| status.success()), "no copy of the program");
        let mut command = Command::new(program);
        command.arg("demo").env(MARK, &mark).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Demo { child, lines, mark, folder }
    }

    /// Reads its output up to a line that has `text`; all that was read.
    fn read_to(&mut self, text: &str) -> String {
        let mut read = String::new();
        loop {
            let mut line = String::new();
            let length = self.lines.read_line(&mut line).expect("its output is text");
            read += &line;
            if line.contains(text) {
                return read;
            }
            if length == 0 {
                panic!("no {text:?} in its output:\n{read}{}", self.errors());
            }
        }
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        let stderr = self.child.stderr.as_mut().expect("its errors are a pipe");
        stderr.read_to_string(&mut errors).expect("its errors are text");
        errors
    }

    fn signal(&self, signal: Signal) {
        kill(pid(self.child.id()), signal).expect("it runs");
    }

    /// Waits for its end: exit code (none if a signal ended it), the rest of its output, and its errors.
    fn end(&mut self) -> (Option<i32>, String, String) {
        let mut output = String::new();
        self.lines.read_to_string(&mut output).expect("its output is text");
        let errors = self.errors();
        (self.child.wait().expect("it is our child").code(), output, errors)
    }

    /// Its processes: the only ones that have our mark in their environment.
    fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.mark).into_bytes();
        let marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark)
        };
        all_processes().into_iter().filter(marked).collect()
    }

    /// Its process whose command line has `text`.
    fn process(&self, text: &str) -> Option<u32> {
        let told = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        self.processes().into_iter().find(|pid| String::from_utf8_lossy(&told(pid)).contains(text))
    }

    /// The namespaces that its processes are in and this test is not.
    fn namespaces(&self) -> BTreeSet<PathBuf> {
        let found: BTreeSet<PathBuf> = self.processes().into_iter().flat_map(namespaces_of).collect();
        found.difference(&namespaces_of(std::process::id())).cloned().collect()
    }

    /// Waits until nothing is left of it.
    fn assert_gone(&self, namespaces: &BTreeSet<PathBuf>, when: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let processes = self.processes();
            let held: Vec<PathBuf> =
                all_processes().into_iter().flat_map(namespaces_of).filter(|held| namespaces.contains(held)).collect();
            if processes.is_empty() && held.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{when}: left over: processes {processes:?}, namespaces {held:?}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // A test that failed may leave it running.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("a process id"))
}

fn all_processes() -> Vec<u32> {
    let names = fs::read_dir("/proc").expect("/proc is mounted").filter_map(Result::ok).map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

fn namespaces_of(pid: u32) -> BTreeSet<PathBuf> {
    let links = ["net", "pid", "mnt", "user"].map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")));
    links.into_iter().filter_map(Result::ok).collect()
}

/// Whether this test ignores SIGINT and hands that on to what it starts: background jobs of a shell do.
fn ignores_interrupts() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    u64::from_str_radix(mask.trim(), 16).expect("a hexadecimal number") & 0b10 != 0
}

/// Root tests as root and as an ordinary user, an ordinary user as itself.
fn users() -> Vec<Option<u32>> {
    if geteuid().is_root() { vec![None, Some(NOBODY)] } else { vec![None] }
}

/// One line of the table.
#[derive(Debug, PartialEq)]
struct Row {
    event: String,
    lost: u64,
    gap_ms: f64,
    holder: String,
}

/// The table: name, echoes, lost, longest gap with its unit, what was due (two words), holder.
fn table(output: &str) -> Vec<Row> {
    let rows = output.lines().skip_while(|line| !line.starts_with("event ")).skip(1);
    rows.take_while(|line| !line.is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some((event, &[_, lost, gap, "ms", _, _, holder])) =
                words.len().checked_sub(7).map(|at| words.split_at(at))
            else {
                panic!("no line of a table: {line}")
            };
            Row {
                event: event.join(" "),
                lost: lost.parse().expect("a number of echoes"),
                gap_ms: gap.parse().expect("a number of milliseconds"),
                holder: holder.to_owned(),
            }
        })
        .collect()
}

/// tcpdump on the client's cable.
struct Dump {
    child: Child,
    file: PathBuf,
}

impl Dump {
    fn start(demo: &Demo) -> Dump {
        let file = demo.folder.join("client.pcap");
        let nsenter = tool("nsenter").expect("it was asked for");
        let mut command = Command::new(nsenter);
        command.arg(format!("--target={}", demo.child.id())).arg("--net");
        if !geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(tool("tcpdump").expect("it was asked for"));
        command.args(["-i", "client", "-n", "-U", "-B", "8192", "-Z", "root", "--time-stamp-precision=nano", "-w"]);
        let mut child = command.arg(&file).arg("icmp").stderr(Stdio::piped()).spawn().expect("tcpdump starts");
        // It says that it listens once it does.
        let mut told = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert!(told.read_line(&mut line).expect("text") > 0, "tcpdump ended");
        }
        child.stderr = Some(told.into_inner());
        Dump { child, file }
    }

    /// Ends it; the echo requests and replies it saw: when, whether a reply, and which echo.
    fn end(mut self) -> Vec<(u64, bool, u64)> {
        // It may have ended by itself, as its interface has gone.
        kill(pid(self.child.id()), Signal::SIGTERM).ok();
        let mut errors = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
        self.child.wait().expect("it is our child");
        assert!(errors.contains("\n0 packets dropped by kernel") || errors.contains("went down"), "{errors}");
        echoes(&fs::read(&self.file).expect("tcpdump wrote a file"))
    }
}

/// Reads a pcap file with nanoseconds, as the machine writes it.
fn echoes(mut file: &[u8]) -> Vec<(u64, bool, u64)> {
    let word = |bytes: &[u8], at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(word(file, 0), 0xa1b2_3c4d, "a pcap file with nanoseconds");
    file = &file[24..];
    let mut echoes = Vec::new();
    while file.len() >= 16 {
        let stamp = u64::from(word(file, 0)) * 1_000_000_000 + u64::from(word(file, 4));
        let length = word(file, 8) as usize;
        // The last record is cut short if tcpdump was.
        let Some(frame) = file.get(16..16 + length) else { break };
        file = &file[16 + length..];
        // Ethernet and IP without options, then type, code, checksum, identifier, sequence, and our number.
        let icmp = &frame[14 + 20..];
        let number = u64::from_be_bytes(icmp[8..16].try_into().expect("eight bytes"));
        assert!(matches!(icmp[0], 0 | 8), "ICMP type {}", icmp[0]);
        echoes.push((stamp, icmp[0] == 0, number));
    }
    echoes
}

#[test]
fn its_figures_are_those_of_another_capture() {
    if !require(&[Need::Namespaces, Need::Tool("tcpdump"), Need::Tool("nsenter")]) {
        return;
    }
    let _turn = live_guard();
    for user in users() {
        let mut demo = Demo::start(user);
        let mut output = demo.read_to("Two hosts");
        let dump = Dump::start(&demo);
        output += &demo.read_to("told to stop");
        let namespaces = demo.namespaces();
        let (code, rest, errors) = demo.end();
        output += &rest;
        let echoes = dump.end();
        assert_eq!((code, errors.as_str()), (Some(0), ""), "as {user:?}:\n{output}");
        demo.assert_gone(&namespaces, &format!("after a whole demo as {user:?}"));

        let rows = table(&output);
        let told: Vec<(&str, &str)> = rows.iter().map(|row| (row.event.as_str(), row.holder.as_str())).collect();
        let expected = [("power loss of lb1", "lb2"), ("lb1 comes back", "lb1"), ("planned stop of lb1", "lb2")];
        assert_eq!(told, expected, "\n{output}");
        assert!(output.contains("The client's own socket agrees"), "\n{output}");

        let replies: Vec<(u64, u64)> = echoes.iter().filter(|echo| echo.1).map(|echo| (echo.0, echo.2)).collect();
        let gaps = replies.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let gap_ms = gaps.max().expect("replies") as f64 / 1e6;
        assert!((gap_ms - rows[0].gap_ms).abs() < 0.3, "the capture's longest gap: {gap_ms} ms\n{output}");
        let answered: BTreeSet<u64> = replies.iter().map(|reply| reply.1).collect();
        let (first, last) = (answered.first().expect("replies"), answered.last().expect("replies"));
        let lost = last - first + 1 - answered.len() as u64;
        assert_eq!(lost, rows.iter().map(|row| row.lost).sum::<u64>(), "echoes lost in the capture\n{output}");
        assert!(lost > 1000, "a power loss at adverts of a second costs seconds\n{output}");
    }
}

#[test]
fn interrupted_at_any_point_it_leaves_nothing() {
    if !require(&[Need::Namespaces]) {
        return;
    }
    let _turn = live_guard();
    // Only those of the kind that the demo makes: others of this machine may mount what they like meanwhile.
    let mounts = || -> Vec<String> {
        let all = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
        all.lines().filter(|line| line.contains(" - tmpfs ")).map(str::to_owned).collect()
    };
    let before = mounts();
    for user in users() {
        let mut signals = vec![(Signal::SIGKILL, None), (Signal::SIGTERM, Some(143))];
        if !ignores_interrupts() {
            signals.push((Signal::SIGINT, Some(130)));
        }
        for (signal, code) in signals {
            for microseconds in [500, 2_000, 5_000, 15_000, 40_000, 120_000] {
                let mut demo = Demo::start(user);
                // The point is to hit it at a moment that no event marks.
                std::thread::sleep(Duration::from_micros(microseconds));
                let namespaces = demo.namespaces();
                demo.signal(signal);
                let ended = demo.end();
                // A signal before the program could take it ends it as it ends any program.
                assert!(ended.0 == code || ended.0.is_none(), "{signal} after {microseconds} us: {ended:?}");
                demo.assert_gone(&namespaces, &format!("{signal} after {microseconds} us as {user:?}"));
            }
            let moments: &[&str] = match signal {
                Signal::SIGKILL => &["and lb1 answers", "is cut off"],
                _ => &["agents started"],
            };
            for moment in moments {
                let mut demo = Demo::start(user);
                demo.read_to(moment);
                let namespaces = demo.namespaces();
                assert!(demo.processes().len() >= 3 && namespaces.len() >= 4, "{:?} {namespaces:?}", demo.processes());
                demo.signal(signal);
                let ended = demo.end();
                assert_eq!(ended.0, code, "{signal} at {moment:?}: {ended:?}");
                demo.assert_gone(&namespaces, &format!("{signal} at {moment:?} as {user:?}"));
            }
        }
    }
    assert_eq!(mounts(), before);
}

#[test]
fn a_takeover_that_does_not_come_is_the_verdict() {
    if !require(&[Need::Namespaces]) {
        return;
    }
    let _turn = live_guard();
    let mut demo = Demo::start(None);
    demo.read_to("and lb1 answers");
    let backup = demo.process("lb2.toml").expect("lb2's agent");
    kill(pid(backup), Signal::SIGKILL).expect("it is ours");
    let (code, output, errors) = demo.end();
    assert_eq!(code, Some(1), "{output}{errors}");
    for told in [
        "lb2 did not do its part: waited for its advert, but its agent has ended by itself (signal: 9 (SIGKILL))",
        "lb2 (192.0.2.3): adverts 0, announcements 0, answered echoes 0",
        "The last lines of the log of lb2's agent:",
    ] {
        assert!(errors.contains(told), "not told: {told}\n{errors}");
    }
}

#[test]
fn a_reader_who_leaves_ends_it_quietly() {
    if !require(&[Need::Namespaces]) {
        return;
    }
    let _turn = live_guard();
    let mut demo = Demo::start(None);
    demo.read_to("Two hosts");
    let nowhere = std::process::Command::new("true").stdout(Stdio::piped()).spawn();
    let mut nowhere = nowhere.expect("true starts");
    demo.lines = BufReader::new(nowhere.stdout.take().expect("a pipe"));
    nowhere.wait().expect("it is our child");
    let (code, _, errors) = demo.end();
    assert_eq!((code, errors.as_str()), (Some(141), ""));
}

#[test]
fn where_namespaces_are_forbidden_it_says_what_forbids_them() {
    if !require(&[Need::Namespaces, Need::Tool("unshare")]) {
        return;
    }
    let script = "echo 0 >/proc/sys/user/max_net_namespaces && exec \"$0\" demo";
    let output = Command::new(tool("unshare").expect("it was asked for"))
        .args(["--user", "--map-root-user", "sh", "-c", script, env!("CARGO_BIN_EXE_locum")])
        .output()
        .expect("unshare starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{errors}");
    assert!(errors.contains("sysctl user.max_net_namespaces is 0: raise it"), "{errors}");
}
