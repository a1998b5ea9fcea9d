//! This process becomes another program: what goes with it, and how the other one is tried beforehand.
//!
//! What it inherits are open descriptors and a document that names them by number. Both are looked at like anything
//! from outside: a descriptor is what the kernel says it is, whatever the document calls it.

use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use super::{clock, sys, systemd};

/// The variable with the number of the descriptor of the document.
pub const VARIABLE: &str = "LOCUM_HANDOVER";
/// Largest document, in bytes.
const LARGEST: u64 = 8 << 20;
/// What is kept of what a program on trial prints, on either stream.
const LONGEST_OUTPUT: usize = 64 << 10;
/// How often it is looked whether it has ended although something holds its output open.
const LOOK: u16 = 20;
/// Signals that would end a program that does not listen for them yet: they wait until it does.
const HELD: [Signal; 5] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGXCPU];

/// Which file a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs::metadata(path)?;
        let (device, inode, size) = (data.dev(), data.ino(), data.size());
        Ok(Identity { device, inode, size, modified: (data.mtime(), data.mtime_nsec()) })
    }
}

/// The path this program was started by, so that what is put in its place is found there: a link is not followed. To be
/// asked early, before the file is replaced.
///
/// # Errors
/// /proc is not mounted.
pub fn own_path() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    let started = sys::program_path().map(OsString::from_vec).map(PathBuf::from);
    let absolute = started.map(std::path::absolute).transpose()?;
    // A name under /proc or /dev leads to the file that was open then, and never to its successor.
    let named = absolute.filter(|path| !path.starts_with("/proc") && !path.starts_with("/dev"));
    let same = |path: &PathBuf| matches!((Identity::of(path), Identity::of(running)), (Ok(a), Ok(b)) if a == b);
    named.filter(same).map_or_else(|| fs::read_link(running), Ok)
}

/// Whether another file than the one we run has this path by now; not if there is none.
pub fn is_replaced(path: &Path) -> bool {
    matches!((Identity::of(path), Identity::of(Path::new("/proc/self/exe"))), (Ok(there), Ok(running)) if there != running)
}

/// An anonymous file with this content, to be read from its beginning.
///
/// # Errors
/// No more memory or descriptors, or longer than is read again.
pub fn document(content: &[u8]) -> io::Result<File> {
    if content.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("the document has more than {LARGEST} bytes")));
    }
    let mut file = File::from(memfd_create(c"locum-handover", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// The document that an agent before us, in this very process, has left; `None` if there was none.
///
/// # Errors
/// There is no readable document where the environment says.
pub fn inherited_document() -> io::Result<Option<Vec<u8>>> {
    let Some(number) = std::env::var_os(VARIABLE) else { return Ok(None) };
    let number = number.to_str().and_then(|text| text.parse::<RawFd>().ok());
    let number = number.ok_or_else(|| io::Error::other(format!("{VARIABLE} is no number")))?;
    read_document(File::from(inherit(number)?)).map(Some)
}

/// A document on standard input.
///
/// # Errors
/// It cannot be read, or is too long.
pub fn document_on_standard_input() -> io::Result<Vec<u8>> {
    read_document(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

fn read_document(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("the document has more than {LARGEST} bytes")));
    }
    Ok(content)
}

/// A descriptor that was open when this program began. It does not go on to programs that are started.
///
/// # Errors
/// None of this number is open, or it is one of the standard streams.
pub fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    sys::inherited(number)
}

/// How a program on trial ended.
#[derive(Debug)]
pub struct Trial {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed on standard output.
    pub output: String,
    /// Why it does not do: what it printed on standard error, or else how it ended.
    pub complaint: String,
    tried: Identity,
}

