use std::ops::Range;

use toml::de::Error;

use super::diagnostic::{Diagnostic, MAX_PROBLEMS, floor, shown};
use super::{keys, unknown};

/// The TOML parser's errors in our words, and the lines on which hardly anything else can be judged, sorted and apart.
pub(super) fn diagnostics(source: &str, errors: &[Error]) -> (Vec<Diagnostic>, Vec<Range<usize>>) {
    let mut found: Vec<(Range<usize>, &str)> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    found.sort_by_key(|(span, _)| (span.start, span.end));
    found.dedup();

    let mut diagnostics = Vec::new();
    let mut lines: Vec<Range<usize>> = Vec::new();
    let mut line = line_of(source, 0);
    for (span, message) in found.into_iter().take(MAX_PROBLEMS) {
        // A line can be as long as the file, and have all of its errors.
        if span.start > line.end {
            line = line_of(source, span.start);
        }
        let spoilt = lines.last().is_some_and(|last| span.start <= last.end);
        // Of a table that is there twice, its header tells; each of its keys would only say so again.
        if spoilt && message == DUPLICATE && !is_header(source.get(line.clone()).unwrap_or_default()) {
            continue;
        }
        let text = source.get(line.clone()).unwrap_or_default();
        diagnostics.push(match unknown::may_hold_secret(text) && !is_header(text) {
            true => unquoted(span, text),
            false => worded(source, span, message, &line),
        });
        let end = match is_header(source.get(line.clone()).unwrap_or_default()) {
            true => end_of_table(source, line.end),
            false => line.end,
        };
        match lines.last_mut() {
            Some(last) if line.start <= last.end => last.end = last.end.max(end),
            Some(_) | None => lines.push(line.start..end),
        }
    }
    (diagnostics, lines)
}

/// Most bytes of a line that are looked at for what it is about.
const MAX_LINE: usize = 1024;

const DUPLICATE: &str = "duplicate key";

/// An error in a line that may hold a secret: only what it is about is told.
fn unquoted(span: Range<usize>, line: &str) -> Diagnostic {
    let subject = line.trim_start().split(|c: char| c == '=' || c.is_whitespace()).next().unwrap_or_default();
    let (about, remedy) = match example_of(subject) {
        Some(example) => (format!(" at `{subject}`"), format!("write, for example, `{subject} = {example}`")),
        None => (String::new(), "strings stand in quotes, and lists in brackets".to_owned()),
    };
    let message = format!("not TOML{about}; the line is not shown, as it may hold a secret");
    Diagnostic { unquoted: true, ..Diagnostic::error(span, message).remedy(remedy) }
}

fn worded(source: &str, span: Range<usize>, message: &str, line: &Range<usize>) -> Diagnostic {
    let culprit = source.get(span.clone()).unwrap_or_default();
    let line = source.get(line.start..floor(source, line.end.min(line.start + MAX_LINE))).unwrap_or_default();
    let header = is_header(line);
    // What the line is about: its header, or its first word.
    let subject = match header {
        true => line.split('#').next().unwrap_or_default().trim(),
        false => line.trim_start().split(|c: char| c == '=' || c.is_whitespace()).next().unwrap_or_default(),
    };
    let example = example_of(subject).unwrap_or("\"...\"");
    let about = |what: &str| match subject {
        "" => format!("not TOML: {what}"),
        subject => format!("not TOML at `{}`: {what}", shown(subject)),
    };
    let subject = shown(subject);
    let (message, remedy) = match message {
        DUPLICATE if header => {
            (format!("`{subject}` is there twice"), "merge the two, or give one of them another name".to_owned())
        }
        DUPLICATE => (format!("`{}` is there twice", shown(culprit)), "remove one of the two".to_owned()),
        text if text.starts_with("string values must be quoted") && culprit.trim().is_empty() => {
            (format!("`{subject}` has no value"), format!("write, for example, `{subject} = {example}`"))
        }
        text if text.starts_with("string values must be quoted") && !example.starts_with('"') => {
            (format!("the value of `{subject}` is not TOML"), format!("write, for example, `{subject} = {example}`"))
        }
        text if text.starts_with("string values must be quoted") => (
            format!("the value of `{subject}` is a string without quotes"),
            format!("put it in double quotes: `\"{}\"`", shown(culprit)),
        ),
        text if text.starts_with("key with no value") && line.trim_end().ends_with('{') => (
            about(text),
            "this looks like keepalived's notation; here a table begins with a line such as `[virtual_router.web]`"
                .to_owned(),
        ),
        text if text.starts_with("key with no value") => {
            (about(text), format!("a key is followed by `=` and its value: `{subject} = {example}`"))
        }
        text if text.starts_with("unclosed") && header => (about(text), "end the header with `]`".to_owned()),
        text if text.starts_with("unclosed array") => (about(text), "end the array with `]`".to_owned()),
        text if text.starts_with("invalid basic string") => {
            (about(text), "end the string with `\"` on the same line; within it, write `\\` as `\\\\`".to_owned())
        }
        text => (
            about(text),
            "a line is a header such as `[node]`, a key with its value such as `vrid = 51`, or a comment after `#`"
                .to_owned(),
        ),
    };
    Diagnostic::error(span, message).remedy(remedy)
}

fn example_of(name: &str) -> Option<&'static str> {
    keys::TABLES
        .iter()
        .chain(&keys::INNER_TABLES)
        .flat_map(|table| table.keys)
        .find(|key| key.name == name)
        .map(|key| key.example)
}

fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

/// From the first to behind the last byte of the line that `at` is on, without its end.
fn line_of(source: &str, at: usize) -> Range<usize> {
    let at = floor(source, at);
    let start = source.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let end = source.get(at..).and_then(|after| after.find('\n')).map_or(source.len(), |newline| at + newline);
    start..end
}

/// Where the next header after `at` begins.
fn end_of_table(source: &str, at: usize) -> usize {
    let rest = source.get(at..).unwrap_or_default();
    let mut offset = at;
    for line in rest.split_inclusive('\n') {
        if offset > at && is_header(line) {
            return offset;
        }
        offset += line.len();
    }
    source.len()
}
