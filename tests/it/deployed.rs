//! The charm deployed in a model of its own, and the questions that tests have about it.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
    runtime::wait::await_condition,
};
use sandbox::{
    juju::{ActionResult, DeployOptions, HookRecord, Model, Scripted, Series, UnitName, Whose},
    storm::Interference,
};
use serde_json::{Map, Value, json};

use crate::{
    objects, observer_process,
    world::{self, World},
};

pub const APPLICATION: &str = "velero-operator";

/// The charm in a model.
pub struct Deployed {
    pub world: &'static World,
    pub model: Model,
    /// Every hook that ran, in order.
    pub records: Vec<HookRecord>,
}

pub fn trusted() -> DeployOptions {
    DeployOptions { trust: true, ..DeployOptions::default() }
}

impl Deployed {
    /// Deploys the charm with trust, in the world of all tests.
    pub fn new(name: &str) -> Self {
        Self::with(world::shared(), name, &trusted())
    }

    pub fn with(world: &'static World, name: &str, options: &DeployOptions) -> Self {
        Self::on(world, Self::model(world, name), options)
    }

    /// Deploys the charm with units whose system trusts one more authority.
    pub fn trusting(world: &'static World, name: &str, options: &DeployOptions, authority: &str) -> Self {
        Self::on(world, Self::model(world, name).trusting(authority), options)
    }

    /// Deploys the charm in a model of a series of Juju.
    pub fn of_series(world: &'static World, name: &str, options: &DeployOptions, series: Series) -> Self {
        let model = Self::model(world, name);
        model.of_series(series).unwrap();
        Self::on(world, model, options)
    }

    /// Deploys the charm in a model whose Juju can be asked for hooks, so that an observer watches.
    pub fn observed(world: &'static World, name: &str) -> Self {
        Self::observed_with(world, name, &trusted())
    }

    pub fn observed_with(world: &'static World, name: &str, options: &DeployOptions) -> Self {
        Self::on(world, Self::model(world, name).with_juju_exec(), options)
    }

    /// Deploys the charm in a model between which and the cluster somebody stands. A failed hook is tried again when that is asked for.
    pub fn interfered(world: &'static World, name: &str, interference: &Interference) -> Self {
        let access = interference.access().clone();
        let model = Model::new(access, name, &world.state, &world.program).unwrap();
        let model = model.watched_by(interference.boundary());
        model.automatically_retry_hooks(false).unwrap();
        Self::on(world, model, &trusted())
    }

    fn model(world: &World, name: &str) -> Model {
        Model::new(world.cluster.access().clone(), name, &world.state, &world.program).unwrap()
    }

    fn on(world: &'static World, model: Model, options: &DeployOptions) -> Self {
        let records = model.deploy(&world.charm, options).unwrap();
        Self { world, model, records }
    }

    pub fn unit() -> UnitName {
        UnitName::new(APPLICATION, 0)
    }

    /// Runs a verb and keeps the records of its hooks.
    pub fn after(&mut self, records: Vec<HookRecord>) -> &mut Self {
        self.records.extend(records);
        self
    }

    /// The first unit's status, as `word: message`.
    pub fn status(&self) -> String {
        self.status_of(0)
    }

    pub fn status_of(&self, unit: u32) -> String {
        let view = self.model.status().unwrap();
        let status = &view.applications[APPLICATION].units[&format!("{APPLICATION}/{unit}")].workload_status;
        let word = serde_json::to_value(status.value).unwrap();
        format!("{}: {}", word.as_str().unwrap(), status.message)
    }

    /// Relates an application that a test plays, with what it publishes.
    pub fn relate(&mut self, endpoint: &str, interface: &str, fields: &[(&str, &str)]) -> u32 {
        let name = format!("{endpoint}-provider");
        self.model.deploy_scripted(&Scripted::provider(&name, endpoint, interface)).unwrap();
        let (relation, records) = self.model.integrate(&format!("{APPLICATION}:{endpoint}"), &name).unwrap();
        self.after(records);
        self.publish(relation, endpoint, fields);
        relation
    }

    pub fn publish(&mut self, relation: u32, endpoint: &str, fields: &[(&str, &str)]) {
        let name = format!("{endpoint}-provider");
        let changes: BTreeMap<String, String> =
            fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let records = self.model.write_databag(relation, &Whose::Application(name), &changes).unwrap();
        self.after(records);
    }

    pub fn remove_relation(&mut self, endpoint: &str) {
        let records =
            self.model.remove_relation(&format!("{APPLICATION}:{endpoint}"), &format!("{endpoint}-provider")).unwrap();
        self.after(records);
    }

    /// Relates an application that a test plays, which requires the interface.
    pub fn relate_requirer(&mut self, endpoint: &str, interface: &str) -> u32 {
        let name = format!("{endpoint}-provider");
        self.model.deploy_scripted(&Scripted::requirer(&name, endpoint, interface)).unwrap();
        let (relation, records) = self.model.integrate(&format!("{APPLICATION}:{endpoint}"), &name).unwrap();
        self.after(records);
        relation
    }