/// Runs a program to its end, with `input` as its standard input; kills it when `patience` is over.
///
/// # Errors
/// It cannot be started, or did not end in time; in words.
pub fn try_out(program: &Path, arguments: &[OsString], input: File, patience: Duration) -> Result<Trial, String> {
    let said = |error: io::Error| super::system::why_not_started(program, &error);
    let tried = Identity::of(program).map_err(said)?;
    let run = || -> io::Result<_> {
        let (output, stdout) = io::pipe()?;
        let (errors, stderr) = io::pipe()?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(input.try_clone()?).stdout(stdout).stderr(stderr).process_group(0);
        for name in systemd::ENVIRONMENT.iter().chain([&VARIABLE]) {
            command.env_remove(name);
        }
        sys::prepare_child(&mut command);
        let child = command.spawn()?;
        Ok((child, [Stream::new(output)?, Stream::new(errors)?]))
    };
    let (mut child, mut streams) = run().map_err(said)?;
    let ended = follow(&mut child, &mut streams, patience);
    // Whatever it has started is not wanted either.
    if let Ok(leader) = i32::try_from(child.id()) {
        super::program::kill_group(leader).ok();
    }
    child.wait().ok();
    let [output, errors] = streams.map(Stream::text);
    match ended.map_err(said)? {
        Some(status) => {
            let complaint = if errors.is_empty() { how_it_ended(status) } else { errors };
            Ok(Trial { code: status.code(), output, complaint, tried })
        }
        None => Err(format!("{}: it did not end within {} s", program.display(), patience.as_secs())),
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "its end is not known".to_owned(),
    }
}

/// One stream of a program on trial.
struct Stream {
    pipe: Option<PipeReader>,
    text: Vec<u8>,
}

impl Stream {
    fn new(pipe: PipeReader) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Stream { pipe: Some(pipe), text: Vec::new() })
    }

    /// Reads what is there.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    let room = LONGEST_OUTPUT.saturating_sub(self.text.len());
                    self.text.extend(buffer.iter().take(count.min(room)));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    fn text(self) -> String {
        String::from_utf8_lossy(&self.text).trim().to_owned()
    }
}

