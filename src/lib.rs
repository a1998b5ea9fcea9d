//! Locum: *locum tenens*, one who holds the place.
//!
//! A locum runs on each of two or more Linux hosts and sees to it that a floating IP address is held by exactly
//! one healthy host. It speaks VRRP on the LAN (RFC 9568), runs local health checks, and claims the address with
//! gratuitous ARP. This page is the architecture; each room's own page says what belongs there.
//!
//! ```text
//!   main, cli            what was typed
//!     |
//!   daemon               THE loop: waits, reads the clock once, one `handle`, performs the effects in order
//!     |    \
//!   proto   service      decides            |  everything beside the protocol thread: checks' schedule,
//!     |    /   |                            |  status socket, log
//!   wire config report   bytes; TOML; words |
//!     |        |
//!     |       io         does: one file for each kind of system call, no opinions
//!     |        |
//!   types                the vocabulary
//! ```
//!
//! Beside them `runner` is a process of its own that starts other people's programs, and `ctl` and `demo` are what
//! the administrator's commands do and print.
//!
//! **Deciding and doing live apart.** [`proto::Agent`] is a value: inputs and a time go in, an ordered list of
//! effects comes out, and it says when it must be called again. It reads no clock, opens no socket and writes no
//! log, so a simulator drives it through years of faults, and the daemon through the real ones. A failure to do
//! something comes back to it as an input like any other.
//!
//! **One thread owns the protocol.** It holds the agent, the sockets for adverts and ARP, the netlink monitor and
//! the timer, and never waits for a disk, a log, a client or a child. Adding a thousand addresses takes the kernel a
//! while, so a second thread does that and nothing else. All else, on the service side, reaches the protocol
//! thread over bounded channels and can be slow without harm.
//!
//! **Every arrow points down**, files stay small, matches on state and input have no wildcard arm, and `unsafe`
//! stands in `io/sys.rs` alone: tests hold the house to that.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)]
#![deny(clippy::let_underscore_must_use)]

pub mod cli;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod demo;
pub mod io;
pub mod proto;
pub mod report;
pub mod runner;
pub mod service;
pub mod types;
pub mod wire;
