//! The packages as files: the same twice, without reproach, and the same in both formats. And the unit they bring.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Need, require};
use crate::node::{run, told};

/// Both packages of one version.
pub struct Packages {
    pub deb: PathBuf,
    pub rpm: PathBuf,
}

/// Those of a version that packaging/build has made, where `LOCUM_PACKAGES` says; `None` skips the test.
pub fn packages(version: &str) -> Option<Packages> {
    if !require(&[Need::Packages]) {
        return None;
    }
    let folder = std::env::var_os("LOCUM_PACKAGES").expect("set");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let one = |begin: String, end: &str| {
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files = files.map(|entry| entry.expect("readable").path());
        let is = |path: &PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&begin) && name.ends_with(end))
        };
        files.find(is).unwrap_or_else(|| panic!("no {begin}*{end} in {}", folder.display()))
    };
    Some(Packages { deb: one(format!("locum_{version}_"), ".deb"), rpm: one(format!("locum-{version}-1."), ".rpm") })
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn project(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let Some(first) = packages(env!("CARGO_PKG_VERSION")) else { return };
    let again = std::env::temp_dir().join(format!("locum-again-{}", std::process::id()));
    let output = Command::new(project("packaging/build")).args(["--out", text(&again)]).output().expect("it runs");
    assert!(output.status.success(), "{}", told(&output));
    for made in [&first.deb, &first.rpm] {
        let twin = again.join(made.file_name().expect("a name"));
        assert!(fs::read(made).expect("read") == fs::read(&twin).expect("read"), "{} differs", made.display());
    }
    fs::remove_dir_all(again).expect("removed");
}

#[test]
fn lintian_and_rpmlint_have_nothing_to_say() {
    let Some(made) = packages(env!("CARGO_PKG_VERSION")) else { return };
    if !require(&[Need::Tool("lintian"), Need::Tool("rpmlint")]) {
        return;
    }
    let lintian = run("lintian", &["--allow-root", "--fail-on=error,warning", text(&made.deb)]);
    assert_eq!(lintian, "");
    let rules = project("packaging/rpm/rpmlint.toml");
    let rpmlint = run("rpmlint", &["--config", &rules, text(&made.rpm)]);
    assert!(rpmlint.contains("0 errors, 0 warnings"), "{rpmlint}");
}

/// Paths of the files, one way of writing for both distributions where theirs differ.
fn alike(list: &str) -> BTreeSet<String> {
    let names = list.lines().map(|line| line.trim_start_matches('.').to_owned());
    names
        .map(|name| name.replace("/zsh/vendor-completions/", "/zsh/site-functions/"))
        .map(|name| name.replace("/licenses/locum/third-party", "/doc/locum/third-party"))
        .filter(|name| !name.ends_with('/'))
        .collect()
}

