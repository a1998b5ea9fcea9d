//! What a row of the table is.

/// One rule, in one line.
#[derive(Debug)]
pub struct Rule {
    pub id: u8,
    pub text: &'static str,
    pub proof: Proof,
}

#[derive(Debug)]
pub enum Proof {
    /// Names of tests as `target::path::to::test`; `lib` is the library's own, `case` a file of tests/config.
    Tests { pro: &'static [&'static str], contra: &'static [&'static str] },
    /// Why there is nothing to test.
    Reason(&'static str),
}

pub const fn rule(id: u8, text: &'static str, pro: &'static [&'static str], contra: &'static [&'static str]) -> Rule {
    Rule { id, text, proof: Proof::Tests { pro, contra } }
}

pub const fn excused(id: u8, text: &'static str, reason: &'static str) -> Rule {
    Rule { id, text, proof: Proof::Reason(reason) }
}
