//! The charm in a model, with what each of its hooks costs.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::runtime::Runtime;

use super::{
    BenchError, World,
    audit::AuditLog,
    cost::Cost,
    objects::{Objects, Versions, changed},
    storage::INTEGRATOR,
    user::service_account,
};
use crate::{
    cluster::ClusterAccess,
    juju::{DeployOptions, HookRecord, Model, Progress, Status, StatusValue},
};

pub(super) const APPLICATION: &str = "velero-operator";

/// How the charm is deployed.
pub(super) fn trusted() -> DeployOptions {
    DeployOptions { trust: true, ..DeployOptions::default() }
}

impl World {
    /// A model, and what hears of its hooks.
    pub(super) fn model(&self, name: &str) -> Result<(Model, Arc<Recorder>), BenchError> {
        self.model_on(self.cluster.access(), name)
    }

    /// The same on a cluster that its charms reach so.
    pub(super) fn model_on(&self, access: &ClusterAccess, name: &str) -> Result<(Model, Arc<Recorder>), BenchError> {
        let recorder = Arc::new(Recorder::new(self, name));
        let listener = Arc::clone(&recorder);
        let model = Model::new(access.clone(), name, self.state.path(), &self.program)?
            .with_progress(move |progress| listener.hear(progress));
        Ok((model, recorder))
    }

    /// A model in which the charm has storage and is Active.
    pub(super) fn active_model(&self, name: &str) -> Result<(Model, Arc<Recorder>), BenchError> {
        let (model, recorder) = self.model(name)?;
        model.deploy(&self.charm, &trusted())?;
        self.offer_storage(&model)?;
        model.integrate(APPLICATION, INTEGRATOR)?;
        recorder.take()?;
        expect(&model, StatusValue::Active)?;
        Ok((model, recorder))
    }

    /// Deploys what gives the charm its storage.
    pub(super) fn offer_storage(&self, model: &Model) -> Result<(), BenchError> {
        let s3 = self.store.access();
        s3.bucket(Self::BUCKET).map_err(crate::object_store::S3Error::from)?;
        // A place belongs to one application.
        let path = model.name();
        let options = [("bucket", Self::BUCKET), ("path", path), ("endpoint", &s3.endpoint), ("s3-uri-style", "path")];
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
pub(super) fn expect(model: &Model, wanted: StatusValue) -> Result<(), BenchError> {
    match status(model)? {
        Some(status) if status.value == wanted => Ok(()),
        status => Err(unexpected(status.as_ref())),
    }
}

/// The status of the charm's unit, if it is there.
pub(super) fn status(model: &Model) -> Result<Option<Status>, BenchError> {
    let view = model.status()?;
    let unit = view.applications.get(APPLICATION).and_then(|application| application.units.values().next());
    Ok(unit.map(|unit| unit.workload_status.clone()))
}

/// That the unit should not be as it is.
pub(super) fn unexpected(status: Option<&Status>) -> BenchError {
    BenchError::Status(
        status.map_or_else(|| "gone".to_owned(), |status| format!("{}: {}", status.value, status.message)),
    )
}

/// What a hook cost, and why it failed if it did.
#[derive(Debug)]
pub(super) struct Measured {
    pub hook: String,
    pub cost: Cost,
    pub failure: Option<String>,
}

/// Hears of each hook of a model, and counts what it costs.
pub(super) struct Recorder {
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
    hooks: Vec<Measured>,
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
                self.measure(before, record).map(|hook| heard.hooks.push(hook))
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

    fn measure(&self, (before, log): (Versions, u64), record: &HookRecord) -> Result<Measured, BenchError> {
        let user = service_account(&self.namespace, APPLICATION);
        let api_calls = self.audit.requests_since(log, &user).map_err(BenchError::Audit)?;
        let after = self.runtime.block_on(self.objects.versions(&self.namespace))?;
        let cost = Cost {
            wall: record.outcome.wall,
            cpu: record.outcome.cpu,
            peak_memory: record.outcome.peak_memory,
            own_peak_memory: Some(record.outcome.own_peak_memory),
            tool_calls: Some(record.tools.len() as u64),
            api_calls,
            changed: changed(&before, &after),
        };
        Ok(Measured { hook: record.name.clone(), cost, failure: record.failure.clone() })
    }

    /// What was heard since the last time, a cost for each hook. None of them may have failed.
    pub(super) fn take(&self) -> Result<Vec<Cost>, BenchError> {
        let succeeded = |Measured { hook, cost, failure }| match failure {
            Some(failure) => Err(BenchError::Hook { hook, failure }),
            None => Ok(cost),
        };
        self.take_all()?.into_iter().map(succeeded).collect()
    }

    /// The same where hooks may fail.
    pub(super) fn take_all(&self) -> Result<Vec<Measured>, BenchError> {
        let heard = mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        heard.trouble.map_or(Ok(heard.hooks), Err)
    }
}
