use std::io;

/// Why the demo ended before its time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The system does not permit what the demo needs.
    #[error("{0}")]
    NotPermitted(String),
    /// The demo's verdict: a takeover did not come.
    #[error("{0}")]
    NoTakeover(String),
    /// Something that has nothing to do with a failover went wrong.
    #[error("{what}: {error}")]
    Broken {
        /// What was being done.
        what: String,
        /// The system's words.
        error: io::Error,
    },
    /// Nobody reads what the demo prints any more.
    #[error("the output is closed")]
    OutputClosed,
}

impl Failure {
    /// The exit code it ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::NoTakeover(_) => 1,
            Failure::NotPermitted(_) => 77,
            Failure::Broken { .. } => 70,
            // What a program gets that does not handle SIGPIPE.
            Failure::OutputClosed => 141,
        }
    }

    /// Prints it, unless there is nobody to read it.
    pub(super) fn tell(&self) {
        match self {
            Failure::OutputClosed => {}
            Failure::NotPermitted(_) | Failure::NoTakeover(_) | Failure::Broken { .. } => {
                eprintln!("locum demo: {self}")
            }
        }
    }
}

/// Says what was being done when the system refused.
pub(super) trait Doing<T> {
    /// Turns the system's error into a [`Failure`].
    fn doing(self, what: &str) -> Result<T, Failure>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::NotPermitted(format!(
                "not permitted to {what}: {error}; inside a container it takes CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN"
            )),
            _ => Failure::Broken { what: format!("cannot {what}"), error },
        })
    }
}
