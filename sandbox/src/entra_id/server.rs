//! The stand-in as a process: it listens for HTTPS and for names.

use std::{collections::BTreeMap, convert::Infallible, fs, io, net::IpAddr, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use jwt_compact::alg::Hs256Key;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring as provider},
};
use uuid::Uuid;

use super::{HOST, Listeners, grant, names, principals};
use crate::https::HttpsError;

/// The file of the certificate, inside of the folder.
pub(super) const CERTIFICATE: &str = "tls.crt";

/// The file of the certificate's key.
pub(super) const KEY: &str = "tls.key";

/// The longest request that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// How long a client may take for its request.
const LIMIT: Duration = Duration::from_secs(20);

/// Why the stand-in ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its certificate is of no use.
    #[error("the stand-in for Entra ID has no certificate")]
    Certificate(#[from] HttpsError),
    /// It cannot listen, or not read its files.
    #[error("the stand-in for Entra ID cannot listen")]
    Listen(#[from] io::Error),
}

/// What each answer depends on.
struct Directory {
    folder: Box<Path>,
    key: Hs256Key,
}

/// Answers at `address`, for those whom `folder` names, until it is ended.
///
/// # Errors
/// When it cannot listen.
pub async fn serve(address: IpAddr, folder: &Path) -> Result<(), ServeError> {
    let listeners = Listeners::at(address);
    // Names first: that HTTPS answers is taken for that all is there.
    let socket = UdpSocket::bind(listeners.names).await?;
    let acceptor = TlsAcceptor::from(Arc::new(configuration(folder)?));
    let listener = TcpListener::bind(listeners.https).await?;
    let random = [(); 2].map(|()| Uuid::new_v4().into_bytes()).concat();
    let directory = Directory { folder: folder.into(), key: Hs256Key::new(random) };
    tokio::try_join!(answer_names(&socket, address), accept(&listener, &acceptor, Arc::new(directory)))?;
    Ok(())
}

fn configuration(folder: &Path) -> Result<ServerConfig, ServeError> {
    let certificate = CertificateDer::from_pem_slice(&fs::read(folder.join(CERTIFICATE))?).map_err(HttpsError::from)?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(folder.join(KEY))?).map_err(HttpsError::from)?;
    let configured = ServerConfig::builder_with_provider(provider::default_provider().into())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key));
    Ok(configured.map_err(HttpsError::from)?)
}

async fn answer_names(socket: &UdpSocket, address: IpAddr) -> io::Result<()> {
    let mut buffer = [0; 1500];
    loop {
        // That somebody did not wait for an answer is told of the next one who asks.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(answer) = names::answer(&buffer[..length], HOST, address) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor, directory: Arc<Directory>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, acceptor.clone(), Arc::clone(&directory)));
    }
}

/// Answers one client, who may go at any moment.
async fn converse(stream: TcpStream, acceptor: TlsAcceptor, directory: Arc<Directory>) {
    let Ok(Ok(stream)) = tokio::time::timeout(LIMIT, acceptor.accept(stream)).await else { return };
    let service = service_fn(|request| {
        let directory = Arc::clone(&directory);
        async move { Ok::<_, Infallible>(respond(request, &directory).await) }
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(LIMIT);
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        eprintln!("a client has gone: {error}");
    }
}

async fn respond(request: Request<Incoming>, directory: &Directory) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (status, body) = match (&method, segments.as_slice()) {
        (&Method::GET, ["common", "discovery", "instance"]) => {
            (StatusCode::OK, instance(request.uri().query()).to_string())
        }
        (&Method::GET, [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
            answer(known_tenant(directory, tenant))
        }
        (&Method::POST, [tenant, "oauth2", "v2.0", "token"]) => answer(token(directory, tenant, request).await),
        _ => (StatusCode::NOT_FOUND, json!({"error": "not_found"}).to_string()),
    };
    eprintln!("{method} {path}: {status}");
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn answer(result: Result<Value, grant::Refusal>) -> (StatusCode, String) {
    match result {
        Ok(body) => (StatusCode::OK, body.to_string()),
        Err(refusal) => (refusal.status, refusal.body(Timestamp::now())),
    }
}

/// Who the authority is that a client is about to trust.
fn instance(query: Option<&str>) -> Value {
    let fields: BTreeMap<_, _> = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
    let endpoint = fields.get("authorization_endpoint").cloned().unwrap_or_default();
    let tenant = url::Url::parse(&endpoint).ok().and_then(|url| url.path_segments()?.next().map(str::to_owned));
    let tenant = tenant.unwrap_or_else(|| "common".to_owned());
    json!({
        "tenant_discovery_endpoint": format!("https://{HOST}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{"preferred_network": HOST, "preferred_cache": "login.windows.net", "aliases": [HOST]}],
    })
}

fn known_tenant(directory: &Directory, tenant: &str) -> Result<Value, grant::Refusal> {
    let principals = principals(&directory.folder).unwrap_or_default();
    if !principals.iter().any(|principal| principal.tenant_id == tenant) {
        return Err(grant::Refusal::of_tenant(tenant));
    }
    let base = format!("https://{HOST}/{tenant}");
    Ok(json!({
        "issuer": format!("{base}/v2.0"),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["code", "id_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn token(directory: &Directory, tenant: &str, request: Request<Incoming>) -> Result<Value, grant::Refusal> {
    let body = tokio::time::timeout(LIMIT, Limited::new(request.into_body(), LONGEST).collect()).await;
    // What cannot be read holds nothing that a token is given for.
    let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    let principals = principals(&directory.folder).unwrap_or_default();
    grant::token(&principals, tenant, &form, Timestamp::now(), &directory.key)
}
