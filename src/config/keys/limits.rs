//! What a key of one kind or another may be.

use std::time::Duration;

use super::{Key, Kind};

impl Key {
    /// Least and greatest integer; all of them for a kind that is no integer.
    pub(in crate::config) fn integers(&self) -> (i64, i64) {
        match self.kind {
            Kind::Integer { min, max } => (min, max),
            Kind::Name
            | Kind::User
            | Kind::Interface
            | Kind::Boolean
            | Kind::Duration { .. }
            | Kind::Choice(_)
            | Kind::Addresses
            | Kind::Address
            | Kind::Host
            | Kind::Hosts
            | Kind::Checks
            | Kind::Interfaces
            | Kind::Command
            | Kind::Table
            | Kind::Keys
            | Kind::Password
            | Kind::File => (i64::MIN, i64::MAX),
        }
    }

    /// Shortest and longest duration; all of them for a kind that is no duration.
    pub(in crate::config) fn durations(&self) -> (Duration, Duration) {
        match self.kind {
            Kind::Duration { min, max } => (min, max),
            Kind::Name
            | Kind::User
            | Kind::Interface
            | Kind::Integer { .. }
            | Kind::Boolean
            | Kind::Choice(_)
            | Kind::Addresses
            | Kind::Address
            | Kind::Host
            | Kind::Hosts
            | Kind::Checks
            | Kind::Interfaces
            | Kind::Command
            | Kind::Table
            | Kind::Keys
            | Kind::Password
            | Kind::File => (Duration::ZERO, Duration::MAX),
        }
    }

    /// The strings to choose from; none for a kind that is no choice.
    pub(in crate::config) fn choices(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Choice(choices) => choices,
            Kind::Name
            | Kind::User
            | Kind::Interface
            | Kind::Integer { .. }
            | Kind::Boolean
            | Kind::Duration { .. }
            | Kind::Addresses
            | Kind::Address
            | Kind::Host
            | Kind::Hosts
            | Kind::Checks
            | Kind::Interfaces
            | Kind::Command
            | Kind::Table
            | Kind::Keys
            | Kind::Password
            | Kind::File => &[],
        }
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
