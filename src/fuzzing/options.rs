//! How Velero is to run, and by which proxies it reaches the store.

use http::Uri;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{Given, Oracle, assert_printable, given::assert_hidden, installation, status::assert_message};
use crate::{
    proxies::{Given as GivenProxies, Proxies},
    settings::{Flag, Group, NodeAgentSettings, RepositorySettings, ServerSettings, Settings},
    status::Status,
    storage::{Storage, StoreKeys},
    velero::install_arguments,
};

/// What stands for a password in the URL of a proxy.
const PASSWORD: &str = ":PASSWORD@";

/// Settings: the flags that come of them are of one line, and their times and amounts are such to programs in Go.
pub(super) fn settings(data: &[u8], oracle: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data);
    let server = read::<ServerSettings>(&text);
    let node_agent = read::<NodeAgentSettings>(&text);
    let repository = read::<RepositorySettings>(&text);
    check_flags(server.iter().flat_map(ServerSettings::flags), oracle);
    check_flags(node_agent.iter().flat_map(NodeAgentSettings::flags), oracle);
    check_flags(repository.iter().flat_map(RepositorySettings::flags), oracle);
    let of_agent = node_agent.as_ref().and_then(NodeAgentSettings::configuration);
    let of_repository = repository.as_ref().and_then(RepositorySettings::configuration);
    let of_jobs = repository.as_ref().and_then(RepositorySettings::maintenance);
    assert!([of_agent, of_repository, of_jobs].iter().flatten().all(serde_json::Value::is_object));
    let storage = Storage {
        bucket: "backups".to_owned(),
        prefix: None,
        backup_location_config: [].into(),
        snapshot_location_config: None,
        credentials: "key".into(),
        keys: StoreKeys::AzureAccount { key: "key".into() },
        certificate_authority: None,
        notes: Vec::new(),
    };
    let mut installation = installation::with("aws", storage);
    installation.settings = Settings {
        server: server.unwrap_or_default(),
        node_agent: node_agent.unwrap_or_default(),
        repository: repository.unwrap_or_default(),
    };
    for argument in install_arguments("velero", &installation) {
        assert_printable(&argument);
        let Some((name, amount)) = argument.split_once('=') else { continue };
        let is_amount =
            ["-cpu-request", "-cpu-limit", "-mem-request", "-mem-limit"].iter().any(|end| name.ends_with(end));
        if let Some(read) = is_amount.then(|| oracle.ask("quantity", amount)).flatten() {
            assert!(read.is_ok(), "{argument}: {read:?}");
        }
    }
}

fn read<G: Group>(text: &str) -> Option<G> {
    G::parse(text).map_err(|error| assert_message(&Status::Blocked(error.to_string()))).ok()
}

fn check_flags(flags: impl Iterator<Item = Flag>, oracle: &mut Oracle<'_>) {
    for (name, value) in flags {
        assert_printable(&value);
        assert!(!value.is_empty(), "{name}");
        let is_time = ["-timeout", "-frequency"].iter().any(|end| name.ends_with(end));
        if let Some(read) = is_time.then(|| oracle.ask("duration", &value)).flatten() {
            let nanoseconds: i64 = read.unwrap()["nanoseconds"].parse().unwrap();
            assert!(nanoseconds > 0, "{name}={value}");
        }
    }
}

/// Proxies of the model: a program in Go goes by the same one to the same stores, with the same password, and the password is in
/// one variable alone.
pub(super) fn proxies(data: &[u8], oracle: &mut Oracle<'_>) {
    let mut given = Given::read(data, &[("url", "https://store.example.test:9000/")]);
    given.plant(&["password"]);
    let password = given.get("password").unwrap_or_default().to_owned();
    let url =
        |key: &str| given.get(key).map(|url| SecretString::from(url.replacen(PASSWORD, &format!(":{password}@"), 1)));
    let (http, https) = (url("http"), url("https"));
    let exceptions = given.get("no").unwrap_or_default();
    let asked = GivenProxies {
        http: http.as_ref(),
        https: https.as_ref(),
        exceptions,
        api_server: given.get("api").unwrap_or_default(),
    };
    let Ok(Some(proxies)) = Proxies::read(asked) else { return };
    let (_, exceptions) = proxies.plain_variable();
    assert_hidden(&format!("{proxies:?}"));
    for (_, url) in proxies.secret_variables() {
        let once_more = GivenProxies { http: Some(url), https: None, exceptions: "", api_server: "" };
        let again = Proxies::read(once_more).unwrap().unwrap();
        assert_eq!(again.secret_variables().next().unwrap().1.expose_secret(), url.expose_secret());
    }
    let url = given.get("url").unwrap_or_default();
    let Ok(uri) = url.parse::<Uri>() else { return };
    let by_tls = uri.scheme_str() == Some("https");
    let proxy = proxies.of(&uri);
    let name = if by_tls { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let Some((_, variable)) = proxies.secret_variables().find(|(variable, _)| *variable == name) else { return };
    assert!(proxy.is_none_or(|proxy| !proxy.address().contains('@')));
    // Only addresses of stores are asked for, and those the charm has read before.
    if !matches!(uri.scheme_str(), Some("http" | "https")) || !is_plain(&uri) {
        return;
    }
    let asked = json!({"no": exceptions, "proxy": variable.expose_secret(), "url": url});
    let Some(read) = oracle.ask("proxy", &asked.to_string()) else { return };
    let read = read.unwrap();
    assert_eq!(proxy.is_some(), !read["proxy"].is_empty(), "{url}, except {exceptions}");
    if let Some(proxy) = proxy {
        assert_eq!(read["host"], proxy.address());
        // By SOCKS, a login is no header.
        let is_http = variable.expose_secret().starts_with("http");
        let own = proxy.authorization().map(|login| login.to_str().unwrap().to_owned());
        assert_eq!(read.get("authorization").filter(|_| is_http), own.as_ref());
    }
}

/// Whether an address has the form that addresses of stores have when they are asked for.
fn is_plain(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    !host.is_empty()
        && uri.path_and_query().is_none_or(|path| path == "/")
        && uri.authority().is_some_and(|authority| {
            let behind = authority.as_str().rsplit(']').next().unwrap_or_default();
            let port = behind.split_once(':').map_or("", |(_, port)| port);
            !authority.as_str().contains('@')
                && (!behind.contains(':') || port.parse() == Ok(uri.port_u16().unwrap_or_default()))
        })
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'))
}
