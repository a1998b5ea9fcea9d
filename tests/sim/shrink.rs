//! The smallest form of a scenario that still goes wrong in the same way, so that there is little to read.

use std::time::Duration;

use crate::scenario::Scenario;
use crate::world::World;

/// Scenarios that are tried at the most.
const ATTEMPTS: usize = 2_000;

/// Something that is taken away, or made plain.
type Step = Box<dyn Fn(&mut Scenario)>;

/// What goes wrong in a scenario, if anything does.
fn fails(plan: Scenario) -> Option<String> {
    World::new(plan, false).run().err()
}

/// What went wrong without hosts, times and addresses: the same mistake elsewhere has the same words.
fn kind(wrong: &str) -> String {
    let words = wrong.split([':', '{']).max_by_key(|part| part.len()).unwrap_or(wrong);
    let letters = |word: &&str| word.chars().all(char::is_alphabetic);
    words.split_whitespace().filter(letters).collect::<Vec<_>>().join(" ")
}

/// As little of a failing scenario as fails in the same way.
pub fn shrink(plan: Scenario, wrong: &str) -> Scenario {
    let kind_of_it = kind(wrong);
    let (mut least, mut attempts) = (plan, 0);
    loop {
        let before = attempts;
        let mut smaller = false;
        for step in steps(&least) {
            let mut plan = least.clone();
            step(&mut plan);
            attempts += 1;
            if plan != least && fails(plan.clone()).is_some_and(|wrong| kind(&wrong) == kind_of_it) {
                least = plan;
                smaller = true;
                // The steps behind it are those of another scenario.
                break;
            }
            if attempts >= ATTEMPTS {
                return least;
            }
        }
        if !smaller || attempts == before {
            return least;
        }
    }
}

/// What can be left out: many faults at once first, then one by one, hosts, checks, and all that is uneven.
fn steps(plan: &Scenario) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let faults = plan.faults.len();
    let mut span = faults / 2;
    while span > 0 {
        for first in (0..faults).step_by(span) {
            let last = faults.min(first + span);
            steps.push(Box::new(move |plan| drop(plan.faults.drain(first..last))));
        }
        span /= 2;
    }
    for host in 0..plan.hosts {
        steps.push(Box::new(move |plan| plan.absent |= 1 << host));
        steps.push(Box::new(move |plan| plan.checks[host] = None));
    }
    steps.push(Box::new(|plan| plan.foreign = None));
    steps.push(Box::new(|plan| plan.unicast = false));
    steps.push(Box::new(|plan| plan.facts_echo = false));
    steps.push(Box::new(|plan| plan.late = Duration::ZERO));
    steps.push(Box::new(|plan| (plan.lan.read_lag, plan.lan.delay_max) = (Duration::ZERO, plan.lan.delay_min)));
    steps.push(Box::new(|plan| (plan.kernel.add_max, plan.kernel.remove_max) = (plan.kernel.add_min, Duration::ZERO)));
    steps
}

#[test]
fn only_what_matters_is_left() {
    use crate::scenario::Fault;
    // Nobody there is ever wrong; a scenario whose calm comes before its last crash is.
    let mut plan = Scenario::draw(1);
    let (first, calm) = (plan.faults.len(), plan.settled_at);
    plan.faults.push((calm + Duration::from_millis(150), Fault::Crash(0)));
    plan.faults.push((calm + Duration::from_millis(150), Fault::Crash(1)));
    let wrong = fails(plan.clone()).expect("holders change although all is calm");
    let least = shrink(plan, &wrong);
    assert!(least.faults.len() < first, "{least}");
    assert_eq!(fails(least).map(|wrong| kind(&wrong)), Some(kind(&wrong)));
}

#[test]
fn a_kind_of_failure_has_neither_host_nor_time() {
    let one = "h1 r0: a claim is overdue: Seat { heard_at: 1 }";
    let other = "h0 r1: a claim is overdue: Seat { heard_at: 22 }";
    assert_eq!(kind(one), "a claim is overdue");
    assert_eq!(kind(one), kind(other));
    assert_eq!(kind("h0: removes 192.0.2.1/24, which somebody else has set"), "removes which somebody else has set");
}
