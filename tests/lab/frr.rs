//! FRR's vrrpd as the other node. Its addresses wait on an interface with the virtual router's MAC address, which it
//! lets through or not: who holds can only be asked on the LAN. Its daemons run as their own user, so only root can
//! start them.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};

use crate::agents::{Agent, Router};
use crate::ask::Mac;
use crate::clock::eventually;
use crate::common::tool;
use crate::lan::Lab;

/// Where Debian puts its daemons.
const ZEBRA: &str = "/usr/lib/frr/zebra";
const VRRPD: &str = "/usr/lib/frr/vrrpd";

/// zebra, which knows the interfaces, and vrrpd, which elects.
pub struct Frr {
    zebra: Child,
    vrrpd: Agent,
}

impl Frr {
    pub fn start(lab: &Lab, host: usize, routers: &[Router]) -> Self {
        assert!(tool("vtysh").is_some(), "FRR is installed");
        let (folder, config) = (lab.file(&format!("{host}.frr")), lab.file(&format!("{host}.vrrpd")));
        fs::remove_dir_all(&folder).ok();
        fs::create_dir(&folder).expect("a folder");
        let frr = User::from_name("frr").expect("the list of users").expect("FRR's own user");
        chown(&folder, Some(frr.uid), Some(frr.gid)).expect("root may");
        fs::write(&config, conf(routers)).expect("a configuration file");
        routers.iter().for_each(|router| give_interface(lab, host, router));
        let path = |name: &str| folder.join(name).to_str().expect("a path of ASCII").to_owned();
        let common = |name: &str| -> Vec<String> {
            let socket = path("zserv");
            let words = ["-P", "0", "-z", &socket, "--vty_socket", &path(""), "-i", &path(name)];
            let log = ["--log", "stdout", "--log-level", "debug"];
            words.into_iter().chain(log).map(str::to_owned).collect()
        };
        let log = fs::File::create(lab.file(&format!("{host}-zebra.log"))).expect("a log");
        let words = words(ZEBRA, common("zebra.pid"));
        let zebra = lab.host(host).spawn(&words[0], |command| {
            command.args(&words[1..]).stdout(log.try_clone().expect("the log")).stderr(log);
        });
        let socket = folder.join("zserv");
        eventually("zebra's socket", || socket.exists().then_some(()));
        let mut arguments = vec!["-f".to_owned(), config.to_str().expect("ASCII").to_owned()];
        arguments.extend(common("vrrpd.pid"));
        let vrrpd = Agent::start(lab, host, &self::words(VRRPD, arguments), config, folder);
        Frr { zebra, vrrpd }
    }

    /// A planned stop, to its end.
    pub fn stop(&mut self, lab: &Lab, host: usize) {
        let is_vrrpd = |pid: &Pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(VRRPD));
        let running: Vec<Pid> = lab.host(host).processes().into_iter().filter(is_vrrpd).collect();
        assert_eq!(running.len(), 1, "vrrpd runs on host {host}");
        running.into_iter().for_each(|pid| kill(pid, Signal::SIGTERM).expect("vrrpd runs"));
        self.vrrpd.ended();
        self.end_zebra();
    }

    pub fn log(&self) -> String {
        self.vrrpd.log()
    }

    fn end_zebra(&mut self) {
        // It may have ended already.
        self.zebra.kill().ok();
        self.zebra.wait().ok();
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        self.end_zebra();
    }
}

/// A daemon in a process namespace of its own that ends with whoever started it: as it changes its user, the kernel
/// forgets that it should end with its parent. What it leaves in its crash folder goes too.
fn words(program: &str, arguments: Vec<String>) -> Vec<String> {
    const ALONE: &str = "d=/var/tmp/frr; mkdir -p $d && mount -t tmpfs -o mode=1777 none $d; \"$@\" & wait";
    let unshare = tool("unshare").expect("unshare").to_str().expect("a path of ASCII").to_owned();
    let options = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ALONE, "frr", program].map(str::to_owned);
    [unshare].into_iter().chain(options).chain(arguments).collect()
}

/// The virtual router's MAC address (RFC 9568 section 7.3).
pub fn virtual_mac(router: &Router) -> Mac {
    let family = if is_ipv6(router) { 2 } else { 1 };
    [0, 0, 0x5e, 0, family, router.vrid]
}

fn is_ipv6(router: &Router) -> bool {
    router.addresses.iter().all(|address| address.contains(':'))
}

fn conf(routers: &[Router]) -> String {
    let mut lines = vec!["debug vrrp".to_owned(), "interface eth0".to_owned()];
    for router in routers {
        let vrid = router.vrid;
        lines.push(format!(" vrrp {vrid} version 3"));
        lines.push(format!(" vrrp {vrid} priority {}", router.priority));
        lines.push(format!(" vrrp {vrid} advertisement-interval {}", router.interval_ms));
        for address in &router.addresses {
            let host = address.split('/').next().expect("an address");
            let family = if host.parse::<IpAddr>().expect("an address").is_ipv6() { "ipv6" } else { "ip" };
            lines.push(format!(" vrrp {vrid} {family} {host}"));
        }
    }
    lines.join("\n") + "\n"
}

/// The interface that its manual asks for; until vrrpd has seen to it nothing passes.
fn give_interface(lab: &Lab, host: usize, router: &Router) {
    let room = lab.host(host);
    // Else the card would answer ARP for what waits on the other interface.
    room.sysctl("ipv4/conf/all/arp_ignore", "1");
    // No address that the kernel makes up of the virtual MAC address.
    room.sysctl("ipv6/conf/default/addr_gen_mode", "1");
    let name = format!("vrrp-{}", router.vrid);
    // There is none the first time.
    room.try_run("ip", &["link", "del", &name], "").ok();
    let mac = virtual_mac(router).map(|byte| format!("{byte:02x}")).join(":");
    let nodad = if is_ipv6(router) { " nodad" } else { "" };
    room.ip(&format!("link add {name} link eth0 address {mac} type macvlan mode bridge"));
    let addresses = router.addresses.iter().map(|address| format!("addr add {address} dev {name}{nodad}"));
    room.ip_all(&addresses.chain([format!("link set {name} up protodown on")]).collect::<Vec<_>>());
}
