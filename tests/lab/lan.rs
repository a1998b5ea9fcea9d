//! Hosts, a switch and a client: what a test has in its hands, and what it can do to it.
//!
//! Host n is 192.0.2.n on eth0, and on eth1 (where there is a second segment) 198.18.1.n; the client is 250. MAC
//! addresses say segment and host: 02:00:00:00:SEGMENT:HOST.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use locum::io::neighbours::NeighbourSocket;
use locum::types::Family;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::clock::{Moment, eventually, in_ms, now};
use crate::holders::Holders;
use crate::room::Room;
use crate::stalls::{STALL, Stalls};
use crate::wire::{What, Wire};

pub const CLIENT: usize = 250;

pub struct Lab {
    pub wire: Wire,
    pub holders: Holders,
    pub stalls: Stalls,
    pub client: Room,
    hosts: Vec<Room>,
    switch: Room,
    segments: usize,
    folder: PathBuf,
}

impl Lab {
    pub fn new(hosts: usize) -> Self {
        Lab::with_segments(hosts, 1)
    }

    pub fn with_segments(hosts: usize, segments: usize) -> Self {
        let switch = Room::new("switch");
        let bridges: Vec<String> = (0..segments).map(|segment| format!("br{segment}")).collect();
        for bridge in &bridges {
            switch.ip_all(&[
                format!("link add {bridge} type bridge mcast_snooping 0 forward_delay 0"),
                format!("link set {bridge} up promisc on"),
            ]);
        }
        let client = connect(&switch, CLIENT, segments);
        let hosts: Vec<Room> = (1..=hosts).map(|host| connect(&switch, host, segments)).collect();
        let (wire, holders, stalls) = (Wire::tap(&switch, &bridges), Holders::watch(&hosts), Stalls::watch());
        let folder = folder();
        let lab = Lab { wire, holders, stalls, client, hosts, switch, segments, folder };
        for (segment, room) in (0..segments).flat_map(|segment| lab.rooms().map(move |room| (segment, room))) {
            await_carrier(room, segment);
        }
        lab
    }

    fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.hosts.iter().chain([&self.client])
    }

    /// A host by its number, from 1.
    pub fn host(&self, host: usize) -> &Room {
        &self.hosts[host - 1]
    }

    /// Where a test's files go; gone with the lab.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The host loses its power: its frames are gone at once, without a farewell and with nobody noticing but by silence.
    pub fn power_off(&self, host: usize) {
        for segment in 0..self.segments {
            self.switch.ip(&format!("link set {} nomaster", port(host, segment)));
        }
        self.holders.power_lost(host);
        self.host(host).kill_all();
        for segment in 0..self.segments {
            self.host(host).ip(&format!("addr flush dev eth{segment}"));
        }
    }

    /// It is booted again, with nothing but its own addresses.
    pub fn power_on(&self, host: usize) {
        for segment in 0..self.segments {
            self.host(host).ip(&format!("addr add {}/24 dev eth{segment}", address(host, segment)));
        }
        self.reconnect(host);
    }

    /// Its frames reach nobody, and nobody's reach it; its carrier stays.
    pub fn disconnect(&self, host: usize) {
        for segment in 0..self.segments {
            self.switch.ip(&format!("link set {} nomaster", port(host, segment)));
        }
    }

    /// Undoes `disconnect`.
    pub fn reconnect(&self, host: usize) {
        for segment in 0..self.segments {
            self.switch.ip(&format!("link set {} master br{segment}", port(host, segment)));
        }
    }

    /// What it sends is lost, what it is sent arrives.
    pub fn mute(&self, host: usize) {
        self.lose(&format!("{} drop", sent_by(host)));
    }

    /// What it is sent is lost, what it sends arrives.
    pub fn deafen(&self, host: usize) {
        self.lose(&format!("{} drop", sent_to(host)));
    }

    /// A rule of nftables for the first segment's frames that are forwarded from one host to another.
    pub fn lose(&self, rule: &str) {
        self.switch.nft(&format!(
            "table bridge lab {{\n chain loss {{\n type filter hook forward priority 0; policy accept;\n {rule}\n }}\n}}\n"
        ));
    }

    /// These rules of nftables are in force from now on, and no others, for the first segment's frames.
    pub fn lose_only(&self, rules: &[String]) {
        let chain = "chain loss {\n type filter hook forward priority 0; policy accept;\n";
        let rules = rules.join("\n ");
        self.switch.nft(&format!(
            "table bridge lab\ndelete table bridge lab\ntable bridge lab {{\n {chain} {rules}\n }}\n}}\n"
        ));
    }

    /// The switch keeps a host's port of the first segment blocked, as if it had yet to learn: nothing comes, nothing goes.
    pub fn block(&self, host: usize) {
        let port = port(host, 0);
        // Else the port would speak for itself when its link comes up.
        self.switch.sysctl(&format!("ipv6/conf/{port}/disable_ipv6"), "1");
        self.switch.nft(&format!(
            "table bridge lab {{\n chain through {{\n type filter hook forward priority 0; policy accept;\n \
             iifname \"{port}\" drop\n oifname \"{port}\" drop\n }}\n chain out {{\n \
             type filter hook output priority 0; policy accept;\n oifname \"{port}\" drop\n }}\n}}\n"
        ));
    }

    /// Nothing is lost any more.
    pub fn heal(&self) {
        self.switch.nft("delete table bridge lab\n");
    }

    /// Pulls a host's cable out or plugs it in.
    pub fn carrier(&self, host: usize, on: bool) {
        self.switch.ip(&format!("link set {} {}", port(host, 0), if on { "up" } else { "down" }));
    }

    /// Gives all of them IPv6 on the first segment: fe80::N and 2001:db8::N, usable at once.
    pub fn turn_on_ipv6(&self) {
        for (host, room) in (1..).zip(&self.hosts).chain([(CLIENT, &self.client)]) {
            // No address that the kernel makes up, which would come a second or two later.
            room.sysctl("ipv6/conf/eth0/addr_gen_mode", "1");
            for conf in ["all", "default", "eth0"] {
                room.sysctl(&format!("ipv6/conf/{conf}/disable_ipv6"), "0");
            }
            add_ipv6(room, host);
        }
    }

    /// A host that was powered on has its IPv6 addresses again.
    pub fn give_ipv6(&self, host: usize) {
        add_ipv6(self.host(host), host);
    }

    /// A host says on the first segment that an address is its own, whoever has it.
    pub fn claim_falsely(&self, host: usize, address: Ipv4Addr) {
        let own = [2, 0, 0, 0, 0, u8::try_from(host).expect("a host's number")];
        let mut frame = vec![0xff; 6];
        frame.extend(own);
        // Ethernet and IPv4, a request; the sender is the target.
        frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
        frame.extend(own);
        frame.extend(address.octets());
        frame.extend([0; 6]);
        frame.extend(address.octets());
        self.host(host).within(move || {
            let index = nix::net::if_::if_nametoindex("eth0").expect("an interface");
            let socket = NeighbourSocket::open(index, Family::Ipv4).expect("a packet socket");
            socket.send(&frame).expect("a frame that leaves");
        });
    }

    /// Gives a host one more interface on the first segment, without an address, as if a card were plugged in.
    pub fn plug_in(&self, host: usize, interface: &str, mac: &str) {
        self.switch.ip_all(&[
            format!(
                "link add x-{host} type veth peer name {interface} address {mac} netns {}",
                self.host(host).target()
            ),
            format!("link set x-{host} master br0 up"),
        ]);
    }

    /// Asked from outside from now on for so long: exactly this host holds the address, and nothing moves.
    pub fn stays(&self, vip: impl Into<IpAddr>, host: usize, nanos: u64) {
        let vip = vip.into();
        assert_eq!(self.holders.of(vip), [host], "who holds {vip}");
        let from = now();
        self.wire.watched_until(from + nanos);
        assert_eq!(self.holders.changes(vip, from), [], "{vip} stays at host {host}");
    }

    /// No stall of the machine between two moments.
    pub fn undisturbed(&self, from: Moment, to: Moment) -> bool {
        !self.stalls.within(from, to, STALL)
    }

    /// What an address has been through, for whoever reads a failure.
    fn account(&self) -> String {
        let mut text = String::new();
        let seen = self.wire.since(0);
        for seen in &seen[seen.len().saturating_sub(60)..] {
            let what = match &seen.what {
                What::Advert(advert) => format!(
                    "advert of {} vrid {} priority {} every {}0 ms {:?}",
                    advert.source, advert.vrid, advert.priority, advert.centiseconds, advert.addresses
                ),
                What::Arp(arp) => format!("ARP {} is asked for by {}", arp.target, arp.sender),
                What::Neighbor(address) => format!("Neighbor Advertisement for {address}"),
                What::Other => "protocol 112, no advert".to_owned(),
            };
            writeln!(text, "{:.3} ms ..:{:02x} {what}", in_ms(seen.at) % 1e6, seen.mac[5]).expect("a string");
        }
        for change in self.holders.all() {
            let verb = if change.held { "gets" } else { "loses" };
            writeln!(text, "{:.3} ms host {} {verb} {}", in_ms(change.at) % 1e6, change.host, change.address)
                .expect("a string");
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                writeln!(text, "--- {}\n{}", path.display(), tail(&path, 40)).expect("a string");
            }
        }
        text
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.account());
        }
        self.rooms().for_each(Room::kill_all);
        // What is left is removed by the next lab.
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// What fits the frames that a host sends on the first segment, in nftables' words.
pub fn sent_by(host: usize) -> String {
    format!("iifname \"{}\"", port(host, 0))
}

