//! How the S3 integrator answers whom it is related to.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::simulated::s3_integrator::{ENDPOINT, OPTIONS};
use super::super::simulated::{Dialect, S3Integrator, python_list};
use super::super::state::ModelState;
use super::exchange::{self, REQUESTED_SECRETS, note, publish, requester};

impl S3Integrator {
    pub(super) fn react(&mut self, model: &mut ModelState, application: &str) {
        let Some(ours) = model.applications.get(application) else { return };
        let settings = ours.settings.clone();
        let relations = exchange::relations(model, application, ENDPOINT);
        self.secrets.retain(|id, _| relations.contains(id));
        for id in relations {
            match self.dialect {
                Dialect::V0 => self.react_v0(model, application, id, &settings),
                Dialect::V1 => self.react_v1(model, application, id, &settings),
            }
        }
    }

    fn react_v0(&mut self, model: &mut ModelState, application: &str, id: u32, settings: &BTreeMap<String, Value>) {
        let Some(requested) = requester(model, application, id) else { return };
        let mut changes = BTreeMap::new();
        let seen = note(&requested, &mut changes);
        let Some(bucket) = seen.get("bucket").cloned() else {
            publish(model, application, id, &changes);
            return;
        };
        if !settings.contains_key("bucket") {
            self.adopted_bucket.get_or_insert(bucket);
        }
        changes.extend(published(settings));
        if let (false, Some(bucket)) = (settings.contains_key("bucket"), &self.adopted_bucket) {
            changes.insert("bucket".to_owned(), bucket.clone());
        }
        changes.insert("access-key".to_owned(), self.access_key.clone());
        changes.insert("secret-key".to_owned(), self.secret_key.clone());
        publish(model, application, id, &changes);
    }

    fn react_v1(&mut self, model: &mut ModelState, application: &str, id: u32, settings: &BTreeMap<String, Value>) {
        let mut changes = BTreeMap::from([("lib-version".to_owned(), "1.0".to_owned())]);
        let requested = requester(model, application, id).unwrap_or_default();
        note(&requested, &mut changes);
        let asks_for_secret = requested.contains_key(REQUESTED_SECRETS);
        let started = ["lib-version", "version", "bucket"].iter().any(|key| requested.contains_key(*key));
        let bucket = settings
            .get("bucket")
            .and_then(Value::as_str)
            .map(str::to_owned)
            // The bucket that an old client asks for is a placeholder.
            .or_else(|| requested.get("bucket").filter(|_| asks_for_secret).cloned());
        let (true, true, Some(bucket)) = (started, self.has_credentials(), bucket) else {
            publish(model, application, id, &changes);
            return;
        };
        changes.extend(published(settings));
        changes.insert("bucket".to_owned(), bucket);
        if let Some(path) = requested.get("path").filter(|_| asks_for_secret) {
            changes.insert("path".to_owned(), path.clone());
        }
        if asks_for_secret {
            let content = BTreeMap::from([
                ("access-key".to_owned(), self.access_key.clone()),
                ("secret-key".to_owned(), self.secret_key.clone()),
            ]);
            let relation = (application, ENDPOINT, id);
            changes.extend([exchange::keep_secret(model, &mut self.secrets, relation, &content)]);
        } else {
            changes.insert("access-key".to_owned(), self.access_key.clone());
            changes.insert("secret-key".to_owned(), self.secret_key.clone());
        }
        publish(model, application, id, &changes);
    }
}

/// Every option under the name and in the form that it has in the relation; an empty text where none is set.
fn published(settings: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let mut changes = BTreeMap::new();
    for option in OPTIONS {
        let value = settings.get(option).and_then(Value::as_str).unwrap_or_default();
        let (key, written) = match option {
            _ if value.is_empty() => (option, String::new()),
            "tls-ca-chain" => (option, python_list(&certificates(value))),
            "attributes" => (option, python_list(&value.split(',').map(str::to_owned).collect::<Vec<_>>())),
            "experimental-delete-older-than-days" => ("delete-older-than-days", value.to_owned()),
            _ => (option, value.to_owned()),
        };
        changes.insert(key.to_owned(), written);
    }
    changes.retain(|key, _| key != "experimental-delete-older-than-days");
    changes
}

