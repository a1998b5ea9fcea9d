//! The wire room against packets that keepalived sent, literals from them and from the RFCs, and hostile bytes.

mod adverts;
mod captures;
mod faults;
mod neighbours;
mod pcap;
