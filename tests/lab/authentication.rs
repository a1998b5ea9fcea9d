//! Adverts that show who sent them, and somebody on the LAN who has no key.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Write, stderr};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use locum::io::vrrp::VrrpSocket;
use locum::types::Family;
use nix::sys::signal::Signal;
use serde_json::json;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::agents::{Agent, LOCUM, Router, toml};
use crate::clock::{MS, Moment, SECOND, eventually, now};
use crate::common::full;
use crate::lan::{Lab, address};
use crate::live::{alone, live, median};
use crate::power_loss::VIP;
use crate::wire::FLOOD;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const A_SECOND: u64 = 50_000;
/// A key as text, and what it is called in hexadecimal digits.
const TEXT: &str = "quartz-lantern-meadow-orbit-77";
const HEX: &str = "71756172747a";

/// Makes a key file of this mode in the lab's folder; its path.
pub fn key_file(lab: &Lab, name: &str, content: &str, mode: u32) -> String {
    let path = lab.file(name);
    fs::write(&path, content).expect("a key file");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
    path.to_str().expect("a path of ASCII").to_owned()
}

fn enforced(router: &Router, file: &str) -> String {
    let auth = format!(
        "[virtual_router.{}.auth]\nmode = \"enforce\"\nactive_key = 7\nkeys = [{{ id = 7, file = \"{file}\" }}]\n",
        router.name
    );
    toml(std::slice::from_ref(router)) + &auth
}

/// Forged adverts of a host at the highest priority: every other one with a trailer that only the key shows to be wrong;
/// the others without one, under an unknown key, and with something else.
fn forgeries(source: Ipv4Addr, vrid: u8) -> Vec<Vec<u8>> {
    let seconds = u32::try_from(now() / SECOND).expect("before 2106").to_be_bytes();
    let trailer = |key: u8| {
        let mut trailer = vec![1, key, 0, 0];
        trailer.extend(seconds);
        trailer.extend([0x80, 0, 0, 1]);
        trailer.extend([0xa5; 16]);
        trailer
    };
    let behind = [trailer(7), Vec::new(), trailer(7), trailer(9), trailer(7), vec![0; 28]];
    behind.into_iter().map(|behind| forged(source, vrid, &behind)).collect()
}

fn forged(source: Ipv4Addr, vrid: u8, behind: &[u8]) -> Vec<u8> {
    let mut message = vec![0x31, vrid, 254, 1, 0, 100, 0, 0, 192, 0, 2, 100];
    let sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded to 16 bits");
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = vec![0x45, FLOOD, 0, 0, 0, 0, 0, 0, 255, 112, 0, 0];
    packet.extend(source.octets());
    packet.extend(GROUP.octets());
    packet.extend(message);
    packet.extend(behind);
    packet
}

/// One that sends whole IPv4 packets, whatever source they bear.
fn raw_socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
    socket.bind_device(Some(b"eth0")).expect("an interface");
    socket.set_header_included_v4(true).expect("headers of our own");
    socket
}

