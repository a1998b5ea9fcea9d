//! `locum reload --exec`: the program on disk takes over in the same process, or the one that runs goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::agents::{Agent, LOCUM, Router, toml};
use crate::clock::{MS, Moment, SECOND, now};
use crate::lan::{Lab, address};
use crate::live::live;
use crate::power_loss::VIP;
use crate::probe::Probe;

fn install(lab: &Lab) -> PathBuf {
    let program = lab.file("locum");
    fs::copy(LOCUM, &program).expect("copied");
    program
}

/// As a package manager does: the new file takes the name, and the old one lives on while it runs.
fn put_in_place(program: &Path, content: &[u8], mode: u32) {
    let new = program.with_extension("new");
    fs::write(&new, content).expect("written");
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).expect("set");
    fs::rename(&new, program).expect("renamed");
}

fn start(lab: &Lab, host: usize, program: &Path, config: &str) -> Agent {
    Agent::locum_by(lab, host, config, &[program.to_str().expect("ASCII")])
}

fn replaced(agent: &Agent) -> Output {
    agent.ask(&["reload", "--exec"])
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// The file that a process runs, and whether it was replaced since.
fn runs(agent: &Agent) -> String {
    fs::read_link(format!("/proc/{}/exe", agent.pid())).expect("it runs").display().to_string()
}

fn children(agent: &Agent) -> usize {
    let pid = agent.pid();
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it runs");
    text.split_whitespace().count()
}

fn descriptors(agent: &Agent) -> usize {
    fs::read_dir(format!("/proc/{}/fd", agent.pid())).expect("it runs").count()
}

/// What the kernel says of the system calls that are refused to a process: that some are, and in how many layers.
fn refusals(agent: &Agent) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("it runs");
    status.lines().filter(|line| line.starts_with("Seccomp")).map(str::to_owned).collect()
}

/// At 1 s adverts; a gap of the machine's own making counts for nothing.
fn no_advert_missed(lab: &Lab, from: Moment) {
    let adverts = lab.wire.since(from).into_iter().filter(|seen| seen.advert().is_some());
    let times: Vec<Moment> = adverts.map(|seen| seen.at).collect();
    let missed =
        times.windows(2).find(|pair| pair[1] - pair[0] > SECOND + 500 * MS && lab.undisturbed(pair[0], pair[1]));
    assert_eq!(missed, None, "an advert was missed");
}

#[test]
fn an_upgrade_in_place_loses_nothing() {
    live(&[], || {
        let lab = Lab::new(2);
        let program = install(&lab);
        let mut active = start(&lab, 1, &program, &toml(&[Router::new(200)]));
        lab.holders.wait(VIP, &[1]);
        let mut backup = start(&lab, 2, &program, &toml(&[Router::new(100)]));
        backup.state("web", "backup");
        let probe = Probe::start(&lab.client, VIP);
        probe.wait_answer(now());
        let (from, pids) = (now(), [active.pid(), backup.pid()]);
        put_in_place(&program, &fs::read(LOCUM).expect("read"), 0o755);
        assert!(runs(&active).ends_with("(deleted)"), "{}", runs(&active));
        active.configure(&toml(&[Router::new(190)]));
        for agent in [&active, &backup] {
            let output = replaced(agent);
            assert!(output.status.success() && text(&output).contains("has taken over from"), "{}", text(&output));
            assert_eq!(runs(agent), program.display().to_string());
        }
        active.router("web", "has the new priority", |router| router["priority"]["base"] == 190);
        lab.stays(VIP, 1, 5 * SECOND);
        assert_eq!(probe.stop().lost(), 0, "echoes lost");
        assert_eq!(lab.holders.changes(VIP, from), [], "no address moved");
        no_advert_missed(&lab, from);
        let odd =
            lab.wire.since(from).into_iter().find(|seen| seen.advert().is_some_and(|advert| advert.priority < 190));
        assert_eq!(odd, None, "nobody resigned, and the Backup went on as one");
        assert_eq!([active.pid(), backup.pid()], pids);
        assert!(active.runs() && backup.runs());
        backup.state("web", "backup");
        assert_eq!(active.stop(), 0, "it can be stopped as ever");
        lab.holders.wait(VIP, &[2]);
    });
}

/// A Backup whose wait began anew with the new program would claim two seconds later.
#[test]
fn a_backup_goes_on_waiting_from_the_last_advert() {
    live(&[], || {
        let lab = Lab::new(2);
        let program = install(&lab);
        let active = Agent::locum(&lab, 1, &toml(&[Router::new(200)]));
        lab.holders.wait(VIP, &[1]);
        let backup = start(&lab, 2, &program, &toml(&[Router::new(100)]));
        backup.state("web", "backup");
        let last = lab.wire.wait("an advert", now(), |seen| seen.asserts(address(1, 0))).at;
        lab.power_off(1);
        let pause = (last + 2 * SECOND).saturating_sub(now());
        std::thread::sleep(std::time::Duration::from_nanos(pause));
        let output = replaced(&backup);
        assert!(output.status.success(), "{}", text(&output));
        let claim = lab.wire.wait("the claim", last, |seen| seen.asserts(address(2, 0))).at;
        drop(active);
        // Active_Down_Interval at priority 100 is 3609.375 ms.
        let took = claim - last;
        assert!(took > 3600 * MS && (took < 4200 * MS || !lab.undisturbed(last, claim)), "{took} ns");
    });
}

