//! What Velero's pods and the charm reach by somebody's leave: the store by a proxy, and images in a private registry.

use super::read_option;
use crate::{
    contract::option,
    juju::{ConfigValues, ModelProxies},
    proxies::{self, Proxies},
    snapshot::Snapshot,
    status::Status,
    velero::{Facts, PlannedProxies, ProxiesSecret, proxies_secret, pull_secrets},
};

/// Returns the proxies of the model, if it has any, or the status for one that cannot be used.
pub(crate) fn proxies(model: &ModelProxies) -> Result<Option<Proxies>, Status> {
    let ModelProxies { http, https, exceptions, api_server } = model;
    let given = proxies::Given { http: http.as_ref(), https: https.as_ref(), exceptions, api_server };
    Proxies::read(given).map_err(|error| {
        let name = format!("juju-{}-proxy", error.scheme);
        Status::Blocked(format!("the model's {name} is no URL of a proxy: juju model-config {name}=http://HOST:PORT"))
    })
}

/// Returns the proxies that Velero is to go by.
pub(super) fn planned_proxies(snapshot: &Snapshot, facts: &Facts) -> Result<Option<PlannedProxies>, Status> {
    match (proxies(&snapshot.proxies)?, facts.proxies.clone()) {
        (Some(_), Some(ProxiesSecret::OfOthers)) => Err(Status::Blocked(format!(
            "somebody else has made the Secret {} that is to hold the model's proxies: delete it",
            proxies_secret(&snapshot.application)
        ))),
        (Some(proxies), Some(secret)) => Ok(Some(PlannedProxies { proxies, secret })),
        _ => Ok(None),
    }
}

/// Returns the names of the Secrets by which images are pulled. An option that cannot be used is added to the obstacles.
pub(super) fn image_pull_secrets(config: &ConfigValues, obstacles: &mut Vec<Status>) -> Result<Vec<String>, ()> {
    Ok(read_option(config, option::IMAGE_PULL_SECRETS, pull_secrets, obstacles)?.unwrap_or_default())
}

/// Returns what a user should know of Secrets that are not there. An image that is there already, or that anybody may pull, needs
/// none.
pub(super) fn without_pull_secrets(missing: &[String]) -> Option<String> {
    let name = option::IMAGE_PULL_SECRETS.name;
    match missing {
        [] => None,
        [one] => Some(format!("{name} names the Secret {one}, which is not there")),
        several => Some(format!("{name} names the Secrets {}, which are not there", several.join(", "))),
    }
}
