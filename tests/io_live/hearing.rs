//! What the sockets hear, and what not.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use locum::io::clock;
use locum::io::frames::FramesSocket;
use locum::io::neighbours::NeighbourSocket;
use locum::io::vrrp::VrrpSocket;
use locum::types::{AwaitedAdverts, Family, KeyId, MacAddr, Version, Vrid};

use crate::isolation::{ip, isolated};
use crate::{await_readable, cable, gratuitous, name};

#[test]
fn an_advert_is_heard_with_the_kernels_stamp() {
    isolated("hearing::an_advert_is_heard_with_the_kernels_stamp", || {
        let (va, vb) = cable();
        let sender = VrrpSocket::open(&name("va"), va, Family::Ipv4).expect("a raw socket");
        let mut receiver = VrrpSocket::open(&name("vb"), vb, Family::Ipv4).expect("a raw socket");
        assert!(receiver.receive(&clock::pair()).expect("readable").is_none());
        // From an address that is not this host's: one namespace would not take a packet from itself.
        let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0x40, 0, 255, 112, 0, 0, 192, 0, 2, 77, 224, 0, 0, 18];
        packet.extend([0x31, 51, 150, 1, 0, 100, 0, 0, 192, 0, 2, 10]);
        // The kernel begins to stamp a little after it was asked to; until then it gives the time of reading.
        let patience = clock::now() + Duration::from_secs(10);
        let mut stamped = false;
        while !stamped {
            let before = clock::now();
            sender.send(&packet, IpAddr::from([224, 0, 0, 18])).expect("sent");
            await_readable(&receiver);
            let after = clock::pair();
            let (received, heard) = receiver.receive(&after).expect("readable").expect("a packet");
            assert_eq!(heard.get(20..), packet.get(20..));
            assert_eq!(heard.get(8), Some(&255));
            assert_eq!(heard.get(12..20), packet.get(12..20));
            assert!(before <= received && received <= after.boot, "{before} <= {received} <= {}", after.boot);
            stamped = received < after.boot;
            assert!(stamped || received < patience, "the stamp is the kernel's, not the reader's");
        }
        // The sender does not hear itself.
        let mut sender = sender;
        assert!(sender.receive(&clock::pair()).expect("readable").is_none());
    });
}

fn awaited(family: Family, version: Version, vrid: u8, senders: &[&str], keys: Option<&[u8]>) -> AwaitedAdverts {
    AwaitedAdverts {
        family,
        version,
        vrid: Vrid::new(vrid).expect("a VRID"),
        senders: senders.iter().map(|sender| sender.parse().expect("an address")).collect(),
        keys: keys.map(|keys| keys.iter().filter_map(|key| KeyId::new(*key)).collect()),
    }
}

/// One virtual router of each kind: open to all, with keys, of version 2, with host 77 as a peer, without it, and one of
/// the other family, which is nobody here.
fn routers(family: Family) -> [AwaitedAdverts; 6] {
    let (other, with, without): (_, &[&str], &[&str]) = match family {
        Family::Ipv4 => (Family::Ipv6, &["192.0.2.5", "192.0.2.77"], &["192.0.2.78"]),
        Family::Ipv6 => (Family::Ipv4, &["fe80::5", "fe80::77"], &["fe80::78"]),
    };
    [
        awaited(family, Version::V3, 51, &[], None),
        awaited(family, Version::V3, 52, &[], Some(&[7, 8])),
        awaited(family, Version::V2, 53, &[], None),
        awaited(family, Version::V3, 54, with, None),
        awaited(family, Version::V3, 55, without, None),
        awaited(other, Version::V3, 56, &[], None),
    ]
}

