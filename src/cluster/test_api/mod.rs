//! An API server in memory, for tests of what reads and writes a cluster.
//!
//! It knows resource versions, labels, pages, metadata alone, server-side apply by one manager, finalizers, and watches. It knows
//! no schemas and no controllers: of a kind with a dot in its group there are objects as soon as there is its definition, and
//! nobody reacts to a change but [`TestApi::finishes`], and what a test says by [`TestApi::rewrite`] and [`TestApi::react`].

mod request;
mod store;

use std::{
    convert::Infallible,
    future::{Future, pending},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{
    future::{Either, select},
    stream,
};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::{
    Client,
    client::Body,
    core::{DynamicObject, TypeMeta},
};
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) use self::request::{Call, Verb};
use self::store::{Key, Store};
use super::client::{Cluster, api_resource};

type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;
type Witness = Arc<dyn Fn(&Call) + Send + Sync>;
type Rule = Box<dyn Fn(&Call) -> Option<(StatusCode, String)> + Send>;
type Silence = Box<dyn Fn(&Call) -> bool + Send>;
type Reaction = Box<dyn Fn(&Value) -> Vec<Value> + Send>;

/// The server. A clone is another door to the same one.
#[derive(Clone)]
pub(crate) struct TestApi {
    inner: Arc<Mutex<Inner>>,
    changes: watch::Sender<u64>,
    deaths: watch::Sender<bool>,
}

struct Inner {
    store: Store,
    requests: Vec<String>,
    rules: Vec<Rule>,
    silences: Vec<Silence>,
    witness: Option<Witness>,
    reaction: Option<Reaction>,
    /// How many more requests are answered.
    answers: Option<usize>,
    /// How often the watches that there were have come to their end.
    expiries: u64,
}

