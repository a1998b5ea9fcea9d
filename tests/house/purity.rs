//! What decides is pure: the same inputs give the same effects, on any machine and at any time.

use crate::source::{Finding, Source, assert_none, caught, has_word, sources};

/// The rooms that compute and do nothing else.
const PURE: &[&str] = &["proto", "types", "wire", "config", "report"];

/// The rooms that talk to a person on standard output.
const TALKING: &[&str] = &["main", "cli", "ctl", "demo", "import"];

const CLOCK: &str = "time comes in as `crate::types::Instant` or as a wall clock reading with the input";
const ORDER: &str = "its order differs from run to run: use BTreeMap, BTreeSet or Vec";
const SYSTEM: &str = "that is `io`'s: let the caller do it and hand in what came of it";

const IMPURE: &[(&str, &str)] = &[
    ("SystemTime", CLOCK),
    ("std::time::Instant", CLOCK),
    ("Instant::now", CLOCK),
    ("HashMap", ORDER),
    ("HashSet", ORDER),
    ("RandomState", ORDER),
    ("UdpSocket", SYSTEM),
    ("TcpStream", SYSTEM),
    ("TcpListener", SYSTEM),
    ("std::os", SYSTEM),
    ("std::fs", SYSTEM),
    ("std::env", SYSTEM),
    ("std::process", SYSTEM),
    ("std::thread", SYSTEM),
    ("thread_local!", SYSTEM),
    ("ToSocketAddrs", SYSTEM),
    ("socket2", SYSTEM),
    ("nix", SYSTEM),
    ("libc", SYSTEM),
    ("netlink_sys", SYSTEM),
    ("tokio", SYSTEM),
    ("rand", "draw from a seed that comes in as an input"),
    ("tracing", "tell it as an `Event`, or return it"),
    ("dbg!", "return it"),
];

const PRINTS: &[&str] = &["println!", "print!", "eprintln!", "eprint!"];

fn purity(source: &Source) -> Vec<Finding> {
    let Some(room) = source.room() else { return Vec::new() };
    let test = source.test_lines();
    let mut findings = Vec::new();
    for (number, line) in source.code.iter().enumerate() {
        if PURE.contains(&room) {
            let line = spelled_out(line);
            for (word, remedy) in IMPURE.iter().filter(|(word, _)| has_word(&line, word)) {
                findings.push(source.finding(number, format!("`{word}` in `{room}`, which is pure: {remedy}")));
            }
        }
        if !TALKING.contains(&room) && !test[number] {
            for word in PRINTS.iter().filter(|word| has_word(line, word)) {
                let text = format!("`{word}` in `{room}`: only the commands print; the agent tells it as an `Event`");
                findings.push(source.finding(number, text));
            }
        }
    }
    findings
}

/// `use std::{fs, io}` names the same as `use std::fs`.
fn spelled_out(line: &str) -> String {
    let Some((head, list)) = line.split_once("::{") else { return line.to_owned() };
    let head = head.rsplit(' ').next().unwrap_or(head);
    let names: Vec<String> = list.split([',', '}']).map(|name| format!("{head}::{}", name.trim())).collect();
    format!("{line} {}", names.join(" "))
}

/// A wildcard arm hides the state or input that somebody adds tomorrow. Clippy sees it where an enum is matched, this rule
/// also where a tuple of them is. Numbers, characters, text and slices have no last variant, so their matches may have one.
fn wildcard_arms(source: &Source) -> Vec<Finding> {
    if source.room() != Some("proto") {
        return Vec::new();
    }
    let test = source.test_lines();
    let mut findings = Vec::new();
    for (number, line) in source.code.iter().enumerate().filter(|(number, _)| !test[*number]) {
        for (at, _) in line.match_indices("=>") {
            if is_wildcard(pattern_before(&line[..at])) && !follows_literal(source, number) {
                let text = "wildcard arm: name every variant, so that a new one cannot be forgotten here".to_owned();
                findings.push(source.finding(number, text));
            }
        }
    }
    findings
}

