//! Flags, keys, exit codes, pages, schema and README agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use locum::config::keys::{self, Default};
use locum::types::Exit;
use serde_json::Value;

use crate::{man, schema};

/// Where README.md has its table of keys.
const BEGIN: &str = "<!-- Made from src/config/keys.rs: LOCUM_BLESS=1 cargo test --test packaging documents -->\n";
const END: &str = "<!-- End of what is made. -->\n";

fn project(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page without its escapes and fonts.
fn read(page: &str) -> String {
    page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\e", "\\")
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_locum")).args(arguments).arg("--help").output().expect("locum runs");
    String::from_utf8(output.stdout).expect("text")
}

/// The commands that `locum --help` names.
fn commands() -> Vec<String> {
    let text = help(&[]);
    let list = text.split("Commands:\n").nth(1).expect("a list of commands");
    let names = list.lines().take_while(|line| line.starts_with("  "));
    let names = names.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "[],.`'\"()".contains(c));
    words.filter(|word| word.len() > 2 && word.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn every_command_and_flag_is_in_the_page() {
    let page = read(&man::locum());
    let commands = commands();
    assert!(commands.len() >= 4 && commands.contains(&"run".to_owned()), "{commands:?}");
    for name in &commands {
        assert!(page.contains(&format!("\n.SS locum {name}\n")), "{name}");
        let section = page.split(&format!("\n.SS locum {name}\n")).nth(1).expect("a section");
        let section = section.split("\n.S").next().expect("its text");
        let told = flags(&help(&[name]));
        assert!(told.contains("--help"), "{told:?}");
        assert_eq!(flags(section), told, "flags of `locum {name}`");
    }
    assert!(!page.contains("locum runner"), "a hidden command");
    assert!(flags(&page).contains("--version"));
}

#[test]
fn every_exit_code_is_in_the_page_and_the_readme() {
    let exits = [
        Exit::Fine,
        Exit::No,
        Exit::Usage,
        Exit::NoFile,
        Exit::NoAgent,
        Exit::Internal,
        Exit::InUse,
        Exit::NotPermitted,
        Exit::Configuration,
    ];
    let readme = project("README.md");
    assert_eq!(man::EXITS.map(|(code, _)| code), exits.map(Exit::code));
    for (code, meaning) in man::EXITS {
        assert!(readme.contains(&format!("\n| {code} | {meaning} |\n")), "README.md: {code}: {meaning}");
    }
}

#[test]
fn every_key_is_in_the_page_and_the_schema() {
    let page = read(&man::locum_toml());
    let schema: Value = serde_json::from_str(&schema::text()).expect("JSON");
    let outer = keys::TABLES.iter().map(|table| {
        let steps = table.header.trim_matches(['[', ']']).split('.').map(|part| match part {
            "NAME" => "/additionalProperties".to_owned(),
            name => format!("/properties/{name}"),
        });
        (table, steps.collect::<String>())
    });
    let router = "/properties/virtual_router/additionalProperties/properties";
    let inner = keys::INNER_TABLES.iter().zip(["addresses/items/anyOf/1", "auth", "auth/properties/keys/items"]);
    let inner = inner.map(|(table, place)| (table, format!("{router}/{place}")));
    for (table, pointer) in outer.chain(inner) {
        let section = page.split(&format!("\n.SH {}\n", table.header)).nth(1);
        let section = section.unwrap_or_else(|| panic!("no section {}", table.header));
        let section = section.split("\n.SH ").next().expect("its text");
        let object = schema.pointer(&pointer).unwrap_or_else(|| panic!("{} in the schema", table.header));
        assert_eq!(object["additionalProperties"], Value::Bool(false), "{}", table.header);
        for key in table.keys {
            assert!(section.contains(&format!("\n.TP\n.B {}\n{}\n", key.name, key.doc)), "{}", key.name);
            assert_eq!(object["properties"][key.name]["description"], key.doc, "{}", key.name);
            let lists = |list: &Value| list.as_array().is_some_and(|list| list.contains(&Value::from(key.name)));
            let either = object["oneOf"].as_array().into_iter().flatten();
            let required = lists(&object["required"]) || either.into_iter().any(|one| lists(&one["required"]));
            assert_eq!(required, key.default == Default::Required, "{}", key.name);
        }
    }
}

/// By hand, what an editor is told of a few keys.
#[test]
fn the_schema_says_what_the_parser_takes() {
    let schema: Value = serde_json::from_str(&schema::text()).expect("JSON");
    let router = &schema["properties"]["virtual_router"]["additionalProperties"]["properties"];
    assert_eq!((&router["vrid"]["minimum"], &router["vrid"]["maximum"]), (&Value::from(1), &Value::from(255)));
    assert_eq!(router["vrid"]["default"], Value::Null);
    assert_eq!(router["priority"]["default"], 100);
    assert_eq!(router["when_unhealthy"]["enum"], serde_json::json!(["hold", "release"]));
    assert_eq!(router["advert_interval"]["default"], "1s");
    assert_eq!(router["preempt"]["type"], "boolean");
    assert_eq!(schema["additionalProperties"], false);
}

/// The table of keys as it stands in README.md.
fn key_table() -> String {
    let mut text = String::new();
    for table in keys::TABLES.iter().chain(&keys::INNER_TABLES) {
        text.push_str(&format!("\n`{}`: {}\n\n| key | value | |\n|---|---|---|\n", table.header, table.doc));
        for key in table.keys {
            let value = format!("{}; {}", man::takes(key), man::default(key).trim_end_matches('.'));
            let value = value.replace("; Default:", "; default:").replace("; Required", "; required");
            text.push_str(&format!("| `{}` | {value} | {} |\n", key.name, key.doc.replace('|', "\\|")));
        }
    }
    text.push('\n');
    text
}

/// Whether what is made is to be written into the tree instead of held against it.
fn blesses() -> bool {
    std::env::var_os("LOCUM_BLESS").is_some_and(|value| value == "1")
}

#[test]
fn the_pages_in_the_tree_are_those_that_are_made() {
    for (name, made) in [("packaging/man/locum.8", man::locum()), ("packaging/man/locum.toml.5", man::locum_toml())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if blesses() {
            fs::write(path, made).expect("written");
        } else {
            assert!(project(name) == made, "{name} is behind: run this test with LOCUM_BLESS=1");
        }
    }
}

#[test]
fn the_readme_lists_every_key() {
    let readme = project("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("README.md has the line where the table of keys begins");
    let (found, after) = rest.split_once(END).expect("and the one where it ends");
    if blesses() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        fs::write(path, format!("{before}{BEGIN}{}{END}{after}", key_table())).expect("written");
    } else {
        assert_eq!(found, key_table(), "README.md is behind src/config/keys.rs: run this test with LOCUM_BLESS=1");
    }
}
