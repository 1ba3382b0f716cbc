//! The way of a charm to its API server: every request passes a gate, where it may come to harm.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER},
    http::request::Parts,
    service::service_fn,
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use kube::{
    Api, Client as Administrator,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig, crypto::ring},
};

use super::{
    super::cluster::player::Player,
    fault::Fault,
    gate::Gate,
    operation::{self, Door},
};
use crate::{
    certificates::{Authority, CertificateError},
    https::{self, HttpsError},
};

/// How long a request that nobody answers is held.
const SILENCE: Duration = Duration::from_millis(150);

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ApiProxyError {
    /// There is no certificate.
    #[error("the way to the API server needs a certificate")]
    Certificate(#[from] CertificateError),
    /// A certificate cannot be used.
    #[error("a certificate cannot be used")]
    Tls(#[from] rustls::Error),
    /// A certificate cannot be read.
    #[error("a certificate cannot be read")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// The API server cannot be trusted by its certificate.
    #[error("there is no client for the API server")]
    Client(#[from] HttpsError),
    /// It cannot listen.
    #[error("the way to the API server cannot be listened at")]
    Listen(#[source] io::Error),
}

type Body = BoxBody<Bytes, io::Error>;

/// The API server behind the proxy.
pub(in crate::storm) struct ApiServer<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority by which it is trusted, as PEM.
    pub authority: &'a str,
    /// Who may do everything there.
    pub administrator: Administrator,
}

/// A proxy that listens for as long as this value lives.
pub(in crate::storm) struct ApiProxy {
    address: SocketAddr,
    authority: String,
    way: Arc<Way>,
    listening: JoinHandle<()>,
}

struct Way {
    server: SocketAddr,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    gate: Arc<Gate>,
    /// Who changes and deletes objects as somebody else.
    others: Administrator,
    /// Who plays what the cluster lacks, if it lacks anything.
    player: Option<Arc<Player>>,
    /// What was read, by its name: the path, and the form that was asked for.
    asked: Mutex<HashMap<String, (String, HeaderValue)>>,
    stale: Mutex<Option<(StatusCode, Bytes)>>,
    /// How many watches are open.
    watches: Arc<AtomicUsize>,
}

/// An open watch.
struct Watched(Arc<AtomicUsize>);

impl Watched {
    fn begin(watches: &Arc<AtomicUsize>) -> Self {
        watches.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(watches))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection is to be lost.
#[derive(Debug, thiserror::Error)]
#[error("the connection is lost")]
struct Lost;

impl ApiProxy {
    /// Listens at an address of this machine for a charm.
    pub(in crate::storm) async fn start(
        here: IpAddr,
        server: ApiServer<'_>,
        gate: Arc<Gate>,
        player: Option<Arc<Player>>,
    ) -> Result<Self, ApiProxyError> {
        let authority = Authority::new("velero-operator storm's way to the API server")?;
        let certified = authority.server("kubernetes", &["localhost"], &[here])?;
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certified.certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(certified.key.as_bytes())?,
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((here, 0)).await.map_err(ApiProxyError::Listen)?;
        let address = listener.local_addr().map_err(ApiProxyError::Listen)?;
        let way = Arc::new(Way {
            server: server.address,
            client: https::client(server.authority)?,
            gate,
            others: server.administrator,
            player,
            asked: Mutex::default(),
            stale: Mutex::default(),
            watches: Arc::default(),
        });
        let listening = tokio::spawn(listen(listener, acceptor, Arc::clone(&way)));
        Ok(Self { address, authority: authority.certificate().to_owned(), way, listening })
    }

    /// Where it listens.
    pub(in crate::storm) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that signed its certificate, as PEM.
    pub(in crate::storm) fn authority(&self) -> &str {
        &self.authority
    }

    /// Asks now what a request of that name asks, for who is to hear it later. Does nothing where no such request was seen.
    pub(in crate::storm) async fn remember(&self, what: &str) -> Result<(), kube::Error> {
        let asked = self.way.asked().get(what).cloned();
        self.way.stale().take();
        let Some((path, form)) = asked else { return Ok(()) };
        let request = Request::get(path).header(ACCEPT, form).body(kube::client::Body::empty());
        let answer = self.way.others.send(request.map_err(kube::Error::HttpError)?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        *self.way.stale() = Some((status, body));
        Ok(())
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, acceptor: TlsAcceptor, way: Arc<Way>) {
    loop {
        // Without a free descriptor the next one may be there a moment later.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (acceptor, way) = (acceptor.clone(), Arc::clone(&way));
        tokio::spawn(async move {
            // What is written in pieces would wait for an acknowledgement, which comes 40 ms later.
            let _ = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let lost = Arc::new(Notify::new());
            let service = service_fn(|request| {
                let (way, lost) = (Arc::clone(&way), Arc::clone(&lost));
                async move {
                    let answer = way.answer(request).await;
                    if answer.is_err() {
                        lost.notify_one();
                        // With the connection, all that was asked on it is lost.
                        std::future::pending::<()>().await;
                    }
                    answer
                }
            });
            let http = auto::Builder::new(TokioExecutor::new());
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // That a connection ends early is what this is for.
            tokio::select! { _ = connection => {}, () = lost.notified() => {} }
        });
    }
}

impl Way {
    fn asked(&self) -> MutexGuard<'_, HashMap<String, (String, HeaderValue)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stale(&self) -> MutexGuard<'_, Option<(StatusCode, Bytes)>> {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Lost> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if path.contains("/proxy/") && self.player.is_some() {
            // Of a kubelet, of which there is none. Old ones tell nothing either.
            return Ok(refusal(404, &parts));
        }
        let what = operation::request(parts.method.as_str(), &path);
        if parts.method == Method::GET {
            let form = parts.headers.get(ACCEPT).cloned().unwrap_or_else(|| HeaderValue::from_static("*/*"));
            self.asked().insert(what.clone(), (path.clone(), form));
        }
        let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
        let fault = self.gate.passes(Door::Api, &what);
        match fault {
            Some(Fault::KilledBefore) => {
                self.gate.kill();
                return Err(Lost);
            }
            Some(Fault::LostBefore) => return Err(Lost),
            Some(Fault::Refused(code)) => return Ok(refusal(code, &parts)),
            Some(Fault::WatchEnds) => return Ok(whole(StatusCode::OK, Bytes::new())),
            Some(Fault::WatchIsGone) => {
                let line = format!("{}\n", json!({"type": "ERROR", "object": status(410, &parts)}));
                return Ok(whole(StatusCode::OK, line.into()));
            }
            Some(Fault::Stale) => {
                let stale = self.stale().clone();
                if let Some((status, body)) = stale {
                    return Ok(whole(status, body));
                }
            }
            Some(Fault::Edited) => self.edit(&parts).await,
            Some(Fault::Deleted) => self.delete(&parts).await,
            Some(Fault::Terminated) => self.gate.terminate(),
            _ => {}
        }
        let is_watch = what.contains("watch=true");
        let answer = self.forward(parts, &path, body).await?;
        if is_watch {
            // Whoever watches waits for what others do next.
            self.play().await;
            let watched = Watched::begin(&self.watches);
            return Ok(answer.map(|body| {
                let kept = body.map_err(io::Error::other).map_frame(move |frame| {
                    let _ = &watched;
                    frame
                });
                kept.boxed()
            }));
        }
        // Whoever reads the same again does so, too.
        let is_waited_for = if operation::is_write(&what) {
            self.watches.load(Ordering::Relaxed) > 0
        } else {
            self.gate.has_passed_before(Door::Api, &what)
        };
        if is_waited_for {
            self.play().await;
        }
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
        match fault {
            Some(Fault::KilledAfter) => {
                self.gate.kill();
                Err(Lost)
            }
            Some(Fault::LostAfter) => Err(Lost),
            Some(Fault::Silent) => {
                tokio::time::sleep(SILENCE).await;
                Err(Lost)
            }
            Some(Fault::Cut) => {
                let half = Ok(Frame::data(body.slice(..body.len() / 2)));
                let end = Err(io::Error::from(io::ErrorKind::ConnectionReset));
                Ok(Response::from_parts(head, StreamBody::new(stream::iter([half, end])).boxed()))
            }
            _ => Ok(Response::from_parts(head, full(body))),
        }
    }

    async fn play(&self) {
        if let Some(player) = &self.player {
            player.play().await;
        }
    }

    async fn forward(&self, parts: Parts, path: &str, body: Bytes) -> Result<Response<Incoming>, Lost> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = parts.method;
        *request.headers_mut() = parts.headers;
        request.headers_mut().remove(HOST);
        *request.uri_mut() = format!("https://{}{path}", self.server).parse().map_err(|_| Lost)?;
        self.client.request(request).await.map_err(|_| Lost)
    }

    /// The object that a request is about, where it names one.
    fn object(&self, parts: &Parts) -> Option<(Api<DynamicObject>, String)> {
        super::super::cluster::objects::api_at(&self.others, parts.uri.path())
    }

    async fn edit(&self, parts: &Parts) {
        let Some((api, name)) = self.object(parts) else { return };
        let patch = json!({"metadata": {"annotations": {super::super::cluster::objects::EDITED: "while the charm was at work"}}});
        // What is not there cannot be changed.
        let _ = api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    }

    async fn delete(&self, parts: &Parts) {
        let Some((api, name)) = self.object(parts) else { return };
        let _ = api.delete(&name, &DeleteParams::background()).await;
    }
}

fn full(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed()
}

fn whole(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut answer = Response::new(full(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// What a server answers that refuses a request.
fn refusal(code: u16, parts: &Parts) -> Response<Body> {
    let status_code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = whole(status_code, status(code, parts).to_string().into());
    if matches!(code, 429 | 503) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// The status in which a server says why it refuses, in its own words.
fn status(code: u16, parts: &Parts) -> Value {
    let path = parts.uri.path();
    let (kind, name) = super::super::cluster::objects::kind_and_name(path).unwrap_or_default();
    let verb = match parts.method {
        Method::GET => "get",
        Method::POST => "create",
        Method::DELETE => "delete",
        Method::PUT => "update",
        _ => "patch",
    };
    let (reason, message) = match code {
        403 => (
            "Forbidden",
            format!(
                "{kind} \"{name}\" is forbidden: User \"system:serviceaccount:storm:velero-operator\" cannot {verb} resource \"{kind}\" \
             in API group \"\" in the namespace \"storm\""
            ),
        ),
        404 => ("NotFound", format!("{kind} \"{name}\" not found")),
        409 => (
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {kind} \"{name}\": the object has been modified; please apply your changes to the \
             latest version and try again"
            ),
        ),
        410 => ("Expired", "too old resource version: 1 (2)".to_owned()),
        422 => ("Invalid", format!("{kind} \"{name}\" is invalid: an admission policy denies it")),
        429 => ("TooManyRequests", "too many requests, please try again later".to_owned()),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding".to_owned()),
    };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code})
}
