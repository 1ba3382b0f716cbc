//! The proxy as a process.

use std::{
    convert::Infallible,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Empty, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::PROXY_AUTHORIZATION,
    http::uri::Authority,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::{TcpListener, TcpStream};

use super::{ORDERS, Orders, REQUESTS};

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

struct Proxy {
    orders: Orders,
    requests: File,
    client: Client<HttpConnector, Incoming>,
}

/// Listens at `address`, as the orders in `folder` say, until it is ended.
///
/// # Errors
/// When it cannot listen, or its folder cannot be used.
pub async fn serve(address: SocketAddr, folder: &Path) -> io::Result<()> {
    let proxy = Arc::new(Proxy {
        orders: serde_json::from_slice(&fs::read(folder.join(ORDERS))?)?,
        requests: OpenOptions::new().append(true).open(folder.join(REQUESTS))?,
        client: Client::builder(TokioExecutor::new()).build_http(),
    });
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let proxy = Arc::clone(&proxy);
                async move { Ok::<_, Infallible>(proxy.answer(request).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.with_upgrades().await {
                eprintln!("a client has gone: {error}");
            }
        });
    }
}

impl Proxy {
    async fn answer(&self, mut request: Request<Incoming>) -> Answer {
        let login = format!("Basic {}", STANDARD.encode(&self.orders.login));
        let is_known = request.headers_mut().remove(PROXY_AUTHORIZATION).is_some_and(|given| given == login);
        let asked = format!("{}{} {}\n", if is_known { "" } else { "refused " }, request.method(), request.uri());
        // In one write, as others write too.
        if let Err(error) = (&self.requests).write_all(asked.as_bytes()) {
            eprintln!("cannot note {asked}: {error}");
        }
        if !is_known {
            return answer(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        }
        let Some(there) = request.uri().authority().map(|authority| self.address(authority)) else {
            return answer(StatusCode::BAD_REQUEST);
        };
        let answered = if request.method() == Method::CONNECT {
            tunnel(request, &there).await
        } else {
            self.forward(request, &there).await
        };
        answered.unwrap_or_else(|error| {
            eprintln!("cannot reach {there}: {error}");
            answer(StatusCode::BAD_GATEWAY)
        })
    }

    /// Returns where an authority leads, as `HOST:PORT`.
    fn address(&self, authority: &Authority) -> String {
        let (name, leads_to) = &self.orders.name;
        let port = authority.port_u16().unwrap_or(80);
        if authority.host() == name {
            SocketAddr::new(*leads_to, port).to_string()
        } else {
            format!("{}:{port}", authority.host())
        }
    }

    async fn forward(&self, mut request: Request<Incoming>, there: &str) -> io::Result<Answer> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("http://{there}{path}").parse().map_err(io::Error::other)?;
        *request.uri_mut() = uri;
        let answer = self.client.request(request).await.map_err(io::Error::other)?;
        Ok(answer.map(BodyExt::boxed))
    }
}

/// Begins to hand over what both sides say.
async fn tunnel(request: Request<Incoming>, there: &str) -> io::Result<Answer> {
    let mut there = TcpStream::connect(there).await?;
    tokio::spawn(async move {
        let copied = match hyper::upgrade::on(request).await {
            Ok(here) => tokio::io::copy_bidirectional(&mut TokioIo::new(here), &mut there).await.map(drop),
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = copied {
            eprintln!("a tunnel has ended: {error}");
        }
    });
    Ok(answer(StatusCode::OK))
}

fn answer(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer
}