/// An IP packet of protocol 112 to the group, from host 77 of its family, with this TTL and these bytes.
fn of_protocol_112(family: Family, ttl: u8, message: &[u8]) -> Vec<u8> {
    let mut packet = match family {
        Family::Ipv4 => vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, ttl, 112, 0, 0, 192, 0, 2, 77, 224, 0, 0, 18],
        Family::Ipv6 => {
            let mut header = vec![0x60, 0, 0, 0, 0, u8::try_from(message.len()).expect("a length"), 112, ttl];
            header.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77]);
            header.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12]);
            header
        }
    };
    packet.extend(message);
    packet
}

/// Where a packet came out: at first hand (`true`), or aside. Sent anew while nothing comes: an interface that has just
/// come up drops what its family is not ready for.
fn heard_at_first_hand(sender: &VrrpSocket, receiver: &mut VrrpSocket, packet: &[u8], group: IpAddr) -> bool {
    let patience = clock::now() + Duration::from_secs(10);
    let tail = packet.get(packet.len() - 4..);
    loop {
        sender.send(packet, group).expect("sent");
        let until = clock::now() + Duration::from_millis(100);
        while clock::now() < until {
            let ends_so =
                |heard: Option<(_, &[u8])>| heard.is_some_and(|(_, bytes)| bytes.get(bytes.len() - 4..) == tail);
            let first_hand = ends_so(receiver.receive(&clock::pair()).expect("readable"));
            let aside = ends_so(receiver.receive_aside(&clock::pair()).expect("readable"));
            assert!(!(first_hand && aside), "never in both");
            if first_hand || aside {
                return first_hand;
            }
        }
        assert!(clock::now() < patience, "heard nowhere: {packet:02x?}");
    }
}

#[test]
fn what_cannot_count_is_heard_aside_and_all_else_at_first_hand() {
    isolated("hearing::what_cannot_count_is_heard_aside_and_all_else_at_first_hand", || {
        let (va, vb) = cable();
        ip("addr add fe80::a/64 dev va nodad");
        ip("addr add fe80::b/64 dev vb nodad");
        let mut mark = 0_u32;
        for (family, size, group) in
            [(Family::Ipv4, 4, IpAddr::from([224, 0, 0, 18])), (Family::Ipv6, 16, "ff02::12".parse().expect("a group"))]
        {
            let routers = routers(family);
            let sender = VrrpSocket::open(&name("va"), va, family).expect("a raw socket");
            let mut receiver = VrrpSocket::open(&name("vb"), vb, family).expect("a raw socket");
            receiver.sift(&name("vb"), &routers).expect("filters");
            let mut comes = |what: &str, expected: bool, ttl: u8, mut message: Vec<u8>| {
                // So that no packet is taken for the one before.
                mark += 1;
                message.extend(mark.to_be_bytes());
                let packet = of_protocol_112(family, ttl, &message);
                let first_hand = heard_at_first_hand(&sender, &mut receiver, &packet, group);
                assert_eq!(first_hand, expected, "{family}: {what}");
            };
            // With so many addresses; what follows ends four bytes early, for the mark.
            let plain = |version: u8, vrid: u8, count: u8| {
                let mut message = vec![version << 4 | 1, vrid, 100, count, 0, 100, 0, 0];
                message.resize(8 + usize::from(count) * size, 9);
                message
            };
            let cut = |mut message: Vec<u8>| {
                message.truncate(message.len() - 4);
                message
            };
            let sealed = |vrid: u8, count: u8, trailer: [u8; 4], length: usize| {
                let mut message = plain(3, vrid, count);
                message.extend(trailer);
                message.resize(message.len() + length - 4, 0xa5);
                cut(message)
            };
            comes("an advert", true, 255, cut(plain(3, 51, 1)));
            comes("one that crossed a router", false, 254, cut(plain(3, 51, 1)));
            comes("another version", false, 255, cut(plain(2, 51, 1)));
            comes("another VRID", false, 255, cut(plain(3, 50, 1)));
            comes("no header", false, 255, vec![0x31, 51]);
            comes("a trailer nobody asked for", true, 255, sealed(51, 1, [1, 7, 0, 0], 28));
            comes("no trailer", false, 255, cut(plain(3, 52, 1)));
            comes("a trailer", true, 255, sealed(52, 1, [1, 7, 0, 0], 28));
            comes("a trailer under another key", true, 255, sealed(52, 1, [1, 8, 0, 0], 28));
            comes("a trailer behind three addresses", true, 255, sealed(52, 3, [1, 8, 0, 0], 28));
            comes("an unknown key", false, 255, sealed(52, 1, [1, 9, 0, 0], 28));
            comes("no type of trailer", false, 255, sealed(52, 1, [2, 7, 0, 0], 28));
            comes("reserved bits", false, 255, sealed(52, 1, [1, 7, 0, 1], 28));
            comes("a short trailer", false, 255, sealed(52, 1, [1, 7, 0, 0], 27));
            comes("a long trailer", false, 255, sealed(52, 1, [1, 7, 0, 0], 29));
            comes("version 2", true, 255, cut(plain(2, 53, 1)));
            comes("version 3 for version 2", false, 255, cut(plain(3, 53, 1)));
            comes("a listed sender", true, 255, cut(plain(3, 54, 1)));
            comes("an unlisted sender", false, 255, cut(plain(3, 55, 1)));
            comes("another family's", false, 255, cut(plain(3, 56, 1)));
            // Taken over anew with every reload.
            receiver.sift(&name("vb"), &routers[1..2]).expect("filters");
            let packet = of_protocol_112(family, 255, &plain(3, 51, 1));
            assert!(!heard_at_first_hand(&sender, &mut receiver, &packet, group));
        }
    });
}