/// Waits for its end; `None` if it does not come.
fn follow(child: &mut Child, streams: &mut [Stream; 2], patience: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = clock::now() + patience;
    loop {
        let ended = child.try_wait()?;
        streams.iter_mut().for_each(Stream::read);
        if ended.is_some() || clock::now() >= deadline {
            return Ok(ended);
        }
        let pipes = streams.iter().filter_map(|stream| stream.pipe.as_ref());
        let mut wanted: Vec<PollFd<'_>> = pipes.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut wanted, PollTimeout::from(LOOK)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes this process that program, with these arguments after its name, our environment, and `document`. Of our
/// descriptors it keeps the standard streams and `kept`. Returns only if that fails, with everything as it was.
pub fn become_program(
    program: &Path,
    tried: &Trial,
    arguments: &[OsString],
    document: &File,
    kept: &[BorrowedFd<'_>],
) -> io::Error {
    let attempt = || -> io::Result<std::convert::Infallible> {
        if Identity::of(program)? != tried.tried {
            return Err(io::Error::other("the file was replaced after it had been tried"));
        }
        let text = |text: &std::ffi::OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
        let path = text(program.as_os_str())?;
        let words = std::iter::once(Ok(c"locum".to_owned())).chain(arguments.iter().map(|word| text(word)));
        let words = words.collect::<io::Result<Vec<CString>>>()?;
        let number = document.as_raw_fd().to_string();
        let others = std::env::vars_os().filter(|(name, _)| name != VARIABLE);
        let variables = others.chain([(OsString::from(VARIABLE), OsString::from(number))]);
        let line = |(mut name, value): (OsString, OsString)| {
            name.push("=");
            name.push(value);
            text(&name)
        };
        let environment = variables.map(line).collect::<io::Result<Vec<CString>>>()?;
        let before = SigSet::from_iter(HELD).thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let error = keep(document, kept, true)
            .and_then(|()| nix::unistd::execve(&path, &words, &environment).map_err(io::Error::from))
            .err()
            .unwrap_or_else(|| io::Error::other("it did not happen"));
        before.thread_set_mask()?;
        keep(document, kept, false)?;
        Err(error)
    };
    match attempt() {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// Signals that mean something to an agent wait from here on, so that none ends one that is just starting.
///
/// # Errors
/// The kernel's; none is expected.
pub fn hold_signals_back() -> io::Result<()> {
    Ok(SigSet::from_iter(HELD).thread_block()?)
}

/// What waits since this program has begun, or took the place of another one, may come now.
///
/// # Errors
/// The kernel's; none is expected.
pub fn let_signals_come() -> io::Result<()> {
    Ok(SigSet::from_iter(HELD).thread_unblock()?)
}

fn keep(document: &File, kept: &[BorrowedFd<'_>], on: bool) -> io::Result<()> {
    let flag = if on { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    for fd in std::iter::once(document.as_fd()).chain(kept.iter().copied()) {
        fcntl(fd, FcntlArg::F_SETFD(flag))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn shell(script: &str, patience: Duration) -> Result<Trial, String> {
        let input = document(b"hello\n").expect("a document");
        try_out(Path::new("/bin/sh"), &words(&["-c", script]), input, patience)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_trial_tells_how_it_ended_and_what_was_said() {
        let trial = shell("read x; echo got $x; echo bad >&2; exit 3", LONG).expect("it ran");
        let told = (trial.code, trial.output.as_str(), trial.complaint.as_str());
        assert_eq!(told, (Some(3), "got hello", "bad"));
        let trial = shell("kill -9 $$", LONG).expect("it ran");
        assert_eq!((trial.code, trial.complaint.as_str()), (None, "signal 9"));
        let trial = shell("sleep 600 & exit 4", LONG).expect("what it leaves behind holds nothing up");
        assert_eq!((trial.code, trial.complaint.as_str()), (Some(4), "exit code 4"));
        let trial = shell("head -c 1000000 /dev/zero | tr '\\0' x", LONG).expect("it ran");
        assert_eq!((trial.code, trial.output.len()), (Some(0), LONGEST_OUTPUT));
    }

    #[test]
    fn a_trial_that_does_not_end_is_ended() {
        let error = shell("sleep 600", Duration::from_secs(1)).expect_err("too long");
        assert_eq!(error, "/bin/sh: it did not end within 1 s");
        let nothing = try_out(Path::new("/nonexistent"), &[], document(b"").expect("a document"), LONG);
        assert!(nothing.expect_err("no such file").starts_with("/nonexistent: No such file"));
    }

    #[test]
    fn only_open_descriptors_are_inherited() {
        let file = document(b"x").expect("a document");
        for number in [-1, 0, 2, 1_000_000] {
            assert!(inherit(number).is_err(), "{number}");
        }
        let copy = fcntl(&file, FcntlArg::F_DUPFD(50)).expect("a copy");
        let inherited = inherit(copy).expect("open");
        let flags = fcntl(&inherited, FcntlArg::F_GETFD).expect("flags");
        assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::FD_CLOEXEC);
        assert_eq!(read_document(File::from(inherited)).expect("read"), b"x");
    }

    #[test]
    fn a_program_that_cannot_be_become_leaves_everything_as_it_was() {
        let program = std::env::temp_dir().join(format!("locum-handover-{}", std::process::id()));
        // By another process: one that is started meanwhile would have our file open to write, and nobody can run it then.
        let write = |content| {
            let script = r#"printf '%s' "$1" >"$0" && chmod 755 "$0""#;
            let written = Command::new("/bin/sh").args(["-c", script]).arg(&program).arg(content).status();
            assert!(written.expect("a shell").success());
        };
        write("#!/bin/sh\necho fine\n");
        let file = document(b"x").expect("a document");
        let trial = try_out(&program, &[], file.try_clone().expect("a copy"), LONG).expect("it ran");
        write("not what was tried");
        let error = become_program(&program, &trial, &[], &file, &[]);
        assert_eq!(error.to_string(), "the file was replaced after it had been tried");
        let trial = Trial { tried: Identity::of(&program).expect("there"), ..trial };
        let error = become_program(&program, &trial, &[], &file, &[]);
        assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC));
        let flags = fcntl(&file, FcntlArg::F_GETFD).expect("flags");
        assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::FD_CLOEXEC);
        assert!(!SigSet::thread_get_mask().expect("a mask").contains(Signal::SIGTERM));
        fs::remove_file(&program).expect("removed");
    }

    #[test]
    fn our_own_path_leads_to_ourselves() {
        let path = own_path().expect("a path");
        assert!(path.is_absolute());
        assert_eq!(Identity::of(&path).expect("there"), Identity::of(Path::new("/proc/self/exe")).expect("there"));
        assert!(!is_replaced(&path) && !is_replaced(Path::new("/nonexistent")) && is_replaced(Path::new("/bin/sh")));
    }
}
