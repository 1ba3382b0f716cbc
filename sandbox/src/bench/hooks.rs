//! What the charm's hooks cost, by the local Juju.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use super::{
    BenchError, World,
    audit::AuditLog,
    cost::{Cost, total},
    objects::{Objects, Versions, changed},
    storage::{INTEGRATOR, SECOND_INTEGRATOR},
    task::Task,
    user::service_account,
};
use crate::juju::{ActionStatus, DeployOptions, HookRecord, Model, Progress, StatusValue, UnitName};

const APPLICATION: &str = "velero-operator";

impl World {
    /// The charm from its deployment to its removal; with it, as it needs a Velero with storage, the CLI's own `backup get`.
    pub(super) fn hooks(&self, round: u32) -> Result<Vec<(Task, Cost)>, BenchError> {
        let name = format!("by-charm-{round}");
        let recorder = Arc::new(Recorder::new(self, &name));
        let listener = Arc::clone(&recorder);
        let model = Model::new(self.cluster.access().clone(), &name, self.state.path(), &self.program)?
            .with_progress(move |progress| listener.hear(progress));
        let unit = UnitName::new(APPLICATION, 0);
        let mut costs = Vec::new();

        model.deploy(&self.charm, &DeployOptions { trust: true, ..DeployOptions::default() })?;
        let deploy = recorder.take()?;
        self.rest(&name)?;
        expect(&model, StatusValue::Blocked)?;
        let install = deploy.first().cloned().ok_or(BenchError::NoHook("install"))?;
        costs.push((Task::Install, install));
        costs.push((Task::Deploy, total(deploy)));

        self.offer_storage(&model)?;
        model.integrate(APPLICATION, INTEGRATOR)?;
        costs.push((Task::Integrate, total(recorder.take()?)));
        expect(&model, StatusValue::Active)?;
        self.rest(&name)?;

        model.update_status()?;
        costs.push((Task::UpdateStatus, total(recorder.take()?)));
        model.fire(&unit, "s3-credentials-relation-changed")?;
        costs.push((Task::RelationChanged, total(recorder.take()?)));

        let command = Map::from_iter([("command".to_owned(), Value::from("backup get"))]);
        let result = model.run_action(&unit, "run", &command)?;
        if result.status != ActionStatus::Completed {
            return Err(BenchError::Action(result.message));
        }
        costs.push((Task::RunBackupGet, total(recorder.take()?)));
        costs.push(self.backup_get(&name)?);

        self.renew_keys(&model, round)?;
        costs.push((Task::Rotate, total(recorder.take()?)));
        expect(&model, StatusValue::Active)?;

        model.configure(APPLICATION, "velero-image", Self::OTHER_IMAGE)?;
        costs.push((Task::ConfigChanged, total(recorder.take()?)));
        expect(&model, StatusValue::Active)?;

        model.configure(APPLICATION, "velero-image", Self::NO_IMAGE)?;
        costs.push((Task::FailedPull, total(recorder.take()?)));
        expect(&model, StatusValue::Blocked)?;

        model.reset(APPLICATION, &["velero-image"])?;
        expect(&model, StatusValue::Active)?;
        self.offer_second_storage(&model)?;
        let _kept = self.lead_to_second_store(&name)?;
        recorder.take()?;
        for (task, from, to) in
            [(Task::ToGcs, INTEGRATOR, SECOND_INTEGRATOR), (Task::ToS3, SECOND_INTEGRATOR, INTEGRATOR)]
        {
            model.remove_relation(APPLICATION, from)?;
            model.integrate(APPLICATION, to)?;
            costs.push((task, total(recorder.take()?)));
            expect(&model, StatusValue::Active)?;
        }

        model.destroy()?;
        recorder.take()?;
        self.remove(&name)?;
        Ok(costs)
    }

    /// Deploys what gives the charm its storage.
    fn offer_storage(&self, model: &Model) -> Result<(), BenchError> {
        let s3 = self.store.access();
        s3.bucket(Self::BUCKET).map_err(crate::object_store::S3Error::from)?;
        let options = [("bucket", Self::BUCKET), ("endpoint", &s3.endpoint), ("s3-uri-style", "path")];
        let config = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
        model.deploy_built_in(
            INTEGRATOR,
            &DeployOptions { config: BTreeMap::from(config), ..DeployOptions::default() },
        )?;
        model.sync_s3_credentials(INTEGRATOR, &s3.access_key, &s3.secret_key)?;
        Ok(())
    }
}

/// What is not as it should be must not be taken for fast.
fn expect(model: &Model, wanted: StatusValue) -> Result<(), BenchError> {
    let view = model.status()?;
    let unit = view.applications.get(APPLICATION).and_then(|application| application.units.values().next());
    match unit.map(|unit| &unit.workload_status) {
        Some(status) if status.value == wanted => Ok(()),
        Some(status) => Err(BenchError::Status(format!("{}: {}", status.value, status.message))),
        None => Err(BenchError::Status("gone".to_owned())),
    }
}

/// Hears of each hook of a model, and counts what it costs.
struct Recorder {
    runtime: Arc<Runtime>,
    objects: Objects,
    audit: AuditLog,
    namespace: String,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// The objects, and the length of the audit log, before the hook that runs.
    before: Option<(Versions, u64)>,
    costs: Vec<Cost>,
    trouble: Option<BenchError>,
}

impl Recorder {
    fn new(world: &World, namespace: &str) -> Self {
        Self {
            runtime: Arc::clone(&world.runtime),
            objects: world.objects.clone(),
            audit: world.audit.clone(),
            namespace: namespace.to_owned(),
            heard: Mutex::default(),
        }
    }

    fn hear(&self, progress: &Progress<'_>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match progress {
            Progress::Started { .. } => self.look().map(|before| heard.before = Some(before)),
            Progress::Ended { record, .. } => {
                let before = heard.before.take().unwrap_or_default();
                self.cost(before, record).map(|cost| heard.costs.push(cost))
            }
            Progress::Waiting | Progress::ActionLog { .. } => Ok(()),
        };
        if let Err(error) = outcome {
            heard.trouble.get_or_insert(error);
        }
    }

    fn look(&self) -> Result<(Versions, u64), BenchError> {
        let versions = self.runtime.block_on(self.objects.versions(&self.namespace))?;
        Ok((versions, self.audit.length().map_err(BenchError::Audit)?))
    }

    fn cost(&self, (before, log): (Versions, u64), record: &HookRecord) -> Result<Cost, BenchError> {
        if let Some(failure) = &record.failure {
            return Err(BenchError::Hook { hook: record.name.clone(), failure: failure.clone() });
        }
        let user = service_account(&self.namespace, APPLICATION);
        let api_calls = self.audit.requests_since(log, &user).map_err(BenchError::Audit)?;
        let after = self.runtime.block_on(self.objects.versions(&self.namespace))?;
        Ok(Cost {
            wall: record.outcome.wall,
            cpu: record.outcome.cpu,
            peak_memory: record.outcome.peak_memory,
            tool_calls: Some(record.tools.len() as u64),
            api_calls,
            changed: changed(&before, &after),
        })
    }

    /// What was heard since the last time, a cost for each hook.
    fn take(&self) -> Result<Vec<Cost>, BenchError> {
        let heard = mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        heard.trouble.map_or(Ok(heard.costs), Err)
    }
}
