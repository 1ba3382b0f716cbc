//! What a user, Juju or somebody else does on a stage.

use std::{collections::BTreeMap, io, sync::atomic::Ordering};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Map, Value, json};

use super::{
    super::{
        cluster::{objects, player::REFUSED_KEY},
        doors::cli_door,
        scenario::{APPLICATION, PASSWORD, PRINCIPAL_ID, SecretKey, Step},
    },
    BUCKET, FAR, MODEL, NEIGHBOUR, OTHER_KEYS, Stage, StageError, refused, unit,
};
use crate::juju::{self, ActionStatus, DeployOptions, HookRecord, Scripted, UnitName, Whose};

/// The integrator of S3.
const S3_INTEGRATOR: &str = "s3-integrator";

impl Stage {
    /// Does one step, with all hooks that follow from it.
    pub(in crate::storm) fn take(&self, step: &Step) -> Result<Vec<HookRecord>, StageError> {
        let done = self.juju(step).map_err(|source| refused(&format!("{step:?}"), source));
        let records = match done {
            Ok(Some(records)) => records,
            Ok(None) => self.wait(self.others(step)).map(|()| Vec::new())?,
            Err(error) => return Err(error),
        };
        self.wait(self.player.play());
        Ok(records)
    }

    fn juju(&self, step: &Step) -> Result<Option<Vec<HookRecord>>, juju::Error> {
        let model = &self.model;
        let s3 = self.store.access();
        let bucket = |more: &[(&str, &str)]| {
            let fields = [
                ("bucket", BUCKET),
                ("endpoint", s3.endpoint.as_str()),
                ("access-key", s3.access_key.as_str()),
                ("secret-key", s3.secret_key.as_str()),
            ];
            self.publish("s3-credentials", &[&fields[..], more].concat())
        };
        let far_bucket = |secret_key: &str| {
            let fields = [("bucket", BUCKET), ("endpoint", FAR), ("access-key", "far"), ("secret-key", secret_key)];
            self.publish("s3-credentials", &fields)
        };
        Ok(Some(match step {
            Step::Neighbour | Step::BackedUp | Step::PullSecret => return Ok(None),
            Step::Deploy => {
                let options = DeployOptions { trust: true, ..DeployOptions::default() };
                model.deploy(&cli_door::folder(self.plane.folder()), &options)?
            }
            Step::Relate(endpoint, interface) => {
                model.deploy_scripted(&Scripted::provider(&other_side(endpoint), "other", interface))?;
                model.integrate(&format!("{APPLICATION}:{endpoint}"), &other_side(endpoint))?.1
            }
            Step::RelateRequirer(endpoint, interface) => {
                model.deploy_scripted(&Scripted::requirer(&other_side(endpoint), "other", interface))?;
                model.integrate(&format!("{APPLICATION}:{endpoint}"), &other_side(endpoint))?.1
            }
            Step::PublishBucket => bucket(&[])?,
            Step::PublishOtherKeys => bucket(&[("access-key", OTHER_KEYS.0), ("secret-key", OTHER_KEYS.1)])?,
            Step::PublishOtherPath => bucket(&[("path", "elsewhere")])?,
            Step::PublishFarBucket => far_bucket("far-secret-key")?,
            Step::PublishRefusedKeys => far_bucket(REFUSED_KEY)?,
            Step::Integrate(integrator, config, key) => self.integrate(integrator, config, *key)?,
            Step::IntegrateS3 => {
                let config = [("endpoint", s3.endpoint.as_str()), ("bucket", BUCKET)];
                let config = config.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                // Those before know of no secrets.
                let channel = Some("2/stable".to_owned());
                let options = DeployOptions { config, channel, ..DeployOptions::default() };
                model.deploy_built_in(S3_INTEGRATOR, &options)?;
                model.sync_s3_credentials(S3_INTEGRATOR, &s3.access_key, &s3.secret_key)?;
                model.integrate(APPLICATION, S3_INTEGRATOR)?.1
            }
            Step::RenewS3 => model.sync_s3_credentials(S3_INTEGRATOR, OTHER_KEYS.0, OTHER_KEYS.1)?,
            Step::Renew(integrator, key) => model.update_user_secret(integrator, &self.content(*key))?,
            Step::Part(integrator) => model.remove_relation(APPLICATION, integrator)?,
            Step::AddUnit => model.add_unit(APPLICATION)?,
            Step::RemoveUnit => model.remove_unit(&UnitName::new(APPLICATION, 1))?,
            Step::Publish(endpoint, fields) => self.publish(endpoint, fields)?,
            Step::RemoveRelation(endpoint) => {
                model.remove_relation(&format!("{APPLICATION}:{endpoint}"), &other_side(endpoint))?
            }
            Step::GivePassword => {
                let content = [("password".to_owned(), PASSWORD.to_owned())].into();
                let secret = model.add_user_secret("repository", &content)?;
                model.grant_user_secret("repository", APPLICATION)?;
                model.configure(APPLICATION, "repository-password", &secret.to_string())?
            }
            Step::Configure(option, value) => model.configure(APPLICATION, option, value)?,
            Step::UpdateStatus => model.update_status()?,
            Step::Refresh => model.refresh(APPLICATION, &cli_door::folder(self.plane.folder()))?,
            Step::ReplacePod => model.replace_pod(&unit())?,
            Step::Remove => model.remove_application(APPLICATION, false)?,
            Step::Act(action, parameter, value) => {
                // A number is one, as it is to `juju run`.
                let value = value.parse().unwrap_or_else(|_| Value::from(*value));
                let parameters = Map::from_iter([((*parameter).to_owned(), value)]);
                let result = model.run_action(&unit(), action, &parameters)?;
                self.action_failed.store(result.status != ActionStatus::Completed, Ordering::Relaxed);
                result.record.into_iter().collect()
            }
        }))
    }

