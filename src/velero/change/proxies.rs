//! The Secret with the URLs of proxies, which the pods of Velero read their environment from.
//!
//! The pods can do without it, so that it can go before they do: a hook that ends in between is done again by the next one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{ObjectMeta, Patch, PatchParams},
};

use super::applied::Applied;
use crate::{
    cluster::{Cluster, ClusterError, FIELD_MANAGER, call, describe, named},
    velero::{
        names::{COMPONENT, INSTANCE, MANAGED_BY, NODE_AGENT, PROXIES, SERVER, proxies_secret},
        seen::{holdings::Holdings, proxies::data},
        wanted::{Installation, PlannedProxies, ProxiesSecret},
    },
};

/// Writes the Secret if it is not as planned. The pods that are to have it are given its revision afterwards.
pub(super) async fn apply(
    cluster: &Cluster,
    installation: &Installation,
    applied: &mut Applied,
) -> Result<(), ClusterError> {
    let Some(PlannedProxies { proxies, secret: ProxiesSecret::Due(revision) }) = &installation.proxies else {
        return Ok(());
    };
    let name = proxies_secret(&installation.application);
    let labels = BTreeMap::from([COMPONENT, MANAGED_BY, (INSTANCE, &installation.application)]);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            annotations: Some([(PROXIES.to_owned(), revision.clone())].into()),
            ..ObjectMeta::default()
        },
        data: Some(data(proxies)),
        ..Secret::default()
    };
    let api: Api<Secret> = cluster.namespaced();
    let (parameters, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(&secret));
    call("apply", format!("Secret {name}"), || api.patch(&name, &parameters, &patch)).await?;
    applied.changed.push(format!("Secret {name}"));
    Ok(())
}

/// Deletes the Secret if pods have it that are not to have it any more.
pub(super) async fn forget(
    cluster: &Cluster,
    installation: &Installation,
    holdings: &Holdings,
    applied: &mut Applied,
) -> Result<(), ClusterError> {
    let has_it = |kind: &str, name: &str| {
        let held = holdings.find(&named("apps/v1", kind, name));
        held.is_some_and(|held| !held.object.data["spec"]["template"]["metadata"]["annotations"][PROXIES].is_null())
    };
    let is_kept = installation.proxies.is_some() || installation.held_back.server || installation.held_back.node_agent;
    if is_kept || !(has_it("Deployment", SERVER) || has_it("DaemonSet", NODE_AGENT)) {
        return Ok(());
    }
    applied.changed.extend(delete(cluster, &installation.application).await?);
    Ok(())
}

/// Deletes the Secret if it is there and the application's. Returns its name as messages have it.
pub(super) async fn delete(cluster: &Cluster, application: &str) -> Result<Option<String>, ClusterError> {
    let secret = cluster.own(named("v1", "Secret", &proxies_secret(application)));
    let live = cluster.find_metadata(&secret).await?;
    let own = live.filter(|live| live.labels().get(INSTANCE).is_some_and(|owner| owner == application));
    let Some(own) = own else { return Ok(None) };
    cluster.delete(&own).await?;
    Ok(Some(describe(&own)))
}

#[cfg(test)]
#[path = "proxies_tests.rs"]
mod tests;
