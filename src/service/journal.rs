use tracing::Level as Tracing;

use crate::report::{Event, Level};

/// What a line is told as. tracing has no "notice", and `tracing-journald` writes these as PRIORITY 3, 4, 5 and 6.
pub(super) const fn level_of(level: Level) -> Tracing {
    match level {
        Level::Error => Tracing::ERROR,
        Level::Warning => Tracing::WARN,
        Level::Notice => Tracing::INFO,
        Level::Info => Tracing::DEBUG,
    }
}

/// The word for it in plain text.
pub(super) fn word_of(level: Tracing) -> &'static str {
    match level {
        Tracing::ERROR => "error",
        Tracing::WARN => "warning",
        Tracing::INFO => "notice",
        Tracing::DEBUG | Tracing::TRACE => "info",
    }
}

/// tracing wants the fields of a line written down where it is told; these are all that any line has.
macro_rules! tell_with {
    ($($name:ident),* $(,)?) => {
        /// The names of fields that can be told.
        #[cfg(test)]
        pub(super) const FIELDS: &[&str] = &[$(stringify!($name)),*];

        /// Tells one line to the tracing subscriber of this thread.
        pub(super) fn tell(event: &Event) {
            let fields = event.fields();
            let get = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value.as_str());
            let router = event.router().map(ToString::to_string);
            macro_rules! at {
                ($level:expr) => {
                    tracing::event!(
                        target: "locum",
                        $level,
                        event = event.token(),
                        router = router.as_deref(),
                        $($name = get(stringify!($name)),)*
                        "{event}"
                    )
                };
            }
            match event.level() {
                Level::Error => at!(level_of(Level::Error)),
                Level::Warning => at!(level_of(Level::Warning)),
                Level::Notice => at!(level_of(Level::Notice)),
                Level::Info => at!(level_of(Level::Info)),
            }
        }
    };
}

tell_with! {
    added, address, addresses, after_ms, before, changed, check, error, from, interface, lines, node, output, peer, priority,
    program, reason, removed, result, routers, source, state, suppressed, to, version, what,
}
