/// How a command of ours ends; the number is its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Fine,
    /// The question was answered, and the answer is no.
    No,
    /// The command line is wrong.
    Usage,
    /// There is no such file.
    NoFile,
    /// No agent answers there.
    NoAgent,
    /// A fault of ours, or of a system that lacks what every system has.
    Internal,
    /// The runtime directory is in use.
    InUse,
    /// Not permitted.
    NotPermitted,
    /// The configuration is not valid.
    Configuration,
}

impl Exit {
    /// The exit code; those from 64 on are of sysexits.h.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Fine => 0,
            Exit::No => 1,
            Exit::Usage => 64,
            Exit::NoFile => 66,
            Exit::NoAgent => 69,
            Exit::Internal => 70,
            Exit::InUse => 75,
            Exit::NotPermitted => 77,
            Exit::Configuration => 78,
        }
    }

    /// The one with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Exit::ALL.into_iter().find(|exit| exit.code() == code)
    }

    const ALL: [Exit; 9] = [
        Exit::Fine,
        Exit::No,
        Exit::Usage,
        Exit::NoFile,
        Exit::NoAgent,
        Exit::Internal,
        Exit::InUse,
        Exit::NotPermitted,
        Exit::Configuration,
    ];
}

/// Why a command of ours did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it ends with.
    pub exit: Exit,
    /// What a person is told, without a line break at the end; empty if all has been said.
    pub text: String,
}

impl Failure {
    /// A failure with what is told of it.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Failure { exit, text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_are_promised() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 64, 66, 69, 70, 75, 77, 78]);
        assert_eq!(Exit::from_code(78), Some(Exit::Configuration));
        assert_eq!(Exit::from_code(2), None);
    }
}