/// Sends them from a host in turn, so many a second; how many left.
fn flood(lab: &Lab, host: usize, packets: Vec<Vec<u8>>, seconds: u64) -> u64 {
    lab.host(host).within(move || {
        let socket = raw_socket();
        let group = SockAddr::from(SocketAddrV4::new(GROUP, 0));
        let (begun, mut sent) = (Instant::now(), 0);
        let mut in_turn = packets.iter().cycle();
        while begun.elapsed() < Duration::from_secs(seconds) {
            let due = u64::try_from(begun.elapsed().as_micros()).expect("not long") * A_SECOND / 1_000_000;
            while sent < due {
                let packet = in_turn.next().expect("there are some");
                eventually("room in the send queue", || socket.send_to(packet, &group).ok());
                sent += 1;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        sent
    })
}

/// A machine that stood still for so long, or had an agent wait for a processor for this part of a flood, had no processor to
/// spare: what goes wrong then is not the flood's doing.
const STOOD_STILL: u64 = 100 * MS;
const WAITED: f64 = 0.2;
/// Floods that are tried until the machine bears one of them.
const FLOODS: usize = 5;

#[test]
fn a_flood_of_forged_adverts_moves_nothing_delays_nothing_and_hides_no_genuine_one() {
    alone(&[], || {
        for number in 1..=FLOODS {
            let Err(why) = bears_a_flood() else { return };
            // Not eprintln!, which the test runner captures.
            writeln!(stderr(), "flood {number} of {FLOODS} set aside: {why}").expect("standard error");
        }
        assert!(!full(), "this machine had no processor to spare for any of {FLOODS} floods");
    });
}

/// Two hosts, two virtual routers, and a flood at both; why it is not judged, if the machine had other things to do.
fn bears_a_flood() -> Result<(), String> {
    let lab = Lab::new(3);
    let key = key_file(&lab, "key", &format!("{TEXT}!!"), 0o600);
    let fast = |priority| Router::new(priority).named("fast", 52).every(50).holding(&["192.0.2.101/24"]);
    let config = |priority| enforced(&Router::new(priority), &key) + &enforced(&fast(priority), &key);
    let first = Agent::locum(&lab, 1, &config(200));
    let second = Agent::locum(&lab, 2, &config(100));
    for router in ["web", "fast"] {
        first.state(router, "active");
        second.router(router, "hears the first", |router| router["peers"][0]["key"] == 7);
    }
    lab.holders.wait(VIP, &[1]);
    let heard = |agent: &Agent| agent.status().expect("a status")["routers"]["fast"]["peers"][0]["adverts"].as_u64();
    let (from, heard_before) = (now(), heard(&second));
    let waited_before = [&first, &second].map(waited).into_iter().min().expect("two of them");
    let packets = [forgeries(address(1, 0), 51), forgeries(address(2, 0), 51), forgeries(address(1, 0), 52)].concat();
    let seconds = if full() { 30 } else { 10 };
    let sent = flood(&lab, 3, packets, seconds);
    // What still waits in the queue is heard too, if late.
    lab.wire.watched_until(now() + SECOND);
    let (to, heard_after) = (now(), heard(&second));
    lab.wire.watched_until(to + SECOND);
    let waited = [&first, &second].map(waited).into_iter().max().expect("two of them") - waited_before;
    let counted = counted(&second);
    for agent in [&first, &second] {
        nothing_forged_counts(agent);
    }
    let genuine = fast_adverts(&lab, from, to);
    let accepted = heard_after.expect("a count") - heard_before.expect("a count");
    let figures = format!(
        "{sent} forged adverts in {seconds} s; of {} genuine ones {accepted} were accepted, an agent waited {} ms for a \
         processor; discarded: {counted:?}",
        genuine.len(),
        waited / MS
    );
    let all: u64 = counted.values().sum();
    let gap = median(&genuine.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>());
    let wrong = [
        (sent < A_SECOND * seconds / 2, "too few forged adverts left"),
        (!lab.holders.changes(VIP, from).is_empty(), "the address moved"),
        (gap.abs_diff(50 * MS) > 10 * MS, "adverts were late"),
        // One may be under way when they are counted.
        ((accepted + 1) * 100 < genuine.len() as u64 * 99, "genuine adverts were lost"),
        // Two of three bear another source than that of this host; its own would never get past its kernel.
        (all < sent * 2 / 3 * 9 / 10, "not all are counted"),
    ];
    let wrong: Vec<&str> = wrong.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect();
    eprintln!("{figures}, gap {gap} ns");
    if wrong.is_empty() {
        return Ok(());
    }
    let starved = sent < A_SECOND * seconds / 2
        || lab.stalls.within(from, to, STOOD_STILL)
        || waited as f64 > WAITED * (to - from) as f64;
    assert!(starved, "{}: {figures}, gap {gap} ns", wrong.join(", "));
    Err(format!("{}, but this machine had other work: {figures}", wrong.join(", ")))
}

/// When each genuine advert of the fast router crossed the LAN.
fn fast_adverts(lab: &Lab, from: Moment, to: Moment) -> Vec<Moment> {
    let adverts = lab.wire.since(from).into_iter().filter(|seen| seen.at <= to && seen.asserts(address(1, 0)));
    adverts.filter(|seen| seen.advert().is_some_and(|advert| advert.vrid == 52)).map(|seen| seen.at).collect()
}

/// How long the protocol thread of an agent has waited for a processor since it began, in nanoseconds.
fn waited(agent: &Agent) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.pid())).expect("a process");
    let paths: Vec<PathBuf> = tasks.map(|task| task.expect("a thread").path()).collect();
    let protocol =
        |path: &&PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "locum-protocol");
    let path = paths.iter().find(protocol).expect("the protocol thread");
    let schedstat = fs::read_to_string(path.join("schedstat")).expect("scheduling statistics");
    schedstat.split(' ').nth(1).and_then(|waited| waited.parse().ok()).expect("a time")
}

