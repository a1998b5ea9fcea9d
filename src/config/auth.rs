use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Problems, Reported, shown};
use super::keys::{self, Key};
use super::model::{AuthConfig, AuthMode};
use super::table::{Section, Value, kind_of};
use super::value;
use crate::types::{KeyId, Password, Version};

/// More keys at once than any rotation needs; every id can have one.
const MAX_KEYS: usize = 255;

/// How a virtual router is authenticated.
#[derive(Debug)]
pub(super) enum Auth {
    /// Version 3: by a trailer behind each advert.
    Keys(AuthConfig),
    /// Version 2: by a password in each advert.
    Password(Password),
}

/// The keys that could be read, with the places of their ids, and whether all could.
struct Listed {
    files: BTreeMap<KeyId, Spanned<PathBuf>>,
    whole: bool,
}

/// Reads the table `auth` of the virtual router whose section is called `router`.
pub(super) fn read(router: &str, value: Value<'_, '_>, problems: &mut Problems) -> Result<Auth, Reported> {
    let title = format!("[{}.auth]", router.trim_matches(['[', ']']));
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("`auth` must be a table, not {}", kind_of(value.get_ref()));
        let remedy = format!("begin it with a line `{title}`");
        return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
    };
    let section = Section::new(title, value.span(), table, &keys::VIRTUAL_ROUTER_AUTH, problems);
    if section.get(&keys::PASS).is_some() {
        return alone(&section, problems);
    }
    let mode = section.required(&keys::AUTH_MODE, problems, mode);
    let active = section.required(&keys::ACTIVE_KEY, problems, key_id);
    let listed = section.required(&keys::AUTH_KEYS, problems, listed).map(Spanned::into_inner);
    if let (Ok(active), Ok(listed)) = (&active, &listed) {
        exists(active, listed, problems)?;
    }
    let listed = listed?;
    let keys = listed.files.into_iter().map(|(id, file)| (id, file.into_inner())).collect();
    let config = AuthConfig { mode: mode?.into_inner(), active_key: active?.into_inner(), keys };
    if listed.whole { Ok(Auth::Keys(config)) } else { Err(Reported) }
}

/// A password, with nothing beside it.
fn alone(section: &Section<'_, '_>, problems: &mut Problems) -> Result<Auth, Reported> {
    let others = [&keys::AUTH_MODE, &keys::ACTIVE_KEY, &keys::AUTH_KEYS];
    if let Some((other, span)) = others.iter().find_map(|key| Some((key, section.key_span(key)?))) {
        let message = format!("`pass` and `{}` cannot stand together", other.name);
        let remedy = "version 2 has `pass` and nothing else, version 3 has `mode`, `active_key` and `keys`";
        return problems.report(Diagnostic::error(span, message).remedy(remedy));
    }
    let read = section.required(&keys::PASS, problems, password);
    read.map(|password| Auth::Password(password.into_inner()))
}