    /// Deploys an integrator, gives it its options and its secret, and relates it.
    fn integrate(
        &self,
        integrator: &str,
        config: &[(&str, &str)],
        key: SecretKey,
    ) -> Result<Vec<HookRecord>, juju::Error> {
        let model = &self.model;
        let secret = model.add_user_secret(integrator, &self.content(key))?;
        let options = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = options.chain([("credentials".to_owned(), secret.to_string())]).collect();
        model.deploy_built_in(integrator, &DeployOptions { config, ..DeployOptions::default() })?;
        model.grant_user_secret(integrator, integrator)?;
        Ok(model.integrate(APPLICATION, integrator)?.1)
    }

    /// What a user's secret has in it.
    fn content(&self, key: SecretKey) -> BTreeMap<String, String> {
        let text = match key {
            SecretKey::Text(text) => text,
            SecretKey::Google(account) => self.key_files.get(account).map_or("", String::as_str),
            SecretKey::Principal(secret) => {
                let fields = [("client-id", PRINCIPAL_ID), ("client-secret", secret)];
                return fields.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
            }
        };
        [("secret-key".to_owned(), text.to_owned())].into()
    }

    fn publish(&self, endpoint: &str, fields: &[(&str, &str)]) -> Result<Vec<HookRecord>, juju::Error> {
        let state = self.model.state()?;
        let relation = state.relations_of(APPLICATION, endpoint).next().map(|relation| relation.id).unwrap_or_default();
        let bag: BTreeMap<_, _> = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.model.write_databag(relation, &Whose::Application(other_side(endpoint)), &bag)
    }

    async fn others(&self, step: &Step) -> Result<(), StageError> {
        match step {
            Step::Neighbour => self.neighbour().await,
            Step::PullSecret => {
                let secret = json!({"metadata": {"name": "registry", "namespace": MODEL},
                    "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{\"auths\":{}}"}});
                self.make("", "v1", "Secret", secret).await
            }
            Step::BackedUp => {
                let namespaces: Api<Namespace> = Api::all(self.plane.client().clone());
                if namespaces.get_opt(NEIGHBOUR).await?.is_some() {
                    self.make("velero.io", "v1", "Backup", backup(NEIGHBOUR)).await?;
                }
                self.make("velero.io", "v1", "Backup", backup(MODEL)).await
            }
            _ => Ok(()),
        }
    }

    /// Makes another Velero, as somebody has installed it by hand.
    async fn neighbour(&self) -> Result<(), StageError> {
        let namespaces: Api<Namespace> = Api::all(self.plane.client().clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": NEIGHBOUR}})).map_err(io::Error::from)?;
        namespaces.create(&PostParams::default(), &namespace).await?;
        let labels = json!({"component": "velero", "deploy": "velero"});
        let deployment = json!({"metadata": {"name": "velero", "namespace": NEIGHBOUR, "labels": labels},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "velero", "image": "velero/velero:v1.18.3"}]}}}});
        self.make("apps", "v1", "Deployment", deployment).await?;
        let secret = json!({"metadata": {"name": "cloud-credentials", "namespace": NEIGHBOUR}, "stringData": {"creds": "theirs"}});
        self.make("", "v1", "Secret", secret).await
    }

    async fn make(&self, group: &str, version: &str, kind: &str, mut object: Value) -> Result<(), StageError> {
        object["apiVersion"] = json!(if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") });
        object["kind"] = json!(kind);
        let object: DynamicObject = serde_json::from_value(object).map_err(io::Error::from)?;
        let api = objects::api_of(self.plane.client(), group, version, kind, object.metadata.namespace.as_deref());
        let name = object.metadata.name.clone().unwrap_or_default();
        api.patch(&name, &PatchParams::apply("somebody"), &Patch::Apply(&object)).await?;
        Ok(())
    }
}

fn backup(namespace: &str) -> Value {
    json!({"metadata": {"name": "nightly", "namespace": namespace, "labels": {"velero.io/storage-location": "default"}},
        "spec": {"storageLocation": "default", "ttl": "720h0m0s"},
        "status": {"phase": "Completed", "startTimestamp": "2026-01-31T01:00:00Z", "completionTimestamp": "2026-01-31T01:01:00Z",
            "expiration": "2036-01-31T01:00:00Z"}})
}

/// The application at the other side of an endpoint.
fn other_side(endpoint: &str) -> String {
    format!("{endpoint}-other")
}
