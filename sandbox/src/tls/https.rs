//! HTTP over TLS with certificates of the sandbox's own authorities.

use std::time::Duration;

use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto::ring};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// A certificate or key is none.
    #[error("a certificate or its key cannot be read")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// A certificate or key cannot be used.
    #[error("a certificate or its key cannot be used")]
    Tls(#[from] rustls::Error),
    /// The server cannot be reached, or not be trusted.
    #[error("the server cannot be reached")]
    Request(#[from] hyper_util::client::legacy::Error),
    /// The answer was cut off.
    #[error("the answer cannot be read")]
    Answer(#[from] hyper::Error),
    /// The server does not answer.
    #[error("the server did not answer within {0:?}")]
    TimedOut(Duration),
}

/// A client that trusts servers of that authority, given as PEM, and of no other.
pub(crate) fn client<B>(authority: &str) -> Result<Client<HttpsConnector<HttpConnector>, B>, HttpsError>
where
    B: Body + Send,
    B::Data: Send,
{
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // What is written in pieces would wait for an acknowledgement, which comes 40 ms later.
    tcp.set_nodelay(true);
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
