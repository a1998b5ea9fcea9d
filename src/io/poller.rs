//! Many file descriptors behind one: an epoll instance that is itself awaited in tokio.
//!
//! Sockets come and go with the configuration; behind one descriptor the loop waits for the same few things always,
//! and one system call says which sockets have something.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::unix::AsyncFd;

/// Tells which of its file descriptors can be read (level-triggered).
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    readiness: AsyncFd<std::os::fd::OwnedFd>,
}

impl Poller {
    /// Descriptors named by one call of [`Poller::ready`]; the others are named by the next.
    pub const BATCH: usize = 64;

    /// A poller of nothing.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let readiness = super::readiness(epoll.0.try_clone()?)?;
        Ok(Poller { epoll, readiness })
    }

    /// Watches a descriptor until it is removed or closed; `token` is how [`Poller::ready`] names it.
    ///
    /// # Errors
    /// It is watched already, or the kernel's limit is reached.
    pub fn add(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Stops watching a descriptor.
    ///
    /// # Errors
    /// It was not watched.
    pub fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// The tokens of those that can be read now, at most [`Poller::BATCH`], without waiting.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn ready(&self, tokens: &mut Vec<u64>) -> io::Result<()> {
        tokens.clear();
        let mut events = [EpollEvent::empty(); Self::BATCH];
        let count = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        tokens.extend(events.iter().take(count).map(EpollEvent::data));
        Ok(())
    }

    /// Ends when something could be read since [`Poller::clear`]: call that first, then [`Poller::ready`].
    ///
    /// # Errors
    /// The runtime is being shut down.
    pub async fn readable(&self) -> io::Result<()> {
        // Dropping the guard keeps the readiness: only a look at the descriptors may take it away.
        self.readiness.readable().await.map(drop)
    }

    /// Forgets the readiness. What becomes readable afterwards raises it again.
    pub fn clear(&self) {
        use std::task::{Context, Poll, Waker};
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(mut guard)) = self.readiness.poll_read_ready(&mut context) {
            guard.clear_ready();
        }
    }
}
