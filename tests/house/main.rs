//! The rules of the house, each a test that names file, line and remedy, beside a breach that it must catch.

mod arrows;
mod kept;
mod purity;
mod shape;
mod source;
mod words;