/// Who was refused is told with every reason, and nobody of the priority of the forged adverts was ever heard.
fn nothing_forged_counts(agent: &Agent) {
    let status = agent.status().expect("a status");
    let router = &status["routers"]["web"];
    for reason in ["auth-bad", "auth-missing", "auth-unknown-key", "auth-malformed"] {
        assert!(router["counters"]["discards"][reason].as_u64() > Some(0), "{reason}: {router:#}");
    }
    assert!(router["auth"]["refused"].as_array().is_some_and(|refused| !refused.is_empty()), "{router:#}");
    let peers = router["peers"].as_array().expect("peers");
    assert!(peers.iter().all(|peer| peer["priority"] != 254), "{router:#}");
}

/// What an agent has discarded by reason, of no router and of all.
fn counted(agent: &Agent) -> BTreeMap<String, u64> {
    let status = agent.status().expect("a status");
    let of_routers =
        status["routers"].as_object().expect("routers").values().map(|router| &router["counters"]["discards"]);
    let mut all = BTreeMap::new();
    for counts in of_routers.chain(status["discards"].as_object().expect("interfaces").values()) {
        for (reason, count) in counts.as_object().expect("counts") {
            *all.entry(reason.clone()).or_default() += count.as_u64().expect("a count");
        }
    }
    all
}

/// The next advert of host 1 as host 3 hears it, from its IP header on.
fn recorded(lab: &Lab) -> Vec<u8> {
    lab.host(3).within(|| {
        let index = nix::net::if_::if_nametoindex("eth0").expect("an interface");
        let eth0 = "eth0".parse().expect("a name");
        let mut socket = VrrpSocket::open(&eth0, index, Family::Ipv4).expect("a raw socket");
        eventually("an advert", || {
            let heard = socket.receive(&locum::io::clock::pair()).expect("readable");
            heard.map(|(_, packet)| packet.to_vec()).filter(|packet| packet.get(12..16) == Some(&[192, 0, 2, 1]))
        })
    })
}

