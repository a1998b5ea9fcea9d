use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Problems, Reported, either, shown};
use super::keys::{self, Key};
use super::unknown::{self, remedy_for_unknown};

/// A value of the file and where it stands.
pub(super) type Value<'a, 's> = &'a Spanned<DeValue<'s>>;

/// One table of the file, to be read key by key.
pub(super) struct Section<'a, 's> {
    /// How its header is written.
    pub title: String,
    /// Where its header is.
    pub header: Range<usize>,
    table: &'a DeTable<'s>,
}

/// A table whose name the administrator chose.
pub(super) struct Named<'a, 's> {
    /// The name and where it stands.
    pub name: Spanned<&'a str>,
    /// What is in it.
    pub section: Section<'a, 's>,
}

impl<'a, 's> Section<'a, 's> {
    /// Takes hold of a table and reports every key that it cannot have.
    pub(super) fn new(
        title: String,
        header: Range<usize>,
        table: &'a DeTable<'s>,
        known: &keys::Table,
        problems: &mut Problems,
    ) -> Self {
        let valid: Vec<&'static str> = known.keys.iter().map(|key| key.name).collect();
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !valid.contains(&name) {
                let message = format!("unknown key `{}` in `{title}`", shown(name));
                let unknown = Diagnostic::error(key.span(), message).remedy(remedy_for_unknown(name, &valid));
                problems.push(Diagnostic { unquoted: unknown::may_hold_secret(name), ..unknown });
            }
        }
        Section { title, header, table }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &Key) -> Option<Value<'a, 's>> {
        self.table.get(key.name)
    }

    /// Where a key that is there stands, its name included.
    pub(super) fn key_span(&self, key: &Key) -> Option<Range<usize>> {
        self.table.get_key_value(key.name).map(|(name, _)| name.span())
    }

    /// Reads a key that may be left out.
    pub(super) fn optional<T>(
        &self,
        key: &Key,
        problems: &mut Problems,
        read: impl FnOnce(&Key, Value<'a, 's>, &mut Problems) -> Result<T, Reported>,
    ) -> Result<Option<Spanned<T>>, Reported> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        read(key, value, problems).map(|read| Some(Spanned::new(value.span(), read)))
    }

    /// Reads a key that cannot be left out.
    pub(super) fn required<T>(
        &self,
        key: &Key,
        problems: &mut Problems,
        read: impl FnOnce(&Key, Value<'a, 's>, &mut Problems) -> Result<T, Reported>,
    ) -> Result<Spanned<T>, Reported> {
        match self.optional(key, problems, read)? {
            Some(value) => Ok(value),
            None if problems.complete() => problems.report(
                Diagnostic::error(self.header.clone(), format!("`{}` has no `{}`", self.title, key.name))
                    .remedy(format!("add `{} = {}`: {}", key.name, key.example, lower_first(key.doc))),
            ),
            // The file has a syntax error, which may have swallowed the key.
            None => Err(Reported),
        }
    }
}

fn lower_first(doc: &str) -> String {
    let mut chars = doc.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Reports every top-level key that a file cannot have.
pub(super) fn top_level(root: &DeTable<'_>, problems: &mut Problems) {
    let valid = keys::TABLES.map(|table| table.name);
    for key in root.keys() {
        let name: &str = key.get_ref();
        if !valid.contains(&name) {
            let headers = keys::TABLES.map(|table| table.header);
            let remedy = match remedy_for_unknown(name, &valid) {
                listed if listed.starts_with("what can stand here") => {
                    format!("what can stand here: {}", either(&headers))
                }
                specific => specific,
            };
            let message = format!("unknown key `{}` at the top level", shown(name));
            problems.push(Diagnostic::error(key.span(), message).remedy(remedy));
        }
    }
}

/// The table of a fixed name, if it is there and is one.
pub(super) fn plain<'a, 's>(
    root: &'a DeTable<'s>,
    known: &keys::Table,
    problems: &mut Problems,
) -> Option<Section<'a, 's>> {
    let value = root.get(known.name)?;
    match value.get_ref() {
        DeValue::Table(table) => Some(Section::new(known.header.to_owned(), value.span(), table, known, problems)),
        other => {
            problems.push(not_a_table(known, value.span(), other));
            None
        }
    }
}

/// The tables under a fixed name whose own names the administrator chose, in the order of the file.
///
/// More than `most` are an error; those beyond are left out.
pub(super) fn named<'a, 's>(
    root: &'a DeTable<'s>,
    known: &keys::Table,
    most: usize,
    problems: &mut Problems,
) -> Vec<Named<'a, 's>> {
    let Some(value) = root.get(known.name) else {
        return Vec::new();
    };
    let DeValue::Table(table) = value.get_ref() else {
        problems.push(not_a_table(known, value.span(), value.get_ref()));
        return Vec::new();
    };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    if let Some((first, _)) = entries.get(most) {
        let message = format!("`{}` has {} tables, more than {most}", known.name, entries.len());
        problems.push(Diagnostic::error(first.span(), message).remedy("this one and those after it are too many"));
        entries.truncate(most);
    }
    let mut tables = Vec::new();
    let mut nameless = false;
    for (name, value) in entries {
        let Some(table) = value.get_ref().as_table() else {
            // One line is enough where a whole table has lost its name.
            if !std::mem::replace(&mut nameless, true) {
                problems.push(nameless_table(known, name, value.get_ref()));
            }
            continue;
        };
        let title = format!("[{}.{}]", known.name, shown(name.get_ref()));
        let section = Section::new(title, value.span(), table, known, problems);
        tables.push(Named { name: Spanned::new(name.span(), name.get_ref()), section });
    }
    tables
}

fn not_a_table(known: &keys::Table, span: Range<usize>, value: &DeValue<'_>) -> Diagnostic {
    Diagnostic::error(span, format!("`{}` must be a table, not {}", known.name, kind_of(value)))
        .remedy(format!("begin it with a line `{}`", known.header))
}

fn nameless_table(known: &keys::Table, name: &Spanned<toml::de::DeString<'_>>, value: &DeValue<'_>) -> Diagnostic {
    let word: &str = name.get_ref();
    if known.keys.iter().any(|key| key.name == word) {
        let message = format!("`{word}` stands in `[{}]`, which has no name", known.name);
        let header = known.header.replace("NAME", "web");
        return Diagnostic::error(name.span(), message)
            .remedy(format!("give the table a name of your choice: `{header}`"));
    }
    let message = format!("`{}.{}` must be a table, not {}", known.name, shown(word), kind_of(value));
    Diagnostic::error(name.span(), message).remedy(format!("begin it with a line `[{}.{}]`", known.name, shown(word)))
}

/// What a value is called in messages.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a decimal point",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
