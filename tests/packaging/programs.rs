//! The runner's unit: what a program of a check can do, as whom, with what; and that its end is a failed check.

use std::collections::BTreeSet;

use crate::common::live_guard;
use crate::judged::judged;
use crate::node::{Lan, Node, until};
use crate::steps::{COMPILE, CONFIG, both_versions, install};

/// What scripts do, and one that sees itself, as the user of the package and as others.
const CHECKS: &str = r#"
[virtual_router.web]
interface = "eth0"
vrid = 51
addresses = ["192.0.2.10/24"]
checks = ["page", "process", "pidof", "home", "compiler", "seen", "seen-by-another", "of-root", "nobody", "often"]

[check.page]
script = ["/usr/lib/locum/check-http", "http://127.0.0.1:8080/"]
[check.process]
script = ["/usr/lib/locum/check-process", "systemd-journal"]
[check.pidof]
script = ["/bin/pidof", "systemd-journald"]
[check.home]
user = "somebody"
script = ["/bin/grep", "mine", "/home/somebody/file"]
[check.compiler]
script = ["/usr/bin/luajit", "/opt/compile"]
[check.seen]
script = ["/opt/see"]
[check.seen-by-another]
user = "somebody"
script = ["/opt/see"]
[check.of-root]
user = "root"
script = ["/usr/bin/test", "-r", "/etc/shadow"]
[check.nobody]
user = "no-such-user"
script = ["/bin/true"]
[check.often]
interval = "100ms"
timeout = "10s"
rise = 1
fall = 1
 script = ["/bin/true"]
"#;

/// Each check is asked often and decides at once.
fn configuration() -> String {
    let quick = "interval = \"500ms\"\ntimeout = \"10s\"\nrise = 1\nfall = 1\nscript";
    CHECKS.replace("\nscript", &format!("\n{quick}"))
}

/// What a program knows of itself, in a file for each user. Only what stays the same from run to run.
const SEE: &str = "\
#!/bin/sh
set -eu
told=/opt/told/$(id -un)
{
  grep -E '^(Uid|Gid|Groups|Cap...|SigBlk|SigIgn):' /proc/self/status
  echo \"fds:$(ls /proc/self/fd | tr '\\n' ' ')\"
  echo \"nice:$(nice)\"
  echo \"score:$(cat /proc/self/oom_score_adj)\"
  chrt -p $$ | sed -e 's/^.*s current scheduling //'
  sed -n -E 's/^(Max (core file size|open files|locked memory|realtime priority|nice priority))  *(\\S+)  *(\\S+).*/\\1:\\3 \\4/p' /proc/self/limits
  env | sed -e 's/^/env:/' | sort
} >\"$told.new\"
mv \"$told.new\" \"$told\"
";

/// What listens at port 8080 and says yes.
const SERVER: &str = "use IO::Socket::INET; \
$l = IO::Socket::INET->new(LocalAddr => q(127.0.0.1:8080), Listen => 9, ReuseAddr => 1) or die; \
while ($c = $l->accept) { while (<$c>) { last if /^\\r\\n/ } print $c qq(HTTP/1.0 200 OK\\r\\n\\r\\n); close $c }";

fn verdict(node: &Node, check: &str) -> Option<bool> {
    node.document()["checks"][check]["healthy"].as_bool()
}

fn until_verdict(node: &Node, check: &str, healthy: bool) {
    until(&format!("a verdict on {check}: {healthy}; {}", node.document()["checks"][check]), || {
        (verdict(node, check) == Some(healthy)).then_some(())
    });
}

fn runner(node: &Node) -> String {
    node.property_of("locum-runner.service", "MainPID")
}

fn prepared(lan: &Lan, deb: &std::path::Path) -> Node {
    let node = Node::boot("j", lan, "192.0.2.1/24");
    install(&node, deb);
    node.sh("useradd --create-home somebody && chmod 700 /home/somebody && echo mine >/home/somebody/file");
    node.sh("groupadd seers && usermod --append --groups seers somebody && chown -R somebody: /home/somebody");
    node.sh("mkdir /opt/told && chmod 1777 /opt/told");
    node.write("/opt/see", SEE);
    node.write("/opt/compile", COMPILE);
    node.write("/opt/server", SERVER);
    node.sh("chmod 755 /opt/see && systemd-run --quiet --unit=page perl /opt/server");
    node.write(CONFIG, &configuration());
    node.sh("locum reload");
    node
}

fn every_script_can_do_what_scripts_do(node: &Node) {
    for check in ["page", "process", "pidof", "home", "compiler", "seen", "seen-by-another", "of-root"] {
        until_verdict(node, check, true);
    }
    until_verdict(node, "nobody", false);
    let told = node.document()["checks"]["nobody"].to_string();
    assert!(told.contains("could") && told.contains("this host has no user no-such-user"), "{told}");
}

