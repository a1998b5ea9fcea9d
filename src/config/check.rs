use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Problems, Reported, shown};
use super::keys::{self, Key};
use super::table::{Named, Value};
use super::value::{self, NAME_RULE};
use crate::types::{CheckName, CheckSpec, UserName};

/// Most elements of a command, and most bytes of all of them: it travels in one message.
const MAX_ARGUMENTS: usize = 64;
const MAX_COMMAND_BYTES: usize = 8192;

/// What a check is when a key is left out, as `keys` tells it.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 2;

/// Reads one `[check.NAME]`; `None` when a problem was reported.
pub(super) fn read(named: &Named<'_, '_>, problems: &mut Problems) -> Option<CheckSpec> {
    let section = &named.section;
    let name: Result<CheckName, Reported> = value::parsed("check", &named.name, NAME_RULE, problems);
    let script = section.required(&keys::SCRIPT, problems, command);
    let interval = section.optional(&keys::INTERVAL, problems, value::duration);
    let timeout = section.optional(&keys::TIMEOUT, problems, value::duration);
    let rise = section.optional(&keys::RISE, problems, count);
    let fall = section.optional(&keys::FALL, problems, count);
    let weight = section.optional(&keys::WEIGHT, problems, weight);
    let user = section.optional(&keys::USER, problems, user);

    let interval = interval.ok()?.map_or(DEFAULT_INTERVAL, Spanned::into_inner);
    Some(CheckSpec {
        name: name.ok()?,
        script: script.ok()?.into_inner(),
        interval,
        timeout: timeout.ok()?.map_or(interval, Spanned::into_inner),
        rise: rise.ok()?.map_or(DEFAULT_RISE, Spanned::into_inner),
        fall: fall.ok()?.map_or(DEFAULT_FALL, Spanned::into_inner),
        weight: weight.ok()?.map(Spanned::into_inner),
        user: user.ok()?.map(Spanned::into_inner),
    })
}

fn count(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<u32, Reported> {
    let number = value::integer(key, value, problems)?;
    // The key's range lies within that of the type; only a wrong table could fail here.
    u32::try_from(number).or_else(|_| problems.report(out_of_type(key, value)))
}

fn weight(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<i16, Reported> {
    let number = value::integer(key, value, problems)?;
    if number == 0 {
        let message = "`weight` 0 would change nothing";
        let remedy = "leave `weight` out: a failed check then makes the node unhealthy";
        return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
    }
    i16::try_from(number).or_else(|_| problems.report(out_of_type(key, value)))
}

fn user(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<UserName, Reported> {
    value::text(key, value, problems)?.parse().or_else(|error| {
        let message = format!("`{}` is no name of a user: {error}", key.name);
        let remedy = "write a name that `getent passwd` lists";
        problems.report(Diagnostic::error(value.span(), message).remedy(remedy))
    })
}

fn out_of_type(key: &Key, value: Value<'_, '_>) -> Diagnostic {
    Diagnostic::error(value.span(), format!("`{}` is out of range", key.name))
}

fn command(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Vec<String>, Reported> {
    if let DeValue::String(line) = value.get_ref() {
        let message = format!("`{}` must be an array of strings, not a string", key.name);
        let path = if line.starts_with('/') || needs_shell(line) { "" } else { ", with the program's whole path" };
        let remedy = format!("write `{} = {}`{path}", key.name, as_array(line));
        return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
    }
    let list = value::texts(key, value, problems)?;
    let Some(program) = list.items.first() else {
        return match list.whole {
            true => problems.report(
                Diagnostic::error(value.span(), format!("`{}` is empty", key.name))
                    .remedy(format!("name a program, such as `{} = {}`", key.name, key.example)),
            ),
            false => Err(Reported),
        };
    };
    let mut whole = list.whole;
    // With an element missing the first one left need not be the program.
    if whole && !absolute(key, program, list.items.len() == 1, problems) {
        whole = false;
    }
    if let Some(nul) = list.items.iter().find(|argument| argument.get_ref().contains('\0')) {
        let message = format!("`{}` has a NUL character in an element, which no program can be given", key.name);
        problems.push(Diagnostic::error(nul.span(), message).remedy("leave out the `\\u0000`"));
        whole = false;
    }
    let bytes: usize = list.items.iter().map(|argument| argument.get_ref().len()).sum();
    if list.items.len() > MAX_ARGUMENTS || bytes > MAX_COMMAND_BYTES {
        let message = format!("`{}` has more than {MAX_ARGUMENTS} elements or {MAX_COMMAND_BYTES} bytes", key.name);
        problems.push(Diagnostic::error(value.span(), message).remedy("put the command into a script of its own"));
        whole = false;
    }
    if !whole {
        return Err(Reported);
    }
    Ok(list.items.into_iter().map(|argument| argument.into_inner().to_owned()).collect())
}

/// Whether the program is an absolute path; a problem is pushed if not, or if it looks like a whole command line.
fn absolute(key: &Key, program: &Spanned<&str>, alone: bool, problems: &mut Problems) -> bool {
    let path = *program.get_ref();
    if !path.starts_with('/') {
        let message = format!("`{}` begins with \"{}\", which is not an absolute path", key.name, shown(path));
        let word = path.split_whitespace().next().unwrap_or_default();
        let findable = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
        let remedy = match findable {
            true => format!("write the program's whole path; `command -v {}` prints it", shown(word)),
            false => "write the program's whole path, from `/` on".to_owned(),
        };
        problems.push(Diagnostic::error(program.span(), message).remedy(remedy));
        return false;
    }
    if alone && path.contains(char::is_whitespace) {
        let message = format!("`{}` is a single path with white space in it", key.name);
        let remedy = format!("if these are arguments, write `{} = {}`", key.name, as_array(path));
        problems.push(Diagnostic::warning(program.span(), message).remedy(remedy));
    }
    true
}

/// A command line as the array that does the same; a shell is called where the line needs one.
fn as_array(line: &str) -> String {
    if needs_shell(line) {
        let quoted = if line.contains('\'') { "...".to_owned() } else { shown(line) };
        return format!("[\"/bin/sh\", \"-c\", '{quoted}']");
    }
    let words: Vec<String> = line.split_whitespace().take(8).map(|word| format!("\"{}\"", shown(word))).collect();
    format!("[{}]", words.join(", "))
}

/// Whether a command line has what only a shell understands.
fn needs_shell(line: &str) -> bool {
    line.chars().any(|c| "\"'\\$`|&;<>()*?[]{}~#!".contains(c) || c.is_control())
}
