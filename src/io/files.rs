//! Files: the runtime directory with its lock, and reading what an administrator wrote.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::types::Exit;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file (exit code 66).
    #[error("{}: no such file", .0.display())]
    Missing(PathBuf),
    /// It is there and cannot be read: permissions, a directory, the disk.
    #[error("{}: cannot be read: {}", .0.display(), .1)]
    Unreadable(PathBuf, io::Error),
    /// Larger than anything it can rightly hold.
    #[error("{}: larger than {} bytes, so it is not what it should be", .0.display(), .1)]
    TooLarge(PathBuf, usize),
    /// Not text.
    #[error("{}: not text in UTF-8, first at byte {}", .0.display(), .1)]
    NotText(PathBuf, usize),
}

impl ReadError {
    /// What a command that needs the file as its configuration ends with.
    pub fn exit(&self) -> Exit {
        match self {
            ReadError::Missing(_) => Exit::NoFile,
            ReadError::Unreadable(..) => Exit::NotPermitted,
            ReadError::TooLarge(..) | ReadError::NotText(..) => Exit::Configuration,
        }
    }
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// See [`ReadError`].
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    if bytes.len() > limit { Err(ReadError::TooLarge(path.to_owned(), limit)) } else { Ok(bytes) }
}

/// A regular file, opened for reading, and what it is.
pub(super) fn open(path: &Path) -> Result<(File, Metadata), ReadError> {
    let failed = |error: io::Error| unreadable(path, error);
    // A pipe in its place must not hold us up: opening one for reading waits for a writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(failed(io::Error::other("not a regular file"))) }
}

fn unreadable(path: &Path, error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound => ReadError::Missing(path.to_owned()),
        _ => ReadError::Unreadable(path.to_owned(), error),
    }
}

/// Reads a whole text file of at most `limit` bytes.
///
/// # Errors
/// See [`ReadError`].
pub fn read_text(path: &Path, limit: usize) -> Result<String, ReadError> {
    String::from_utf8(read(path, limit)?)
        .map_err(|error| ReadError::NotText(path.to_owned(), error.utf8_error().valid_up_to()))
}

/// Why a runtime directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirError {
    /// Another agent uses it (exit code 75).
    #[error("{}: in use by another agent; stop that one, or give this one its own --runtime-dir", .0.display())]
    InUse(PathBuf),
    /// It cannot be made or written.
    #[error("{}: {}", .0.display(), .1)]
    System(PathBuf, io::Error),
}

/// A runtime directory that is ours for as long as this value lives.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    lock: Flock<File>,
}

impl RuntimeDirError {
    /// What the agent ends with.
    pub fn exit(&self) -> Exit {
        match self {
            RuntimeDirError::InUse(_) => Exit::InUse,
            // Not writable, on a read-only disk, in place of it a file: whatever it is, it is not to be had.
            RuntimeDirError::System(..) => Exit::NotPermitted,
        }
    }
}

impl RuntimeDir {
    /// Makes the directory (mode 0750) where there is none, and takes its lock.
    ///
    /// # Errors
    /// See [`RuntimeDirError`].
    pub fn claim(path: &Path) -> Result<Self, RuntimeDirError> {
        let system = |error: io::Error| RuntimeDirError::System(path.to_owned(), error);
        match DirBuilder::new().mode(0o750).recursive(true).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(system(error)),
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path.join("lock"))
            .map_err(system)?;
        Self::locked(path, file)
    }

    /// The same with the lock that this process holds already, since before it became this program.
    ///
    /// # Errors
    /// See [`RuntimeDirError`]; also that the descriptor is not that lock.
    pub fn claim_again(path: &Path, lock: OwnedFd) -> Result<Self, RuntimeDirError> {
        let system = |error: io::Error| RuntimeDirError::System(path.to_owned(), error);
        let file = File::from(lock);
        let (ours, there) = (file.metadata().map_err(system)?, fs::metadata(path.join("lock")).map_err(system)?);
        if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
            return Err(system(io::Error::other("its lock is another file by now")));
        }
        Self::locked(path, file)
    }

    fn locked(path: &Path, file: File) -> Result<Self, RuntimeDirError> {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(RuntimeDir { path: path.to_owned(), lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(RuntimeDirError::InUse(path.to_owned())),
            Err((_, error)) => Err(RuntimeDirError::System(path.to_owned(), error.into())),
        }
    }

    /// Its lock, for whatever takes this program's place in this process.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes a file in it that an agent before us may have left; that there is none is no failure.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn remove_stale(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.file(name)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of this test's own, removed when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("locum-files-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("a scratch directory");
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("the scratch directory can be removed");
        }
    }

    #[test]
    fn a_missing_file_an_odd_one_and_a_large_one_are_told_apart() {
        let scratch = Scratch::new("read");
        let file = scratch.0.join("a.toml");
        assert!(matches!(read(&file, 10), Err(ReadError::Missing(_))));
        assert!(matches!(read(&scratch.0, 10), Err(ReadError::Unreadable(..))));
        fs::write(&file, b"0123456789").expect("written");
        assert!(matches!(read(&file, 10), Ok(bytes) if bytes == b"0123456789"));
        assert!(matches!(read(&file, 9), Err(ReadError::TooLarge(_, 9))));
        fs::write(&file, b"abc\xff").expect("written");
        assert!(matches!(read_text(&file, 9), Err(ReadError::NotText(_, 3))));
        let pipe = scratch.0.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
        assert!(matches!(read(&pipe, 10), Err(ReadError::Unreadable(..))));
    }

    #[test]
    fn a_runtime_directory_has_one_user_at_a_time() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new("lock");
        let path = scratch.0.join("run");
        let first = RuntimeDir::claim(&path).expect("free");
        let mode = fs::metadata(&path).expect("made").permissions().mode();
        assert_eq!(mode & 0o007, 0);
        assert!(matches!(RuntimeDir::claim(&path), Err(RuntimeDirError::InUse(_))));
        first.remove_stale("locum.sock").expect("none there is fine");
        drop(first);
        RuntimeDir::claim(&path).expect("free again");
        assert!(matches!(RuntimeDir::claim(Path::new("/proc/1/locum")), Err(RuntimeDirError::System(..))));
    }
}
