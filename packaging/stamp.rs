//! Tells the program its commit and when it was made: `locum --version` shows both.
//!
//! Works from a clone, from a tarball (git fills `packaging/commit` in when it makes an archive) and from neither, and
//! then says nothing rather than something wrong. SOURCE_DATE_EPOCH decides the time, so that two builds are the same.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the program is made from.
const INPUTS: [&str; 4] = ["src", "packaging/stamp.rs", "Cargo.toml", "Cargo.lock"];

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
    let root = Path::new(&root);
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=packaging/stamp.rs");
    // What is shipped is built anew for each commit; what is being worked on is not.
    let (commit, seconds) = if env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo::rerun-if-changed=packaging/commit");
        INPUTS.iter().for_each(|input| println!("cargo::rerun-if-changed={input}"));
        watched(root).iter().for_each(|file| println!("cargo::rerun-if-changed={file}"));
        origin(root, env::var("SOURCE_DATE_EPOCH").ok().as_deref())
    } else {
        Default::default()
    };
    println!("cargo::rustc-env=LOCUM_COMMIT={commit}");
    println!("cargo::rustc-env=LOCUM_SECONDS={seconds}");
}

/// The first 12 digits of the commit, marked where the program's own files differ from it, and the time that stands
/// for the build, in seconds since 1970: SOURCE_DATE_EPOCH, or else the commit's. Empty is not known.
pub fn origin(root: &Path, source_date_epoch: Option<&str>) -> (String, String) {
    let (commit, committed) = from_git(root).or_else(|| from_archive(root)).unwrap_or_default();
    let given = source_date_epoch.map(str::trim).filter(|text| text.parse::<u32>().is_ok());
    (commit, given.map_or(committed, str::to_owned))
}

fn from_git(root: &Path) -> Option<(String, String)> {
    // A tarball inside somebody else's repository has nothing to do with that one's commits.
    root.join(".git").exists().then_some(())?;
    let (commit, time) = parse(&git(root, &["show", "--no-patch", "--format=%H %ct", "HEAD"])?)?;
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let clean = git(root, &[&status[..], &INPUTS[..]].concat()).is_some_and(|text| text.is_empty());
    Some((if clean { commit } else { format!("{commit}+changes") }, time))
}

fn from_archive(root: &Path) -> Option<(String, String)> {
    parse(&fs::read_to_string(root.join("packaging/commit")).ok()?)
}

/// Of a full commit id and seconds since 1970; `None` where git has not filled them in.
fn parse(text: &str) -> Option<(String, String)> {
    let (commit, time) = text.trim().split_once(' ')?;
    let known =
        commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && time.parse::<u32>().is_ok();
    known.then(|| (commit.chars().take(12).collect(), time.to_owned()))
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What changes with a commit or a checkout.
fn watched(root: &Path) -> Vec<String> {
    let paths = ["HEAD", "logs/HEAD"].map(|name| git(root, &["rev-parse", "--git-path", name]));
    paths.into_iter().flatten().filter(|path| root.join(path).exists()).collect()
}
