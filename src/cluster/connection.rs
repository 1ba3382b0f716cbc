//! The connection to the API server, which all calls share.
//!
//! Calls that go together would make a connection each otherwise, with a handshake of its own, and on a server that is
//! far away each handshake is two more ways there and back. Over HTTP/2 they go side by side on one. Where the server
//! speaks HTTP/1.1 only, as behind some gateways, each call that goes beside another has a connection of its own.
//!
//! A connection that is dead keeps all of its calls waiting. So a server that has said nothing for a while is asked
//! whether it is there, and the connection is given up long before the calls' own time limit: they are repeated on
//! another one.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connection as _, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
};
use tokio::{sync::Mutex, time::timeout};
use tower::{Service, ServiceBuilder, ServiceExt};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The protocols, as a handshake names them.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// After how long a server that says nothing is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(10);
/// How long it may take to say so.
const ANSWER: Duration = Duration::from_secs(5);

/// Returns a client whose calls share a connection, which may take as long as `patience` to be made.
pub(super) fn client(config: &Config, patience: Duration) -> Result<Client, kube::Error> {
    client_with(config, patience, SILENCE)
}

fn client_with(config: &Config, patience: Duration, silence: Duration) -> Result<Client, kube::Error> {
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(Calls(Arc::new(Shared {
            server: config.cluster_url.clone(),
            patience,
            silence,
            connector: connector(config, &[HTTP2, HTTP1], silence)?,
            one_by_one: legacy::Client::builder(TokioExecutor::new()).build(connector(config, &[HTTP1], silence)?),
            current: Mutex::default(),
        })));
    Ok(Client::new(service.map_err(Error::from), config.default_namespace.clone()))
}

/// Returns what connects to the server, and says which of these protocols are spoken here, the best first.
fn connector(
    config: &Config,
    protocols: &[&[u8]],
    silence: Duration,
) -> Result<HttpsConnector<HttpConnector>, kube::Error> {
    let mut tls = config.rustls_client_config()?;
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // HTTP/1.1 has no other way to ask whether a server is there.
    connector.set_keepalive(Some(silence));
    Ok(HttpsConnector::from((connector, tls)))
}

/// Makes calls over the connection.
#[derive(Clone)]
struct Calls(Arc<Shared>);

struct Shared {
    server: Uri,
    patience: Duration,
    silence: Duration,
    connector: HttpsConnector<HttpConnector>,
    one_by_one: legacy::Client<HttpsConnector<HttpConnector>, Body>,
    current: Mutex<Current>,
}

/// How calls are made at present.
#[derive(Default)]
enum Current {
    /// The server has not been reached yet.
    #[default]
    Unknown,
    /// Side by side on one connection.
    SideBySide(SendRequest<Body>),
    /// Each on a connection of its own: the server speaks HTTP/1.1.
    OneByOne,
}

impl Service<Request<Body>> for Calls {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        async move { shared.send(request).await }.boxed()
    }
}

impl Shared {
    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        match self.connection().await? {
            Some(mut connection) => Ok(connection.send_request(request).await?),
            None => Ok(self.one_by_one.request(request).await?),
        }
    }

    /// Returns the connection, which is made anew if it is over; `None` where each call needs its own. Whoever comes
    /// while one is made waits for that one.
    async fn connection(&self) -> Result<Option<SendRequest<Body>>, Error> {
        let mut current = self.current.lock().await;
        match &*current {
            Current::SideBySide(connection) if !connection.is_closed() => return Ok(Some(connection.clone())),
            Current::OneByOne => return Ok(None),
            Current::SideBySide(_) | Current::Unknown => {}
        }
        let made = timeout(self.patience, self.connect()).await??;
        let connection = made.clone();
        *current = made.map_or(Current::OneByOne, Current::SideBySide);
        Ok(connection)
    }

    async fn connect(&self) -> Result<Option<SendRequest<Body>>, Error> {
        let stream = self.connector.clone().oneshot(self.server.clone()).await?;
        if !stream.connected().is_negotiated_h2() {
            return Ok(None);
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(self.silence)
            .keep_alive_timeout(ANSWER.min(self.silence))
            .handshake(stream)
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("the connection to the API server is over: {error}");
            }
        });
        Ok(Some(sender))
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
