//! Integrators that are configured by options and by a secret of the user's, and tell both to whom they are related: the
//! fields of the secret in a secret again, for who asks for that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::charm::{ConfigOption, Endpoint, Metadata, OptionType};
use super::super::state::{ModelState, Status, StatusValue};
use super::exchange::{self, REQUESTED_SECRETS, note, publish, python_list, requester};

/// The option that names the secret of the user's.
const CREDENTIALS: &str = "credentials";

/// What makes one such integrator differ from the others.
#[derive(Debug)]
pub struct Profile {
    /// The charm's name.
    name: &'static str,
    /// Its endpoint.
    endpoint: &'static str,
    /// The interface of that endpoint.
    interface: &'static str,
    /// Its options beside the one for credentials, with their defaults. Each is told under its own name.
    options: &'static [(&'static str, Option<&'static str>)],
    /// The options that it needs.
    required: &'static [&'static str],
    /// The fields of the user's secret, all of which it needs.
    secret_fields: &'static [&'static str],
    /// The fields of which a client has to publish one before it is told anything; none for at once.
    asked_by: &'static [&'static str],
    /// What is told in place of the options as they are.
    told: fn(BTreeMap<String, String>) -> BTreeMap<String, String>,
}

/// Every integrator of this kind.
static PROFILES: &[Profile] = &[
    Profile {
        name: "gcs-integrator",
        endpoint: "gcs-credentials",
        interface: "gcs",
        options: &[("bucket", None), ("path", None), ("storage-class", Some("STANDARD"))],
        required: &["bucket"],
        secret_fields: &["secret-key"],
        asked_by: &["requested-secrets", "version"],
        told: std::convert::identity,
    },
    Profile {
        name: "azure-storage-integrator",
        endpoint: "azure-storage-credentials",
        interface: "azure_storage",
        options: &[
            ("connection-protocol", Some("abfss")),
            ("container", None),
            ("endpoint", None),
            ("path", None),
            ("resource-group", None),
            ("storage-account", None),
        ],
        required: &["container", "storage-account"],
        secret_fields: &["secret-key"],
        asked_by: &["container", "version"],
        told: with_azure_endpoint,
    },
    Profile {
        name: "azure-auth-integrator",
        endpoint: "azure-service-principal-credentials",
        interface: "azure_service_principal",
        options: &[("subscription-id", None), ("tenant-id", None)],
        required: &["subscription-id", "tenant-id"],
        secret_fields: &["client-id", "client-secret"],
        asked_by: &[],
        told: std::convert::identity,
    },
];

/// Where the container is, which is told in the protocol's own form unless it is configured.
fn with_azure_endpoint(mut options: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let text = |name: &str| options.get(name).cloned().unwrap_or_default();
    let (container, account, protocol) = (text("container"), text("storage-account"), text("connection-protocol"));
    let endpoint = match protocol.as_str() {
        "abfs" | "abfss" => format!("{protocol}://{container}@{account}.dfs.core.windows.net/"),
        "wasb" | "wasbs" => format!("{protocol}://{container}@{account}.blob.core.windows.net/"),
        _ => format!("{protocol}://{account}.blob.core.windows.net/{container}"),
    };
    options.entry("endpoint".to_owned()).or_insert(endpoint);
    options
}

/// What an integrator knows beside its options.
#[derive(Clone, Deserialize, Serialize)]
pub struct Integrator {
    charm: String,
    /// The secret of each relation.
    secrets: BTreeMap<u32, String>,
    /// What it lacks to tell anything.
    missing: Vec<String>,
}

impl std::fmt::Debug for Integrator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Integrator").field("charm", &self.charm).finish_non_exhaustive()
    }
}

impl Integrator {
    /// The integrator of that name, with its metadata.
    pub(super) fn named(charm: &str) -> Option<(Self, Metadata)> {
        let profile = profile(charm)?;
        let endpoint = Endpoint { interface: profile.interface.to_owned(), limit: None };
        let summary = format!("Tells charms what they need for the interface {}.", profile.interface);
        let metadata = Metadata {
            name: charm.to_owned(),
            summary: summary.clone(),
            description: summary,
            provides: BTreeMap::from([(profile.endpoint.to_owned(), endpoint)]),
            ..Metadata::default()
        };
        Some((Self { charm: charm.to_owned(), secrets: BTreeMap::new(), missing: Vec::new() }, metadata))
    }

