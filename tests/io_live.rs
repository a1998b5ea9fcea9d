//! What `io` does with a kernel under it, in network namespaces of its own: with root a namespace a test, without
//! root the same inside a user namespace.

#[path = "io_live/claims.rs"]
mod claims;
mod common;
#[path = "io_live/hearing.rs"]
mod hearing;
#[path = "io_live/ipv6.rs"]
mod ipv6;
mod isolation;
#[path = "io_live/leases.rs"]
mod leases;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use isolation::{ip, isolated};
use locum::io::clock;
use locum::io::neighbours::NeighbourSocket;
use locum::io::netlink::{Announcers, Job, Monitor, MonitorState, Netlink, NewAddress, Report, Worker, message};
use locum::io::record::{Added, Journal, Kept};
use locum::io::vrrp::VrrpSocket;
use locum::types::{AddressOutcome, Family, Instant, InterfaceFacts, InterfaceName, IpNet, Lifetime, RouterName};
use locum::wire::nd;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Two ends of one cable, both up, `va` and `vb`; `va` has 192.0.2.2/24.
fn cable() -> (u32, u32) {
    ip("link add va address 02:00:00:00:00:0a type veth peer name vb address 02:00:00:00:00:0b");
    ip("link set va up");
    ip("link set vb up");
    ip("addr add 192.0.2.2/24 brd 192.0.2.255 dev va");
    let mut carrier = monitor(1 << 20);
    for end in ["va", "vb"] {
        until(&mut carrier, end, |facts| facts.is_some_and(|facts| facts.running));
    }
    (index("va"), index("vb"))
}

fn index(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).expect("an interface")
}

fn name(name: &str) -> InterfaceName {
    name.parse().expect("a name")
}

fn lifetime(seconds: u64) -> Lifetime {
    Lifetime::covering(std::time::Duration::from_secs(seconds))
}

fn router() -> RouterName {
    "web".parse().expect("a name")
}

fn nets(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().expect("an address")).collect()
}

/// Waits until there is something to read; the test has hung if there is nothing for ten seconds.
fn await_readable(fd: &impl AsFd) {
    let mut wanted = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut wanted, PollTimeout::from(10_000u16)), Ok(1), "nothing came for ten seconds");
}