/// The certificates of the option, which is PEM or base64 of it.
fn certificates(value: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let decoded = STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.unwrap_or_else(|| value.to_owned());
    text.split_inclusive(END).map(str::trim).filter(|each| !each.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::charm::Role;
    use super::super::super::names::SecretUri;
    use super::super::super::relation::{Relation, Side};
    use super::super::super::simulated::Simulated;
    use super::super::super::state::{Application, ApplicationKind, Life};
    use super::super::react;
    use super::*;

    fn model(dialect: Dialect, options: &[(&str, &str)], keys: bool) -> ModelState {
        let mut integrator = S3Integrator::new(dialect);
        if keys {
            integrator.sync_credentials("AKEXAMPLE0001", "s3cr3t");
        }
        let mut model = ModelState::new("demo");
        let settings = options.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        let application = Application {
            kind: ApplicationKind::Simulated {
                behaviour: Simulated::S3Integrator(integrator),
                metadata: S3Integrator::metadata(),
            },
            settings,
            trust: false,
            units: BTreeMap::new(),
            leader: None,
            status: None,
            workload_version: String::new(),
            life: Life::Alive,
            replicas: 0,
        };
        model.applications.insert("s3".to_owned(), application);
        let relation = Relation {
            id: 7,
            interface: "s3".to_owned(),
            sides: vec![Side::new("velero", ENDPOINT, Role::Requires), Side::new("s3", ENDPOINT, Role::Provides)],
            dying: false,
        };
        model.relations.insert(7, relation);
        model
    }

    fn ask(model: &mut ModelState, pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let changes: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let relation = model.relations.get_mut(&7).expect("the relation");
        relation.side_mut("velero").expect("the client").bag.apply(&changes);
        react(model, "s3");
        model.relations[&7].side("s3").expect("the integrator").bag.data.clone()
    }

    const CONFIGURED: &[(&str, &str)] = &[("bucket", "backups"), ("region", "eu-west-3")];

    #[test]
    fn dialect_0_says_nothing_before_it_is_asked_for_a_bucket() {
        let mut model = model(Dialect::V0, CONFIGURED, true);
        assert!(ask(&mut model, &[]).is_empty());
        let bag = ask(&mut model, &[("requested-secrets", "[\"access-key\"]")]);
        assert_eq!(bag.keys().collect::<Vec<_>>(), ["data"]);
        let bag = ask(&mut model, &[("bucket", "relation-7")]);
        assert_eq!((bag["bucket"].as_str(), bag["access-key"].as_str()), ("backups", "AKEXAMPLE0001"));
        assert_eq!(bag["data"], r#"{"bucket": "relation-7", "requested-secrets": "[\"access-key\"]"}"#);
    }

    #[test]
    fn dialect_0_takes_the_bucket_it_is_asked_for_when_it_has_none() {
        let mut model = model(Dialect::V0, &[], false);
        let bag = ask(&mut model, &[("bucket", "relation-7")]);
        assert_eq!(bag["bucket"], "relation-7");
        assert!(!bag.contains_key("access-key"), "{bag:?}");
    }

    #[test]
    fn reacting_twice_is_no_change() {
        for dialect in [Dialect::V0, Dialect::V1] {
            let mut model = model(dialect, CONFIGURED, true);
            ask(&mut model, &[("bucket", "relation-7"), ("requested-secrets", "[]"), ("lib-version", "1.0")]);
            let before = model.relations[&7].side("s3").expect("the integrator").bag.version;
            react(&mut model, "s3");
            assert_eq!(model.relations[&7].side("s3").expect("the integrator").bag.version, before);
        }
    }

    #[test]
    fn dialect_1_keeps_the_keys_in_a_secret_and_rotates_them_there() {
        let mut model = model(Dialect::V1, CONFIGURED, true);
        assert_eq!(ask(&mut model, &[]).keys().collect::<Vec<_>>(), ["lib-version"]);
        let bag = ask(&mut model, &[("requested-secrets", "[\"access-key\"]"), ("lib-version", "1.0")]);
        assert!(!bag.contains_key("access-key"));
        let uri: SecretUri = bag["secret-extra"].parse().expect("a URI");
        assert_eq!(model.secrets[&uri.id].latest(), 1);
        if let ApplicationKind::Simulated { behaviour: Simulated::S3Integrator(integrator), .. } =
            &mut model.applications.get_mut("s3").expect("the integrator").kind
        {
            integrator.sync_credentials("NEW", "NEWER");
        }
        let version = model.relations[&7].side("s3").expect("the integrator").bag.version;
        react(&mut model, "s3");
        assert_eq!(model.secrets[&uri.id].latest(), 2);
        assert_eq!(model.relations[&7].side("s3").expect("the integrator").bag.version, version);
    }

    #[test]
    fn dialect_1_answers_an_old_client_in_clear() {
        let mut model = model(Dialect::V1, CONFIGURED, true);
        let bag = ask(&mut model, &[("bucket", "relation-7")]);
        assert_eq!((bag["bucket"].as_str(), bag["access-key"].as_str()), ("backups", "AKEXAMPLE0001"));
    }

    #[test]
    fn certificates_become_a_list() {
        let one = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----";
        let chain = format!("{one}\n{one}\n");
        assert_eq!(certificates(&chain), [one, one]);
        assert_eq!(certificates(&STANDARD.encode(&chain)), [one, one]);
    }
}
