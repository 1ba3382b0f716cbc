use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::future::{join_all, pending};
use http::StatusCode;
use http_body_util::Full;
use hyper::{
    server::conn::{http1, http2 as server_http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use rustls_pki_types::pem::PemObject;
use sandbox::certificates::Authority;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::cluster::{Cluster, named};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(1);

/// A server that has no object at all.
struct Server {
    config: Config,
    connections: Arc<AtomicUsize>,
    silence: watch::Sender<bool>,
}

impl Server {
    /// Starts one that speaks these protocols.
    async fn start(protocols: &[&[u8]]) -> Self {
        let authority = Authority::new("test").unwrap();
        let certified = authority.server("test", &[], &[HERE]).unwrap();
        let certificate = CertificateDer::from_pem_slice(certified.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
        let mut tls = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
        config.root_cert =
            Some(vec![CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap().to_vec()]);
        let connections: Arc<AtomicUsize> = Arc::default();
        let (acceptor, silence) = (TlsAcceptor::from(Arc::new(tls)), watch::Sender::new(false));
        let (count, silenced) = (Arc::clone(&connections), silence.subscribe());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, acceptor.clone(), silenced.clone()));
            }
        });
        Self { config, connections, silence }
    }

    /// The cluster that it is, for a client that waits so long for a word of its.
    fn cluster(&self, silence: Duration) -> Cluster {
        Cluster::with_client(client_with(&self.config, LONG, silence).unwrap(), "velero".to_owned())
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Answers until it is to be silent. Then what was said so far is all, and the connection stays.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, mut silenced: watch::Receiver<bool>) {
    let was_silenced = *silenced.borrow_and_update();
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    let none = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#;
    let service = service_fn(move |_| async move {
        let answer = Response::builder().status(StatusCode::NOT_FOUND);
        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(none.as_bytes()))).unwrap())
    });
    let stream = TokioIo::new(stream);
    let serving = async move {
        if is_http2 {
            let _ = server_http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
        } else {
            let _ = http1::Builder::new().serve_connection(stream, service).await;
        }
    };
    let mut serving = pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = silence(&mut silenced, was_silenced) => pending().await,
    }
}

/// Waits until the server is to be silent, if it was not so before.
async fn silence(silenced: &mut watch::Receiver<bool>, was_silenced: bool) {
    if silenced.wait_for(|silenced| *silenced && !was_silenced).await.is_err() {
        pending::<()>().await;
    }
}

/// Reads something twenty times at once.
async fn read_much(cluster: &Cluster) {
    let reads = (0..20).map(|number| async move {
        let object = named("v1", "ConfigMap", &format!("none-{number}"));
        assert!(cluster.find(&cluster.own(object)).await.unwrap().is_none());
    });
    join_all(reads).await;
}

#[tokio::test]
async fn calls_at_once_share_one_connection() {
    let server = Server::start(&[HTTP2, HTTP1]).await;
    let cluster = server.cluster(LONG);
    read_much(&cluster).await;
    read_much(&cluster).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_is_spoken_to_as_it_can() {
    for protocols in [&[HTTP1][..], &[]] {
        let server = Server::start(protocols).await;
        read_much(&server.cluster(LONG)).await;
        assert!(server.connections() > 1);
    }
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_said_is_given_up_and_the_calls_are_made_on_another() {
    let server = Server::start(&[HTTP2]).await;
    let cluster = server.cluster(Duration::from_millis(50));
    read_much(&cluster).await;
    server.silence.send_replace(true);
    read_much(&cluster).await;
    assert!(server.connections() > 1);
}
