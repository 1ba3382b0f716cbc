//! The way to a store by a proxy: a tunnel for `https`, and for `http` requests that the proxy makes in the charm's place.

use std::error::Error;

use http::{HeaderValue, Response, StatusCode, header};
use hyper::{body::Incoming, client::conn::http1};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, proxy::Tunnel},
    },
    rt::TokioExecutor,
};
use object_store::client::{HttpRequest, HttpRequestBody};
use rustls::ClientConfig;
use thiserror::Error;
use tower_service::Service;

use crate::proxies::{Proxies, Proxy};

/// What leads to a proxy, which may want TLS itself.
type ToProxy = HttpsConnector<HttpConnector>;

/// The proxies of the model, and what leads by them.
#[derive(Clone, Debug)]
pub(super) struct Detour {
    proxies: Proxies,
    to_proxy: ToProxy,
    tunnel: Option<Client<HttpsConnector<Tunnel<ToProxy>>, HttpRequestBody>>,
}

/// Why a store was not reached by a proxy. It holds no cause, so that it is what is told.
#[derive(Debug, Error)]
pub(super) enum DetourError {
    #[error("{reason}, by the proxy {proxy}")]
    Failed { proxy: String, reason: String },
    #[error("the proxy {proxy} wants a user and password, or others")]
    Unauthorized { proxy: String },
    #[error("the charm itself does not reach it by a proxy of SOCKS, {proxy}")]
    Socks { proxy: String },
}

impl Detour {
    pub(super) fn new(proxies: Proxies, to_proxy: ToProxy, tls: &ClientConfig) -> Self {
        let tunnel = proxies.https().map(|proxy| {
            let tunnel = Tunnel::new(proxy.uri().clone(), to_proxy.clone());
            let tunnel = match proxy.authorization() {
                Some(authorization) => tunnel.with_auth(authorization.clone()),
                None => tunnel,
            };
            Client::builder(TokioExecutor::new()).build(HttpsConnector::from((tunnel, tls.clone())))
        });
        Self { proxies, to_proxy, tunnel }
    }

    /// Returns the proxy that a request is to take, if it is to take one.
    pub(super) fn of(&self, request: &HttpRequest) -> Option<&Proxy> {
        self.proxies.of(request.uri())
    }

    /// Makes a request by a proxy.
    pub(super) async fn request(&self, proxy: &Proxy, request: HttpRequest) -> Result<Response<Incoming>, DetourError> {
        let address = || proxy.address().to_owned();
        if !matches!(proxy.uri().scheme_str(), Some("http" | "https")) {
            return Err(DetourError::Socks { proxy: address() });
        }
        let answer = match &self.tunnel {
            Some(tunnel) if request.uri().scheme_str() == Some("https") => {
                tunnel.request(request).await.map_err(|error| deepest(&error))
            }
            _ => self.forward(proxy, request).await,
        };
        match answer {
            // No store asks for this.
            Ok(answer) if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(DetourError::Unauthorized { proxy: address() })
            }
            Ok(answer) => Ok(answer),
            Err(reason) => Err(DetourError::Failed { proxy: address(), reason }),
        }
    }

    /// Has the proxy make a request, which it is told with the whole URL.
    async fn forward(&self, proxy: &Proxy, mut request: HttpRequest) -> Result<Response<Incoming>, String> {
        let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
        if let Some(Ok(host)) = authority {
            request.headers_mut().entry(header::HOST).or_insert(host);
        }
        if let Some(authorization) = proxy.authorization() {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let mut to_proxy = self.to_proxy.clone();
        let connected = to_proxy.call(proxy.uri().clone()).await.map_err(|error| deepest(error.as_ref()))?;
        let (mut sender, connection) = http1::handshake(connected).await.map_err(|error| deepest(&error))?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|error| deepest(&error))
    }
}

/// Returns the words of the innermost cause: those above it hold addresses.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
#[path = "detour_tests.rs"]
mod tests;
