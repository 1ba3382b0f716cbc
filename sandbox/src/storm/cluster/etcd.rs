//! What an API server stores, as bytes: kept, and put back exactly, with all that only the server can write.

use std::{collections::BTreeMap, net::SocketAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Where everything is stored, and what comes behind it.
const ALL: (&str, &str) = ("/registry/", "/registry0");

/// What belongs to the server itself and to no state of a cluster.
const NOT_STATE: [&str; 6] = [
    "/registry/leases/",
    "/registry/events/",
    "/registry/masterleases/",
    "/registry/ranges/",
    "/registry/apiregistration.k8s.io/",
    "/registry/health",
];

/// Why what is stored cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// It does not answer.
    #[error("etcd does not answer")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refuses.
    #[error("etcd refuses: {0}")]
    Refused(String),
    /// It answers something else.
    #[error("etcd answers what cannot be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An etcd, by its gateway for JSON.
#[derive(Clone, Debug)]
pub(in crate::storm) struct Etcd {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Everything that was stored at one time, by its key.
#[derive(Clone, Debug)]
pub(in crate::storm) struct Stored(BTreeMap<String, Entry>);

/// What was made as it was.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::storm) struct PutBack {
    /// Kinds of objects were defined or forgotten.
    pub definitions: bool,
    /// Secrets were written, which has given them other versions.
    pub secrets: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Entry {
    key: String,
    #[serde(default)]
    value: String,
    mod_revision: String,
}

/// Keys, and when each was written last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::storm) struct State(BTreeMap<String, String>);

impl State {
    /// Returns how many keys there are.
    pub(in crate::storm) fn count(&self) -> usize {
        self.0.len()
    }
}

#[derive(Deserialize)]
struct Done {
    header: Header,
}

#[derive(Deserialize)]
struct Header {
    revision: String,
}

#[derive(Deserialize)]
struct Ranges {
    responses: Vec<RangeAnswer>,
}

#[derive(Deserialize)]
struct RangeAnswer {
    response_range: Range,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<Entry>,
}

impl Etcd {
    pub(in crate::storm) fn at(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { address, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Returns everything that is stored now.
    pub(in crate::storm) async fn keep(&self) -> Result<Stored, EtcdError> {
        Ok(Stored(self.range(false).await?))
    }

    /// Makes everything as it was.
    pub(in crate::storm) async fn put_back(&self, stored: &mut Stored) -> Result<PutBack, EtcdError> {
        let now = self.range(true).await?;
        let differs =
            |key: &String, entry: &Entry| now.get(key).map(|now| &now.mod_revision) != Some(&entry.mod_revision);
        let lost: Vec<_> = stored.0.iter().filter(|(key, entry)| differs(key, entry)).map(|(_, entry)| entry).collect();
        let new: Vec<_> = now.iter().filter(|(key, _)| !stored.0.contains_key(*key)).map(|(_, entry)| entry).collect();
        if lost.is_empty() && new.is_empty() {
            return Ok(PutBack::default());
        }
        let puts = lost.iter().map(|entry| json!({"request_put": {"key": entry.key, "value": entry.value}}));
        let deletions = new.iter().map(|entry| json!({"request_delete_range": {"key": entry.key}}));
        let is_among = |entries: &[&Entry], prefix: &str| {
            let has_it =
                |entry: &&Entry| STANDARD.decode(&entry.key).is_ok_and(|key| key.starts_with(prefix.as_bytes()));
            entries.iter().any(has_it)
        };
        let put_back = PutBack {
            definitions: [&lost, &new].iter().any(|entries| is_among(entries, "/registry/apiextensions.k8s.io/")),
            secrets: is_among(&lost, "/registry/secrets/"),
        };
        let done: Done = self.ask("txn", &json!({"success": puts.chain(deletions).collect::<Vec<_>>()})).await?;
        let revision = done.header.revision;
        let lost: Vec<String> = lost.into_iter().map(|entry| entry.key.clone()).collect();
        for entry in stored.0.values_mut().filter(|entry| lost.contains(&entry.key)) {
            entry.mod_revision.clone_from(&revision);
        }
        Ok(put_back)
    }

    /// Returns, for the keys with each of these prefixes, how they are now: the same again only where nothing has changed.
    pub(in crate::storm) async fn states(&self, prefixes: &[String]) -> Result<Vec<State>, EtcdError> {
        let range = |prefix: &String| {
            // What comes behind all that begins with it.
            let mut end = prefix.clone().into_bytes();
            if let Some(last) = end.last_mut() {
                *last += 1;
            }
            json!({"request_range": {"key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end), "keys_only": true}})
        };
        let question = json!({"success": prefixes.iter().map(range).collect::<Vec<_>>()});
        let answer: Ranges = self.ask("txn", &question).await?;
        let state =
            |range: RangeAnswer| range.response_range.kvs.into_iter().map(|entry| (entry.key, entry.mod_revision));
        Ok(answer.responses.into_iter().map(|range| State(state(range).collect())).collect())
    }

    async fn range(&self, keys_only: bool) -> Result<BTreeMap<String, Entry>, EtcdError> {
        let [from, to] = [ALL.0, ALL.1].map(|key| STANDARD.encode(key));
        let range: Range = self.ask("range", &json!({"key": from, "range_end": to, "keys_only": keys_only})).await?;
        let mut entries = BTreeMap::new();
        for entry in range.kvs {
            let key = STANDARD.decode(&entry.key).map_err(|error| EtcdError::Answer(Box::new(error)))?;
            let key = String::from_utf8_lossy(&key).into_owned();
            if !NOT_STATE.iter().any(|prefix| key.starts_with(prefix)) {
                entries.insert(key, entry);
            }
        }
        Ok(entries)
    }

    async fn ask<T: DeserializeOwned>(&self, what: &str, question: &Value) -> Result<T, EtcdError> {
        let request = Request::post(format!("http://{}/v3/kv/{what}", self.address))
            .body(Full::from(question.to_string()))
            .map_err(|error| EtcdError::Unreachable(Box::new(error)))?;
        let answer = self.client.request(request).await.map_err(|error| EtcdError::Unreachable(Box::new(error)))?;
        let is_well = answer.status().is_success();
        let body = answer.into_body().collect().await.map_err(|error| EtcdError::Answer(Box::new(error)))?.to_bytes();
        if !is_well {
            return Err(EtcdError::Refused(String::from_utf8_lossy(&body).into_owned()));
        }
        serde_json::from_slice(&body).map_err(|error| EtcdError::Answer(Box::new(error)))
    }
}
