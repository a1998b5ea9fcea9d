//! Whose code the program contains besides its own, and under which licence: what has to come with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// How the names of files begin that say who has the rights to a library, and what others may do.
const BEGINNINGS: [&str; 6] = ["COPYING", "COPYRIGHT", "LICENCE", "LICENSE", "NOTICE", "UNLICENSE"];

const INTRODUCTION: &str = "\
The program locum contains the libraries below. Each is under the licence that stands beside it; who has the rights to it
and what its licence asks for is in its texts, which follow, each of them once.

";

/// Who they are and what they ask for, of what `cargo metadata` tells of the program that is built here.
///
/// # Errors
/// A library says nowhere under which terms it may be given away; or this is no answer of cargo's.
pub fn text(metadata: &Value) -> Result<String, String> {
    let mut libraries = linked(metadata)?;
    libraries.sort_by_key(|package| (string(package, "name"), string(package, "version")));
    let (mut list, mut texts) = (INTRODUCTION.to_owned(), Vec::<String>::new());
    for package in libraries {
        let (name, version) = (string(package, "name"), string(package, "version"));
        let terms = package["license"].as_str().unwrap_or("see its texts");
        list.push_str(&format!("{name} {version}: {terms}\n"));
        if let Some(home) = package["repository"].as_str() {
            list.push_str(&format!("    {home}\n"));
        }
        let folder = Path::new(package["manifest_path"].as_str().ok_or("no manifest_path")?).parent();
        for (file, text) in of(folder.ok_or("no folder")?)? {
            let known = texts.iter().position(|other| *other == text).unwrap_or(texts.len());
            if known == texts.len() {
                texts.push(text);
            }
            list.push_str(&format!("    {file}: text {}\n", known + 1));
        }
    }
    for (number, text) in (1..).zip(texts) {
        list.push_str(&format!("\n======== Text {number}\n\n{text}"));
    }
    Ok(list)
}

/// The notices of Rust's standard library, which is in the program too, as the compiler's own page has them.
pub fn of_standard_library(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<').skip(1) {
        text.push_str(part.split_once('>').map_or("", |(_, text)| text));
    }
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let text = signs.iter().fold(text, |text, (escape, sign)| text.replace(escape, sign));
    format!("\n======== The standard library of Rust\n\n{}", tidy(&text))
}

/// The libraries of the program: not those that only tests, the build or the compiler use.
fn linked(metadata: &Value) -> Result<Vec<&Value>, String> {
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let root = metadata["resolve"]["root"].as_str().ok_or("cargo metadata names no root")?;
    let nodes = metadata["resolve"]["nodes"].as_array().ok_or("cargo metadata has no nodes")?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
    let package = |id: &str| packages.iter().find(|package| package["id"] == id).ok_or(format!("no package {id}"));
    let (mut seen, mut found) = (BTreeSet::from([root.to_owned()]), Vec::new());
    let mut waiting = vec![root.to_owned()];
    while let Some(id) = waiting.pop() {
        let node = nodes.iter().find(|node| node["id"] == id.as_str()).ok_or(format!("no node {id}"))?;
        for dependency in list(&node["deps"]) {
            let normal = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let id = string(&dependency, "pkg").to_owned();
            let of = package(&id)?;
            let is_macro =
                list(&of["targets"]).iter().any(|target| list(&target["kind"]).contains(&"proc-macro".into()));
            if normal && !is_macro && seen.insert(id.clone()) {
                found.push(of);
                waiting.push(id);
            }
        }
    }
    Ok(found)
}

/// Of one library: its texts by the names of their files.
fn of(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_one = BEGINNINGS.iter().any(|beginning| name.to_uppercase().starts_with(beginning));
        if is_one && entry.path().is_file() {
            texts.push((name, tidy(&fs::read_to_string(entry.path()).map_err(failed)?)));
        }
    }
    texts.sort();
    if texts.is_empty() {
        return Err(format!(
            "{}: no file with a licence, so it cannot be given away with the program",
            folder.display()
        ));
    }
    Ok(texts)
}

/// Without what only editors put there: line ends of Windows, blanks behind lines, several empty lines in a row.
fn tidy(text: &str) -> String {
    let mut tidied = String::new();
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && (tidied.is_empty() || tidied.ends_with("\n\n"))) {
            tidied.push_str(line);
            tidied.push('\n');
        }
    }
    tidied
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
