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

/// Who they are and what they ask for, of the libraries that `cargo tree` lists, each on a line with its version, where
/// `cargo metadata` says that they are.
///
/// # Errors
/// A library says nowhere under which terms it may be given away; or these are no answers of cargo's.
pub fn text(tree: &str, metadata: &Value) -> Result<String, String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
    let mut libraries = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()).collect::<BTreeSet<_>>() {
        let mut words = line.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is =
            |package: &&Value| package["name"] == name && Some(string(package, "version")) == version.strip_prefix('v');
        let package = packages.iter().find(is).ok_or_else(|| format!("cargo metadata does not know {line}"))?;
        // Our own, and what is named twice.
        if package["source"].is_string() && !libraries.contains(&package) {
            libraries.push(package);
        }
    }
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
