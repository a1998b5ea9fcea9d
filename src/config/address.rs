use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::diagnostic::{Mistake, shown};
use crate::types::{IpNet, Ipv4Net};

const FORM: &str = "write an address and its prefix length, such as \"192.0.2.10/24\" or \"2001:db8::10/64\"";
const REACHABLE: &str = "write an address that the hosts of the LAN can reach, such as \"192.0.2.10/24\"";

/// Reads an address that a virtual router can hold, with its prefix length.
///
/// `likely` is the prefix length to suggest where there is none, given the address.
pub(super) fn parse(text: &str, likely: impl Fn(IpAddr) -> Option<u8>) -> Result<IpNet, Mistake> {
    let (host, prefix) = match text.split_once('/') {
        Some((host, prefix)) => (host, Some(prefix)),
        None => (text, None),
    };
    let address = host.parse::<IpAddr>().map_err(|_| not_an_address(host, prefix))?;
    let Some(prefix) = prefix else {
        let (usual, whole) = match address {
            IpAddr::V4(_) => (24, 32),
            IpAddr::V6(_) => (64, 128),
        };
        let length = likely(address).unwrap_or(usual);
        return Err(Mistake::new(
            "has no prefix length",
            format!(
                "write \"{address}/{length}\" if its subnet is a /{length}, or \"{address}/{whole}\" for the address alone"
            ),
        ));
    };
    let length = prefix_length(address, prefix)?;
    if let Some(what) = unusable(address) {
        return Err(Mistake::new(what, REACHABLE));
    }
    let net = IpNet::new(address, length).map_err(|_| out_of_range(address))?;
    fits_its_subnet(net)?;
    Ok(net)
}

/// Reads the address of one host, which has no prefix length.
pub(super) fn host(text: &str) -> Result<IpAddr, Mistake> {
    if let Some((host, _)) = text.split_once('/').filter(|(host, _)| host.parse::<IpAddr>().is_ok()) {
        return Err(Mistake::new("has a prefix length, and one host has none", format!("write \"{host}\"")));
    }
    let address: IpAddr = text.parse().map_err(|_| Mistake {
        remedy: "write the address of a host, such as \"192.0.2.3\" or \"2001:db8::3\"".to_owned(),
        ..not_an_address(text, None)
    })?;
    match unusable(address) {
        Some(what) => Err(Mistake::new(what, "write the address of a host, such as \"192.0.2.3\"")),
        None => Ok(address),
    }
}

fn not_an_address(host: &str, prefix: Option<&str>) -> Mistake {
    let trimmed = host.trim();
    if trimmed != host && trimmed.parse::<IpAddr>().is_ok() {
        let rest = prefix.map_or("24", str::trim);
        return Mistake::new("has white space in it", format!("write \"{trimmed}/{}\"", shown(rest)));
    }
    if let Some((address, _)) = host.split_once('%').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok()) {
        let rest = prefix.map_or(String::new(), |prefix| format!("/{}", shown(prefix)));
        let remedy = format!("write \"{address}{rest}\": the interface is that of `interface`");
        return Mistake::new("names an interface after its address", remedy);
    }
    let parts: Vec<&str> = host.split('.').collect();
    let numbers: Option<Vec<u32>> = parts.iter().map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([a, b, c, d]) if [a, b, c, d].into_iter().all(|n| *n <= 255) => Mistake::new(
            "has a number with a leading zero",
            format!("write \"{a}.{b}.{c}.{d}/{}\"", shown(prefix.unwrap_or("24"))),
        ),
        Some([_, _, _, _]) => Mistake::new("is no address: each number lies between 0 and 255", FORM),
        Some(_) | None => Mistake::new("is not an IP address", FORM),
    }
}

