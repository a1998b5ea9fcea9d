//! What several virtual routers of one host owe each other: done once all effects of a step are known.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::effect::{Addition, Effect};
use super::holding::Legacy;
use super::interfaces::{Interfaces, same_subnet};
use super::router::Router;
use crate::types::{Instant, InterfaceName, IpNet, RouterName};

/// What an announcement of an address that stays here may wait for the kernel.
const PATIENCE: Duration = Duration::from_millis(500);

/// Settles the effects of one step: an address that goes from one router to another stays where it is, and what
/// the kernel removes along with something else is put back.
pub(crate) fn settle(
    now: Instant,
    mut effects: Vec<Effect>,
    routers: &mut [Router],
    interfaces: &Interfaces,
) -> Vec<Effect> {
    hand_over(now, &mut effects, routers);
    restore(&mut effects, routers, interfaces);
    effects.retain(|effect| match effect {
        Effect::AddAddresses { additions, .. } => !additions.is_empty(),
        Effect::RemoveAddresses { removals, .. } => !removals.is_empty(),
        Effect::Announce { frames, .. } => !frames.is_empty(),
        Effect::RenewLeases { leases, .. } => !leases.is_empty(),
        Effect::Listen { .. }
        | Effect::Unlisten { .. }
        | Effect::WatchFrames { .. }
        | Effect::UnwatchFrames { .. }
        | Effect::SendAdvert { .. }
        | Effect::Record(_)
        | Effect::Forget { .. }
        | Effect::Probe { .. }
        | Effect::Tell(_)
        | Effect::Stopped => true,
    });
    effects
}

/// An addition of what another router of ours has, or removes in this very step, becomes its announcement.
fn hand_over(now: Instant, effects: &mut Vec<Effect>, routers: &mut [Router]) {
    for number in 0..effects.len() {
        // What is asked for again is nobody else's: it is missed here.
        let Some(Effect::AddAddresses { router, interface, additions, again: false, .. }) = effects.get_mut(number)
        else {
            continue;
        };
        let (router, interface, additions) = (router.clone(), *interface, std::mem::take(additions));
        let (mut new, mut frames) = (Vec::new(), Vec::new());
        for addition in additions {
            let address = addition.address.addr();
            let removed = take_from_removals(effects, interface, address).map(Legacy::of_removed);
            match removed.or_else(|| take_from_others(routers, &router, interface, address)) {
                Some(held) => {
                    let heir = routers.iter_mut().find(|other| *other.name() == router);
                    heir.into_iter().for_each(|heir| heir.take_over(interface, address, held));
                    frames.push(addition.announcement);
                }
                None => new.push(addition),
            }
        }
        put_back(effects, number, new);
        let until = now + PATIENCE;
        effects.push(Effect::Announce { router, interface, frames, until });
    }
}

fn put_back(effects: &mut [Effect], number: usize, new: Vec<Addition>) {
    if let Some(Effect::AddAddresses { additions, .. }) = effects.get_mut(number) {
        *additions = new;
    }
}

fn take_from_removals(effects: &mut [Effect], on: InterfaceName, address: IpAddr) -> Option<u8> {
    effects.iter_mut().find_map(|effect| match effect {
        Effect::RemoveAddresses { interface, removals, .. } if *interface == on => {
            let found = removals.iter().position(|net| net.addr() == address)?;
            Some(removals.remove(found).prefix_len())
        }
        Effect::RemoveAddresses { .. }
        | Effect::AddAddresses { .. }
        | Effect::Listen { .. }
        | Effect::Unlisten { .. }
        | Effect::WatchFrames { .. }
        | Effect::UnwatchFrames { .. }
        | Effect::SendAdvert { .. }
        | Effect::RenewLeases { .. }
        | Effect::Announce { .. }
        | Effect::Record(_)
        | Effect::Forget { .. }
        | Effect::Probe { .. }
        | Effect::Tell(_)
        | Effect::Stopped => None,
    })
}

fn take_from_others(routers: &mut [Router], heir: &RouterName, on: InterfaceName, address: IpAddr) -> Option<Legacy> {
    // A departing router may have the same name as its heir; then the first of that name is the heir.
    let heir = routers.iter().position(|router| router.name() == heir);
    let others = routers.iter_mut().enumerate().filter(|(number, _)| Some(*number) != heir);
    others.map(|(_, router)| router).find_map(|router| router.hand_over(on, address))
}

/// The kernel may remove the secondaries of a subnet with their primary. What of them is to stay is named in
/// the removal, to be put back in the same batch.
fn restore(effects: &mut [Effect], routers: &[Router], interfaces: &Interfaces) {
    for number in 0..effects.len() {
        let rest = effects.get_mut(number..).unwrap_or_default();
        let Some((Effect::RemoveAddresses { interface, removals, restore, .. }, later)) = rest.split_first_mut() else {
            continue;
        };
        let tied = |net: &IpNet| removals.iter().any(|removed| same_subnet(*net, *removed) && net != removed);
        let present = routers.iter().flat_map(|router| router.holding().present());
        let ours = present.filter(|(on, _)| on == interface).map(|(_, net)| net);
        let hosts = removals.iter().flat_map(|removed| interfaces.host_neighbours(*interface, *removed));
        let stays: BTreeSet<IpNet> = ours.filter(|net| !is_added_by(later, *interface, *net)).chain(hosts).collect();
        *restore = stays.into_iter().filter(tied).collect();
    }
}

/// Whether an address is added by one of these effects: put back before that, it would look like somebody else's.
fn is_added_by(effects: &[Effect], on: InterfaceName, net: IpNet) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::AddAddresses { interface, additions, .. } => {
            *interface == on && additions.iter().any(|addition| addition.address.addr() == net.addr())
        }
        Effect::Listen { .. }
        | Effect::Unlisten { .. }
        | Effect::WatchFrames { .. }
        | Effect::UnwatchFrames { .. }
        | Effect::SendAdvert { .. }
        | Effect::RemoveAddresses { .. }
        | Effect::RenewLeases { .. }
        | Effect::Announce { .. }
        | Effect::Record(_)
        | Effect::Forget { .. }
        | Effect::Probe { .. }
        | Effect::Tell(_)
        | Effect::Stopped => false,
    })
}
