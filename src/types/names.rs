use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a string is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between the quotes.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than its kind allows.
    #[error("a name of this kind has at most {0} bytes")]
    TooLong(usize),
    /// A character that this kind of name cannot have.
    #[error("{0:?} cannot stand in this name")]
    Character(char),
}

/// The name of a network interface as the kernel allows it: 1 to 15 bytes, no slash, colon or white space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName {
    bytes: [u8; 15],
    len: u8,
}

impl InterfaceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl FromStr for InterfaceName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > 15 {
            return Err(NameError::TooLong(15));
        }
        // "." and ".." are the only names of legal characters that the kernel refuses.
        if name == "." || name == ".." {
            return Err(NameError::Character('.'));
        }
        if let Some(bad) = name.chars().find(|c| matches!(c, '/' | ':' | '\0') || c.is_whitespace() || c.is_control()) {
            return Err(NameError::Character(bad));
        }
        let mut bytes = [0; 15];
        for (byte, given) in bytes.iter_mut().zip(name.bytes()) {
            *byte = given;
        }
        Ok(InterfaceName { bytes, len: name.len() as u8 })
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A name the administrator chose: letters, digits, `-`, `_` and `.`, at most 64 bytes.
fn chosen_name(name: &str) -> Result<Arc<str>, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > 64 {
        return Err(NameError::TooLong(64));
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        Some(bad) => Err(NameError::Character(bad)),
        None => Ok(Arc::from(name)),
    }
}

macro_rules! chosen {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                chosen_name(name).map($name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

chosen! {
    /// The name of a virtual router in the configuration (`[virtual_router.NAME]`).
    RouterName
}
chosen! {
    /// The name of a check in the configuration (`[check.NAME]`).
    CheckName
}

/// The name of a user of this host: 1 to 32 letters, digits, `-`, `_` and `.`, the first one a letter or `_`; a `$` may
/// stand at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UserName(Arc<str>);

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        if name.len() > 32 {
            return Err(NameError::TooLong(32));
        }
        let first = name.chars().next().ok_or(NameError::Empty)?;
        if !(first.is_ascii_alphabetic() || first == '_') {
            return Err(NameError::Character(first));
        }
        let stem = name.strip_suffix('$').unwrap_or(name);
        match stem.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
            Some(bad) => Err(NameError::Character(bad)),
            None => Ok(UserName(Arc::from(name))),
        }
    }
}

impl TryFrom<String> for UserName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named_not_numbered() {
        for name in ["locum", "_apt", "www-data", "systemd-network", "john.doe", "HOST1$"] {
            assert_eq!(name.parse::<UserName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        assert_eq!("".parse::<UserName>(), Err(NameError::Empty));
        assert_eq!("1000".parse::<UserName>(), Err(NameError::Character('1')));
        assert_eq!("-x".parse::<UserName>(), Err(NameError::Character('-')));
        assert_eq!("a:b".parse::<UserName>(), Err(NameError::Character(':')));
        assert_eq!("a$b".parse::<UserName>(), Err(NameError::Character('$')));
        assert_eq!("a".repeat(33).parse::<UserName>(), Err(NameError::TooLong(32)));
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        assert_eq!("eth0.100".parse::<InterfaceName>().map(|n| n.to_string()), Ok("eth0.100".to_owned()));
        assert_eq!("sixteen-bytes-xx".parse::<InterfaceName>(), Err(NameError::TooLong(15)));
        assert_eq!("a/b".parse::<InterfaceName>(), Err(NameError::Character('/')));
        assert_eq!("..".parse::<InterfaceName>(), Err(NameError::Character('.')));
        assert_eq!("".parse::<InterfaceName>(), Err(NameError::Empty));
    }
}
