//! Trouble that comes between the hooks: how long it takes until `juju status` tells it.

use std::{
    thread,
    time::{Duration, Instant},
};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    runtime::wait::await_condition,
};
use serde_json::json;

use super::{
    BenchError, World,
    cost::{Spread, micros},
    objects::{Objects, ObjectsError, call, within},
    recorder::{status, unexpected},
};
use crate::juju::{Model, StatusValue};

/// How often Juju asks a charm for its status, whatever happens, if the model's configuration does not say otherwise.
pub(super) const UPDATE_STATUS: Duration = Duration::from_mins(5);

/// How long the unit may take to say so.
const LIMIT: Duration = Duration::from_mins(2);

/// How often it is asked.
const ASKED: Duration = Duration::from_millis(20);

/// After a hook the observer takes what it sees for what the hook has seen.
const SETTLED: Duration = Duration::from_secs(3);

/// What nobody knows of before somebody looks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum News {
    /// Somebody has scaled the server to nothing. The charm mends that.
    NoPods,
    /// The server says that it cannot use its storage.
    UnusableStorage,
}

impl News {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::NoPods, Self::UnusableStorage];

    /// What it is called in the table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::NoPods => "a server without pods",
            Self::UnusableStorage => "a storage that is not usable",
        }
    }

    /// The same, as a choice among all that is measured.
    pub(super) fn full_title(self) -> String {
        format!("trouble to status: {}", self.title())
    }
}

/// How long it took until the unit said so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// That the trouble is there.
    pub told: Duration,
    /// That it is over.
    pub over: Duration,
}

/// The same of several runs, in microseconds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notices {
    /// That the trouble is there.
    pub told: Spread,
    /// That it is over.
    pub over: Spread,
}

impl Notices {
    /// Of no run there is none.
    #[must_use]
    pub fn of(notices: &[Notice]) -> Option<Self> {
        Some(Self {
            told: Spread::of(notices.iter().map(|notice| micros(notice.told)))?,
            over: Spread::of(notices.iter().map(|notice| micros(notice.over)))?,
        })
    }
}

impl World {
    /// One trouble after the other, with nobody but the observer to tell of it.
    pub(super) fn news(
        &self,
        round: u32,
        wanted: &[News],
        tell: impl Fn(&str),
    ) -> Result<Vec<(News, Notice)>, BenchError> {
        let name = format!("watched-{round}");
        let (model, recorder) = self.active_model(&name)?;
        let watched = self.watched_model(&name)?;
        let mut notices = Vec::new();
        for news in wanted {
            tell(&news.full_title());
            watched.update_status()?;
            let observer = self.observer(&watched)?;
            thread::sleep(SETTLED);
            let begun = Instant::now();
            self.runtime.block_on(self.objects.bring(&name, *news))?;
            let told = until(&watched, begun, |value| value != StatusValue::Active)?;
            self.runtime.block_on(self.objects.lift(&name, *news))?;
            let over = until(&watched, Instant::now(), |value| value == StatusValue::Active)?;
            notices.push((*news, Notice { told, over }));
            // Another one has not asked for any hook, and does so as soon as one that has had nothing to tell for long.
            observer.end()?;
        }
        drop(watched);
        model.destroy()?;
        recorder.take()?;
        self.remove(&name)?;
        Ok(notices)
    }
}

impl Objects {
    /// Lets that happen to the Velero of a namespace.
    async fn bring(&self, namespace: &str, news: News) -> Result<(), ObjectsError> {
        match news {
            News::NoPods => {
                let patch = Patch::Merge(json!({"spec": {"replicas": 0}}));
                let servers = Api::<Deployment>::namespaced(self.client.clone(), namespace);
                let patched = servers.patch("velero", &PatchParams::default(), &patch).await;
                patched.map(drop).map_err(|source| call("scale the server", namespace, source))
            }
            News::UnusableStorage => self.say_of_storage(namespace, "Unavailable").await,
        }
    }

    /// Ends it, or waits until the charm has.
    async fn lift(&self, namespace: &str, news: News) -> Result<(), ObjectsError> {
        match news {
            News::NoPods => {
                let servers = Api::<Deployment>::namespaced(self.client.clone(), namespace);
                let serving = await_condition(servers, "velero", |server: Option<&Deployment>| {
                    let status = server.and_then(|server| server.status.as_ref());
                    status.is_some_and(|status| status.available_replicas.is_some_and(|count| count > 0))
                });
                Box::pin(within("the server's return", namespace, serving)).await
            }
            News::UnusableStorage => self.say_of_storage(namespace, "Available").await,
        }
    }

    /// Says of the storage what the server would. That looks again a minute later.
    async fn say_of_storage(&self, namespace: &str, phase: &str) -> Result<(), ObjectsError> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("velero.io", "v1", "BackupStorageLocation"));
        let locations = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let message = if phase == "Available" { "" } else { "the bench says so" };
        let now = jiff::Timestamp::now().to_string();
        let status = json!({"status": {"phase": phase, "message": message, "lastValidationTime": now}});
        let patched = locations.patch("default", &PatchParams::default(), &Patch::Merge(status)).await;
        patched.map(drop).map_err(|source| call("change the storage location", namespace, source))
    }
}

/// Waits until the unit says something of that kind, and returns how long it took from the beginning.
fn until(model: &Model, begun: Instant, is_so: impl Fn(StatusValue) -> bool) -> Result<Duration, BenchError> {
    loop {
        let said = status(model)?;
        if said.as_ref().is_some_and(|status| is_so(status.value)) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > LIMIT {
            return Err(unexpected(said.as_ref()));
        }
        thread::sleep(ASKED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_news_are_listed_once() {
        let mut all = News::ALL.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, News::ALL);
    }

    #[test]
    fn the_times_of_several_runs_are_put_together() {
        assert_eq!(Notices::of(&[]), None);
        let notice = |told, over| Notice { told: Duration::from_secs(told), over: Duration::from_secs(over) };
        let notices = Notices::of(&[notice(2, 9), notice(4, 1)]).unwrap();
        assert_eq!((notices.told.median, notices.told.most), (3_000_000, 4_000_000));
        assert_eq!((notices.over.median, notices.over.least), (5_000_000, 1_000_000));
    }
}
