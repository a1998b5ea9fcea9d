//! Live tests: real agents on hosts that are network namespaces of this machine, judged from outside.
//!
//! `room` is a namespace, `lan` the hosts, the switch, the client and what can be done to them; `wire` sees what crosses
//! the switch, `holders` who has an address, `ask` who answers for it, `probe` what a client loses, `stalls` when the machine itself stood still;
//! `agents` and `frr` are who is tested; `live` begins a test and repeats a measurement. The rest are tests, by what they are about.

#[path = "../common/mod.rs"]
mod common;

mod agents;
mod ask;
mod clock;
mod frr;
mod holders;
mod lan;
mod live;
mod probe;
mod room;
mod stalls;
mod wire;

mod authentication;
mod departures;
mod exits;
mod families;
mod health;
mod hostile;
mod interfaces;
mod interop;
mod itself;
mod judges;
mod leases;
mod link_up;
mod managed;
mod mistakes;
mod mute;
mod not_ours;
mod order;
mod pace;
mod partitions;
mod power_loss;
mod realtime;
mod reload;
mod replace;
mod resume;
mod sealed;
