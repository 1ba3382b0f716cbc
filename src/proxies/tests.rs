use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::test_readers::{Readers, runner};

fn given<'a>(http: Option<&'a SecretString>, https: Option<&'a SecretString>, exceptions: &'a str) -> Given<'a> {
    Given { http, https, exceptions, api_server: "10.152.183.1" }
}

fn both(url: &str, exceptions: &str) -> Proxies {
    let url = SecretString::from(url);
    Proxies::read(given(Some(&url), Some(&url), exceptions)).unwrap().unwrap()
}

fn is_proxied(proxies: &Proxies, url: &str) -> bool {
    proxies.of(&url.parse().unwrap()).is_some()
}

#[test]
fn without_a_url_there_is_no_proxy_whatever_is_excepted() {
    let empty = SecretString::from(" ");
    assert!(Proxies::read(given(None, Some(&empty), "127.0.0.1,localhost,::1")).unwrap().is_none());
}

#[test]
fn what_is_in_the_cluster_is_reached_without_a_proxy_and_the_text_is_always_the_same() {
    let proxies = both("http://proxy.internal:3128", "stores.internal, 10.0.0.0/8,localhost");
    let (name, text) = proxies.plain_variable();
    assert_eq!(name, "NO_PROXY");
    assert_eq!(
        text,
        ".cluster.local,.svc,10.0.0.0/8,10.152.183.1,127.0.0.1,::1,kubernetes.default.svc,localhost,stores.internal"
    );
    assert_eq!(both("proxy.internal:3128", "localhost,10.0.0.0/8,stores.internal,").plain_variable().1, text);
    for url in ["https://10.152.183.1/", "https://kubernetes.default.svc/", "http://minio.stores.svc:9000/"] {
        assert!(!is_proxied(&proxies, url), "{url}");
    }
    assert!(is_proxied(&proxies, "https://s3.amazonaws.com/bucket"));
}

#[test]
fn a_proxy_is_of_the_urls_of_its_kind() {
    let proxy = SecretString::from("http://proxy.internal:3128");
    let proxies = Proxies::read(given(None, Some(&proxy), "")).unwrap().unwrap();
    assert!(is_proxied(&proxies, "https://store.example.test"));
    assert!(!is_proxied(&proxies, "http://store.example.test"));
    assert_eq!(proxies.secret_variables().map(|(name, _)| name).collect::<Vec<_>>(), ["HTTPS_PROXY"]);
}

#[test]
fn a_password_is_in_what_the_proxy_is_told_and_is_not_printed() {
    let proxies = both("http://marked-user:marked%20password@proxy.internal:3128/", "");
    let proxy = proxies.https().unwrap();
    assert_eq!(
        (proxy.address(), proxy.uri().to_string().as_str()),
        ("proxy.internal:3128", "http://proxy.internal:3128/")
    );
    // base64 of marked-user:marked password
    assert_eq!(proxy.authorization().unwrap(), "Basic bWFya2VkLXVzZXI6bWFya2VkIHBhc3N3b3Jk");
    let told: Vec<_> = proxies.secret_variables().map(|(_, url)| url.expose_secret().to_owned()).collect();
    assert_eq!(told, ["http://marked-user:marked%20password@proxy.internal:3128"; 2]);
    let printed = format!("{proxies:?}");
    assert!(!printed.contains("marked") && !printed.contains("bWFya2Vk"), "{printed}");
}

#[test]
fn what_is_no_url_of_a_proxy_is_refused() {
    for text in ["ftp://proxy.internal", "http://", "http://proxy:port", "http://user:100%@proxy.internal", "a b"] {
        let url = SecretString::from(text);
        assert_eq!(Proxies::read(given(Some(&url), None, "")).unwrap_err(), BadProxy { scheme: "http" }, "{text}");
    }
}

/// Texts that are exceptions, and such as look like some.
fn exception() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "*",
        "internal",
        "stores.internal",
        ".stores.internal",
        "*.internal",
        "10.0.0.0/8",
        "10.1.2.3",
        "10.1.2.3/33",
        "::1",
        "fd00::/8",
        "[fd00::1]",
        "fd00::1",
        "localhost",
        ".",
        "",
        "*.",
        "STORES.internal",
    ]);
    let port = prop::sample::select(vec!["", "", ":443", ":80", ":9000", ":", ":0443", "::"]);
    (name, port).prop_map(|(name, port)| format!("{name}{port}"))
}

#[test]
fn what_is_reached_without_a_proxy_is_so_for_velero_too() {
    let host = prop::sample::select(vec![
        "internal",
        "stores.internal",
        "a.stores.internal",
        "notinternal",
        "10.1.2.3",
        "11.1.2.3",
        "[fd00::1]",
        "[::1]",
        "127.0.0.9",
        "localhost",
        "[::ffff:10.1.2.3]",
    ]);
    let port = prop::sample::select(vec!["", ":443", ":80", ":9000"]);
    let scheme = prop::sample::select(vec!["http", "https"]);
    let cases = (prop::collection::vec(exception(), 0..4), scheme, host, port);
    let readers = RefCell::new(Readers::start());
    let compared = runner().run(&cases, |(exceptions, scheme, host, port)| {
        let (exceptions, url) = (exceptions.join(","), format!("{scheme}://{host}{port}/"));
        // What the charm adds is what Velero gets, too.
        let proxies = both("http://proxy.internal:3128", &exceptions);
        let asked = json!({"no": proxies.plain_variable().1, "proxy": "http://proxy.internal:3128", "url": url});
        let read = readers.borrow_mut().read("proxy", &asked.to_string()).unwrap();
        prop_assert_eq!(is_proxied(&proxies, &url), !read["proxy"].is_empty(), "{}", asked);
        Ok(())
    });
    compared.unwrap();
}

#[test]
fn the_url_of_a_proxy_is_read_by_velero_as_it_is_by_the_charm() {
    let scheme = prop::sample::select(vec!["", "http://", "https://", "socks5://", "HTTP://", "ftp://"]);
    let user =
        prop::sample::select(vec!["", "user@", "user:pass@", "us er:p@ss@", "u:p%2Fs#@", "u:%zz@", "u:ä?@", "u:p:q@"]);
    let host = prop::sample::select(vec![
        "proxy.internal",
        "10.0.0.1",
        "[fd00::1]",
        "proxy.internal:3128",
        "proxy:0",
        "",
        "pröxy",
    ]);
    let end = prop::sample::select(vec!["", "/", "/path?query#fragment"]);
    let (readers, accepted) = (RefCell::new(Readers::start()), RefCell::new(0));
    let compared = runner().run(&(scheme, user, host, end), |(scheme, user, host, end)| {
        let text = SecretString::from(format!("{scheme}{user}{host}{end}"));
        let Ok(Some(proxies)) = Proxies::read(given(None, Some(&text), "")) else { return Ok(()) };
        *accepted.borrow_mut() += 1;
        let (_, url) = proxies.secret_variables().next().unwrap();
        let asked = json!({"no": "", "proxy": url.expose_secret(), "url": "https://store.example.test"});
        let read = readers.borrow_mut().read("proxy", &asked.to_string()).unwrap();
        let proxy = proxies.https().unwrap();
        prop_assert_eq!(&read["host"], proxy.address(), "{}", asked);
        if let Some(authorization) = proxy.authorization() {
            prop_assert_eq!(&read["authorization"], authorization.to_str().unwrap(), "{}", asked);
        }
        Ok(())
    });
    compared.unwrap();
    assert!(*accepted.borrow() > 200, "{}", accepted.borrow());
}
