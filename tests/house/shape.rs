//! How large a piece may be, what a folder says of itself, and where `unsafe` may stand.

use crate::source::{Finding, Source, assert_none, caught, has_word, sources};

/// Lines of code a file may have: blank lines, comments and `#[cfg(test)]` modules do not count.
const CODE_LINES: usize = 500;
/// Lines a file may have, all counted.
const ALL_LINES: usize = 600;
/// Lines a function may have, from its head to its closing brace.
const FUNCTION_LINES: usize = 70;

/// Lines within which a folder introduces itself.
const DOC_LINES: usize = 25;

/// What the program may not do, and tests may: end at a value that somebody else chose, or hide a failure.
const PROGRAM: &[&str] = &[
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::panic",
    "clippy::indexing_slicing",
    "clippy::unreachable",
    "clippy::let_underscore_must_use",
];

/// What hides the variant that is added to one of our enums tomorrow.
const NO_WILDCARD: &[&str] = &["clippy::wildcard_enum_match_arm", "clippy::match_wildcard_for_single_variants"];

/// The one file that may hold `unsafe`.
const UNSAFE_HOME: &str = "src/io/sys.rs";
/// How many lines above an `unsafe` its reason may begin.
const REASON_REACH: usize = 6;

fn sizes(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let test = source.test_lines();
    let is_code = |number: &usize| {
        let line = source.raw[*number].trim();
        !(test[*number] || line.is_empty() || line == source.comments[*number].trim())
    };
    let code = (0..source.raw.len()).filter(is_code).count();
    if code > CODE_LINES || source.raw.len() > ALL_LINES {
        let text = format!(
            "{code} lines of code, {} in all; {CODE_LINES} and {ALL_LINES} are the most: split by what is decided or done",
            source.raw.len()
        );
        findings.push(source.finding(0, text));
    }
    for function in source.extents("fn") {
        let lines = function.last - function.first + 1;
        if lines > FUNCTION_LINES {
            let text = format!("`{}` has {lines} lines, {FUNCTION_LINES} are the most: name its parts", function.name);
            findings.push(source.finding(function.first, text));
        }
    }
    findings
}

fn folder_docs(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix("src/") else { return Vec::new() };
    if !inside.ends_with("/mod.rs") {
        let documented = source.raw.first().is_some_and(|line| line.starts_with("//!"));
        let is_room = !inside.contains('/') && inside != "lib.rs";
        let text = "a room begins with `//!` and what it is for".to_owned();
        return if is_room && !documented { vec![source.finding(0, text)] } else { Vec::new() };
    }
    let docs: Vec<&str> = source.raw.iter().take_while(|line| line.starts_with("//!")).map(String::as_str).collect();
    let words = docs.join(" ").to_lowercase().replace("//!", "");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if (3..=DOC_LINES).contains(&docs.len()) && words.contains("not belong here") {
        return Vec::new();
    }
    let text = format!(
        "a folder's mod.rs begins with 3 to {DOC_LINES} lines of `//!`: what belongs here, and \"Does not belong here: ...\""
    );
    vec![source.finding(0, text)]
}

/// The lints that a file at the root of something denies for all below it.
fn denied_in(path: &str) -> &'static [&'static str] {
    match path.strip_prefix("src/").unwrap_or(path) {
        "lib.rs" | "main.rs" => PROGRAM,
        "types/mod.rs" | "report/mod.rs" | "proto/mod.rs" | "daemon/mod.rs" | "daemon.rs" => NO_WILDCARD,
        _ => &[],
    }
}

fn denials(source: &Source) -> Vec<Finding> {
    let code = source.code.join(" ");
    let lists = code.split("#![deny(").skip(1).filter_map(|rest| rest.split(")]").next());
    let denied = lists.collect::<Vec<_>>().join(" ");
    let missing = denied_in(&source.path).iter().filter(|lint| !has_word(&denied, lint));
    missing
        .map(|lint| source.finding(0, format!("`{lint}` is missing: add it to a `#![deny(...)]` line here")))
        .collect()
}

fn unsafe_home(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.code.iter().enumerate() {
        if !has_word(line, "unsafe") {
            continue;
        }
        let reason = &source.comments[number.saturating_sub(REASON_REACH)..=number];
        if source.path != UNSAFE_HOME {
            let text = format!("`unsafe` outside {UNSAFE_HOME}: give that file a safe function for it, or use nix's");
            findings.push(source.finding(number, text));
        } else if !reason.iter().any(|line| line.contains("SAFETY:")) {
            let text = "`unsafe` without `// SAFETY:` above it: say why it is sound".to_owned();
            findings.push(source.finding(number, text));
        }
    }
    findings
}

