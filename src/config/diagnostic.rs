use std::ops::Range;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but hardly means what it says.
    Warning,
}

/// One problem of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is, in bytes of the source; may be empty, never longer than what the message speaks of.
    pub span: Range<usize>,
    /// What is wrong, on one line, naming the key.
    pub message: String,
    /// What to do about it, on one line.
    pub remedy: Option<String>,
    /// A second place that has to do with it.
    pub related: Option<Related>,
    /// Whether the line it is about is told by number only, because a secret may stand there.
    pub unquoted: bool,
}

/// A second place in the source, and what it has to do with the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where, in bytes of the source.
    pub span: Range<usize>,
    /// A few words.
    pub label: String,
}

impl Diagnostic {
    pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            span,
            message: message.into(),
            remedy: None,
            related: None,
            unquoted: false,
        }
    }

    pub(super) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(span, message) }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Diagnostic { remedy: Some(remedy.into()), ..self }
    }

    pub(super) fn related(self, span: Range<usize>, label: impl Into<String>) -> Self {
        Diagnostic { related: Some(Related { span, label: label.into() }), ..self }
    }

    /// A warning at the first place where the file says this text in quotes.
    pub fn warning_at(source: &str, text: &str, message: String, remedy: &str) -> Self {
        let quoted = ['"', '\''].map(|quote| format!("{quote}{text}{quote}"));
        let span = quoted.iter().find_map(|quoted| source.find(quoted).map(|at| at..at + quoted.len()));
        Diagnostic::warning(span.unwrap_or(0..0), message).remedy(remedy)
    }

    /// The same as an error, of a kind that no line is quoted for.
    pub fn error_at(source: &str, text: &str, message: String, remedy: &str) -> Self {
        let warning = Diagnostic::warning_at(source, text, message, remedy);
        Diagnostic { severity: Severity::Error, unquoted: true, ..warning }
    }

    /// Line and column of its beginning, both from 1; the column counts characters.
    pub fn position(&self, source: &str) -> (usize, usize) {
        let before = source.get(..floor(source, self.span.start)).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// The greatest offset up to `at` that lies between two characters of `source`.
pub(super) fn floor(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Most errors, and most warnings, that are kept of one file; whoever has more has the wrong file.
pub(super) const MAX_PROBLEMS: usize = 1000;

/// A mistake in the notation of a value: what is wrong with it, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Goes on after the quoted value: "... has no prefix length".
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Mistake {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Mistake { what: what.into(), remedy: remedy.into() }
    }
}

/// Stands where a value should be, after a diagnostic was pushed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported;

/// Gathers the problems of one file.
pub(super) struct Problems {
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    complete: bool,
    unquoted: bool,
}

impl Problems {
    /// `complete`: the file was read without a syntax error, so that what is missing is really not there.
    pub(super) fn new(complete: bool) -> Self {
        Problems { list: Vec::new(), errors: 0, warnings: 0, complete, unquoted: false }
    }

    /// Whether something that was not found can be called missing.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }

    /// Whether further errors are only counted, so that looking for remedies is in vain.
    pub(super) fn full(&self) -> bool {
        self.errors >= MAX_PROBLEMS
    }

    /// Reads what may hold a secret: no line that is reported meanwhile is quoted.
    pub(super) fn unquoted<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.unquoted, true);
        let result = read(self);
        self.unquoted = before;
        result
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        let diagnostic = Diagnostic { unquoted: diagnostic.unquoted || self.unquoted, ..diagnostic };
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count = count.saturating_add(1);
        if *count <= MAX_PROBLEMS {
            self.list.push(diagnostic);
        }
    }

    /// Pushes an error and stands in for the value that it is about.
    pub(super) fn report<T>(&mut self, error: Diagnostic) -> Result<T, Reported> {
        self.push(error);
        Err(Reported)
    }

    /// Whether there was an error, and all problems in the order of the file.
    pub(super) fn finish(mut self) -> (bool, Vec<Diagnostic>) {
        self.list.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end, diagnostic.severity));
        (self.errors > 0, self.list)
    }

    /// Leaves out what only repeats a syntax error: problems without a place and those within `lines`, which are
    /// sorted and do not touch.
    pub(super) fn retain_outside(&mut self, lines: &[Range<usize>]) {
        self.list.retain(|diagnostic| {
            let at = diagnostic.span.start;
            let after = lines.partition_point(|line| line.start <= at);
            let within = after.checked_sub(1).and_then(|index| lines.get(index)).is_some_and(|line| at <= line.end);
            !diagnostic.span.is_empty() && !within
        });
        self.errors = self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        self.warnings = self.list.len() - self.errors;
    }
}

/// User's text for a message: on one line, nothing invisible in it, not longer than a line can take.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(|c| {
            // A quote is only escaped by a reader of Rust.
            let plain = matches!(c, '"' | '\'');
            c.escape_debug().skip(usize::from(plain))
        })
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// "a, b or c" of names in backticks.
pub(super) fn either(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [start @ .., last] => {
            let start: Vec<String> = start.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", start.join(", "))
        }
    }
}
