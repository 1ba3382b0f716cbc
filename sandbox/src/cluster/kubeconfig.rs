//! A cluster that the user already has.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use kube::config::{Kubeconfig, KubeconfigError};

use super::ClusterAccess;
use crate::host::source_address;

/// An address of nobody's, which lies behind the default route: RFC 5737.
const FAR_AWAY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 9);

/// Why a kubeconfig is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("cannot read the kubeconfig {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// It lacks something.
    #[error("the kubeconfig {} has no {what} for its current context", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        what: &'static str,
    },
    /// The certificate authority cannot be read.
    #[error("cannot read the certificate authority of the kubeconfig {}", path.display())]
    CertificateAuthority {
        /// The kubeconfig.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// This machine does not know the way to the API server.
    #[error("cannot find the address by which the cluster reaches this machine from {server}")]
    NoRoute {
        /// The API server.
        server: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ClusterAccess {
    /// The access to the cluster of the kubeconfig's current context. Nothing is made or changed, and nothing asked of it.
    ///
    /// # Errors
    /// When the file does not say where the API server is, or who signed its certificate, or there is no way to it.
    pub fn from_kubeconfig(path: &Path) -> Result<Self, AccessError> {
        let server = server_of(path)?;
        let server_address = address_towards(&server.host, server.port)
            .map_err(|source| AccessError::NoRoute { server: format!("{}:{}", server.host, server.port), source })?;
        Ok(Self {
            kubeconfig: path.to_owned(),
            namespaces_of: None,
            service_host: server.host,
            service_port: server.port,
            certificate_authority: server.certificate_authority,
            server_address,
            nameserver: None,
        })
    }
}

/// The API server of a kubeconfig.
struct Server {
    host: String,
    port: u16,
    certificate_authority: String,
}

fn server_of(path: &Path) -> Result<Server, AccessError> {
    let missing = |what| AccessError::Missing { path: path.to_owned(), what };
    let kubeconfig = Kubeconfig::read_from(path)
        .map_err(|source| AccessError::Read { path: path.to_owned(), source: Box::new(source) })?;
    let context = kubeconfig.current_context.as_ref().ok_or_else(|| missing("current context"))?;
    let named = kubeconfig.contexts.iter().find(|named| named.name == *context);
    let context = named.and_then(|named| named.context.as_ref()).ok_or_else(|| missing("context"))?;
    let named = kubeconfig.clusters.iter().find(|named| named.name == context.cluster);
    let cluster = named.and_then(|named| named.cluster.as_ref()).ok_or_else(|| missing("cluster"))?;

    let url = cluster.server.as_deref().ok_or_else(|| missing("server"))?;
    let (host, port) = host_and_port(url).ok_or_else(|| missing("server with a host"))?;
    let failed = |source| AccessError::CertificateAuthority { path: path.to_owned(), source };
    let certificate_authority = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) => decoded(data).map_err(failed)?,
        (None, Some(file)) => fs::read_to_string(file).map_err(failed)?,
        (None, None) => return Err(missing("certificate authority")),
    };
    Ok(Server { host, port, certificate_authority })
}

/// The host and port of a URL; an IPv6 address without its brackets.
fn host_and_port(server: &str) -> Option<(String, u16)> {
    let (scheme, rest) = server.split_once("://")?;
    let authority = rest.split('/').next()?;
    let default = if scheme == "http" { 80 } else { 443 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn decoded(base64: &str) -> io::Result<String> {
    let quoted = serde_json::Value::String(base64.to_owned());
    let bytes: k8s_openapi::ByteString = serde_json::from_value(quoted)?;
    String::from_utf8(bytes.0).map_err(io::Error::other)
}

/// This machine's address on the way to the API server. An API server on this machine itself says nothing of the way to its
/// pods: then it is the address on the way to everywhere else.
fn address_towards(host: &str, port: u16) -> io::Result<IpAddr> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    let server = (host, port).to_socket_addrs()?.next().ok_or_else(unknown)?;
    let address = source_address(server)?;
    if address.is_loopback() { source_address(FAR_AWAY) } else { Ok(address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_taken_apart() {
        let parts = |server| host_and_port(server).unwrap();
        assert_eq!(parts("https://10.0.0.1:6443"), ("10.0.0.1".into(), 6443));
        assert_eq!(parts("https://cluster.example.org/path"), ("cluster.example.org".into(), 443));
        assert_eq!(parts("https://[fd00::1]:6443"), ("fd00::1".into(), 6443));
        assert_eq!(parts("https://[fd00::1]"), ("fd00::1".into(), 443));
        assert_eq!(host_and_port("10.0.0.1:6443"), None);
    }

    fn server_of_cluster(cluster: &str) -> Result<Server, AccessError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        let context = "contexts: [{name: c, context: {cluster: k, user: u}}]\ncurrent-context: c\n";
        fs::write(&file, format!("clusters: [{{name: k, cluster: {cluster}}}]\n{context}")).unwrap();
        server_of(&file)
    }

    #[test]
    fn a_kubeconfig_says_what_a_pod_would_know() {
        let server = server_of_cluster("{server: 'https://10.0.0.1:6443', certificate-authority-data: cGVt}").unwrap();
        assert_eq!((server.host.as_str(), server.port), ("10.0.0.1", 6443));
        assert_eq!(server.certificate_authority, "pem");
    }

    #[test]
    fn a_kubeconfig_that_lacks_something_says_what() {
        let error = server_of_cluster("{server: 'https://10.0.0.1:6443'}").err().unwrap();
        assert!(error.to_string().ends_with("has no certificate authority for its current context"), "{error}");
    }
}