#[test]
fn files_and_functions_are_small() {
    let findings: Vec<Finding> = sources().iter().flat_map(sizes).collect();
    assert_none(&findings);
}

#[test]
fn every_folder_says_what_belongs_there() {
    let findings: Vec<Finding> = sources().iter().flat_map(folder_docs).collect();
    assert_none(&findings);
}

#[test]
fn roots_deny_for_all_below_them() {
    let findings: Vec<Finding> = sources().iter().flat_map(denials).collect();
    assert_none(&findings);
}

#[test]
fn unsafe_has_one_home_and_reasons() {
    let findings: Vec<Finding> = sources().iter().flat_map(unsafe_home).collect();
    assert_none(&findings);
}

#[test]
fn what_has_grown_too_large_is_caught() {
    let statements = |count: usize| "    step();\n".repeat(count);
    let function = |count: usize| format!("fn f() {{\n{}}}\n", statements(count));
    assert_eq!(caught(sizes, "src/x.rs", &format!("\n{}", function(68))), []);
    assert_eq!(caught(sizes, "src/x.rs", &format!("\n{}", function(69))), [2]);
    assert_eq!(caught(sizes, "src/x.rs", &"use a;\n".repeat(500)), []);
    assert_eq!(caught(sizes, "src/x.rs", &"use a;\n".repeat(501)), [1]);
    assert_eq!(caught(sizes, "src/x.rs", &"// a\n\n".repeat(300)), []);
    assert_eq!(caught(sizes, "src/x.rs", &"// a\n\n".repeat(301)), [1]);
    let tested = |tests: usize| {
        format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "use a;\n".repeat(450), "const A: u8 = 1;\n".repeat(tests))
    };
    assert_eq!(caught(sizes, "src/x.rs", &tested(140)), []);
    assert_eq!(caught(sizes, "src/x.rs", &tested(150)), [1]);
}

#[test]
fn a_folder_that_does_not_introduce_itself_is_caught() {
    assert_eq!(
        caught(folder_docs, "src/x/mod.rs", "//! Things.\n//!\n//! Belongs here: a. Does not\n//! belong here: b."),
        []
    );
    assert_eq!(caught(folder_docs, "src/x/mod.rs", "//! Belongs here: a.\n//! b.\n//! c."), [1]);
    assert_eq!(caught(folder_docs, "src/x/mod.rs", "//! Does not belong here: a."), [1]);
    assert_eq!(caught(folder_docs, "src/x/mod.rs", "mod a; // Belongs here. Does not belong here."), [1]);
    assert_eq!(caught(folder_docs, "src/daemon.rs", "use a;"), [1]);
}

#[test]
fn a_root_that_denies_too_little_is_caught() {
    assert_eq!(caught(denials, "src/main.rs", "//! The command.\nfn main() {}").len(), 6);
    assert_eq!(caught(denials, "src/main.rs", "// #![deny(clippy::panic)]\nfn main() {}").len(), 6);
    assert_eq!(caught(denials, "src/proto/mod.rs", "//! The agent.\nmod input;").len(), 2);
    assert_eq!(caught(denials, "src/proto/input.rs", "use a;"), []);
    let all = format!("#![deny(\n    {},\n)]", PROGRAM.join(",\n    "));
    assert_eq!(caught(denials, "src/lib.rs", &all), []);
}

#[test]
fn unsafe_in_a_wrong_place_or_without_a_reason_is_caught() {
    assert_eq!(caught(unsafe_home, "src/io/net.rs", "// SAFETY: no.\nunsafe { f() }"), [2]);
    assert_eq!(caught(unsafe_home, "tests/lab/main.rs", "unsafe { f() }"), [1]);
    assert_eq!(caught(unsafe_home, "src/io/sys.rs", "fn g() {\n    unsafe { f() }\n}"), [2]);
    assert_eq!(caught(unsafe_home, "src/io/sys.rs", "// SAFETY: f asks for nothing.\nunsafe { f() }"), []);
    assert_eq!(caught(unsafe_home, "src/io/mod.rs", "#[allow(unsafe_code)] // unsafe\nmod sys;"), []);
}