#[test]
fn what_finds_no_room_is_counted() {
    isolated("hearing::what_finds_no_room_is_counted", || {
        let (va, vb) = cable();
        let sender = VrrpSocket::open(&name("va"), va, Family::Ipv4).expect("a raw socket");
        let mut receiver = VrrpSocket::open(&name("vb"), vb, Family::Ipv4).expect("a raw socket");
        receiver.sift(&name("vb"), &[awaited(Family::Ipv4, Version::V3, 51, &[], None)]).expect("filters");
        let foreign = of_protocol_112(Family::Ipv4, 255, &[0x31, 50, 150, 1, 0, 100, 0, 0, 192, 0, 2, 10]);
        let (sent, mut read, mut missed) = (5_000, 0, 0);
        for _ in 0..sent {
            sender.send(&foreign, IpAddr::from([224, 0, 0, 18])).expect("sent");
        }
        let patience = clock::now() + Duration::from_secs(10);
        while read + missed < sent {
            while receiver.receive_aside(&clock::pair()).expect("readable").is_some() {
                read += 1;
            }
            // The count comes with the next packet.
            let [overrun, unread] = receiver.missed();
            assert_eq!(overrun, 0);
            missed += unread;
            if read + missed < sent {
                sender.send(&foreign, IpAddr::from([224, 0, 0, 18])).expect("sent");
                read -= 1;
            }
            assert!(clock::now() < patience, "{read} read and {missed} missed of {sent}");
        }
        assert!((10..1_000).contains(&read), "{read} of {sent}");
        assert!(receiver.receive(&clock::pair()).expect("readable").is_none());
    });
}

/// A descriptor as it is inherited: another one of the same open socket.
fn copy(fd: &impl AsFd) -> OwnedFd {
    fd.as_fd().try_clone_to_owned().expect("a copy")
}

