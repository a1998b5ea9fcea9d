use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::address;
use super::diagnostic::{Diagnostic, Problems, Reported, shown};
use super::keys::{self, Key};
use super::table::{Section, Value, kind_of};
use super::value::{self, List};
use crate::types::{Family, InterfaceName, IpNet};

/// More addresses than any router needs: an advert lists 255, and others may be held beside those.
const MAX_ADDRESSES: usize = 1024;

/// One element of `addresses`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub net: IpNet,
    /// Where it goes, if not to the interface of the adverts.
    pub interface: Option<InterfaceName>,
    /// Whether adverts list it, where the file says so.
    pub advertise: Option<Spanned<bool>>,
}

impl Entry {
    pub(super) fn family(&self) -> Family {
        Family::of(self.net.addr())
    }

    /// Whether adverts over this family list it.
    pub(super) fn is_listed(&self, family: Family) -> bool {
        self.family() == family && self.advertise.as_ref().is_none_or(|advertise| *advertise.get_ref())
    }
}

/// Reads `addresses`: strings, and tables for those that need more said. Each is placed where its address stands.
pub(super) fn read(key: &Key, value: Value<'_, '_>, problems: &mut Problems) -> Result<List<Entry>, Reported> {
    let array = match value.get_ref() {
        DeValue::Array(array) => array,
        DeValue::String(text) => {
            let message = format!("`{}` must be {}, not a string", key.name, key.noun());
            let remedy = format!("write `{} = [\"{}\"]`", key.name, shown(text));
            return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
        }
        other => {
            let message = format!("`{}` must be {}, not {}", key.name, key.noun(), kind_of(other));
            return problems.report(Diagnostic::error(value.span(), message).remedy(for_example(key)));
        }
    };
    if array.is_empty() {
        let message = format!("`{}` is empty: a virtual router holds at least one address", key.name);
        let remedy = format!("list one, such as `{} = {}`", key.name, key.example);
        return problems.report(Diagnostic::error(value.span(), message).remedy(remedy));
    }
    if let Some(first) = array.get(MAX_ADDRESSES) {
        let message = format!("`{}` lists {} addresses, more than {MAX_ADDRESSES}", key.name, array.len());
        let remedy = "spread them over several virtual routers; from this one on they are too many";
        return problems.report(Diagnostic::error(first.span(), message).remedy(remedy));
    }
    // An address without a prefix length most likely lies in the subnet of one beside it.
    let subnets: Vec<IpNet> = array.iter().filter_map(|element| text_of(element)?.parse().ok()).collect();
    let mut list = List { items: Vec::new(), whole: true };
    for element in array.iter() {
        match entry(key, element, &subnets, problems) {
            Ok(entry) => list.items.push(entry),
            Err(Reported) => list.whole = false,
        }
    }
    Ok(list)
}

fn for_example(key: &Key) -> String {
    format!("write, for example, `{} = {}`", key.name, key.example)
}

fn text_of<'a>(element: Value<'a, '_>) -> Option<&'a str> {
    match element.get_ref() {
        DeValue::Table(table) => table.get(keys::ADDRESS.name)?.get_ref().as_str(),
        other => other.as_str(),
    }
}

fn entry(
    key: &Key,
    element: Value<'_, '_>,
    subnets: &[IpNet],
    problems: &mut Problems,
) -> Result<Spanned<Entry>, Reported> {
    match element.get_ref() {
        DeValue::String(text) => {
            let net = net(key, &Spanned::new(element.span(), text), subnets, problems)?;
            Ok(Spanned::new(element.span(), Entry { net, interface: None, advertise: None }))
        }
        DeValue::Table(table) => from_table(element, table, subnets, problems),
        other => {
            let kind = kind_of(other);
            let message = format!("every element of `{}` must be a string or a table, not {kind}", key.name);
            problems.report(Diagnostic::error(element.span(), message).remedy(for_example(key)))
        }
    }
}

fn from_table(
    element: Value<'_, '_>,
    table: &DeTable<'_>,
    subnets: &[IpNet],
    problems: &mut Problems,
) -> Result<Spanned<Entry>, Reported> {
    let title = "addresses".to_owned();
    let section = Section::new(title, element.span(), table, &keys::ADDRESS_TABLE, problems);
    let address = section.required(&keys::ADDRESS, problems, |key, value, problems| {
        let text = value::text(key, value, problems)?;
        net(key, &Spanned::new(value.span(), text), subnets, problems)
    });
    let interface = section.optional(&keys::ADDRESS_INTERFACE, problems, |key, value, problems| {
        let name = value::text(key, value, problems)?;
        value::interface_name(key, &Spanned::new(value.span(), name), problems)
    });
    let advertise = section.optional(&keys::ADVERTISE, problems, value::boolean);
    let (address, interface) = (address?, interface?.map(Spanned::into_inner));
    let span = address.span();
    Ok(Spanned::new(span, Entry { net: address.into_inner(), interface, advertise: advertise? }))
}

fn net(
    key: &Key,
    text: &Spanned<impl AsRef<str>>,
    subnets: &[IpNet],
    problems: &mut Problems,
) -> Result<IpNet, Reported> {
    let written = text.get_ref().as_ref();
    let likely = |address| subnets.iter().find(|net| net.contains(&address)).map(IpNet::prefix_len);
    address::parse(written, likely).or_else(|mistake| {
        let message = format!("`{}`: \"{}\" {}", key.name, shown(written), mistake.what);
        problems.report(Diagnostic::error(text.span(), message).remedy(mistake.remedy))
    })
}
