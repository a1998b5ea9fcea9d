use std::fmt;

/// The password of version 2 (RFC 2338 section 5.3.6): up to eight bytes, the rest zero. Its text is shown nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; 8]);

impl Password {
    /// From what an administrator wrote: 1 to 8 bytes.
    pub fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 8];
        let field = bytes.get_mut(..text.len())?;
        if field.is_empty() {
            return None;
        }
        field.copy_from_slice(text);
        Some(Password(bytes))
    }

    /// From the field of a packet, as it is.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Password(bytes)
    }

    /// The field of a packet.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_eight_bytes_and_never_shown() {
        assert_eq!(Password::new(b"secret").map(Password::bytes), Some(*b"secret\0\0"));
        assert_eq!(Password::new(b"s3cretpw").map(Password::bytes), Some(*b"s3cretpw"));
        assert_eq!(Password::new(b"ninebytes"), None);
        assert_eq!(Password::new(b""), None);
        assert_eq!(format!("{:?}", Password::new(b"secret")), "Some(Password(..))");
    }
}
