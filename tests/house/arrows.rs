//! Which room may use which: every arrow points down, and none is taken by a side path.

use crate::source::{Finding, Source, assert_none, caught, is_ident, sources};

/// What each room may use; `types` is everybody's. The daemon carries what `proto` and `service` say to each other,
/// so it sees the values of `report` and `config` too.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("wire", &["types"]),
    ("config", &["types"]),
    ("report", &["types"]),
    ("proto", &["wire", "config", "report", "types"]),
    ("io", &["types"]),
    ("runner", &["io", "types"]),
    ("service", &["io", "report", "config", "types"]),
    ("daemon", &["proto", "service", "io", "report", "config", "types"]),
    ("ctl", &["io", "report", "config", "types"]),
    ("demo", &["io", "report", "config", "types"]),
    ("import", &["io", "report", "config", "types"]),
];

/// Where the rooms are wired together.
const WIRING: &[&str] = &["lib", "main", "cli"];

fn arrows(source: &Source) -> Vec<Finding> {
    let Some(room) = source.room() else { return Vec::new() };
    if WIRING.contains(&room) {
        return Vec::new();
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        let text =
            format!("room `{room}` has no arrows: say in tests/house/arrows.rs what it may use, and in lib.rs why");
        return vec![source.finding(0, text)];
    };
    let mut findings = Vec::new();
    for (line, used) in used_rooms(source) {
        if used != room && !allowed.contains(&used.as_str()) && is_room(&used) {
            let text = format!(
                "`{room}` uses `crate::{used}`, but may use only {}: hand the value in, or move what decides to where it belongs",
                if allowed.is_empty() { "itself".to_owned() } else { allowed.join(", ") }
            );
            findings.push(source.finding(line, text));
        }
    }
    findings.extend(escapes(source));
    findings
}

fn is_room(name: &str) -> bool {
    WIRING.contains(&name) || ARROWS.iter().any(|(room, _)| *room == name)
}

/// The first name of every path that starts at the crate, with its line.
fn used_rooms(source: &Source) -> Vec<(usize, String)> {
    let text = source.code.join("\n");
    let mut used = Vec::new();
    for root in ["crate::", "locum::"] {
        for (at, _) in text.match_indices(root) {
            if text[..at].ends_with(is_ident) {
                continue;
            }
            let line_of = |at: usize| text[..at].matches('\n').count();
            let start = at + root.len();
            for (offset, name) in first_names(&text[start..]) {
                used.push((line_of(start + offset), name));
            }
        }
    }
    used
}

/// `a` of `a::b`, `a` and `c` of `{a::{b}, c}`, each with where it stands.
fn first_names(text: &str) -> Vec<(usize, String)> {
    let name_at = |at: usize| -> String { text[at..].chars().take_while(|c| is_ident(*c)).collect() };
    if !text.starts_with('{') {
        return vec![(0, name_at(0))];
    }
    let (mut depth, mut expects, mut names) = (0, false, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => (depth, expects) = (depth + 1, true),
            '}' => depth -= 1,
            ',' => expects = true,
            _ if is_ident(c) && expects => {
                if depth == 1 {
                    names.push((at, name_at(at)));
                }
                expects = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Paths of `super` that climb out of the room.
fn escapes(source: &Source) -> Vec<Finding> {
    let inside = source.path.strip_prefix("src/").unwrap_or(&source.path);
    let depth = inside.split('/').count() - usize::from(inside.ends_with("/mod.rs"));
    let modules = source.extents("mod");
    let mut findings = Vec::new();
    for (number, line) in source.code.iter().enumerate() {
        let inline = modules.iter().filter(|module| (module.first..=module.last).contains(&number)).count();
        let climbs = format!("{}super", "super::".repeat(depth + inline - 1));
        if line.match_indices(&climbs).any(|(at, _)| !line[..at].ends_with(is_ident)) {
            let text = "`super` climbs out of the room: write `crate::ROOM`, so that the arrow can be seen".to_owned();
            findings.push(source.finding(number, text));
        }
    }
    findings
}

#[test]
fn every_arrow_points_down() {
    let findings: Vec<Finding> = sources().iter().flat_map(arrows).collect();
    assert_none(&findings);
}

#[test]
fn an_arrow_that_points_up_is_caught() {
    assert_eq!(caught(arrows, "src/io/x.rs", "use crate::types::Vrid;\nuse crate::proto::Input;"), [2]);
    assert_eq!(caught(arrows, "src/proto/x.rs", "use crate::wire::arp;\nfn f() { crate::io::clock::now(); }"), [2]);
    assert_eq!(caught(arrows, "src/proto/x.rs", "use crate::{\n    config::{Config, io},\n    service::log,\n};"), [3]);
    assert_eq!(caught(arrows, "src/types/x.rs", "use locum::report::Event;"), [1]);
    assert_eq!(caught(arrows, "src/ctl.rs", "use crate::service::socket;\n// crate::proto::Input"), [1]);
    assert_eq!(caught(arrows, "src/attic/mod.rs", "//! Things."), [1]);
    assert_eq!(caught(arrows, "src/cli.rs", "use crate::daemon;"), []);
}

#[test]
fn a_climb_out_of_the_room_is_caught() {
    assert_eq!(caught(arrows, "src/proto/mod.rs", "use super::io::clock;"), [1]);
    assert_eq!(caught(arrows, "src/proto/a.rs", "use super::b;\nuse super::super::io;"), [2]);
    assert_eq!(caught(arrows, "src/proto/a/mod.rs", "use super::b;\nuse super::super::{io, types};"), [2]);
    assert_eq!(caught(arrows, "src/daemon.rs", "mod tests {\n    use super::b;\n    use super::super::io;\n}"), [3]);
}
