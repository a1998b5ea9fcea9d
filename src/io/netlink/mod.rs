//! Links and addresses of the kernel, over rtnetlink.
//!
//! `message` is the codec, without a socket; `request` asks and is answered; `table` is what is known of links and
//! addresses; `monitor` keeps it current; `worker` is the thread that carries out changes, so that the protocol
//! thread never waits for the kernel's routing lock, and `renewal` how it renews leases. Does not belong here: which addresses to add or remove.

#[cfg(test)]
mod literals;
pub mod message;
mod monitor;
mod renewal;
mod request;
mod table;
mod worker;

pub use monitor::{Monitor, MonitorState};
pub use renewal::Renewal;
pub use request::{Netlink, NetlinkError};
pub use table::{Snapshot, Switches, Table};
pub use worker::{Announcers, Job, NewAddress, Report, Worker};
