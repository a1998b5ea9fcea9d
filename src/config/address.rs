use std::net::{IpAddr, Ipv4Addr};

use super::diagnostic::{Mistake, shown};
use crate::types::Ipv4Net;

const FORM: &str = "write an IPv4 address and its prefix length, such as \"192.0.2.10/24\"";

/// Reads an address that a virtual router can hold, with its prefix length.
///
/// `likely` is the prefix length to suggest where there is none, given the address.
pub(super) fn parse(text: &str, likely: impl Fn(Ipv4Addr) -> Option<u8>) -> Result<Ipv4Net, Mistake> {
    let (host, prefix) = match text.split_once('/') {
        Some((host, prefix)) => (host, Some(prefix)),
        None => (text, None),
    };
    let address = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address,
        Ok(IpAddr::V6(_)) => {
            return Err(Mistake::new("is an IPv6 address, which is not supported yet", "list IPv4 addresses only"));
        }
        Err(_) => return Err(not_an_address(host, prefix)),
    };
    let Some(prefix) = prefix else {
        let length = likely(address).unwrap_or(24);
        return Err(Mistake::new(
            "has no prefix length",
            format!(
                "write \"{address}/{length}\" if its subnet is a /{length}, or \"{address}/32\" for the address alone"
            ),
        ));
    };
    let length = prefix_length(address, prefix)?;
    usable(address)?;
    let net = Ipv4Net::new(address, length)
        .map_err(|_| Mistake::new("has a prefix length out of range", "a prefix length lies between 1 and 32"))?;
    fits_its_subnet(net)?;
    Ok(net)
}

fn not_an_address(host: &str, prefix: Option<&str>) -> Mistake {
    let trimmed = host.trim();
    if trimmed != host && trimmed.parse::<Ipv4Addr>().is_ok() {
        let rest = prefix.map_or("24", str::trim);
        return Mistake::new("has white space in it", format!("write \"{trimmed}/{}\"", shown(rest)));
    }
    let parts: Vec<&str> = host.split('.').collect();
    let numbers: Option<Vec<u32>> = parts.iter().map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([a, b, c, d]) if [a, b, c, d].into_iter().all(|n| *n <= 255) => Mistake::new(
            "has a number with a leading zero",
            format!("write \"{a}.{b}.{c}.{d}/{}\"", shown(prefix.unwrap_or("24"))),
        ),
        Some([_, _, _, _]) => Mistake::new("is no address: each number lies between 0 and 255", FORM),
        Some(_) | None => Mistake::new("is not an IPv4 address", FORM),
    }
}

fn prefix_length(address: Ipv4Addr, prefix: &str) -> Result<u8, Mistake> {
    if let Ok(mask) = prefix.parse::<Ipv4Addr>() {
        let bits = u32::from(mask);
        let length = bits.leading_ones();
        let remedy =
            if bits.count_ones() == length { format!("write \"{address}/{length}\"") } else { FORM.to_owned() };
        return Err(Mistake::new("has a netmask where its prefix length belongs", remedy));
    }
    let plain = !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_digit());
    match prefix.parse::<u8>() {
        Ok(length @ 1..=32) if plain => Ok(length),
        Ok(_) if plain => Err(Mistake::new(
            "has a prefix length out of range",
            format!("a prefix length lies between 1 and 32, as in \"{address}/24\""),
        )),
        Ok(_) | Err(_) => Err(Mistake::new(
            "has no valid prefix length",
            format!("a prefix length is a number between 1 and 32, as in \"{address}/24\""),
        )),
    }
}

fn usable(address: Ipv4Addr) -> Result<(), Mistake> {
    let what = if address.is_unspecified() {
        "is the unspecified address"
    } else if address.octets()[0] == 0 {
        "lies in 0.0.0.0/8, which no host can have"
    } else if address.is_loopback() {
        "is a loopback address, which no other host can reach"
    } else if address.is_multicast() {
        "is a multicast address, which no host can have"
    } else if address.is_broadcast() {
        "is the broadcast address"
    } else {
        return Ok(());
    };
    Err(Mistake::new(what, "write an address that the hosts of the LAN can reach, such as \"192.0.2.10/24\""))
}

/// A /31 and a /32 have neither a network nor a broadcast address (RFC 3021).
fn fits_its_subnet(net: Ipv4Net) -> Result<(), Mistake> {
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
        for text in ["192.0.2.10/24", "10.0.0.0/31", "10.0.0.1/31", "192.0.2.0/32", "198.51.100.255/23", "250.1.2.3/8"]
        {
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
            ("2001:db8::10/64", "IPv6", "IPv4 addresses only"),
            ("2001:db8::10", "IPv6", "IPv4 addresses only"),
            ("192.0.2.010/24", "leading zero", "\"192.0.2.10/24\""),
            ("192.0.2.256/24", "between 0 and 255", "192.0.2.10/24"),
            ("192.0.2/24", "not an IPv4 address", "192.0.2.10/24"),
            ("www.example.com/24", "not an IPv4 address", "192.0.2.10/24"),
            (" 192.0.2.10/24", "white space", "\"192.0.2.10/24\""),
            ("", "not an IPv4 address", "192.0.2.10/24"),
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
}
