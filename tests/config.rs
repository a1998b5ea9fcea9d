//! Configuration files as people write them: what they parse to, and what is told of those that do not.
//!
//! Each `tests/config/*.toml` begins with `# names: KEY`; its problems, rendered, stand in the `.stderr` beside it.
//! `LOCUM_BLESS=1` writes those anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use locum::config::{Config, Diagnostic, Parsed, Related, Severity, WhenUnhealthy, keys, parse, render, summary};
use locum::types::{CheckName, RouterName};
use proptest::prelude::*;

#[path = "config/adverts.rs"]
mod adverts;
#[path = "config/auth.rs"]
mod auth;

const SHIPPED: &str = include_str!("../config/locum.toml");

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn problems(source: &str) -> Vec<Diagnostic> {
    match parse(source, "host") {
        Ok(parsed) => parsed.warnings,
        Err(diagnostics) => diagnostics,
    }
}

fn valid(source: &str) -> Config {
    let parsed = parse(source, "host").unwrap_or_else(|d| panic!("{}", render(&d, "valid.toml", source, false)));
    assert_eq!(parsed.warnings, [], "{}", render(&parsed.warnings, "valid.toml", source, false));
    parsed.config
}

fn router(name: &str) -> RouterName {
    name.parse().expect("a router's name")
}

fn check(name: &str) -> CheckName {
    name.parse().expect("a check's name")
}

/// The files of a folder that end in `ending`, by name without it.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(here(folder)).expect("the folder is there");
    entries
        .filter_map(|entry| entry.expect("an entry").file_name().to_str()?.strip_suffix(ending).map(str::to_owned))
        .collect()
}

