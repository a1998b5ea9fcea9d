//! `locum runner` as the agent sees it: a process that is handed programs and tells how they ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

mod common;

use locum::io::channel::{Listener, connect};
use locum::types::{ProgramOutcome, ProgramReport, ProgramRequest};

/// For what ends by itself: only a test that fails waits for so long.
const LONG: Duration = Duration::from_secs(30);

struct Runner {
    child: Child,
    channel: Option<UnixDatagram>,
    next_id: u64,
    folder: PathBuf,
    /// As whom programs are to run.
    user: Option<&'static str>,
}

impl Runner {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("locum-runner-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        // Programs may run as others, and their own files are in it.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("set");
        let listener = Listener::bind(&folder.join("runner.sock")).expect("bound");
        let mut command = Command::new(env!("CARGO_BIN_EXE_locum"));
        command.args(["runner", "--role", "worker"]).stdin(std::os::fd::OwnedFd::from(listener)).stdout(Stdio::null());
        command.env("LOCUM_TEST", "not passed on").env("HOME", "/");
        Self::of(&mut command, folder)
    }

    /// A service, whose program is this file.
    fn service(program: &Path, folder: PathBuf) -> Self {
        let mut command = Command::new(program);
        command.args(["runner", "--runtime-dir"]).arg(&folder).stdin(Stdio::null()).stdout(Stdio::null());
        Self::of(&mut command, folder)
    }

    fn of(command: &mut Command, folder: PathBuf) -> Self {
        let child = command.spawn().expect("the runner starts");
        let mut runner = Runner { child, channel: None, next_id: 0, folder, user: None };
        until("it listens", || runner.folder.join("runner.sock").exists());
        runner.connect();
        runner
    }

    fn connect(&mut self) {
        let (channel, _) = connect(&self.folder.join("runner.sock")).expect("connected");
        channel.set_nonblocking(false).expect("set");
        channel.set_read_timeout(Some(LONG)).expect("set");
        self.channel = Some(channel);
    }

    fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a process id"))
    }

    fn ask(&mut self, argv: &[&str], timeout_ms: u64) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        let environment = [("LOCUM_CHECK", "web"), ("LD_PRELOAD", "evil.so")];
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let user = self.user.map(|name| name.parse().expect("a name"));
        let request = ProgramRequest { id, argv, timeout_ms, environment, user };
        let message = serde_json::to_vec(&request).expect("json");
        self.channel.as_ref().expect("open").send(&message).expect("sent");
        id
    }

    fn report(&self) -> ProgramReport {
        let mut buffer = vec![0; 65_536];
        let count = self.channel.as_ref().expect("open").recv(&mut buffer).expect("a report");
        serde_json::from_slice(&buffer[..count]).expect("a report")
    }

    fn run(&mut self, argv: &[&str], timeout_ms: u64) -> ProgramReport {
        let id = self.ask(argv, timeout_ms);
        let report = self.report();
        assert_eq!(report.id, id);
        report
    }

    fn shell(&mut self, script: &str, timeout_ms: u64) -> ProgramReport {
        self.run(&["/bin/sh", "-c", script], timeout_ms)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path.display().to_string()
    }

    /// A pipe with a name: whoever opens it for writing is gone when [`Lives::end`] returns.
    fn lives(&self, name: &str) -> Lives {
        let path = self.folder.join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let reader = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).expect("opened");
        Lives { path: path.display().to_string(), reader }
    }

    /// Waits until the runner has no child left, dead or alive.
    fn is_alone(&self) {
        let pid = self.child.id();
        until("the runner has no child", || {
            fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).is_ok_and(|text| text.trim().is_empty())
        });
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.channel = None;
        // Not once it has been waited for: the number may be another's by then.
        if matches!(self.child.try_wait(), Ok(None)) {
            nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGUSR1).expect("it is a child of ours");
        }
        if self.child.wait().is_err() {
            eprintln!("the runner could not be waited for");
        }
        fs::remove_dir_all(&self.folder).expect("the folder can be removed");
    }
}

struct Lives {
    path: String,
    reader: File,
}

impl Lives {
    /// Waits until somebody has said that he holds the pipe.
    fn begin(&mut self) {
        until("somebody writes", || matches!(self.reader.read(&mut [0; 64]), Ok(count) if count > 0));
    }

