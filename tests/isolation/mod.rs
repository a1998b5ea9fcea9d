//! A network namespace for one test.

use std::process::Command;

const INSIDE: &str = "LOCUM_TEST_INSIDE";

/// Runs a test in a network namespace of its own: as root in a thread, else in a child inside a user namespace.
/// Where neither can be had, it says so and the test is skipped, or fails under `LOCUM_REQUIRE_ALL=1`.
pub fn isolated(test: &str, body: impl FnOnce() + Send + 'static) {
    if nix::unistd::geteuid().is_root() {
        let inside = std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
            body();
        });
        if let Err(panic) = inside.join() {
            std::panic::resume_unwind(panic);
        }
        return;
    }
    assert!(std::env::var_os(INSIDE).is_none(), "a user namespace in which we are not root");
    let possible = Command::new("unshare").args(["-Urn", "true"]).status().is_ok_and(|status| status.success());
    if !possible {
        assert!(std::env::var_os("LOCUM_REQUIRE_ALL").is_none(), "{test}: needs root or user namespaces");
        println!("SKIPPED {test}: neither root nor user namespaces to be had");
        return;
    }
    // A process with threads cannot enter a user namespace: a child begins inside one.
    let program = std::env::current_exe().expect("this test's program");
    let status = Command::new("unshare")
        .arg("-Urn")
        .arg(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare was there a moment ago");
    assert!(status.success(), "{test} failed inside its user namespace");
}

/// iproute2 in the namespace of this thread; what it printed.
pub fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same where the kernel may refuse; whether it did not.
#[allow(dead_code)]
pub fn ip_may_fail(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split_whitespace()).output().is_ok_and(|output| output.status.success())
}