    /// Relates a new bucket of the S3 server, and tells which.
    pub fn relate_s3(&mut self) -> String {
        let bucket = self.world.bucket();
        self.relate_bucket(&bucket);
        bucket
    }

    /// Relates a bucket of the S3 server.
    pub fn relate_bucket(&mut self, bucket: &str) {
        let s3 = self.world.s3();
        let fields = [
            ("bucket", bucket),
            ("endpoint", &s3.endpoint),
            ("access-key", &s3.access_key),
            ("secret-key", &s3.secret_key),
        ];
        self.relate("s3-credentials", "s3", &fields);
    }

    pub fn configure(&mut self, key: &str, value: &str) -> &mut Self {
        let records = self.model.configure(APPLICATION, key, value).unwrap();
        self.after(records)
    }

    /// Sets several options at once, as one `juju config` does.
    pub fn configure_all(&mut self, settings: &[(&str, &str)]) -> &mut Self {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let records = self.model.reconfigure(APPLICATION, &settings, &[]).unwrap();
        self.after(records)
    }

    pub fn reset(&mut self, key: &str) -> &mut Self {
        let records = self.model.reset(APPLICATION, &[key]).unwrap();
        self.after(records)
    }

    pub fn update_status(&mut self) -> HookRecord {
        let records = self.model.update_status().unwrap();
        let record = records.last().unwrap().clone();
        self.after(records);
        record
    }

    /// Runs hooks until the unit is Active.
    pub fn assert_becomes_active(&mut self) {
        self.assert_comes_to_say("active: ready");
    }

    /// Runs hooks until the unit's status has `text` in it. Mostly it has after the hook that brought the change; on a busy machine
    /// the next server may take longer than that hook waits for it.
    pub fn assert_comes_to_say(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_mins(2);
        while !self.status().contains(text) {
            assert!(Instant::now() < deadline, "{}", self.status());
            self.update_status();
        }
    }

    /// Runs a command of the Velero CLI by the action.
    pub fn run(&self, command: &str) -> ActionResult {
        self.run_on(0, command)
    }

    pub fn run_on(&self, unit: u32, command: &str) -> ActionResult {
        let parameters = Map::from_iter([("command".to_owned(), Value::from(command))]);
        self.model.run_action(&UnitName::new(APPLICATION, unit), "run", &parameters).unwrap()
    }

    pub fn run_well(&self, command: &str) -> String {
        let result = self.run(command);
        assert_eq!(result.message, "", "{command}: {:?}", result.results);
        result.results["output"].as_str().unwrap().to_owned()
    }

    pub fn namespace(&self) -> &str {
        self.model.name()
    }

    /// An object of the model's namespace, or of the cluster if its kind has no namespace.
    pub fn object(&self, kind: &str, name: &str) -> Option<Value> {
        let api = objects::api(self.world, self.namespace(), kind);
        self.world.runtime.block_on(api.get_opt(name)).unwrap().map(|object| json!(object))
    }