    /// Waits until nobody holds the pipe any more.
    fn end(&mut self) {
        until("all who held the pipe are gone", || matches!(self.reader.read(&mut [0; 64]), Ok(0)));
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn could_not_run(report: &ProgramReport) -> &str {
    match &report.outcome {
        ProgramOutcome::CouldNotRun(why) => why,
        ProgramOutcome::Exited(_) | ProgramOutcome::Signalled(_) | ProgramOutcome::TimedOut => {
            panic!("it ran: {report:?}")
        }
    }
}

#[test]
fn exit_codes_and_signals_come_back() {
    let mut runner = Runner::start("codes");
    for code in [0, 1, 255] {
        assert_eq!(runner.shell(&format!("exit {code}"), 10_000).outcome, ProgramOutcome::Exited(code));
    }
    for signal in [9, 15, 34, 64] {
        // 34 and up are real-time signals, which many a library stumbles over.
        let report = runner.shell(&format!("kill -{signal} $$"), 10_000);
        assert_eq!(report.outcome, ProgramOutcome::Signalled(signal));
    }
    runner.is_alone();
}

#[test]
fn what_cannot_run_is_told_in_words_with_its_path() {
    let mut runner = Runner::start("words");
    let (folder, plain) = (runner.folder.display().to_string(), runner.write("plain", "#!/bin/sh\n", 0o644));
    let interpreter = runner.write("interpreter", "#!/nonexistent/sh\n", 0o755);
    for (program, word) in [
        ("/nonexistent/program", "No such file"),
        (plain.as_str(), "not executable"),
        (interpreter.as_str(), "interpreter in its first line does not exist"),
        (folder.as_str(), "it is a directory"),
    ] {
        let report = runner.run(&[program], 10_000);
        let why = could_not_run(&report);
        assert!(why.starts_with(&format!("{program}: ")) && why.contains(word), "{why}");
    }
    assert!(could_not_run(&runner.run(&[], 10_000)).contains("invalid"), "nothing to start");
    assert_eq!(runner.shell("exit 3", 10_000).outcome, ProgramOutcome::Exited(3), "and it goes on");
    runner.is_alone();
}

#[test]
fn at_the_timeout_the_whole_group_is_killed_even_if_it_ignores_to_be_terminated() {
    let mut runner = Runner::start("timeout");
    let mut lives = runner.lives("lives");
    let script = format!("trap '' TERM INT HUP; exec 3>{}; echo x >&3; sleep 1000 & sleep 1000", lives.path);
    let begun = Instant::now();
    let report = runner.shell(&script, 300);
    assert_eq!(report.outcome, ProgramOutcome::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    lives.begin();
    lives.end();
    runner.is_alone();
}

#[test]
fn a_child_in_the_background_neither_delays_the_report_nor_outlives_the_run() {
    let mut runner = Runner::start("background");
    let mut lives = runner.lives("lives");
    // It holds standard output and error open.
    let report = runner.shell(&format!("exec 3>{}; echo x >&3; sleep 1000 & echo done", lives.path), 20_000);
    assert_eq!((report.outcome, report.output.as_str()), (ProgramOutcome::Exited(0), "done"));
    lives.begin();
    lives.end();
    runner.is_alone();
}

#[test]
fn an_orphan_that_went_its_own_way_is_reaped_when_it_ends() {
    let mut runner = Runner::start("orphan");
    let mut lives = runner.lives("lives");
    let script = format!("exec 3>{}; echo x >&3; setsid sh -c 'sh -c \"sleep 0.2\" & ' & exit 0", lives.path);
    assert_eq!(runner.shell(&script, 20_000).outcome, ProgramOutcome::Exited(0));
    lives.begin();
    lives.end();
    runner.is_alone();
}

#[test]
fn of_all_that_is_printed_the_last_line_remains() {
    let mut runner = Runner::start("output");
    let report = runner.shell("head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo the end; echo; exit 1", 20_000);
    assert_eq!((report.outcome, report.output.as_str()), (ProgramOutcome::Exited(1), "the end"));
    assert_eq!(runner.shell("echo one; printf '\\033[31mred\\007\\t!' >&2", 20_000).output, "[31mred!");
    assert_eq!(runner.shell("head -c 1000 /dev/zero | tr '\\0' 'y'", 20_000).output, "y".repeat(256));
    // One that never stops printing is ended in time, and others are served meanwhile.
    let noisy = runner.ask(&["/usr/bin/yes"], 1500);
    assert_eq!(runner.shell("echo quick", 20_000).output, "quick");
    let report = runner.report();
    assert_eq!((report.id, report.outcome, report.output.as_str()), (noisy, ProgramOutcome::TimedOut, "y"));
    let resident = fs::read_to_string(format!("/proc/{}/status", runner.child.id())).expect("it lives");
    let resident = resident.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    let kib: u64 = resident.trim().trim_end_matches(" kB").trim().parse().expect("a number");
    assert!(kib < 64 * 1024, "{kib} KiB");
    runner.is_alone();
}

#[test]
fn a_program_gets_nothing_of_ours() {
    let mut runner = Runner::start("clean");
    let script = runner.write(
        "look",
        "#!/bin/sh\ncd -P . && echo \"$(env | grep -v ^PWD= | grep -v ^_= | grep -v ^OLDPWD= | grep -v ^SHLVL= \
         | cut -d= -f1 | sort | tr '\\n' ' ')\" \"$LOCUM_CHECK\" \"$(pwd)\" \"$(readlink /proc/self/fd/0)\"\n",
        0o755,
    );
    let report = runner.run(&[&script], 20_000);
    let given = ["LANG", "LOGNAME", "USER"];
    let words: Vec<&str> = report.output.split_whitespace().filter(|word| !given.contains(word)).collect();
    assert_eq!(words, ["HOME", "LOCUM_CHECK", "PATH", "web", "/", "/dev/null"], "{report:?}");
    // Standard input, output and error, and the folder that `ls` itself opens.
    assert_eq!(runner.run(&["/bin/sh", "-c", "echo $(ls /proc/self/fd)"], 20_000).output, "0 1 2 3");
    let report = runner.shell("grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2 | tr '\\n' ' '", 20_000);
    let masks: Vec<u64> = report.output.split(' ').map(|mask| u64::from_str_radix(mask, 16).expect("hex")).collect();
    // Signals from 32 on are the C library's own affair.
    assert_eq!(masks.iter().map(|mask| mask & 0x7fff_ffff).collect::<Vec<_>>(), [0, 0], "blocked, ignored");
}

#[test]
fn it_goes_on_when_told_to_terminate_and_serves_the_next_agent_when_one_is_gone() {
    let mut runner = Runner::start("end");
    let mut lives = runner.lives("lives");
    runner.ask(&["/bin/sh", "-c", &format!("exec 3>{}; echo x >&3; sleep 1000 & sleep 1000", lives.path)], 900_000);
    lives.begin();
    for signal in [nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGINT] {
        nix::sys::signal::kill(runner.pid(), signal).expect("sent");
    }
    assert_eq!(runner.shell("exit 7", 20_000).outcome, ProgramOutcome::Exited(7));
    runner.channel = None;
    lives.end();
    runner.connect();
    // Nothing of what the agent before had asked for is reported to this one.
    assert_eq!(runner.shell("exit 8", 20_000).outcome, ProgramOutcome::Exited(8));
    runner.is_alone();
    nix::sys::signal::kill(runner.pid(), nix::sys::signal::Signal::SIGUSR1).expect("sent");
    assert!(runner.child.wait().expect("it ends").success());
}

#[test]
fn a_service_becomes_the_program_that_has_taken_its_place_on_disk_when_the_next_agent_comes() {
    let folder = std::env::temp_dir().join(format!("locum-runner-{}-upgrade", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (program, new) = (folder.join("locum"), folder.join("locum.new"));
    fs::copy(env!("CARGO_BIN_EXE_locum"), &program).expect("copied");
    let mut runner = Runner::service(&program, folder);
    let inode = |path: &Path| fs::metadata(path).expect("there").ino();
    let running = PathBuf::from(format!("/proc/{}/exe", runner.child.id()));
    let mut lives = runner.lives("lives");
    runner.ask(&["/bin/sh", "-c", &format!("exec 3>{}; echo x >&3; exec sleep 1000", lives.path)], 900_000);
    lives.begin();
    for round in 1..=3 {
        fs::copy(env!("CARGO_BIN_EXE_locum"), &new).expect("copied");
        fs::rename(&new, &program).expect("renamed");
        assert_ne!(inode(&running), inode(&program));
        // The agent that is there is served as before.
        assert_eq!(runner.shell("exit 7", 20_000).outcome, ProgramOutcome::Exited(7));
        runner.connect();
        assert_eq!(runner.shell("exit 8", 20_000).outcome, ProgramOutcome::Exited(8));
        assert_eq!(inode(&running), inode(&program), "round {round}");
        lives.end();
        runner.is_alone();
    }
    fs::remove_file(&program).expect("removed");
    runner.connect();
    assert_eq!(runner.shell("exit 9", 20_000).outcome, ProgramOutcome::Exited(9));
    nix::sys::signal::kill(runner.pid(), nix::sys::signal::Signal::SIGTERM).expect("sent");
    assert!(runner.child.wait().expect("it ends").success());
    assert!(!runner.folder.join("runner.sock").exists());
}

#[test]
fn programs_die_with_a_runner_that_is_killed() {
    let mut runner = Runner::start("killed");
    let mut lives = runner.lives("lives");
    let path = lives.path.clone();
    runner.ask(&["/bin/sh", "-c", &format!("exec 3>{path}; echo x >&3; exec sleep 1000")], 900_000);
    lives.begin();
    runner.child.kill().expect("killed");
    lives.end();
}

#[test]
fn many_run_at_once_and_no_more_than_the_limit() {
    let mut runner = Runner::start("many");
    let mut reports = BTreeMap::new();
    for _ in 0..locum::runner::MAX_RUNS + 3 {
        runner.ask(&["/bin/sleep", "1000"], 8_000);
    }
    for _ in 0..locum::runner::MAX_RUNS + 3 {
        let report = runner.report();
        let what = match report.outcome {
            ProgramOutcome::TimedOut => "timed out",
            ProgramOutcome::CouldNotRun(why) if why == "512 programs run already" => "refused",
            ProgramOutcome::CouldNotRun(_) | ProgramOutcome::Exited(_) | ProgramOutcome::Signalled(_) => "other",
        };
        *reports.entry(what).or_insert(0) += 1;
    }
    assert_eq!(reports, BTreeMap::from([("refused", 3), ("timed out", 512)]));
    runner.is_alone();
}

#[test]
fn by_hand_it_says_what_it_is_for() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_locum"));
    let output = command.args(["runner", "--role", "worker"]).stdin(Stdio::null()).output().expect("runs");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by `locum run`"));
}

/// What a script sees of itself.
fn seen(runner: &mut Runner, fields: &[&str]) -> Vec<String> {
    let pattern = fields.join("|");
    let report = runner.shell(&format!("grep -E '^({pattern}):' /proc/self/status | cut -f2 | tr '\\n' ' '"), 20_000);
    report.output.split_whitespace().map(str::to_owned).collect()
}

const NONE: &str = "0000000000000000";

#[test]
fn a_program_runs_as_the_user_that_is_named_with_no_right_of_ours() {
    if !common::require(&[common::Need::Root]) {
        return;
    }
    let mut runner = Runner::start("users");
    runner.user = Some("nobody");
    assert_eq!(runner.shell("echo $(id -un) $(id -Gn) $USER $LOGNAME", 20_000).output, "nobody nogroup nobody nobody");
    assert_eq!(seen(&mut runner, &["CapInh", "CapPrm", "CapEff", "CapAmb"]), [NONE; 4]);
    assert_eq!(seen(&mut runner, &["NoNewPrivs", "Seccomp"]), ["0", "0"], "sudo and the like work");
    assert!(matches!(runner.shell("cat /etc/shadow", 20_000).outcome, ProgramOutcome::Exited(1)));
    // It dies by our hand, although it is not ours: and so does what it leaves behind.
    let mut lives = runner.lives("lives");
    fs::set_permissions(&lives.path, fs::Permissions::from_mode(0o666)).expect("set");
    let script = format!("exec 3>{}; echo x >&3; sleep 1000 & sleep 1000", lives.path);
    assert_eq!(runner.shell(&script, 500).outcome, ProgramOutcome::TimedOut);
    lives.begin();
    lives.end();
    runner.user = Some("root");
    assert_eq!(seen(&mut runner, &["CapInh", "CapPrm", "CapEff", "CapAmb"]), [NONE; 4]);
    assert_eq!(seen(&mut runner, &["NoNewPrivs"]), ["1"], "root would get its rights back otherwise");
    runner.user = Some("locum-no-such-user");
    let why = runner.shell("exit 0", 20_000);
    assert_eq!(could_not_run(&why), "this host has no user locum-no-such-user; see `getent passwd locum-no-such-user`");
    runner.is_alone();
}

#[test]
fn a_program_has_limits_and_no_priority_of_ours() {
    let mut runner = Runner::start("limits");
    let report = runner
        .shell("echo $(ulimit -c) $(ulimit -n) $(ulimit -l) $(umask) $(cut -d' ' -f19,41 /proc/self/stat)", 20_000);
    // No core file, 1024 open files, 8 MiB locked; then the niceness and the policy, SCHED_OTHER.
    assert_eq!(report.output, "0 1024 8192 0022 0 0");
    assert!(!runner.shell("cat /proc/self/oom_score_adj", 20_000).output.starts_with('-'));
}

/// What users' scripts need, and a sandbox would forbid.
#[test]
fn a_script_can_do_what_scripts_do() {
    use common::{Need, require, tool};
    if !require(&[Need::Tool("pidof"), Need::Tool("python3")]) {
        return;
    }
    let mut runner = Runner::start("scripts");
    let python = tool("python3").expect("it was there a moment ago");
    let executable = Command::new(python).args(["-c", "import sys; print(sys.executable)"]).output().expect("it runs");
    let python = String::from_utf8_lossy(&executable.stdout).trim().to_owned();
    assert_eq!(runner.shell("pidof -s sh > /dev/null; echo $?", 20_000).output, "0");
    assert_eq!(runner.shell("cd && pwd && ls -a > /dev/null && echo read", 20_000).output, "read");
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}/health", server.local_addr().expect("an address"));
    let answer = std::thread::spawn(move || {
        let (mut client, _) = server.accept().expect("a client");
        assert!(client.read(&mut [0; 4096]).expect("a request") > 0);
        std::io::Write::write_all(&mut client, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("sent");
    });
    let fetch = format!("import urllib.request; print(urllib.request.urlopen({url:?}).status)");
    assert_eq!(runner.run(&[&python, "-c", &fetch], 20_000).output, "200");
    answer.join().expect("answered");
    // What a just-in-time compiler does: memory that is written and then run.
    let compile = "import mmap; mmap.mmap(-1, 4096, prot=7); print('compiled')";
    assert_eq!(runner.run(&[&python, "-c", compile], 20_000).output, "compiled");
}

/// Tries to be served, and says whether that was so.
const ASK: &str = "\
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(20)
s.connect(sys.argv[1])
try:
    s.send(b'{\"id\":1,\"argv\":[\"/bin/true\"],\"timeout_ms\":9000}')
    print('served' if s.recv(9999) else 'sent away')
except OSError:
    print('sent away')
";

#[test]
fn only_an_agent_is_served() {
    use common::{Need, require, tool};
    if !require(&[Need::Root, Need::Tool("python3"), Need::Tool("setpriv")]) {
        return;
    }
    let mut runner = Runner::start("asking");
    runner.channel = None;
    let socket = runner.folder.join("runner.sock").display().to_string();
    let ask = |privileges: &[&str]| {
        let mut command = Command::new(tool("setpriv").expect("it was there a moment ago"));
        let python = tool("python3").expect("it was there a moment ago");
        let output = command.args(privileges).arg(python).args(["-c", ASK, &socket]).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(ask(&[]), "served", "root, with all its rights");
    assert_eq!(ask(&["--inh-caps=-all", "--bounding-set=-net_admin"]), "sent away", "a check of root's");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("set");
    let other = ["--reuid=65534", "--inh-caps=+net_admin", "--ambient-caps=+net_admin"];
    assert_ne!(ask(&other), "served", "another user");
    runner.connect();
    assert_eq!(runner.shell("exit 3", 20_000).outcome, ProgramOutcome::Exited(3), "and it goes on");
}