/// Whoever comes back remembers what it has taken: nothing that was recorded before decides anything.
#[test]
fn what_was_recorded_before_a_restart_is_refused_after_it() {
    live(&[], || {
        let lab = Lab::new(3);
        let key = key_file(&lab, "key", &format!("{TEXT}!!"), 0o600);
        // Far from each other, so that the recorded one is not too old by any clock.
        let config = |priority| enforced(&Router::new(priority).every(4_000), &key);
        let mut second = Agent::locum(&lab, 2, &config(100));
        second.state("web", "backup");
        let first = Agent::locum(&lab, 1, &config(255));
        let advert = recorded(&lab);
        second.router("web", "hears the first", |router| router["peers"][0]["adverts"].as_u64() >= Some(1));
        second.signal(Signal::SIGKILL);
        second.ended();
        // Nobody is there any more who could say anything new.
        lab.power_off(1);
        drop(first);
        let again = Agent::locum(&lab, 2, &config(100));
        again.state("web", "backup");
        lab.host(3).within(move || {
            let socket = raw_socket();
            let group = SockAddr::from(SocketAddrV4::new(GROUP, 0));
            socket.send_to(&advert, &group).expect("sent");
        });
        // A machine that takes longer than the window to start it would find it too old.
        let reasons = ["auth-replayed", "auth-stale"];
        let refused = again.router("web", "has refused it", |router| {
            reasons.iter().any(|reason| router["counters"]["discards"][*reason] == 1)
        });
        assert_eq!(
            (&refused["peers"], &refused["counters"]["adverts_received"]),
            (&json!([]), &json!(0)),
            "{refused:#}"
        );
        // And it holds nothing up.
        lab.holders.wait(VIP, &[2]);
    });
}

#[test]
fn keys_are_changed_without_a_break_and_appear_nowhere() {
    live(&[], || {
        let lab = Lab::new(2);
        let (text, hex) = (format!("{TEXT}!!"), format!("hex:{}", HEX.repeat(6)));
        let (old, new) = (key_file(&lab, "old", &text, 0o600), key_file(&lab, "new", &hex, 0o400));
        let config = |priority, active: u8, keys: &[(u8, &str)]| {
            let keys: Vec<String> =
                keys.iter().map(|(id, file)| format!("{{ id = {id}, file = \"{file}\" }}")).collect();
            let table = "[virtual_router.web.auth]\nmode = \"enforce\"\n";
            toml(&[Router::new(priority)]) + &format!("{table}active_key = {active}\nkeys = [{}]\n", keys.join(", "))
        };
        let agents = [(1, 200), (2, 100)]
            .map(|(host, priority)| (priority, Agent::locum(&lab, host, &config(priority, 1, &[(1, &old)]))));
        lab.holders.wait(VIP, &[1]);
        let [(_, first), (_, second)] = &agents;
        let under = |key: u8| second.router("web", "hears the key", |router| router["peers"][0]["key"] == key);
        under(1);
        let from = now();
        let both: &[(u8, &str)] = &[(1, &old), (2, &new)];
        for (active, keys) in [(1, both), (2, both), (2, &both[1..])] {
            for (priority, agent) in &agents {
                let lines = agent.log().matches("configuration reloaded").count();
                agent.reload(&config(*priority, active, keys));
                eventually("the reload", || {
                    (agent.log().matches("configuration reloaded").count() > lines).then_some(())
                });
            }
            under(active);
        }
        // A file that others can read is refused with the remedy, and so is one with another mistake.
        fs::set_permissions(&new, Permissions::from_mode(0o640)).expect("its mode");
        first.signal(Signal::SIGHUP);
        first.logged(&format!("chmod 600 {new}"));
        let short = key_file(&lab, "short", &TEXT[..14], 0o600);
        first.reload(&config(200, 2, &[(2, &short)]));
        first.logged("it must have 32 to 64");
        let file = lab.file("check.toml");
        fs::write(&file, config(200, 2, &[(2, &new)])).expect("a configuration file");
        let checked = Command::new(LOCUM).arg("check").arg(&file).output().expect("a program");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(78), "{said}");
        assert!(said.contains(&format!("chmod 600 {new}")), "{said}");
        assert_eq!(lab.holders.changes(VIP, from), [], "the address stays where it is");
        let mut told = said;
        for (_, agent) in &agents {
            told += &agent.log();
            for arguments in [&["status"][..], &["status", "--json"]] {
                told += &String::from_utf8_lossy(&agent.ask(arguments).stdout);
            }
        }
        assert!(told.contains("chmod") && told.contains("enforce"), "{told}");
        for trace in ["quartz", "lantern", "meadow", HEX] {
            assert!(!told.to_lowercase().contains(trace), "{trace} in {told}");
        }
    });
}
