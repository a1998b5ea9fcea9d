//! What is done to whom and when: made from the seed alone, before anything begins.

use std::fmt;

use crate::rng::Rng;

/// One thing that goes wrong, or is done on purpose. Hosts are numbered from 1; spans and delays are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// kill -9, and started again after `back`.
    Kill { host: usize, back: u64 },
    /// SIGUSR1, and started again at once.
    Leave { host: usize },
    /// A planned stop, and started again after `back`.
    Stop { host: usize, back: u64 },
    /// SIGSTOP and SIGCONT.
    Freeze { host: usize, span: u64 },
    /// The same for all of our agents at once.
    FreezeAll { span: u64 },
    /// SIGHUP with a configuration that changes the priority, but not the order.
    Reload { host: usize },
    /// SIGHUP with a file that is none.
    Broken { host: usize },
    /// `locum reload --exec`.
    Replace { host: usize },
    /// Its check fails.
    Unhealthy { host: usize, span: u64 },
    /// Whoever holds the address has it removed by hand.
    Unaddress,
    /// The host's own address in the virtual one's subnet is removed.
    Unprimary { host: usize, span: u64 },
    /// A firewall on the host drops its adverts.
    Firewall { host: usize, span: u64 },
    /// The cable is out.
    Cable { host: usize, span: u64 },
    /// Cut off from everybody, with a carrier.
    Part { host: usize, span: u64 },
    /// What it sends is lost.
    Mute { host: usize, span: u64 },
    /// What it is sent is lost.
    Deaf { host: usize, span: u64 },
    /// So many of a hundred packets between hosts are lost.
    Lossy { percent: u64, span: u64 },
    /// A host that does not hold the address says that it does.
    Claimant,
}

impl Fault {
    /// How long it lasts as planned, in milliseconds: until the end that is done to it.
    pub fn span(self) -> u64 {
        match self {
            Fault::Kill { back, .. } | Fault::Stop { back, .. } => back,
            Fault::Leave { .. } | Fault::Reload { .. } | Fault::Unaddress | Fault::Claimant => 0,
            Fault::Broken { .. } => 600,
            Fault::Replace { .. } => 1_500,
            Fault::Freeze { span, .. }
            | Fault::FreezeAll { span }
            | Fault::Unhealthy { span, .. }
            | Fault::Unprimary { span, .. }
            | Fault::Firewall { span, .. }
            | Fault::Cable { span, .. }
            | Fault::Part { span, .. }
            | Fault::Mute { span, .. }
            | Fault::Deaf { span, .. }
            | Fault::Lossy { span, .. } => span,
        }
    }

    /// The host it is about, if it is one in particular.
    pub fn host(self) -> Option<usize> {
        match self {
            Fault::Kill { host, .. }
            | Fault::Leave { host }
            | Fault::Stop { host, .. }
            | Fault::Freeze { host, .. }
            | Fault::Reload { host }
            | Fault::Broken { host }
            | Fault::Replace { host }
            | Fault::Unhealthy { host, .. }
            | Fault::Unprimary { host, .. }
            | Fault::Firewall { host, .. }
            | Fault::Cable { host, .. }
            | Fault::Part { host, .. }
            | Fault::Mute { host, .. }
            | Fault::Deaf { host, .. } => Some(host),
            Fault::FreezeAll { .. } | Fault::Unaddress | Fault::Lossy { .. } | Fault::Claimant => None,
        }
    }

