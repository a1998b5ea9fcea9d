//! Asking the LAN who has an address, as any host would: whoever answers, holds.

use std::collections::BTreeSet;
use std::net::IpAddr;

use locum::io::neighbours::NeighbourSocket;
use locum::types::{Family, MacAddr};
use locum::wire::nd;

use crate::clock::{MS, Moment, eventually, now};
use crate::lan::{CLIENT, Lab, address};
use crate::wire::What;

/// How long after the first answer another one is waited for; on this LAN they take microseconds.
const OTHERS: u64 = 30 * MS;
/// An address that nobody answers for within this is nobody's.
const NOBODY: u64 = 1_000 * MS;

pub type Mac = [u8; 6];

/// A host's own MAC address on the first segment.
pub fn card(host: usize) -> Mac {
    [2, 0, 0, 0, 0, u8::try_from(host).expect("a host's number")]
}

/// Who answers a question for these addresses now, in their order.
pub fn who_answers(lab: &Lab, addresses: &[IpAddr]) -> Vec<BTreeSet<Mac>> {
    let from = now();
    let frames: Vec<(Family, Vec<u8>)> = addresses.iter().map(|asked| (Family::of(*asked), question(*asked))).collect();
    lab.client.within(move || {
        let index = nix::net::if_::if_nametoindex("eth0").expect("an interface");
        for (family, frame) in frames {
            let socket = NeighbourSocket::open(index, family).expect("a packet socket");
            socket.send(&frame).expect("a frame that leaves");
        }
    });
    let all = || addresses.iter().map(|asked| answers(lab, *asked, from)).collect::<Vec<_>>();
    eventually("answers", || {
        let waited = now() - from;
        (waited > NOBODY || all().iter().all(|answers| !answers.is_empty())).then_some(())
    });
    let first = now();
    eventually("further answers", || (now() > first + OTHERS).then_some(()));
    all()
}

fn answers(lab: &Lab, asked: IpAddr, from: Moment) -> BTreeSet<Mac> {
    let seen = lab.wire.since(from);
    let answers = seen.iter().filter_map(|seen| match (&seen.what, asked) {
        // The reply is for the client; what is announced is for everybody.
        (What::Arp(arp), IpAddr::V4(asked)) if arp.sender == asked && arp.target == address(CLIENT, 0) => {
            Some(arp.sender_mac)
        }
        (What::Neighbor(target), IpAddr::V6(asked)) if *target == asked => Some(seen.mac),
        (What::Arp(_) | What::Neighbor(_) | What::Advert(_) | What::Other, _) => None,
    });
    answers.collect()
}

/// The client's question, as an Ethernet frame.
fn question(asked: IpAddr) -> Vec<u8> {
    let own = card(CLIENT);
    match asked {
        IpAddr::V4(asked) => {
            let mut frame = vec![0xff; 6];
            frame.extend(own);
            frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
            frame.extend(own);
            frame.extend(address(CLIENT, 0).octets());
            frame.extend([0; 6]);
            frame.extend(asked.octets());
            frame
        }
        // From nobody's address, so that the answer goes to everybody.
        IpAddr::V6(asked) => nd::probe(asked, MacAddr(own)),
    }
}
