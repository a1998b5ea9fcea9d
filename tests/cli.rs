//! The commands as typed: what they print, and what they end with.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

mod common;

const VALID: &str = "\
[node]
name = \"lb1\"

[virtual_router.web]
interface = \"locum-none\"
vrid = 51
addresses = [\"192.0.2.10/24\"]
";

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("locum-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("written");
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder can be removed");
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_locum"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn locum(arguments: &[&str]) -> (i32, String, String) {
    told(&command(arguments).output().expect("locum runs"))
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.code().expect("an exit code"), text(&output.stdout), text(&output.stderr))
}

/// As an ordinary user where this is root, who may read and do everything.
fn as_nobody(arguments: &[&str]) -> Option<(i32, String, String)> {
    if !nix::unistd::geteuid().is_root() {
        return Some(locum(arguments));
    }
    if !common::require(&[common::Need::Tool("setpriv")]) {
        return None;
    }
    // The build folder may be out of reach for that user, so the program is handed over as an open file.
    let program = fs::File::open(env!("CARGO_BIN_EXE_locum")).expect("there");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "/proc/self/fd/0"])
        .args(arguments)
        .stdin(program)
        .output();
    Some(told(&output.expect("setpriv runs")))
}

#[test]
fn what_is_typed_wrong_ends_with_64_and_help_with_0() {
    for wrong in [&["stats"][..], &[], &["run", "--confg", "x"], &["check", "a", "b"], &["status", "--json=3"]] {
        let (code, out, err) = locum(wrong);
        assert_eq!((code, out.as_str()), (64, ""), "{wrong:?}");
        assert!(err.contains("Usage:"), "{err}");
    }
    let (code, out, _) = locum(&["--help"]);
    assert!(code == 0 && out.contains("status") && !out.contains("runner"), "{out}");
    assert_eq!(locum(&["--version"]), (0, "locum 0.1.0 (development build)\n".to_owned(), String::new()));
}

#[test]
fn check_tells_fine_from_broken_missing_and_unreadable() {
    let folder = Folder::new("check");
    let valid = folder.write("valid.toml", VALID);
    let (code, out, _) = locum(&["check", &valid]);
    assert_eq!((code, out.lines().next()), (0, Some(format!("{valid}: fine, 1 virtual router").as_str())));
    assert!(out.contains("\n  iifname \"locum-none\" meta l4proto 112 ip daddr 224.0.0.18 accept\n"), "{out}");
    assert!(out.contains("--get-zone-of-interface=locum-none"), "{out}");

    let broken = folder.write("broken.toml", &VALID.replace("vrid", "vrrid"));
    let (code, out, err) = locum(&["check", &broken]);
    assert_eq!((code, out.as_str()), (78, ""));
    assert!(err.contains(&format!("{broken}:6:1")) && err.contains("did you mean `vrid`?"), "{err}");

    let missing = folder.path("missing.toml");
    assert_eq!(locum(&["check", &missing]), (66, String::new(), format!("locum: {missing}: no such file\n")));
    let (code, _, err) = locum(&["check", &folder.path("")]);
    assert!(code == 77 && err.contains("cannot be read"), "{err}");
    fs::set_permissions(&valid, fs::Permissions::from_mode(0o000)).expect("set");
    if let Some((code, _, err)) = as_nobody(&["check", &valid]) {
        assert!(code == 77 && err.contains("Permission denied"), "{code} {err}");
    }
}

#[test]
fn check_warns_of_what_this_host_lacks() {
    let folder = Folder::new("lacks");
    let program = folder.write("program", "#!/bin/sh\n");
    let text = format!("{VALID}checks = [\"a\", \"b\"]\n[check.a]\nscript = [\"{program}\"]\n");
    let file = folder.write("a.toml", &format!("{text}[check.b]\nscript = [\"/nonexistent/b\", \"x\"]\n"));
    let (code, out, err) = locum(&["check", &file]);
    assert!(code == 0 && out.starts_with(&format!("{file}: fine, 1 virtual router\n")), "{code} {out}");
    for expected in [
        "this host has no interface `locum-none`",
        "a.toml:5:13",
        "check `a` cannot run here",
        "is not executable",
        "check `b` cannot run here: /nonexistent/b: No such file or directory",
    ] {
        assert!(err.contains(expected), "{expected} is missing in: {err}");
    }
}

