#![doc = "placeholder"]
pub mod config;
pub mod proto;
pub mod report;
pub mod types;
pub mod wire;
