//! The Secret with the URLs of proxies, as it is in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, ResourceExt};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::{
    cluster::{Cluster, ClusterError, call},
    proxies::Proxies,
    velero::{
        names::{INSTANCE, PROXIES, proxies_secret},
        wanted::ProxiesSecret,
    },
};

/// Finds out how the Secret with these proxies is to become what it should be.
///
/// What is in it has a random name there, its revision, and the pods that are given it have that too: so they start anew when it
/// changes. A hash in its place would tell those who try passwords when they have found it.
pub(crate) async fn look(
    cluster: &Cluster,
    application: &str,
    proxies: &Proxies,
) -> Result<ProxiesSecret, ClusterError> {
    let name = proxies_secret(application);
    let api: Api<Secret> = cluster.namespaced();
    let live = call("get", format!("Secret {name}"), || api.get_opt(&name)).await?;
    Ok(match live {
        Some(live) if live.labels().get(INSTANCE).is_none_or(|owner| owner != application) => ProxiesSecret::OfOthers,
        Some(live) if live.data.as_ref() == Some(&data(proxies)) => match live.annotations().get(PROXIES) {
            Some(revision) => ProxiesSecret::Current(revision.clone()),
            None => due(),
        },
        Some(_) | None => due(),
    })
}

fn due() -> ProxiesSecret {
    ProxiesSecret::Due(Uuid::new_v4().to_string())
}

/// Returns the content of the Secret: the variables with the URLs.
pub(crate) fn data(proxies: &Proxies) -> BTreeMap<String, ByteString> {
    let variables = proxies.secret_variables();
    variables.map(|(name, url)| (name.to_owned(), ByteString(url.expose_secret().as_bytes().to_vec()))).collect()
}
