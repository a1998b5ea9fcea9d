use std::net::IpAddr;
use std::time::Duration;

use toml::Spanned;

use super::addresses::{self, Entry};
use super::adverts::{Adverts, Beside, Settled};
use super::auth::{self, Auth};
use super::diagnostic::{Diagnostic, Problems, Reported};
use super::duration;
use super::keys::{self, Key};
use super::model::{RouterConfig, WhenUnhealthy};
use super::table::{Named, Section, Value};
use super::value::{self, List, NAME_RULE};
use crate::types::{
    CheckName, Family, InterfaceName, Interval, IntervalError, Priority, RouterName, VirtualAddress, Vrid,
};

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
    pub addresses: List<Entry>,
    pub adverts: Adverts,
    pub preempt: Result<Option<Spanned<bool>>, Reported>,
    /// Names as written, whether there are such checks or not.
    pub checks: List<CheckName>,
    advert_interval: Result<Option<Spanned<Interval>>, Reported>,
    preempt_delay: Result<Option<Spanned<Duration>>, Reported>,
    lease: Result<Option<Spanned<bool>>, Reported>,
    start_delay: Result<Option<Spanned<Duration>>, Reported>,
    link_debounce: Result<Option<Spanned<Duration>>, Reported>,
    track_interfaces: List<InterfaceName>,
    when_unhealthy: Result<Option<Spanned<WhenUnhealthy>>, Reported>,
    auth: Result<Option<Spanned<Auth>>, Reported>,
}

impl Draft {
    /// Reads a section and reports what is wrong with it alone.
    pub(super) fn read(named: &Named<'_, '_>, problems: &mut Problems) -> Self {
        let section = &named.section;
        let adverts = Adverts::read(section, problems);
        let draft = Draft {
            title: section.title.clone(),
            name: value::parsed("virtual_router", &named.name, NAME_RULE, problems),
            interface: section.required(&keys::INTERFACE, problems, interface),
            vrid: section.required(&keys::VRID, problems, vrid),
            priority: section.optional(&keys::PRIORITY, problems, priority),
            addresses: or_nothing(section.required(&keys::ADDRESSES, problems, addresses::read).map(Some)),
            advert_interval: section.optional(&keys::ADVERT_INTERVAL, problems, advert_interval),
            preempt: section.optional(&keys::PREEMPT, problems, value::boolean),
            preempt_delay: section.optional(&keys::PREEMPT_DELAY, problems, value::duration),
            lease: section.optional(&keys::LEASE, problems, value::boolean),
            start_delay: section.optional(&keys::START_DELAY, problems, value::duration),
            link_debounce: section.optional(&keys::LINK_DEBOUNCE, problems, value::duration),
            checks: or_nothing(section.optional(&keys::CHECKS, problems, checks)),
            track_interfaces: or_nothing(section.optional(&keys::TRACK_INTERFACES, problems, interfaces)),
            when_unhealthy: section.optional(&keys::WHEN_UNHEALTHY, problems, when_unhealthy),
            auth: section.optional(&keys::AUTH, problems, |_, value, problems| {
                let version = adverts.version();
                problems.unquoted(|problems| auth::read(&section.title, version, value, problems))
            }),
            adverts,
        };
        draft.contradictions(section, problems);
        draft.adverts.examine(&draft.beside(section), problems);
        draft
    }

    fn beside(&self, section: &Section<'_, '_>) -> Beside<'_> {
        let priority = self.priority.as_ref().ok().and_then(Option::as_ref);
        Beside {
            addresses: &self.addresses,
            addresses_span: section.get(&keys::ADDRESSES).map(|value| value.span()),
            interval: self.advert_interval.as_ref().ok().and_then(Option::as_ref),
            priority: priority.map(|priority| *priority.get_ref()),
            vrid: self.vrid.as_ref().ok().map(|vrid| *vrid.get_ref()),
        }
    }

    /// The family that carries its adverts; `None` if that cannot be told.
    pub(super) fn family(&self) -> Option<Family> {
        self.adverts.family(&self.addresses)
    }

    /// Which addresses it moves, and on which interface, as far as that is known.
    pub(super) fn carried(&self) -> impl Iterator<Item = (Option<InterfaceName>, &Spanned<Entry>)> {
        let own = self.interface.as_ref().ok().map(|interface| *interface.get_ref());
        self.addresses.items.iter().map(move |entry| (entry.get_ref().interface.or(own), entry))
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
        if let (Ok(interval), Ok(Some(debounce))) = (&self.advert_interval, &self.link_debounce) {
            let interval = interval.as_ref().map_or(Interval::DEFAULT, |interval| *interval.get_ref());
            let patience = interval.duration() * 3;
            if *debounce.get_ref() > patience {
                let message = "`link_debounce` is longer than the other nodes wait before they take over";
                let remedy = format!(
                    "three adverts missed are enough for them: make it \"{}\" or less",
                    duration::show(patience)
                );
                problems.push(Diagnostic::warning(debounce.span(), message).remedy(remedy));
            }
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
        let Settled { version, family, source, unicast_peers, checksum } = self.adverts.settle(&self.addresses)?;
        let (addresses, checks, tracked) =
            (self.addresses.complete()?, self.checks.complete()?, self.track_interfaces.complete()?);
        let listed = addresses.iter().filter(|entry| entry.is_listed(family));
        let advertised: Vec<IpAddr> = listed.map(|entry| entry.net.addr()).collect();
        let (auth, password) = self.auth.ok()?.map_or((None, None), |auth| auth.into_inner().split());
        let carried = |entry: Entry| VirtualAddress { net: entry.net, interface: entry.interface.unwrap_or(interface) };
        let config = RouterConfig {
            interface,
            vrid: self.vrid.ok()?.into_inner(),
            priority: self.priority.ok()?.map_or(Priority::DEFAULT, Spanned::into_inner),
            version,
            family,
            addresses: addresses.into_iter().map(carried).collect(),
            advertised,
            source,
            unicast_peers,
            checksum,
            password,
            advert_interval: self.advert_interval.ok()?.map_or(Interval::DEFAULT, Spanned::into_inner),
            preempt: self.preempt.ok()?.is_none_or(Spanned::into_inner),
            preempt_delay: self.preempt_delay.ok()?.map_or(Duration::ZERO, Spanned::into_inner),
            lease: self.lease.ok()?.is_none_or(Spanned::into_inner),
            start_delay: self.start_delay.ok()?.map_or(Duration::ZERO, Spanned::into_inner),
            link_debounce: self.link_debounce.ok()?.map_or(Duration::ZERO, Spanned::into_inner),
            checks,
            track_interfaces: tracked.into_iter().filter(|name| *name != interface).collect(),
            when_unhealthy: self.when_unhealthy.ok()?.map_or(WhenUnhealthy::Hold, Spanned::into_inner),
            auth,
        };
        Some((self.name.ok()?, config))
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

fn checks(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<List<CheckName>, Reported> {
    value::list(key, value, MAX_NAMES, problems, |name, problems| value::parsed(key.name, name, NAME_RULE, problems))
}

fn interfaces(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<List<InterfaceName>, Reported> {
    value::list(key, value, MAX_NAMES, problems, |name, problems| value::interface_name(key, name, problems))
}
