//! The packages on booted systems: what an administrator does with them, from the first hour to the purge.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::live_guard;
use crate::judged::judged;
use crate::node::{Lan, Node, until};
use crate::steps::{
    CONFIG, VIP, at_rest, both_versions, config, in_order, install, install_rpm, of_rpm, ours, pair, until_it_follows,
    with_a_pair,
};

/// An upgrade replaces the program within the process: nothing moves, and a client at 100 Hz loses nothing. So it does
/// with the runner, once the new agent has connected to it.
fn upgrades_go_unnoticed(node: &Node, peer: Option<&Node>, install: impl Fn(&Node) -> String) {
    judged("an upgrade", || {
        at_rest(node, peer);
        let (before, runner) = (node.property("MainPID"), node.property_of("locum-runner.service", "MainPID"));
        let since = peer.map(Node::transitions);
        let load = node.under_load(VIP);
        let told = install(node);
        assert!(!told.contains("goes on running as it was"), "{told}");
        assert_eq!((node.property("MainPID"), node.state().as_str()), (before.clone(), "active"), "{}", node.journal());
        let is_new = |pid: &str| node.sh(&format!("readlink /proc/{pid}/exe")).trim() == "/usr/bin/locum";
        assert!(is_new(&before), "the program before the upgrade still runs");
        assert_eq!(node.sh(&format!("cat {CONFIG}")), config(150), "the edited configuration survives");
        let echoes = load.end();
        assert!(echoes.sent >= 10 && echoes.lost.is_empty(), "{echoes:?}: {}", node.journal());
        assert_eq!(peer.map(Node::transitions), since, "{}", node.journal());
        until("the runner has become the new program", || is_new(&runner).then_some(()));
        assert_eq!(node.property_of("locum-runner.service", "MainPID"), runner, "{}", node.journal());
        Some(())
    });
}

/// A restart resumes, with the runner restarted beside it: nothing moves either. It must be done while the peers wait,
/// so one that took too long for that is none to judge.
fn restarts_go_unnoticed(node: &Node, peer: Option<&Node>) {
    judged("a restart", || {
        at_rest(node, peer);
        let before = node.property("MainPID");
        let since = peer.map(Node::transitions);
        let load = node.under_load(VIP);
        let begun = Instant::now();
        node.restart();
        let took = begun.elapsed();
        node.until_it_holds(VIP);
        assert_ne!(node.property("MainPID"), before);
        let echoes = load.end();
        (took < Duration::from_millis(1200)).then_some(())?;
        assert!(echoes.sent >= 10 && echoes.lost.is_empty(), "{took:?}: {echoes:?}: {}", node.journal());
        assert_eq!(peer.map(Node::transitions), since, "{}", node.journal());
        Some(())
    });
}

fn a_new_version_that_rejects_the_file_leaves_the_agent_alone(node: &Node, new: &Path) {
    let before = node.property("MainPID");
    node.write(CONFIG, &config(150).replace("vrid", "virtual_router_id"));
    let told = install(node, new);
    in_order(
        &told,
        &["nothing was changed: /etc/locum/locum.toml is not valid", "virtual_router_id", "goes on running as it was"],
    );
    assert_eq!((node.property("MainPID"), node.state().as_str()), (before, "active"), "{}", node.journal());
}

/// Exit code 78 is no reason to try again; the other node has the address meanwhile.
fn a_broken_configuration_is_no_loop(node: &Node, other: &Node) {
    let reload = node.try_sh("systemctl reload locum");
    assert!(!reload.status.success(), "a refused configuration is a failed reload");
    assert_eq!(node.state(), "active");
    let warned = "what is on disk was refused and does not run";
    until("a warning of the next start", || node.property("StatusText").contains(warned).then_some(()));
    assert!(!node.try_sh("systemctl restart locum").status.success());
    other.until_state("active");
    assert_eq!(node.property("ActiveState"), "failed");
    assert_eq!(node.property("ExecMainStatus"), "78");
    assert_eq!(node.property("NRestarts"), "0");
    node.write(CONFIG, &config(150));
    node.sh("systemctl start locum");
    node.until_state("active");
    other.until_state("backup");
}

/// The key is made by the commands of README.md, which end where nobody but the agent can read it.
fn authenticated(one: &Node, two: &Node) {
    let readme = include_str!("../../README.md");
    let commands = readme.lines().skip_while(|line| !line.ends_with("openssl rand -hex 32 >> web.key)"));
    let commands: Vec<&str> = commands.take_while(|line| *line != "```").collect();
    assert!(commands.len() == 2 && commands[1].starts_with("sudo install "), "{commands:?}");
    one.sh(commands[0]);
    two.put(&one.path("/web.key"), "/web.key");
    let auth = "[virtual_router.web.auth]\nmode = \"MODE\"\nactive_key = 1\n\
                keys = [{ id = 1, file = \"/etc/locum/keys/web\" }]\n";
    for node in [one, two] {
        // As a user would do it first: root's file, of which `check` warns and which the agent cannot read.
        node.sh(&commands[1].replace("sudo ", "").replace("-o locum ", ""));
        let before = node.sh(&format!("cat {CONFIG}"));
        node.write(CONFIG, &format!("{before}{}", auth.replace("MODE", "permissive")));
        let told = node.sh("locum check");
        assert!(told.contains("chown locum /etc/locum/keys/web"), "{told}");
        let reload = node.try_sh("exec 2>&1; locum reload");
        assert_eq!(reload.status.code(), Some(78));
        assert!(String::from_utf8_lossy(&reload.stdout).contains("chown locum /etc/locum/keys/web"));
        node.sh(&commands[1].replace("sudo ", ""));
        assert!(!node.sh("locum check").contains("chown"));
        node.write(CONFIG, &format!("{before}{}", auth.replace("MODE", "enforce")));
    }
    // The folder of the keys was out of reach when the agents were started.
    for node in [two, one] {
        node.restart();
    }
    one.until_it_holds(VIP);
    two.until_state("backup");
    until("adverts under the key", || (two.document()["routers"]["web"]["peers"][0]["key"] == 1).then_some(()));
    assert!(!one.sh("journalctl --unit=locum").contains(&one.sh("cut -c 5- /web.key")), "a secret in the journal");
}

