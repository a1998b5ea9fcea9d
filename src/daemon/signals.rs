use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean something to us. SIGPIPE is ignored from the start, as in every Rust program.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    leave: Signal,
    exhausted: Signal,
}

/// What a signal told us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Stop,
    Reload,
    /// End as if killed: the next process goes on.
    Leave,
    /// A real-time thread of ours has used a processor without a pause for as long as it may (RLIMIT_RTTIME).
    Exhausted,
}

impl Signals {
    /// Listens from here on.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            leave: signal(SignalKind::user_defined1())?,
            exhausted: signal(SignalKind::from_raw(libc::SIGXCPU))?,
        })
    }

    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.reload.recv() => Told::Reload,
            _ = self.leave.recv() => Told::Leave,
            _ = self.exhausted.recv() => Told::Exhausted,
        }
    }
}