/// A gratuitous ARP request of 02:00:00:00:00:0a for an address.
fn gratuitous(address: Ipv4Addr) -> Vec<u8> {
    let mac = [2, 0, 0, 0, 0, 0x0a];
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(address.octets());
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

fn addition(net: &str) -> NewAddress {
    let address: IpNet = net.parse().expect("an address");
    let announcement = match address {
        IpNet::V4(v4) => gratuitous(v4.addr()),
        // Of IPv6 what is announced is another room's business; a frame that the kernel sends is enough.
        IpNet::V6(_) => gratuitous(Ipv4Addr::new(192, 0, 2, 66)),
    };
    NewAddress { address, prefix: address.prefix_len(), announcement }
}

struct Bench {
    worker: Worker,
    reports: tokio::sync::mpsc::Receiver<Report>,
    socket: Arc<NeighbourSocket>,
    index: u32,
}

impl Bench {
    fn on(index: u32) -> Self {
        Bench::keeping(index, Kept::nothing().journal)
    }

    fn keeping(index: u32, journal: Journal) -> Self {
        let (worker, reports) = Worker::start(Netlink::open().expect("netlink"), journal).expect("a thread");
        Bench {
            worker,
            reports,
            socket: Arc::new(NeighbourSocket::open(index, Family::Ipv4).expect("a packet socket")),
            index,
        }
    }

    fn add(&self, additions: Vec<NewAddress>) {
        self.add_for(None, false, additions);
    }

    fn add_for(&self, seconds: Option<u64>, again: bool, additions: Vec<NewAddress>) {
        self.add_until(clock::now() + Duration::from_secs(60), seconds, again, additions);
    }

    fn add_until(&self, until: Instant, seconds: Option<u64>, again: bool, additions: Vec<NewAddress>) {
        let announcers = Announcers { ipv4: Some(Arc::clone(&self.socket)), ipv6: None };
        let (router, interface, index, lifetime) = (router(), name("va"), self.index, seconds.map(lifetime));
        let job = Job::Add { router, interface, index, additions, lifetime, until, again, announcers };
        self.worker.hand(job).expect("room for a job");
    }

    /// Outcomes until there are `count` of them.
    fn outcomes(&mut self, count: usize) -> Vec<(IpNet, AddressOutcome)> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.reports.blocking_recv().expect("the worker runs") {
                Report::Added { outcomes, .. } => all.extend(outcomes),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    fn added(&mut self, additions: &[&str]) -> Vec<AddressOutcome> {
        self.add(additions.iter().map(|net| addition(net)).collect());
        self.outcomes(additions.len()).into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Removes and waits until it is done; what failed.
    fn remove(&mut self, removals: &[&str], restore: &[&str]) -> Vec<String> {
        let (removals, restore) = (nets(removals), nets(restore));
        let job = Job::Remove { router: router(), interface: name("va"), index: self.index, removals, restore };
        self.worker.hand(job).expect("room for a job");
        self.worker.hand(Job::List).expect("room for a job");
        let mut failures = Vec::new();
        loop {
            match self.reports.blocking_recv().expect("the worker runs") {
                Report::Failed { what, error, .. } => failures.push(format!("{what}: {error}")),
                Report::Listed(listing) => {
                    listing.expect("a listing");
                    return failures;
                }
                Report::Added { .. } | Report::Renewed { .. } | Report::Reached(_) => panic!("nothing was to be added"),
            }
        }
    }
}

/// Those of IPv4: in IPv6 the kernel adds some of its own.
fn addresses(index: u32) -> Vec<String> {
    let present = Netlink::open().and_then(|mut netlink| netlink.addresses(index)).expect("addresses");
    let ipv4 = present.iter().filter_map(message::address_of).filter(|net| net.addr().is_ipv4());
    ipv4.map(|net| net.to_string()).collect()
}

fn promote(value: &str) {
    for conf in ["all", "va"] {
        let path = format!("/proc/sys/net/ipv4/conf/{conf}/promote_secondaries");
        std::fs::write(path, value).expect("the sysctl can be set");
    }
}

#[test]
fn an_added_address_is_announced_and_marked() {
    isolated("an_added_address_is_announced_and_marked", || {
        let (va, vb) = cable();
        let observer = NeighbourSocket::open(vb, Family::Ipv4).expect("a packet socket");
        let mut bench = Bench::on(va);
        assert_eq!(bench.added(&["192.0.2.10/24"]), [AddressOutcome::Added]);
        await_readable(&observer);
        let mut buffer = [0; NeighbourSocket::LARGEST];
        let frame = observer.receive(&mut buffer).expect("readable").expect("a frame");
        assert_eq!(frame.get(..42), gratuitous(Ipv4Addr::new(192, 0, 2, 10)).get(..42));
        let ours = described(va, "192.0.2.10/24");
        assert!(ours.attributes.contains(&AddressAttribute::Protocol(AddressProtocol::Other(112))), "{ours:?}");

        // Somebody's own, ours again, and what no kernel takes.
        let additions: Vec<NewAddress> =
            ["192.0.2.2/24", "192.0.2.10/24", "ff02::7/64", "198.51.100.7/32"].into_iter().map(addition).collect();
        bench.add(additions);
        let again: Vec<AddressOutcome> = bench.outcomes(4).into_iter().map(|(_, outcome)| outcome).collect();
        let [first, second, third, fourth] = again.as_slice() else { panic!("{again:?}") };
        assert_eq!((first, second), (&AddressOutcome::AlreadyThere, &AddressOutcome::AlreadyThere));
        assert!(matches!(third, AddressOutcome::Failed(words) if words.contains("multicast")), "{third:?}");
        assert_eq!(fourth, &AddressOutcome::Added);
        // Only what was added is announced.
        await_readable(&observer);
        let frame = observer.receive(&mut buffer).expect("readable").expect("a frame");
        assert_eq!(frame.get(28..32), Some([198, 51, 100, 7].as_slice()));
    });
}

#[test]
fn an_interface_that_is_gone_is_told_of() {
    isolated("an_interface_that_is_gone_is_told_of", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        ip("link del va");
        let outcome = bench.added(&["192.0.2.10/24"]);
        assert!(matches!(outcome.as_slice(), [AddressOutcome::Failed(words)] if !words.is_empty()), "{outcome:?}");
        assert_eq!(bench.remove(&["192.0.2.10/24"], &["192.0.2.2/24"]), [] as [String; 0]);
        let job = Job::Announce {
            router: router(),
            interface: name("va"),
            frames: vec![gratuitous(Ipv4Addr::new(192, 0, 2, 10)); 3],
            until: None,
            announcers: Announcers { ipv4: Some(Arc::clone(&bench.socket)), ipv6: None },
        };
        bench.worker.hand(job).expect("room for a job");
        let report = bench.reports.blocking_recv();
        assert!(matches!(&report, Some(Report::Failed { what, .. }) if what.contains("va")), "{report:?}");
    });
}

/// A process that stood still with an announcement in its hands: somebody else may have the address by now.
#[test]
fn an_announcement_that_comes_too_late_is_not_sent() {
    isolated("an_announcement_that_comes_too_late_is_not_sent", || {
        let (va, vb) = cable();
        let observer = NeighbourSocket::open(vb, Family::Ipv4).expect("a packet socket");
        let mut bench = Bench::on(va);
        for (last, until) in [(10, clock::now()), (11, clock::now() + Duration::from_secs(60))] {
            let job = Job::Announce {
                router: router(),
                interface: name("va"),
                frames: vec![gratuitous(Ipv4Addr::new(192, 0, 2, last))],
                until: Some(until),
                announcers: Announcers { ipv4: Some(Arc::clone(&bench.socket)), ipv6: None },
            };
            bench.worker.hand(job).expect("room for a job");
        }
        assert_eq!(bench.remove(&[], &[]), [""; 0]);
        await_readable(&observer);
        let mut buffer = [0; NeighbourSocket::LARGEST];
        let frame = observer.receive(&mut buffer).expect("readable").expect("a frame");
        assert_eq!(frame.get(28..32), Some([192, 0, 2, 11].as_slice()));
    });
}

/// What another process finds: added and still there with our mark, whatever became of the process that added it.
#[test]
fn what_was_added_is_written_down_before_and_found_by_the_next_process() {
    isolated("what_was_added_is_written_down_before_and_found_by_the_next_process", || {
        let (va, _) = cable();
        let folder = std::env::temp_dir().join(format!("locum-io-live-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let left = |added: &[Added]| -> Vec<String> {
            let snapshot = Netlink::open().and_then(|mut netlink| netlink.snapshot()).expect("a listing");
            let left = snapshot.left(added, locum::io::system::kernel_marks_addresses());
            left.iter().map(|left| format!("{} {} {}", left.router, left.interface, left.net)).collect()
        };
        let mut bench = Bench::keeping(va, Kept::open(&folder).journal);
        // The host's own is in the list for as long as it takes the kernel to say so.
        bench.added(&["192.0.2.10/24", "192.0.2.11/24", "192.0.2.12/24", "192.0.2.2/24"]);
        assert_eq!(bench.remove(&["192.0.2.11/24"], &[]), [""; 0]);
        // Removed, and set again by somebody else.
        ip("addr del 192.0.2.12/24 dev va");
        ip("addr add 192.0.2.12/24 dev va");
        let kept = Kept::open(&folder);
        let added: Vec<String> = kept.added.iter().map(|added| added.net.to_string()).collect();
        assert_eq!(added, ["192.0.2.10/24", "192.0.2.12/24"]);
        assert_eq!(left(&kept.added), [format!("{} va 192.0.2.10/24", router())]);
        std::fs::remove_dir_all(&folder).expect("the folder can be removed");
    });
}

/// What the kernel says of one address, but for the time that has passed and its place among the others.
fn described(index: u32, address: &str) -> AddressMessage {
    let present = Netlink::open().and_then(|mut netlink| netlink.addresses(index)).expect("addresses");
    let is_it = |message: &AddressMessage| message::address_of(message).is_some_and(|net| net.to_string() == address);
    let mut found = present.into_iter().find(is_it).unwrap_or_else(|| panic!("no {address}"));
    found.header.flags.remove(AddressHeaderFlags::Secondary);
    for attribute in &mut found.attributes {
        match attribute {
            AddressAttribute::Flags(flags) => flags.remove(AddressFlags::Secondary),
            AddressAttribute::CacheInfo(times) => {
                let left = (times.ifa_preferred, times.ifa_valid);
                assert!(
                    left == (u32::MAX, u32::MAX) || left.0 > 800 && left.0 <= 900 && left.1 == left.0 + 100,
                    "{left:?}"
                );
                (times.cstamp, times.tstamp, times.ifa_preferred, times.ifa_valid) = (0, 0, 0, 0);
            }
            _ => {}
        }
    }
    found
}

/// An administrator's address with everything that one can have.
fn foreign(index: u32, address: &str) -> message::Request {
    let net: IpNet = address.parse().expect("an address");
    let mut request = message::add_address(index, &message::Ours { net, lifetime: None, borrows_route: false });
    let RouteNetlinkMessage::NewAddress(new) = &mut request.message else { panic!("an addition") };
    let mut times = CacheInfo::default();
    (times.ifa_preferred, times.ifa_valid) = (900, 1000);
    new.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Protocol(_)));
    new.attributes.extend([
        AddressAttribute::Protocol(AddressProtocol::Other(77)),
        AddressAttribute::Label("va:own".to_owned()),
        AddressAttribute::Broadcast(Ipv4Addr::new(198, 51, 100, 255)),
        AddressAttribute::RoutePriority(42),
        AddressAttribute::Flags(AddressFlags::Noprefixroute),
        AddressAttribute::CacheInfo(times),
    ]);
    request
}

#[test]
fn what_goes_with_a_primary_is_put_back_as_it_was() {
    isolated("what_goes_with_a_primary_is_put_back_as_it_was", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        let own = "198.51.100.9/24";
        for setting in ["0", "1"] {
            promote(setting);
            assert_eq!(bench.added(&["198.51.100.10/24", "198.51.100.11/24"]), vec![AddressOutcome::Added; 2]);
            let set = Netlink::open().and_then(|mut netlink| netlink.request(&[foreign(va, own)])).expect("netlink");
            assert_eq!(set, [Ok(())]);
            let before = described(va, own);
            assert!(before.attributes.contains(&AddressAttribute::RoutePriority(42)), "{before:?}");

            assert_eq!(
                bench.remove(&["198.51.100.10/24"], &[own, "198.51.100.11/24", "198.51.100.99/24"]),
                [] as [String; 0]
            );
            assert_eq!(described(va, own), before, "promote_secondaries = {setting}");
            let left: BTreeSet<String> = addresses(va).into_iter().collect();
            let expected = ["192.0.2.2/24", own, "198.51.100.11/24"].map(str::to_owned);
            assert_eq!(left, BTreeSet::from(expected), "promote_secondaries = {setting}");

            // What is absent already is no failure.
            assert_eq!(bench.remove(&["198.51.100.10/24", "198.51.100.11/24", own], &[]), [] as [String; 0]);
            assert_eq!(addresses(va), ["192.0.2.2/24"]);
        }
    });
}

