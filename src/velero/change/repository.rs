//! The password that the files of volumes are encrypted with: put there before the first repository, and never changed after it.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams},
};
use secrecy::{ExposeSecret, SecretString};

use super::applied::Applied;
use crate::{
    cluster::{Cluster, ClusterError, FIELD_MANAGER, call},
    status::Status,
    velero::{
        names::{INSTANCE, MANAGED_BY, REPOSITORY_KEY, REPOSITORY_SECRET},
        seen::repository::{is_password_in_use, read},
    },
};

/// Puts the password there, unless files of volumes are encrypted with another one, or that may be somebody's only copy of it.
pub(super) async fn apply(
    cluster: &Cluster,
    application: &str,
    password: &SecretString,
    applied: &mut Applied,
) -> Result<(), ClusterError> {
    let live = read(cluster).await?;
    let refusal = match &live {
        Some(live) if live.is_that(password) => return Ok(()),
        Some(live) if !live.is_public() && !live.is_of(application) => Some(format!(
            "repository-password is not the password in Secret {REPOSITORY_SECRET}, which somebody else has put there: set the \
             option to a secret with that one, or keep that one elsewhere and delete the Secret"
        )),
        Some(_) if is_password_in_use(cluster).await? => Some(format!(
            "repository-password is not the password that files of volumes are encrypted with, which cannot be changed: set it \
             back, or juju config {application} --reset repository-password"
        )),
        _ => None,
    };
    if let Some(refusal) = refusal {
        applied.refused.push(Status::Blocked(refusal));
        return Ok(());
    }
    let (key, value) = MANAGED_BY;
    let labels = BTreeMap::from([(key, value), (INSTANCE, application)]);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(REPOSITORY_SECRET.to_owned()),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            ..ObjectMeta::default()
        },
        data: Some([(REPOSITORY_KEY.to_owned(), ByteString(password.expose_secret().as_bytes().to_vec()))].into()),
        ..Secret::default()
    };
    let api: Api<Secret> = cluster.namespaced();
    let (parameters, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(&secret));
    call("apply", format!("Secret {REPOSITORY_SECRET}"), || api.patch(REPOSITORY_SECRET, &parameters, &patch)).await?;
    applied.changed.push(format!("Secret {REPOSITORY_SECRET}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        cluster::test_api::TestApi,
        velero::seen::repository::{self, RepositoryPassword, has_repositories},
    };

    fn secret(password: &str, labels: &Value) -> Value {
        let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, password);
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": REPOSITORY_SECRET, "namespace": "velero", "labels": labels},
            "data": {REPOSITORY_KEY: data}})
    }

    /// What comes of the password `mine`, and the password in the cluster afterwards.
    async fn outcome(api: &TestApi) -> (Option<String>, Value) {
        let mut applied = Applied::default();
        let password = SecretString::from("mine");
        apply(&api.cluster("velero"), "ours", &password, &mut applied).await.unwrap();
        let refused = applied.refused.first().map(ToString::to_string);
        assert!(refused.as_ref().is_none_or(|refused| !refused.contains("mine") && applied.changed.is_empty()));
        (refused, api.object("Secret", REPOSITORY_SECRET).unwrap()["data"][REPOSITORY_KEY].clone())
    }

    /// An object that Velero makes for volumes, an hour after the start of it.
    fn object(kind: &str, status: &Value) -> Value {
        json!({"apiVersion": "velero.io/v1", "kind": kind,
            "metadata": {"name": kind.to_lowercase(), "namespace": "velero", "creationTimestamp": "2026-01-31T11:00:00Z"},
            "status": status})
    }

    fn api(live: Option<Value>, objects: &[Value]) -> TestApi {
        let api = TestApi::new();
        for kind in ["BackupRepository", "PodVolumeBackup", "PodVolumeRestore"] {
            api.define("v1", kind);
        }
        api.put_all(&live.into_iter().collect::<Vec<_>>());
        api.put_all(objects);
        api.writes();
        api
    }

    #[tokio::test]
    async fn it_is_put_there_before_the_first_repository_and_is_not_changed_after_it() {
        let mine = secret("mine", &json!({}))["data"][REPOSITORY_KEY].clone();
        let public = || secret("static-passw0rd", &json!({}));
        let before = || secret("before", &json!({INSTANCE: "ours"}));
        let written =
            || object("PodVolumeBackup", &json!({"phase": "InProgress", "startTimestamp": "2026-01-31T11:00:01Z"}));
        let read = || object("PodVolumeRestore", &json!({"phase": "Completed"}));
        let maintained = || object("BackupRepository", &json!({"recentMaintenance": [{"result": "Succeeded"}]}));
        for live in [None, Some(public()), Some(before())] {
            let api = api(live, &[]);
            assert_eq!(outcome(&api).await, (None, mine.clone()));
            // By these it is known whose it is when it is to be changed or to go.
            let labels = api.object("Secret", REPOSITORY_SECRET).unwrap()["metadata"]["labels"].clone();
            assert_eq!(labels, json!({MANAGED_BY.0: MANAGED_BY.1, INSTANCE: "ours"}));
            // A repository that comes later is encrypted with it.
            api.put(&written());
            assert_eq!(api.writes().len(), 1);
            assert_eq!((outcome(&api).await, api.writes()), ((None, mine.clone()), vec![]));
        }
        for live in [public(), before()] {
            for used in [written(), read(), maintained()] {
                let (refused, left) = outcome(&api(Some(live.clone()), &[used])).await;
                assert!(refused.unwrap().contains("cannot be changed: set it back, or juju config ours --reset"));
                assert_eq!(left, live["data"][REPOSITORY_KEY]);
            }
        }
    }

    #[tokio::test]
    async fn what_another_cluster_has_written_keeps_nobody_from_the_right_password() {
        let found = [
            object("PodVolumeBackup", &json!({"phase": "Completed", "startTimestamp": "2026-01-31T10:00:00Z"})),
            object("PodVolumeRestore", &json!({"phase": "Failed", "message": "invalid repository password"})),
            object("BackupRepository", &json!({"phase": "Ready", "lastMaintenanceTime": "2026-01-31T11:00:00Z"})),
        ];
        assert_eq!(outcome(&api(Some(secret("static-passw0rd", &json!({}))), &found)).await.0, None);
    }

    #[tokio::test]
    async fn what_began_in_the_moment_in_which_it_was_made_was_made_here() {
        let begun = json!({"phase": "Completed", "startTimestamp": "2026-01-31T11:00:00Z"});
        let api = api(None, &[object("PodVolumeBackup", &begun)]);
        assert!(is_password_in_use(&api.cluster("velero")).await.unwrap());
        assert!(!has_repositories(&api.cluster("velero")).await.unwrap());
        api.put(&object("BackupRepository", &json!({})));
        assert!(has_repositories(&api.cluster("velero")).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_that_somebody_else_has_put_there_may_be_the_only_copy() {
        for owner in [json!({}), json!({INSTANCE: "theirs"})] {
            let theirs = secret("theirs", &owner);
            let (refused, left) = outcome(&api(Some(theirs.clone()), &[])).await;
            assert!(refused.unwrap().contains("which somebody else has put there"));
            assert_eq!(left, theirs["data"][REPOSITORY_KEY]);
        }
        for (live, known) in [
            (None, RepositoryPassword::None),
            (Some(secret("static-passw0rd", &json!({}))), RepositoryPassword::Public),
            (Some(secret("theirs", &json!({}))), RepositoryPassword::Own),
        ] {
            assert_eq!(repository::password(&api(live, &[]).cluster("velero")).await.unwrap(), known);
        }
        // Their own may be the same.
        assert_eq!(outcome(&api(Some(secret("mine", &json!({}))), &[])).await.0, None);
    }
}