    pub(super) fn options(&self) -> BTreeMap<String, ConfigOption> {
        let option = |kind, default: Option<&str>| ConfigOption {
            kind,
            default: default.map(Value::from),
            description: String::new(),
        };
        let plain = profile(&self.charm).into_iter().flat_map(|profile| profile.options);
        plain
            .map(|(name, default)| ((*name).to_owned(), option(OptionType::String, *default)))
            .chain([(CREDENTIALS.to_owned(), option(OptionType::Secret, None))])
            .collect()
    }

    pub(super) fn status(&self) -> Status {
        if self.missing.is_empty() {
            return Status::now(StatusValue::Active, "");
        }
        Status::now(StatusValue::Blocked, format!("Missing parameters: {}", python_list(&self.missing)))
    }

    pub(super) fn react(&mut self, model: &mut ModelState, application: &str) {
        let Some(profile) = profile(&self.charm) else { return };
        let Some(ours) = model.applications.get(application) else { return };
        let options = settings(profile, &ours.settings);
        let uri = ours.settings.get(CREDENTIALS).and_then(Value::as_str).unwrap_or_default().to_owned();
        let content = model.granted_by_user(&uri, application).unwrap_or_default();
        let lacks = |there: &BTreeMap<String, String>, wanted: &[&str]| -> Vec<String> {
            wanted.iter().filter(|key| !there.contains_key(**key)).map(|key| (*key).to_owned()).collect()
        };
        self.missing = lacks(&options, profile.required);
        if !lacks(&content, profile.secret_fields).is_empty() {
            self.missing.push(CREDENTIALS.to_owned());
        }
        let relations = exchange::relations(model, application, profile.endpoint);
        self.secrets.retain(|id, _| relations.contains(id));
        for id in relations {
            self.answer(model, (application, profile, id), &options, &content);
        }
    }

    fn answer(
        &mut self,
        model: &mut ModelState,
        (application, profile, id): (&str, &Profile, u32),
        options: &BTreeMap<String, String>,
        content: &BTreeMap<String, String>,
    ) {
        let requested = requester(model, application, id).unwrap_or_default();
        let mut changes = BTreeMap::new();
        note(&requested, &mut changes);
        let asked = profile.asked_by.is_empty() || profile.asked_by.iter().any(|key| requested.contains_key(*key));
        if asked && self.missing.is_empty() {
            let told = (profile.told)(options.clone());
            // What is not set any more is told no more.
            changes.extend(profile.options.iter().map(|(name, _)| {
                let value = told.get(*name).cloned().unwrap_or_default();
                ((*name).to_owned(), value)
            }));
            if requested.contains_key(REQUESTED_SECRETS) {
                let relation = (application, profile.endpoint, id);
                changes.extend([exchange::keep_secret(model, &mut self.secrets, relation, content)]);
            } else {
                changes.extend(content.clone());
            }
        }
        publish(model, application, id, &changes);
    }
}

fn profile(charm: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == charm)
}

/// The names of all charms of this kind.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|profile| profile.name)
}

