//! By which proxies an object store is reached, as programs in Go read it from their environment: Velero, its plugins and its CLI
//! are such programs.

mod exceptions;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::Url;

use exceptions::Exceptions;

/// What is reached without a proxy, whatever the model says: this machine, and what is in the cluster.
const OWN_EXCEPTIONS: [&str; 6] = ["127.0.0.1", "::1", "localhost", ".cluster.local", ".svc", "kubernetes.default.svc"];
/// The kinds of proxies that programs in Go know.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// What the model says of proxies. There may be passwords in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    pub http: Option<&'a SecretString>,
    pub https: Option<&'a SecretString>,
    /// What is reached without them, with commas between.
    pub exceptions: &'a str,
    /// The address of the API server; empty where it is not known.
    pub api_server: &'a str,
}

/// The proxies of a model, at least one.
#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Exceptions,
}

/// A proxy. It does not print the password that may be in its URL.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    url: SecretString,
    intercept: Intercept,
}

/// Which of the proxies of a model cannot be used.
#[derive(Debug, Eq, Error, PartialEq)]
#[error("it is not the URL of a proxy")]
pub(crate) struct BadProxy {
    /// Of what its destinations' URLs begin with.
    pub scheme: &'static str,
}

impl Proxies {
    /// Returns the proxies that a model has, if it has any.
    pub(crate) fn read(given: Given<'_>) -> Result<Option<Self>, BadProxy> {
        let read = |url: Option<&SecretString>, scheme| {
            let url = url.map(|url| url.expose_secret().trim()).filter(|url| !url.is_empty());
            url.map(|url| Proxy::parse(url).ok_or(BadProxy { scheme })).transpose()
        };
        let (http, https) = (read(given.http, "http")?, read(given.https, "https")?);
        if http.is_none() && https.is_none() {
            return Ok(None);
        }
        let own = OWN_EXCEPTIONS.into_iter().chain([given.api_server]);
        let exceptions = given.exceptions.split(',').chain(own).collect();
        Ok(Some(Self { http, https, exceptions }))
    }

    /// Returns the proxy by which a URL is reached, if it is by one.
    pub(crate) fn of(&self, url: &Uri) -> Option<&Proxy> {
        let (proxy, usual_port) = match url.scheme_str()? {
            "http" => (&self.http, 80),
            "https" => (&self.https, 443),
            _ => return None,
        };
        let port = url.port_u16().unwrap_or(usual_port);
        proxy.as_ref().filter(|_| !url.host().is_some_and(|host| self.exceptions.cover(host, port)))
    }

    /// Returns the proxy of URLs that begin with `https`, if there is one.
    pub(crate) fn https(&self) -> Option<&Proxy> {
        self.https.as_ref()
    }

    /// Returns the variables by which a program learns the proxies. There may be passwords in them.
    pub(crate) fn secret_variables(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        let proxies = [("HTTP_PROXY", &self.http), ("HTTPS_PROXY", &self.https)];
        proxies.into_iter().filter_map(|(name, proxy)| Some((name, &proxy.as_ref()?.url)))
    }

    /// Returns the variable by which it learns what is reached without them. It is the same text for the same exceptions.
    pub(crate) fn plain_variable(&self) -> (&'static str, String) {
        ("NO_PROXY", self.exceptions.to_string())
    }
}

impl Proxy {
    fn parse(text: &str) -> Option<Self> {
        let with_host = |text: &str| Url::parse(text).ok().filter(Url::has_host);
        // Without a scheme, what stands before the port would look like one.
        let mut url = if text.contains("://") { with_host(text) } else { with_host(&format!("http://{text}")) }?;
        if !SCHEMES.contains(&url.scheme()) {
            return None;
        }
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        let url = url.as_str().trim_end_matches('/');
        let is_escape = |part: &str| part.len() > 1 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        if !url.split('%').skip(1).all(is_escape) {
            return None;
        }
        let intercept = Matcher::builder().all(url).build().intercept(&Uri::from_static("http://store.invalid"))?;
        Some(Self { url: url.into(), intercept })
    }

    /// Returns where it is.
    pub(crate) fn uri(&self) -> &Uri {
        self.intercept.uri()
    }

    /// Returns how the charm proves to it who it is, if it has to.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.intercept.basic_auth()
    }

    /// Returns its address as messages name it.
    pub(crate) fn address(&self) -> &str {
        self.uri().authority().map_or("", |authority| authority.as_str())
    }
}

#[cfg(test)]
mod tests;