    /// All objects of a kind in the model's namespace.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let api = objects::api(self.world, self.namespace(), kind);
        let listed = self.world.runtime.block_on(api.list(&ListParams::default())).unwrap();
        listed.into_iter().map(|object| json!(object)).collect()
    }

    pub fn expect(&self, kind: &str, name: &str) -> Value {
        self.object(kind, name).unwrap_or_else(|| panic!("no {kind} {name} in {}", self.namespace()))
    }

    /// The pods with a label.
    pub fn pods_of(&self, label: &str) -> Vec<Value> {
        let api = objects::api(self.world, self.namespace(), "Pod");
        let pods = self.world.runtime.block_on(api.list(&ListParams::default().labels(label))).unwrap();
        pods.items.into_iter().map(|pod| json!(pod)).collect()
    }

    pub fn delete(&self, kind: &str, name: &str) {
        let api = objects::api(self.world, self.namespace(), kind);
        self.world.runtime.block_on(api.delete(name, &DeleteParams::default())).unwrap();
    }

    /// Changes an object as somebody else would, under another field manager.
    pub fn edit(&self, kind: &str, name: &str, patch: &Value) {
        self.edit_as("somebody", kind, name, patch);
    }

    /// As [`Deployed::edit`], but what is in a list is found by its name.
    pub fn edit_by_strategy(&self, kind: &str, name: &str, patch: &Value) {
        let api = objects::api(self.world, self.namespace(), kind);
        let (parameters, patch) = (PatchParams::default(), Patch::Strategic(patch));
        self.world.runtime.block_on(api.patch(name, &parameters, &patch)).unwrap();
    }

    pub fn edit_as(&self, manager: &str, kind: &str, name: &str, patch: &Value) {
        let api = objects::api(self.world, self.namespace(), kind);
        let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        self.world.runtime.block_on(api.patch(name, &parameters, &Patch::Merge(patch))).unwrap();
    }

    /// Applies fields of an object as another program would that applies on the server's side.
    pub fn apply_as_somebody(&self, kind: &str, name: &str, object: &Value) {
        let api = objects::api(self.world, self.namespace(), kind);
        let parameters = PatchParams::apply("somebody-who-applies");
        self.world.runtime.block_on(api.patch(name, &parameters, &Patch::Apply(object))).unwrap();
    }

    pub fn uid(&self, kind: &str, name: &str) -> String {
        self.expect(kind, name)["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// Everything that belongs to Velero by kind and name, with what tells that somebody wrote to it.
    pub fn versions(&self) -> BTreeMap<String, String> {
        objects::versions(self.world, self.namespace())
    }

    /// Everything in the model's namespace, whoever made it, by kind and name, with what tells that somebody wrote to it.
    pub fn everything(&self) -> BTreeMap<String, String> {
        objects::everything(self.world, self.namespace())
    }

    /// What is in the model's namespace, whoever made it, by kind and name.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.everything().into_keys().collect();
        names.retain(|name| !name.starts_with("CustomResourceDefinition"));
        names
    }

    /// [`Self::versions`] with the pods that run.
    pub fn standing(&self) -> BTreeMap<String, String> {
        let mut standing = self.versions();
        standing.extend(self.pods());
        standing
    }

    /// The pods of the server and the node agent by name, with what tells that one was made anew or started again.
    pub fn pods(&self) -> BTreeMap<String, String> {
        objects::pods(self.world, self.namespace())
    }

    /// Watches an object until it is as `wanted`.
    pub fn until(&self, kind: &str, name: &str, wanted: impl Fn(Option<&Value>) -> bool) {
        let api = objects::api(self.world, self.namespace(), kind);
        let is_wanted = |object: Option<&DynamicObject>| wanted(object.map(|object| json!(object)).as_ref());
        let becoming = await_condition(api, name, is_wanted);
        let became =
            self.world.runtime.block_on(async { tokio::time::timeout(Duration::from_mins(4), becoming).await });
        became.unwrap_or_else(|_| panic!("{kind} {name}: {:?}", self.object(kind, name))).unwrap();
    }

    /// Watches an object until it is in that phase.
    pub fn until_phase(&self, kind: &str, name: &str, phase: &str) {
        self.until(kind, name, |object| object.is_some_and(|object| object["status"]["phase"] == phase));
    }

    /// Scales the server to 0, and waits until no pod of it is left: one that is on its way out still takes backups.
    pub fn end_server(&self) {
        self.edit("Deployment", "velero", &json!({"spec": {"replicas": 0}}));
        for pod in self.pods_of("deploy=velero") {
            self.until("Pod", pod["metadata"]["name"].as_str().unwrap(), |pod| pod.is_none());
        }
        assert_eq!(self.pods_of("deploy=velero"), [] as [Value; 0]);
    }

    /// Makes an object as somebody else would.
    pub fn create(&self, kind: &str, object: &Value) {
        let api = objects::api(self.world, self.namespace(), kind);
        let object = serde_json::from_value(object.clone()).unwrap();
        self.world.runtime.block_on(api.create(&PostParams::default(), &object)).unwrap();
    }

    /// Makes many objects as somebody else would, with many requests at a time.
    pub fn create_all(&self, kind: &str, objects: impl IntoIterator<Item = Value>) {
        let api = &objects::api(self.world, self.namespace(), kind);
        let making = stream::iter(objects).for_each_concurrent(64, |object| async move {
            let object = serde_json::from_value(object).unwrap();
            // A server that is very busy loses connections, and the answers of what it has made.
            for attempt in 1..=5 {
                match api.create(&PostParams::default(), &object).await {
                    Err(kube::Error::Service(_)) if attempt < 5 => {}
                    Err(kube::Error::Api(status)) if status.code == 409 => break,
                    made => {
                        made.unwrap();
                        break;
                    }
                }
            }
        });
        self.world.runtime.block_on(making);
    }

    pub fn charm_directory(&self) -> std::path::PathBuf {
        self.model.directory().to_owned()
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.model.log().unwrap_or_default() {
                eprintln!("{} {} {} {}", line.time, line.entity, line.level.name(), line.message);
            }
        }
        observer_process::end_all(self.model.directory());
        // What is left of the model would take memory and time from the tests that still run.
        objects::forget(self.world, self.namespace());
    }
}

/// What makes a namespace look like one with a Velero of its own.
pub fn other_velero(world: &World, namespace: &str) {
    objects::make_namespace(world, namespace);
    let api: Api<DynamicObject> = Api::namespaced_with(
        world.client.clone(),
        namespace,
        &ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment")),
    );
    let labels = json!({"component": "velero", "deploy": "velero"});
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "velero", "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "velero", "image": "velero/velero:v1.18.3"}]}}},
    });
    let parameters = PatchParams::apply("somebody").force();
    world.runtime.block_on(api.patch("velero", &parameters, &Patch::Apply(&deployment))).unwrap();
}

/// Whether any file below a folder holds the text.
pub fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(content) = std::fs::read(&path)
                && content.windows(text.len()).any(|window| window == text.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
