//! Live tests: real agents on hosts that are network namespaces of this machine, judged from outside.
//!
//! `room` is a namespace, `lan` the hosts, the switch, the client and what can be done to them; `wire` sees what crosses
//! the switch, `holders` who has an address, `ask` who answers for it, `probe` what a client loses, `stalls` when the machine itself stood still;
//! `agents` and `frr` are who is tested; `live` begins a test and repeats a measurement. The rest are tests, by what they are about.
//!
//! What must be seen when something goes wrong, at adverts each second, and which test shows it. Each is done three times,
//! and twenty times where LOCUM_FULL=1 is set; only then percentiles are judged, and the few runs by their median.
//!
//! | fault | test |
//! |---|---|
//! | kill -9 or SIGUSR1, started at once | `resume::killed_and_started..`, `told_to_leave..`, `keepalived_does_not_notice..` |
//! | kill -9, SIGSTOP for good | `leases::a_killed_agent..`, `a_stopped_agent..`, over IPv6 `leases6::` the same |
//! | Active stalls 7 s | `leases::an_active_that_stalls_for_7_s..` |
//! | Backup stalls; both 2.5 s; both 7 s | `resume::a_backup_that_stood_still..`, `two_that_stood_still..`, `of_two_that..` |
//! | reload, of a broken file, `--exec` | `reload::no_reload_of_any_kind..`, `replace::a_hundred_in_a_row..` |
//! | planned stop, return | `departures::a_planned_stop_costs..`, `a_planned_stop_beside_keepalived..`, `a_higher_priority..` |
//! | the address, the host's own primary removed | `leases::an_address_removed_by_hand..`, `the_hosts_own_primary..` |
//! | partition, deaf Backup, mute Active | `partitions::after_..` |
//! | a firewall on the host, a full queue | `mute::a_firewall_is_found_out..`, `an_active_whose..` |
//! | route changes: 100,000, or 1,000,000 | `leases::routes_come_and_go..` |
//! | 1,000 addresses for 10 s, or a minute | `leases::a_thousand_leases..` |
//! | all of them at random | `chaos::run` |
//! | 16 spinning processes at 10 ms adverts | `cargo bench --bench starved` |

#[path = "../common/mod.rs"]
mod common;

#[allow(dead_code, reason = "the simulator asks more of it")]
#[path = "../sim/keepalived.rs"]
mod keepalived;
#[path = "../sim/replay.rs"]
mod replay;
#[allow(dead_code, reason = "the simulator draws more of it")]
#[path = "../sim/rng.rs"]
mod rng;

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

mod attempts;
mod authentication;
mod chaos;
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
mod leases6;
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
mod traces;
