use std::net::Ipv4Addr;
use std::time::Duration;

use toml::Spanned;

use super::address;
use super::diagnostic::{Diagnostic, Problems, Reported, shown};
use super::keys::{self, Key};
use super::model::{RouterConfig, WhenUnhealthy};
use super::table::{Named, Section, Value};
use super::value::{self, List, NAME_RULE};
use crate::types::{
    CheckName, InterfaceName, Interval, IntervalError, IpNet, Ipv4Net, Priority, RouterName, VirtualAddress, Vrid,
};

/// An advert counts its addresses in one byte (RFC 9568 section 5.2.5).
pub(super) const MAX_ADDRESSES: usize = 255;
/// IPv4 header, VRRP header and four bytes an address must fit into one packet on Ethernet.
const _: () = assert!(20 + 8 + 4 * MAX_ADDRESSES <= 1500);

/// Most names in one list of checks or interfaces.
const MAX_NAMES: usize = 256;

/// One `[virtual_router.NAME]` as far as it could be read, with the places of what others are held against.
pub(super) struct Draft {
    /// Its name, for messages.
    pub title: String,
    pub name: Result<RouterName, Reported>,
    pub interface: Result<Spanned<InterfaceName>, Reported>,
    pub vrid: Result<Spanned<Vrid>, Reported>,
    pub priority: Result<Option<Spanned<Priority>>, Reported>,
    /// Those that could be read, and whether all could.
    pub addresses: List<Ipv4Net>,
    pub preempt: Result<Option<Spanned<bool>>, Reported>,
    /// Names as written, whether there are such checks or not.
    pub checks: List<CheckName>,
    advert_interval: Result<Option<Spanned<Interval>>, Reported>,
    version: Result<Option<Spanned<i64>>, Reported>,
    preempt_delay: Result<Option<Spanned<Duration>>, Reported>,
    lease: Result<Option<Spanned<bool>>, Reported>,
    track_interfaces: List<InterfaceName>,
    when_unhealthy: Result<Option<Spanned<WhenUnhealthy>>, Reported>,
}

impl Draft {
    /// Reads a section and reports what is wrong with it alone.
    pub(super) fn read(named: &Named<'_, '_>, problems: &mut Problems) -> Self {
        let section = &named.section;
        let draft = Draft {
            title: section.title.clone(),
            name: value::parsed("virtual_router", &named.name, NAME_RULE, problems),
            interface: section.required(&keys::INTERFACE, problems, interface),
            vrid: section.required(&keys::VRID, problems, vrid),
            priority: section.optional(&keys::PRIORITY, problems, priority),
            addresses: or_nothing(section.required(&keys::ADDRESSES, problems, addresses).map(Some)),
            advert_interval: section.optional(&keys::ADVERT_INTERVAL, problems, advert_interval),
            version: section.optional(&keys::VERSION, problems, value::integer),
            preempt: section.optional(&keys::PREEMPT, problems, value::boolean),
            preempt_delay: section.optional(&keys::PREEMPT_DELAY, problems, value::duration),
            lease: section.optional(&keys::LEASE, problems, value::boolean),
            checks: or_nothing(section.optional(&keys::CHECKS, problems, checks)),
            track_interfaces: or_nothing(section.optional(&keys::TRACK_INTERFACES, problems, interfaces)),
            when_unhealthy: section.optional(&keys::WHEN_UNHEALTHY, problems, when_unhealthy),
        };
        draft.contradictions(section, problems);
        draft
    }

