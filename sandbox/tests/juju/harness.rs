//! A model without a cluster, and a charm that is a shell script.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sandbox::juju::cloud::{Cloud, CloudError, UnitAccess, Workload};
use sandbox::juju::{DeployOptions, HookRecord, Level, Model, UnitName, Whose};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// Notes what it is asked for and gives a token that no cluster knows.
#[derive(Default)]
pub struct FakeCloud {
    pub calls: Mutex<Vec<String>>,
}

impl FakeCloud {
    fn note(&self, call: String) {
        self.calls.lock().expect("no panic").push(call);
    }
}

impl Cloud for FakeCloud {
    fn create_model(&self, model: &str) -> Result<(), CloudError> {
        self.note(format!("create {model}"));
        Ok(())
    }

    fn destroy_model(&self, model: &str) -> Result<(), CloudError> {
        self.note(format!("destroy {model}"));
        Ok(())
    }

    fn ensure_application(&self, workload: &Workload<'_>) -> Result<(), CloudError> {
        let Workload { model, application, trust, .. } = workload;
        self.note(format!("{model}/{application} trust={trust}"));
        Ok(())
    }

    fn scale(&self, model: &str, application: &str, units: u32) -> Result<(), CloudError> {
        self.note(format!("{model}/{application} units={units}"));
        Ok(())
    }

    fn remove_application(&self, model: &str, application: &str) -> Result<(), CloudError> {
        self.note(format!("remove {model}/{application}"));
        Ok(())
    }

    fn unit_access(&self, _: &str, application: &str) -> Result<UnitAccess, CloudError> {
        Ok(UnitAccess {
            token: format!("token-of-{application}"),
            certificate_authority: "-----BEGIN CERTIFICATE-----".to_owned(),
            service_host: "10.152.183.1".to_owned(),
            service_port: 443,
            api_version: "1.33.1".to_owned(),
            namespaces_of: None,
            nameserver: None,
        })
    }
}

/// A model in a temporary folder.
pub struct Fixture {
    pub model: Model,
    pub cloud: Arc<FakeCloud>,
    pub folder: TempDir,
}

pub const METADATA: &str = "
name: example
summary: s
description: d
requires:
  store: {interface: s3, limit: 1}
  peerless: {interface: chat}
provides:
  metrics: {interface: scrape}
";

const CONFIG: &str = "
options:
  level: {type: int, default: 3}
  verbose: {type: boolean, default: false}
  image: {type: string, default: example/image:1}
  unset: {type: string}
";

const ACTIONS: &str = "
run:
  description: Runs.
  params: {command: {type: string}, limit: {type: integer, default: 5}}
  required: [command]
  additionalProperties: false
other: {}
";

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let cloud = Arc::new(FakeCloud::default());
        let program = Path::new(env!("CARGO_BIN_EXE_sandbox"));
        let model = Model::on(cloud.clone(), "demo", folder.path(), program).expect("a model");
        Self { model, cloud, folder }
    }

    /// A packed charm whose `dispatch` is the script, with `hook` set to the name of the hook or action.
    pub fn charm(&self, name: &str, script: &str) -> PathBuf {
        self.charm_with(name, &METADATA.replace("name: example", &format!("name: {name}")), script)
    }

    pub fn charm_with(&self, name: &str, metadata: &str, script: &str) -> PathBuf {
        let directory = self.folder.path().join(format!("source-{name}"));
        fs::create_dir_all(&directory).expect("a directory");
        let write = |file: &str, text: &str| fs::write(directory.join(file), text).expect("a file");
        write("metadata.yaml", metadata);
        write("config.yaml", CONFIG);
        write("actions.yaml", ACTIONS);
        write("manifest.yaml", "bases: [{name: ubuntu, channel: '24.04', architectures: [amd64]}]");
        write("dispatch", &format!("#!/bin/sh\nhook=${{JUJU_DISPATCH_PATH#*/}}\n{script}\n"));
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.join("dispatch"), executable).expect("permissions");
        directory
    }

    /// Deploys the script as the application `example`.
    pub fn deploy(&self, script: &str) -> Vec<HookRecord> {
        self.deploy_with(script, &DeployOptions::default())
    }

    pub fn deploy_with(&self, script: &str, options: &DeployOptions) -> Vec<HookRecord> {
        self.model.deploy(&self.charm("example", script), options).expect("deployed")
    }

    /// What the charm logged with `juju-log` or printed, oldest first.
    pub fn said(&self, unit: &UnitName) -> Vec<(Level, String)> {
        let lines = self.model.unit_log(unit).expect("a log");
        lines
            .into_iter()
            .filter(|line| line.module.starts_with("unit."))
            .map(|line| (line.level, line.message))
            .collect()
    }

    /// Runs `command` in the action `run` of `example/0`, whose script must evaluate it.
    pub fn evaluate(&self, command: &str) -> (i64, String, String) {
        let parameters = parameters(&[("command", command)]);
        let result = self.model.run_action(&unit(0), "run", &parameters).expect("an action");
        let text = |key: &str| result.results.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (result.results["return-code"].as_i64().expect("a number"), text("stdout"), text("stderr"))
    }

    pub fn application_bag(&self, relation: u32, application: &str) -> BTreeMap<String, String> {
        self.model.databag(relation, &Whose::Application(application.to_owned())).expect("a databag")
    }

    pub fn write(&self, relation: u32, application: &str, pairs: &[(&str, &str)]) -> Vec<HookRecord> {
        let whose = Whose::Application(application.to_owned());
        self.model.write_databag(relation, &whose, &map(pairs)).expect("written")
    }
}

/// A charm that does nothing but evaluate the parameter of its action `run`.
pub const EVALUATE: &str = r#"if [ "$hook" = run ]; then eval "$(action-get command)"; fi"#;

pub fn unit(number: u32) -> UnitName {
    UnitName::new("example", number)
}

pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn parameters(pairs: &[(&str, &str)]) -> Map<String, Value> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

pub fn names(records: &[HookRecord]) -> Vec<&str> {
    records.iter().map(|record| record.name.as_str()).collect()
}