fn password(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Password, Reported> {
    let text = value::text(key, value, problems)?;
    match Password::new(text.as_bytes()) {
        Some(password) => Ok(password),
        None => {
            let message = format!("`{}` has {} bytes; version 2 has room for 1 to 8", key.name, text.len());
            let remedy = "shorten it on all nodes; keepalived cuts a longer one off after the eighth byte";
            problems.report(Diagnostic::error(value.span(), message).remedy(remedy))
        }
    }
}

/// Reports what the version does not know.
pub(super) fn fits(auth: &Auth, version: Option<Version>, span: std::ops::Range<usize>, problems: &mut Problems) {
    let (message, remedy) = match (auth, version) {
        (Auth::Keys(_), Some(Version::V2)) => (
            "`auth` with keys is for version 3; version 2 knows only a password in plain text",
            "remove `version = 2` on all nodes, or write `pass = \"...\"` and nothing else",
        ),
        (Auth::Password(_), Some(Version::V3)) => (
            "`auth` with `pass` is for version 2; version 3 knows no password",
            "write `mode`, `active_key` and `keys`, or set `version = 2` on all nodes",
        ),
        (Auth::Keys(_), Some(Version::V3) | None) | (Auth::Password(_), Some(Version::V2) | None) => return,
    };
    problems.unquoted(|problems| problems.push(Diagnostic::error(span, message).remedy(remedy)));
}

/// The key that is sent under must be one of those listed.
fn exists(active: &Spanned<KeyId>, listed: &Listed, problems: &mut Problems) -> Result<(), Reported> {
    // The one that could not be read may be the one.
    if listed.files.contains_key(active.get_ref()) || !listed.whole {
        return Ok(());
    }
    let ids: Vec<String> = listed.files.keys().map(ToString::to_string).collect();
    let message = format!("`active_key` is {}, but `keys` has no key of this id", active.get_ref());
    let remedy = format!("name one that is there ({}), or add a key with `id = {}`", ids.join(", "), active.get_ref());
    problems.report(Diagnostic::error(active.span(), message).remedy(remedy))
}

fn mode(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<AuthMode, Reported> {
    match value::choice(key, value, problems)? {
        "enforce" => Ok(AuthMode::Enforce),
        "permissive" => Ok(AuthMode::Permissive),
        "receive-only" => Ok(AuthMode::ReceiveOnly),
        other => problems.report(Diagnostic::error(value.span(), format!("`{}` cannot be \"{other}\"", key.name))),
    }
}

fn key_id(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<KeyId, Reported> {
    let number = value::integer(key, value, problems)?;
    match u8::try_from(number).ok().and_then(KeyId::new) {
        Some(id) => Ok(id),
        None => problems.report(Diagnostic::error(value.span(), format!("`{}` is out of range", key.name))),
    }
}

fn listed(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Listed, Reported> {
    let example = || format!("write, for example, `{} = {}`", key.name, key.example);
    let DeValue::Array(array) = value.get_ref() else {
        let message = format!("`{}` must be {}, not {}", key.name, key.noun(), kind_of(value.get_ref()));
        return problems.report(Diagnostic::error(value.span(), message).remedy(example()));
    };
    if array.is_empty() {
        let message = format!("`{}` is empty: there is no key to authenticate with", key.name);
        return problems.report(Diagnostic::error(value.span(), message).remedy(example()));
    }
    if let Some(first) = array.get(MAX_KEYS) {
        let message = format!("`{}` lists {} keys, more than there are ids", key.name, array.len());
        return problems.report(Diagnostic::error(first.span(), message).remedy("leave out those not in use"));
    }
    let mut listed = Listed { files: BTreeMap::new(), whole: true };
    let mut places: BTreeMap<KeyId, std::ops::Range<usize>> = BTreeMap::new();
    for element in array.iter() {
        let Ok((id, file)) = one(key, element, problems) else {
            listed.whole = false;
            continue;
        };
        let twice = places.get(id.get_ref()).map(|first| (first.clone(), "`id`"));
        let same_file = || listed.files.values().find(|other| other.get_ref() == file.get_ref());
        let twice = twice.or_else(|| same_file().map(|other| (other.span(), "`file`")));
        if let Some((first, what)) = twice {
            let message = format!("`{}` has two keys with the same {what}", key.name);
            let again = if what == "`id`" { id.span() } else { file.span() };
            let remedy = "give each key its own id and its own file, or remove one of the two";
            problems.push(Diagnostic::error(again, message).remedy(remedy).related(first, "first here"));
            listed.whole = false;
            continue;
        }
        places.insert(*id.get_ref(), id.span());
        listed.files.insert(id.into_inner(), file);
    }
    Ok(listed)
}

fn one(
    key: &Key,
    element: Value<'_, '_>,
    problems: &mut Problems,
) -> Result<(Spanned<KeyId>, Spanned<PathBuf>), Reported> {
    let DeValue::Table(table) = element.get_ref() else {
        let message = format!("every element of `{}` must be a table, not {}", key.name, kind_of(element.get_ref()));
        let remedy = format!("write, for example, `{} = {}`; the key itself stands in the file", key.name, key.example);
        return problems.report(Diagnostic::error(element.span(), message).remedy(remedy));
    };
    let section = Section::new(format!("an element of {}", key.name), element.span(), table, &keys::AUTH_KEY, problems);
    let id = section.required(&keys::KEY_ID, problems, key_id);
    let file = section.required(&keys::KEY_FILE, problems, file);
    Ok((id?, file?))
}

fn file(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<PathBuf, Reported> {
    let text = value::text(key, value, problems)?;
    let path = Path::new(text);
    // What follows is not repeated: whoever mistakes the key for its file has a key there.
    if !path.is_absolute() {
        let message = format!("`{}` is not an absolute path", key.name);
        let remedy = format!("write the whole path, from `/` on, such as `{} = {}`", key.name, key.example);
        return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
    }
    if text.contains('\0') {
        let message = format!("`{}`: \"{}\" has a NUL character, which no path can have", key.name, shown(text));
        return problems.report(Diagnostic::error(value.span(), message).remedy("leave out the `\\u0000`"));
    }
    Ok(path.to_owned())
}
