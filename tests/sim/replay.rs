//! Traces of keepalived against the model of it: the same inputs, and each advert one step ahead. `recorded` has those of the
//! tree, and the lab records more.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use locum::types::Instant;

use crate::keepalived::{Keepalived, State};

/// A machine under load wakes a process this much late, and stamps another one's advert before that reads it.
const LATE: Duration = Duration::from_millis(120);
/// Any moment will do.
const START: Instant = Instant::from_nanos(1_000_000_000);
/// From the start of the program to its sockets, or from the signal to its end.
const READY: Duration = Duration::from_millis(700);

struct Played {
    model: Keepalived,
    /// The next advert may come this much later than the model says: the program has just been started.
    slack: Duration,
    /// It was told to stop and may resign.
    stopping: bool,
}

/// Plays a trace: how many adverts came as the model says, or what it would not have done.
pub fn replay(text: &str) -> Result<usize, String> {
    let mut hosts: BTreeMap<&str, Played> = BTreeMap::new();
    let mut adverts = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["host", name, source, "priority", priority, "interval", interval, ref extra @ ..] => {
                let interval = centiseconds(interval);
                let (source, priority) = (source.parse().unwrap(), priority.parse().unwrap());
                let model = Keepalived::new(source, priority, interval, extra.contains(&"nopreempt"));
                hosts.insert(name, Played { model, slack: LATE, stopping: false });
            }
            [at, name, ref what @ ..] => {
                let at = START + Duration::from_secs_f64(at.parse().unwrap());
                adverts += step(&mut hosts, at, name, what).map_err(|wrong| format!("{line}: {wrong}"))?;
            }
            _ => return Err(format!("{line}: not a line of a trace")),
        }
    }
    Ok(adverts)
}

fn step(hosts: &mut BTreeMap<&str, Played>, at: Instant, name: &str, what: &[&str]) -> Result<usize, String> {
    // Whoever is overdue by now has not done what the model would have.
    for (other, played) in hosts.iter() {
        let due = played.model.deadline().map(|due| due + played.slack);
        if *other != name && due.is_some_and(|due| due < at) {
            return Err(format!("{other} was to have sent an advert before: {:?}", played.model));
        }
    }
    let Some(played) = hosts.get_mut(name) else { return Err("nobody of that name".to_owned()) };
    match what {
        ["starts"] => {
            played.model.start(at);
            played.slack = READY;
        }
        ["dies"] => drop(played.model.stop()),
        ["stops"] => played.stopping = played.model.stop(),
        ["advert", "0", _] if std::mem::take(&mut played.stopping) => tell(hosts, at, name, 0, Duration::ZERO),
        ["advert", "0", _] => return Err(format!("resigns without being told to stop: {:?}", played.model)),
        ["advert", priority, interval] => {
            let (priority, interval) = (priority.parse().unwrap(), centiseconds(interval));
            let due = played.model.deadline();
            let in_time = due.is_some_and(|due| due <= at + LATE && at <= due + played.slack);
            if priority != played.model.priority || !in_time {
                return Err(format!("not what was to come at {due:?}: {:?}", played.model));
            }
            played.model.sent(at);
            played.slack = LATE;
            tell(hosts, at, name, priority, interval);
            return Ok(1);
        }
        _ => return Err("no such thing happens".to_owned()),
    }
    Ok(0)
}

fn tell(hosts: &mut BTreeMap<&str, Played>, at: Instant, from: &str, priority: u8, interval: Duration) {
    let source: Ipv4Addr = hosts[from].model.source;
    for (_, other) in hosts.iter_mut().filter(|(name, _)| **name != from) {
        let before = other.model.deadline();
        if other.model.hear(at, source, priority, interval) {
            // The answer is in the trace, at once.
            other.model.state = State::Master { advert_at: at };
        }
        if other.model.deadline() != before {
            // Since then it is known what it waits for.
            other.slack = LATE;
        }
    }
}

fn centiseconds(text: &str) -> Duration {
    Duration::from_millis(10 * text.parse::<u64>().unwrap())
}
