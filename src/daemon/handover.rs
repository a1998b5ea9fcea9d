use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{OwnedFd, RawFd};

use serde::{Deserialize, Serialize};

use crate::io::{clock, handover};
use crate::types::{BackupMemory, Instant, Interval, Memory, Vrid};

/// The version of the document that is written and read.
const VERSION: u32 = 1;
/// Most sockets that are handed over: two for each of the interfaces of a full configuration.
const SOCKETS: usize = 4096;

/// What an agent hands over to the program that takes its place in the same process. Its reader trusts nothing of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Document {
    /// [`VERSION`].
    pub(super) version: u32,
    /// Version of the program that wrote it.
    pub(super) program: String,
    /// When it stopped reading its sockets, on our clock in nanoseconds.
    pub(super) left_at: u64,
    /// The configuration, as the new program has judged it in its trial.
    pub(super) config: String,
    /// Descriptors: the lock of the runtime directory, the status socket, and who waits for an answer.
    pub(super) lock: RawFd,
    pub(super) listener: RawFd,
    pub(super) caller: RawFd,
    /// Sockets for adverts and ARP; which is which, the kernel says.
    pub(super) sockets: Vec<RawFd>,
    /// What the agent knew when it left.
    pub(super) backups: Vec<Backup>,
    pub(super) verdicts: BTreeMap<String, bool>,
    /// What keeps the runner of programs going, a child of this process; `None` where that is a service.
    #[serde(default)]
    pub(super) keeper: Option<i32>,
    /// Whether files and system calls are restricted already.
    #[serde(default)]
    pub(super) sandboxed: bool,
}

/// One virtual router in Backup, see [`BackupMemory`]; times on our clock in nanoseconds, the interval in centiseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Backup {
    interface: String,
    vrid: u8,
    heard_at: u64,
    interval: u16,
    preempt_at: Option<u64>,
}

impl Backup {
    fn new(memory: &BackupMemory) -> Self {
        Backup {
            interface: memory.interface.to_string(),
            vrid: memory.vrid.get(),
            heard_at: memory.heard_at.as_nanos(),
            interval: memory.interval.centiseconds(),
            preempt_at: memory.preempt_at.map(Instant::as_nanos),
        }
    }

    /// `None` if it makes no sense: that router begins anew, which costs it some patience and nothing else.
    fn read(&self, left_at: Instant) -> Option<BackupMemory> {
        Some(BackupMemory {
            interface: self.interface.parse().ok()?,
            vrid: Vrid::new(self.vrid)?,
            heard_at: Some(Instant::from_nanos(self.heard_at)).filter(|at| *at <= left_at)?,
            interval: Interval::from_centiseconds(self.interval).ok()?,
            preempt_at: self.preempt_at.map(Instant::from_nanos),
        })
    }
}

/// What a program says that could take over: the version of the document that it has read, and its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Willing {
    pub(super) takes_over: u32,
    pub(super) program: String,
}

impl Willing {
    /// This program.
    pub(super) fn this() -> Self {
        Willing { takes_over: VERSION, program: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// What a program on trial has printed.
    pub(super) fn read(output: &str) -> Option<Self> {
        serde_json::from_str::<Willing>(output).ok().filter(|willing| willing.takes_over == VERSION)
    }
}

/// The document with what it names, in our hands.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) program: String,
    pub(super) config: String,
    pub(super) lock: OwnedFd,
    pub(super) listener: OwnedFd,
    pub(super) caller: OwnedFd,
    pub(super) sockets: Sockets,
    pub(super) memory: Memory,
    pub(super) keeper: Option<i32>,
    pub(super) sandboxed: bool,
}

/// Sockets that were open before this program began.
#[derive(Debug)]
pub struct Sockets {
    /// What they have heard since then waits in their queues.
    pub(super) since: Instant,
    pub(super) open: Vec<OwnedFd>,
}

impl Document {
    /// One with these descriptors, by an agent that reads its sockets no more.
    pub(super) fn new(config: String, [lock, listener, caller]: [RawFd; 3], sockets: Vec<RawFd>) -> Self {
        let (program, left_at) = (env!("CARGO_PKG_VERSION").to_owned(), clock::now().as_nanos());
        Document {
            version: VERSION,
            program,
            left_at,
            config,
            lock,
            listener,
            caller,
            sockets,
            backups: Vec::new(),
            verdicts: BTreeMap::new(),
            keeper: None,
            sandboxed: false,
        }
    }