/// A monitor that knows what there is now, and takes nobody for us.
fn monitor(receive_buffer: usize) -> Monitor {
    let mut monitor = Monitor::open(receive_buffer, u32::MAX).expect("a monitor");
    monitor.replace(Netlink::open().and_then(|mut netlink| netlink.snapshot()).expect("a listing"));
    monitor
}

fn news(monitor: &mut Monitor, names: &[&str]) -> Vec<(InterfaceName, Option<InterfaceFacts>)> {
    monitor.news(&names.iter().map(|given| name(given)).collect())
}

/// Reads until the facts of an interface are as wanted.
fn until(monitor: &mut Monitor, interface: &str, wanted: impl Fn(Option<&InterfaceFacts>) -> bool) {
    loop {
        assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
        if news(monitor, &[interface]).iter().any(|(_, facts)| wanted(facts.as_ref())) {
            return;
        }
        await_readable(monitor);
    }
}

#[test]
fn the_monitor_follows_links() {
    isolated("the_monitor_follows_links", || {
        cable();
        let mut monitor = monitor(1 << 20);
        until(&mut monitor, "va", |facts| facts.is_some_and(|facts| facts.up && facts.running && facts.mtu == 1500));
        ip("link set vb down");
        until(&mut monitor, "va", |facts| facts.is_some_and(|facts| facts.up && !facts.running));
        ip("link set va down");
        until(&mut monitor, "va", |facts| facts.is_some_and(|facts| !facts.up));
        ip("link set vb up");
        ip("link set va up");
        until(&mut monitor, "va", |facts| facts.is_some_and(|facts| facts.up && facts.running));
        ip("addr add 192.0.2.3/24 dev va");
        until(&mut monitor, "va", |facts| {
            facts.is_some_and(|facts| facts.addresses == nets(&["192.0.2.2/24", "192.0.2.3/24"]))
        });
        // Routes are none of its business, nor is what changes nothing.
        ip("route add 203.0.113.0/24 via 192.0.2.1");
        ip("addr change 192.0.2.3/24 dev va valid_lft 900 preferred_lft 900");
        assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
        assert_eq!(news(&mut monitor, &["va"]), []);
        ip("link set va name vc");
        until(&mut monitor, "va", |facts| facts.is_none());
        until(&mut monitor, "vc", |facts| facts.is_some_and(|facts| facts.addresses.len() == 2));
        ip("link del vc");
        until(&mut monitor, "vc", |facts| facts.is_none());
        let (_, vb) = (ip("link add vc type veth peer name vb"), index("vb"));
        until(&mut monitor, "vb", |facts| facts.is_some_and(|facts| facts.index == vb));
    });
}