#[test]
fn an_open_socket_is_taken_over_with_its_queue_and_for_what_it_is_alone() {
    isolated("hearing::an_open_socket_is_taken_over_with_its_queue_and_for_what_it_is_alone", || {
        let (va, vb) = cable();
        for family in [Family::Ipv4, Family::Ipv6] {
            let other = if family == Family::Ipv4 { Family::Ipv6 } else { Family::Ipv4 };
            let vrrp = VrrpSocket::open(&name("vb"), vb, family).expect("a raw socket");
            let neighbours = NeighbourSocket::open(vb, family).expect("a packet socket");
            let since = clock::now();
            let take = |fd, interface, family| VrrpSocket::take_over(fd, &name(interface), vb, family, since);
            assert!(take(copy(&vrrp), "va", family).is_err());
            assert!(take(copy(&vrrp), "vb", other).is_err());
            assert!(take(copy(&neighbours), "vb", family).is_err());
            assert!(take(copy(&vrrp), "vb", family).is_ok());
            assert!(NeighbourSocket::take_over(copy(&neighbours), va, family).is_err());
            assert!(NeighbourSocket::take_over(copy(&neighbours), vb, other).is_err());
            assert!(NeighbourSocket::take_over(copy(&vrrp), vb, family).is_err());
            assert!(NeighbourSocket::take_over(copy(&neighbours), vb, family).is_ok());
        }
        let before = NeighbourSocket::open(vb, Family::Ipv4).expect("a packet socket");
        let frame = gratuitous(Ipv4Addr::new(192, 0, 2, 10));
        NeighbourSocket::open(va, Family::Ipv4).and_then(|sender| sender.send(&frame)).expect("sent");
        let after = NeighbourSocket::take_over(copy(&before), vb, Family::Ipv4).expect("taken over");
        drop(before);
        await_readable(&after);
        let mut buffer = [0; NeighbourSocket::LARGEST];
        let heard = after.receive(&mut buffer).expect("readable").expect("what came before");
        assert_eq!(heard.get(..42), frame.get(..42));
    });
}

#[test]
fn ordinary_arp_wakes_nobody() {
    isolated("hearing::ordinary_arp_wakes_nobody", || {
        let (va, vb) = cable();
        let (sender, observer) = (
            NeighbourSocket::open(va, Family::Ipv4).expect("a socket"),
            NeighbourSocket::open(vb, Family::Ipv4).expect("a socket"),
        );
        let mut request = gratuitous(Ipv4Addr::new(192, 0, 2, 10));
        request[41] = 99;
        sender.send(&request).expect("sent");
        let mut short = gratuitous(Ipv4Addr::new(192, 0, 2, 10));
        short.truncate(38);
        sender.send(&short).expect("sent");
        let last = gratuitous(Ipv4Addr::new(192, 0, 2, 11));
        sender.send(&last).expect("sent");
        await_readable(&observer);
        let mut buffer = [0; NeighbourSocket::LARGEST];
        let first = observer.receive(&mut buffer).expect("readable").expect("a frame");
        assert_eq!(first.get(..42), last.get(..42));
        // What this host sends is not what it hears.
        assert!(sender.receive(&mut buffer).expect("readable").is_none());
    });
}