fn prefix_length(address: IpAddr, prefix: &str) -> Result<u8, Mistake> {
    if let (Ok(mask), IpAddr::V4(_)) = (prefix.parse::<Ipv4Addr>(), address) {
        let bits = u32::from(mask);
        let length = bits.leading_ones();
        let remedy =
            if bits.count_ones() == length { format!("write \"{address}/{length}\"") } else { FORM.to_owned() };
        return Err(Mistake::new("has a netmask where its prefix length belongs", remedy));
    }
    let (most, usual) = lengths(address);
    let plain = !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_digit());
    match prefix.parse::<u8>() {
        Ok(length) if plain && (1..=most).contains(&length) => Ok(length),
        Ok(_) if plain => Err(out_of_range(address)),
        Ok(_) | Err(_) => Err(Mistake::new(
            "has no valid prefix length",
            format!("a prefix length is a number between 1 and {most}, as in \"{address}/{usual}\""),
        )),
    }
}

fn out_of_range(address: IpAddr) -> Mistake {
    let (most, usual) = lengths(address);
    let remedy = format!("a prefix length lies between 1 and {most}, as in \"{address}/{usual}\"");
    Mistake::new("has a prefix length out of range", remedy)
}

/// The greatest prefix length of the family, and the usual one.
fn lengths(address: IpAddr) -> (u8, u8) {
    match address {
        IpAddr::V4(_) => (32, 24),
        IpAddr::V6(_) => (128, 64),
    }
}

/// Why no other host could reach an address, if none could.
fn unusable(address: IpAddr) -> Option<&'static str> {
    let of_family = match address {
        IpAddr::V4(address) if address.octets()[0] == 0 && !address.is_unspecified() => {
            Some("lies in 0.0.0.0/8, which no host can have")
        }
        IpAddr::V4(address) if address.is_broadcast() => Some("is the broadcast address"),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            Some("is an IPv4 address in IPv6 notation, which no host can have")
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    if address.is_unspecified() {
        Some("is the unspecified address")
    } else if address.is_loopback() {
        Some("is a loopback address, which no other host can reach")
    } else if address.is_multicast() {
        Some("is a multicast address, which no host can have")
    } else {
        of_family
    }
}

fn fits_its_subnet(net: IpNet) -> Result<(), Mistake> {
    match net {
        IpNet::V4(net) => fits_its_ipv4_subnet(net),
        // A /127 and a /128 have no anycast address (RFC 6164).
        IpNet::V6(net) if net.prefix_len() < 127 && net.addr() == net.network() => {
            let (other, length) = (Ipv6Addr::from(u128::from(net.addr()).saturating_add(0x10)), net.prefix_len());
            Err(Mistake::new(
                format!("is the address of every router in its subnet {} (RFC 4291 section 2.6.1)", net.trunc()),
                format!(
                    "write the address of a host, such as \"{other}/{length}\", or \"{}/128\" for the address alone",
                    net.addr()
                ),
            ))
        }
        IpNet::V6(_) => Ok(()),
    }
}

