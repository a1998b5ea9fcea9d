//! Words that do not stand in this project, each with what to write instead.
//!
//! They are put together from parts here, so that this file keeps its own rule.

use crate::source::{Finding, Source, assert_none, caught, has_word, sources, texts};

/// In any text.
const LATER: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("to", "do!"),
    concat!("unimpl", "emented!"),
];

/// In any text, as the beginning of a path.
const PLACES: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/home/", "user/"), concat!("/Use", "rs/")];

/// In any text, as a word of its own, whatever its case.
const OTHERS: &[&str] = &[
    concat!("clau", "de"),
    concat!("anthro", "pic"),
    concat!("chat", "gpt"),
    concat!("open", "ai"),
    concat!("co", "pilot"),
    concat!("language", " model"),
];

/// In comments of Rust code: a comment tells what holds, and git tells what was.
const HISTORY: &[&str] = &[
    concat!("now", " we"),
    concat!("we", " now"),
    concat!("used to", " be"),
    concat!("prev", "iously"),
    concat!("form", "erly"),
    concat!("refact", "ored"),
    concat!("in an earlier", " version"),
    concat!("the old", " code"),
    concat!("was renamed", " from"),
    concat!("this", " commit"),
];

/// Written by others or by tools.
const NOT_OURS: &[&str] = &["Cargo.lock", "LICENSE-APACHE"];

fn in_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find =
        |number: usize, text: String| findings.push(Finding { path: path.to_owned(), line: number + 1, text });
    for (number, line) in text.lines().enumerate() {
        for word in LATER.iter().filter(|word| has_word(line, word)) {
            find(number, format!("`{word}`: do it, or open an issue"));
        }
        for place in PLACES.iter().filter(|place| begins_path(line, place)) {
            find(number, format!("`{place}` is a place on somebody's machine: make the path relative"));
        }
        let lower = line.to_lowercase();
        for word in OTHERS.iter().filter(|word| has_word(&lower, word)) {
            find(number, format!("`{word}`: the project speaks of itself alone"));
        }
    }
    findings
}

fn begins_path(line: &str, place: &str) -> bool {
    line.match_indices(place)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_.-}*~".contains(c)))
}

fn history(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.comments.iter().enumerate() {
        let lower = line.to_lowercase();
        for word in HISTORY.iter().filter(|word| has_word(&lower, word)) {
            findings.push(source.finding(number, format!("\"{word}\": say what holds and why, not what was before")));
        }
    }
    findings
}

/// RFC 9568 says Active and Backup; the old words stand only where keepalived or the kernel is quoted.
fn names(source: &Source) -> Vec<Finding> {
    if source.room().is_none_or(|room| room == "import") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in source.raw.iter().enumerate() {
        let lower = line.to_lowercase();
        let quoted = lower.contains("keepalived") || lower.contains("ifla_master") || lower.contains("rfc 3768");
        for word in ["master", "slave"].iter().filter(|word| lower.contains(*word) && !quoted) {
            let text =
                format!("`{word}`: RFC 9568 says Active and Backup; for keepalived's own word, name it on the line");
            findings.push(source.finding(number, text));
        }
    }
    findings
}

#[test]
fn no_text_has_words_that_do_not_belong() {
    let ours = texts().into_iter().filter(|(path, _)| !NOT_OURS.contains(&path.as_str()));
    let findings: Vec<Finding> = ours.flat_map(|(path, text)| in_text(&path, &text)).collect();
    assert_none(&findings);
}

#[test]
fn no_comment_tells_history() {
    let findings: Vec<Finding> = sources().iter().flat_map(history).collect();
    assert_none(&findings);
}

#[test]
fn the_names_are_those_of_the_rfc() {
    let findings: Vec<Finding> = sources().iter().flat_map(names).collect();
    assert_none(&findings);
}

#[test]
fn such_words_are_caught() {
    for word in LATER.iter().chain(PLACES).chain(OTHERS) {
        assert_eq!(in_text("README.md", &format!("fine\nsee {word} there")).len(), 1, "not caught: {word}");
    }
    let template = format!("mktemp run.{}{}", LATER[2], LATER[2]);
    assert_eq!(in_text("tests/run", &template), []);
    assert_eq!(in_text("tests/run", &format!("cd \"$top\"; ls lower{}", PLACES[0])), []);
}

#[test]
fn history_is_caught_in_comments_only() {
    for word in HISTORY {
        assert_eq!(caught(history, "src/x.rs", &format!("fn f() {{}}\n/// It {word} otherwise.")), [2], "{word}");
        assert_eq!(caught(history, "src/x.rs", &format!("let a = \"{word}\";")), []);
    }
}

#[test]
fn old_names_are_caught() {
    assert_eq!(caught(names, "src/proto/x.rs", "let a = 1;\nlet is_master = true;"), [2]);
    assert_eq!(caught(names, "src/report/x.rs", "// The Slave."), [1]);
    assert_eq!(caught(names, "src/import/x.rs", "state MASTER"), []);
    assert_eq!(caught(names, "src/wire/x.rs", "// keepalived calls it master_adver_int."), []);
}
