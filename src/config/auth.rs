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

/// The keys that could be read, with the places of their ids, and whether all could.
struct Listed {
    files: BTreeMap<KeyId, Spanned<PathBuf>>,
    whole: bool,
}

/// What the table `auth` holds: keys in version 3, a password in version 2.
pub(super) enum Auth {
    Keys(AuthConfig),
    Password(Password),
}

impl Auth {
    /// Apart.
    pub(super) fn split(self) -> (Option<AuthConfig>, Option<Password>) {
        match self {
            Auth::Keys(config) => (Some(config), None),
            Auth::Password(password) => (None, Some(password)),
        }
    }
}

/// Reads the table `auth` of the virtual router of this version whose section is called `router`.
pub(super) fn read(
    router: &str,
    version: Option<Version>,
    value: Value<'_, '_>,
    problems: &mut Problems,
) -> Result<Auth, Reported> {
    let title = format!("[{}.auth]", router.trim_matches(['[', ']']));
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("`auth` must be a table, not {}", kind_of(value.get_ref()));
        let remedy = format!("begin it with a line `{title}`");
        return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
    };
    let section = Section::new(title, value.span(), table, &keys::VIRTUAL_ROUTER_AUTH, problems);
    let others: &[Key] = match version {
        Some(Version::V2) => &[keys::AUTH_MODE, keys::ACTIVE_KEY, keys::AUTH_KEYS],
        Some(Version::V3) => &[keys::PASS],
        // What the version is was told already to be unreadable.
        None => return Err(Reported),
    };
    let mut fits = true;
    for (key, span) in others.iter().filter_map(|key| Some((key, section.key_span(key)?))) {
        let (message, remedy) = match version {
            Some(Version::V2) => {
                ("version 2 knows a password alone", "remove it and write `pass`, or leave out `version = 2`")
            }
            Some(Version::V3) | None => {
                ("only version 2 knows passwords", "remove it and write `mode`, `active_key` and `keys`")
            }
        };
        problems.push(Diagnostic::error(span, format!("`{}`: {message}", key.name)).remedy(remedy));
        fits = false;
    }
    if !fits {
        // What else is missing follows from that.
        return Err(Reported);
    }
    match version {
        Some(Version::V2) => {
            section.required(&keys::PASS, problems, password).map(|read| Auth::Password(read.into_inner()))
        }
        Some(Version::V3) | None => by_keys(&section, problems).map(Auth::Keys),
    }
}

/// The password is not repeated, whatever is wrong with it.
fn password(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Password, Reported> {
    let text = value::text(key, value, problems)?;
    let password = Password::new(text.as_bytes()).filter(|_| !text.contains('\0'));
    password.map_or_else(
        || {
            let message = match text.len() {
                0 => format!("`{}` is empty", key.name),
                length @ 9.. => format!("`{}` has {length} bytes, more than the 8 that an advert carries", key.name),
                1..9 => format!("`{}` has a NUL character", key.name),
            };
            let remedy = "write 1 to 8 bytes, the same on all nodes; keepalived uses the first 8 of a longer one";
            problems.report(Diagnostic::error(value.span(), message).remedy(remedy))
        },
        Ok,
    )
}

fn by_keys(section: &Section<'_, '_>, problems: &mut Problems) -> Result<AuthConfig, Reported> {
    let mode = section.required(&keys::AUTH_MODE, problems, mode);
    let active = section.required(&keys::ACTIVE_KEY, problems, key_id);
    let listed = section.required(&keys::AUTH_KEYS, problems, listed).map(Spanned::into_inner);
    if let (Ok(active), Ok(listed)) = (&active, &listed) {
        exists(active, listed, problems)?;
    }
    let listed = listed?;
    let keys = listed.files.into_iter().map(|(id, file)| (id, file.into_inner())).collect();
    let config = AuthConfig { mode: mode?.into_inner(), active_key: active?.into_inner(), keys };
    if listed.whole { Ok(config) } else { Err(Reported) }
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
