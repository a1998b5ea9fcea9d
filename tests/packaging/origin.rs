//! What `locum --version` says of where the program comes from: with git, from a tarball, and from neither.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../packaging/stamp.rs"]
#[allow(dead_code, reason = "its main is for cargo")]
mod build;

/// A folder of this test's own, with a repository of one commit at 2026-11-21 10:22:05 UTC.
struct Repository(PathBuf);

impl Repository {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("locum-origin-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("packaging")).expect("made");
        fs::create_dir_all(path.join("src")).expect("made");
        let this = Repository(path);
        for name in ["packaging/commit", ".gitattributes"] {
            fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), this.0.join(name)).expect("copied");
        }
        fs::write(this.0.join("src/main.rs"), "fn main() {}\n").expect("written");
        this.git(&["init", "--quiet"]);
        this.git(&["add", "."]);
        this.git(&["commit", "--quiet", "--message", "All"]);
        this
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.0)
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .env("GIT_AUTHOR_DATE", "@1795256525 +0000")
            .env("GIT_COMMITTER_DATE", "@1795256525 +0000")
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

fn both(commit: &str, seconds: &str) -> (String, String) {
    (commit.to_owned(), seconds.to_owned())
}

#[test]
fn a_clone_tells_its_commit_and_whether_its_program_differs_from_it() {
    let clone = Repository::new("clone");
    let commit = clone.git(&["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(build::origin(&clone.0, None), both(&commit, "1795256525"));
    assert_eq!(build::origin(&clone.0, Some("86400")), both(&commit, "86400"));
    assert_eq!(build::origin(&clone.0, Some("today")), both(&commit, "1795256525"));
    fs::write(clone.0.join("README.md"), "New.\n").expect("written");
    assert_eq!(build::origin(&clone.0, None), both(&commit, "1795256525"));
    fs::write(clone.0.join("src/main.rs"), "fn main() { }\n").expect("written");
    assert_eq!(build::origin(&clone.0, None), both(&format!("{commit}+changes"), "1795256525"));
}

#[test]
fn a_tarball_tells_the_same_and_a_bare_copy_nothing() {
    let clone = Repository::new("tarball");
    let commit = clone.git(&["rev-parse", "--short=12", "HEAD"]);
    // Inside the repository, whose commit it must not be mistaken to be of.
    let inside = clone.0.join("unpacked");
    fs::create_dir(&inside).expect("made");
    fs::create_dir(inside.join("packaging")).expect("made");
    fs::copy(clone.0.join("packaging/commit"), inside.join("packaging/commit")).expect("copied");
    assert_eq!(build::origin(&inside, None), both("", ""));
    assert_eq!(build::origin(&inside, Some("86400")), both("", "86400"));
    clone.git(&["archive", "--output", "all.tar", "HEAD"]);
    let tar = clone.0.join("all.tar");
    let status = Command::new("tar").arg("-C").arg(&inside).arg("-xf").arg(tar).status();
    assert!(status.expect("tar runs").success());
    assert_eq!(build::origin(&inside, None), both(&commit, "1795256525"));
}