/// The order in which the monitor keeps addresses must be that of the kernel: it says which one adverts come from.
#[test]
fn the_monitor_keeps_the_kernels_order() {
    isolated("the_monitor_keeps_the_kernels_order", || {
        let (va, _) = cable();
        let mut monitor = monitor(1 << 20);
        let all: Vec<String> = (10..16)
            .flat_map(|last| {
                [format!("192.0.2.{last}/24"), format!("198.51.100.{last}/24"), format!("198.51.100.{last}/28")]
            })
            .collect();
        let mut seed = 20_261_121u32;
        for turn in 0..300 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if turn % 50 == 0 {
                promote(if turn % 100 == 0 { "0" } else { "1" });
            }
            let address = &all[(seed >> 16) as usize % all.len()];
            let verb = if addresses(va).contains(address) { "del" } else { "add" };
            let scope = if verb == "add" && seed >> 30 == 0 { "scope link" } else { "" };
            // The kernel refuses a second scope within a subnet; the next turn tries something else.
            isolation::ip_may_fail(&format!("addr {verb} {address} dev va {scope}"));
            assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
            let told = news(&mut monitor, &["va"]);
            let [(_, Some(facts))] = told.as_slice() else { continue };
            let ipv4 = facts.addresses.iter().filter(|net| net.addr().is_ipv4());
            let known: Vec<String> = ipv4.map(ToString::to_string).collect();
            assert_eq!(known, addresses(va), "after {turn} turns, {verb} {address} {scope}");
        }
    });
}

