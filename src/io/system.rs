//! What the system is asked now and then: its name, whether something exists, where our output goes.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::AccessFlags;

use crate::types::InterfaceName;

/// The host name up to its first dot; "localhost" where the kernel has none that is text.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    match name.split('.').next() {
        Some(first) if !first.is_empty() => first.to_owned(),
        Some(_) | None => "localhost".to_owned(),
    }
}

/// Whether the kernel keeps a mark with each address (IFA_PROTO, Linux 5.18). One that does not say its release in
/// numbers is taken to.
pub fn kernel_marks_addresses() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map_or(true, |release| marks_addresses(&release))
}

fn marks_addresses(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 18),
        (Some(_) | None, Some(_) | None) => true,
    }
}

/// Lets this process have as many files open as it is ever allowed to: each interface takes several, and the usual 1,024 do
/// not last for hundreds.
///
/// # Errors
/// The kernel's; a container may refuse it.
pub fn lift_file_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Whether the network namespace of the caller has an interface of this name.
pub fn interface_exists(name: &InterfaceName) -> bool {
    nix::net::if_::if_nametoindex(name.as_str()).is_ok()
}

/// The MTU of an interface; `None` if it does not exist, or /sys is not mounted.
pub fn mtu(name: &InterfaceName) -> Option<u32> {
    std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok()?.trim().parse().ok()
}

/// Whether an interface in the network namespace of the caller has this address.
pub fn has_address(address: IpAddr) -> bool {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return false };
    all.filter_map(|entry| entry.address).any(|known| match address {
        IpAddr::V4(address) => known.as_sockaddr_in().is_some_and(|known| known.ip() == address),
        IpAddr::V6(address) => known.as_sockaddr_in6().is_some_and(|known| known.ip() == address),
    })
}

/// Why a program could not be started, as far as can be seen without starting it.
///
/// # Errors
/// The system's, in its words.
pub fn can_execute(path: &Path) -> io::Result<()> {
    if path.metadata()?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    Ok(nix::unistd::access(path, AccessFlags::X_OK)?)
}

/// Why a program was not started: the system's words, and what they mean where they mislead.
pub fn why_not_started(program: &Path, error: &io::Error) -> String {
    let hint = match (error.raw_os_error(), program.metadata()) {
        (Some(libc::ENOENT), Ok(_)) => ": the interpreter in its first line does not exist",
        (Some(libc::EACCES), Ok(data)) if data.is_dir() => ": it is a directory",
        (Some(libc::EACCES), Ok(_)) => ": it, or its interpreter, is not executable",
        (Some(_) | None, Ok(_) | Err(_)) => "",
    };
    format!("{}: {error}{hint}", program.display())
}

/// Whether standard error is a stream to the journal (`JOURNAL_STREAM`, systemd.exec(5)), so that the journal
/// itself can be written to instead.
pub fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let identity = stderr.and_then(|file| file.metadata()).map(|data| format!("{}:{}", data.dev(), data.ino()));
    identity.is_ok_and(|identity| identity == stream)
}

/// Says something on standard error, which is the journal for a service that has no log of its own.
pub fn complain(text: &str) {
    // Where that cannot be written to, nothing else can be.
    io::Write::write_all(&mut io::stderr(), format!("locum: {text}\n").as_bytes()).ok();
}

/// Whether text on standard error may be coloured: a person's terminal, and no wish to the contrary (`NO_COLOR`).
pub fn stderr_has_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        let releases = ["5.18.0", "6.1.0-13-amd64", "5.17.99", "4.19.0", "10.0", "odd"];
        assert_eq!(releases.map(marks_addresses), [true, true, false, false, true, true]);
    }

    #[test]
    fn what_is_there_is_found() {
        assert!(interface_exists(&"lo".parse().expect("a name")));
        assert!(!interface_exists(&"locum-none".parse().expect("a name")));
        assert!(mtu(&"lo".parse().expect("a name")) > Some(1500));
        assert_eq!(mtu(&"locum-none".parse().expect("a name")), None);
        // TEST-NET-2, which nobody has.
        assert!(!has_address(IpAddr::from([198, 51, 100, 251])));
        assert!(!host_name().is_empty() && !host_name().contains('.'));
    }

    #[test]
    fn a_program_is_told_from_what_is_none() {
        let kind = |path: &str| can_execute(Path::new(path)).map_err(|error| error.kind());
        assert_eq!(kind("/bin/sh"), Ok(()));
        assert_eq!(kind("/bin"), Err(io::ErrorKind::IsADirectory));
        assert_eq!(kind("/etc/passwd"), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(kind("/nonexistent/program"), Err(io::ErrorKind::NotFound));
    }
}
