//! Leases, and what the monitor makes of our own doings and of others'.

use std::collections::BTreeSet;
use std::time::Duration;

use locum::io::clock;
use locum::io::netlink::{Job, Netlink, Renewal, Report, message};
use locum::types::{AddressOutcome, IpNet, LeaseOutcome};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};

use super::*;

fn renewal(index: u32, nets: &[&str], seconds: Option<u64>) -> Renewal {
    Renewal {
        router: router(),
        interface: name("va"),
        index,
        addresses: super::nets(nets).into_iter().map(|net| (net, false)).collect(),
        lifetime: seconds.map(lifetime),
        asked: clock::now(),
        until: None,
        other_kind: false,
    }
}

fn renew(bench: &mut Bench, renewal: Renewal) -> LeaseOutcome {
    let asked = renewal.asked;
    bench.worker.hand(Job::Renew(vec![renewal])).expect("room for a job");
    loop {
        match bench.reports.blocking_recv().expect("the worker runs") {
            Report::Renewed { asked: told, outcome, .. } => {
                assert_eq!(told, asked);
                return outcome;
            }
            Report::Added { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn add(bench: &mut Bench, seconds: Option<u64>, again: bool, nets: &[&str]) -> Vec<AddressOutcome> {
    bench.add_for(seconds, again, nets.iter().map(|net| addition(net)).collect());
    bench.outcomes(nets.len()).into_iter().map(|(_, outcome)| outcome).collect()
}

fn shown(index: u32, address: &str) -> Option<AddressMessage> {
    let present = Netlink::open().and_then(|mut netlink| netlink.addresses(index)).expect("addresses");
    present.into_iter().find(|message| message::address_of(message).is_some_and(|net| net.to_string() == address))
}

/// What the kernel says of preferred and valid lifetime, our mark, and the flags for no search of duplicates, no route.
fn standing(index: u32, address: &str) -> (u32, u32, bool, bool, bool) {
    let message = shown(index, address).unwrap_or_else(|| panic!("no {address}"));
    let times: CacheInfo = message
        .attributes
        .iter()
        .find_map(|attribute| if let AddressAttribute::CacheInfo(times) = attribute { Some(*times) } else { None })
        .expect("lifetimes");
    let flags = message
        .attributes
        .iter()
        .find_map(|attribute| if let AddressAttribute::Flags(flags) = attribute { Some(*flags) } else { None })
        .expect("flags");
    let has = |flag| flags.contains(flag);
    (
        times.ifa_preferred,
        times.ifa_valid,
        message::is_marked(&message),
        has(AddressFlags::Nodad),
        has(AddressFlags::Noprefixroute),
    )
}

/// A lifetime counts down: what is shown is what was given, or a little less.
fn about(given: u32, left: u32) -> bool {
    (given - 2..=given).contains(&left)
}

#[test]
fn a_lease_counts_down_and_is_renewed_with_all_its_attributes() {
    isolated("leases::a_lease_counts_down_and_is_renewed_with_all_its_attributes", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        let both = ["192.0.2.10/24", "2001:db8::10/64"];
        assert_eq!(add(&mut bench, Some(100), false, &both), vec![AddressOutcome::Added; 2]);
        for seconds in [100, 500] {
            if seconds == 500 {
                assert_eq!(renew(&mut bench, renewal(va, &both, Some(500))), LeaseOutcome::Renewed);
            }
            let (preferred, valid, marked, _, _) = standing(va, "192.0.2.10/24");
            assert!(about(seconds, preferred) && about(seconds, valid) && marked, "{preferred} {valid} {marked}");
            let (preferred, valid, marked, nodad, noroute) = standing(va, "2001:db8::10/64");
            assert!(about(seconds, valid) && marked && nodad && !noroute, "{valid} {marked} {nodad} {noroute}");
            assert_eq!(preferred, 0, "never chosen as a source");
        }
        // Somebody else makes it end sooner, or never, and takes its mark away in passing.
        ip("addr change 192.0.2.10/24 dev va valid_lft 5 preferred_lft 5");
        ip("-6 addr change 2001:db8::10/64 dev va valid_lft forever preferred_lft forever");
        assert!(!standing(va, "2001:db8::10/64").2, "the mark");
        assert_eq!(renew(&mut bench, renewal(va, &both, Some(500))), LeaseOutcome::Renewed);
        let ipv4 = standing(va, "192.0.2.10/24");
        let ipv6 = standing(va, "2001:db8::10/64");
        assert!(about(500, ipv4.1) && ipv4.2 && about(500, ipv6.1) && ipv6.2 && ipv6.3, "{ipv4:?} {ipv6:?}");
    });
}

#[test]
fn nobody_renews_and_the_kernel_takes_it_away() {
    isolated("leases::nobody_renews_and_the_kernel_takes_it_away", || {
        let (va, _) = cable();
        let mut monitor = monitor(1 << 20);
        let mut bench = Bench::on(va);
        let begun = clock::now();
        assert_eq!(add(&mut bench, Some(1), false, &["192.0.2.10/24"]), [AddressOutcome::Added]);
        loop {
            await_readable(&monitor);
            assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
            if monitor.removals() == [(name("va"), "192.0.2.10/24".parse::<IpNet>().expect("an address"))] {
                break;
            }
        }
        let lasted = clock::now().since(begun);
        // holding.md, rule 5, and a busy machine.
        assert!(lasted > Duration::from_millis(950) && lasted < Duration::from_millis(2_600), "{lasted:?}");
    });
}

#[test]
fn leases_end_and_stay_in_place_or_are_made_anew_without_harm_to_the_hosts_route() {
    isolated("leases::leases_end_and_stay_in_place_or_are_made_anew_without_harm_to_the_hosts_route", || {
        let (va, _) = cable();
        ip("-6 addr add 2001:db8::2/64 dev va nodad");
        let mut bench = Bench::on(va);
        let route = || ip("-6 route show 2001:db8::/64 dev va");
        let both = ["192.0.2.10/24", "2001:db8::10/64"];
        let both_kinds = |seconds, other_kind| {
            let mut renewal = renewal(va, &both, seconds);
            renewal.other_kind = other_kind;
            renewal.addresses.iter_mut().for_each(|(net, borrows)| *borrows = net.addr().is_ipv6());
            renewal
        };
        assert_eq!(add(&mut bench, None, false, &both), vec![AddressOutcome::Added; 2]);
        assert_eq!(standing(va, "2001:db8::10/64").1, u32::MAX);
        assert_eq!(renew(&mut bench, both_kinds(Some(400), true)), LeaseOutcome::Renewed);
        assert!(about(400, standing(va, "192.0.2.10/24").1) && about(400, standing(va, "2001:db8::10/64").1));
        assert_eq!(renew(&mut bench, both_kinds(Some(400), false)), LeaseOutcome::Renewed);
        assert!(!route().contains("expires") && route().contains("2001:db8::/64"), "{}", route());
        // Somebody else's permanent one is renewed in place.
        ip("-6 addr change 2001:db8::10/64 dev va valid_lft forever preferred_lft forever");
        assert_eq!(renew(&mut bench, both_kinds(Some(400), false)), LeaseOutcome::Renewed);
        assert!(!route().contains("expires") && route().contains("2001:db8::/64"), "{}", route());
        assert_eq!(renew(&mut bench, both_kinds(None, true)), LeaseOutcome::Renewed);
        assert_eq!((standing(va, "192.0.2.10/24").1, standing(va, "2001:db8::10/64").1), (u32::MAX, u32::MAX));
        assert_eq!(bench.remove(&both, &[]), [] as [String; 0]);
        assert!(!route().contains("expires") && route().contains("2001:db8::/64"), "{}", route());
    });
}

/// RTM_NEWADDR creates even where it is only to replace.
#[test]
fn a_renewal_that_is_late_brings_nothing_back() {
    isolated("leases::a_renewal_that_is_late_brings_nothing_back", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        let vip = "198.51.100.10/24";
        // In time, it does.
        assert_eq!(renew(&mut bench, renewal(va, &[vip], Some(100))), LeaseOutcome::Renewed);
        assert!(shown(va, vip).is_some());
        assert_eq!(bench.remove(&[vip], &[]), [] as [String; 0]);
        let mut late = renewal(va, &[vip], Some(100));
        late.until = Some(clock::now());
        assert_eq!(renew(&mut bench, late), LeaseOutcome::Lapsed);
        assert!(shown(va, vip).is_none());
        // What the time overtakes half-way is removed again, and nothing else.
        promote("0");
        let many: Vec<String> = (1..=250).map(|last| format!("198.51.100.{last}/24")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let own = "198.51.100.254/24";
        let mut undone = 0;
        for _ in 0..50 {
            // The host's own is a secondary of the first one that comes.
            assert_eq!(add(&mut bench, Some(100), false, &many[..1]), [AddressOutcome::Added]);
            ip(&format!("addr add {own} dev va"));
            let mut monitor = monitor(4 << 20);
            let mut overtaken = renewal(va, &many, Some(100));
            overtaken.until = Some(clock::now() + Duration::from_micros(400));
            let outcome = renew(&mut bench, overtaken);
            let left: BTreeSet<String> = addresses(va).into_iter().collect();
            assert!(left.contains(own), "{left:?}");
            assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
            if outcome == LeaseOutcome::Lapsed && !left.contains(many[0]) {
                assert_eq!(left, BTreeSet::from(["192.0.2.2/24", own].map(str::to_owned)));
                undone += 1;
            }
            bench.remove(&many, &[]);
            isolation::ip_may_fail(&format!("addr del {own} dev va"));
            if undone == 3 {
                return;
            }
        }
        panic!("undone {undone} times");
    });
}

/// With less and less time: before the first of them, between two, and while the kernel adds them.
#[test]
fn what_is_added_too_late_goes_again_and_nothing_else() {
    isolated("leases::what_is_added_too_late_goes_again_and_nothing_else", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        let all: Vec<String> = (10..200).map(|last| format!("192.0.2.{last}/24")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let (mut late, mut in_time) = (0, 0);
        for micros in (0..60).map(|step| step * 50) {
            let until = clock::now() + Duration::from_micros(micros);
            bench.add_until(until, Some(100), false, all.iter().map(|net| addition(net)).collect());
            let outcomes = bench.outcomes(all.len());
            let added = outcomes.iter().filter(|(_, outcome)| *outcome == AddressOutcome::Added);
            let added: Vec<String> = added.map(|(net, _)| net.to_string()).collect();
            assert!(outcomes.iter().all(|(_, outcome)| match outcome {
                AddressOutcome::Added | AddressOutcome::TooLate => true,
                AddressOutcome::StillThere | AddressOutcome::AlreadyThere | AddressOutcome::Failed(_) => false,
            }));
            assert_eq!(addresses(va), [vec!["192.0.2.2/24".to_owned()], added.clone()].concat());
            (late, in_time) = (late + all.len() - added.len(), in_time + added.len());
            assert_eq!(bench.remove(&all, &[]), [] as [String; 0]);
        }
        assert!(late > 0 && in_time > 0, "{late} too late, {in_time} in time");
    });
}

#[test]
fn what_was_asked_for_again_is_known_by_its_mark() {
    isolated("leases::what_was_asked_for_again_is_known_by_its_mark", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        let all = ["192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64", "2001:db8::11/64"];
        assert_eq!(
            add(&mut bench, Some(100), false, &["192.0.2.10/24", "2001:db8::10/64"]),
            vec![AddressOutcome::Added; 2]
        );
        ip("addr add 192.0.2.11/24 dev va");
        assert_eq!(
            add(&mut bench, Some(100), true, &all),
            [
                AddressOutcome::StillThere,
                AddressOutcome::AlreadyThere,
                AddressOutcome::StillThere,
                AddressOutcome::Added
            ]
        );
        // What is somebody else's is neither renewed nor removed.
        assert_eq!(renew(&mut bench, renewal(va, &all, Some(100))), LeaseOutcome::Renewed);
        assert_eq!(standing(va, "192.0.2.11/24").1, u32::MAX);
        assert_eq!(bench.remove(&all, &[]), [] as [String; 0]);
        assert_eq!(addresses(va)[..2], ["192.0.2.2/24", "192.0.2.11/24"]);
    });
}

#[test]
fn the_monitor_tells_others_removals_from_ours_and_hears_of_no_renewal() {
    isolated("leases::the_monitor_tells_others_removals_from_ours_and_hears_of_no_renewal", || {
        let (va, _) = cable();
        promote("0");
        let netlink = Netlink::open().expect("netlink");
        let mut monitor = Monitor::open(1 << 20, netlink.port().expect("a port")).expect("a monitor");
        let (worker, reports) = Worker::start(netlink, Kept::nothing().journal).expect("a thread");
        let socket = Arc::new(NeighbourSocket::open(va, Family::Ipv4).expect("a packet socket"));
        let mut bench = Bench { worker, reports, socket, index: va };
        monitor.replace(Netlink::open().and_then(|mut netlink| netlink.snapshot()).expect("a listing"));
        let three = ["198.51.100.10/24", "198.51.100.11/24", "198.51.100.12/24"];
        assert_eq!(add(&mut bench, Some(100), false, &three), vec![AddressOutcome::Added; 3]);
        assert_eq!(renew(&mut bench, renewal(va, &three, Some(100))), LeaseOutcome::Renewed);
        assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
        let told = news(&mut monitor, &["va"]);
        let [(_, Some(facts))] = told.as_slice() else { panic!("{told:?}") };
        assert!(!facts.addresses.iter().any(|net| net.to_string().starts_with("198.51.100.")), "{facts:?}");
        let mut removals = move || {
            assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
            monitor.removals().into_iter().map(|(_, net)| net.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(removals(), [""; 0]);
        // Its secondaries go with the primary and come back: our own doing.
        assert_eq!(bench.remove(&three[..1], &three[1..]), [] as [String; 0]);
        assert_eq!(removals(), [""; 0]);
        ip("addr del 198.51.100.12/24 dev va");
        assert_eq!(removals(), ["198.51.100.12/24"]);
        // A primary that somebody removes takes the others along.
        assert_eq!(
            add(&mut bench, Some(100), true, &three),
            [AddressOutcome::Added, AddressOutcome::StillThere, AddressOutcome::Added]
        );
        ip("addr del 198.51.100.11/24 dev va");
        let gone: BTreeSet<String> = removals().into_iter().collect();
        assert_eq!(gone, BTreeSet::from(three.map(str::to_owned)));
    });
}

#[test]
fn a_listing_says_what_an_earlier_run_has_left_and_since_when() {
    isolated("leases::a_listing_says_what_an_earlier_run_has_left_and_since_when", || {
        let (va, _) = cable();
        let mut bench = Bench::on(va);
        add(&mut bench, Some(100), false, &["192.0.2.10/24"]);
        let before = clock::now();
        assert_eq!(renew(&mut bench, renewal(va, &["192.0.2.10/24"], Some(300))), LeaseOutcome::Renewed);
        let after = clock::now();
        add(&mut bench, None, false, &["192.0.2.11/24"]);
        ip("addr add 192.0.2.12/24 dev va");
        let mut monitor = monitor(1 << 20);
        let marked = |monitor: &mut Monitor| {
            let told = news(monitor, &["va"]);
            let [(_, Some(facts))] = told.as_slice() else { panic!("{told:?}") };
            facts.marked.clone()
        };
        let found = marked(&mut monitor);
        let nets: Vec<String> = found.iter().map(|marked| marked.net.to_string()).collect();
        assert_eq!(nets, ["192.0.2.10/24", "192.0.2.11/24"]);
        let left = found[0].left.expect("a lease").as_secs();
        assert!((298..=300).contains(&left), "{left}");
        // The kernel's ticks began to count a little before or after its clock.
        let at: Instant = found[0].renewed_at;
        assert!(before - Duration::from_secs(1) <= at && at <= after + Duration::from_secs(1), "{before} {at} {after}");
        assert_eq!(found[1].left, None);
        ip("addr del 192.0.2.10/24 dev va");
        assert_eq!(monitor.read(usize::MAX).expect("readable"), MonitorState::Current);
        assert_eq!(marked(&mut monitor).len(), 1);
    });
}