/// Whether the job comes in time or long after the worker has gone to sleep again.
#[test]
fn a_roused_worker_does_what_it_is_handed_whenever_that_comes() {
    isolated("a_roused_worker_does_what_it_is_handed_whenever_that_comes", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        for last in 10..20 {
            bench.worker.hand(Job::Rouse).expect("room for a job");
            if last % 2 == 0 {
                let later = Instant::from_nanos(clock::now().as_nanos() + 2_000_000);
                while clock::now() < later {}
            }
            assert_eq!(bench.added(&[&format!("192.0.2.{last}/24")]), [AddressOutcome::Added]);
        }
        assert!((10..20).all(|last| addresses(va).contains(&format!("192.0.2.{last}/24"))));
    });
}

#[test]
fn what_an_overrun_lost_comes_back_with_a_listing() {
    isolated("what_an_overrun_lost_comes_back_with_a_listing", || {
        let (va, _) = cable();
        let mut monitor = monitor(8192);
        assert_eq!(news(&mut monitor, &["va"]).len(), 1);
        let mut bench = Bench::on(va);
        // Not ours: what bears our mark is not heard of in the first place.
        let additions: Vec<_> = (10..110).map(|last| foreign(va, &format!("192.0.2.{last}/24"))).collect();
        let set = Netlink::open().and_then(|mut netlink| netlink.request(&additions)).expect("netlink");
        assert_eq!(set, vec![Ok(()); 100]);
        assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Lost);
        assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Lost, "until a listing has come");
        assert_eq!(news(&mut monitor, &["va"]), []);
        bench.worker.hand(Job::List).expect("room for a job");
        let Some(Report::Listed(Ok(listing))) = bench.reports.blocking_recv() else { panic!("a listing") };
        // Changed after the listing: heard by the monitor, which queues again.
        ip("addr del 192.0.2.109/24 dev va");
        monitor.replace(listing);
        assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
        let told = news(&mut monitor, &["va"]);
        assert!(matches!(told.as_slice(), [(_, Some(facts))] if facts.addresses.len() == 100), "{told:?}");
    });
}

#[test]
fn a_missing_right_is_named_before_anything_starts() {
    isolated("a_missing_right_is_named_before_anything_starts", || {
        locum::io::capabilities::probe().expect("all rights are there");
    });
}
