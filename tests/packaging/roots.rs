//! The packages in roots that have not booted, as images of hosts and containers are made: their scripts run, and nothing
//! of them needs a service manager.

use std::path::Path;

use crate::common::{Need, live_guard, require};
use crate::node::{Root, run};
use crate::steps::{STEPS, both_versions, in_order};

const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/locum.service";

/// What the scripts have made, whatever the package.
fn is_set_up(root: &Root) {
    assert_eq!(root.sh("id -un locum").trim(), "locum");
    assert_eq!(root.sh("stat --format '%U %G %a' /etc/locum/keys").trim(), "root locum 750");
    assert_eq!(root.sh(&format!("readlink -f {WANTED}")).trim(), "/usr/lib/systemd/system/locum.service");
}

fn paths(root: &Root) -> Vec<String> {
    let list = root.sh("find / -xdev -name '*locum*' -not -path '/proc/*' -not -path '/var/log/*' | sort");
    list.lines().map(str::to_owned).collect()
}

fn put(root: &Root, file: &Path, place: &str) {
    std::fs::copy(file, root.path(place)).expect("copied");
}

#[test]
fn a_deb_in_a_root_that_has_not_booted() {
    let Some((before, new)) = both_versions() else { return };
    let _turn = live_guard();
    let root = Root::new("q");
    for deb in [&before.deb, &new.deb] {
        put(&root, deb, "/opt/l.deb");
        let told = root.sh("DEBIAN_FRONTEND=noninteractive dpkg --install /opt/l.deb");
        assert_eq!(told.contains("What to do next"), std::ptr::eq(deb, &before.deb), "once: {told}");
        is_set_up(&root);
    }
    in_order(&root.sh("locum check"), &STEPS);
    root.sh("dpkg --purge locum");
    assert_eq!(paths(&root), Vec::<String>::new());
    assert!(!root.sh("cat /etc/passwd /etc/group").contains("locum"));
}

#[test]
fn an_rpm_in_a_root_that_has_not_booted() {
    let Some((before, new)) = both_versions() else { return };
    if !require(&[Need::Tool("rpm")]) {
        return;
    }
    let _turn = live_guard();
    let root = Root::new("r");
    let at = root.path("/").display().to_string();
    let rpm = |arguments: &[&str]| run("rpm", &[&["--root", &at], arguments].concat());
    rpm(&["--initdb"]);
    for package in [&before.rpm, &new.rpm] {
        // From outside, with the scripts inside. The database of that root knows nothing of its Debian.
        rpm(&["--upgrade", "--nodeps", package.to_str().expect("text")]);
        is_set_up(&root);
    }
    rpm(&["--verify", "--nodeps", "locum"]);
    std::fs::write(root.path("/etc/locum/locum.toml"), "# mine\n").expect("written");
    rpm(&["--upgrade", "--nodeps", "--oldpackage", before.rpm.to_str().expect("text")]);
    assert_eq!(root.sh("cat /etc/locum/locum.toml"), "# mine\n", "an edited configuration survives");
    rpm(&["--erase", "locum"]);
    assert_eq!(paths(&root), ["/etc/locum", "/etc/locum/locum.toml.rpmsave"]);
}