    /// Whether it keeps hosts from hearing each other, or the client from hearing one.
    pub fn parts(self) -> bool {
        match self {
            Fault::Firewall { .. }
            | Fault::Part { .. }
            | Fault::Mute { .. }
            | Fault::Deaf { .. }
            | Fault::Lossy { .. } => true,
            Fault::Kill { .. }
            | Fault::Leave { .. }
            | Fault::Stop { .. }
            | Fault::Freeze { .. }
            | Fault::FreezeAll { .. }
            | Fault::Reload { .. }
            | Fault::Broken { .. }
            | Fault::Replace { .. }
            | Fault::Unhealthy { .. }
            | Fault::Unaddress
            | Fault::Unprimary { .. }
            | Fault::Cable { .. }
            | Fault::Claimant => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A fault, so many milliseconds after the beginning of its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub at: u64,
    pub fault: Fault,
}

/// What a round is for, and so how it is judged beside the rules that always hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing may move and no echo may be lost.
    Quiet,
    /// The holder stays the same; it may be without its address for a moment.
    Touch,
    /// What moves is judged by what is in force.
    Rough,
}

/// Some faults that may overlap, and then none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    pub kind: Kind,
    pub faults: Vec<Planned>,
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cast {
    /// Our own agents, on hosts 1 and up; the first has the highest priority.
    pub ours: usize,
    /// One more host runs keepalived, with the lowest priority. Nothing is done to it but by the LAN.
    pub keepalived: bool,
    pub preempt: bool,
}

impl Cast {
    pub fn hosts(self) -> usize {
        self.ours + usize::from(self.keepalived)
    }
}

/// Who plays, and every round there can be in so many seconds.
pub fn plan(seed: u64, seconds: u64) -> (Cast, Vec<Round>) {
    let mut rng = Rng::new(seed);
    let (ours, keepalived) = rng.pick(&[(2, false), (2, true), (3, false)]);
    let cast = Cast { ours, keepalived, preempt: rng.chance(75) };
    // No round is shorter than five seconds.
    let rounds = (0..seconds / 5 + 1).map(|_| {
        let mut rng = rng.fork();
        match rng.below(10) {
            0..=3 => quiet(&mut rng, cast),
            4 => touch(&mut rng, cast),
            _ => rough(&mut rng, cast),
        }
    });
    (cast, rounds.collect())
}

/// From one of ours after the other, each time so late that an advert of it has left in between.
fn quiet(rng: &mut Rng, cast: Cast) -> Round {
    const APART: u64 = 1_300;
    let mut free = vec![0; cast.ours + 1];
    let mut faults = Vec::new();
    for _ in 0..rng.between(2, 5) {
        let host = rng.between(1, cast.ours as u64) as usize;
        let (short, all) = (rng.between(50, 2_000), rng.between(50, 2_200));
        let fault = match rng.below(13) {
            0..=2 => Fault::Kill { host, back: 0 },
            3 | 4 => Fault::Leave { host },
            5 | 6 => Fault::Freeze { host, span: short },
            7 => Fault::FreezeAll { span: all },
            8 => Fault::Reload { host },
            9 => Fault::Broken { host },
            10 => Fault::Replace { host },
            // Whom nobody needs may be away for long, and with preemption that is known now.
            _ if host == 1 || !cast.preempt => Fault::Kill { host, back: 0 },
            11 => Fault::Freeze { host, span: rng.between(2_000, 7_000) },
            _ => Fault::Stop { host, back: rng.between(500, 4_000) },
        };
        let taken = fault.host().map_or_else(|| (1..=cast.ours).collect(), |host| vec![host]);
        let first = taken.iter().map(|host| free[*host]).max().unwrap_or(0);
        let at = first + rng.between(0, 700);
        taken.iter().for_each(|host| free[*host] = at + fault.span() + APART);
        faults.push(Planned { at, fault });
    }
    Round { kind: Kind::Quiet, faults: in_order(faults) }
}

fn touch(rng: &mut Rng, cast: Cast) -> Round {
    let host = rng.between(1, cast.ours as u64) as usize;
    let fault = match rng.below(3) {
        0 => Fault::Unaddress,
        1 => Fault::Claimant,
        _ => Fault::Unprimary { host, span: rng.between(100, 3_000) },
    };
    Round { kind: Kind::Touch, faults: vec![Planned { at: rng.between(0, 1_000), fault }] }
}

/// Up to three at a time, on different hosts.
fn rough(rng: &mut Rng, cast: Cast) -> Round {
    let mut faults = Vec::new();
    let mut hosts: Vec<usize> = (1..=cast.hosts()).collect();
    let mut everywhere = vec![0, 1, 2, 3];
    for _ in 0..rng.between(1, 3) {
        let at = rng.between(0, 4_000);
        // Somewhat shorter than, about, and longer than the patience of a backup and the life of a lease.
        let span = match rng.below(3) {
            0 => rng.between(200, 2_500),
            1 => rng.between(2_500, 5_500),
            _ => rng.between(5_500, 9_000),
        };
        let fault = if rng.chance(20) {
            match everywhere.remove(rng.below(everywhere.len() as u64) as usize) {
                0 => Fault::FreezeAll { span },
                1 => Fault::Unaddress,
                2 => Fault::Claimant,
                _ => Fault::Lossy { percent: rng.between(5, 40), span },
            }
        } else if hosts.is_empty() {
            continue;
        } else {
            // The one that holds is worth most of them.
            let pick = if rng.chance(40) { 0 } else { rng.below(hosts.len() as u64) as usize };
            let host = hosts.remove(pick);
            on_host(rng, host, span, host <= cast.ours)
        };
        faults.push(Planned { at, fault });
    }
    // Who is frozen with all others cannot be told anything else.
    if faults.iter().any(|planned| matches!(planned.fault, Fault::FreezeAll { .. })) {
        let host_of_ours = |planned: &Planned| planned.fault.host().is_some_and(|_| !planned.fault.parts());
        faults.retain(|planned| !host_of_ours(planned));
    }
    Round { kind: Kind::Rough, faults: in_order(faults) }
}

fn on_host(rng: &mut Rng, host: usize, span: u64, ours: bool) -> Fault {
    match if ours { rng.below(15) } else { rng.below(3) } {
        0 => Fault::Part { host, span },
        1 => Fault::Mute { host, span },
        2 => Fault::Deaf { host, span },
        3 => Fault::Kill { host, back: 0 },
        4 | 5 => Fault::Kill { host, back: span },
        6..=8 => Fault::Freeze { host, span },
        9 => Fault::Stop { host, back: span },
        10 => Fault::Unhealthy { host, span },
        11 => Fault::Firewall { host, span },
        12 => Fault::Cable { host, span },
        13 => Fault::Replace { host },
        _ => Fault::Leave { host },
    }
}

fn in_order(mut faults: Vec<Planned>) -> Vec<Planned> {
    faults.sort_by_key(|planned| planned.at);
    faults
}