#[test]
fn every_broken_file_is_told_what_is_wrong_and_where() {
    let bless = std::env::var_os("LOCUM_BLESS").is_some();
    let cases = names("tests/config", ".toml");
    assert!(cases.len() >= 40, "only {} cases found", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let source = fs::read_to_string(here(&format!("tests/config/{case}.toml"))).expect("a case");
        let found = problems(&source);
        if let Some(helpless) = found.iter().find(|diagnostic| diagnostic.remedy.is_none()) {
            wrong.push(format!("{case}: no remedy for {helpless:?}"));
        }
        let told = render(&found, &format!("{case}.toml"), &source, false);
        let expectation = here(&format!("tests/config/{case}.stderr"));
        if bless {
            fs::write(&expectation, &told).expect("the expectation is written");
        }
        let key =
            source.lines().next().and_then(|line| line.strip_prefix("# names: ")).expect("a first line `# names:`");
        let titles = || told.lines().filter(|line| line.starts_with("error: ") || line.starts_with("warning: "));
        if !titles().any(|title| title.contains(key)) {
            wrong.push(format!("{case}: no title names {key}:\n{told}"));
        }
        if fs::read_to_string(&expectation).ok().as_deref() != Some(told.as_str()) {
            wrong.push(format!("{case}: differs from {}:\n{told}", expectation.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let expectations = names("tests/config", ".stderr");
    assert_eq!(expectations, cases, "every expectation belongs to a case");
}

#[test]
fn a_file_without_routers_is_valid() {
    for source in ["", "# nothing yet\n", "[node]\n", "[virtual_router]\n", "[check]\n"] {
        let config = valid(source);
        assert_eq!(config.node, "host");
        assert!(config.routers.is_empty() && config.checks.is_empty());
    }
    assert_eq!(valid("[node]\nname = \"lb1\"\n").node, "lb1");
}

#[test]
fn a_short_file_gets_the_documented_defaults() {
    let config = valid(
        r#"
        [virtual_router.web]
        interface = "eth0"
        vrid = 51
        addresses = ["192.0.2.10/24"]
        checks = ["haproxy"]

        [check.haproxy]
        script = ["/bin/true"]
        interval = "3s"
        "#,
    );
    let web = &config.routers[&router("web")];
    assert_eq!((web.interface.as_str(), web.vrid.get(), web.priority.get()), ("eth0", 51, 100));
    assert_eq!(web.addresses.len(), 1);
    assert_eq!(web.addresses[0].to_string(), "192.0.2.10/24 on eth0");
    assert_eq!(web.advert_interval.centiseconds(), 100);
    assert_eq!((web.preempt, web.preempt_delay, web.lease), (true, Duration::ZERO, true));
    assert_eq!((web.start_delay, web.link_debounce), (Duration::ZERO, Duration::ZERO));
    assert_eq!(web.checks, [check("haproxy")]);
    assert!(web.track_interfaces.is_empty());
    assert_eq!(web.when_unhealthy, WhenUnhealthy::Hold);
    let haproxy = &config.checks[&check("haproxy")];
    assert_eq!(haproxy.script, ["/bin/true"]);
    assert_eq!((haproxy.interval, haproxy.timeout), (Duration::from_secs(3), Duration::from_secs(3)));
    assert_eq!((haproxy.rise, haproxy.fall, haproxy.weight), (2, 2, None));
}

#[test]
fn every_key_of_a_long_file_is_taken() {
    let config = valid(
        r#"
        node = { name = "lb-1.example" }

        [check]
        link.script = ["/usr/bin/test", "-e", "/run/with space"]
        link.interval = "500ms"
        link.timeout = "40.95s"
        link.rise = 5
        link.fall = 3
        link.weight = -60

        [virtual_router."web.v4"]
        interface = "bond0.100"
        vrid = 0xff
        priority = 2_00
        addresses = [
            "198.51.100.7/32",
            "192.0.2.10/24", # host bits and order stay
        ]
        advert_interval = "1500ms"
        version = 3
        preempt = true
        preempt_delay = "2m"
        lease = false
        start_delay = "30s"
        link_debounce = "1.5s"
        checks = ["link"]
        track_interfaces = ["eth1", "eth2"]
        when_unhealthy = "release"
        "#,
    );
    assert_eq!(config.node, "lb-1.example");
    let web = &config.routers[&router("web.v4")];
    assert_eq!((web.interface.as_str(), web.vrid.get(), web.priority.get()), ("bond0.100", 255, 200));
    let addresses: Vec<String> = web.addresses.iter().map(|address| address.net.to_string()).collect();
    assert_eq!(addresses, ["198.51.100.7/32", "192.0.2.10/24"]);
    assert_eq!(web.advert_interval.centiseconds(), 150);
    assert_eq!((web.preempt, web.preempt_delay, web.lease), (true, Duration::from_secs(120), false));
    assert_eq!((web.start_delay, web.link_debounce), (Duration::from_secs(30), Duration::from_millis(1_500)));
    let tracked: Vec<&str> = web.track_interfaces.iter().map(|name| name.as_str()).collect();
    assert_eq!(tracked, ["eth1", "eth2"]);
    assert_eq!(web.when_unhealthy, WhenUnhealthy::Release);
    let link = &config.checks[&check("link")];
    assert_eq!(link.script, ["/usr/bin/test", "-e", "/run/with space"]);
    assert_eq!((link.interval, link.timeout), (Duration::from_millis(500), Duration::from_millis(40_950)));
    assert_eq!((link.rise, link.fall, link.weight), (5, 3, Some(-60)));
}

#[test]
fn the_same_vrid_and_address_may_stand_on_another_interface() {
    let one = "interface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.10/24\"]\n";
    let two = one.replace("eth0", "eth1");
    assert_eq!(valid(&format!("[virtual_router.a]\n{one}[virtual_router.b]\n{two}")).routers.len(), 2);
}

#[test]
fn a_file_from_another_system_is_read() {
    let source = "\u{feff}[node]\r\nname = \"lb1\"\r\n\r\n[check.a]\r\nscript = []\r\n";
    let diagnostics = parse(source, "host").expect_err("an empty script");
    assert_eq!(diagnostics.len(), 2);
    assert_eq!(summary(&diagnostics, "f", source), "f:5:10: `script` is empty (and 1 more)");
    assert!(!render(&diagnostics, "f", source, false).contains('\u{240d}'));
}

#[test]
fn its_own_interface_is_not_tracked_twice() {
    let source = "[virtual_router.a]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"192.0.2.10/24\"]\n\
                  track_interfaces = [\"eth0\", \"eth1\"]\n";
    let parsed = parse(source, "host").expect("a warning is no error");
    assert_eq!(parsed.warnings.len(), 1);
    let tracked: Vec<&str> =
        parsed.config.routers[&router("a")].track_interfaces.iter().map(|name| name.as_str()).collect();
    assert_eq!(tracked, ["eth1"]);
}

#[test]
fn a_host_name_that_cannot_be_a_node_name_asks_for_one() {
    for default in ["", "(none)", "a b"] {
        let diagnostics = parse("", default).expect_err("no node name");
        assert_eq!(diagnostics.len(), 1);
        assert!(render(&diagnostics, "locum.toml", "", false).contains("name = \"lb1\""));
        assert_eq!(parse("[node]\nname = \"lb1\"\n", default).map(|parsed| parsed.config.node), Ok("lb1".to_owned()));
    }
}

/// Each key of the table is read with its own example and default, and required where it says so.
#[test]
fn the_table_of_keys_tells_the_truth() {
    let body = |table: &keys::Table, without: &str| -> String {
        let lines = table.keys.iter().filter(|key| key.name != without);
        lines.map(|key| format!("{} = {}\n", key.name, key.example)).collect()
    };
    let whole = |without: &str| {
        keys::TABLES
            .map(|table| format!("{}\n{}", table.header.replace("NAME", "haproxy"), body(&table, without)))
            .join("\n")
    };
    let parsed = parse(&whole(""), "host").unwrap_or_else(|d| panic!("{}", render(&d, "all", &whole(""), false)));
    assert_eq!((parsed.config.routers.len(), parsed.config.checks.len()), (1, 1));
    for key in keys::TABLES.iter().flat_map(|table| table.keys) {
        let without = parse(&whole(key.name), "host");
        match key.default {
            keys::Default::Required => {
                let diagnostics = without.expect_err(key.name);
                assert!(diagnostics.iter().any(|d| d.message.contains(&format!("`{}`", key.name))), "{}", key.name);
            }
            keys::Default::Value(value) => {
                let spelt = whole(key.name)
                    .replace("[virtual_router.haproxy]\n", &own_line(&keys::VIRTUAL_ROUTER, key, value))
                    .replace("[check.haproxy]\n", &own_line(&keys::CHECK, key, value));
                let spelt = parse(&spelt, "host").map(|parsed| parsed.config);
                assert_eq!(spelt, without.map(|parsed| parsed.config), "{}", key.name);
            }
            keys::Default::Words(_) => assert!(without.is_ok(), "{}", key.name),
        }
    }
}

fn own_line(table: &keys::Table, key: &keys::Key, value: &str) -> String {
    let header = table.header.replace("NAME", "haproxy");
    match table.keys.contains(key) {
        true => format!("{header}\n{} = {value}\n", key.name),
        false => format!("{header}\n"),
    }
}

#[test]
fn limits_are_told() {
    let router =
        |n: usize| format!("[virtual_router.r{n}]\ninterface = \"e{n}\"\nvrid = 1\naddresses = [\"10.0.0.1/8\"]\n");
    let check = |n: usize| format!("[check.c{n}]\nscript = [\"/bin/true\"]\n");
    let many = |count, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
    assert_eq!(valid(&many(1024, &router)).routers.len(), 1024);
    for (source, told) in [
        (many(1025, &router), "more than 1024"),
        (many(257, &check), "more than 256"),
        ("#".repeat((1 << 20) + 1), "more than the 1048576"),
    ] {
        let diagnostics = parse(&source, "host").expect_err(told);
        let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
        assert_eq!(errors.len(), 1, "{told}");
        assert!(errors[0].message.contains(told), "{}", errors[0].message);
    }
}

#[test]
fn a_flood_of_problems_is_cut_and_counted() {
    let source: String = (0..80).map(|n| format!("key{n} = 1\n")).collect();
    let diagnostics = problems(&source);
    assert_eq!(diagnostics.len(), 80);
    let told = render(&diagnostics, "locum.toml", &source, false);
    assert_eq!(told.lines().filter(|line| line.starts_with("error: ")).count(), 50);
    assert!(told.ends_with("\n... and 30 more\n"), "{told}");
    let source: String = (0..5000).map(|n| format!("key{n} = 1\n")).collect();
    assert_eq!(problems(&source).len(), 1000);
}

#[test]
fn the_summary_is_one_line_with_the_first_error() {
    let source = "[node]\nname = \"lb1\"\nnaim = 1\n\n[check.a]\nscript = [\"/bin/true\"]\nrise = 0\n";
    assert_eq!(
        summary(&problems(source), "locum.toml", source),
        "locum.toml:3:1: unknown key `naim` in `[node]` (and 2 more)"
    );
}

#[test]
fn colour_only_adds_escapes() {
    let source = "[node]\nnaim = 1\n";
    let plain = render(&problems(source), "locum.toml", source, false);
    let coloured = render(&problems(source), "locum.toml", source, true);
    assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}["));
    assert!(render(&[], "locum.toml", source, false).is_empty());
}

#[test]
fn a_line_too_long_to_quote_is_named() {
    let source = format!("[node]\nnaim = \"{}\"\n", "x".repeat(10_000));
    let told = render(&problems(&source), "locum.toml", &source, false);
    assert!(told.contains("locum.toml:2:1"), "{told}");
    assert!(told.len() < 1000, "{told}");
}

/// The shipped file with the comment marks of its example removed: lines that begin with `#` and no space.
fn uncommented(text: &str) -> String {
    text.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)).fold(
        String::new(),
        |mut whole, line| {
            whole.push_str(line);
            whole.push('\n');
            whole
        },
    )
}

#[test]
fn the_shipped_file_is_valid_and_does_nothing() {
    let config = valid(SHIPPED);
    assert_eq!(config.node, "host");
    assert!(config.routers.is_empty() && config.checks.is_empty());
    let config = valid(&uncommented(SHIPPED));
    assert_eq!((config.routers.len(), config.checks.len()), (1, 1));
    for key in keys::TABLES.iter().flat_map(|table| table.keys) {
        let shown = match key.kind {
            keys::Kind::Table => format!("#[virtual_router.web.{}]", key.name),
            _ => format!("#{} = ", key.name),
        };
        assert!(SHIPPED.lines().any(|line| line.starts_with(&shown)), "{} is shown", key.name);
    }
}

#[test]
fn examples_are_valid_and_fit_together() {
    let all = names("config/examples", ".toml");
    let expected = ["active-active-a", "active-active-b", "pair-lb1", "pair-lb2"];
    assert_eq!(all.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let read =
        |name: &str| valid(&fs::read_to_string(here(&format!("config/examples/{name}.toml"))).expect("an example"));
    for (one, other) in [("pair-lb1", "pair-lb2"), ("active-active-a", "active-active-b")] {
        let (one, other) = (read(one), read(other));
        assert_ne!(one.node, other.node);
        assert!(one.routers.keys().eq(other.routers.keys()));
        for (mine, theirs) in one.routers.values().zip(other.routers.values()) {
            assert_eq!((mine.vrid, &mine.addresses), (theirs.vrid, &theirs.addresses));
            assert_eq!(mine.advert_interval, theirs.advert_interval);
            assert_ne!(mine.priority, theirs.priority);
        }
    }
    let (a, b) = (read("active-active-a"), read("active-active-b"));
    let leads: Vec<bool> =
        a.routers.values().zip(b.routers.values()).map(|(mine, theirs)| mine.priority > theirs.priority).collect();
    assert!(leads.contains(&true) && leads.contains(&false), "the priorities are crossed");
}

/// Whatever comes in, problems lie within the source, are sorted, and can be printed.
fn holds_together(source: &str) -> Result<(), TestCaseError> {
    let diagnostics = match parse(source, "host") {
        Ok(Parsed { warnings, .. }) => {
            prop_assert!(warnings.iter().all(|d| d.severity == Severity::Warning));
            warnings
        }
        Err(diagnostics) => {
            prop_assert!(diagnostics.iter().any(|d| d.severity == Severity::Error));
            diagnostics
        }
    };
    prop_assert!(diagnostics.is_sorted_by_key(|d| d.span.start));
    for diagnostic in &diagnostics {
        prop_assert!(diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end <= source.len());
        prop_assert!(!diagnostic.message.contains(char::is_control), "{:?}", diagnostic);
    }
    let told = render(&diagnostics, "locum.toml", source, false);
    prop_assert_eq!(told.is_empty(), diagnostics.is_empty());
    prop_assert!(!told.contains(ESCAPE));
    prop_assert!(!summary(&diagnostics, "locum.toml", source).contains('\n'));
    Ok(())
}

const ESCAPE: char = '\u{1b}';

#[test]
fn long_nonsense_does_no_harm() {
    for piece in ["[", "a=[", "a={b=", "a.", "\"", "\r", "=", "[a]\n", "\u{0}"] {
        let source = piece.repeat((1 << 16) / piece.len());
        holds_together(&source).unwrap_or_else(|why| panic!("{piece:?}: {why}"));
    }
}

/// Pieces that a file is likely to be broken with.
const PIECES: [&str; 33] = [
    "\u{feff}",
    "",
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "0",
    "-1",
    "1e400",
    "0x",
    "1979-05-27",
    "é",
    "\u{0}",
    "\u{1b}[2J",
    "\u{202e}",
    "漢字",
    "[virtual_router.web]",
    "vrid = 51\n",
    "\\u0000",
];

fn whole_file() -> String {
    uncommented(SHIPPED)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_does_no_harm(source in "\\PC{0,400}") {
        holds_together(&source)?;
    }

    #[test]
    fn arbitrary_lines_do_no_harm(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        holds_together(&pieces.concat())?;
    }

    #[test]
    fn mutations_of_a_valid_file_do_no_harm(
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..12usize, prop::sample::select(&PIECES[..])),
            1..8,
        ),
    ) {
        let mut text = whole_file();
        for (at, length, piece) in edits {
            let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let from = at.index(bounds.len());
            let to = (from + length).min(bounds.len() - 1);
            text.replace_range(bounds[from]..bounds[to], piece);
        }
        holds_together(&text)?;
    }

    #[test]
    fn spans_from_elsewhere_do_no_harm(
        source in "[a-c\\n\\r\\té漢\u{301}]{0,60}",
        (start, length, other, other_length) in (0..80usize, 0..80usize, 0..80usize, 0..80usize),
    ) {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            span: start..start + length,
            message: "m".to_owned(),
            remedy: None,
            related: Some(Related { span: other..other + other_length, label: "r".to_owned() }),
            unquoted: false,
        };
        let told = render(std::slice::from_ref(&diagnostic), "locum.toml", &source, false);
        let (line, column) = diagnostic.position(&source);
        prop_assert!(told.contains("error: m") && line >= 1 && column >= 1);
    }

    #[test]
    fn values_of_any_type_do_no_harm(
        key in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "0", "-9223372036854775808", "1.5", "nan", "inf", "true", "\"\"", "\"\\n\"", "[]", "[[]]", "[{}]", "{}",
            "{ a = 1 }", "1979-05-27T07:32:00Z", "[\"\", \"\\u0000\"]", "\"\u{202e}\"", "0b1", "\"\"\"a\nb\"\"\"",
        ]),
    ) {
        let keys: Vec<&keys::Key> = keys::TABLES.iter().flat_map(|table| table.keys).collect();
        let name = keys[key.index(keys.len())].name;
        let text: Vec<String> = whole_file().lines().map(|line| match line.starts_with(&format!("{name} = ")) {
            true => format!("{name} = {value}"),
            false => line.to_owned(),
        }).collect();
        holds_together(&text.join("\n"))?;
    }
}
