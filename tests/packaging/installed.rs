//! The packages on booted systems: what an administrator does with them, from the first hour to the purge.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::{Need, live_guard, require};
use crate::node::{Lan, Node};
use crate::packages::{Packages, packages};

const VIP: &str = "192.0.2.10";
const CONFIG: &str = "/etc/locum/locum.toml";
/// Under its number the packages of this very tree stand for those before it.
const BEFORE: &str = "0.0.1";

fn both_versions() -> Option<(Packages, Packages)> {
    let (before, new) = (packages(BEFORE)?, packages(env!("CARGO_PKG_VERSION"))?);
    require(&[
        Need::Root,
        Need::Tool("systemd-nspawn"),
        Need::Tool("debootstrap"),
        Need::Tool("ip"),
        Need::Tool("nsenter"),
    ])
    .then_some((before, new))
}

fn config(priority: u8) -> String {
    format!(
        "[virtual_router.web]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\naddresses = [\"{VIP}/24\"]\n\
         checks = [\"own\"]\n\n[check.own]\nscript = [\"/usr/bin/test\", \"-e\", \"/etc/ready\"]\n"
    )
}

/// Whether these stand in a text in this order.
fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let Some((_, after)) = rest.split_once(word) else { panic!("`{word}` is missing or too early in:\n{text}") };
        rest = after;
    }
}

const STEPS: [&str; 5] =
    [CONFIG, "locum check", "systemctl reload-or-restart locum", "locum status", "through the firewall"];

/// Every path of the node's disk that the package or its agent could have left.
fn files(node: &Node) -> BTreeSet<String> {
    let list = node.sh("find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run/systemd \
         -o -path /var/log -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /run/log \\) -prune -o -print");
    list.lines().map(str::to_owned).collect()
}

fn install(node: &Node, deb: &Path) -> String {
    node.put(deb, "/opt/locum.deb");
    node.sh("DEBIAN_FRONTEND=noninteractive dpkg --install /opt/locum.deb")
}

/// The first hour: a node with the package, told what to do next, that then holds to what its configuration says.
fn set_up(node: &Node, deb: &Path, priority: u8) {
    in_order(&install(node, deb), &STEPS);
    assert_eq!(node.property("ActiveState"), "active");
    assert_eq!(node.sh("systemctl is-enabled locum").trim(), "enabled");
    in_order(&node.sh("systemctl status --full locum"), &STEPS);
    in_order(&node.sh("locum status"), &STEPS);
    in_order(&node.journal(), &STEPS);

    node.write(CONFIG, &config(priority));
    let told = node.sh("locum check");
    let line = told.lines().map(str::trim).find(|line| line.starts_with("iifname \"eth0\""));
    let line = line.unwrap_or_else(|| panic!("no line for nftables in: {told}"));
    // A firewall that lets in what check says and nothing else.
    node.write(
        "/etc/nftables.conf",
        &format!(
            "table inet filter {{\n  chain input {{\n    type filter hook input priority 0; policy drop;\n    {line}\n  }}\n}}\n"
        ),
    );
    node.sh("nft --file /etc/nftables.conf");
    node.write("/etc/ready", "");
    node.sh("systemctl reload-or-restart locum");
}

/// An upgrade replaces the program within the process: nothing moves, and a client at 100 Hz loses nothing.
fn upgrades_go_unnoticed(node: &Node, install: impl Fn(&Node) -> String) {
    let before = node.property("MainPID");
    let load = node.under_load(VIP);
    let told = install(node);
    assert!(!told.contains("goes on running as it was"), "{told}");
    assert_eq!((node.property("MainPID"), node.state().as_str()), (before.clone(), "active"), "{}", node.journal());
    let program = node.sh(&format!("readlink /proc/{before}/exe"));
    assert_eq!(program.trim(), "/usr/bin/locum", "the program before the upgrade still runs");
    assert_eq!(node.sh(&format!("cat {CONFIG}")), config(150), "the edited configuration survives");
    let (sent, answered) = load.end();
    assert!(sent >= 20, "{sent} echoes are no load");
    assert_eq!(sent, answered, "echoes were lost: {}", node.journal());
}

fn a_new_version_that_rejects_the_file_leaves_the_agent_alone(node: &Node, new: &Path) {
    let before = node.property("MainPID");
    node.write(CONFIG, &config(150).replace("vrid", "virtual_router_id"));
    let told = install(node, new);
    assert!(told.contains("virtual_router_id") && told.contains("goes on running as it was"), "{told}");
    assert_eq!((node.property("MainPID"), node.state().as_str()), (before, "active"), "{}", node.journal());
}