#[test]
fn both_packages_hold_the_same_files() {
    let Some(made) = packages(env!("CARGO_PKG_VERSION")) else { return };
    if !require(&[Need::Tool("dpkg-deb"), Need::Tool("rpm")]) {
        return;
    }
    let listed = run("dpkg-deb", &["--contents", text(&made.deb)]);
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
    let deb = alike(&names.join("\n"));
    let rpm = alike(&run("rpm", &["--query", "--list", "--package", text(&made.rpm)]));
    let only = |these: &BTreeSet<String>, others: &BTreeSet<String>| -> Vec<String> {
        these.difference(others).cloned().collect()
    };
    // What is one distribution's own: where licences and changelogs stand, and whose confinement it has.
    assert_eq!(
        only(&deb, &rpm),
        [
            "/etc/apparmor.d/usr.bin.locum",
            "/usr/share/doc/locum/changelog.Debian.gz",
            "/usr/share/doc/locum/copyright",
            "/usr/share/lintian/overrides/locum",
        ]
    );
    assert_eq!(
        only(&rpm, &deb),
        [
            "/usr/share/licenses/locum/LICENSE-APACHE",
            "/usr/share/licenses/locum/LICENSE-MIT",
            "/usr/share/selinux/packages/locum.pp",
        ]
    );
    for expected in [
        "/etc/locum/locum.toml",
        "/usr/bin/locum",
        "/usr/lib/locum/check-http",
        "/usr/lib/systemd/system/locum-runner.service",
        "/usr/lib/systemd/system/locum.service",
        "/usr/lib/sysusers.d/locum.conf",
        "/usr/share/bash-completion/completions/locum",
        "/usr/share/doc/locum/third-party.gz",
        "/usr/share/fish/vendor_completions.d/locum.fish",
        "/usr/share/locum/locum.schema.json",
        "/usr/share/man/man5/locum.toml.5.gz",
        "/usr/share/man/man8/locum.8.gz",
        "/usr/share/zsh/site-functions/_locum",
    ] {
        assert!(deb.contains(expected) && rpm.contains(expected), "{expected}");
    }
    let conffiles = run("dpkg-deb", &["--info", text(&made.deb), "conffiles"]);
    assert_eq!(
        conffiles.split_whitespace().collect::<Vec<_>>(),
        ["/etc/locum/locum.toml", "/etc/apparmor.d/usr.bin.locum"]
    );
    let config = run("rpm", &["--query", "--configfiles", "--package", text(&made.rpm)]);
    assert_eq!(config.trim(), "/etc/locum/locum.toml");
}

/// Of the agent's unit: real time stays possible, and all that the agent does not need is denied.
#[test]
fn the_unit_exposes_little() {
    if !require(&[Need::Tool("systemd-analyze")]) {
        return;
    }
    let unit = project("packaging/locum.service");
    run("systemd-analyze", &["security", "--offline=true", "--threshold=20", &unit]);
    let unit = fs::read_to_string(unit).expect("read");
    for line in [
        "Type=notify",
        "ExecReload=/usr/bin/locum reload",
        "After=network-pre.target network.target locum-runner.service",
        "Restart=always",
        "CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW",
        "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW",
        "LimitRTPRIO=10",
        "LimitMEMLOCK=infinity",
        "LimitCORE=0",
        "WatchdogSignal=SIGKILL",
        "RestartKillSignal=SIGUSR1",
        "RuntimeDirectoryPreserve=yes",
    ] {
        assert!(unit.contains(&format!("\n{line}\n")), "{line}");
    }
    assert!(!unit.contains("\nRestrictRealtime=") && !unit.contains("network-online.target"), "{unit}");
    let prevented = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).expect("a list");
    assert_eq!(prevented, "64 66 77 78");
}

/// Of the runner's unit: three rights, and nothing that would surprise a script.
#[test]
fn the_runners_unit_denies_scripts_nothing() {
    let unit = fs::read_to_string(project("packaging/locum-runner.service")).expect("read");
    for line in [
        "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL",
        "AmbientCapabilities=CAP_SETUID CAP_SETGID CAP_KILL",
        "PartOf=locum.service",
        "Before=locum.service",
        "Restart=always",
    ] {
        assert!(unit.contains(&format!("\n{line}\n")), "{line}");
    }
    let denials =
        ["Protect", "Private", "Restrict", "SystemCall", "NoNewPrivileges", "MemoryDeny", "ReadOnly", "NoExec"];
    let denied = |line: &&str| denials.iter().any(|denial| line.starts_with(denial)) && !line.starts_with("Restart");
    assert_eq!(unit.lines().filter(denied).collect::<Vec<_>>(), Vec::<&str>::new());
}

/// What is shipped asks for nothing and is valid; what its comments offer is valid too.
#[test]
fn the_configuration_that_is_shipped_is_inactive_and_valid() {
    let shipped = fs::read_to_string(project("config/locum.toml")).expect("read");
    let parsed = locum::config::parse(&shipped, "lb1").expect("valid");
    assert!(parsed.config.routers.is_empty() && parsed.config.checks.is_empty() && parsed.warnings.is_empty());
}