    /// Keys that cannot have the effect that their author expects.
    fn contradictions(&self, section: &Section<'_, '_>, problems: &mut Problems) {
        let given = |key: &Key| section.key_span(key);
        let owner = matches!(&self.priority, Ok(Some(priority)) if priority.get_ref().is_owner());
        let unwilling = matches!(&self.preempt, Ok(Some(preempt)) if !preempt.get_ref());
        let delayed = matches!(&self.preempt_delay, Ok(Some(delay)) if !delay.get_ref().is_zero());
        if let (true, true, Some(span)) = (owner, unwilling, given(&keys::PREEMPT)) {
            let message =
                "`preempt = false` has no effect at priority 255: the owner of the addresses always takes over";
            let remedy = "remove it, or give this node a `priority` below 255";
            problems.push(Diagnostic::warning(span, message).remedy(remedy));
        }
        if let (true, Some(span)) = (delayed && (unwilling || owner), given(&keys::PREEMPT_DELAY)) {
            let why = if unwilling { "with `preempt = false`" } else { "at priority 255" };
            let message = format!("`preempt_delay` has no effect {why}");
            problems.push(Diagnostic::warning(span, message).remedy("remove it"));
        }
        if let Ok(own) = &self.interface {
            for tracked in self.track_interfaces.items.iter().filter(|tracked| tracked.get_ref() == own.get_ref()) {
                let message = format!("`track_interfaces` lists `{}`, the router's own interface", own.get_ref());
                let remedy = "remove it: the link of its own interface always counts";
                problems.push(Diagnostic::warning(tracked.span(), message).remedy(remedy));
            }
        }
    }

    /// The router's name and configuration; `None` when a problem was reported.
    pub(super) fn finish(self) -> Option<(RouterName, RouterConfig)> {
        let interface = self.interface.ok()?.into_inner();
        // Only one version can be given; this makes sure that a wrong one was not.
        self.version.ok()?;
        let (addresses, checks, tracked) =
            (self.addresses.complete()?, self.checks.complete()?, self.track_interfaces.complete()?);
        let config = RouterConfig {
            interface,
            vrid: self.vrid.ok()?.into_inner(),
            priority: self.priority.ok()?.map_or(Priority::DEFAULT, Spanned::into_inner),
            addresses: addresses.into_iter().map(|net| VirtualAddress { net: IpNet::V4(net), interface }).collect(),
            advert_interval: self.advert_interval.ok()?.map_or(Interval::DEFAULT, Spanned::into_inner),
            preempt: self.preempt.ok()?.is_none_or(Spanned::into_inner),
            preempt_delay: self.preempt_delay.ok()?.map_or(Duration::ZERO, Spanned::into_inner),
            lease: self.lease.ok()?.is_none_or(Spanned::into_inner),
            checks,
            track_interfaces: tracked.into_iter().filter(|name| *name != interface).collect(),
            when_unhealthy: self.when_unhealthy.ok()?.map_or(WhenUnhealthy::Hold, Spanned::into_inner),
        };
        Some((self.name.ok()?, config))
    }
}

impl<T> List<T> {
    /// All elements, if none was left out.
    fn complete(self) -> Option<Vec<T>> {
        self.whole.then(|| self.items.into_iter().map(Spanned::into_inner).collect())
    }
}

fn or_nothing<T>(list: Result<Option<Spanned<List<T>>>, Reported>) -> List<T> {
    match list {
        Ok(Some(list)) => list.into_inner(),
        Ok(None) => List { items: Vec::new(), whole: true },
        Err(Reported) => List { items: Vec::new(), whole: false },
    }
}

