//! Nothing lies about: each file is compiled, run or named by another.

use std::path::Path;

use crate::source::{Finding, assert_none, texts};

/// Folders whose files serve something else, so something else must name them.
const SERVING: &[&str] = &["tests/", "benches/", "packaging/"];

fn strays(texts: &[(String, String)], files: &[String]) -> Vec<Finding> {
    let stray = |path: &String| {
        let remedy = if path.ends_with(".rs") { orphan(path, texts) } else { unnamed(path, texts) };
        remedy.map(|text| Finding { path: path.clone(), line: 1, text })
    };
    files.iter().filter_map(stray).collect()
}

/// A Rust file that no `mod` brings in and that is no root of a target.
fn orphan(path: &str, texts: &[(String, String)]) -> Option<String> {
    let path = Path::new(path);
    let (stem, folder) = (path.file_stem()?.to_str()?, path.parent()?);
    let root_folder = folder.components().count() == 1 && !folder.starts_with("src");
    if root_folder || matches!(stem, "main" | "lib" | "build") {
        return None;
    }
    let (name, home) = if stem == "mod" { (folder.file_name()?.to_str()?, folder.parent()?) } else { (stem, folder) };
    let beside = |other: &Path| other.parent() == Some(home) || other.with_extension("") == *home;
    let line = format!("mod {name};");
    let brought_in = texts.iter().any(|(other, text)| {
        let near = beside(Path::new(other)) || text.contains(&format!("{name}.rs\"]")) || text.contains("/mod.rs\"]");
        other.ends_with(".rs") && Path::new(other) != path && near && text.contains(&line)
    });
    (!brought_in)
        .then(|| format!("no `mod {name};` brings this file in, so it is never compiled: bring it in or delete it"))
}

/// Any other file of a serving folder whose name stands nowhere else, and that is not what another of the same stem is
/// expected to give.
fn unnamed(path: &str, texts: &[(String, String)]) -> Option<String> {
    let name = Path::new(path).file_name()?.to_str()?;
    let serves = SERVING.iter().any(|folder| path.starts_with(folder));
    // What fuzzing found is named by its digest, and read by folder.
    if !serves
        || path.starts_with("tests/fuzz/corpus/")
        || name == "README.md"
        || name.ends_with(".proptest-regressions")
    {
        return None;
    }
    let named = texts.iter().any(|(other, text)| other != path && !other.ends_with("README.md") && text.contains(name));
    let entry = texts.iter().any(|(other, text)| other == "README.md" && text.contains(path));
    let twin = |other: &str| other != path && Path::new(other).with_extension("") == Path::new(path).with_extension("");
    let expected = texts.iter().any(|(other, _)| twin(other));
    (!named && !entry && !expected).then(|| "nothing names this file: use it or delete it".to_owned())
}

#[test]
fn every_file_serves() {
    assert_none(&strays(&texts(), &crate::source::files()));
}

#[test]
fn a_file_nobody_needs_is_caught() {
    let texts: Vec<(String, String)> = [
        ("src/lib.rs", "pub mod proto;"),
        ("src/proto/mod.rs", "mod input;"),
        ("src/proto/input.rs", ""),
        ("src/proto/attic.rs", "mod attic;"),
        ("tests/wire.rs", "include_bytes!(\"vectors/v3.pcap\")"),
        ("tests/lab/main.rs", "mod host;"),
        ("tests/lab/host.rs", ""),
        ("packaging/locum.service", ""),
        ("tests/config/vrid.toml", ""),
        ("tests/config/vrid.stderr", "vrid.toml:3"),
        ("tests/config/gone.stderr", "gone.toml:3"),
        ("README.md", "Run `tests/run`."),
        ("tests/run", ""),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .to_vec();
    let binary = ["tests/vectors/v3.pcap".to_owned(), "tests/vectors/old.pcap".to_owned()];
    let files: Vec<String> = texts.iter().map(|(path, _)| path.clone()).chain(binary).collect();
    let found: Vec<String> = strays(&texts, &files).into_iter().map(|finding| finding.path).collect();
    assert_eq!(
        found,
        ["src/proto/attic.rs", "packaging/locum.service", "tests/config/gone.stderr", "tests/vectors/old.pcap"]
    );
}
