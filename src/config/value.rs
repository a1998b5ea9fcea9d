use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Problems, Reported, shown};
use super::duration;
use super::keys::Key;
use super::table::{Value, kind_of};
use super::unknown::nearest;
use crate::types::{InterfaceName, NameError};

/// Names of virtual routers, checks and nodes follow one rule.
pub(super) const NAME_RULE: &str = "a name has letters, digits, `-`, `_` and `.`, at most 64 of them";

/// The elements of an array that could be read; `whole` says whether all could.
pub(super) struct List<T> {
    /// In the order of the file.
    pub items: Vec<Spanned<T>>,
    /// Whether nothing had to be left out.
    pub whole: bool,
}

impl<T> List<T> {
    /// All elements, if none was left out.
    pub(super) fn complete(self) -> Option<Vec<T>> {
        self.whole.then(|| self.items.into_iter().map(Spanned::into_inner).collect())
    }
}

fn wrong_type(key: &Key, value: Value<'_, '_>) -> Diagnostic {
    let message = format!("`{}` must be {}, not {}", key.name, key.noun(), kind_of(value.get_ref()));
    Diagnostic::error(value.span(), message)
}

fn for_example(key: &Key) -> String {
    format!("write, for example, `{} = {}`", key.name, key.example)
}

/// An integer within the range of the key.
pub(super) fn integer(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<i64, Reported> {
    let (min, max) = key.integers();
    let number = match value.get_ref() {
        DeValue::Integer(number) => number,
        DeValue::String(text) if text.trim().parse::<i64>().is_ok() => {
            let remedy = format!("leave out the quotes: `{} = {}`", key.name, text.trim());
            return problems.report(wrong_type(key, value).remedy(remedy));
        }
        DeValue::String(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => return problems.report(wrong_type(key, value).remedy(for_example(key))),
    };
    match i64::from_str_radix(number.as_str(), number.radix()) {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        Ok(_) | Err(_) => {
            let given = shown(&number.to_string());
            let (message, remedy) = match min == max {
                true => (
                    format!("`{}` must be {min}, not {given}", key.name),
                    "nothing else is supported yet: leave it out".to_owned(),
                ),
                false => (format!("`{}` must be from {min} to {max}, not {given}", key.name), for_example(key)),
            };
            problems.report(Diagnostic::error(value.span(), message).remedy(remedy))
        }
    }
}

/// `true` or `false`.
pub(super) fn boolean(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<bool, Reported> {
    let meant = match value.get_ref() {
        DeValue::Boolean(value) => return Ok(*value),
        DeValue::String(text) => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        DeValue::Integer(number) => match number.as_str() {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        },
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    let remedy = match meant {
        Some(meant) => format!("write `{} = {meant}`", key.name),
        None => format!("write `{0} = true` or `{0} = false`", key.name),
    };
    problems.report(wrong_type(key, value).remedy(remedy))
}

/// Any string.
pub(super) fn text<'a>(key: &Key, value: Value<'a, '_>, problems: &mut Problems) -> Result<&'a str, Reported> {
    match value.get_ref().as_str() {
        Some(text) => Ok(text),
        None => problems.report(wrong_type(key, value).remedy(for_example(key))),
    }
}

/// One of the strings of the key.
pub(super) fn choice(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<&'static str, Reported> {
    let choices = key.choices();
    let quoted: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
    let all = format!("write {}", quoted.join(" or "));
    let Some(text) = value.get_ref().as_str() else {
        return problems.report(wrong_type(key, value).remedy(all));
    };
    if let Some(choice) = choices.iter().find(|choice| **choice == text) {
        return Ok(choice);
    }
    let remedy = match nearest(text, choices.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? {all}"),
        None => all,
    };
    let message = format!("`{}` cannot be \"{}\"", key.name, shown(text));
    problems.report(Diagnostic::error(value.span(), message).remedy(remedy))
}

/// A duration within the range of the key.
pub(super) fn duration(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Duration, Reported> {
    let bare = |number: &str| {
        let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let remedy = if plain {
            let (unit, short) = duration::likely_unit(number);
            format!("for {unit}, write `{} = \"{}{short}\"`", key.name, shown(number))
        } else {
            for_example(key)
        };
        let message = format!("`{}` must be a string with a unit, not a bare number", key.name);
        Diagnostic::error(value.span(), message).remedy(remedy)
    };
    let text = match value.get_ref() {
        DeValue::String(text) => text,
        DeValue::Integer(number) => return problems.report(bare(number.as_str())),
        DeValue::Float(number) => return problems.report(bare(number.as_str())),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return problems.report(wrong_type(key, value).remedy(for_example(key)));
        }
    };
    let span = match duration::parse(text) {
        Ok(span) => span,
        Err(mistake) => {
            let message = format!("`{}`: \"{}\" {}", key.name, shown(text), mistake.what);
            return problems.report(Diagnostic::error(value.span(), message).remedy(mistake.remedy));
        }
    };
    let (min, max) = key.durations();
    if (min..=max).contains(&span) {
        return Ok(span);
    }
    let range = format!("from {} to {}", duration::show(min), duration::show(max));
    let message = format!("`{}` must be {range}, not \"{}\"", key.name, shown(text));
    problems.report(Diagnostic::error(value.span(), message).remedy(for_example(key)))
}

/// An array of strings; a string in place of an array is told how to become one.
pub(super) fn texts<'a>(key: &Key, value: Value<'a, '_>, problems: &mut Problems) -> Result<List<&'a str>, Reported> {
    let array = match value.get_ref() {
        DeValue::Array(array) => array,
        DeValue::String(text) => {
            let remedy = format!("write `{} = [\"{}\"]`", key.name, shown(text));
            return problems.report(wrong_type(key, value).remedy(remedy));
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
            return problems.report(wrong_type(key, value).remedy(for_example(key)));
        }
    };
    let mut list = List { items: Vec::new(), whole: true };
    for element in array.iter() {
        match element.get_ref().as_str() {
            Some(text) => list.items.push(Spanned::new(element.span(), text)),
            None => {
                let kind = kind_of(element.get_ref());
                let message = format!("every element of `{}` must be a string, not {kind}", key.name);
                problems.push(Diagnostic::error(element.span(), message).remedy(for_example(key)));
                list.whole = false;
            }
        }
    }
    Ok(list)
}

/// An array of at most `most` values, each written as a string, none of them twice.
pub(super) fn list<T: PartialEq + Display>(
    key: &Key,
    value: Value<'_, '_>,
    most: usize,
    problems: &mut Problems,
    read: impl Fn(&Spanned<&str>, &mut Problems) -> Result<T, Reported>,
) -> Result<List<T>, Reported> {
    let texts = texts(key, value, problems)?;
    if let Some(first) = texts.items.get(most) {
        let message = format!("`{}` has {} elements, more than {most}", key.name, texts.items.len());
        let remedy = "leave some out; from this one on they are too many";
        return problems.report(Diagnostic::error(first.span(), message).remedy(remedy));
    }
    let mut list: List<T> = List { items: Vec::new(), whole: texts.whole };
    for text in texts.items {
        let Ok(item) = read(&text, problems) else {
            list.whole = false;
            continue;
        };
        if let Some(first) = list.items.iter().find(|other| *other.get_ref() == item) {
            let message = format!("`{}` lists `{item}` twice", key.name);
            let again = Diagnostic::error(text.span(), message).remedy("remove one of the two");
            problems.push(again.related(first.span(), "first here"));
            list.whole = false;
            continue;
        }
        list.items.push(Spanned::new(text.span(), item));
    }
    Ok(list)
}

/// The name of an interface that has a link to lose.
pub(super) fn interface_name(
    key: &Key,
    name: &Spanned<&str>,
    problems: &mut Problems,
) -> Result<InterfaceName, Reported> {
    if *name.get_ref() == "lo" {
        let message = format!("`{}`: the loopback interface `lo` has no link and reaches no other host", key.name);
        let remedy = "name an interface that leads to other hosts, such as \"eth0\"";
        return problems.report(Diagnostic::error(name.span(), message).remedy(remedy));
    }
    parsed(key.name, name, "an interface name has 1 to 15 bytes, no `/`, `:` or white space", problems)
}

/// Reads a name by its type's own rule.
pub(super) fn parsed<T>(
    what: impl Display,
    name: &Spanned<&str>,
    rule: &str,
    problems: &mut Problems,
) -> Result<T, Reported>
where
    T: FromStr<Err = NameError>,
{
    name.get_ref().parse().or_else(|error| {
        let message = format!("`{what}`: \"{}\" is not a name: {error}", shown(name.get_ref()));
        problems.report(Diagnostic::error(name.span(), message).remedy(rule))
    })
}
