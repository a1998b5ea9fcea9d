//! The same over IPv6.

use super::*;

/// From an address that is not this host's: one namespace would not take a packet from itself.
fn advert_over_ipv6(destination: [u8; 16], hop_limit: u8) -> Vec<u8> {
    let source = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77];
    let mut packet = vec![0x6c, 0, 0, 0, 0, 24, 112, hop_limit];
    packet.extend(source);
    packet.extend(destination);
    packet.extend([0x31, 51, 150, 1, 0, 100, 0, 0]);
    packet.extend(source);
    packet
}

const GROUP: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12];
const OF_VB: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b];

#[test]
fn an_ipv6_advert_is_heard_from_its_header_on() {
    isolated("an_ipv6_advert_is_heard_from_its_header_on", || {
        let (va, vb) = cable();
        ip("addr add fe80::a/64 dev va nodad");
        ip("addr add fe80::b/64 dev vb nodad");
        let mut sender = VrrpSocket::open(&name("va"), va, Family::Ipv6).expect("a raw socket");
        let mut receiver = VrrpSocket::open(&name("vb"), vb, Family::Ipv6).expect("a raw socket");
        for (destination, hop_limit) in [(GROUP, 255), (GROUP, 64), (OF_VB, 255)] {
            let packet = advert_over_ipv6(destination, hop_limit);
            let before = clock::now();
            let patience = before + std::time::Duration::from_secs(10);
            // An interface that has just come up drops what its family is not ready for, and says nothing.
            let (received, after, first) = loop {
                sender.send(&packet, IpAddr::from(destination)).expect("sent");
                let mut wanted = [PollFd::new(receiver.as_fd(), PollFlags::POLLIN)];
                poll(&mut wanted, PollTimeout::from(100u16)).expect("polled");
                let after = clock::pair();
                match receiver.receive(&after).expect("readable") {
                    Some((received, heard)) if heard.get(4..) == packet.get(4..) => {
                        break (received, after, heard.first().copied());
                    }
                    // Nothing yet, or the one before once more.
                    Some(_) | None => assert!(after.boot < patience, "nothing came for ten seconds"),
                }
            };
            // Traffic class and flow label are not told.
            assert_eq!(first, Some(0x60));
            assert!(before <= received && received <= after.boot);
        }
        // Nobody hears itself.
        assert!(sender.receive(&clock::pair()).expect("readable").is_none());
    });
}

#[test]
fn neighbor_advertisements_alone_are_heard() {
    isolated("neighbor_advertisements_alone_are_heard", || {
        let (va, vb) = cable();
        let sender = NeighbourSocket::open(va, Family::Ipv6).expect("a socket");
        let observer = NeighbourSocket::open(vb, Family::Ipv6).expect("a socket");
        let mac = locum::types::MacAddr([2, 0, 0, 0, 0, 0x0a]);
        let address = "2001:db8::10".parse().expect("an address");
        sender.send(&nd::probe(address, mac)).expect("sent");
        let mut routed = nd::unsolicited("2001:db8::11".parse().expect("an address"), mac, false);
        routed[21] = 254;
        sender.send(&routed).expect("sent");
        let last = nd::unsolicited(address, mac, true);
        sender.send(&last).expect("sent");
        let mut buffer = [0; NeighbourSocket::LARGEST];
        // What the kernel itself says of its link-local addresses may be among them.
        let heard = std::iter::from_fn(|| {
            await_readable(&observer);
            observer.receive(&mut buffer).expect("readable").and_then(nd::parse_advertisement)
        });
        let of_ours = |neighbour: &nd::Neighbor| neighbour.claim.mac == mac && neighbour.router;
        let first = heard.map(|neighbour| neighbour.claim.address).find(|heard| heard.to_string().starts_with("2001"));
        assert_eq!(first, Some(address.into()));
        assert!(of_ours(&nd::parse_advertisement(&last).expect("what was sent")));
    });
}

#[test]
fn an_ipv6_address_serves_at_once_and_is_no_source() {
    isolated("an_ipv6_address_serves_at_once_and_is_no_source", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        let address: IpNet = "2001:db8::10/64".parse().expect("an address");
        let announcement = gratuitous(Ipv4Addr::new(192, 0, 2, 10));
        bench.add(vec![NewAddress { address, prefix: 128, announcement }]);
        assert_eq!(bench.outcomes(1), [(address, AddressOutcome::Added)]);
        let told = ip("-6 addr show dev va to 2001:db8::10");
        assert!(told.contains("2001:db8::10/128") && told.contains("deprecated"), "{told}");
        assert!(!told.contains("tentative"), "{told}");
        // Somebody else's is found so.
        bench.add(vec![NewAddress { address, prefix: 128, announcement: Vec::new() }]);
        assert_eq!(bench.outcomes(1), [(address, AddressOutcome::AlreadyThere)]);
    });
}

#[test]
fn addresses_of_both_families_are_told_once_they_can_be_used() {
    isolated("addresses_of_both_families_are_told_once_they_can_be_used", || {
        ip("link add va type veth peer name vb");
        std::fs::write("/proc/sys/net/ipv6/conf/va/addr_gen_mode", "1").expect("a switch");
        ip("link set vb up");
        ip("link set va up");
        ip("addr add 192.0.2.2/24 dev va");
        let mut monitor = monitor(1 << 20);
        let has = |wanted: &'static [&str]| {
            move |facts: Option<&InterfaceFacts>| facts.is_some_and(|facts| facts.addresses == nets(wanted))
        };
        until(&mut monitor, "va", has(&["192.0.2.2/24"]));
        ip("addr add 2001:db8::2/64 dev va");
        // The kernel looks for duplicates of it first.
        ip("addr add fe80::2/64 dev va nodad");
        until(&mut monitor, "va", has(&["192.0.2.2/24", "fe80::2/64"]));
        until(&mut monitor, "va", |facts| facts.is_some_and(|facts| facts.addresses.len() == 3));
        ip("addr del fe80::2/64 dev va");
        until(&mut monitor, "va", has(&["192.0.2.2/24", "2001:db8::2/64"]));
        std::fs::write("/proc/sys/net/ipv6/conf/va/forwarding", "1").expect("a switch");
        until(&mut monitor, "va", |facts| facts.is_some_and(|facts| facts.forwards_ipv6));
        std::fs::write("/proc/sys/net/ipv6/conf/va/forwarding", "0").expect("a switch");
        until(&mut monitor, "va", |facts| facts.is_some_and(|facts| !facts.forwards_ipv6));
    });
}