/// The options that have a value.
fn settings(profile: &Profile, set: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let value = |(name, default): &(&'static str, Option<&'static str>)| {
        let value = set.get(*name).and_then(Value::as_str).or(*default).filter(|value| !value.is_empty())?;
        Some(((*name).to_owned(), value.to_owned()))
    };
    profile.options.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::charm::Role;
    use super::super::super::relation::{Relation, Side};
    use super::super::super::secret::{Grant, Owner, Secret};
    use super::super::super::state::{Application, ApplicationKind, Life};
    use super::super::{Simulated, built_in, react};
    use super::*;

    const URI: &str = "secret:d5k2n8fq9mvc7a3t1he0";

    fn encoded(content: &[(&str, &str)]) -> BTreeMap<String, String> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        content.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value))).collect()
    }

    /// A model with the integrator, a client, and a secret of the user's.
    fn model(charm: &str, options: &[(&str, &str)], content: &[(&str, &str)]) -> ModelState {
        let (behaviour, metadata) = built_in(charm, None).expect("a built-in charm");
        let endpoint = metadata.provides.keys().next().expect("an endpoint").clone();
        let settings = options.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value)));
        let settings = settings.chain([(CREDENTIALS.to_owned(), Value::from(URI))]).collect();
        let mut model = ModelState::new("demo");
        let application = Application {
            kind: ApplicationKind::Simulated { behaviour, metadata },
            settings,
            trust: false,
            units: BTreeMap::new(),
            leader: None,
            status: None,
            workload_version: String::new(),
            life: Life::Alive,
            replicas: 0,
        };
        model.applications.insert("integrator".to_owned(), application);
        let sides =
            vec![Side::new("velero", "storage", Role::Requires), Side::new("integrator", &endpoint, Role::Provides)];
        model.relations.insert(7, Relation { id: 7, interface: String::new(), sides, dying: false });
        let mut secret = Secret::new(Owner::User, encoded(content));
        secret.grants.push(Grant { relation: None, application: "integrator".to_owned(), unit: None });
        model.secrets.insert(URI["secret:".len()..].to_owned(), secret);
        model
    }

    fn ask(model: &mut ModelState, pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let changes: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let relation = model.relations.get_mut(&7).expect("the relation");
        relation.side_mut("velero").expect("the client").bag.apply(&changes);
        react(model, "integrator");
        model.relations[&7].side("integrator").expect("the integrator").bag.data.clone()
    }

    fn status(model: &ModelState) -> Status {
        match &model.applications["integrator"].kind {
            ApplicationKind::Simulated { behaviour: Simulated::Integrator(integrator), .. } => integrator.status(),
            other => panic!("{other:?}"),
        }
    }

    const STORAGE: &[(&str, &str)] = &[("container", "backups"), ("storage-account", "stbackups01")];
    const KEY: &[(&str, &str)] = &[("secret-key", "a2V5")];

    #[test]
    fn nothing_is_told_before_the_client_has_asked() {
        let mut model = model("azure-storage-integrator", STORAGE, KEY);
        let bag = ask(&mut model, &[("requested-secrets", "[\"secret-key\"]")]);
        assert_eq!(bag.keys().collect::<Vec<_>>(), ["data"]);
        let bag = ask(&mut model, &[("container", "relation-7")]);
        assert_eq!(bag["container"], "backups");
        assert_eq!(bag["endpoint"], "abfss://backups@stbackups01.dfs.core.windows.net/");
        assert!(bag["secret-extra"].starts_with("secret:") && !bag.contains_key("secret-key"), "{bag:?}");
    }

    #[test]
    fn the_key_file_for_gcs_is_told_in_a_secret_and_the_class_by_its_default() {
        let mut model = model("gcs-integrator", &[("bucket", "backups")], &[("secret-key", "{}")]);
        assert!(ask(&mut model, &[]).is_empty());
        let bag = ask(&mut model, &[("requested-secrets", "[\"secret-key\"]"), ("version", "1")]);
        assert_eq!((bag["bucket"].as_str(), bag["storage-class"].as_str()), ("backups", "STANDARD"));
        let of_relation = &bag["secret-extra"]["secret:".len()..];
        assert_eq!(model.secrets[of_relation].revisions[&1], encoded(&[("secret-key", "{}")]));
    }

    #[test]
    fn who_asks_for_no_secret_is_told_in_clear() {
        let options = [STORAGE, &[("connection-protocol", "https")]].concat();
        let mut model = model("azure-storage-integrator", &options, KEY);
        let bag = ask(&mut model, &[("container", "relation-7")]);
        assert_eq!((bag["secret-key"].as_str(), bag.contains_key("secret-extra")), ("a2V5", false));
        assert_eq!(bag["endpoint"], "https://stbackups01.blob.core.windows.net/backups");
    }

    #[test]
    fn what_the_user_changes_of_the_secret_is_a_new_revision_of_the_relations() {
        let principal = [("subscription-id", "sub"), ("tenant-id", "ten")];
        let mut model = model("azure-auth-integrator", &principal, &[("client-id", "a"), ("client-secret", "b")]);
        let bag = ask(&mut model, &[("requested-secrets", "[\"client-id\", \"client-secret\"]")]);
        let of_relation = bag["secret-extra"]["secret:".len()..].to_owned();
        let rotated = encoded(&[("client-id", "a"), ("client-secret", "c")]);
        model.secrets.get_mut(&URI["secret:".len()..]).expect("the user's").update(rotated.clone());
        assert_eq!(ask(&mut model, &[]), bag);
        assert_eq!(model.secrets[&of_relation].revisions[&2], rotated);
    }

    #[test]
    fn what_is_missing_is_said_and_nothing_told() {
        let mut model = model("azure-storage-integrator", &STORAGE[..1], &[]);
        assert_eq!(ask(&mut model, &[("container", "relation-7")]).keys().collect::<Vec<_>>(), ["data"]);
        assert_eq!(status(&model).message, r#"Missing parameters: ["storage-account", "credentials"]"#);
        model.applications.get_mut("integrator").expect("it").settings.remove(CREDENTIALS);
        ask(&mut model, &[]);
        assert_eq!(status(&model).value, StatusValue::Blocked);
    }
}