#[test]
fn a_hundred_in_a_row_leave_nothing_behind() {
    live(&[], || {
        let lab = Lab::new(1);
        let program = install(&lab);
        let check = "[check.fine]\nscript = [\"/bin/true\"]\n";
        let web = Router::new(100).more("checks = [\"fine\"]");
        let mut agent = start(&lab, 1, &program, &format!("{}{check}", toml(&[web])));
        lab.holders.wait(VIP, &[1]);
        let probe = Probe::start(&lab.client, VIP);
        probe.wait_answer(now());
        let (from, laid) = (now(), refusals(&agent));
        assert_eq!(laid[0], "Seccomp:\t2", "a sandbox is in force: {laid:?}");
        // What the kernel takes long for, leases among it, nobody can hurry.
        let slow = |at: Moment| {
            let before = at.saturating_sub(6 * SECOND);
            lab.stalls.slow_within(before, at + SECOND) || lab.stalls.within(before, at, 300 * MS)
        };
        let mut before = None;
        for time in 0..100 {
            let output = replaced(&agent);
            assert!(output.status.success() || slow(now()), "time {time}: {}", text(&output));
            agent.state("web", "active");
            before.get_or_insert_with(|| descriptors(&agent));
        }
        // A worker thread of the runtime may have one more open for a moment.
        let (first, last) = (before.expect("once at least"), descriptors(&agent));
        assert!(last <= first + 2, "{first} descriptors after the first, {last} after the last");
        assert_eq!(refusals(&agent), laid, "none is laid upon another");
        crate::clock::eventually("one runner and nobody unreaped", || (children(&agent) == 1).then_some(()));
        let echoes = probe.stop();
        let mut lost = echoes.sent.iter().filter(|(number, _)| !echoes.answered.contains_key(number));
        assert_eq!(lost.find(|(_, at)| !slow(**at)), None, "echoes lost, of {} in all", echoes.lost());
        let mut changes = lab.holders.changes(VIP, from).into_iter();
        assert_eq!(changes.find(|change| !slow(change.at)), None);
        no_advert_missed(&lab, from);
        assert!(agent.runs());
    });
}

#[test]
fn a_program_that_would_not_run_does_not_take_over() {
    live(&[], || {
        let lab = Lab::new(1);
        let program = install(&lab);
        let mut agent = start(&lab, 1, &program, &toml(&[Router::new(100).every(500)]));
        lab.holders.wait(VIP, &[1]);
        let (from, pid) = (now(), agent.pid());
        // The agent starts nothing from outside its own folder, so its shell is in there too.
        let shell = program.with_file_name("sh");
        fs::copy("/bin/sh", &shell).expect("copied");
        let script = |lines: &str| format!("#!{}\n{lines}\n", shell.display()).into_bytes();
        let broken: [(Vec<u8>, u32, &str); 7] = [
            (script("echo no such key >&2\nexit 1"), 0o755, "no such key"),
            (script("exit 0"), 0o755, "does not know how to take over"),
            // The C library would have a shell try it.
            (b"\x7fELF and nothing else".to_vec(), 0o755, "Permission denied"),
            (script("kill -STOP $$"), 0o755, "did not end within"),
            (b"#!/nonexistent/interpreter\n".to_vec(), 0o755, "interpreter"),
            (b"#!/bin/sh\nexit 0\n".to_vec(), 0o755, "Permission denied"),
            (script("exit 0"), 0o644, "executable"),
        ];
        for (content, mode, words) in broken {
            put_in_place(&program, &content, mode);
            let output = replaced(&agent);
            assert_eq!(output.status.code(), Some(1), "{}", text(&output));
            assert!(text(&output).contains(words), "{words} is missing: {}", text(&output));
            agent.logged(words);
        }
        fs::remove_file(&program).expect("removed");
        assert!(text(&replaced(&agent)).contains("No such file"));
        put_in_place(&program, &fs::read(LOCUM).expect("read"), 0o755);
        let good = toml(&[Router::new(100).every(500)]);
        agent.configure(&good.replace("vrid = 51", "vrid = 510"));
        let output = replaced(&agent);
        assert_eq!(output.status.code(), Some(78), "{}", text(&output));
        assert!(text(&output).contains("vrid = 510"), "{}", text(&output));
        assert_eq!(lab.holders.changes(VIP, from), []);
        assert!(agent.runs() && agent.pid() == pid);
        agent.configure(&good);
        assert!(replaced(&agent).status.success(), "and a good one is still taken");
        agent.state("web", "active");
    });
}
