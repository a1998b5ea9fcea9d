use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::reason::seconds;
use super::{Mistake, Reason, RouterState, Trouble};
use crate::types::{CheckName, CheckResult, Discard, InterfaceName, MacAddr, Priority, RouterName, VirtualAddress};

/// How much a log line matters; maps to journald's priorities of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Somebody should look now: an address may be served wrongly or not at all.
    Error,
    /// Something is not as it should be; service goes on.
    Warning,
    /// A change of state as designed.
    Notice,
    /// Good to know.
    Info,
}

/// How an address that was given up left this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The successor announced the address from this MAC.
    Announced(MacAddr),
    /// The successor's advert came and its announcement was waited for in vain.
    Heard,
    /// Nobody followed within the patience of every backup.
    NoSuccessor,
    /// The kernel has taken it away, or is about to: its lease was not renewed in time.
    Lapsed,
    /// Somebody removed it while the successor was waited for.
    Gone,
    /// There was nothing to wait for: link, interface or address gone, or told to stop at once.
    AtOnce,
    /// An earlier process had left it, and its place cannot be resumed.
    Leftover,
}

/// Everything the log can say. One variant, one kind of line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named for what they are")]
pub enum Event {
    /// The agent runs.
    Started { node: String, version: &'static str, routers: usize },
    /// The agent resigns and lingers before it ends.
    Stopping,
    /// The agent has let everything go.
    Stopped,
    /// The agent ends without resigning, for the next one to go on.
    Left,
    /// The machine was suspended.
    Suspended { span: Duration },
    /// A Backup woke this much too late to take the silence for the Active router's.
    LateBackup { router: RouterName, late: Duration },
    /// An Active router woke this long after its last advert, when its peers may have given up on it.
    LateActive { router: RouterName, silent: Duration },
    /// A virtual router changed its state.
    Transition { router: RouterName, from: RouterState, to: RouterState, reason: Reason, priority: Priority },
    /// The reason of a state changed, not the state.
    ReasonChanged { router: RouterName, state: RouterState, reason: Reason },
    /// The priority it takes part with changed.
    PriorityChanged { router: RouterName, from: Priority, to: Priority },
    /// Addresses are gone from this host after a departure; how, and how long after it began.
    Released { router: RouterName, addresses: usize, how: Release, after: Duration },
    /// An address that was there before: it is elected for, but neither renewed nor removed.
    ForeignAddress { router: RouterName, address: VirtualAddress },
    /// Somebody removed an address that is held, and perhaps others; they are back and announced.
    AddressRestored { router: RouterName, address: VirtualAddress, others: usize },
    /// A peer with a lower priority was Active as well; the addresses are announced again.
    Challenged { router: RouterName, peer: IpAddr, priority: Priority },
    /// Something is set up wrongly, here or there; and how often it was seen since the last such line.
    Mistake { router: RouterName, mistake: Mistake, more: u64 },
    /// A mistake is over after so long: an advert shows it no more, or nothing was seen of it for so long.
    MistakeOver { router: RouterName, mistake: Mistake, lasted: Duration, unseen: Option<Duration> },
    /// The clocks of a peer and of this host differ so much that more would have its adverts refused; by how many
    /// milliseconds its is behind, less than zero if it is ahead.
    ClocksApart { router: RouterName, peer: IpAddr, behind_ms: i64 },
    /// The clock of this host was set while adverts are authenticated by it; by how many milliseconds.
    ClockSet { by_ms: i64 },
    /// A received packet was thrown away, and how many like it were since the last such line.
    Discarded {
        router: Option<RouterName>,
        interface: InterfaceName,
        reason: Discard,
        source: Option<IpAddr>,
        suppressed: u64,
    },
    /// A check's verdict changed, or its first came.
    CheckChanged { check: CheckName, healthy: bool, result: CheckResult, output: String },
    /// The configuration was read again and taken over.
    Reloaded { added: usize, changed: usize, removed: usize },
    /// The configuration was read again and refused; everything stays as it was.
    ReloadRefused { why: String },
    /// The configuration is valid, but hardly means what it says; place and problem.
    ConfigWarning { what: String },
    /// The program on disk is about to take this one's place, in the same process.
    Replacing { program: String },
    /// It has.
    Replaced { before: String, version: &'static str },
    /// It cannot; the agent goes on as it is.
    ReplaceRefused { program: String, why: String },
    /// The protocol thread is scheduled in real time from here on, or as usual again.
    RealtimeChanged { priority: Option<i32>, memory_locked: bool },
    /// Real time is configured and was refused, all or part of it.
    RealtimeRefused { why: String },
    /// The program that starts the checks is gone; every check fails until it is back.
    RunnerLost { why: String },
    /// The system refused something that the agent can go on without, for now.
    SystemRefused { router: Option<RouterName>, what: String, error: String },
    /// Log lines that were not written because the log could not take them.
    LogLost { lines: u64 },
}

/// One structured field of a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Lower-case name with underscores; journald shows it in capitals with a prefix.
    pub name: &'static str,
    /// Its value as text.
    pub value: String,
}

impl Event {
    /// The fixed token that names this kind of line.
    pub fn token(&self) -> &'static str {
        match self {
            Event::Started { .. } => "started",
            Event::Stopping => "stopping",
            Event::Stopped => "stopped",
            Event::Left => "left",
            Event::Suspended { .. } => "suspended",
            Event::LateBackup { .. } => "late-backup",
            Event::LateActive { .. } => "late-active",
            Event::Transition { .. } => "transition",
            Event::ReasonChanged { .. } => "reason-changed",
            Event::PriorityChanged { .. } => "priority-changed",
            Event::Released { .. } => "released",
            Event::ForeignAddress { .. } => "foreign-address",
            Event::AddressRestored { .. } => "address-restored",
            Event::Challenged { .. } => "challenged",
            Event::Mistake { .. } => "mistake",
            Event::MistakeOver { .. } => "mistake-over",
            Event::ClocksApart { .. } => "clocks-apart",
            Event::ClockSet { .. } => "clock-set",
            Event::Discarded { .. } => "discarded",
            Event::CheckChanged { .. } => "check-changed",
            Event::Reloaded { .. } => "reloaded",
            Event::ReloadRefused { .. } => "reload-refused",
            Event::ConfigWarning { .. } => "config-warning",
            Event::Replacing { .. } => "replacing",
            Event::Replaced { .. } => "replaced",
            Event::ReplaceRefused { .. } => "replace-refused",
            Event::RealtimeChanged { .. } => "realtime-changed",
            Event::RealtimeRefused { .. } => "realtime-refused",
            Event::RunnerLost { .. } => "runner-lost",
            Event::SystemRefused { .. } => "system-refused",
            Event::LogLost { .. } => "log-lost",
        }
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Event::Transition { to: RouterState::Fault, reason, .. }
            | Event::ReasonChanged { state: RouterState::Fault, reason, .. } => match reason.trouble() {
                Trouble::Waiting => Level::Info,
                Trouble::Refused => Level::Error,
                Trouble::Link | Trouble::Unfit | Trouble::None => Level::Warning,
            },
            Event::Transition { reason: Reason::Degraded(_), .. } => Level::Error,
            Event::Transition { reason: Reason::LeaseLapsed, .. } | Event::AddressRestored { .. } => Level::Warning,
            Event::Transition { reason: Reason::SendUnproven(..), .. }
            | Event::ReasonChanged { reason: Reason::SendUnproven(..), .. } => Level::Warning,
            Event::Transition { .. } | Event::Started { .. } | Event::Stopping | Event::Stopped => Level::Notice,
            Event::Left | Event::Suspended { .. } => Level::Notice,
            Event::LateBackup { .. } | Event::LateActive { .. } => Level::Warning,
            Event::ReasonChanged { reason: Reason::Degraded(_), .. } => Level::Error,
            Event::ReasonChanged { .. } | Event::PriorityChanged { .. } | Event::Released { .. } => Level::Info,
            Event::ForeignAddress { .. } | Event::ReloadRefused { .. } | Event::RunnerLost { .. } => Level::Error,
            Event::SystemRefused { .. } => Level::Error,
            Event::Mistake { mistake, .. } => match mistake {
                Mistake::SamePriority { .. } => Level::Notice,
                Mistake::Interval { .. }
                | Mistake::IntervalRefused { .. }
                | Mistake::Addresses { .. }
                | Mistake::Refused { .. } => Level::Warning,
                Mistake::SecondOwner { .. } | Mistake::ForeignRouter { .. } | Mistake::ForeignAnswer { .. } => {
                    Level::Error
                }
            },
            Event::MistakeOver { .. } => Level::Notice,
            Event::Challenged { .. }
            | Event::ClocksApart { .. }
            | Event::ClockSet { .. }
            | Event::Discarded { .. }
            | Event::LogLost { .. }
            | Event::RealtimeRefused { .. }
            | Event::ConfigWarning { .. } => Level::Warning,
            Event::RealtimeChanged { .. } => Level::Info,
            Event::Replacing { .. } | Event::Replaced { .. } => Level::Notice,
            Event::ReplaceRefused { .. } => Level::Error,
            Event::CheckChanged { healthy: true, .. } => Level::Notice,
            Event::CheckChanged { healthy: false, .. } => Level::Warning,
            Event::Reloaded { .. } => Level::Notice,
        }
    }

    /// The virtual router it is about, if it is about one.
    pub fn router(&self) -> Option<&RouterName> {
        match self {
            Event::LateBackup { router, .. }
            | Event::LateActive { router, .. }
            | Event::Transition { router, .. }
            | Event::ReasonChanged { router, .. }
            | Event::PriorityChanged { router, .. }
            | Event::Released { router, .. }
            | Event::ForeignAddress { router, .. }
            | Event::AddressRestored { router, .. }
            | Event::ClocksApart { router, .. }
            | Event::Mistake { router, .. }
            | Event::MistakeOver { router, .. }
            | Event::Challenged { router, .. } => Some(router),
            Event::Discarded { router, .. } | Event::SystemRefused { router, .. } => router.as_ref(),
            Event::Started { .. }
            | Event::Stopping
            | Event::Stopped
            | Event::ClockSet { .. }
            | Event::Left
            | Event::Suspended { .. }
            | Event::CheckChanged { .. }
            | Event::Reloaded { .. }
            | Event::ReloadRefused { .. }
            | Event::ConfigWarning { .. }
            | Event::Replacing { .. }
            | Event::Replaced { .. }
            | Event::ReplaceRefused { .. }
            | Event::RealtimeChanged { .. }
            | Event::RealtimeRefused { .. }
            | Event::RunnerLost { .. }
            | Event::LogLost { .. } => None,
        }
    }

    /// Its facts as fields, beside token, level and router.
    pub fn fields(&self) -> Vec<Field> {
        let field = |name, value: &dyn fmt::Display| Field { name, value: value.to_string() };
        match self {
            Event::Started { node, version, routers } => {
                vec![field("node", node), field("version", version), field("routers", routers)]
            }
            Event::Stopping | Event::Stopped | Event::Left => Vec::new(),
            Event::Suspended { span: late }
            | Event::LateBackup { late, .. }
            | Event::LateActive { silent: late, .. } => {
                vec![field("late_ms", &late.as_millis())]
            }
            Event::Transition { from, to, reason, priority, .. } => vec![
                field("from", from),
                field("to", to),
                field("reason", &reason.token()),
                field("priority", priority),
            ],
            Event::ReasonChanged { state, reason, .. } => {
                vec![field("state", state), field("reason", &reason.token())]
            }
            Event::PriorityChanged { from, to, .. } => vec![field("from", from), field("to", to)],
            Event::Released { addresses, after, .. } => {
                vec![field("addresses", addresses), field("after_ms", &after.as_millis())]
            }
            Event::ForeignAddress { address, .. } => {
                vec![field("address", &address.net), field("interface", &address.interface)]
            }
            Event::AddressRestored { address, others, .. } => {
                vec![field("address", &address.net), field("interface", &address.interface), field("others", others)]
            }
            Event::Challenged { peer, priority, .. } => vec![field("peer", peer), field("priority", priority)],
            Event::Mistake { mistake, more, .. } => {
                vec![field("mistake", &mistake.token()), field("peer", &mistake.peer()), field("more", more)]
            }
            Event::MistakeOver { mistake, lasted, .. } => vec![
                field("mistake", &mistake.token()),
                field("peer", &mistake.peer()),
                field("lasted_ms", &lasted.as_millis()),
            ],
            Event::ClocksApart { peer, behind_ms, .. } => {
                vec![field("peer", peer), field("behind_ms", behind_ms)]
            }
            Event::ClockSet { by_ms } => vec![field("by_ms", by_ms)],
            Event::Discarded { interface, reason, source, suppressed, .. } => {
                let known = [field("interface", interface), field("reason", &reason.token())].into_iter();
                let source = source.iter().map(|source| field("source", source));
                known.chain(source).chain([field("suppressed", suppressed)]).collect()
            }
            Event::CheckChanged { check, result, output, .. } => {
                vec![field("check", check), field("result", result), field("output", output)]
            }
            Event::Reloaded { added, changed, removed } => {
                vec![field("added", added), field("changed", changed), field("removed", removed)]
            }
            Event::Replacing { program } | Event::ReplaceRefused { program, .. } => vec![field("program", program)],
            Event::Replaced { before, version } => vec![field("before", before), field("version", version)],
            Event::RealtimeChanged { priority, .. } => {
                priority.iter().map(|priority| field("priority", priority)).collect()
            }
            Event::ReloadRefused { .. }
            | Event::ConfigWarning { .. }
            | Event::RealtimeRefused { .. }
            | Event::RunnerLost { .. } => Vec::new(),
            Event::SystemRefused { what, error, .. } => vec![field("what", what), field("error", error)],
            Event::LogLost { lines } => vec![field("lines", lines)],
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started { node, version, routers: 0 } => {
                write!(f, "locum {version} runs as {node}: {}", super::no_router())
            }
            Event::Started { node, version, routers } => {
                write!(f, "locum {version} runs as {node}, virtual routers: {routers}")
            }
            Event::Stopping => f.write_str("stopping: resigning, then waiting for the successor"),
            Event::Stopped => f.write_str("stopped"),
            Event::Left => f.write_str("ends without resigning: the next agent on this host goes on"),
            Event::Suspended { span } => write!(f, "this machine was suspended for {}", seconds(*span)),
            Event::LateBackup { router, late } => {
                write!(f, "{router}: this host woke {} late: listens an interval before it takes over", seconds(*late))
            }
            Event::LateActive { router, silent: ago } => {
                let ago = seconds(*ago);
                write!(f, "{router}: this host stood still, its last advert left {ago} ago: listens an interval first")
            }
            Event::Transition { router, from, to, reason, priority } => {
                write!(f, "{router}: {from} -> {to} (priority {priority}): {reason}")
            }
            Event::ReasonChanged { router, state, reason } => write!(f, "{router}: still {state}: {reason}"),
            Event::PriorityChanged { router, from, to } => write!(f, "{router}: priority {from} -> {to}"),
            Event::Released { router, addresses, how, after } => {
                write!(f, "{router}: {} released after {}: {how}", counted(*addresses), seconds(*after))
            }
            Event::ForeignAddress { router, address } => write!(
                f,
                "{router}: {address} was set by somebody else before this agent: it is left alone, and stays when another host takes over; remove it with: ip addr del {} dev {}",
                address.net, address.interface
            ),
            Event::AddressRestored { router, address, others } => {
                write!(f, "{router}: somebody removed {address}{}: put back and announced", and_more(*others))
            }
            Event::Challenged { router, peer, priority } => challenged(f, router, *peer, *priority),
            Event::Mistake { router, mistake, more } => write!(f, "{router}: {mistake}{}", more_since(*more)),
            Event::MistakeOver { router, mistake, lasted, unseen } => over(f, router, mistake, *lasted, *unseen),
            Event::ClocksApart { router, peer, behind_ms } => clocks_apart(f, router, *peer, *behind_ms),
            Event::ClockSet { by_ms } => clock_set(f, *by_ms),
            Event::Discarded { router, interface, reason, source, suppressed } => {
                discarded(f, (router.as_ref(), *interface, *source), *reason, *suppressed)
            }
            Event::CheckChanged { check, healthy, result, output } => {
                let (state, colon) =
                    (if *healthy { "healthy" } else { "failing" }, if output.is_empty() { "" } else { ": " });
                write!(f, "check {check} is {state}: {result}{colon}{output}")
            }
            Event::Reloaded { added, changed, removed } => {
                write!(f, "configuration reloaded: virtual routers added {added}, changed {changed}, removed {removed}")
            }
            Event::ReloadRefused { why } => write!(f, "configuration refused, nothing was changed: {why}"),
            Event::ConfigWarning { what } => write!(f, "configuration: {what}"),
            Event::Replacing { program } => write!(f, "{program} takes over in this process"),
            Event::Replaced { before, version } => write!(f, "locum {version} has taken over from {before}"),
            Event::ReplaceRefused { program, why } => {
                write!(f, "{program} does not take over, the agent goes on as it is: {why}")
            }
            Event::RealtimeChanged { priority, memory_locked } => scheduled(f, *priority, *memory_locked),
            Event::RealtimeRefused { why } => write!(f, "`realtime` refused, everything else goes on: {why}"),
            Event::RunnerLost { why } => {
                write!(f, "the runner of check programs is gone, every check fails until it is back: {why}")
            }
            Event::SystemRefused { router: Some(of), what, error } => write!(f, "{of}: cannot {what}: {error}"),
            Event::SystemRefused { router: None, what, error } => write!(f, "cannot {what}: {error}"),
            Event::LogLost { lines } => write!(f, "{lines} log lines were lost because the log could not take them"),
        }
    }
}