/// Exit code 78 is no reason to try again; the other node has the address meanwhile.
fn a_broken_configuration_is_no_loop(node: &Node, other: &Node) {
    let reload = node.try_sh("systemctl reload locum");
    assert!(!reload.status.success(), "a refused configuration is a failed reload");
    assert_eq!(node.state(), "active");
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

/// A pair of the deb, the first node Active.
fn pair(lan: &Lan, first: &Packages, second: &Packages, names: [&str; 2]) -> (Node, Node, BTreeSet<String>) {
    let one = Node::boot(names[0], lan, "192.0.2.1/24");
    let two = Node::boot(names[1], lan, "192.0.2.2/24");
    let empty = files(&one);
    set_up(&one, &first.deb, 150);
    set_up(&two, &second.deb, 100);
    one.until_it_holds(VIP);
    two.until_state("backup");
    assert!(!two.holds(VIP));
    (one, two, empty)
}

#[test]
fn a_pair_of_debs_from_the_first_hour_to_the_purge() {
    let Some((_, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("deb");
    let (one, two, empty) = pair(&lan, &new, &new, ["a", "b"]);

    one.sh("systemctl stop locum");
    two.until_it_holds(VIP);
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
    two.until_it_holds(VIP);
    assert!(!one.holds(VIP), "a removal resigns");
    assert_eq!(one.sh(&format!("cat {CONFIG}")), config(150));
    one.sh("dpkg --purge locum; rm /opt/locum.deb");
    assert_eq!(ours(&one, &empty), Vec::<String>::new());
}

#[test]
#[ignore = "an agent does not yet know the addresses of the one before it as its own"]
fn a_pair_of_debs_upgraded_broken_and_repaired() {
    let Some((before, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("upd");
    let (one, two, _) = pair(&lan, &before, &new, ["d", "e"]);
    upgrades_go_unnoticed(&one, |node| install(node, &new.deb));
    upgrades_go_unnoticed(&one, |node| install(node, &before.deb));
    a_new_version_that_rejects_the_file_leaves_the_agent_alone(&one, &new.deb);
    a_broken_configuration_is_no_loop(&one, &two);
    one.sh("dpkg --remove locum");
    two.until_it_holds(VIP);
    assert!(!one.holds(VIP), "a removal resigns");
}

/// What is there now and was not, and is called by our name.
fn ours(node: &Node, empty: &BTreeSet<String>) -> Vec<String> {
    let now = files(node);
    now.difference(empty).filter(|path| path.contains("locum")).cloned().collect()
}

/// A node with the rpm, Active.
fn of_rpm(lan: &Lan, name: &str, rpm: &Path) -> (Node, BTreeSet<String>) {
    let node = Node::boot(name, lan, "192.0.2.3/24");
    let empty = files(&node);
    node.sh("rpm --initdb");
    in_order(&install_rpm(&node, rpm), &STEPS);
    node.write(CONFIG, &config(150));
    node.write("/etc/ready", "");
    node.sh("systemctl enable locum; systemctl reload-or-restart locum");
    node.until_it_holds(VIP);
    (node, empty)
}

fn install_rpm(node: &Node, rpm: &Path) -> String {
    node.put(rpm, "/opt/locum.rpm");
    // The database of rpm on a Debian knows nothing of what is installed.
    node.sh("rpm --upgrade --oldpackage --nodeps /opt/locum.rpm && rm /opt/locum.rpm")
}

#[test]
fn an_rpm_installed_and_erased() {
    let Some((_, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("rpm");
    let (node, empty) = of_rpm(&lan, "c", &new.rpm);
    let told = node.sh("rpm --erase locum");
    assert!(told.contains(".rpmsave"), "{told}");
    assert!(!node.holds(VIP), "an erasure resigns");
    assert_eq!(node.property("LoadState"), "not-found");
    assert_eq!(ours(&node, &empty), ["/etc/locum", "/etc/locum/locum.toml.rpmsave"]);
}

#[test]
#[ignore = "an agent does not yet know the addresses of the one before it as its own"]
fn an_rpm_upgraded_and_back() {
    let Some((before, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("rpu");
    let (node, _) = of_rpm(&lan, "f", &before.rpm);
    upgrades_go_unnoticed(&node, |node| install_rpm(node, &new.rpm));
    upgrades_go_unnoticed(&node, |node| install_rpm(node, &before.rpm));
    node.sh("rpm --erase locum");
    assert!(!node.holds(VIP), "an erasure resigns");
}
