use std::sync::{Arc, Mutex};

use object_store::client::HttpService;
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{proxies::Given, store::wire::Wire};

/// A proxy that gives each request the same answer. Returns its address, and what it has been asked.
async fn proxy(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<Vec<String>>>::default());
    let heads = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.unwrap());
            }
            heads.lock().unwrap().push(String::from_utf8(head).unwrap());
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, asked)
}

/// What comes of asking for a URL by a proxy: the status, or the words of the error.
async fn get(proxy: &str, url: &str) -> Result<u16, String> {
    let proxy = SecretString::from(proxy);
    let given = Given { http: Some(&proxy), https: Some(&proxy), exceptions: "", api_server: "" };
    let wire = Wire::new(None, Proxies::read(given).unwrap().as_ref()).unwrap();
    let request = http::Request::get(url).body(HttpRequestBody::empty()).unwrap();
    wire.call(request).await.map(|answer| answer.status().as_u16()).map_err(|error| deepest(&error))
}

#[tokio::test]
async fn a_proxy_makes_plain_requests_and_is_told_the_whole_url_and_the_password() {
    let (address, asked) = proxy("HTTP/1.1 204 No Content\r\n\r\n").await;
    let got = get(&format!("http://user:pass@{address}"), "http://store.example.test:9000/bucket?list-type=2").await;
    assert_eq!(got, Ok(204));
    let head = asked.lock().unwrap().pop().unwrap().to_lowercase();
    assert!(head.starts_with("get http://store.example.test:9000/bucket?list-type=2 http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: store.example.test:9000\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: basic dxnlcjpwyxnz\r\n"), "{head}");
}

#[tokio::test]
async fn requests_of_tls_go_by_a_tunnel() {
    let (address, asked) = proxy("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let refused = get(&format!("user:pass@{address}"), "https://store.example.test/bucket").await.unwrap_err();
    assert_eq!(refused, format!("tunnel error: unsuccessful, by the proxy {address}"));
    let head = asked.lock().unwrap().pop().unwrap();
    assert!(head.starts_with("CONNECT store.example.test:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
}

#[tokio::test]
async fn what_keeps_a_proxy_from_it_is_told_without_the_password() {
    let (address, _) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://user:marked@{address}");
    let plain = get(&url, "http://store.example.test/").await.unwrap_err();
    assert_eq!(plain, format!("the proxy {address} wants a user and password, or others"));
    let tunnelled = get(&url, "https://store.example.test/").await.unwrap_err();
    assert_eq!(tunnelled, format!("tunnel error: proxy authorization required, by the proxy {address}"));
    let socks = get("socks5://user:marked@proxy.internal:1080", "https://store.example.test/").await.unwrap_err();
    assert_eq!(socks, "the charm itself does not reach it by a proxy of SOCKS, proxy.internal:1080");
    let nobody = get("http://user:marked@127.0.0.1:1", "http://store.example.test/").await.unwrap_err();
    assert!(nobody.ends_with(", by the proxy 127.0.0.1:1") && !nobody.contains("marked"), "{nobody}");
}

#[tokio::test]
async fn what_is_excepted_is_reached_without_a_proxy() {
    let (store, asked) = proxy("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(get("http://127.0.0.1:1", &format!("http://{store}/bucket")).await, Ok(204));
    assert!(asked.lock().unwrap()[0].starts_with("GET /bucket HTTP/1.1\r\n"));
}