    /// Adds what the agent knows.
    pub(super) fn remember(&mut self, memory: &Memory) {
        self.backups = memory.backups.iter().map(Backup::new).collect();
        self.verdicts = memory.verdicts.iter().map(|(name, healthy)| (name.to_string(), *healthy)).collect();
    }

    fn memory(&self) -> Memory {
        let left_at = Instant::from_nanos(self.left_at);
        let verdicts = self.verdicts.iter().filter_map(|(name, healthy)| Some((name.parse().ok()?, *healthy)));
        Memory {
            backups: self.backups.iter().filter_map(|backup| backup.read(left_at)).collect(),
            verdicts: verdicts.collect(),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is of another version, or makes no sense; in words.
    pub(super) fn read(content: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(content).map_err(|error| format!("what is handed over cannot be read: {error}"))?;
        if document.version != VERSION {
            return Err(format!("what is handed over has version {}, not {VERSION}", document.version));
        }
        let numbers = [document.lock, document.listener, document.caller];
        let all: Vec<RawFd> = numbers.into_iter().chain(document.sockets.iter().copied()).collect();
        if document.sockets.len() > SOCKETS || all.iter().collect::<BTreeSet<_>>().len() != all.len() {
            return Err("what is handed over names a descriptor twice, or too many".to_owned());
        }
        if Instant::from_nanos(document.left_at) > clock::now() {
            return Err("what is handed over is of a later time than now".to_owned());
        }
        Ok(document)
    }

    /// Takes over what it names. To be called before anything else is opened.
    ///
    /// # Errors
    /// Something of it is not there; in words.
    pub(super) fn take_over(self) -> Result<Inherited, String> {
        let take = |what: &str, number: RawFd| {
            handover::inherit(number)
                .map_err(|error| format!("{what} was not handed over (descriptor {number}): {error}"))
        };
        let lock = take("the lock of the runtime directory", self.lock)?;
        let listener = take("the status socket", self.listener)?;
        let caller = take("the caller's connection", self.caller)?;
        let open = self.sockets.iter().map(|number| take("a socket", *number)).collect::<Result<_, _>>()?;
        let sockets = Sockets { since: Instant::from_nanos(self.left_at), open };
        let memory = self.memory();
        let Document { program, config, keeper, sandboxed, .. } = self;
        Ok(Inherited { program, config, lock, listener, caller, sockets, memory, keeper, sandboxed })
    }
}

/// What an agent before us in this process has handed over, if there was one.
///
/// # Errors
/// It cannot be used; in words.
pub(super) fn inherited() -> Result<Option<Inherited>, String> {
    let unreadable = |error: std::io::Error| format!("what is handed over cannot be read: {error}");
    match handover::inherited_document().map_err(unreadable)? {
        Some(content) => Document::read(&content)?.take_over().map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        Document::new("x".to_owned(), [10, 11, 12], vec![13, 14])
    }

    fn reads(document: &Document) -> Result<Document, String> {
        Document::read(&serde_json::to_vec(document).expect("json"))
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(reads(&document()).expect("valid").sockets, [13, 14]);
        assert!(Document::read(b"[]").is_err());
        for broken in [
            Document { version: 2, ..document() },
            Document { lock: 13, ..document() },
            Document { sockets: vec![20, 20], ..document() },
            Document { sockets: (100..5000).collect(), ..document() },
            Document { left_at: u64::MAX, ..document() },
        ] {
            assert!(reads(&broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn what_the_agent_knew_is_read_as_it_was_written() {
        let backup = BackupMemory {
            interface: "eth0".parse().expect("a name"),
            vrid: Vrid::new(51).expect("a VRID"),
            heard_at: Instant::from_nanos(5),
            interval: Interval::DEFAULT,
            preempt_at: Some(Instant::from_nanos(u64::MAX)),
        };
        let verdicts = BTreeMap::from([("disk".parse().expect("a name"), false)]);
        let memory = Memory { backups: vec![backup.clone()], verdicts };
        let mut written = document();
        written.remember(&memory);
        assert_eq!(reads(&written).expect("valid").memory(), memory);
        let later = BackupMemory { heard_at: Instant::from_nanos(u64::MAX), ..backup };
        written.remember(&Memory { backups: vec![later], ..Memory::default() });
        assert_eq!(reads(&written).expect("valid").memory(), Memory::default());
    }

    #[test]
    fn who_takes_over_says_so() {
        assert!(Willing::read("{\"takes_over\":1,\"program\":\"0.2.0\"}\n").is_some());
        assert!(Willing::read("{\"takes_over\":2,\"program\":\"0.2.0\"}").is_none());
        assert!(Willing::read("").is_none());
    }
}
