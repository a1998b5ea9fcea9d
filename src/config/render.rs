use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::diagnostic::floor;
use super::{Diagnostic, Severity};

/// Most diagnostics that are printed; what is left over is counted.
const MAX_RENDERED: usize = 50;
/// Most bytes of source that are quoted for one diagnostic.
const MAX_EXCERPT: usize = 4096;

/// All diagnostics as text for people, sorted by position, each with the line it is about.
///
/// At most 50 are printed, errors before warnings where not all are; the last line says how many more there are.
/// `source_name` is what the text calls the file. `colour` adds terminal escapes. Empty for no diagnostics.
pub fn render(diagnostics: &[Diagnostic], source_name: &str, source: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let sorted = sorted(diagnostics);
    let mut text = String::new();
    for diagnostic in sorted.iter().take(MAX_RENDERED) {
        text.push_str(&renderer.render(&[group(diagnostic, source_name, source)]));
        text.push_str("\n\n");
    }
    if let Some(more) = sorted.len().checked_sub(MAX_RENDERED).filter(|more| *more > 0) {
        text.push_str(&format!("... and {more} more\n"));
    } else {
        text.truncate(text.trim_end().len());
        if !text.is_empty() {
            text.push('\n');
        }
    }
    text
}

/// The first error in one line, `NAME:LINE:COLUMN: message`, and how many more problems there are: for a log.
pub fn summary(diagnostics: &[Diagnostic], source_name: &str, source: &str) -> String {
    let sorted = sorted(diagnostics);
    let first = sorted.iter().find(|d| d.severity == Severity::Error).or(sorted.first());
    let Some(first) = first else {
        return format!("{source_name}: no problems");
    };
    let (line, column) = first.position(source);
    let mut text = format!("{source_name}:{line}:{column}: {}", first.message);
    if let Some(more) = sorted.len().checked_sub(1).filter(|more| *more > 0) {
        text.push_str(&format!(" (and {more} more)"));
    }
    text
}

/// By position; where not all can be printed, errors are preferred to warnings.
fn sorted(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|d| d.severity);
    if let Some(shown) = sorted.get_mut(..MAX_RENDERED.min(diagnostics.len())) {
        shown.sort_by_key(|d| (d.span.start, d.span.end));
    }
    sorted
}

fn group<'a>(diagnostic: &'a Diagnostic, source_name: &'a str, source: &'a str) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let group = Group::with_title(level.primary_title(diagnostic.message.as_str()));
    let group = match Excerpt::of(diagnostic, source) {
        Some(excerpt) => {
            let snippet = Snippet::source(excerpt.text)
                .path(source_name)
                .line_start(excerpt.first_line)
                .annotation(AnnotationKind::Primary.span(excerpt.span))
                .annotations(
                    excerpt.related.map(|(span, label)| AnnotationKind::Context.span(span).label(label.to_owned())),
                );
            group.element(snippet)
        }
        // A line too long to quote, or with a secret: the place is told, the line is not.
        None => {
            let (line, column) = diagnostic.position(source);
            group.element(Origin::path(source_name).line(line).char_column(column))
        }
    };
    match &diagnostic.remedy {
        Some(remedy) => group.element(Level::HELP.message(remedy.as_str())),
        None => group,
    }
}

/// The lines of the source that a diagnostic quotes, with its spans relative to them.
struct Excerpt<'a> {
    text: &'a str,
    first_line: usize,
    span: Range<usize>,
    related: Option<(Range<usize>, &'a str)>,
}

impl<'a> Excerpt<'a> {
    fn of(diagnostic: &'a Diagnostic, source: &'a str) -> Option<Self> {
        if diagnostic.unquoted {
            return None;
        }
        let span = on_one_line(source, &diagnostic.span);
        let related = diagnostic.related.as_ref().map(|r| (on_one_line(source, &r.span), r.label.as_str()));
        // The related place is left out where it lies too far off to quote both.
        [related, None].into_iter().find_map(|related| {
            let from = related.as_ref().map_or(span.start, |(other, _)| other.start.min(span.start));
            let to = related.as_ref().map_or(span.end, |(other, _)| other.end.max(span.end));
            let start = source.get(..from)?.rfind('\n').map_or(0, |newline| newline + 1);
            let end = source.get(to..)?.find('\n').map_or(source.len(), |newline| to + newline);
            if end - start > MAX_EXCERPT {
                return None;
            }
            let text = source.get(start..end)?;
            // The end of a line is no part of it, even where it is of two characters.
            let text = text.strip_suffix('\r').unwrap_or(text);
            let within = |span: &Range<usize>| (span.start - start).min(text.len())..(span.end - start).min(text.len());
            Some(Excerpt {
                text,
                first_line: source.get(..start)?.matches('\n').count() + 1,
                span: within(&span),
                related: related.as_ref().map(|(other, label)| (within(other), *label)),
            })
        })
    }
}

/// The part of a span that lies on its first line, on boundaries of characters.
fn on_one_line(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(source, span.start);
    let end = floor(source, span.end.max(start));
    let text = source.get(start..end).unwrap_or_default();
    let line = text.split('\n').next().unwrap_or_default();
    start..start + line.strip_suffix('\r').unwrap_or(line).len()
}
