//! What a frame on the client's cable says, as far as the demo tells of it.
//!
//! Read here with the demo's own eyes: what the agents' code makes of a packet is what is being judged.

use std::net::Ipv4Addr;

use crate::types::MacAddr;

/// ICMP types.
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// Something worth noting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// A VRRP advert.
    Advert { from: Ipv4Addr, priority: u8 },
    /// Somebody tells everybody where an address is (gratuitous ARP).
    Announcement { address: Ipv4Addr, mac: MacAddr },
    /// The client's echo request with this number.
    Request { number: u64 },
    /// The reply to it, and the host it came from.
    Reply { number: u64, mac: MacAddr },
}

/// Reads an Ethernet frame; `None` for all that the demo does not tell of.
pub(super) fn read(frame: &[u8]) -> Option<Sight> {
    let (ethernet, packet) = frame.split_first_chunk::<14>()?;
    let [_, _, _, _, _, _, m0, m1, m2, m3, m4, m5, kind_high, kind_low] = *ethernet;
    let mac = MacAddr([m0, m1, m2, m3, m4, m5]);
    match u16::from_be_bytes([kind_high, kind_low]) {
        0x0800 => read_ipv4(packet, mac),
        0x0806 => read_arp(packet),
        _ => None,
    }
}

fn read_ipv4(packet: &[u8], mac: MacAddr) -> Option<Sight> {
    let [version_ihl, _, _, _, _, _, _, _, _, protocol, _, _, s0, s1, s2, s3, ..] = *packet.first_chunk::<20>()?;
    let payload = packet.get(usize::from(version_ihl & 0x0f) * 4..)?;
    match protocol {
        112 => {
            let [version_type, _, priority, ..] = *payload.first_chunk::<8>()?;
            (version_type & 0x0f == 1).then_some(Sight::Advert { from: Ipv4Addr::new(s0, s1, s2, s3), priority })
        }
        1 => {
            let [kind, _, _, _, _, _, _, _, number @ ..] = *payload.first_chunk::<16>()?;
            let number = u64::from_be_bytes(number);
            match kind {
                ECHO_REQUEST => Some(Sight::Request { number }),
                ECHO_REPLY => Some(Sight::Reply { number, mac }),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Sender and target address the same: nothing is asked, something is told (RFC 5227 section 3).
fn read_arp(packet: &[u8]) -> Option<Sight> {
    let [_, _, _, _, _, _, _, _, m0, m1, m2, m3, m4, m5, s @ ..] = *packet.first_chunk::<28>()?;
    let [s0, s1, s2, s3, _, _, _, _, _, _, t0, t1, t2, t3] = s;
    let address = Ipv4Addr::new(s0, s1, s2, s3);
    (address == Ipv4Addr::new(t0, t1, t2, t3))
        .then_some(Sight::Announcement { address, mac: MacAddr([m0, m1, m2, m3, m4, m5]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHERNET: [u8; 12] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1];
    const IP: [u8; 20] = [0x45, 0, 0, 40, 0, 0, 0, 0, 255, 112, 0, 0, 192, 0, 2, 2, 224, 0, 0, 18];

    fn frame(kind: [u8; 2], parts: &[&[u8]]) -> Vec<u8> {
        let mut frame = ETHERNET.to_vec();
        frame.extend(kind);
        parts.iter().for_each(|part| frame.extend(*part));
        frame
    }

    #[test]
    fn an_advert_is_seen_with_sender_and_priority() {
        let bytes = frame([8, 0], &[&IP, &[0x31, 51, 150, 1, 0, 100, 0, 0, 192, 0, 2, 10]]);
        assert_eq!(read(&bytes), Some(Sight::Advert { from: Ipv4Addr::new(192, 0, 2, 2), priority: 150 }));
        for length in 0..42 {
            assert_eq!(read(&bytes[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_question_for_another_address_is_no_announcement() {
        let arp = |target| {
            let head = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 192, 0, 2];
            frame([8, 6], &[&head, &[target]])
        };
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let address = Ipv4Addr::new(192, 0, 2, 10);
        assert_eq!(read(&arp(10)), Some(Sight::Announcement { address, mac }));
        assert_eq!(read(&arp(11)), None);
    }

    #[test]
    fn replies_are_seen_with_number_and_host() {
        let mut ip = IP;
        ip[9] = 1;
        let bytes = frame([8, 0], &[&ip, &[0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 7]]);
        assert_eq!(read(&bytes), Some(Sight::Reply { number: 263, mac: MacAddr([2, 0, 0, 0, 0, 1]) }));
    }
}
