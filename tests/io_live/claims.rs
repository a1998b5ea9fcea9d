//! Which ARP packets wake the agent.

use super::*;

/// A reply that says that 192.0.2.`sender` is at `va`, to the host with 192.0.2.99.
fn reply(sender: u8) -> Vec<u8> {
    let mut frame = gratuitous(Ipv4Addr::new(192, 0, 2, sender));
    frame[21] = 2;
    frame[41] = 99;
    frame
}

/// The last bytes of the senders that were heard until that of `last`.
fn heard(observer: &NeighbourSocket, last: u8) -> Vec<u8> {
    let mut senders = Vec::new();
    let mut buffer = [0; NeighbourSocket::LARGEST];
    while senders.last() != Some(&last) {
        await_readable(observer);
        while let Some(frame) = observer.receive(&mut buffer).expect("readable") {
            senders.push(frame[31]);
        }
    }
    senders
}

#[test]
fn every_claim_to_an_address_of_ours_is_heard_and_no_other_ordinary_arp() {
    isolated("every_claim_to_an_address_of_ours_is_heard_and_no_other_ordinary_arp", || {
        let (va, vb) = cable();
        let sender = NeighbourSocket::open(va, Family::Ipv4).expect("a socket");
        let observer = NeighbourSocket::open(vb, Family::Ipv4).expect("a socket");
        let send = |frames: &[Vec<u8>]| frames.iter().for_each(|frame| sender.send(frame).expect("sent"));
        let last = gratuitous(Ipv4Addr::new(192, 0, 2, 250));
        let mut request = reply(10);
        request[21] = 1;
        let mut short = reply(10);
        short.truncate(30);
        let mut of_ieee = reply(10);
        of_ieee[15] = 6;
        let all = [reply(9), reply(10), request, reply(11), reply(12), short, of_ieee, last.clone()];
        send(&all);
        assert_eq!(heard(&observer, 250), [250]);
        observer.heed(&[Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(192, 0, 2, 12)]).expect("a filter");
        send(&all);
        assert_eq!(heard(&observer, 250), [10, 10, 12, 250]);
        // Another list takes the place of the one before.
        observer.heed(&[Ipv4Addr::new(192, 0, 2, 11)]).expect("a filter");
        send(&all);
        assert_eq!(heard(&observer, 250), [11, 250]);
        // A thousand of them, and one far off: neighbours of theirs may pass, none of theirs is missed.
        let mut many: Vec<Ipv4Addr> = (0..1_000).map(|at| Ipv4Addr::from(0x0a00_0000_u32 + at)).collect();
        many.push(Ipv4Addr::new(192, 0, 2, 12));
        observer.heed(&many).expect("a filter");
        send(&all);
        assert_eq!(heard(&observer, 250), [12, 250]);
        let mut of_ten = reply(231);
        of_ten[28..31].copy_from_slice(&[10, 0, 3]);
        send(&[of_ten, last]);
        assert_eq!(heard(&observer, 250), [231, 250]);
    });
}
