//! How the integrators that are configured by options and by a secret of the user's answer whom they are related to.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::simulated::Integrator;
use super::super::simulated::integrator::{CREDENTIALS, Profile, profile};
use super::super::state::ModelState;
use super::exchange::{self, REQUESTED_SECRETS, note, publish, requester};

impl Integrator {
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
    use super::super::super::simulated::{Simulated, built_in};
    use super::super::super::state::{Application, ApplicationKind, Life};
    use super::super::super::status::{Status, StatusValue};
    use super::super::react;
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
