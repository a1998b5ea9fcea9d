//! The conformance table: each rule of VRRP with the tests that show that we keep it.
//!
//! The ids are those of the project's checklist of RFC 9568 with its errata, and of RFC 3768 for version 2. `format`,
//! `receiving` and `router` are the rules; `tests_there` finds out which tests exist. What shows that what a rule asks
//! for happens stands under "for", what shows that its breach is refused or does not happen under "against".

mod format;
mod receiving;
mod router;
mod rule;
mod tests_there;

use std::collections::BTreeSet;
use std::io::{self, Write};

use rule::{Proof, Rule, rule};
use tests_there::tests_there;

/// Rules of the virtual MAC address and of routing, which may have a reason instead of tests.
const EXCUSABLE: [u8; 8] = [4, 7, 17, 45, 51, 64, 65, 68];

fn rules() -> impl Iterator<Item = &'static Rule> {
    [format::RULES, receiving::RULES, router::RULES].into_iter().flatten()
}

/// What is wrong with a table, one line each.
fn problems<'a>(rules: impl Iterator<Item = &'a Rule>, there: &BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    for Rule { id, proof, .. } in rules {
        match proof {
            Proof::Tests { pro, contra } => {
                let mut sides = [("for", pro), ("against", contra)].into_iter();
                problems.extend(
                    sides.find(|(_, tests)| tests.is_empty()).map(|(side, _)| format!("rule {id}: no test {side} it")),
                );
                if pro == contra {
                    problems.push(format!("rule {id}: the same tests for it and against it"));
                }
                let missing = pro.iter().chain(*contra).filter(|test| !there.contains(**test));
                problems.extend(missing.map(|test| format!("rule {id}: there is no test {test}")));
            }
            Proof::Reason(_) if EXCUSABLE.contains(id) => {}
            Proof::Reason(_) => problems.push(format!("rule {id}: a reason is no test")),
        }
    }
    problems
}

fn print(to: &mut impl Write) -> io::Result<()> {
    for Rule { id, text, proof } in rules() {
        writeln!(to, "{id:3}  {text}")?;
        match proof {
            Proof::Tests { pro, contra } => {
                pro.iter().try_for_each(|test| writeln!(to, "         for  {test}"))?;
                contra.iter().try_for_each(|test| writeln!(to, "     against  {test}"))?;
            }
            Proof::Reason(reason) => writeln!(to, "     no test: {reason}")?,
        }
    }
    Ok(())
}

#[test]
fn every_rule_has_tests_for_and_against_it_that_exist() {
    // Not print!, which the test runner captures.
    print(&mut io::stdout().lock()).expect("standard output");
    assert_eq!(problems(rules(), &tests_there()), [""; 0]);
}

#[test]
fn no_rule_is_left_out() {
    let ids: Vec<u8> = rules().map(|rule| rule.id).collect();
    assert_eq!(ids, (1..=69).collect::<Vec<u8>>());
}

#[test]
fn a_table_that_lies_is_caught() {
    let there = BTreeSet::from(["agent::a".to_owned(), "agent::b".to_owned()]);
    let table = [
        rule(1, "", &["agent::a"], &["agent::b"]),
        rule(2, "", &["agent::a"], &["agent::c"]),
        rule(3, "", &[], &["agent::a"]),
        rule(4, "", &["agent::a"], &["agent::a"]),
        Rule { id: 5, text: "", proof: Proof::Reason("no time") },
        Rule { id: 7, text: "", proof: Proof::Reason("nothing to test") },
    ];
    let expected = [
        "rule 2: there is no test agent::c",
        "rule 3: no test for it",
        "rule 4: the same tests for it and against it",
        "rule 5: a reason is no test",
    ];
    assert_eq!(problems(table.iter(), &there), expected);
}
