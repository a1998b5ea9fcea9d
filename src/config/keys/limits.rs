//! What a key of one kind or another may be.

use std::time::Duration;

use super::{Key, Kind};

impl Key {
    /// Least and greatest integer; all of them for a kind that is no integer.
    pub(in crate::config) fn integers(&self) -> (i64, i64) {
        if let Kind::Integer { min, max } = self.kind { (min, max) } else { (i64::MIN, i64::MAX) }
    }

    /// Shortest and longest duration; all of them for a kind that is no duration.
    pub(in crate::config) fn durations(&self) -> (Duration, Duration) {
        if let Kind::Duration { min, max } = self.kind { (min, max) } else { (Duration::ZERO, Duration::MAX) }
    }

    /// The strings to choose from; none for a kind that is no choice.
    pub(in crate::config) fn choices(&self) -> &'static [&'static str] {
        if let Kind::Choice(choices) = self.kind { choices } else { &[] }
    }

    /// What its value is called in messages.
    pub(in crate::config) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Name
            | Kind::User
            | Kind::Interface
            | Kind::Choice(_)
            | Kind::Address
            | Kind::Host
            | Kind::File
            | Kind::Password => "a string",
            Kind::Integer { .. } => "an integer",
            Kind::Boolean => "true or false",
            Kind::Duration { .. } => "a string with a unit",
            Kind::Addresses | Kind::Hosts | Kind::Checks | Kind::Interfaces | Kind::Command => "an array of strings",
            Kind::Table => "a table",
            Kind::Keys => "an array of tables",
        }
    }
}
