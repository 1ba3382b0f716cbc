//! Serving the metrics over HTTP, to whoever is in the cluster.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::observability::{METRICS_PATH, OBSERVER_PORT};

/// The form that Prometheus' servers read in all versions.
const FORM: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How many are served at a time; others wait.
const MOST: usize = 8;
/// How long a request and its answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the observer waits where the port is taken, as by one that is about to end.
const RETRY: Duration = Duration::from_secs(10);

/// Serves the page for ever.
pub(super) async fn serve(page: impl Fn() -> String) {
    loop {
        match listen().await {
            Ok(listener) => serve_on(&listener, &page).await,
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Listens on all addresses of the pod, of whichever family they are.
async fn listen() -> io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, OBSERVER_PORT))).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, OBSERVER_PORT))).await,
    }
}

async fn serve_on(listener: &TcpListener, page: &impl Fn() -> String) {
    let mut connections = FuturesUnordered::new();
    loop {
        let has_room = connections.len() < MOST;
        tokio::select! {
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => connections.push(answer(stream, page)),
                // There are too many open files, for a moment.
                Err(_) => sleep(RETRY).await,
            },
            Some(()) = connections.next() => {}
        }
    }
}

/// Answers one request. That somebody goes away early is nobody's loss.
async fn answer(stream: TcpStream, page: &impl Fn() -> String) {
    let respond = |request: Request<Incoming>| async move { Ok::<_, Infallible>(response(&request, page)) };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(respond));
    let _ = timeout(LIMIT, connection).await;
}

fn response<Body>(request: &Request<Body>, page: &impl Fn() -> String) -> Response<Full<Bytes>> {
    let status = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, METRICS_PATH) => {
            let mut response = Response::new(Full::from(page()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
            return response;
        }
        (_, METRICS_PATH) => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::NOT_FOUND,
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_page_is_served_and_nothing_else() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let page = || "up 1\n".to_owned();
        let asking = async {
            // Whoever says nothing is in nobody's way.
            let _silent = TcpStream::connect(address).await.unwrap();
            let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: unit\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nup 1\n"), "{answer}");
            assert!(answer.contains(&format!("content-type: {FORM}")), "{answer}");
            let answer = ask(address, "GET / HTTP/1.1\r\nHost: unit\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
            let answer = ask(address, "POST /metrics HTTP/1.1\r\nHost: unit\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        };
        tokio::select! {
            () = serve_on(&listener, &page) => {}
            () = asking => {}
        }
    }
}
