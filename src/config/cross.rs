use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use toml::Spanned;

use super::diagnostic::{Diagnostic, Problems, shown};
use super::router::Draft;
use super::unknown::nearest;
use crate::types::{CheckName, CheckSpec, Family, InterfaceName, Vrid};

/// The checks of a file as far as others refer to them.
pub(super) struct Defined<'a> {
    /// Name as written and place of the header, in the order of the file, unreadable checks included.
    pub headers: &'a [(&'a str, Range<usize>)],
    /// Those that could be read.
    pub specs: &'a BTreeMap<CheckName, CheckSpec>,
}

/// Reports what is wrong between the sections of a file; `drafts` are in the order of the file.
pub(super) fn examine(drafts: &[Draft], checks: &Defined<'_>, problems: &mut Problems) {
    one_vrid_an_interface(drafts, problems);
    one_address_an_interface(drafts, problems);
    no_source_that_moves(drafts, problems);
    let mut used = BTreeSet::new();
    for draft in drafts {
        for name in &draft.checks.items {
            used.extend(resolve(draft, name, checks, problems));
        }
        weights(draft, checks, problems);
    }
    // A list that could not be read may be the one that uses it.
    if !problems.complete() || drafts.iter().any(|draft| !draft.checks.whole) {
        return;
    }
    for (name, header) in checks.headers {
        if used.contains(name) || name.parse::<CheckName>().is_err() {
            continue;
        }
        let message = format!("check `{name}` is used by no virtual router and never runs");
        let remedy = format!("add `checks = [\"{name}\"]` to a virtual router, or remove it");
        problems.push(Diagnostic::warning(header.clone(), message).remedy(remedy));
    }
}

fn one_vrid_an_interface(drafts: &[Draft], problems: &mut Problems) {
    let mut taken: BTreeMap<(InterfaceName, Family, Vrid), &Spanned<Vrid>> = BTreeMap::new();
    let mut elsewhere: BTreeMap<InterfaceName, BTreeSet<u8>> = BTreeMap::new();
    for draft in drafts {
        if let (Ok(interface), Ok(vrid)) = (&draft.interface, &draft.vrid) {
            elsewhere.entry(*interface.get_ref()).or_default().insert(vrid.get_ref().get());
        }
    }
    for draft in drafts {
        let (Ok(interface), Some(family), Ok(vrid)) = (&draft.interface, draft.family(), &draft.vrid) else {
            continue;
        };
        let Some(first) = taken.get(&(*interface.get_ref(), family, *vrid.get_ref())) else {
            taken.insert((*interface.get_ref(), family, *vrid.get_ref()), vrid);
            continue;
        };
        let numbers = elsewhere.get(interface.get_ref());
        let free = (vrid.get_ref().get()..=255).chain(1..=255).find(|n| numbers.is_none_or(|taken| !taken.contains(n)));
        let message = format!("`vrid` {} is taken on interface {} for {family}", vrid.get_ref(), interface.get_ref());
        let remedy = match free {
            Some(free) => format!("give each virtual router of an interface its own, here for example `vrid = {free}`"),
            None => "put some of the virtual routers on another interface".to_owned(),
        };
        problems.push(Diagnostic::error(vrid.span(), message).remedy(remedy).related(first.span(), "taken here"));
    }
}

fn one_address_an_interface(drafts: &[Draft], problems: &mut Problems) {
    let mut taken: BTreeMap<(InterfaceName, IpAddr), Range<usize>> = BTreeMap::new();
    for draft in drafts {
        // Within one router an address is a duplicate whatever the interface is called.
        let mut own: BTreeMap<IpAddr, (Option<InterfaceName>, Range<usize>)> = BTreeMap::new();
        for (interface, entry) in draft.carried() {
            let address = entry.get_ref().net.addr();
            let other = interface.and_then(|on| taken.get(&(on, address)));
            if let Some(first) = own.get(&address).map(|(_, span)| span).or(other) {
                let message = format!("`addresses`: {address} is listed twice");
                let remedy = "remove it from one of the two places: only one virtual router can hold it, and once";
                problems
                    .push(Diagnostic::error(entry.span(), message).remedy(remedy).related(first.clone(), "first here"));
            } else {
                own.insert(address, (interface, entry.span()));
            }
        }
        let known = own.into_iter().filter_map(|(address, (interface, span))| Some(((interface?, address), span)));
        taken.extend(known);
    }
}

