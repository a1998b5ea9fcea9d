//! A network namespace for one test.

use std::process::Command;

use crate::common::{Need, live_guard, require, tool};

const INSIDE: &str = "LOCUM_TEST_INSIDE";

/// Runs a test, in its turn, in a network namespace of its own: as root in a thread, else in a child inside a user
/// namespace. Where neither can be had it is skipped, see [`require`].
pub fn isolated(test: &str, body: impl FnOnce() + Send + 'static) {
    if !require(&[Need::Namespaces, Need::Tool("ip")]) {
        return;
    }
    if nix::unistd::geteuid().is_root() {
        let _turn = live_guard();
        let inside = std::thread::Builder::new().name(test.to_owned()).spawn(move || {
            enter_new_namespace();
            body();
        });
        if let Err(panic) = inside.expect("a thread").join() {
            std::panic::resume_unwind(panic);
        }
        return;
    }
    assert!(std::env::var_os(INSIDE).is_none(), "a user namespace in which we are not root");
    // A process with threads cannot enter a user namespace: a child begins inside one.
    let program = std::env::current_exe().expect("this test's program");
    let status = Command::new(tool("unshare").expect("it was there a moment ago"))
        .args(["--user", "--map-root-user", "--net"])
        .arg(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare was there a moment ago");
    assert!(status.success(), "{test} failed inside its user namespace");
}

/// Puts this thread, and those it starts, into a network namespace of their own.
pub fn enter_new_namespace() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
}

/// iproute2 in the namespace of this thread; what it printed.
#[allow(dead_code, reason = "not every test target needs interfaces")]
pub fn ip(arguments: &str) -> String {
    let output = command(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same where the kernel may refuse; whether it did not.
#[allow(dead_code, reason = "not every test target asks for what may be refused")]
pub fn ip_may_fail(arguments: &str) -> bool {
    command(arguments).output().is_ok_and(|output| output.status.success())
}

fn command(arguments: &str) -> Command {
    let mut command = Command::new(tool("ip").expect("iproute2 is installed"));
    command.args(arguments.split_whitespace());
    command
}
