use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::cross::{self, Defined};
use super::diagnostic::{Diagnostic, Problems, shown};
use super::model::{Config, Secrets};
use super::router::Draft;
use super::value::{self, NAME_RULE};
use super::{check, keys, syntax, table};
use crate::types::RouterName;

/// Largest file that is read, in bytes.
const MAX_SOURCE: usize = 1 << 20;
/// Most virtual routers and checks of one file.
const MAX_ROUTERS: usize = 1024;
const MAX_CHECKS: usize = 256;

/// A file that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What it asks for.
    pub config: Config,
    /// What it hardly means, sorted by position; all of them [`Severity::Warning`](super::Severity::Warning).
    pub warnings: Vec<Diagnostic>,
}

/// Reads and validates a configuration file.
///
/// `default_node_name` is what the node is called where the file does not say (the host name).
///
/// # Errors
/// All problems of the file, warnings included, sorted by position, at most 1000 of each severity; at least one is an
/// error. A file of more than 1 MiB is one problem.
pub fn parse(source: &str, default_node_name: &str) -> Result<Parsed, Vec<Diagnostic>> {
    if source.len() > MAX_SOURCE {
        let message = format!("the file has {} bytes, more than the {MAX_SOURCE} that are read", source.len());
        return Err(vec![Diagnostic::error(0..0, message).remedy("check that this is the right file")]);
    }
    let (root, errors) = DeTable::parse_recoverable(source);
    let (not_toml, lines) = syntax::diagnostics(source, &errors);
    let mut problems = Problems::new(not_toml.is_empty());
    let config = read(root.get_ref(), default_node_name, &mut problems);
    if !lines.is_empty() {
        problems.retain_outside(&lines);
        not_toml.into_iter().for_each(|diagnostic| problems.push(diagnostic));
    }
    match (problems.finish(), config) {
        ((false, warnings), Some(config)) => Ok(Parsed { config, warnings }),
        ((true, diagnostics), _) => Err(diagnostics),
        // Whatever cannot be read was reported; a slip in that must not lose a router in silence.
        ((false, _), None) => {
            Err(vec![Diagnostic::error(0..0, "the file could not be read, for no reason that is known")])
        }
    }
}

fn read(root: &DeTable<'_>, default_node_name: &str, problems: &mut Problems) -> Option<Config> {
    table::top_level(root, problems);
    let section = table::plain(root, &keys::NODE, problems);
    let node = node_name(section.as_ref(), default_node_name, problems);
    let realtime = section.map_or(Ok(None), |section| section.optional(&keys::NODE_REALTIME, problems, value::boolean));

    let checks = table::named(root, &keys::CHECK, MAX_CHECKS, problems);
    let headers: Vec<(&str, Range<usize>)> =
        checks.iter().map(|named| (*named.name.get_ref(), named.section.header.clone())).collect();
    let specs: BTreeMap<_, _> =
        checks.iter().filter_map(|named| check::read(named, problems)).map(|spec| (spec.name.clone(), spec)).collect();

    let routers = table::named(root, &keys::VIRTUAL_ROUTER, MAX_ROUTERS, problems);
    let drafts: Vec<Draft> = routers.iter().map(|named| Draft::read(named, problems)).collect();

    cross::examine(&drafts, &Defined { headers: &headers, specs: &specs }, problems);
    let count = drafts.len();
    let routers: BTreeMap<_, _> = drafts.into_iter().filter_map(Draft::finish).collect();
    let realtime = realtime.ok()?.is_some_and(Spanned::into_inner);
    let whole = routers.len() == count && specs.len() == headers.len();
    whole.then_some(Config { node: node?, realtime, routers, checks: specs, secrets: Secrets::new() })
}

fn node_name(section: Option<&table::Section<'_, '_>>, default: &str, problems: &mut Problems) -> Option<String> {
    if let Some(section) = section {
        let read = section.optional(&keys::NODE_NAME, problems, |key, value, problems| {
            let text = value::text(key, value, problems)?;
            let name = Spanned::new(value.span(), text);
            value::parsed::<RouterName>(key.name, &name, NAME_RULE, problems).map(|name| name.as_str().to_owned())
        });
        if let Some(name) = read.ok()? {
            return Some(name.into_inner());
        }
    }
    match default.parse::<RouterName>() {
        Ok(name) => Some(name.as_str().to_owned()),
        Err(error) => {
            let message = format!("the host name \"{}\" cannot stand for `name` in `[node]`: {error}", shown(default));
            let span = section.map_or(0..0, |section| section.header.clone());
            problems.push(Diagnostic::error(span, message).remedy("add to the file: `[node]` with `name = \"lb1\"`"));
            None
        }
    }
}
