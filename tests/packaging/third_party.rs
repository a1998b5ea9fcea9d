//! Whoever gets a package gets the licences of the libraries in it too.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Need, require};
use crate::licences;
use crate::node::run;
use crate::packages::packages;

/// What cargo tells of libraries in this folder, as far as it matters here: name and licence.
fn metadata(folder: &str, libraries: &[(&str, &str)]) -> serde_json::Value {
    let package = |(name, licence): &(&str, &str)| {
        serde_json::json!({
            "name": name, "version": "1.2.3", "license": licence, "repository": format!("https://example.org/{name}"),
            "source": "registry", "manifest_path": format!("{folder}/{name}/Cargo.toml"),
        })
    };
    let own = serde_json::json!({ "name": "locum", "version": "0.1.0", "source": null });
    serde_json::json!({ "packages": libraries.iter().map(package).chain([own]).collect::<Vec<_>>() })
}

#[test]
fn a_library_is_named_with_its_texts_and_one_without_any_is_refused() {
    let folder = std::env::temp_dir().join(format!("locum-licences-{}", std::process::id()));
    for (name, file, text) in [
        ("one", "LICENSE-MIT", "Copyright (c) One\r\n\r\nPermission is granted.  \r\n"),
        ("two", "COPYING", "Copyright (c) One\n\n\n\nPermission is granted.\n"),
        ("two", "README.md", "Two.\n"),
        ("none", "README.md", "None.\n"),
    ] {
        fs::create_dir_all(folder.join(name)).expect("made");
        fs::write(folder.join(name).join(file), text).expect("written");
    }
    let at = folder.to_str().expect("text");
    let all = metadata(at, &[("none", "MIT"), ("two", "MIT"), ("one", "MIT OR Apache-2.0")]);
    let tree = "locum v0.1.0 (/somewhere)\ntwo v1.2.3\none v1.2.3\ntwo v1.2.3 (*)\n";
    let told = licences::text(tree, &all).expect("a list");
    let (introduction, rest) = told.split_once("\n\n").expect("an introduction");
    assert!(introduction.starts_with("The program locum contains the libraries below."), "{introduction}");
    assert_eq!(
        rest,
        "one 1.2.3: MIT OR Apache-2.0\n    https://example.org/one\n    LICENSE-MIT: text 1\n\
         two 1.2.3: MIT\n    https://example.org/two\n    COPYING: text 1\n\
         \n======== Text 1\n\nCopyright (c) One\n\nPermission is granted.\n"
    );
    let refused = licences::text("none v1.2.3\n", &all).expect_err("no licence");
    assert!(refused.contains("/none: no file with a licence"), "{refused}");
    let refused = licences::text("one v1.2.4\n", &all).expect_err("not what was built");
    assert!(refused.contains("does not know one v1.2.4"), "{refused}");
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn of_a_page_the_words_remain() {
    let page = "<html><body><h2>A &amp; B</h2>\n\n\n<p>See &lt;https://example.org&gt; &#39;now&#39;</p>";
    assert_eq!(
        licences::of_standard_library(page),
        "\n======== The standard library of Rust\n\nA & B\n\nSee <https://example.org> 'now'\n"
    );
}

/// Name and version of all that cargo says the program is made from.
fn from_cargo_tree() -> BTreeSet<String> {
    let kinds = ["tree", "--locked", "--offline", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}"];
    let output = Command::new(env!("CARGO")).args(kinds).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.starts_with("locum ")).map(|line| line.replacen(" v", " ", 1)).collect()
}

#[test]
fn both_packages_bring_the_licences_of_all_that_is_in_the_program() {
    let Some(made) = packages(env!("CARGO_PKG_VERSION")) else { return };
    if !require(&[Need::Tool("dpkg-deb"), Need::Tool("rpm2cpio"), Need::Tool("cpio")]) {
        return;
    }
    let folder = std::env::temp_dir().join(format!("locum-third-party-{}", std::process::id()));
    fs::create_dir_all(folder.join("rpm")).expect("made");
    let at = |path: &std::path::Path| path.display().to_string();
    run("dpkg-deb", &["--extract", &at(&made.deb), &at(&folder.join("deb"))]);
    let mut unpack = Command::new("sh");
    unpack.args(["-c", "rpm2cpio \"$1\" | cpio --extract --quiet --make-directories", "sh", &at(&made.rpm)]);
    assert!(unpack.current_dir(folder.join("rpm")).stdin(Stdio::null()).status().expect("it runs").success());
    let [deb, rpm] = ["deb/usr/share/doc/locum/third-party.gz", "rpm/usr/share/licenses/locum/third-party.gz"]
        .map(|place| run("gzip", &["--decompress", "--stdout", &at(&folder.join(place))]));
    assert!(deb == rpm, "the two packages say the same");
    let listed = deb.split("\n======== Text 1\n").next().expect("a list");
    let named = listed.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(": "));
    let named: BTreeSet<String> = named.map(|(library, _)| library.to_owned()).collect();
    assert_eq!(named, from_cargo_tree());
    // Of one that is under its own licence alone, and of what the compiler adds.
    assert!(listed.contains("\nsubtle 2.") && listed.contains(": BSD-3-Clause\n"), "{listed}");
    for words in [
        "Redistributions in binary form must reproduce the above copyright",
        "Apache License\n",
        "Permission is hereby granted, free of charge",
        "The Rust Standard Library is dual-licensed under Apache 2.0 and MIT terms.",
    ] {
        assert!(deb.contains(words), "{words}");
    }
    fs::remove_dir_all(folder).expect("removed");
}