/// A /31 and a /32 have neither a network nor a broadcast address (RFC 3021).
fn fits_its_ipv4_subnet(net: Ipv4Net) -> Result<(), Mistake> {
    if net.prefix_len() >= 31 {
        return Ok(());
    }
    let (what, other) = if net.addr() == net.network() {
        ("the network address", u32::from(net.addr()).saturating_add(1))
    } else if net.addr() == net.broadcast() {
        ("the broadcast address", u32::from(net.addr()).saturating_sub(1))
    } else {
        return Ok(());
    };
    let (other, length) = (Ipv4Addr::from(other), net.prefix_len());
    Err(Mistake::new(
        format!("is {what} of its subnet {}", net.trunc()),
        format!(
            "write the address of a host, such as \"{other}/{length}\", or \"{}/32\" for the address alone",
            net.addr()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_kept() {
        for text in [
            "192.0.2.10/24",
            "10.0.0.0/31",
            "10.0.0.1/31",
            "192.0.2.0/32",
            "198.51.100.255/23",
            "250.1.2.3/8",
            "2001:db8::10/64",
            "fe80::1/64",
            "2001:db8::/127",
        ] {
            assert_eq!(parse(text, |_| None).map(|net| net.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_cannot_be_held_is_told_what_to_write() {
        for (text, what, remedy) in [
            ("192.0.2.10", "no prefix length", "\"192.0.2.10/24\""),
            ("192.0.2.10", "no prefix length", "\"192.0.2.10/32\""),
            ("192.0.2.10/0", "out of range", "between 1 and 32"),
            ("192.0.2.10/33", "out of range", "between 1 and 32"),
            ("192.0.2.10/300", "no valid prefix", "between 1 and 32"),
            ("192.0.2.10/", "no valid prefix", "between 1 and 32"),
            ("192.0.2.10/+24", "no valid prefix", "between 1 and 32"),
            ("192.0.2.10/24/24", "no valid prefix", "between 1 and 32"),
            ("192.0.2.10/255.255.252.0", "netmask", "\"192.0.2.10/22\""),
            ("192.0.2.10/255.0.255.0", "netmask", "prefix length"),
            ("192.0.2.0/24", "network address of its subnet 192.0.2.0/24", "\"192.0.2.1/24\""),
            ("192.0.2.255/24", "broadcast address of its subnet 192.0.2.0/24", "\"192.0.2.254/24\""),
            ("0.0.0.0/8", "unspecified", "192.0.2.10/24"),
            ("0.1.2.3/8", "0.0.0.0/8", "192.0.2.10/24"),
            ("127.0.0.1/8", "loopback", "192.0.2.10/24"),
            ("224.0.0.18/24", "multicast", "192.0.2.10/24"),
            ("255.255.255.255/32", "broadcast", "192.0.2.10/24"),
            ("2001:db8::10", "no prefix length", "\"2001:db8::10/64\""),
            ("2001:db8::10", "no prefix length", "\"2001:db8::10/128\""),
            ("2001:db8::10/0", "out of range", "between 1 and 128"),
            ("2001:db8::10/129", "out of range", "between 1 and 128"),
            ("2001:db8::10/x", "no valid prefix", "\"2001:db8::10/64\""),
            ("2001:db8::/64", "every router in its subnet 2001:db8::/64", "\"2001:db8::10/64\""),
            ("::1/128", "loopback", "192.0.2.10/24"),
            ("::/64", "unspecified", "192.0.2.10/24"),
            ("ff02::12/64", "multicast", "192.0.2.10/24"),
            ("::ffff:192.0.2.10/128", "IPv4 address in IPv6 notation", "192.0.2.10/24"),
            ("fe80::1%eth0/64", "names an interface", "\"fe80::1/64\""),
            ("2001:db8:::10/64", "not an IP address", "2001:db8::10/64"),
            ("192.0.2.010/24", "leading zero", "\"192.0.2.10/24\""),
            ("192.0.2.256/24", "between 0 and 255", "192.0.2.10/24"),
            ("192.0.2/24", "not an IP address", "192.0.2.10/24"),
            ("www.example.com/24", "not an IP address", "192.0.2.10/24"),
            (" 192.0.2.10/24", "white space", "\"192.0.2.10/24\""),
            ("", "not an IP address", "192.0.2.10/24"),
        ] {
            let mistake = parse(text, |_| None).expect_err(text);
            assert!(mistake.what.contains(what), "{text}: {mistake:?}");
            assert!(mistake.remedy.contains(remedy), "{text}: {mistake:?}");
        }
    }

    #[test]
    fn the_likely_prefix_is_suggested() {
        let mistake = parse("192.0.2.10", |_| Some(26)).expect_err("no prefix");
        assert!(mistake.remedy.contains("\"192.0.2.10/26\""), "{mistake:?}");
    }

    #[test]
    fn a_host_is_an_address_and_nothing_more() {
        assert_eq!(host("192.0.2.3").map(|host| host.to_string()), Ok("192.0.2.3".to_owned()));
        assert_eq!(host("fe80::3").map(|host| host.to_string()), Ok("fe80::3".to_owned()));
        for (text, what, remedy) in [
            ("192.0.2.3/24", "has a prefix length", "write \"192.0.2.3\""),
            ("lb2", "not an IP address", "\"192.0.2.3\""),
            ("fe80::3%eth0", "names an interface", "such as"),
            ("224.0.0.18", "multicast", "\"192.0.2.3\""),
            ("0.0.0.0", "unspecified", "\"192.0.2.3\""),
        ] {
            let mistake = host(text).expect_err(text);
            assert!(mistake.what.contains(what), "{text}: {mistake:?}");
            assert!(mistake.remedy.contains(remedy), "{text}: {mistake:?}");
        }
    }
}