impl TestApi {
    /// A server without any object.
    pub(crate) fn new() -> Self {
        let inner = Inner {
            store: Store::default(),
            requests: Vec::new(),
            rules: Vec::new(),
            silences: Vec::new(),
            witness: None,
            reaction: None,
            answers: None,
            expiries: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), changes: watch::Sender::new(0), deaths: watch::Sender::new(false) }
    }

    /// A namespace of the server's, as the charm talks to it.
    pub(crate) fn cluster(&self, namespace: &str) -> Cluster {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Cluster::with_client(Client::new(service, namespace), namespace.to_owned())
    }

    /// Puts an object there as it is; the server adds what every object has.
    pub(crate) fn put(&self, object: &Value) {
        let key = key_of(object);
        self.inner().store.put(key, object.clone());
        self.tell();
    }

    /// Puts objects there.
    pub(crate) fn put_all(&self, objects: &[Value]) {
        for object in objects {
            self.put(object);
        }
    }

    /// Puts the definition of a kind of Velero there, without which it has no objects.
    pub(crate) fn define(&self, version: &str, kind: &str) {
        let types = TypeMeta { api_version: format!("velero.io/{version}"), kind: kind.to_owned() };
        let plural = api_resource(&types).plural;
        self.put(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.velero.io"), "labels": {"component": "velero"}},
            "spec": {"group": "velero.io", "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                "versions": [{"name": version, "served": true, "storage": true}]},
        }));
    }

    /// An object by its kind and name, in whichever namespace.
    pub(crate) fn object(&self, kind: &str, name: &str) -> Option<Value> {
        let inner = self.inner();
        inner.store.objects().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).cloned()
    }

    /// All objects, as `Deployment velero`; those of other namespaces than `velero` with theirs.
    pub(crate) fn names(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = |object: &Value| {
            let namespace = match text(&object["metadata"]["namespace"]) {
                home if home.is_empty() || home == "velero" => String::new(),
                other => format!("{other}/"),
            };
            format!("{} {namespace}{}", text(&object["kind"]), text(&object["metadata"]["name"]))
        };
        let mut names: Vec<_> = self.inner().store.objects().map(name).collect();
        names.sort();
        names
    }

    /// All objects with their resource versions.
    pub(crate) fn versions(&self) -> Vec<(String, Value)> {
        let inner = self.inner();
        let version = |object: &Value| {
            (
                format!("{} {}", object["kind"], object["metadata"]["name"]),
                object["metadata"]["resourceVersion"].clone(),
            )
        };
        inner.store.objects().map(version).collect()
    }

    /// All objects, without what only tells in how many steps they became what they are.
    pub(crate) fn contents(&self) -> Vec<Value> {
        let mut objects: Vec<_> = self.inner().store.objects().cloned().collect();
        for object in &mut objects {
            for (part, field) in [
                ("metadata", "uid"),
                ("metadata", "resourceVersion"),
                ("metadata", "generation"),
                ("status", "observedGeneration"),
            ] {
                object.get_mut(part).and_then(Value::as_object_mut).and_then(|part| part.remove(field));
            }
        }
        objects
    }

    /// Those of [`Self::requests`] that are to change something.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut requests = self.requests();
        requests.retain(|request| !request.starts_with("GET ") && !request.contains("dryRun=All"));
        requests
    }

    /// What was asked since the last time that this was called, as `GET /api/v1/namespaces/velero/pods?limit=1`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().requests)
    }

    /// Answers requests with the status that `rule` says, where it says one.
    pub(crate) fn refuse(&self, rule: impl Fn(&Call) -> Option<StatusCode> + Send + 'static) {
        self.refuse_saying(move |call| rule(call).map(|code| (code, want_of_rights(call))));
    }

    /// Answers requests with the status and the message that `rule` says, where it says one.
    pub(crate) fn refuse_saying(&self, rule: impl Fn(&Call) -> Option<(StatusCode, String)> + Send + 'static) {
        self.inner().rules.push(Box::new(rule));
    }

    /// Never answers the requests for which `rule` holds.
    pub(crate) fn keep_silent(&self, rule: impl Fn(&Call) -> bool + Send + 'static) {
        self.inner().silences.push(Box::new(rule));
    }

    /// Has admission rewrite what is applied, before it is stored or, in a dry run, told.
    pub(crate) fn rewrite(&self, rewrite: impl Fn(&mut Value) + Send + 'static) {
        self.inner().store.rewrite(Box::new(rewrite));
    }

    /// Puts there what `reaction` makes of each object that is applied or made anew by a client, as controllers do.
    pub(crate) fn react(&self, reaction: impl Fn(&Value) -> Vec<Value> + Send + 'static) {
        self.inner().reaction = Some(Box::new(reaction));
    }

    /// Ends all watches: what they would go on from is not kept any more.
    pub(crate) fn expire_watches(&self) {
        self.inner().expiries += 1;
        self.tell();
    }

    /// Lets `witness` do something right before each request is answered.
    pub(crate) fn when(&self, witness: impl Fn(&Call) + Send + Sync + 'static) {
        self.inner().witness = Some(Arc::new(witness));
    }

    /// Answers as it should again.
    pub(crate) fn refuse_nothing(&self) {
        let mut inner = self.inner();
        inner.rules.clear();
        inner.silences.clear();
    }

    /// From now on somebody takes the finalizers of a kind's objects off as soon as they are to be deleted.
    pub(crate) fn finishes(&self, kind: &str) {
        self.inner().store.finish(kind);
    }

    /// Runs what `run` does until it has ended, or until it makes one request more than `requests`: then it is dropped, as a
    /// process that is killed, and `None` is returned. That request had no effect.
    pub(crate) async fn killed_after<T>(&self, requests: usize, run: impl Future<Output = T>) -> Option<T> {
        self.inner().answers = Some(requests);
        self.deaths.send_replace(false);
        let mut deaths = self.deaths.subscribe();
        let died = async move { deaths.wait_for(|dead| *dead).await.map(drop) };
        let outcome = match select(Box::pin(run), Box::pin(died)).await {
            Either::Left((outcome, _)) => Some(outcome),
            Either::Right(_) => None,
        };
        self.inner().answers = None;
        outcome
    }

    /// Runs what `run` does while no more than `requests` requests are answered.
    pub(crate) async fn silent_from<T>(&self, requests: usize, run: impl Future<Output = T>) -> T {
        self.inner().answers = Some(requests);
        let outcome = run.await;
        self.inner().answers = None;
        outcome
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    async fn answer(&self, request: Request<Body>) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.expect("a body in memory");
        let call = Call::read(&head, &body);
        let answers = {
            let mut inner = self.inner();
            inner.requests.push(call.text.clone());
            match &mut inner.answers {
                Some(0) => false,
                Some(left) => {
                    *left -= 1;
                    true
                }
                None => true,
            }
        };
        if !answers {
            self.deaths.send_replace(true);
            return pending().await;
        }
        if self.inner().silences.iter().any(|rule| rule(&call)) {
            return pending().await;
        }
        let refusal = self.inner().rules.iter().find_map(|rule| rule(&call));
        if let Some((code, message)) = refusal {
            return answer_with(code, &store::status(code, &message));
        }
        let witness = self.inner().witness.clone();
        if let Some(witness) = witness {
            witness(&call);
        }
        if call.verb == Verb::Watch {
            return self.watch(call);
        }
        let outcome = self.inner().serve(&call);
        self.tell();
        match outcome {
            Ok(value) => answer_with(StatusCode::OK, &value),
            Err(code) if code == StatusCode::NOT_FOUND && !self.inner().store.is_known(&call.key) => {
                Response::builder().status(code).body(whole("404 page not found\n".to_owned())).expect("a fixed head")
            }
            Err(code) => answer_with(code, &store::status(code, &call.text)),
        }
    }

    /// A watch goes on until the client drops it.
    fn watch(&self, call: Call) -> Response<AnswerBody> {
        let begin = call.parameter("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let state = Some((self.clone(), self.changes.subscribe(), call, begin, self.inner().expiries));
        let lines = stream::unfold(state, |state| async move {
            let (api, mut changes, call, seen, expiries) = state?;
            let frame = |lines: String| Ok::<_, Infallible>(Frame::data(Bytes::from(lines)));
            loop {
                if api.inner().expiries != expiries {
                    let gone = store::status(StatusCode::GONE, "too old resource version");
                    return Some((frame(format!("{}\n", json!({"type": "ERROR", "object": gone}))), None));
                }
                let (lines, latest) = api.inner().store.events(&call, seen);
                if !lines.is_empty() {
                    return Some((frame(lines), Some((api, changes, call, latest, expiries))));
                }
                changes.changed().await.ok()?;
            }
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }
}

impl Inner {
    /// Does what is asked, and what follows from it.
    fn serve(&mut self, call: &Call) -> Result<Value, StatusCode> {
        let before = self.store.version();
        let outcome = self.store.serve(call);
        if let (Ok(object), Some(reaction)) = (&outcome, &self.reaction)
            && matches!(call.verb, Verb::Apply | Verb::Create)
            && self.store.version() != before
        {
            for object in reaction(object) {
                self.store.put(key_of(&object), object);
            }
        }
        outcome
    }
}

/// As the authorizer words it.
fn want_of_rights(call: &Call) -> String {
    let Key { group, plural, .. } = &call.key;
    let verb = format!("{:?}", call.verb).to_lowercase();
    format!("User \"charm\" cannot {verb} resource \"{plural}\" in API group \"{group}\"")
}

fn answer_with(code: StatusCode, value: &Value) -> Response<AnswerBody> {
    Response::builder().status(code).body(whole(value.to_string())).expect("a fixed head")
}

fn whole(text: String) -> AnswerBody {
    Full::new(Bytes::from(text)).boxed_unsync()
}

fn key_of(object: &Value) -> Key {
    let typed: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
    let resource = api_resource(&typed.types.expect("a kind"));
    Key {
        group: resource.group,
        plural: resource.plural,
        namespace: typed.metadata.namespace.unwrap_or_default(),
        name: typed.metadata.name.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
