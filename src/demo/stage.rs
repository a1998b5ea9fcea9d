//! Inside: the init of the demo's process namespace. Its end, however it comes, ends every process in there, and
//! with them the last holders of the demo's network namespaces.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::failure::{Doing, Failure};
use super::story;
use crate::io::interruption;
use crate::io::namespace::{die_with_parent, mount_memory};

/// The environment variable that tells the stage from the shell.
pub(super) const MARK: &str = "LOCUM_DEMO_STAGE";
/// Enough for configurations and logs of half a minute.
const MEMORY: u64 = 16 << 20;

/// Whether this process is the stage: it was told so and is an init.
pub(super) fn is_this_process() -> bool {
    std::process::id() == 1 && std::env::var_os(MARK).is_some()
}

pub(super) fn run() -> u8 {
    perform().unwrap_or_else(|failure| {
        failure.tell();
        failure.exit_code()
    })
}

/// Plays the story on a thread, while this one watches whether the shell is still there.
fn perform() -> Result<u8, Failure> {
    die_with_parent().doing("ask for a signal at the end of the outer process")?;
    // The agents are to hear when they are told to stop.
    interruption::unblock_interruptions().doing("unblock signals")?;
    let folder = private_folder()?;
    let (watch, ended) = UnixStream::pair().doing("make a pair of sockets")?;
    let player = std::thread::Builder::new().name("story".to_owned()).spawn(move || {
        let result = story::play(&folder);
        drop(ended);
        result
    });
    let player = player.doing("start a thread")?;
    // Had the shell ended before it was asked for, there would be no signal: its end of the socket tells.
    let [shell_gone, _] =
        interruption::wait_readable([io::stdin().as_fd(), watch.as_fd()]).doing("wait for the end")?;
    if shell_gone {
        return Err(Failure::OutputClosed);
    }
    match player.join() {
        Ok(result) => result.map(|()| 0),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A folder that only this mount namespace sees, in memory, over one that nothing is needed of.
fn private_folder() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().doing("find out where this program is")?;
    let candidates = ["/run", "/mnt", "/media", "/tmp"].map(Path::new);
    let free = candidates.into_iter().find(|folder| folder.is_dir() && !program.starts_with(folder));
    let folder = free.ok_or_else(|| io::Error::other("none of /run, /mnt, /media and /tmp is a folder"));
    let folder = folder.doing("find a place for a file system in memory")?;
    mount_memory(folder, MEMORY).doing("mount a file system in memory")?;
    Ok(folder.to_owned())
}
