//! The model of keepalived plays what keepalived did: traces that the lab has recorded (`LOCUM_BLESS=1 cargo test --test lab traces`).

use crate::replay::replay;

const POWER: &str = include_str!("traces/power.txt");
const STOP: &str = include_str!("traces/stop.txt");
const STAY: &str = include_str!("traces/stay.txt");

/// Each advert of a trace comes as the model says, and there are as many as that.
fn agrees(trace: &str, least: usize) {
    let lines = trace.lines().filter(|line| !line.starts_with('#'));
    let adverts = lines.filter(|line| line.contains(" advert ") && !line.contains(" advert 0 ")).count();
    assert!(adverts >= least, "{adverts} adverts");
    assert_eq!(replay(trace), Ok(adverts));
}

/// The holder loses its power, and comes back with the higher priority.
#[test]
fn loss_of_power_and_return() {
    agrees(POWER, 15);
}

/// One of higher priority comes, stops as planned, and the other one stops as well.
#[test]
fn preemption_and_planned_stops() {
    agrees(STOP, 12);
}

/// One of higher priority that does not preempt stays Backup until the Active one stops, and stays Active when that returns.
#[test]
fn without_preemption() {
    agrees(STAY, 17);
}

/// The skew of priority 150 is 414 ms; one of whole seconds, or a timer that lower adverts restart, is another program.
#[test]
fn another_behaviour_is_not_taken_for_it() {
    let takeover = POWER.lines().find(|line| line.contains(" b advert 1")).expect("b takes over");
    let (at, what) = takeover.split_once(' ').expect("a time");
    let later = format!("{:.6} {what}", at.parse::<f64>().expect("a time") + 0.2);
    assert!(replay(&POWER.replace(takeover, &later)).unwrap_err().contains(&later));
    let follows = STAY.lines().find(|line| line.contains(" a advert 1")).expect("a follows");
    assert!(replay(&STAY.replace(follows, "# nothing")).is_err());
}