/// Whether the arm before, which rustfmt has put at the same indentation, matches a literal or a slice.
fn follows_literal(source: &Source, number: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(&source.raw[number]);
    let mut above = source.raw[..number].iter().rev().take_while(|line| line.trim().is_empty() || indent(line) >= own);
    let before = above.find(|line| indent(line) == own && line.contains("=>"));
    before.is_some_and(|line| {
        let pattern = line.trim_start().trim_start_matches(['b', '-']);
        pattern.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '\'' | '"' | '['))
    })
}

/// The pattern at the end of a text that ends where `=>` begins, with its guard cut off.
fn pattern_before(text: &str) -> &str {
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' | ']' => depth += 1,
            '(' | '[' => depth -= 1,
            '{' | '}' | ',' if depth == 0 => {
                start = at + 1;
                break;
            }
            _ => {}
        }
    }
    let pattern = text[start..].trim();
    pattern.split(" if ").next().unwrap_or(pattern)
}

fn is_wildcard(pattern: &str) -> bool {
    pattern.contains('_') && pattern.chars().all(|c| matches!(c, '_' | '(' | ')' | ',' | '|' | ' ' | '.'))
}

#[test]
fn what_decides_is_pure() {
    let findings: Vec<Finding> = sources().iter().flat_map(purity).collect();
    assert_none(&findings);
}

#[test]
fn no_match_in_proto_has_a_wildcard_arm() {
    let findings: Vec<Finding> = sources().iter().flat_map(wildcard_arms).collect();
    assert_none(&findings);
}

#[test]
fn impurity_is_caught() {
    for breach in [
        "let now = SystemTime::now();",
        "use std::time::{Duration, Instant};",
        "use std::time::Instant;",
        "let now = time::Instant::now();",
        "use std::collections::{BTreeMap, HashMap};",
        "use std::{fmt, fs};",
        "use std::net::UdpSocket;",
        "std::thread::sleep(pause);",
        "tokio::spawn(task);",
        "use rand::Rng;",
        "tracing::info!(x);",
        "nix::unistd::getpid();",
        "println!(x);",
    ] {
        let text = format!("use std::fmt;\n{breach}");
        assert!(caught(purity, "src/proto/x.rs", &text).contains(&2), "not caught: {breach}");
    }
    assert_eq!(caught(purity, "src/service/x.rs", "fn f() { eprintln!(x) }"), [1]);
    assert_eq!(caught(purity, "src/ctl.rs", "fn f() { println!(x) }"), []);
    assert_eq!(caught(purity, "src/proto/x.rs", "use crate::types::Instant; // SystemTime\nlet s = \"std::fs\";"), []);
    assert_eq!(caught(purity, "src/proto/x.rs", "let operand = std::net::Ipv4Addr::LOCALHOST;"), []);
}

#[test]
fn a_wildcard_arm_is_caught() {
    for breach in ["_ => {}", "A => 1, _ => 2,", "(_, _) => 3,", "_ if x => 4,", "match x { A => 1, _ => 2 }"] {
        assert_eq!(caught(wildcard_arms, "src/proto/x.rs", breach), [1], "{breach}");
    }
    assert_eq!(caught(wildcard_arms, "src/proto/x.rs", "Some(_) => 1,\n(_, State::Backup(_)) => 2,"), []);
    assert_eq!(caught(wildcard_arms, "src/proto/x.rs", "A => {\n    1\n}\n_ => 2,"), [4]);
    for fine in ["0 | 1 => {\n    2\n}\n_ => 0,", "'o' => 1,\n_ => 2,", "[high] => 1,\n_ => 0,"] {
        assert_eq!(caught(wildcard_arms, "src/proto/x.rs", fine), [], "{fine}");
    }
    assert_eq!(caught(wildcard_arms, "src/proto/x.rs", "#[cfg(test)]\nmod tests {\n_ => 2,\n}"), []);
    assert_eq!(caught(wildcard_arms, "src/wire/x.rs", "A => 1,\n_ => 0,"), []);
}
