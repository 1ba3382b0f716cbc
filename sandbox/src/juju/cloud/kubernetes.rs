//! The cluster under a model, by way of the Kubernetes API.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Cloud, CloudError, UnitAccess};
use crate::cluster::ClusterAccess;

/// How long one verb's requests may take, the removal of a namespace aside.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long a namespace may take to go.
const REMOVAL_LIMIT: Duration = Duration::from_secs(100);
/// How long a unit's token is valid, in seconds.
const TOKEN_LIFETIME: i64 = 3600;
const MANAGER: &str = "juju";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A cluster reached through its API.
#[derive(Clone, Debug)]
pub struct KubernetesCloud {
    access: ClusterAccess,
}

impl KubernetesCloud {
    /// The cluster that `access` describes.
    #[must_use]
    pub fn new(access: ClusterAccess) -> Self {
        Self { access }
    }

    /// Runs requests to their end. They get a thread of their own, so that verbs may be called from anywhere, also from
    /// within an asynchronous test.
    fn run<T: Send, F: Future<Output = Result<T, Failure>>>(
        &self,
        operation: &str,
        namespace: &str,
        limit: Duration,
        requests: impl FnOnce(Client) -> F + Send,
    ) -> Result<T, CloudError> {
        let kubeconfig = &self.access.kubeconfig;
        let work = || -> Result<T, Failure> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
                let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
                let client = Client::try_from(config)?;
                tokio::time::timeout(limit, requests(client)).await?
            })
        };
        std::thread::scope(|scope| scope.spawn(work).join())
            .unwrap_or_else(|_| Err("the request's thread ended early".into()))
            .map_err(|source| CloudError { operation: operation.to_owned(), namespace: namespace.to_owned(), source })
    }
}

impl Cloud for KubernetesCloud {
    fn create_model(&self, model: &str) -> Result<(), CloudError> {
        self.run("create the model", model, REQUEST_LIMIT, |client| async move {
            let namespaces: Api<Namespace> = Api::all(client);
            if let Some(existing) = namespaces.get_opt(model).await? {
                let managed = existing.metadata.labels.unwrap_or_default();
                if managed.get("model.juju.is/name").map(String::as_str) != Some(model) {
                    return Err("the namespace exists and is not a model's".into());
                }
                return Ok(());
            }
            let labels = labels(&[("model.juju.is/name", model)]);
            let metadata = ObjectMeta { name: Some(model.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
            let namespace = Namespace { metadata, ..Namespace::default() };
            namespaces.create(&PostParams::default(), &namespace).await?;
            Ok(())
        })
    }

    fn destroy_model(&self, model: &str) -> Result<(), CloudError> {
        self.run("destroy the model", model, REMOVAL_LIMIT, |client| async move {
            let namespaces: Api<Namespace> = Api::all(client);
            let uid = namespaces.get_opt(model).await?.and_then(|namespace| namespace.metadata.uid);
            delete(&namespaces, model).await?;
            let Some(uid) = uid else { return Ok(()) };
            await_condition(namespaces, model, conditions::is_deleted(&uid)).await?;
            Ok(())
        })
    }

    fn ensure_application(&self, model: &str, application: &str, trust: bool) -> Result<(), CloudError> {
        self.run("give rights to the application", model, REQUEST_LIMIT, |client| async move {
            let cluster_name = cluster_name(model, application);
            let here = |name: &str| metadata(name, Some(model), model, application);
            let everywhere = |name: &str| metadata(name, None, model, application);
            let subjects = Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: application.to_owned(),
                namespace: Some(model.to_owned()),
                ..Subject::default()
            }]);
            let account = ServiceAccount { metadata: here(application), ..ServiceAccount::default() };
            let role = Role { metadata: here(application), rules: Some(rules_in_namespace(trust)) };
            let binding = RoleBinding {
                metadata: here(application),
                role_ref: role_ref("Role", application),
                subjects: subjects.clone(),
            };
            let cluster_role = ClusterRole {
                metadata: everywhere(&cluster_name),
                rules: Some(rules_in_cluster(trust)),
                ..ClusterRole::default()
            };
            let cluster_binding = ClusterRoleBinding {
                metadata: everywhere(&cluster_name),
                role_ref: role_ref("ClusterRole", &cluster_name),
                subjects,
            };
            apply(&Api::<ServiceAccount>::namespaced(client.clone(), model), &account).await?;
            apply(&Api::<Role>::namespaced(client.clone(), model), &role).await?;
            apply(&Api::<RoleBinding>::namespaced(client.clone(), model), &binding).await?;
            apply(&Api::<ClusterRole>::all(client.clone()), &cluster_role).await?;
            apply(&Api::<ClusterRoleBinding>::all(client), &cluster_binding).await
        })
    }

    fn remove_application(&self, model: &str, application: &str) -> Result<(), CloudError> {
        self.run("remove the application's rights", model, REQUEST_LIMIT, |client| async move {
            let cluster_name = cluster_name(model, application);
            delete(&Api::<ClusterRoleBinding>::all(client.clone()), &cluster_name).await?;
            delete(&Api::<ClusterRole>::all(client.clone()), &cluster_name).await?;
            delete(&Api::<RoleBinding>::namespaced(client.clone(), model), application).await?;
            delete(&Api::<Role>::namespaced(client.clone(), model), application).await?;
            delete(&Api::<ServiceAccount>::namespaced(client, model), application).await
        })
    }

    fn unit_access(&self, model: &str, application: &str) -> Result<UnitAccess, CloudError> {
        let (token, api_version) = self.run("request a token", model, REQUEST_LIMIT, |client| async move {
            let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), model);
            let request = TokenRequest {
                spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_LIFETIME), ..TokenRequestSpec::default() },
                ..TokenRequest::default()
            };
            let answer = accounts.create_token_request(application, &PostParams::default(), &request).await?;
            let token = answer.status.map(|status| status.token).ok_or("the answer holds no token")?;
            let version = client.apiserver_version().await?.git_version;
            Ok((token, version.trim_start_matches('v').to_owned()))
        })?;
        Ok(UnitAccess {
            token,
            certificate_authority: self.access.certificate_authority.clone(),
            service_host: self.access.service_host.clone(),
            service_port: self.access.service_port,
            api_version,
            namespaces_of: self.access.namespaces_of,
        })
    }
}