fn interface(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<InterfaceName, Reported> {
    let name = value::text(key, value, problems)?;
    value::interface_name(key, &Spanned::new(value.span(), name), problems)
}

fn vrid(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Vrid, Reported> {
    let number = value::integer(key, value, problems)?;
    match u8::try_from(number).ok().and_then(Vrid::new) {
        Some(vrid) => Ok(vrid),
        None => problems.report(Diagnostic::error(value.span(), format!("`{}` is out of range", key.name))),
    }
}

fn priority(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Priority, Reported> {
    let number = value::integer(key, value, problems)?;
    match u8::try_from(number).ok().and_then(Priority::new) {
        Some(priority) => Ok(priority),
        None => problems.report(Diagnostic::error(value.span(), format!("`{}` is out of range", key.name))),
    }
}

fn advert_interval(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<Interval, Reported> {
    let span = value::duration(key, value, problems)?;
    Interval::from_duration(span).or_else(|error| {
        let message = match error {
            IntervalError::Grain => format!("`{}` must be a multiple of 10ms", key.name),
            IntervalError::Range => format!("`{}` must be from 10ms to 40.95s", key.name),
        };
        let remedy = "adverts carry it in hundredths of a second: write, for example, \"10ms\", \"250ms\" or \"1s\"";
        problems.report(Diagnostic::error(value.span(), message).remedy(remedy))
    })
}

fn when_unhealthy(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<WhenUnhealthy, Reported> {
    match value::choice(key, value, problems)? {
        "hold" => Ok(WhenUnhealthy::Hold),
        "release" => Ok(WhenUnhealthy::Release),
        other => problems.report(Diagnostic::error(value.span(), format!("`{}` cannot be \"{other}\"", key.name))),
    }
}

fn addresses(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<List<Ipv4Net>, Reported> {
    let texts = value::texts(key, value, problems)?;
    if texts.items.is_empty() && texts.whole {
        let message = format!("`{}` is empty: a virtual router holds at least one address", key.name);
        let remedy = format!("list one, such as `{} = {}`", key.name, key.example);
        return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
    }
    if let Some(first) = texts.items.get(MAX_ADDRESSES) {
        let message = format!(
            "`{}` lists {} addresses, more than the {MAX_ADDRESSES} that an advert can count",
            key.name,
            texts.items.len()
        );
        let remedy = "spread them over several virtual routers; from this one on they are too many";
        return problems.report(Diagnostic::error(first.span(), message).remedy(remedy));
    }
    // An address without a prefix length most likely lies in the subnet of one beside it.
    let subnets: Vec<Ipv4Net> = texts.items.iter().filter_map(|text| text.get_ref().parse().ok()).collect();
    let likely = |address: Ipv4Addr| subnets.iter().find(|net| net.contains(&address)).map(Ipv4Net::prefix_len);
    let mut list = List { items: Vec::new(), whole: texts.whole };
    for text in texts.items {
        match address::parse(text.get_ref(), likely) {
            Ok(net) => list.items.push(Spanned::new(text.span(), net)),
            Err(mistake) => {
                let message = format!("`{}`: \"{}\" {}", key.name, shown(text.get_ref()), mistake.what);
                problems.push(Diagnostic::error(text.span(), message).remedy(mistake.remedy));
                list.whole = false;
            }
        }
    }
    Ok(list)
}

fn checks(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<List<CheckName>, Reported> {
    names(key, value, problems, |name, problems| value::parsed(key.name, name, NAME_RULE, problems))
}

fn interfaces(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<List<InterfaceName>, Reported> {
    names(key, value, problems, |name, problems| value::interface_name(key, name, problems))
}

/// An array of names, not more than there can be checks, none of them twice.
fn names<T: PartialEq + std::fmt::Display>(
    key: &Key,
    value: Value<'_, '_>,
    problems: &mut Problems,
    read: impl Fn(&Spanned<&str>, &mut Problems) -> Result<T, Reported>,
) -> Result<List<T>, Reported> {
    let texts = value::texts(key, value, problems)?;
    if let Some(first) = texts.items.get(MAX_NAMES) {
        let message = format!("`{}` lists {} names, more than {MAX_NAMES}", key.name, texts.items.len());
        let remedy = "leave some out; from this one on they are too many";
        return problems.report(Diagnostic::error(first.span(), message).remedy(remedy));
    }
    let mut list: List<T> = List { items: Vec::new(), whole: texts.whole };
    for text in texts.items {
        let Ok(name) = read(&text, problems) else {
            list.whole = false;
            continue;
        };
        if let Some(first) = list.items.iter().find(|other| *other.get_ref() == name) {
            let message = format!("`{}` lists `{name}` twice", key.name);
            let again = Diagnostic::error(text.span(), message).remedy("remove one of the two");
            problems.push(again.related(first.span(), "first here"));
            list.whole = false;
            continue;
        }
        list.items.push(Spanned::new(text.span(), name));
    }
    Ok(list)
}
