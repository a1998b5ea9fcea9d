//! What tests share that need more than the compiler: asking for it, and taking turns.

#![allow(dead_code, reason = "each test target uses another part of it")]

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};

/// What a test needs that not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A program, by name.
    Tool(&'static str),
    /// To be root of this machine.
    Root,
    /// To make network namespaces, as root or in a user namespace.
    Namespaces,
    /// The packages that packaging/build makes, in the folder that LOCUM_PACKAGES names.
    Packages,
}

/// Whether all needs are met. If not, the test is skipped, and a line on standard error says so even where the test
/// runner keeps output back; with `LOCUM_REQUIRE_ALL=1` it fails instead.
#[must_use]
pub fn require(needs: &[Need]) -> bool {
    let missing: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(!is_set("LOCUM_REQUIRE_ALL"), "LOCUM_REQUIRE_ALL=1 is set, but {missing}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not eprintln!, which the test runner captures.
    writeln!(io::stderr(), "SKIPPED {test}: {missing}").expect("standard error can be written to");
    false
}

impl Need {
    /// What to say if it is not there.
    fn missing(self) -> Option<String> {
        let (met, text) = match self {
            Need::Tool(name) => (tool(name).is_some(), format!("{name} is not installed")),
            Need::Root => (nix::unistd::geteuid().is_root(), "this is not root".to_owned()),
            Need::Packages => {
                let text = "LOCUM_PACKAGES names no folder with what packaging/build makes".to_owned();
                (std::env::var_os("LOCUM_PACKAGES").is_some(), text)
            }
            Need::Namespaces => (can_make_namespaces(), "no network namespace can be made here".to_owned()),
        };
        (!met).then_some(text)
    }
}

/// Where a program is; the folders of system programs count although a user's PATH lacks them.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// In a process of its own: a user namespace cannot be entered from a process with several threads.
fn can_make_namespaces() -> bool {
    let Some(unshare) = tool("unshare") else { return false };
    let as_user: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let status = Command::new(unshare).args(as_user).args(["--net", "true"]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Whether the long runs were asked for (`tests/run --full`).
pub fn full() -> bool {
    is_set("LOCUM_FULL")
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "1")
}

/// Held by a live test while it runs. The locks are on folders that everybody can open, so that no file is left and none
/// has a wrong owner.
pub struct LiveGuard(Flock<File>);

/// Waits until no live test runs that must be alone. Those that wait for events most of the time run side by side,
/// whichever process or user they are of.
pub fn live_guard() -> LiveGuard {
    take_turn(FlockArg::LockShared)
}

/// Waits until no other live test runs: for those that measure what another one would disturb.
pub fn live_alone() -> LiveGuard {
    take_turn(FlockArg::LockExclusive)
}

/// The door is passed one by one, and held while waiting: who waits to be alone is not overtaken for ever.
fn take_turn(how: FlockArg) -> LiveGuard {
    let door = lock("/", FlockArg::LockExclusive);
    let turn = lock("/tmp", how);
    drop(door);
    LiveGuard(turn)
}

fn lock(folder: &str, how: FlockArg) -> Flock<File> {
    let mut opened = File::open(folder).unwrap_or_else(|error| panic!("{folder} cannot be opened: {error}"));
    loop {
        match Flock::lock(opened, how) {
            Ok(lock) => return lock,
            Err((again, nix::errno::Errno::EINTR)) => opened = again,
            Err((_, error)) => panic!("cannot lock {folder}: {error}"),
        }
    }
}