/// Roles for the whole cluster carry the model's name, so that two models do not meet.
fn cluster_name(model: &str, application: &str) -> String {
    format!("{model}-{application}")
}

fn labels(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    [("app.kubernetes.io/managed-by", MANAGER)]
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn metadata(name: &str, namespace: Option<&str>, model: &str, application: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(labels(&[("app.kubernetes.io/name", application), ("model.juju.is/name", model)])),
        ..ObjectMeta::default()
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: "rbac.authorization.k8s.io".to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

fn rule(resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[if resources == ["*"] { "*" } else { "" }])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn rules_in_namespace(trust: bool) -> Vec<PolicyRule> {
    if trust {
        return vec![rule(&["*"], &["*"])];
    }
    vec![
        rule(&["namespaces"], &["get", "list"]),
        rule(&["pods", "services"], &["get", "list", "patch"]),
        rule(&["pods/exec"], &["create"]),
    ]
}

fn rules_in_cluster(trust: bool) -> Vec<PolicyRule> {
    if trust { vec![rule(&["*"], &["*"])] } else { vec![rule(&["namespaces"], &["get", "list"])] }
}

async fn apply<K>(api: &Api<K>, object: &K) -> Result<(), Failure>
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let name = object.meta().name.as_deref().unwrap_or_default();
    api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await?;
    Ok(())
}

/// Deletes the object; that there is none is as good.
async fn delete<K>(api: &Api<K>, name: &str) -> Result<(), Failure>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_trust_hardly_anything_is_allowed() {
        let verbs_on = |resource: &str| {
            rules_in_namespace(false)
                .into_iter()
                .find(|rule| rule.resources.as_ref().is_some_and(|names| names.iter().any(|name| name == resource)))
                .map(|rule| rule.verbs)
        };
        assert_eq!(verbs_on("pods"), Some(vec!["get".to_owned(), "list".to_owned(), "patch".to_owned()]));
        assert_eq!(verbs_on("pods/exec"), Some(vec!["create".to_owned()]));
        assert_eq!(verbs_on("secrets"), None);
        assert_eq!(rules_in_cluster(false).len(), 1);
    }

    #[test]
    fn with_trust_everything_is() {
        for rules in [rules_in_namespace(true), rules_in_cluster(true)] {
            assert_eq!(rules, vec![rule(&["*"], &["*"])]);
            assert_eq!(rules[0].api_groups, Some(vec!["*".to_owned()]));
        }
    }
}