/// What a switch says while its port passes nothing, and what is our own, does not tell that frames pass.
#[test]
fn only_a_frame_that_was_passed_on_counts() {
    isolated("hearing::only_a_frame_that_was_passed_on_counts", || {
        for conf in ["all", "default"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{conf}/disable_ipv6"), "1").expect("a switch");
        }
        let (va, vb) = cable();
        let own = MacAddr([2, 0, 0, 0, 0, 0x0b]);
        let sender = NeighbourSocket::open(va, Family::Ipv4).expect("a packet socket");
        let frame = |to: &str, from: &str, rest: &[u8]| -> Vec<u8> {
            let mac =
                |text: &str| text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<_>>();
            [mac(to), mac(from), rest.to_vec(), vec![0; 46]].concat()
        };
        let other = "02:00:00:00:00:0a";
        let silent = [
            ("BPDU", frame("01:80:c2:00:00:00", other, &[0, 38, 0x42, 0x42, 3])),
            ("LACP", frame("01:80:c2:00:00:02", other, &[0x88, 0x09, 1])),
            ("LLDP", frame("01:80:c2:00:00:0e", other, &[0x88, 0xcc, 2])),
            ("LLDP to another group", frame("01:1b:19:00:00:00", other, &[0x88, 0xcc, 2])),
            ("PVST", frame("01:00:0c:cc:cc:cd", other, &[0, 50, 0xaa, 0xaa, 3])),
            ("CDP", frame("01:00:0c:cc:cc:cc", other, &[0, 50, 0xaa, 0xaa, 3])),
            ("BPDU to another group", frame("01:80:c3:00:00:08", other, &[0, 38, 0x42, 0x42, 3])),
            ("loop detection", frame(other, other, &[0x90, 0, 0])),
            ("our own come back", frame("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:0b", &[0x08, 0, 0x45])),
        ];
        let telling = [
            ("ARP", gratuitous(Ipv4Addr::new(192, 0, 2, 9))),
            ("IPv4", frame("01:00:5e:00:00:12", other, &[0x08, 0, 0x45])),
            ("IPv6", frame("33:33:00:00:00:01", "02:00:00:00:00:0c", &[0x86, 0xdd, 0x60])),
            ("a group that is passed on", frame("01:80:c2:00:00:21", other, &[0x88, 0xf5, 0])),
            ("another LLC", frame("ff:ff:ff:ff:ff:ff", other, &[0, 38, 0xe0, 0xe0, 3])),
        ];
        for (what, frame) in telling {
            let socket = FramesSocket::open(vb, Some(own)).expect("a packet socket");
            assert!(!socket.has_heard().expect("a socket"), "nothing was sent before {what}");
            // What this end sends is no sign of the other one's life.
            let mut sent = frame.clone();
            sent[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x0d]);
            NeighbourSocket::open(vb, Family::Ipv4).expect("a packet socket").send(&sent).expect("a frame that leaves");
            for (what, frame) in &silent {
                sender.send(frame).expect("a frame that leaves");
                assert!(!socket.has_heard().expect("a socket"), "{what}");
            }
            sender.send(&frame).expect("a frame that leaves");
            await_readable(&socket);
            assert!(socket.has_heard().expect("a socket"), "{what}");
        }
    });
}

/// Closing a packet socket takes the kernel milliseconds, or seconds where much wants to run: not the protocol thread's.
#[test]
fn dropping_a_packet_socket_does_not_wait_for_the_kernel() {
    isolated("hearing::dropping_a_packet_socket_does_not_wait_for_the_kernel", || {
        const TIMES: usize = 11;
        let (_, vb) = cable();
        let timed = |what: &dyn Fn()| {
            let begun = clock::now();
            what();
            clock::now().since(begun)
        };
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let socket =
                socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, None).expect("a packet socket");
            let socket = std::cell::Cell::new(Some(socket));
            bare.push(timed(&|| drop(socket.take())));
            let socket = std::cell::Cell::new(Some(NeighbourSocket::open(vb, Family::Ipv4).expect("a packet socket")));
            ours.push(timed(&|| drop(socket.take())));
        }
        bare.sort();
        ours.sort();
        let (bare, ours) = (bare[TIMES / 2], ours[TIMES / 2]);
        // A kernel may be told to be quick about it.
        assert!(ours < bare / 2 || bare < Duration::from_millis(1), "{ours:?}, and by the kernel itself {bare:?}");
        // More at once than are closed aside: all go in the end.
        let many: Vec<_> = (0..20).map(|_| NeighbourSocket::open(vb, Family::Ipv4).expect("a packet socket")).collect();
        let open = || std::fs::read_to_string("/proc/thread-self/net/packet").expect("a table").lines().count() - 1;
        assert!(open() >= 20);
        drop(many);
        let patience = clock::now() + Duration::from_secs(30);
        while open() > 0 {
            assert!(clock::now() < patience, "{} packet sockets are left", open());
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}
