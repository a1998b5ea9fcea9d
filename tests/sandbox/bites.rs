//! The sandbox laid around a thread of this test, which then tries what is forbidden.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;

use locum::io::sandbox::{Missing, Needs, enter};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use seccompiler::{SeccompAction, SeccompFilter, SeccompRule};

use crate::common::{Need, require, tool};

/// A folder of this test, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("locum-sandbox-{}-{name}", std::process::id()));
        for inner in ["conf", "run", "other"] {
            fs::create_dir_all(path.join(inner)).expect("a folder");
        }
        fs::write(path.join("conf/locum.toml"), "old").expect("written");
        fs::write(path.join("other/secret"), "secret").expect("written");
        Folder(path)
    }

    fn needs(&self) -> Needs {
        Needs {
            files: vec![self.0.join("conf/locum.toml")],
            runtime_dir: self.0.join("run"),
            program: std::env::current_exe().expect("a path"),
            ..Needs::default()
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// In a thread of its own, since nothing of it can be taken back.
fn apart<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(body).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn files_out_of_reach_stay_so_and_the_others_do_not() {
    let folder = Folder::new("files");
    let (needs, path) = (folder.needs(), folder.0.clone());
    let (laid, is_laid) = channel();
    let (replaced, is_replaced) = channel();
    let inside = std::thread::spawn(move || {
        let secret = path.join("other/secret");
        assert_eq!(fs::read_to_string(&secret).expect("readable before"), "secret");
        assert_eq!(enter(&needs), []);
        let denied = Some(ErrorKind::PermissionDenied);
        assert_eq!(kind(fs::read(&secret)), denied);
        assert_eq!(kind(fs::read("/etc/passwd")), denied);
        assert_eq!(kind(fs::read_dir("/")), denied);
        assert_eq!(kind(fs::write(path.join("conf/locum.toml"), "changed")), denied);
        assert_eq!(kind(fs::write(path.join("other/new"), "new")), denied);
        assert_eq!(kind(fs::remove_file(&secret)), denied);
        assert_eq!(kind(Command::new("/bin/sh").arg("-c").arg("true").status()), denied);
        let file = path.join("run/socket");
        fs::write(file.with_extension("new"), "x").expect("made");
        fs::rename(file.with_extension("new"), &file).expect("renamed");
        fs::remove_file(&file).expect("removed");
        fs::read_to_string("/proc/self/status").expect("readable");
        laid.send(()).expect("the test waits");
        is_replaced.recv().expect("the test goes on");
        assert_eq!(fs::read_to_string(path.join("conf/locum.toml")).expect("another file of that name"), "new");
    });
    if is_laid.recv().is_ok() {
        // As an editor does it.
        fs::write(folder.0.join("conf/.new"), "new").expect("written");
        fs::rename(folder.0.join("conf/.new"), folder.0.join("conf/locum.toml")).expect("renamed");
        replaced.send(()).expect("it waits");
    }
    inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn a_configuration_behind_a_link_is_within_reach_at_both_ends() {
    let folder = Folder::new("link");
    std::os::unix::fs::symlink(folder.0.join("other/secret"), folder.0.join("conf/link")).expect("a link");
    let needs = Needs { files: vec![folder.0.join("conf/link")], ..folder.needs() };
    let file = folder.0.join("conf/link");
    apart(move || {
        assert_eq!(enter(&needs), []);
        assert_eq!(fs::read_to_string(file).expect("readable"), "secret");
    });
}

#[test]
fn calls_that_an_agent_never_makes_are_refused() {
    let folder = Folder::new("calls");
    let needs = folder.needs();
    apart(move || {
        let vsock = || socket(AddressFamily::Vsock, SockType::Stream, SockFlag::empty(), None);
        let alg = || socket(AddressFamily::Alg, SockType::SeqPacket, SockFlag::empty(), None);
        nix::sched::unshare(nix::sched::CloneFlags::empty()).expect("nobody is kept from asking for nothing");
        let before = [vsock().err(), alg().err()];
        assert!(!before.contains(&Some(Errno::EPERM)), "{before:?}");
        assert_eq!(enter(&needs), []);
        assert_eq!(nix::sched::unshare(nix::sched::CloneFlags::empty()), Err(Errno::EPERM));
        assert_eq!(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER), Err(Errno::EPERM));
        let none = None::<&str>;
        let flags = nix::mount::MsFlags::MS_REMOUNT;
        assert_eq!(nix::mount::mount(none, "/nonexistent", none, flags, none), Err(Errno::EPERM));
        assert_eq!([vsock().err(), alg().err()], [Some(Errno::EPERM); 2]);
        for family in [AddressFamily::Unix, AddressFamily::Inet, AddressFamily::Inet6] {
            socket(family, SockType::Datagram, SockFlag::empty(), None).expect("allowed");
        }
        std::thread::spawn(|| ()).join().expect("a thread");
    });
}

/// Tells how memory was had that is written and run, then that a namespace was made.
const FORBIDDEN: &str = "\
import ctypes, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, done):
    print(what, 'done' if done else ctypes.get_errno())
try:
    mmap.mmap(-1, 4096, prot=7)
    print('memory done')
except OSError as error:
    print('memory', error.errno)
# CLONE_NEWUSER and SIGCHLD; the clock -1 is none.
tried('namespace', libc.syscall(56, 0x10000011, 0, 0, 0, 0) >= 0)
tried('user', libc.setuid(os.getuid()) == 0)
tried('clock', libc.syscall(227, -1, 0) == 0)
tried('clone3', libc.syscall(435, 0, 0) >= 0)
";

/// Another program than ours, since it takes `unsafe` to try. It runs inside, so this shows too that who takes our place
/// is started and stays inside.
#[test]
fn what_is_started_inside_stays_inside() {
    if !require(&[Need::Tool("python3")]) || std::env::consts::ARCH != "x86_64" {
        return;
    }
    let python = tool("python3").expect("it was there a moment ago");
    // What is found may be a script that chooses one.
    let told = Command::new(python).args(["-c", "import os, sys; print(sys.executable); print(os.__file__)"]).output();
    let told = String::from_utf8(told.expect("it runs").stdout).expect("text");
    let (python, library) = told.trim().split_once('\n').expect("two lines");
    let (python, library) = (PathBuf::from(python), PathBuf::from(library));
    let outside = Command::new(&python).args(["-c", "import mmap; mmap.mmap(-1, 4096, prot=7)"]).status();
    assert!(outside.expect("it runs").success(), "nothing else forbids it");
    let folder = Folder::new("inside");
    let needs = Needs { files: vec![library], program: python.clone(), ..folder.needs() };
    let inside = apart(move || {
        assert_eq!(enter(&needs), []);
        let output = Command::new(&python).args(["-B", "-c", FORBIDDEN]).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    // EPERM is 1, ENOSYS 38.
    assert_eq!(inside, "memory 1\nnamespace 1\nuser 1\nclock 1\nclone3 38\n");
}

#[test]
fn capabilities_are_gone_for_good() {
    if !require(&[Need::Root]) {
        return;
    }
    let folder = Folder::new("rights");
    let needs = folder.needs();
    let lines = apart(move || {
        assert_eq!(enter(&needs), []);
        fs::read_to_string("/proc/thread-self/status").expect("readable")
    });
    let value = |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    // CAP_NET_ADMIN is 12, CAP_NET_RAW 13.
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(value(set), Some("0000000000003000"), "{set}");
    }
    for set in ["CapInh:", "CapAmb:"] {
        assert_eq!(value(set), Some("0000000000000000"), "{set}");
    }
    assert_eq!((value("NoNewPrivs:"), value("Seccomp:")), (Some("1"), Some("2")));
}

#[test]
fn root_keeps_its_right_to_others_files_only_where_it_is_needed_and_says_so() {
    if !require(&[Need::Root]) {
        return;
    }
    let folder = Folder::new("others");
    let file = folder.0.join("conf/locum.toml");
    std::os::unix::fs::chown(&file, Some(65_534), None).expect("changed");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
    let needs = folder.needs();
    let missing = apart(move || {
        let missing = enter(&needs);
        assert_eq!(fs::read_to_string(&needs.files[0]).expect("readable"), "old");
        missing
    });
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(missing[0].what, "give up CAP_DAC_OVERRIDE");
    assert!(missing[0].why.starts_with(&file.display().to_string()), "{missing:?}");
}

#[test]
fn it_is_laid_once_however_often_a_program_takes_our_place() {
    let folder = Folder::new("once");
    let needs = folder.needs();
    apart(move || {
        assert_eq!(enter(&needs), []);
        let again = Needs { laid: true, ..needs.clone() };
        for _ in 0..40 {
            assert_eq!(enter(&again), []);
        }
        // The kernel stacks 16 of them: laid each time it would fail, and this is what that looks like.
        let layers = (0..20).map(|_| enter(&needs)).find(|missing| !missing.is_empty()).expect("too many");
        assert_eq!(layers[0].what, "restrict files with Landlock");
    });
}

#[test]
fn what_is_said_to_be_laid_is_looked_at() {
    let folder = Folder::new("said");
    let needs = Needs { laid: true, ..folder.needs() };
    apart(move || {
        assert_eq!(enter(&needs), []);
        assert_eq!(kind(fs::read("/etc/passwd")), Some(ErrorKind::PermissionDenied));
        assert_eq!(nix::sched::unshare(nix::sched::CloneFlags::empty()), Err(Errno::EPERM));
    });
}

#[test]
fn a_kernel_without_landlock_is_told_of_and_the_rest_holds() {
    let folder = Folder::new("without");
    let needs = folder.needs();
    apart(move || {
        deny(&[libc::SYS_landlock_create_ruleset], Errno::ENOSYS);
        let missing = enter(&needs);
        assert_eq!(missing.len(), 1, "{missing:?}");
        let Missing { what, why } = &missing[0];
        assert_eq!(*what, "restrict files with Landlock");
        assert!(why.contains("this kernel does not have it"), "{why}");
        fs::read("/etc/passwd").expect("within reach");
        assert_eq!(nix::sched::unshare(nix::sched::CloneFlags::empty()), Err(Errno::EPERM));
    });
}

#[test]
fn a_kernel_without_seccomp_is_told_of_and_the_rest_holds() {
    let folder = Folder::new("no-filter");
    let needs = folder.needs();
    apart(move || {
        deny(&[libc::SYS_seccomp], Errno::EINVAL);
        let missing = enter(&needs);
        assert_eq!(
            missing.iter().map(|missing| missing.what).collect::<Vec<_>>(),
            ["restrict system calls with seccomp"]
        );
        assert_eq!(kind(fs::read("/etc/passwd")), Some(ErrorKind::PermissionDenied));
    });
}

/// Plays a kernel that lacks these calls.
fn deny(calls: &[libc::c_long], error: Errno) {
    let rules: BTreeMap<i64, Vec<SeccompRule>> = calls.iter().map(|number| (*number, Vec::new())).collect();
    let action = SeccompAction::Errno((error as i32).unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().expect("a known one");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture).expect("a filter");
    let program: seccompiler::BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("applied");
}