/// In this order: file to edit, command to check, command to start, command to look, firewall line to add.
#[test]
fn check_of_a_file_that_asks_for_nothing_says_what_to_do_next() {
    let folder = Folder::new("empty");
    let empty = folder.write("empty.toml", "# Nothing yet.\n");
    let (code, out, err) = locum(&["check", &empty]);
    assert_eq!((code, err.as_str()), (0, ""));
    let begins = [
        format!("{empty}: fine, no virtual router yet. What to do next:"),
        format!("  1. edit {empty}"),
        format!("  2. run `locum check {empty}`"),
        "  3. run `systemctl enable locum` and `systemctl reload-or-restart locum`".to_owned(),
        "  4. run `locum status`".to_owned(),
        "  5. let adverts through the firewall (nftables: `meta l4proto 112 accept`)".to_owned(),
    ];
    assert_eq!(out.lines().count(), begins.len(), "{out}");
    for (line, begin) in out.lines().zip(begins) {
        assert!(line.starts_with(&begin), "{begin} is missing in: {out}");
    }
}

#[test]
fn run_refuses_what_it_cannot_use_before_it_does_anything() {
    let folder = Folder::new("run");
    let runtime = folder.path("runtime");
    let run = |file: &str| locum(&["run", "--config", file, "--runtime-dir", &runtime]);
    let missing = folder.path("missing.toml");
    assert_eq!(run(&missing), (66, String::new(), format!("locum: {missing}: no such file\n")));
    let (code, _, err) = run(&folder.write("broken.toml", "[virtual_router.web]\nvrid = 300\n"));
    assert!(code == 78 && err.contains("broken.toml:2:8"), "{err}");
    assert!(!PathBuf::from(&runtime).exists(), "nothing was made");

    let valid = folder.write("valid.toml", VALID);
    let (code, _, err) = locum(&["run", "--config", &valid, "--runtime-dir", "/proc/locum"]);
    assert!(code == 77 && err.contains("runtime directory /proc/locum"), "{code} {err}");

    fs::create_dir(&runtime).expect("made");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).expect("set");
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o777)).expect("set");
    if let Some((code, _, err)) = as_nobody(&["run", "--config", &valid, "--runtime-dir", &runtime]) {
        assert!(code == 77 && err.contains("CAP_NET_RAW"), "{code} {err}");
    }
    let lock = fs::File::create(folder.path("runtime/lock")).expect("made");
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusiveNonblock).expect("locked");
    let (code, _, err) = run(&valid);
    assert!(code == 75 && err.contains("in use by another agent"), "{code} {err}");
    drop(lock);
}

#[test]
fn status_without_an_agent_says_what_to_do() {
    let folder = Folder::new("status");
    let runtime = folder.path("");
    let ask = || locum(&["status", "--runtime-dir", &runtime]);
    let (code, out, err) = ask();
    assert_eq!((code, out.as_str()), (69, ""));
    assert!(err.contains("no agent runs there") && err.contains("locum run"), "{err}");
    assert!(err.contains("`systemctl status locum`") && err.contains("`systemctl start locum`"), "{err}");
    // As a crash leaves it: a socket file that nobody listens on.
    drop(UnixListener::bind(folder.path("locum.sock")).expect("bound"));
    assert_eq!(ask().0, 69);

    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700)).expect("set");
    if nix::unistd::geteuid().is_root()
        && let Some((code, _, err)) = as_nobody(&["status", "--runtime-dir", &runtime])
    {
        assert!(code == 77 && err.contains("permission denied"), "{code} {err}");
    }
}

