//! Which tests the project has, read from its sources: what is compiled is what the house's own tests see to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every test by its name.
pub fn tests_there() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut |path| {
            let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let module = module(path.strip_prefix(root).expect("a file of the project"));
            found.extend(tests_of(&text).into_iter().map(|test| format!("{module}::{test}")));
        });
    }
    let cases = fs::read_dir(root.join("tests/config")).expect("the cases").flatten().map(|entry| entry.path());
    let cases = cases.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let stems = cases.filter_map(|path| Some(format!("case::{}", path.file_stem()?.to_str()?)));
    found.extend(stems);
    found
}

fn sources(folder: &Path, found: &mut impl FnMut(&Path)) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found(&path);
        }
    }
}

/// The target and module that a file is.
fn module(path: &Path) -> String {
    let path = path.with_extension("");
    let mut parts: Vec<&str> = path.iter().map(|part| part.to_str().expect("a name in ASCII")).collect();
    if matches!(parts.last(), Some(&("mod" | "main" | "lib"))) {
        parts.pop();
    }
    match parts.split_first() {
        Some((&"src", rest)) => ["lib"].iter().chain(rest).copied().collect::<Vec<_>>().join("::"),
        Some((_, rest)) => rest.join("::"),
        None => String::new(),
    }
}

/// The tests of a formatted file, with the modules inside it that they stand in; ignored ones are none.
fn tests_of(text: &str) -> Vec<String> {
    let mut modules: Vec<(usize, &str)> = Vec::new();
    let mut tests = Vec::new();
    let mut attributes: Vec<&str> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if trimmed.starts_with("#[") {
            attributes.push(trimmed);
            continue;
        }
        if let Some(name) = trimmed.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            modules.push((indent, name));
        } else if trimmed == "}" && modules.last().is_some_and(|(opened, _)| *opened == indent) {
            modules.pop();
        } else if let Some(rest) = trimmed.strip_prefix("fn ") {
            let runs = attributes.contains(&"#[test]") && !attributes.iter().any(|one| one.starts_with("#[ignore"));
            let name = rest.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()).next().filter(|_| runs);
            let path = |name| modules.iter().map(|(_, module)| *module).chain([name]).collect::<Vec<_>>().join("::");
            tests.extend(name.map(path));
        }
        if !trimmed.starts_with("//") {
            attributes.clear();
        }
    }
    tests
}

#[test]
fn tests_are_told_from_what_is_none() {
    let text = "\
fn helper() {}

#[test]
fn one() {
    let a = 1;
}

#[cfg(test)]
mod tests {
    fn helper() {}

    #[test]
    // Why it matters.
    #[should_panic]
    fn two() {}

    #[test]
    #[ignore = \"later\"]
    fn never() {}
}

proptest! {
    #[test]
    fn three(number in 0..3) {}
}
";
    assert_eq!(tests_of(text), ["one", "tests::two", "three"]);
    let modules =
        ["src/io/mod.rs", "src/io/vrrp.rs", "src/lib.rs", "tests/config.rs", "tests/lab/main.rs", "tests/lab/lan.rs"];
    let expected = ["lib::io", "lib::io::vrrp", "lib", "config", "lab", "lab::lan"];
    assert_eq!(modules.map(|path| module(Path::new(path))), expected);
}
