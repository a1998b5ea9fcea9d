//! What is installed: that the pages, the schema and the README say what the program does, that the packages hold what
//! they should, and that they do on a booted system what they promise.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../packaging/documents/man.rs"]
mod man;
#[path = "../../packaging/documents/schema.rs"]
mod schema;

mod confined;
mod documents;
mod hung;
mod installed;
mod node;
mod origin;
mod packages;
mod programs;
mod roots;
mod scripts;
mod steps;