/// What fits those that it is sent.
pub fn sent_to(host: usize) -> String {
    format!("oifname \"{}\"", port(host, 0))
}

/// A host's own address on a segment.
pub fn address(host: usize, segment: usize) -> Ipv4Addr {
    let host = u8::try_from(host).expect("a host's number");
    match u8::try_from(segment).expect("a segment's number") {
        0 => Ipv4Addr::new(192, 0, 2, host),
        segment => Ipv4Addr::new(198, 18, segment, host),
    }
}

/// A host's link-local address on the first segment, once it has IPv6.
pub fn link_local(host: usize) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::try_from(host).expect("a host's number"))
}

fn add_ipv6(room: &Room, host: usize) {
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::try_from(host).expect("a host's number"));
    for address in [link_local(host), global] {
        room.ip(&format!("addr add {address}/64 dev eth0 nodad"));
    }
}

/// A host's MAC address on the first segment, as iproute2 writes it.
pub fn mac(host: usize) -> String {
    format!("02:00:00:00:00:{host:02x}")
}

fn port(host: usize, segment: usize) -> String {
    format!("p-{host}-{segment}")
}

fn connect(switch: &Room, host: usize, segments: usize) -> Room {
    let room = Room::new(&format!("host {host}"));
    // A machine's first IPv6 packets would only add noise.
    room.sysctl("ipv6/conf/all/disable_ipv6", "1");
    room.sysctl("ipv6/conf/default/disable_ipv6", "1");
    for segment in 0..segments {
        let port = port(host, segment);
        switch.ip_all(&[
            format!(
                "link add {port} type veth peer name eth{segment} address 02:00:00:00:{segment:02x}:{host:02x} netns {}",
                room.target()
            ),
            format!("link set {port} master br{segment} up"),
        ]);
        room.ip_all(&[
            format!("addr add {}/24 dev eth{segment}", address(host, segment)),
            format!("link set eth{segment} up"),
        ]);
    }
    room
}

fn await_carrier(room: &Room, segment: usize) {
    eventually("a link on a host of the lab", || {
        room.ip(&format!("link show eth{segment}")).contains("LOWER_UP").then_some(())
    });
}

/// A new folder; those of labs whose process is gone are removed.
fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    const PREFIX: &str = "locum-lab-";
    let home = std::env::temp_dir();
    for entry in fs::read_dir(&home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { continue };
        let gone = owner.parse().is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH));
        if gone {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let folder = home.join(format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&folder).expect("a folder");
    folder
}

fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
