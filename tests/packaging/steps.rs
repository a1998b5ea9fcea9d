//! What an administrator does with a package on a node, as the tests share it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::{Need, live_guard, require};
use crate::node::{Lan, Node};
use crate::packages::{Packages, packages};

pub const VIP: &str = "192.0.2.10";
pub const CONFIG: &str = "/etc/locum/locum.toml";
/// Under its number the packages of this very tree stand for those before it.
const BEFORE: &str = "0.0.1";

pub fn both_versions() -> Option<(Packages, Packages)> {
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

pub fn config(priority: u8) -> String {
    format!(
        "[virtual_router.web]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\naddresses = [\"{VIP}/24\"]\n\
         checks = [\"own\"]\n\n[check.own]\nscript = [\"/usr/bin/test\", \"-e\", \"/etc/ready\"]\n"
    )
}

/// A loop that is compiled on the way, or else says why not.
pub const COMPILE: &str = "\
local n = 0
for i = 1, 10000 do n = n + i % 7 end
assert(require('jit').status(), 'no compiler')
assert(require('jit.util').traceinfo(1), 'nothing was compiled')
";

/// Whether these stand in a text in this order.
pub fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let Some((_, after)) = rest.split_once(word) else { panic!("`{word}` is missing or too early in:\n{text}") };
        rest = after;
    }
}

pub const STEPS: [&str; 5] =
    [CONFIG, "locum check", "systemctl reload-or-restart locum", "locum status", "through the firewall"];

/// Every path of the node's disk that the package or its agent could have left.
pub fn files(node: &Node) -> BTreeSet<String> {
    let list = node.sh("find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run/systemd \
         -o -path /var/log -o -path /var/lib/dpkg -o -path /run/log \\) -prune -o -print");
    list.lines().map(str::to_owned).collect()
}

pub fn install(node: &Node, deb: &Path) -> String {
    node.put(deb, "/opt/locum.deb");
    node.sh("DEBIAN_FRONTEND=noninteractive dpkg --install /opt/locum.deb")
}

/// The first hour: a node with the package, told what to do next, that then holds to what its configuration says.
pub fn set_up(node: &Node, deb: &Path, priority: u8) {
    in_order(&install(node, deb), &STEPS);
    assert_eq!([node.property("ActiveState"), node.property("NRestarts")], ["active", "0"]);
    assert_eq!(node.property_of("locum-runner.service", "ActiveState"), "active");
    assert_eq!(node.sh("systemd-analyze --man=no verify locum.service locum-runner.service"), "");
    let version = node.sh("locum --version");
    // Number, commit, day.
    let known = version.split([' ', '(', ')', '\n']).filter(|word| !word.is_empty()).collect::<Vec<_>>();
    assert!(
        matches!(known[..], ["locum", number, commit, day]
        if number == env!("CARGO_PKG_VERSION") && commit.len() >= 12 && day.len() == 10),
        "{version}"
    );
    assert_eq!(node.document()["program"], env!("CARGO_PKG_VERSION"));
    assert_eq!(node.sh("systemctl is-enabled locum").trim(), "enabled");
    in_order(&node.sh("systemctl status --full locum"), &STEPS);
    in_order(&node.sh("locum status"), &STEPS);
    in_order(&node.journal(), &STEPS);

    node.write(CONFIG, &config(priority));
    let told = node.sh("locum check");
    let line = told.lines().map(str::trim).find(|line| line.starts_with("iifname \"eth0\""));
    let line = line.unwrap_or_else(|| panic!("no line for nftables in: {told}"));
    // A firewall that lets in what check says and echoes, and nothing else.
    node.write(
        "/etc/nftables.conf",
        &format!(
            "table inet filter {{\n  chain input {{\n    type filter hook input priority 0; policy drop;\n    ip protocol icmp accept\n    {line}\n  }}\n}}\n"
        ),
    );
    node.sh("nft --file /etc/nftables.conf");
    node.write("/etc/ready", "");
    node.sh("systemctl reload-or-restart locum");
}

/// A pair of the deb, the first node Active.
pub fn pair(lan: &Lan, first: &Packages, second: &Packages, names: [&str; 2]) -> (Node, Node, BTreeSet<String>) {
    let one = Node::boot(names[0], lan, "192.0.2.1/24");
    let two = Node::boot(names[1], lan, "192.0.2.2/24");
    let empty = files(&one);
    set_up(&one, &first.deb, 150);
    set_up(&two, &second.deb, 100);
    at_rest(&one, Some(&two));
    assert!(!two.holds(VIP));
    (one, two, empty)
}

/// What befalls a pair of the deb, the first node Active.
pub fn with_a_pair(name: &str, scenario: impl FnOnce(&Node, &Node)) {
    let Some((_, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new(name);
    let (one, two, _) =
        pair(&lan, &new, &new, [1, 2].map(|number| format!("{name}{number}")).each_ref().map(String::as_str));
    scenario(&one, &two);
}

/// Waits until this node holds the address and its peer backs it up, which may take a while after a slow moment.
pub fn at_rest(node: &Node, peer: Option<&Node>) {
    node.until_it_holds(VIP);
    if let Some(peer) = peer {
        peer.until_state("backup");
    }
}

/// Waits until this node has taken over, from one that has said that it leaves.
pub fn until_it_follows(node: &Node) {
    node.until_it_holds(VIP);
    let transitions: serde_json::Value = serde_json::from_str(&node.transitions()).expect("JSON");
    let last = transitions.as_array().and_then(|all| all.last()).expect("it has changed its state");
    assert_eq!(last["reason"], "active-resigned", "{}", node.journal());
}

/// What is there now and was not, and is called by our name.
pub fn ours(node: &Node, empty: &BTreeSet<String>) -> Vec<String> {
    let now = files(node);
    now.difference(empty).filter(|path| path.contains("locum")).cloned().collect()
}

/// A node with the rpm, Active.
pub fn of_rpm(lan: &Lan, name: &str, rpm: &Path) -> (Node, BTreeSet<String>) {
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

pub fn install_rpm(node: &Node, rpm: &Path) -> String {
    node.put(rpm, "/opt/locum.rpm");
    // The database of rpm on a Debian knows nothing of what is installed.
    node.sh("rpm --upgrade --oldpackage --replacepkgs --nodeps /opt/locum.rpm && rm /opt/locum.rpm")
}
