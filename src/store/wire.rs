//! HTTP to the stores, by the client that kube has too.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector as StoreConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpResponseBody, HttpService,
    },
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use rustls_pki_types::pem::PemObject;

use super::{detour::Detour, refusal::Refusal};
use crate::proxies::Proxies;

/// The longest answer of a refusal that is read.
const LONGEST_REFUSAL: usize = 64 * 1024;
/// How long a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Headers that tell until when an object cannot be changed, of S3 and of Azure.
const LOCKED_UNTIL: [&str; 2] = ["x-amz-object-lock-retain-until-date", "x-ms-immutability-policy-until-date"];

/// What a store has told beside its answers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Heard {
    /// How far the store's clock is before this one's.
    pub clock_skew: Option<SignedDuration>,
    /// Until when the last object that was read cannot be changed or deleted, in the store's words.
    pub locked_until: Option<String>,
}

#[derive(Debug, Default)]
struct Ear {
    heard: Heard,
    refusal: Option<Refusal>,
}

/// A client for one store.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    client: Client<HttpsConnector<HttpConnector>, HttpRequestBody>,
    detour: Option<Detour>,
    ear: Arc<Mutex<Ear>>,
}

impl Wire {
    /// Returns a client that trusts the certificate authorities of this system, and these certificates in PEM, and goes by these
    /// proxies.
    pub(super) fn new(certificates: Option<&str>, proxies: Option<&Proxies>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let given = certificates.map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes())).into_iter().flatten();
        // One that is none is told by Velero, which is given all of them.
        roots.add_parsable_certificates(given.flatten());
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_PATIENCE));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let connector = connector.wrap_connector(tcp);
        Ok(Self {
            detour: proxies.map(|proxies| Detour::new(proxies.clone(), connector.clone(), &tls)),
            client: Client::builder(TokioExecutor::new()).build(connector),
            ear: Arc::default(),
        })
    }

    pub(super) fn heard(&self) -> Heard {
        self.note(|ear| ear.heard.clone())
    }

    /// Returns the last refusal since it was forgotten.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.note(|ear| ear.refusal.clone())
    }

    pub(super) fn forget_refusal(&self) {
        self.note(|ear| ear.refusal = None);
    }

    fn note<T>(&self, note: impl FnOnce(&mut Ear) -> T) -> T {
        note(&mut self.ear.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a request, by a proxy if it is to take one.
    async fn request(&self, request: HttpRequest) -> Result<Response<Incoming>, HttpError> {
        let detour = self.detour.as_ref().and_then(|detour| Some((detour, detour.of(&request)?)));
        if let Some((detour, proxy)) = detour {
            let answer = detour.request(proxy, request).await;
            return answer.map_err(|error| HttpError::new(HttpErrorKind::Connect, error));
        }
        self.client.request(request).await.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })
    }

    fn listen(&self, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let clock = text("date").and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp());
        let locked_until = LOCKED_UNTIL.iter().find_map(|name| text(name)).map(str::to_owned);
        self.note(|Ear { heard, .. }| {
            heard.clock_skew = clock.map(|clock| clock.duration_since(Timestamp::now())).or(heard.clock_skew);
            heard.locked_until = locked_until.or(heard.locked_until.take());
        });
    }
}

#[async_trait::async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.request(request).await?;
        self.listen(answer.headers());
        let (parts, body) = answer.into_parts();
        if !(parts.status.is_client_error() || parts.status.is_server_error()) {
            let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
            return Ok(Response::from_parts(parts, HttpResponseBody::new(body)));
        }
        let body = Limited::new(body, LONGEST_REFUSAL).collect().await.map(Collected::to_bytes);
        // One that cannot be read to its end has a number all the same.
        let body: Bytes = body.unwrap_or_default();
        self.note(|ear| ear.refusal = Some(Refusal::read(parts.status.as_u16(), &body)));
        let body = Full::new(body).map_err(|never| match never {});
        Ok(Response::from_parts(parts, HttpResponseBody::new(body)))
    }
}

impl StoreConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
