//! Recorded traces of keepalived against the model of it: the same inputs, and each advert one step ahead.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use locum::types::Instant;

use crate::keepalived::{Keepalived, State};
use crate::scenario::START;

/// A machine under load wakes a process this much late, and stamps another one's advert before that reads it.
const LATE: Duration = Duration::from_millis(120);
/// From the start of the program to its sockets, or from the signal to its end.
const READY: Duration = Duration::from_millis(700);

struct Played {
    model: Keepalived,
    /// The next advert may come this much later than the model says: the program has just been started.
    slack: Duration,
    /// It was told to stop and may resign.
    stopping: bool,
}

/// Plays a trace; what the model would not have done.
fn replay(text: &str) -> Result<usize, String> {
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

/// The holder loses its power, and comes back with the higher priority.
#[test]
fn loss_of_power_and_return() {
    assert_eq!(replay(include_str!("traces/power.txt")), Ok(20));
}

/// One of higher priority comes, stops as planned, and the other one stops as well.
#[test]
fn preemption_and_planned_stops() {
    assert_eq!(replay(include_str!("traces/stop.txt")), Ok(15));
}

/// One of higher priority that does not preempt stays Backup until the Active one stops, and stays Active when that returns.
#[test]
fn without_preemption() {
    assert_eq!(replay(include_str!("traces/stay.txt")), Ok(21));
}

/// The skew of priority 150 is 414 ms; one of whole seconds, or a timer that lower adverts restart, is another program.
#[test]
fn another_behaviour_is_not_taken_for_it() {
    let late = include_str!("traces/power.txt").replace("12.524343 b", "12.724343 b");
    assert!(replay(&late).unwrap_err().contains("12.724343"));
    let silent = include_str!("traces/stay.txt").replace("13.852924 a advert 150 100\n", "");
    assert!(replay(&silent).is_err());
}