fn challenged(f: &mut fmt::Formatter<'_>, router: &RouterName, peer: IpAddr, priority: Priority) -> fmt::Result {
    write!(
        f,
        "{router}: {peer} was Active as well, with less right (priority {priority}): asserted and announced again"
    )
}

fn over(
    f: &mut fmt::Formatter<'_>,
    router: &RouterName,
    mistake: &Mistake,
    lasted: Duration,
    unseen: Option<Duration>,
) -> fmt::Result {
    write!(f, "{router}: {} of {} is over after {}", mistake.token(), mistake.peer(), seconds(lasted))?;
    match unseen {
        None => f.write_str(": its adverts are as they should be"),
        Some(unseen) => write!(f, ": nothing was seen of it for {}", seconds(unseen)),
    }
}

fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" and {others} more") }
}

fn counted(addresses: usize) -> String {
    if addresses == 1 { "1 address".to_owned() } else { format!("{addresses} addresses") }
}

fn discarded(
    f: &mut fmt::Formatter<'_>,
    (router, interface, source): (Option<&RouterName>, InterfaceName, Option<IpAddr>),
    reason: Discard,
    suppressed: u64,
) -> fmt::Result {
    let whose = router.map(|router| format!("{router}: ")).unwrap_or_default();
    let from = source.map(|source| format!(" from {source}")).unwrap_or_default();
    write!(f, "{whose}packet on {interface}{from} discarded: {}{}", reason.words(), more_since(suppressed))
}

