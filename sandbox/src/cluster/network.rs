//! The link between this machine and a cluster: a pair of virtual network devices with a small network of their own.
//!
//! A cluster has a network namespace, so its pods and services may have the same addresses as any other cluster's. Only
//! the link's network must be one that this machine does not use yet.

use std::{
    fs::{self, File, TryLockError},
    io,
    net::Ipv4Addr,
    time::Duration,
};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    folders::{self, FolderError},
    process::{self, ProcessError},
};

/// `ip` answers at once, or something is very wrong.
const IP_LIMIT: Duration = Duration::from_secs(10);

/// The addresses of pods.
pub const PODS: &str = "10.244.0.0/16";

/// The addresses of the pods of a node, by its number.
#[must_use]
pub fn pods_of(node: u8) -> String {
    format!("10.244.{node}.0/24")
}

/// The address of a further node, by its number.
#[must_use]
pub fn node_address(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 243, node, 2)
}

/// The address that the first node has on the way to a further one.
fn gateway_address(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 243, node, 1)
}

/// The addresses of services.
pub const SERVICES: &str = "10.96.0.0/16";

/// The address of the service `kubernetes`: the first of the services' network.
pub const KUBERNETES_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// `ip` failed.
    #[error("cannot set up the network of the cluster")]
    Ip(#[from] ProcessError),
    /// `ip` printed something other than what it should.
    #[error("cannot read what ip says of this machine's network")]
    Unreadable(#[from] serde_json::Error),
    /// There is no folder for the reservations of numbers.
    #[error("cannot reserve a number for the network of the cluster")]
    ReservationFolder(#[from] FolderError),
    /// A number could not be reserved.
    #[error("cannot reserve a number for the network of the cluster")]
    Reserve(#[source] io::Error),
    /// Every one of the networks that a link may have is in use.
    #[error("all networks from 10.213.0.0/30 to 10.213.255.0/30 are in use on this machine")]
    Exhausted,
}

/// The link of one cluster. Its number is this cluster's alone on this machine, for as long as the link is there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    number: u8,
}

/// Keeps the number of a link from other clusters.
#[derive(Debug)]
pub struct Reservation {
    _lock: File,
}

#[derive(Deserialize)]
struct Route {
    dst: String,
}

impl Link {
    /// Makes a link of the first number that is free, which is this cluster's for as long as the reservation is held. Both ends
    /// are on this machine until [`Link::attach`].
    ///
    /// # Errors
    /// When `ip` fails, or no number is free.
    pub async fn reserve() -> Result<(Self, Reservation), NetworkError> {
        let routes: Vec<Route> = serde_json::from_str(&ip(&["-json", "-4", "route", "show", "table", "all"]).await?)?;
        let used = networks(routes.iter().map(|route| route.dst.as_str()));
        for number in 0..=u8::MAX {
            let link = Self { number };
            if used.iter().any(|network| overlap(*network, link.network())) {
                continue;
            }
            let Some(reservation) = link.take_over()? else { continue };
            match ip(&["link", "add", &link.device(), "type", "veth", "peer", "name", &link.peer()]).await {
                Ok(_) => return Ok((link, reservation)),
                Err(ProcessError::Failed { stderr, .. }) if stderr.contains("File exists") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(NetworkError::Exhausted)
    }

    /// Reserves the number of a link that is there; `None` when another cluster has it.
    ///
    /// The device of a cluster goes with the cluster's last process, a moment before what else bears its number is removed. But
    /// for the reservation, another cluster could come to have the number in that moment, and lose its own.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn take_over(self) -> Result<Option<Reservation>, NetworkError> {
        let folder = folders::cache()?.join("links");
        fs::create_dir_all(&folder).map_err(NetworkError::Reserve)?;
        let file = File::create(folder.join(self.number.to_string())).map_err(NetworkError::Reserve)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Reservation { _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(NetworkError::Reserve(error)),
        }
    }

    /// Moves the far end into the network namespace of `process`, as its `eth0`, and brings both ends up.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn attach(self, process: u32) -> Result<(), NetworkError> {
        let process = process.to_string();
        let (device, peer) = (self.device(), self.peer());
        ip(&["link", "set", &peer, "netns", &process, "name", "eth0"]).await?;
        ip(&["address", "add", &format!("{}/30", self.machine()), "dev", &device]).await?;
        ip(&["link", "set", &device, "up"]).await?;
        for arguments in [
            &["link", "set", "lo", "up"][..],
            &["address", "add", &format!("{}/30", self.node()), "dev", "eth0"],
            &["link", "set", "eth0", "up"],
            // Where a service's packets go is settled after there is a route for them. Of pods, they come by a route.
            &["route", "add", SERVICES, "dev", "eth0"],
        ] {
            ip_inside(&process, arguments).await?;
        }
        Ok(())
    }

    /// Removes the link, if it is still there: it also goes on its own when its network namespace does.
    ///
    /// # Errors
    /// When `ip` fails otherwise.
    pub async fn remove(self) -> Result<(), NetworkError> {
        match ip(&["link", "delete", &self.device()]).await {
            Ok(_) => Ok(()),
            Err(ProcessError::Failed { stderr, .. }) if stderr.contains("Cannot find device") => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A name for what there may be only one of on this machine for each cluster.
    #[must_use]
    pub fn unique_name(self) -> String {
        format!("velero-sandbox-{}", self.number)
    }

    /// The name of this machine's end.
    #[must_use]
    pub fn device(self) -> String {
        format!("vosb{}", self.number)
    }

    /// The name of the far end, as long as it is on this machine.
    fn peer(self) -> String {
        format!("vosb{}p", self.number)
    }

    /// This machine's address on the link.
    #[must_use]
    pub fn machine(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, 1)
    }

    /// The node's address: pods, the node and this machine all reach it.
    #[must_use]
    pub fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, 2)
    }

    fn network(self) -> Ipv4Net {
        Ipv4Net::new_assert(Ipv4Addr::new(10, 213, self.number, 0), 30)
    }
}

/// Links the network namespace of a further node to that of the first one, each by a process in it: pods and nodes reach each
/// other, and the further node's reach by way of the first one what that reaches.
///
/// # Errors
/// When `ip` fails.
pub async fn link_nodes(first: u32, further: u32, node: u8) -> Result<(), NetworkError> {
    let (first, further) = (first.to_string(), further.to_string());
    let device = format!("node{node}");
    let (gateway, address) = (gateway_address(node).to_string(), node_address(node).to_string());
    // A further node that has gone may have left a link that the system has not yet removed.
    match ip_inside(&first, &["link", "delete", &device]).await {
        Err(ProcessError::Failed { stderr, .. }) if stderr.contains("Cannot find device") => {}
        deleted => drop(deleted?),
    }
    ip_inside(&first, &["link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &further]).await?;
    for arguments in [
        &["link", "set", "lo", "up"][..],
        &["address", "add", &format!("{address}/30"), "dev", "eth0"],
        &["link", "set", "eth0", "up"],
        &["route", "add", "default", "via", &gateway],
    ] {
        ip_inside(&further, arguments).await?;
    }
    for arguments in [
        &["address", "add", &format!("{gateway}/30"), "dev", &device][..],
        &["link", "set", &device, "up"],
        &["route", "replace", &pods_of(node), "via", &address],
    ] {
        ip_inside(&first, arguments).await?;
    }
    Ok(())
}

/// Runs `ip` in the network namespace of a process.
async fn ip_inside(process: &str, arguments: &[&str]) -> Result<String, ProcessError> {
    let mut inside = Command::new("nsenter");
    inside.args(["--target", process, "--net", "ip"]).args(arguments);
    process::run(inside, IP_LIMIT).await
}

async fn ip(arguments: &[&str]) -> Result<String, ProcessError> {
    let mut command = Command::new("ip");
    command.args(arguments);
    process::run(command, IP_LIMIT).await
}

/// The networks that routes lead to. The default route leads everywhere and so says nothing.
fn networks<'a>(destinations: impl Iterator<Item = &'a str>) -> Vec<Ipv4Net> {
    destinations
        .filter_map(|text| text.parse().ok().or_else(|| text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from)))
        .filter(|network: &Ipv4Net| network.prefix_len() > 0)
        .collect()
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_the_machine_is_not_taken_again() {
        let used = networks(["default", "10.213.0.0/16", "192.0.2.7", "0.0.0.0/0"].into_iter());
        assert_eq!(used.len(), 2);
        assert!(used.iter().any(|network| overlap(*network, Link { number: 9 }.network())));
    }

    #[test]
    fn a_neighbour_is_no_overlap() {
        let used = networks(["10.213.8.0/30", "10.213.10.0/24"].into_iter());
        assert!(!used.iter().any(|network| overlap(*network, Link { number: 9 }.network())));
    }

    #[test]
    fn device_names_fit_into_what_the_system_allows() {
        assert!(Link { number: 255 }.peer().len() < 16);
    }
}
