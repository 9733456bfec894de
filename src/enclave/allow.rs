//! Owns lists of allowed addresses: who may connect here, and whom we may call. Addresses and networks only, as the guide demands.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Most entries of one list.
pub const ENTRIES_MAX: usize = 256;

/// Addresses and networks that are let through; everything else is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList(Arc<[IpNet]>);

/// A list that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowFault {
    /// It would let nobody through.
    #[error("is empty and would let nobody through")]
    Empty,
    /// More entries than the bound.
    #[error("has {0} entries, the limit is {ENTRIES_MAX}")]
    TooMany(usize),
    /// A name, or no address at all.
    #[error("`{0}` is no address: names are not allowed in this list")]
    NoAddress(String),
    /// `10.1.2.3/8`: one of the two numbers is a mistake.
    #[error("`{0}` has bits outside its prefix; the network is `{1}`")]
    OutsidePrefix(String, IpNet),
    /// `0.0.0.0/0` or `::/0`.
    #[error("`{0}` lets everybody through; leave the whole list out to mean that")]
    Everybody(String),
}

impl AllowList {
    /// Reads IPv4 and IPv6 addresses and CIDR networks; a name is refused.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, AllowFault> {
        match entries.len() {
            0 => Err(AllowFault::Empty),
            n if n > ENTRIES_MAX => Err(AllowFault::TooMany(n)),
            _ => entries.iter().map(|entry| network(entry.as_ref())).collect::<Result<_, _>>().map(Self),
        }
    }

    /// Whether the address is in the list. An IPv4 address written as IPv6 is itself.
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// A network of IPv4 addresses written as IPv6 is the network of those addresses: that is how each of them is looked up.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else { return network };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(96));
    four.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(network, IpNet::V4)
}

fn network(entry: &str) -> Result<IpNet, AllowFault> {
    let entry = entry.trim();
    let network = match entry.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => {
            let no = || AllowFault::NoAddress(entry.to_owned());
            // The reader of networks takes `010.0.0.0` for 10.0.0.0, which others take for 8.0.0.0; that of addresses refuses it.
            let address = entry.split_once('/').map(|(address, _)| address.parse::<IpAddr>());
            address.and_then(Result::ok).ok_or_else(no)?;
            unmapped(entry.parse().map_err(|_| no())?)
        }
    };
    if network.prefix_len() == 0 {
        return Err(AllowFault::Everybody(entry.to_owned()));
    }
    if network.trunc() != network {
        return Err(AllowFault::OutsidePrefix(entry.to_owned(), network.trunc()));
    }
    Ok(network)
}

/// Whether an address belongs to this machine or to a private network (RFC 1918, RFC 4193).
pub fn is_inner(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// Whom a client may call. Names are resolved here and connected to by the very addresses that were looked at.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Only these, where a list is given.
    pub allow: Option<AllowList>,
    /// Only this machine and private networks.
    pub inner_only: bool,
}

impl Reach {
    /// Whether that address may be called.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.allow.as_ref().is_none_or(|list| list.admits(address)) && (is_inner(address) || !self.inner_only)
    }
}

/// The client asks here for names only; an address written into a URL is judged when the configuration is read.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|a| this.admits(a.ip()));
            if !bad.is_empty() {
                let refused: Vec<IpAddr> = bad.iter().map(SocketAddr::ip).collect();
                tracing::warn!(
                    host = name.as_str(),
                    ?refused,
                    "a name leads to addresses that may not be called"
                );
            }
            match good.is_empty() {
                true => Err("no address of this name may be called".into()),
                false => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn list(entries: &[&str]) -> Result<AllowList, AllowFault> {
        AllowList::parse(entries)
    }

    #[test]
    fn addresses_and_networks_are_let_through_and_nobody_else() {
        let list = list(&["192.0.2.7", "10.1.0.0/16", "2001:db8::/32", " ::1 "]).unwrap();
        let admits = |address: &str| list.admits(address.parse().unwrap());
        for good in
            ["192.0.2.7", "10.1.255.255", "2001:db8:1::5", "::1", "::ffff:192.0.2.7", "::ffff:10.1.0.1"]
        {
            assert!(admits(good), "{good}");
        }
        for bad in ["192.0.2.8", "10.2.0.0", "2001:db9::1", "::2", "127.0.0.1", "0.0.0.0"] {
            assert!(!admits(bad), "{bad}");
        }
    }

    #[test]
    fn a_network_of_mapped_addresses_lets_its_addresses_through() {
        let list = list(&["::ffff:10.0.0.0/104"]).unwrap();
        for good in ["10.0.0.1", "::ffff:10.255.0.1"] {
            assert!(list.admits(good.parse().unwrap()), "{good}");
        }
        assert!(!list.admits("11.0.0.1".parse().unwrap()));
        assert!(matches!(super::AllowList::parse(&["::ffff:0.0.0.0/96"]), Err(AllowFault::Everybody(_))));
    }

    #[test]
    fn names_and_lists_that_cannot_be_meant_are_refused() {
        let table = [
            (&["relay.example"][..], "`relay.example` is no address: names are not allowed in this list"),
            (&["localhost"], "`localhost` is no address: names are not allowed in this list"),
            (&["192.0.2.7:443"], "`192.0.2.7:443` is no address: names are not allowed in this list"),
            (&["010.0.0.0/8"], "`010.0.0.0/8` is no address: names are not allowed in this list"),
            (
                &["::ffff:010.0.0.0/104"],
                "`::ffff:010.0.0.0/104` is no address: names are not allowed in this list",
            ),
            (&["192.0.2.0/33"], "`192.0.2.0/33` is no address: names are not allowed in this list"),
            (&["10.1.2.3/8"], "`10.1.2.3/8` has bits outside its prefix; the network is `10.0.0.0/8`"),
            (
                &["192.0.2.7", "0.0.0.0/0"],
                "`0.0.0.0/0` lets everybody through; leave the whole list out to mean that",
            ),
            (&["::/0"], "`::/0` lets everybody through; leave the whole list out to mean that"),
            (&[], "is empty and would let nobody through"),
        ];
        for (entries, says) in table {
            assert_eq!(list(entries).unwrap_err().to_string(), says);
        }
        assert_eq!(list(&["192.0.2.7"; 257]).unwrap_err(), AllowFault::TooMany(257));
    }

    #[test]
    fn inner_means_this_machine_and_private_networks() {
        for good in
            ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert!(is_inner(good.parse().unwrap()), "{good}");
        }
        for bad in ["8.8.8.8", "172.32.0.1", "0.0.0.0", "169.254.169.254", "2001:db8::1", "::", "fe80::1"] {
            assert!(!is_inner(bad.parse().unwrap()), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_name_leads_only_to_addresses_that_may_be_called() {
        let reach = |entries: &[&str]| Reach { allow: Some(list(entries).unwrap()), inner_only: false };
        let resolve = |reach: Reach| async move { reach.resolve("localhost".parse().unwrap()).await };
        assert!(resolve(reach(&["127.0.0.0/8", "::1"])).await.is_ok());
        assert!(resolve(reach(&["192.0.2.0/24"])).await.is_err());
        assert!(resolve(Reach { allow: None, inner_only: true }).await.is_ok());
    }
}