fn clocks_apart(f: &mut fmt::Formatter<'_>, router: &RouterName, peer: IpAddr, behind_ms: i64) -> fmt::Result {
    let by = seconds(Duration::from_millis(behind_ms.unsigned_abs()));
    let side = if behind_ms < 0 { "ahead of" } else { "behind" };
    write!(
        f,
        "{router}: the clock of {peer} is {by} {side} ours: set both hosts' clocks (chrony, ntp), or its adverts are refused when they differ by more"
    )
}

fn clock_set(f: &mut fmt::Formatter<'_>, by_ms: i64) -> fmt::Result {
    let by = seconds(Duration::from_millis(by_ms.unsigned_abs()));
    let way = if by_ms < 0 { "back" } else { "forward" };
    write!(
        f,
        "the clock of this host was set {way} by {by}: peers go on taking our authenticated adverts, but see that it is right"
    )
}

fn scheduled(f: &mut fmt::Formatter<'_>, priority: Option<i32>, memory_locked: bool) -> fmt::Result {
    match priority {
        Some(priority) => write!(f, "adverts are scheduled in real time (SCHED_FIFO {priority})")?,
        None => f.write_str("adverts are scheduled like any program")?,
    }
    write!(f, ", memory is {}locked", if memory_locked { "" } else { "not " })
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Release::Announced(mac) => write!(f, "the successor announced from {mac}"),
            Release::Heard => f.write_str("the successor is Active"),
            Release::NoSuccessor => f.write_str("nobody took over"),
            Release::Lapsed => f.write_str("not renewed in time, so that the kernel takes them away"),
            Release::Gone => f.write_str("somebody removed them"),
            Release::AtOnce => f.write_str("nothing to wait for"),
            Release::Leftover => f.write_str("an earlier agent had left it"),
        }
    }
}

fn more_since(suppressed: u64) -> String {
    match suppressed {
        0 => String::new(),
        n => format!(" ({n} more since the last such line)"),
    }
}