/// What one router moves is no source for another's adverts. (A router's own addresses are looked at with itself.)
fn no_source_that_moves(drafts: &[Draft], problems: &mut Problems) {
    let moves = |draft: &Draft, address: IpAddr| {
        let mut entries = draft.addresses.items.iter();
        entries.find(|entry| entry.get_ref().net.addr() == address).map(Spanned::span)
    };
    for (number, draft) in drafts.iter().enumerate() {
        let Ok(Some(source)) = &draft.adverts.source else { continue };
        let others = drafts.iter().enumerate().filter(|(other, _)| *other != number);
        if let Some(span) = others.map(|(_, other)| other).find_map(|other| moves(other, *source.get_ref())) {
            let message = format!("`source`: {} is an address that another virtual router moves", source.get_ref());
            let remedy = "name an address that stays on this host, or leave it out: one is chosen then";
            problems.push(Diagnostic::error(source.span(), message).remedy(remedy).related(span, "moved here"));
        }
    }
}

/// The check that a router's list means: the one of that name, or else, after a report, the one it looks like.
fn resolve<'a>(
    draft: &Draft,
    name: &Spanned<CheckName>,
    checks: &Defined<'a>,
    problems: &mut Problems,
) -> Option<&'a str> {
    let wanted = name.get_ref().as_str();
    let names = || checks.headers.iter().map(|(name, _)| *name);
    if let Some(found) = names().find(|defined| *defined == wanted) {
        return Some(found);
    }
    let near = if problems.full() { None } else { nearest(wanted, names()) };
    if problems.complete() {
        let remedy = match near {
            Some(near) => format!("did you mean \"{}\"?", shown(near)),
            None => format!("add a table `[check.{}]` with a `script`", shown(wanted)),
        };
        let message = format!("`checks` of `{}` names `{}`, which is not defined", draft.title, shown(wanted));
        problems.push(Diagnostic::error(name.span(), message).remedy(remedy));
    }
    near
}

/// Weighted checks where the priority cannot follow them.
fn weights(draft: &Draft, checks: &Defined<'_>, problems: &mut Problems) {
    let Ok(priority) = &draft.priority else {
        return;
    };
    let unwilling = matches!(&draft.preempt, Ok(Some(preempt)) if !preempt.get_ref());
    let weighted = draft.checks.items.iter().filter_map(|name| {
        let weight = checks.specs.get(name.get_ref()).and_then(|spec| spec.weight)?;
        Some((name, weight))
    });
    let mut greatest = priority.as_ref().map_or(100, |priority| i32::from(priority.get_ref().get()));
    let mut raising = None;
    for (name, weight) in weighted {
        if let Some(owner) = priority.as_ref().filter(|priority| priority.get_ref().is_owner()) {
            let message = format!("`checks`: `{}` has a `weight`, but priority 255 cannot change", name.get_ref());
            let remedy = "give this router a `priority` below 255, or the check no `weight`";
            let error = Diagnostic::error(name.span(), message).remedy(remedy);
            problems.push(error.related(owner.span(), "the owner of the addresses"));
        } else if unwilling {
            let message = format!(
                "`checks`: where no node preempts, failure of `{}` cannot move the addresses while this node adverts",
                name.get_ref()
            );
            let remedy = "give the check no `weight`: its failure then makes the node resign";
            problems.push(Diagnostic::warning(name.span(), message).remedy(remedy));
        }
        if weight > 0 {
            greatest = greatest.saturating_add(i32::from(weight));
            raising = Some(name);
        }
    }
    let owner = priority.as_ref().is_some_and(|priority| priority.get_ref().is_owner());
    if let (Some(name), false, 255..) = (raising, owner, greatest) {
        let message = format!("`checks` raise the priority of `{}` to {greatest}, cut to 254", draft.title);
        let remedy = "lower `priority` or a `weight`, so that two healthy nodes still differ";
        problems.push(Diagnostic::warning(name.span(), message).remedy(remedy));
    }
}
