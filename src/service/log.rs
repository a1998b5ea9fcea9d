//! The log: lines of [`Event`]s to the journal with their fields, or to standard error as text.
//!
//! A thread of its own writes, behind a bounded queue. Whoever tells a line never waits; what finds no room is counted
//! and told of as one line when there is room again.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::journal;
use crate::io::{clock, system};
use crate::report::{Event, WallClock};

/// Lines that may wait to be written.
const QUEUE: usize = 1024;
/// How long the end of the process waits for lines that nobody reads.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Where lines are told.
#[derive(Debug, Clone)]
pub struct Log {
    events: mpsc::Sender<Event>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Tells a line, without waiting.
    pub fn tell(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether nothing waits to be written.
    pub fn is_idle(&self) -> bool {
        self.events.capacity() == self.events.max_capacity()
    }

    /// The queue itself, for who counts what it does not take on his own.
    pub fn sender(&self) -> mpsc::Sender<Event> {
        self.events.clone()
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writer {
    done: std::sync::mpsc::Receiver<()>,
}

impl Writer {
    /// Waits until all that was told is written, but no longer than a second. Every [`Log`] and sender must be gone by then.
    pub fn finish(self, log: Log) {
        drop(log);
        // The thread sends nothing; that it has ended, or has had its second, is all there is to know.
        self.done.recv_timeout(END_PATIENCE).ok();
    }
}

/// Starts writing: to the journal if standard error is connected to it, otherwise to standard error.
///
/// # Errors
/// No thread can be had.
pub fn start() -> io::Result<(Log, Writer)> {
    let (log, events) = channel();
    let lost = Arc::clone(&log.lost);
    let (end, done) = std::sync::mpsc::channel::<()>();
    std::thread::Builder::new().name("locum-log".to_owned()).spawn(move || {
        let to = if system::stderr_is_journal() { to_journal() } else { None };
        let to = to.unwrap_or_else(|| plain(io::stderr(), Arc::clone(&lost)));
        write(events, &lost, &to);
        drop(end);
    })?;
    Ok((log, Writer { done }))
}

/// A log and what reads its lines.
pub(super) fn channel() -> (Log, mpsc::Receiver<Event>) {
    let (events, receiver) = mpsc::channel(QUEUE);
    (Log { events, lost: Arc::default() }, receiver)
}

/// Fields get the prefix `LOCUM_`, as the journal's own names must not be taken.
fn to_journal() -> Option<Dispatch> {
    let layer = tracing_journald::layer().ok()?;
    let layer = layer.with_field_prefix(Some("LOCUM".to_owned())).with_syslog_identifier("locum".to_owned());
    Some(Dispatch::new(tracing_subscriber::registry().with(layer)))
}

fn plain(to: impl io::Write + Send + 'static, lost: Arc<AtomicU64>) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(Plain { to: std::sync::Mutex::new(to), lost }))
}

fn write(mut events: mpsc::Receiver<Event>, lost: &AtomicU64, to: &Dispatch) {
    tracing::dispatcher::with_default(to, || {
        while let Some(event) = events.blocking_recv() {
            journal::tell(&event);
            match lost.swap(0, Ordering::Relaxed) {
                0 => {}
                lines => journal::tell(&Event::LogLost { lines }),
            }
        }
    });
}

/// Writes a line of text for each event: time, level, message.
struct Plain<W> {
    to: std::sync::Mutex<W>,
    lost: Arc<AtomicU64>,
}

impl<S: Subscriber, W: io::Write + Send + 'static> Layer<S> for Plain<W> {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        let clocks = clock::pair();
        let time = WallClock { at: clocks.boot, unix_nanos: clocks.unix_nanos }.date();
        let mut line = Line(format!("{time} {} ", journal::word_of(*event.metadata().level())));
        event.record(&mut line);
        line.0.push('\n');
        let written = self.to.lock().is_ok_and(|mut to| to.write_all(line.0.as_bytes()).is_ok());
        if !written {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Collects the message of an event.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Text of others may be in it, and one event is one line.
            let message = format!("{value:?}");
            self.0.extend(message.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::report::{Level, Reason, Release, RouterState};
    use crate::types::{CheckResult, Discard, MacAddr, Priority};

    /// One event of every kind.
    fn every() -> Vec<Event> {
        let router = "web".parse().expect("a name");
        let interface = "eth0".parse().expect("a name");
        let peer = "192.0.2.3".parse().expect("an address");
        let net = "192.0.2.10/24".parse().expect("a net");
        let router = || -> crate::types::RouterName { Clone::clone(&router) };
        let reason = Reason::HigherPriority { peer, priority: Priority::DEFAULT };
        vec![
            Event::Started { node: "lb1".to_owned(), version: "0.1.0", routers: 1 },
            Event::Stopping,
            Event::Stopped,
            Event::Transition {
                router: router(),
                from: RouterState::Active,
                to: RouterState::Backup,
                reason: reason.clone(),
                priority: Priority::DEFAULT,
            },
            Event::ReasonChanged { router: router(), state: RouterState::Backup, reason },
            Event::PriorityChanged { router: router(), from: Priority::DEFAULT, to: Priority::LOWEST },
            Event::Released {
                router: router(),
                addresses: 2,
                how: Release::Announced(MacAddr::BROADCAST),
                after: Duration::from_millis(7),
            },
            Event::ForeignAddress { router: router(), address: crate::types::VirtualAddress { net, interface } },
            Event::Challenged { router: router(), peer, priority: Priority::LOWEST },
            Event::Discarded { router: None, interface, reason: Discard::Ttl, source: Some(peer), suppressed: 3 },
            Event::CheckChanged {
                check: "disk".parse().expect("a name"),
                healthy: false,
                result: CheckResult::Failed,
                output: "full".to_owned(),
            },
            Event::Reloaded { added: 1, changed: 2, removed: 3 },
            Event::ReloadRefused { why: "line\nbreak \u{1b}[2J".to_owned() },
            Event::ConfigWarning { what: "x".to_owned() },
            Event::Replacing { program: "/x".to_owned() },
            Event::Replaced { before: "0.1.0".to_owned(), version: "0.2.0" },
            Event::ReplaceRefused { program: "/x".to_owned(), why: "no".to_owned() },
            Event::RealtimeChanged { priority: Some(10), memory_locked: true },
            Event::RealtimeRefused { why: "no".to_owned() },
            Event::RunnerLost { why: "it ended".to_owned() },
            Event::SystemRefused { router: Some(router()), what: "send".to_owned(), error: "no".to_owned() },
            Event::LogLost { lines: 4 },
        ]
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn lines(&self) -> Vec<String> {
            let bytes = self.0.lock().expect("no panic").clone();
            String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
        }
    }

    /// What a tracing subscriber gets: level and fields.
    #[derive(Clone, Default)]
    struct Capture(Arc<Mutex<Vec<Told>>>);

    type Told = (tracing::Level, Vec<(String, String)>);

    impl<S: Subscriber> Layer<S> for Capture {
        fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
            struct Fields(Vec<(String, String)>);
            impl Visit for Fields {
                fn record_str(&mut self, field: &Field, value: &str) {
                    self.0.push((field.name().to_owned(), value.to_owned()));
                }
                fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                    self.0.push((field.name().to_owned(), format!("{value:?}")));
                }
            }
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            self.0.lock().expect("no panic").push((*event.metadata().level(), fields.0));
        }
    }

    #[test]
    fn every_field_of_every_event_is_told() {
        let capture = Capture::default();
        let to = Dispatch::new(tracing_subscriber::registry().with(capture.clone()));
        let events = every();
        tracing::dispatcher::with_default(&to, || events.iter().for_each(journal::tell));
        let told = capture.0.lock().expect("no panic").clone();
        assert_eq!(told.len(), events.len());
        for (event, (_, fields)) in events.iter().zip(&told) {
            let has = |name: &str, value: &str| fields.iter().any(|(n, v)| n == name && v == value);
            assert!(has("event", event.token()) && has("message", &event.to_string()), "{event:?}");
            assert!(event.router().is_none_or(|router| has("router", router.as_str())), "{event:?}");
            for field in event.fields() {
                assert!(journal::FIELDS.contains(&field.name), "add `{}` to the list in journal.rs", field.name);
                assert!(has(field.name, &field.value), "{event:?}: {}", field.name);
            }
        }
    }

    #[test]
    fn levels_are_those_that_the_journal_maps_to_3_4_5_and_6() {
        assert_eq!(journal::level_of(Level::Error), tracing::Level::ERROR);
        assert_eq!(journal::level_of(Level::Warning), tracing::Level::WARN);
        assert_eq!(journal::level_of(Level::Notice), tracing::Level::INFO);
        assert_eq!(journal::level_of(Level::Info), tracing::Level::DEBUG);
        let mappings = tracing_journald::PriorityMappings::default();
        let bytes = [mappings.error as u8, mappings.warn as u8, mappings.info as u8, mappings.debug as u8];
        assert_eq!(&bytes, b"3456");
    }

    #[test]
    fn plain_text_is_time_level_and_message_on_one_line_each() {
        let page = Page::default();
        let to = plain(page.clone(), Arc::default());
        let events = every();
        tracing::dispatcher::with_default(&to, || events.iter().for_each(journal::tell));
        let lines = page.lines();
        assert_eq!(lines.len(), events.len());
        let (time, rest) = lines[3].split_once(' ').expect("two words");
        assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
        let expected = "notice web: active -> backup (priority 100): 192.0.2.3 is Active with the higher priority 100";
        assert_eq!(rest, expected);
        assert!(
            lines[12].ends_with("error configuration refused, nothing was changed: line break  [2J"),
            "{}",
            lines[12]
        );
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told() {
        let (log, events) = channel();
        for _ in 0..QUEUE + 5 {
            log.tell(Event::Stopping);
        }
        let page = Page::default();
        let lost = Arc::clone(&log.lost);
        drop(log);
        write(events, &lost, &plain(page.clone(), Arc::default()));
        let lines = page.lines();
        assert_eq!(lines.len(), QUEUE + 1);
        assert!(
            lines[1].ends_with("warning 5 log lines were lost because the log could not take them"),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn a_pipe_that_nobody_reads_does_not_hold_up_who_tells() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let (log, events) = channel();
        let lost = Arc::clone(&log.lost);
        let thread = std::thread::spawn(move || write(events, &lost, &plain(writer, Arc::default())));
        // Far more than pipe and queue hold: if telling waited, this would not end.
        for _ in 0..20_000 {
            log.tell(Event::RunnerLost { why: "x".repeat(100) });
        }
        assert!(log.lost.load(Ordering::Relaxed) > 0);
        drop((reader, log));
        thread.join().expect("ends when nobody can tell any more");
    }
}
