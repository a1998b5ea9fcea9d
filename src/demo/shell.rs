//! Outside: makes the namespaces, starts the stage as their init, and ends all of it when told to.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::failure::{Doing, Failure};
use super::stage;
use crate::io::interruption::Interruptions;
use crate::io::namespace::{IsolateError, isolate};

pub(super) fn run() -> u8 {
    perform().unwrap_or_else(|failure| {
        failure.tell();
        failure.exit_code()
    })
}

fn perform() -> Result<u8, Failure> {
    // From here on an interruption waits until it can be dealt with.
    let interruptions = Interruptions::take().doing("watch for signals")?;
    isolate().map_err(|refused| Failure::NotPermitted(not_permitted(&refused)))?;
    let (ours, theirs) = UnixStream::pair().doing("make a pair of sockets")?;
    let mut stage = start_stage(theirs).doing("start this program again")?;
    match interruptions.wait(&ours) {
        Ok(None) => stage.wait().map(exit_code).doing("learn how the demo ended"),
        Ok(Some(signal)) => {
            end(&mut stage)?;
            eprintln!("locum demo: interrupted; its processes and namespaces are gone");
            Ok(128_u8.saturating_add(signal))
        }
        Err(error) => {
            end(&mut stage)?;
            Err(error).doing("wait for the demo's end")
        }
    }
}

/// The same program with the same arguments; its path may lead elsewhere by now, the running file does not.
fn start_stage(lifeline: UnixStream) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(stage::MARK, "1")
        .stdin(Stdio::from(OwnedFd::from(lifeline)))
        .spawn()
}

/// The stage is init of its process namespace: the kernel kills all others in it before its end is reported.
fn end(stage: &mut Child) -> Result<(), Failure> {
    stage.kill().and_then(|()| stage.wait()).map(drop).doing("end the demo's processes")
}

fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(70),
        (None, signal) => {
            eprintln!("locum demo: its inner process was killed by signal {}", signal.unwrap_or(0));
            70
        }
    }
}

/// What the system refused, why it may have, and what to do about it.
fn not_permitted(refused: &IsolateError) -> String {
    let set_to = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let mut why = Vec::new();
    for kind in ["user", "net", "pid", "mnt"] {
        if set_to(&format!("/proc/sys/user/max_{kind}_namespaces"), "0") {
            why.push(format!("sysctl user.max_{kind}_namespaces is 0: raise it"));
        }
    }
    if set_to("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        why.push("sysctl kernel.unprivileged_userns_clone is 0: set it to 1, or run the demo as root".to_owned());
    }
    if set_to("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        why.push(
            "AppArmor keeps user namespaces from ordinary programs: run the demo as root, or set sysctl \
             kernel.apparmor_restrict_unprivileged_userns to 0"
                .to_owned(),
        );
    }
    if why.is_empty() {
        why.push(match refused.refusal().raw_os_error() {
            Some(libc::ENOSPC) => "a limit is reached: see sysctl user.max_net_namespaces and its like".to_owned(),
            Some(libc::EINVAL | libc::ENOSYS) => {
                "this kernel lacks one of user, net, pid and mnt namespaces".to_owned()
            }
            Some(_) | None => "run it as root; inside a container it takes CAP_SYS_ADMIN and a seccomp profile that \
                allows unshare"
                .to_owned(),
        });
    }
    format!("{refused}; {}", why.join("; "))
}