/// It waits for a successor no longer than the unit lets it, and nobody has to kill it.
fn a_stop_that_nobody_follows_ends_in_order(node: &Node) {
    node.sh("systemctl stop locum");
    assert_eq!([node.property("Result"), node.property("ExecMainStatus")], ["success", "0"], "{}", node.journal());
    assert!(!node.holds(VIP));
    in_order(&node.journal(), &["stopping: resigning", "1 address released after", "nobody took over", "stopped"]);
}

/// A program that ends again and again is not started for ever; its peers have the addresses.
fn a_loop_of_crashes_ends(node: &Node) {
    node.sh("mkdir -p /etc/systemd/system/locum.service.d");
    let broken = "[Service]\nType=exec\nExecStart=\nExecStart=/bin/false\n";
    node.write("/etc/systemd/system/locum.service.d/broken.conf", broken);
    node.try_sh("systemctl daemon-reload && systemctl start locum");
    until("the end of the loop", || (node.property("ActiveState") == "failed").then_some(()));
    let restarts: u32 = node.property("NRestarts").parse().expect("a number");
    assert!((1..=10).contains(&restarts), "{restarts}");
    node.sh("rm -r /etc/systemd/system/locum.service.d && systemctl daemon-reload && systemctl reset-failed locum");
}

#[test]
fn a_pair_of_debs_with_a_key() {
    with_a_pair("key", |one, two| {
        authenticated(one, two);
        one.sh("systemctl stop locum");
        two.until_it_holds(VIP);
        one.sh("DEBIAN_FRONTEND=noninteractive dpkg --purge locum");
        assert!(!one.path("/etc/locum").exists());
        a_stop_that_nobody_follows_ends_in_order(two);
        a_loop_of_crashes_ends(two);
    });
}

#[test]
fn a_pair_of_debs_from_the_first_hour_to_the_purge() {
    let Some((_, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("deb");
    let (one, two, empty) = pair(&lan, &new, &new, ["a", "b"]);

    one.sh("systemctl stop locum");
    until_it_follows(&two);
    assert!(!one.holds(VIP));
    one.sh("systemctl start locum");
    one.until_it_holds(VIP);
    two.until_state("backup");
    one.sh("rm /etc/ready");
    two.until_it_holds(VIP);
    one.write("/etc/ready", "");
    one.until_it_holds(VIP);
    two.until_state("backup");

    one.sh("dpkg --remove locum");
    until_it_follows(&two);
    assert!(!one.holds(VIP), "it has handed over before it goes");
    assert_eq!(one.sh(&format!("cat {CONFIG}")), config(150));
    one.sh("dpkg --purge locum; rm /opt/locum.deb");
    assert_eq!(ours(&one, &empty), Vec::<String>::new());
    assert!(!one.sh("cat /etc/passwd /etc/group /etc/shadow /etc/gshadow").contains("locum"), "users are left");
    // That it has forgotten what is no more may take systemd a while.
    let units = one.sh("systemctl list-units --all --full; systemctl list-unit-files");
    let left = units.lines().filter(|line| line.contains("locum") && !line.contains("not-found inactive dead"));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(!one.try_sh("pgrep locum").status.success(), "something of it still runs");
}

#[test]
fn a_pair_of_debs_upgraded_broken_and_repaired() {
    let Some((before, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("upd");
    let (one, two, _) = pair(&lan, &before, &new, ["d", "e"]);
    upgrades_go_unnoticed(&one, Some(&two), |node| install(node, &new.deb));
    restarts_go_unnoticed(&one, Some(&two));
    upgrades_go_unnoticed(&one, Some(&two), |node| install(node, &before.deb));
    a_new_version_that_rejects_the_file_leaves_the_agent_alone(&one, &new.deb);
    a_broken_configuration_is_no_loop(&one, &two);
    one.sh("dpkg --remove locum");
    until_it_follows(&two);
    assert!(!one.holds(VIP), "it has handed over before it goes");
}

#[test]
fn an_rpm_installed_and_erased() {
    let Some((_, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("rpm");
    let (node, empty) = of_rpm(&lan, "c", &new.rpm);
    let told = node.sh("rpm --erase locum");
    assert!(told.contains(".rpmsave"), "{told}");
    assert!(!node.holds(VIP));
    in_order(&node.journal(), &["stopping: resigning", "stopped"]);
    assert_eq!(node.property("LoadState"), "not-found");
    assert!(!node.try_sh("pgrep locum").status.success(), "something of it still runs");
    assert_eq!(ours(&node, &empty), ["/etc/locum", "/etc/locum/locum.toml.rpmsave"]);
}

#[test]
fn an_rpm_upgraded_and_back() {
    let Some((before, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("rpu");
    let (node, _) = of_rpm(&lan, "f", &before.rpm);
    upgrades_go_unnoticed(&node, None, |node| install_rpm(node, &new.rpm));
    restarts_go_unnoticed(&node, None);
    upgrades_go_unnoticed(&node, None, |node| install_rpm(node, &before.rpm));
    node.sh("rpm --erase locum");
    assert!(!node.holds(VIP));
    in_order(&node.journal(), &["stopping: resigning", "stopped"]);
}
