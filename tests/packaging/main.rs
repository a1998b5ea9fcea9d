//! What is installed: that the pages, the schema and the README say what the program does, that the packages hold what
//! they should, and that they do on a booted system what they promise.

#[path = "../lab/attempts.rs"]
mod attempts;
#[path = "../lab/clock.rs"]
#[allow(dead_code, reason = "the lab uses more of it")]
mod clock;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../packaging/documents/licences.rs"]
mod licences;
#[path = "../../packaging/documents/man.rs"]
mod man;
#[path = "../../packaging/documents/schema.rs"]
mod schema;
#[path = "../lab/stalls.rs"]
#[allow(dead_code, reason = "the lab uses more of it")]
mod stalls;

mod confined;
mod documents;
mod hung;
mod installed;
mod judged;
mod node;
mod origin;
mod packages;
mod programs;
mod roots;
mod scripts;
mod steps;
mod third_party;