#[test]
fn status_shows_refusals_nonsense_and_silence_for_what_they_are() {
    let folder = Folder::new("answers");
    let listener = UnixListener::bind(folder.path("locum.sock")).expect("bound");
    for (answer, expected) in [
        ("{\"error\":\"the agent is stopping\"}\n", "the agent answers: the agent is stopping"),
        ("{\"version\":\"?\"}\n", "not an answer of this version"),
        ("", "closed the connection"),
    ] {
        let child = command(&["status", "--runtime-dir", &folder.path("")])
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("runs");
        let (mut client, _) = listener.accept().expect("a client");
        let mut line = String::new();
        BufReader::new(&client).read_line(&mut line).expect("a line");
        assert_eq!(line, "{\"command\":\"status\"}\n");
        client.write_all(answer.as_bytes()).expect("sent");
        drop(client);
        let (code, out, err) = told(&child.wait_with_output().expect("ends"));
        assert_eq!((code, out.as_str()), (69, ""));
        assert!(err.contains(expected), "{err}");
    }
}

/// An agent in a network namespace of its own.
struct Agent {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    folder: Folder,
}

impl Agent {
    fn start(name: &str, config: &str) -> Option<Self> {
        use common::Need;
        if !common::require(&[Need::Namespaces, Need::Tool("unshare")]) {
            return None;
        }
        let folder = Folder::new(name);
        let config = folder.write("locum.toml", config);
        let mut command = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let runtime = folder.path("run");
        command.args(["--net", env!("CARGO_BIN_EXE_locum"), "run", "--config", &config, "--runtime-dir", &runtime]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("unshare runs");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        Some(Agent { child, log, folder })
    }

    /// Reads the log up to a line with this text.
    fn until(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).expect("text") > 0, "the log ended before `{text}`:\n{all}");
            if line.contains(text) {
                return line;
            }
            all.push_str(&line);
        }
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a process id"));
        nix::sys::signal::kill(pid, signal).expect("sent");
    }

    fn status(&self, arguments: &[&str]) -> (i32, String, String) {
        locum(&[&["status", "--runtime-dir", &self.folder.path("run")], arguments].concat())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended where the test went well.
        self.child.kill().ok();
        self.child.wait().expect("it ends");
    }
}

#[test]
fn an_agent_answers_reloads_and_stops_with_0() {
    use nix::sys::signal::Signal;
    let config =
        format!("{VALID}checks = [\"disk\"]\n[check.disk]\nscript = [\"/bin/sh\", \"-c\", \"echo full; exit 1\"]\n");
    let Some(mut agent) = Agent::start("agent", &config) else { return };
    agent.until("check disk is failing: failed: full");
    let (code, table, _) = agent.status(&[]);
    assert!(code == 0 && table.starts_with("lb1  locum 0.1.0  up "), "{table}");
    assert!(table.contains("web  FAULT") && table.contains("VRID 51") && table.contains("disk  FAILING"), "{table}");
    let (code, json, _) = agent.status(&["--json"]);
    assert!(code == 0 && json.starts_with("{\"version\":1,\"node\":\"lb1\"") && json.ends_with("}\n"), "{json}");
    // A reader that goes away is no failure.
    let pipe = command(&["status", "--runtime-dir", &agent.folder.path("run")]).stdout(Stdio::piped()).spawn();
    let mut pipe = pipe.expect("runs");
    drop(pipe.stdout.take());
    assert!(pipe.wait().expect("ends").success());

    agent.folder.write("locum.toml", &config.replace("vrid = 51", "vrid = 0"));
    agent.signal(Signal::SIGHUP);
    let line = agent.until("refused");
    assert!(line.contains(" error ") && line.contains("locum.toml:6:8: "), "{line}");
    agent.folder.write("locum.toml", &config.replace("exit 1", "exit 0"));
    agent.signal(Signal::SIGHUP);
    agent.until("check disk is healthy: ok: full");
    assert!(agent.status(&[]).1.contains("disk  healthy"));

    agent.signal(Signal::SIGTERM);
    agent.until("notice stopped");
    let mut rest = String::new();
    agent.log.read_to_string(&mut rest).expect("the runner has closed it too");
    assert_eq!(agent.child.wait().expect("it ends").code(), Some(0));
    assert!(!PathBuf::from(agent.folder.path("run/locum.sock")).exists());
}

