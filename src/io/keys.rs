//! Key files: who may read them, and what stands in them.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::files::{ReadError, open};
use super::users::{self, PACKAGE_USER};
use crate::types::{Secret, SecretError};

/// The longest content that can be a key: `hex:`, two digits a byte, and the end of the line.
const LARGEST: usize = 4 + 2 * Secret::MAX + 2;

/// Why a key file cannot be used. None of it says what stands in the file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its group or everybody may read or write it.
    #[error("{}: others than its owner can get at it (mode {:04o})", .0.display(), .1)]
    Exposed(PathBuf, u32),
    /// It belongs to somebody who is neither root nor the agent.
    #[error("{}: belongs to user {}, who can read and change it", .0.display(), .1)]
    Foreign(PathBuf, u32),
    /// What stands in it is no key.
    #[error("{}: {}", .0.display(), .1)]
    Content(PathBuf, SecretError),
}

impl KeyError {
    /// What to do about it.
    pub fn remedy(&self, file: &Path) -> String {
        let file = file.display();
        match self {
            KeyError::Read(ReadError::Missing(_)) => {
                format!(
                    "make one that all nodes share: (umask 077; printf hex: > {file}; openssl rand -hex 32 >> {file})"
                )
            }
            KeyError::Read(_) => format!(
                "the agent must be able to read it (under systemd: chown {PACKAGE_USER} {file}), and a running one only \
                 what lies in folders that its configuration named when it started; otherwise restart it"
            ),
            KeyError::Exposed(..) => format!("chmod 600 {file}"),
            KeyError::Foreign(..) => {
                let owner = if users::own_uid() == 0 && agent().is_none() { "root" } else { PACKAGE_USER };
                format!("chown {owner} {file}")
            }
            KeyError::Content(..) => {
                format!(
                    "make a new one and copy it to all nodes: (umask 077; printf hex: > {file}; openssl rand -hex 32 >> {file})"
                )
            }
        }
    }
}

/// Reads a key file that nobody but its owner can get at.
///
/// # Errors
/// See [`KeyError`].
pub fn read(path: &Path) -> Result<Secret, KeyError> {
    let (file, metadata) = open(path)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed(path.to_owned(), mode));
    }
    let owner = metadata.uid();
    if owner != 0 && owner != users::own_uid() && agent() != Some(owner) {
        return Err(KeyError::Foreign(path.to_owned(), owner));
    }
    // Room for all at once: growing would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    let failed = |error| KeyError::Read(ReadError::Unreadable(path.to_owned(), error));
    file.take(LARGEST as u64 + 1).read_to_end(&mut content).map_err(failed)?;
    Secret::parse(&content).map_err(|error| KeyError::Content(path.to_owned(), error))
}

/// Where we are root: as whom the agent of the package runs instead, if there is such a user.
fn agent() -> Option<u32> {
    if users::own_uid() != 0 {
        return None;
    }
    users::package().ok().flatten().and_then(|user| user.other_uid())
}

/// Whether this file, which root has read, is out of reach for the agent of the package.
pub fn is_roots_alone(path: &Path) -> bool {
    agent().is_some() && std::fs::metadata(path).is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_the_owners_alone() {
        let folder = std::env::temp_dir().join(format!("locum-keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("web");
        assert!(matches!(read(&file), Err(KeyError::Read(ReadError::Missing(_)))));
        fs::write(&file, "a secret that is long enough to be one\n").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o601, 0o610, 0o644] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let error = read(&file).unwrap_err();
            assert!(matches!(&error, KeyError::Exposed(_, found) if *found == mode), "{error:?}");
            assert_eq!(error.remedy(&file), format!("chmod 600 {}", file.display()));
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&file).unwrap().expose(), b"a secret that is long enough to be one");
        }
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        for (content, length) in [("too short".to_owned(), 9), ("k".repeat(200), LARGEST + 1)] {
            fs::write(&file, content).unwrap();
            let error = read(&file).unwrap_err();
            assert!(matches!(error, KeyError::Content(_, SecretError::Length(found)) if found == length), "{error:?}");
        }
        assert!(matches!(read(&folder), Err(KeyError::Read(ReadError::Unreadable(..)))));
        fs::remove_dir_all(&folder).unwrap();
    }
}
