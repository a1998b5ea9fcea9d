//! Renewing leases, on the worker's thread.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::message::{self, Ours, Request};
use super::worker::{Report, Working};
use crate::io::clock;
use crate::types::{Instant, InterfaceName, LeaseOutcome, Lifetime, RouterName};

/// Addresses renewed between two looks at the clock.
const CHUNK: usize = 256;

/// Leases of one virtual router on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Whose.
    pub router: RouterName,
    /// Where.
    pub interface: InterfaceName,
    /// Its kernel index.
    pub index: u32,
    /// Which, with the prefix lengths they were added with, and whether each leaves the route to its subnet alone.
    pub addresses: Vec<(IpNet, bool)>,
    /// How long from now; `None`: for good.
    pub lifetime: Option<Lifetime>,
    /// When it was decided; names it in the report.
    pub asked: Instant,
    /// When the kernel may have taken the addresses away, if it ever does: from then on nothing is renewed.
    pub until: Option<Instant>,
    /// They are there without an end and are to get one, or the other way round.
    pub other_kind: bool,
}

impl Working {
    /// Renews all leases, in as few system calls as there can be, and reports on each renewal.
    pub(super) fn renew(&mut self, renewals: Vec<Renewal>) {
        let mut outcomes: Vec<Result<(), LeaseOutcome>> = vec![Ok(()); renewals.len()];
        let all: Vec<(usize, &Renewal, (IpNet, bool))> = renewals
            .iter()
            .enumerate()
            .flat_map(|(number, renewal)| renewal.addresses.iter().map(move |address| (number, renewal, *address)))
            .filter(|(_, renewal, (net, _))| !self.is_others(renewal.index, *net))
            .collect();
        for chunk in all.chunks(CHUNK) {
            let begun = clock::now();
            for (number, renewal, _) in chunk {
                note(&mut outcomes, *number, renewal.is_late(begun).then_some(LeaseOutcome::Lapsed));
            }
            let wanted: Vec<_> = chunk.iter().filter(|(number, ..)| good(&outcomes, *number)).collect();
            let requests: Vec<(usize, Request)> =
                wanted.iter().flat_map(|(number, renewal, address)| renewal.requests(*number, *address)).collect();
            let (numbers, requests): (Vec<usize>, Vec<Request>) = requests.into_iter().unzip();
            match self.netlink.request(&requests) {
                Ok(results) => {
                    for (number, result) in numbers.into_iter().zip(results) {
                        note(&mut outcomes, number, result.err().map(|error| LeaseOutcome::Failed(error.to_string())));
                    }
                }
                Err(error) => {
                    let failed = || LeaseOutcome::Failed(error.to_string());
                    numbers.into_iter().for_each(|number| note(&mut outcomes, number, Some(failed())));
                }
            }
            // What was late has perhaps brought back what was gone already.
            let ended = clock::now();
            for (number, renewal) in renewals.iter().enumerate().filter(|(_, renewal)| renewal.is_late(ended)) {
                let of_it = wanted.iter().filter(|(of, ..)| *of == number);
                let nets: BTreeSet<IpNet> = of_it.map(|(_, _, (net, _))| *net).collect();
                if !nets.is_empty() {
                    note(&mut outcomes, number, Some(LeaseOutcome::Lapsed));
                    self.undo(&renewal.router, &renewal.interface, renewal.index, &nets);
                }
            }
        }
        for (renewal, outcome) in renewals.into_iter().zip(outcomes) {
            let outcome = outcome.err().unwrap_or(LeaseOutcome::Renewed);
            let Renewal { router, interface, asked, other_kind, .. } = renewal;
            self.report(Report::Renewed { router, interface, asked, other_kind, outcome });
        }
    }

    /// Removes addresses that were added or renewed too late, and nothing along with them.
    pub(super) fn undo(&mut self, router: &RouterName, interface: &InterfaceName, index: u32, nets: &BTreeSet<IpNet>) {
        let present = self.netlink.addresses(index).unwrap_or_default();
        let subnets: BTreeSet<IpNet> = nets.iter().map(IpNet::trunc).collect();
        let tied = |other: &IpNet| !nets.contains(other) && subnets.contains(&other.trunc());
        let restore: Vec<IpNet> = present.iter().filter_map(message::address_of).filter(tied).collect();
        let removals: Vec<IpNet> = nets.iter().copied().collect();
        self.remove(router, interface, index, &removals, &restore);
    }
}

impl Renewal {
    fn is_late(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// What has the kernel count anew for one address.
    ///
    /// An IPv6 address whose kind changes is made anew: changed in place, it would make the route to its subnet end with
    /// it, which others need.
    fn requests(&self, number: usize, (net, borrows_route): (IpNet, bool)) -> Vec<(usize, Request)> {
        let ours = Ours { net, lifetime: self.lifetime, borrows_route };
        if self.other_kind && net.addr().is_ipv6() {
            let again = [message::delete_address(self.index, net), message::add_address(self.index, &ours)];
            return again.into_iter().map(|request| (number, request)).collect();
        }
        vec![(number, message::renew_address(self.index, &ours))]
    }
}

fn good(outcomes: &[Result<(), LeaseOutcome>], number: usize) -> bool {
    outcomes.get(number).is_some_and(Result::is_ok)
}

/// Keeps the worst that became of a renewal.
fn note(outcomes: &mut [Result<(), LeaseOutcome>], number: usize, what: Option<LeaseOutcome>) {
    if let (Some(outcome), Some(what)) = (outcomes.get_mut(number), what) {
        match (&*outcome, &what) {
            (Ok(()), _) | (Err(LeaseOutcome::Renewed | LeaseOutcome::Failed(_)), LeaseOutcome::Lapsed) => {
                *outcome = Err(what);
            }
            (Err(_), _) => {}
        }
    }
}
