use std::ops::Range;

use toml::de::Error;

use super::Diagnostic;
use super::diagnostic::{floor, shown};

/// The TOML parser's errors in our words, and the lines on which they are.
pub(super) fn diagnostics(source: &str, errors: &[Error]) -> (Vec<Diagnostic>, Vec<Range<usize>>) {
    let mut found: Vec<(Range<usize>, &str)> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    found.sort_by_key(|(span, _)| (span.start, span.end));
    found.dedup();

    let mut diagnostics = Vec::new();
    let mut lines: Vec<Range<usize>> = Vec::new();
    let mut repeated_until = 0;
    for (span, message) in found {
        let line = line_of(source, span.start);
        let duplicate = message == "duplicate key";
        // Of a table that is there twice, its header tells; each of its keys would only say so again.
        if duplicate && span.start < repeated_until {
            continue;
        }
        if duplicate && is_header(source.get(line.clone()).unwrap_or_default()) {
            repeated_until = end_of_table(source, line.end);
        }
        diagnostics.push(worded(source, span, message, &line));
        lines.push(line);
    }
    (diagnostics, lines)
}

fn worded(source: &str, span: Range<usize>, message: &str, line: &Range<usize>) -> Diagnostic {
    let culprit = source.get(span.clone()).unwrap_or_default();
    let line = source.get(line.clone()).unwrap_or_default();
    let key = line.split('=').next().unwrap_or_default().trim();
    match message {
        "duplicate key" if is_header(line) => {
            let header = line.split('#').next().unwrap_or_default().trim();
            Diagnostic::error(span, format!("`{}` is there twice", shown(header)))
                .remedy("merge the two tables, or give one of them another name")
        }
        "duplicate key" => {
            Diagnostic::error(span, format!("`{}` is there twice", shown(culprit))).remedy("remove one of the two")
        }
        "string values must be quoted, expected literal string" => {
            Diagnostic::error(span, format!("the value of `{}` is a string without quotes", shown(key)))
                .remedy("put it in double quotes")
        }
        other => {
            let context = if key.is_empty() || key.len() == line.len() || is_header(line) {
                String::new()
            } else {
                format!(" in the line of `{}`", shown(key))
            };
            Diagnostic::error(span, format!("not TOML{context}: {other}"))
        }
    }
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
