//! What outlives this process: files in the runtime directory that a successor reads at its start.
//!
//! `slots` keeps a few words of each virtual router, written with every advert that is sent or, authenticated, taken;
//! `journal` the addresses that were added, written before each addition. Both begin with a line that says on which boot and in which network namespace
//! they hold. What is written is in the kernel's hands when the call returns, so that no death of this process loses
//! it. `recorder` writes the slots on a thread of its own. What is read is untrusted: a file that makes no sense is told of and counts for nothing.
//!
//! Belongs here: layout, order and reading of these files. Does not belong here: what follows from them (`proto`), and
//! which addresses the kernel has (`netlink`).

mod journal;
mod recorder;
mod slots;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

pub use journal::{Added, Journal};
pub use recorder::Recorder;
pub use slots::Slots;

use crate::types::RouterRecord;

/// The files' names in the runtime directory.
const ROUTERS: &str = "routers";
const ADDRESSES: &str = "addresses";

/// Everything that an earlier process has left, and where this one writes.
#[derive(Debug)]
pub struct Kept {
    /// Where this process writes of its virtual routers.
    pub slots: Slots,
    /// Where it writes of its addresses.
    pub journal: Journal,
    /// The virtual routers of the earlier process.
    pub records: Vec<RouterRecord>,
    /// The addresses that it added and did not remove.
    pub added: Vec<Added>,
    /// What could not be read, or cannot be written, and why.
    pub troubles: Vec<(String, String)>,
}

impl Kept {
    /// Keeps nothing, for whoever has no runtime directory.
    pub fn nothing() -> Self {
        let (slots, journal) = (Slots::nowhere(), Journal::nowhere());
        Kept { slots, journal, records: Vec::new(), added: Vec::new(), troubles: Vec::new() }
    }

    /// Reads what there is in a runtime directory that is locked by this process, and begins anew there. Must be called
    /// in the network namespace that the addresses are in. What fails is told in `troubles`; the agent can go on
    /// without.
    pub fn open(directory: &Path) -> Self {
        let mut kept = Kept::nothing();
        let epoch = match epoch() {
            Ok(epoch) => epoch,
            Err(error) => {
                kept.troubles.push(("tell this boot from another".to_owned(), error.to_string()));
                return kept;
            }
        };
        match slots::open(&directory.join(ROUTERS), &epoch) {
            Ok((slots, records, refused)) => {
                (kept.slots, kept.records) = (slots, records);
                kept.refuse(&directory.join(ROUTERS), refused);
            }
            Err(error) => kept.fail(&directory.join(ROUTERS), &error),
        }
        match journal::open(&directory.join(ADDRESSES), &epoch) {
            Ok((journal, added, refused)) => {
                (kept.journal, kept.added) = (journal, added);
                kept.refuse(&directory.join(ADDRESSES), refused);
            }
            Err(error) => kept.fail(&directory.join(ADDRESSES), &error),
        }
        kept
    }

    fn refuse(&mut self, path: &Path, refused: Option<String>) {
        let what = || format!("use what an earlier agent left in {}", path.display());
        self.troubles.extend(refused.map(|why| (what(), why)));
    }

    fn fail(&mut self, path: &Path, error: &io::Error) {
        let what = format!("keep {}, so a restart will not resume", path.display());
        self.troubles.push((what, error.to_string()));
    }
}

/// Which boot and which network namespace this is. Time stamps mean nothing on another boot, addresses in another
/// namespace.
fn epoch() -> io::Result<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = std::fs::metadata("/proc/thread-self/ns/net")?;
    Ok(format!("boot {} namespace {}:{}", boot.trim(), namespace.dev(), namespace.ino()))
}

/// Opens a file of ours, made if there is none; nothing else that stands in its place.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// All of a file of at most `limit` bytes; `None` for a larger one.
fn read_all(file: &mut File, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own for a test, gone with it.
    pub(super) struct Scratch(pub std::path::PathBuf);

    impl Scratch {
        pub(super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("locum-record-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder");
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("the folder can be removed");
        }
    }

    #[test]
    fn an_empty_directory_has_nothing_to_tell() {
        let scratch = Scratch::new("empty");
        let kept = Kept::open(&scratch.0);
        assert!(kept.records.is_empty() && kept.added.is_empty(), "{kept:?}");
        assert_eq!(kept.troubles, []);
    }

    #[test]
    fn what_is_no_file_of_ours_is_told_of() {
        let scratch = Scratch::new("odd");
        std::fs::create_dir(scratch.0.join(ROUTERS)).expect("a folder");
        std::os::unix::fs::symlink("/etc/passwd", scratch.0.join(ADDRESSES)).expect("a link");
        let kept = Kept::open(&scratch.0);
        assert_eq!(kept.troubles.len(), 2, "{:?}", kept.troubles);
        assert!(kept.troubles.iter().all(|(what, _)| what.contains("will not resume")), "{:?}", kept.troubles);
    }
}
