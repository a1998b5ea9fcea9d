//! Namespaces: machines of our own inside this one, for `locum demo` and for tests.
//!
//! They are held by file descriptors and processes only, never by a name in the file system, so nothing of them
//! outlives whoever made them.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};

/// A network namespace: a host with interfaces, addresses and routes of its own. Ends with its last holder:
/// clones of this value, sockets opened and processes started in it.
#[derive(Debug, Clone)]
pub struct NetNamespace(Arc<fs::File>);

impl NetNamespace {
    /// A new one with nothing in it but a loopback interface that is down.
    ///
    /// # Errors
    /// CAP_SYS_ADMIN is missing, or the limit `user.max_net_namespaces` is reached.
    pub fn new() -> io::Result<Self> {
        in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Self::of_this_thread()
        })
    }

    /// That of the calling thread.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn of_this_thread() -> io::Result<Self> {
        fs::File::open("/proc/thread-self/ns/net").map(|file| NetNamespace(Arc::new(file)))
    }

    /// That of another process.
    ///
    /// # Errors
    /// No such process, or not ours to look at.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        fs::File::open(format!("/proc/{pid}/ns/net")).map(|file| NetNamespace(Arc::new(file)))
    }

    /// Calls `work` on a thread that is in this namespace, and waits for it. What it opens stays in the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, no thread can be started, or `work` failed.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        in_thread(|| {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// Starts a program in this namespace.
    ///
    /// # Errors
    /// As [`NetNamespace::run`], or the program cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        self.run(|| command.spawn())
    }
}

impl AsFd for NetNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Entering a network namespace is a thread's affair, so each piece of work gets a thread that ends with it.
fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, work)?.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Which step of [`isolate`] the system refused.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// The namespaces themselves.
    #[error("cannot make namespaces: {0}")]
    Unshare(io::Error),
    /// The mapping of this user to the root of the new user namespace.
    #[error("cannot become root of a new user namespace (writing {path}): {error}")]
    Map {
        /// The file that takes the mapping.
        path: &'static str,
        /// The system's words.
        error: io::Error,
    },
    /// Cutting off the mounts of this process from everybody else's.
    #[error("cannot make the mounts of a new mount namespace private: {0}")]
    Mounts(io::Error),
}

impl IsolateError {
    /// The system's own error.
    pub fn refusal(&self) -> &io::Error {
        match self {
            IsolateError::Unshare(error) | IsolateError::Mounts(error) | IsolateError::Map { error, .. } => error,
        }
    }
}

/// Moves this process into a network and a mount namespace of its own, and its future children into a process
/// namespace whose init is the first of them. An ordinary user gets a user namespace as well and is root in it.
///
/// The process must have one thread only.
///
/// # Errors
/// The system does not permit it.
pub fn isolate() -> Result<(), IsolateError> {
    let (user, group) = (geteuid(), getegid());
    let namespaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
    // Root of a container may lack the right, and can still have it in a user namespace.
    if !(user.is_root() && unshare(namespaces).is_ok()) {
        unshare(CloneFlags::CLONE_NEWUSER | namespaces).map_err(|errno| IsolateError::Unshare(errno.into()))?;
        // A group may only be mapped by somebody who cannot drop groups any more (user_namespaces(7)).
        write_map("/proc/self/setgroups", "deny".to_owned())?;
        write_map("/proc/self/uid_map", format!("0 {user} 1"))?;
        write_map("/proc/self/gid_map", format!("0 {group} 1"))?;
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(|errno| IsolateError::Mounts(errno.into()))
}

fn write_map(path: &'static str, mapping: String) -> Result<(), IsolateError> {
    fs::write(path, mapping).map_err(|error| IsolateError::Map { path, error })
}

/// Puts an empty file system in memory over `folder`, for this mount namespace only; at most `bytes` large.
///
/// # Errors
/// The folder does not exist, or this process is not root of its mount namespace.
pub fn mount_memory(folder: &Path, bytes: u64) -> io::Result<()> {
    let options = format!("mode=0700,size={bytes}");
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options.as_str()))?;
    Ok(())
}

/// Has the kernel kill this process when the thread that started it ends, however it ends.
///
/// # Errors
/// None is expected.
pub fn die_with_parent() -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}
