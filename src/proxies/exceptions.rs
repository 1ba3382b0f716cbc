//! What is reached without a proxy, by the rules of Go's `httpproxy`. Other programs have others: for them, `.internal` is also
//! `internal` itself, and nothing is of one port.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use ipnet::IpNet;

/// Names and addresses that are reached without a proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Exceptions(BTreeSet<String>);

impl<'a> FromIterator<&'a str> for Exceptions {
    fn from_iter<I: IntoIterator<Item = &'a str>>(entries: I) -> Self {
        let entries = entries.into_iter().map(|entry| entry.trim().to_ascii_lowercase());
        Self(entries.filter(|entry| !entry.is_empty()).collect())
    }
}

impl Exceptions {
    /// Whether a host is among them.
    pub(super) fn cover(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let address = address(&host);
        host == "localhost"
            || address.is_some_and(|address| address.is_loopback())
            || self.0.iter().any(|entry| covers(entry, &host, address, port))
    }
}

impl fmt::Display for Exceptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> = self.0.iter().map(String::as_str).collect();
        formatter.write_str(&entries.join(","))
    }
}

/// Returns the IP address that a text is; one of IPv4 is the same in both of its forms.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn covers(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let (name, of_port) = split_port(entry);
    if name.is_empty() || !of_port.is_empty() && of_port != port.to_string() {
        return false;
    }
    match (self::address(name), address) {
        (Some(excepted), address) => Some(excepted) == address,
        (None, Some(_)) => false,
        (None, None) => is_within(host, name),
    }
}

/// Whether a host is of a domain; a dot before the domain leaves out the domain itself.
fn is_within(host: &str, domain: &str) -> bool {
    let domain = domain.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(domain);
    match domain.strip_prefix('.') {
        Some(_) => host.ends_with(domain),
        None => host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
    }
}

/// Returns an entry without its port, and the port if it has one.
fn split_port(entry: &str) -> (&str, &str) {
    let bracketed = entry.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"));
    let plain = || entry.split_once(':').filter(|(_, port)| !port.contains(':'));
    bracketed.or_else(plain).unwrap_or((entry, ""))
}