fn a_program_gets_nothing_of_ours(node: &Node) {
    // CAP_KILL is 5, CAP_SETGID 6, CAP_SETUID 7.
    let rights = ["CapPrm", "CapEff", "CapBnd", "CapAmb"];
    assert_eq!(node.fields(&runner(node), &rights), ["00000000000000e0"; 4]);
    assert_eq!(node.fields(&runner(node), &["NoNewPrivs", "Seccomp_filters"])[0], "0");
    for user in ["locum", "somebody"] {
        let id = |flag: &str| node.sh(&format!("id {flag} {user}")).trim().to_owned();
        let (uid, gid) = (id("-u"), id("-g"));
        let groups: BTreeSet<String> = id("-G").split_whitespace().map(str::to_owned).collect();
        let told = node.sh(&format!("cat /opt/told/{user}"));
        let line = |name: &str| {
            let found = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.unwrap_or_else(|| panic!("{name}: {told}")).split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("Uid"), [uid.as_str(); 4].join(" "));
        assert_eq!(line("Gid"), [gid.as_str(); 4].join(" "));
        let has: BTreeSet<String> = line("Groups").split_whitespace().map(str::to_owned).collect();
        assert!(has.is_subset(&groups) && (user == "locum" || has == groups), "{has:?} of {groups:?}");
        for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(line(name), "0000000000000000", "{user}: {name}");
        }
        for name in ["SigBlk", "SigIgn"] {
            // Signals from 32 on are the C library's own affair.
            assert_eq!(u64::from_str_radix(&line(name), 16).expect("hex") & 0x7fff_ffff, 0, "{user}: {name}");
        }
        // The fourth is of the one that lists them.
        assert_eq!(line("fds"), "0 1 2 3", "{user}");
        assert_eq!([line("nice"), line("score")], ["0", "0"], "{user}");
        assert!(told.contains("policy: SCHED_OTHER\n"), "{told}");
        assert_eq!(line("Max core file size"), "0 0");
        assert_eq!(line("Max open files"), "1024 4096");
        assert_eq!(line("Max locked memory"), "8388608 8388608");
        assert_eq!(line("Max realtime priority"), "0 0");
        assert_eq!(line("Max nice priority"), "0 0");
        let variables: BTreeSet<&str> =
            told.lines().filter_map(|line| line.strip_prefix("env:")?.split('=').next()).collect();
        let known = ["HOME", "LANG", "LOCUM_CHECK", "LOGNAME", "PATH", "PWD", "USER"];
        assert!(variables.iter().all(|name| known.contains(name)), "{variables:?}");
    }
}

/// Whatever ends it: all checks fail, a line says why, and it comes back.
fn its_end_is_a_failed_check(node: &Node) {
    for (signal, why) in [("KILL", "it ended"), ("STOP", "it hangs")] {
        judged("the end of a runner", || {
            ends(node, signal, why);
            Some(())
        });
    }
}

/// Nothing of it ends the agent.
fn ends(node: &Node, signal: &str, why: &str) {
    let restarts = || -> u32 { node.property_of("locum-runner.service", "NRestarts").parse().expect("a number") };
    until_verdict(node, "often", true);
    let (agent, runner_before, restarts_before) = (node.property("MainPID"), runner(node), restarts());
    // Due before it can be back.
    let failures = |node: &Node| node.document()["checks"]["often"]["failures"].as_u64();
    let failed = until("an answer", || failures(node));
    if signal == "STOP" {
        // Runs that never end by themselves are what shows a runner that hangs.
        node.write(CONFIG, &configuration().replace("10s", "300ms"));
        node.sh("locum reload");
    }
    node.sh(&format!("kill -{signal} {runner_before}"));
    node.until_told(&format!("every check fails until it is back: {why}"));
    until("a check has failed", || failures(node).filter(|now| *now > failed));
    until_verdict(node, "often", true);
    until("another runner", || {
        let now = runner(node);
        (now != runner_before && now != "0").then_some(())
    });
    until_verdict(node, "home", true);
    until_verdict(node, "page", true);
    assert_eq!(restarts(), restarts_before + 1, "{}", node.journal());
    let managed = || node.sh("journalctl --no-pager _PID=1 | grep locum.service");
    assert_eq!(node.property("MainPID"), agent, "{}", managed());
}

/// A stop of the agent takes it along, and a start of the agent brings it.
fn it_comes_and_goes_with_the_agent(node: &Node) {
    let state = |node: &Node| node.property_of("locum-runner.service", "ActiveState");
    node.sh("systemctl stop locum");
    assert_eq!(state(node), "inactive");
    node.sh("systemctl start locum");
    assert_eq!(state(node), "active");
    until_verdict(node, "home", true);
    let before = runner(node);
    node.restart();
    assert_ne!(runner(node), before);
    until_verdict(node, "home", true);
    // Nothing of the agent's configuration keeps it from going with the package.
    node.write(CONFIG, "nonsense");
    assert!(!node.try_sh("systemctl restart locum").status.success());
    assert_eq!(node.property("ActiveState"), "failed");
    node.sh("dpkg --purge locum");
    assert!(!node.try_sh("pgrep -x locum").status.success(), "something of it still runs");
}

#[test]
fn programs_of_checks_under_the_runners_unit() {
    let Some((_, new)) = both_versions() else { return };
    let _turn = live_guard();
    let lan = Lan::new("run");
    let node = prepared(&lan, &new.deb);
    every_script_can_do_what_scripts_do(&node);
    a_program_gets_nothing_of_ours(&node);
    its_end_is_a_failed_check(&node);
    it_comes_and_goes_with_the_agent(&node);
}
