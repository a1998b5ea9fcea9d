//! The agent as a pure value: short scenarios with literal times.
//!
//! All times are milliseconds since the agent started; the node is 192.0.2.2, its router `web` has VRID 51, priority
//! 100, one address 198.51.100.10/24 and a 1 s interval unless a scenario says otherwise: Skew_Time 609.375 ms,
//! Active_Down_Interval 3609.375 ms, and that of priority 1 3996.094 ms.

mod addresses;
mod authentication;
mod bench;
mod election;
mod families;
mod freshness;
mod handover;
mod health;
mod hostile;
mod leases;
mod link;
mod mistakes;
mod noise;
mod resume;
mod rfc9568;
mod sending;
mod stalls;
mod transport;
