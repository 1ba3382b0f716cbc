//! The Secret with the URLs of proxies, as it is in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, ResourceExt, api::DynamicObject};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    cluster::{Cluster, ClusterError, call, named},
    proxies::{Given, Proxies},
    velero::{
        names::{INSTANCE, PROXIES, SERVER, proxies_secret},
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

/// Returns the proxies that the server of an application has, if it has any: for who knows nothing of the model.
pub(crate) async fn of_server(cluster: &Cluster, application: &str) -> Result<Option<Proxies>, ClusterError> {
    let name = proxies_secret(application);
    let api: Api<Secret> = cluster.namespaced();
    let live = call("get", format!("Secret {name}"), || api.get_opt(&name)).await?;
    let Some(live) = live.filter(|live| live.labels().get(INSTANCE).is_some_and(|owner| owner == application)) else {
        return Ok(None);
    };
    let server = cluster.find(&cluster.own(named("apps/v1", "Deployment", SERVER))).await?;
    Ok(of(&live, server.as_ref()))
}

/// Reads the proxies from the Secret, and what is reached without them from the server.
fn of(secret: &Secret, server: Option<&DynamicObject>) -> Option<Proxies> {
    let url = |variable: &str| {
        let bytes = &secret.data.as_ref()?.get(variable)?.0;
        Some(SecretString::from(String::from_utf8_lossy(bytes).into_owned()))
    };
    let (http, https) = (url("HTTP_PROXY"), url("HTTPS_PROXY"));
    let variables = server.and_then(|server| server.data.pointer("/spec/template/spec/containers/0/env")?.as_array());
    let mut variables = variables.into_iter().flatten();
    let exceptions = variables.find(|variable| variable["name"] == "NO_PROXY");
    let exceptions = exceptions.and_then(|variable| variable["value"].as_str()).unwrap_or_default();
    Proxies::read(Given { http: http.as_ref(), https: https.as_ref(), exceptions, api_server: "" }).ok().flatten()
}

fn due() -> ProxiesSecret {
    ProxiesSecret::Due(Uuid::new_v4().to_string())
}

/// Returns the content of the Secret: the variables with the URLs.
pub(crate) fn data(proxies: &Proxies) -> BTreeMap<String, ByteString> {
    let variables = proxies.secret_variables();
    variables.map(|(name, url)| (name.to_owned(), ByteString(url.expose_secret().as_bytes().to_vec()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::test_api::TestApi;

    #[test]
    fn the_proxies_of_a_server_are_those_that_it_was_given() {
        let given = SecretString::from("http://user:marked@proxy.internal:3128");
        let before = Proxies::read(Given { http: None, https: Some(&given), exceptions: "10.0.0.1", api_server: "" });
        let before = before.unwrap().unwrap();
        let secret = Secret { data: Some(data(&before)), ..Secret::default() };
        let (name, exceptions) = before.plain_variable();
        let mut server = named("apps/v1", "Deployment", SERVER);
        let container = json!({"env": [{"name": "OTHER", "value": "1"}, {"name": name, "value": exceptions}]});
        server.data = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
        let read = of(&secret, Some(&server)).unwrap();
        assert_eq!((data(&read), read.plain_variable()), (data(&before), before.plain_variable()));
        assert!(of(&Secret::default(), Some(&server)).is_none());
    }

    #[tokio::test]
    async fn the_proxies_of_another_applications_server_are_nobodys() {
        let given = SecretString::from("http://proxy.internal:3128");
        let proxies = Proxies::read(Given { http: None, https: Some(&given), exceptions: "", api_server: "" });
        let proxies = proxies.unwrap().unwrap();
        let api = TestApi::new();
        let cluster = api.cluster("velero");
        assert!(of_server(&cluster, "ours").await.unwrap().is_none());
        api.put(&json!({"apiVersion": "v1", "kind": "Secret", "data": data(&proxies),
            "metadata": {"name": proxies_secret("ours"), "namespace": "velero", "labels": {INSTANCE: "another"}}}));
        assert!(of_server(&cluster, "ours").await.unwrap().is_none());
        api.put(&json!({"apiVersion": "v1", "kind": "Secret", "data": data(&proxies),
            "metadata": {"name": proxies_secret("ours"), "namespace": "velero", "labels": {INSTANCE: "ours"}}}));
        let read = of_server(&cluster, "ours").await.unwrap().unwrap();
        assert_eq!(data(&read), data(&proxies));
    }
}