#[test]
fn a_runner_that_is_killed_fails_its_checks_and_is_replaced() {
    use nix::sys::signal::{Signal, kill};
    let slow = "[check.slow]\nscript = [\"/bin/sleep\", \"1000\"]\ninterval = \"900s\"\ntimeout = \"900s\"\n";
    let quick = "[check.quick]\nscript = [\"/bin/true\"]\ninterval = \"100ms\"\ntimeout = \"10s\"\n";
    let Some(mut agent) = Agent::start("lost", &format!("{VALID}checks = [\"slow\", \"quick\"]\n{slow}{quick}")) else {
        return;
    };
    agent.until("check quick is healthy");
    let only_child = |of: i32| -> i32 {
        let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).expect("it lives");
        children.trim().parse().expect("one child")
    };
    let keeper = only_child(agent.child.id().cast_signed());
    kill(nix::unistd::Pid::from_raw(only_child(keeper)), Signal::SIGKILL).expect("killed");
    agent.until("runner of check programs is gone");
    agent.until("check slow is failing: could not run");
    let good = |agent: &Agent| {
        let status: serde_json::Value = serde_json::from_str(&agent.status(&["--json"]).1).expect("JSON");
        let quick = &status["checks"]["quick"];
        let runs = quick["runs"].as_u64().zip(quick["failures"].as_u64()).map(|(runs, failures)| runs - failures);
        (quick["healthy"] == true, runs.expect("counted"))
    };
    // By its successor; with one failure or none in between, as it fell.
    let (_, before) = good(&agent);
    let begun = std::time::Instant::now();
    while !matches!(good(&agent), (true, runs) if runs > before + 1) {
        assert!(begun.elapsed().as_secs() < 30, "{}", agent.status(&[]).1);
    }
    agent.signal(Signal::SIGTERM);
    agent.until("notice stopped");
    assert_eq!(agent.child.wait().expect("it ends").code(), Some(0));
}

/// What a manager of configurations does: write the file, start the agent, tell it to reload.
#[test]
fn a_signal_that_comes_while_the_agent_begins_waits_for_it() {
    use nix::sys::signal::{Signal, kill};
    let mut held = 0;
    for turn in 0..20 {
        let Some(mut agent) = Agent::start(&format!("early-{turn}"), VALID) else { return };
        // From its first act on, which a signal before would end as it ends every program.
        let hangup = |field: &str, status: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix(field)).expect("a mask");
            u64::from_str_radix(mask.trim(), 16).expect("hexadecimal") & 1 != 0
        };
        let begun = std::time::Instant::now();
        let blocked = loop {
            let status = fs::read_to_string(format!("/proc/{}/status", agent.child.id())).expect("it lives");
            match (hangup("SigBlk:", &status), hangup("SigCgt:", &status)) {
                (true, _) => break true,
                (false, true) => break false,
                (false, false) => assert!(begun.elapsed().as_secs() < 30, "it never minds signals"),
            }
        };
        held += u32::from(blocked);
        kill(nix::unistd::Pid::from_raw(agent.child.id().cast_signed()), Signal::SIGHUP).expect("told");
        agent.until("reloaded");
        agent.signal(Signal::SIGTERM);
        agent.until("notice stopped");
        assert_eq!(agent.child.wait().expect("it ends").code(), Some(0));
    }
    assert!(held > 0, "it was never met before it listened");
}

#[test]
fn a_check_that_no_virtual_router_uses_never_runs() {
    use nix::sys::signal::Signal;
    let witness = std::env::temp_dir().join(format!("locum-witness-{}", std::process::id()));
    let idle =
        format!("[check.idle]\nscript = [\"/usr/bin/touch\", \"{}\"]\ninterval = \"100ms\"\n", witness.display());
    // Its second run is later than the first of the other would be.
    let used = "[check.used]\nscript = [\"/bin/true\"]\ninterval = \"500ms\"\nrise = 2\n";
    let Some(mut agent) = Agent::start("idle", &format!("{VALID}checks = [\"used\"]\n{used}{idle}")) else { return };
    agent.until("check `idle` is used by no virtual router and never runs");
    agent.until("check used is healthy");
    agent.signal(Signal::SIGTERM);
    agent.until("notice stopped");
    assert!(!witness.exists(), "it has run");
}
