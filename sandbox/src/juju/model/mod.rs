//! A model and the verbs on it.

mod action;
mod application;
mod ending;
mod exec;
mod options;
mod relations;
mod remote;
mod session;
mod status;
mod user_secrets;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::agent::{Disturbance, HookRecord};
use super::boundary::Boundary;
use super::cloud::{Cloud, KubernetesCloud};
use super::context::Meanwhile;
use super::environment::Execution;
use super::error::Error;
use super::hook::Hook;
use super::interruption::Interruption;
use super::log::{Log, LogLine};
use super::names::UnitName;
use super::resolver::hook_named;
use super::state::ModelState;
use super::status::Status;
use super::store::Store;
use crate::host::ClusterAccess;
pub use action::{ActionResult, ActionStatus};
pub use application::DeployOptions;
use exec::ExecSockets;
pub use remote::Scripted;
pub use status::{ApplicationView, ModelView, RelationView, UnitView};

/// How long a hook or action may take unless told otherwise.
const RUN_LIMIT: Duration = Duration::from_secs(1000);

/// What happens while a verb works.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Another verb works on the model; this one waits for it.
    Waiting,
    /// A hook or action begins.
    Started {
        /// The unit.
        unit: &'a UnitName,
        /// The hook or action.
        execution: &'a Execution,
    },
    /// An action has logged a line.
    ActionLog {
        /// The line.
        message: &'a str,
    },
    /// A hook or action has ended.
    Ended {
        /// What happened.
        record: &'a HookRecord,
        /// How the unit is now.
        status: &'a Status,
    },
}

type OnProgress = Arc<dyn Fn(&Progress<'_>) + Send + Sync>;

/// A model. Its verbs do their work and then run all hooks that became due, until nothing more is.
///
/// Several models may be used at once, also one model from several threads or processes: a verb waits for the one before.
#[derive(Clone)]
pub struct Model {
    name: String,
    store: Store,
    cloud: Arc<dyn Cloud>,
    authority: Option<Arc<str>>,
    program: PathBuf,
    progress: OnProgress,
    run_limit: Duration,
    disturbance: Arc<Mutex<Option<Disturbance>>>,
    meanwhile: Arc<Mutex<Meanwhile>>,
    /// Of the verb that began last.
    interruption: Arc<Mutex<Weak<Interruption>>>,
    boundary: Option<Arc<dyn Boundary>>,
    /// Where its units have `juju-exec`.
    exec: Option<Arc<ExecSockets>>,
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Model").field("name", &self.name).field("store", &self.store).finish_non_exhaustive()
    }
}

impl Model {
    /// The model `name` on that cluster, kept under the folder `state`. `program` is the sandbox program, which the
    /// hook tools are links to: see [`crate::program`].
    ///
    /// # Errors
    /// When the name is no model's or the folder cannot be made.
    pub fn new(access: ClusterAccess, name: &str, state: &Path, program: &Path) -> Result<Self, Error> {
        Self::on(Arc::new(KubernetesCloud::new(access)), name, state, program)
    }

    /// The same on any cloud.
    ///
    /// # Errors
    /// When the name is no model's or the folder cannot be made.
    pub fn on(cloud: Arc<dyn Cloud>, name: &str, state: &Path, program: &Path) -> Result<Self, Error> {
        let fits = |each: char| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '-';
        if name.is_empty() || name.len() > 63 || !name.chars().all(fits) || name.starts_with('-') || name.ends_with('-')
        {
            return Err(Error::InvalidName { what: "model", name: name.to_owned() });
        }
        let store = Store::new(state, name);
        store.create()?;
        Ok(Self {
            name: name.to_owned(),
            store,
            cloud,
            authority: None,
            program: program.to_owned(),
            progress: Arc::new(|_| {}),
            run_limit: RUN_LIMIT,
            disturbance: Arc::default(),
            meanwhile: Arc::default(),
            interruption: Arc::default(),
            boundary: None,
            exec: None,
        })
    }

    /// The same model, which tells what happens as it happens.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// The same model with another time limit for hooks and actions.
    #[must_use]
    pub fn with_run_limit(mut self, limit: Duration) -> Self {
        self.run_limit = limit;
        self
    }

    /// The same model with units whose system trusts one more authority, given as PEM.
    #[must_use]
    pub fn trusting(mut self, certificate: &str) -> Self {
        self.authority = Some(certificate.into());
        self
    }

    /// The same model, where somebody stands between its charms and Juju.
    #[must_use]
    pub fn watched_by(mut self, boundary: Arc<dyn Boundary>) -> Self {
        self.boundary = Some(boundary);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder: `model.json`, `debug.log`, `hooks.jsonl`, the units' charms.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.store.directory()
    }

    /// Lets something go wrong in the next hook or action of this model, whichever verb runs it.
    pub fn disturb_next_run(&self, disturbance: Disturbance) {
        *self.disturbance.lock().unwrap_or_else(PoisonError::into_inner) = Some(disturbance);
    }

    fn take_disturbance(&self) -> Option<Disturbance> {
        self.disturbance.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Changes the model while its next hook or action runs, right before that tool call (from 1) is answered: as another
    /// client of the controller would, whose verb waits here until the hook has ended.
    pub fn change_during_next_run(&self, call: usize, change: impl FnOnce(&mut ModelState) + Send + 'static) {
        self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).insert(call, Box::new(change));
    }

    fn take_meanwhile(&self) -> Meanwhile {
        std::mem::take(&mut self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the verb that this process has at work on the model, killing the charm that it runs, and returns when it has
    /// ended: with [`Error::Interrupted`]. The next verb begins with the hook that was killed.
    ///
    /// # Errors
    /// When the model's files cannot be used.
    pub fn interrupt(&self) -> Result<(), Error> {
        let at_work = self.interruption.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(interruption) = at_work {
            interruption.ask();
            drop(self.store.lock(|| {})?);
        }
        Ok(())
    }

    fn at_work(&self) -> Arc<Interruption> {
        let interruption = Arc::new(Interruption::default());
        *self.interruption.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&interruption);
        interruption
    }

    /// Runs `update-status` on every unit.
    ///
    /// # Errors
    /// When a charm cannot be run.
    pub fn update_status(&self) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.settle()?;
        for unit in session.charm_units() {
            session.run_unless_failed(&unit, &Hook::UpdateStatus)?;
        }
        session.finish()
    }

    /// Runs the hook of that name on a unit once more, as it would be run now.
    ///
    /// # Errors
    /// When there is no such unit, or nothing that the hook could be about.
    pub fn fire(&self, unit: &UnitName, hook: &str) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.settle()?;
        session.unit(unit)?;
        let hook = hook_named(hook, &session.state, unit).ok_or_else(|| Error::RelationNotFound(hook.to_owned()))?;
        session.run_unless_failed(unit, &hook)?;
        session.finish()
    }

    /// Runs whatever is due: what a verb that was killed left undone, and hooks that failed.
    ///
    /// # Errors
    /// When a charm cannot be run.
    pub fn settle(&self) -> Result<Vec<HookRecord>, Error> {
        self.begin()?.finish()
    }

    /// Runs the failed hook of a unit again, or with `retry` false takes it as done.
    ///
    /// # Errors
    /// When the unit is not in error.
    pub fn resolved(&self, unit: &UnitName, retry: bool) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        let failed = session.unit(unit)?.seen.failed.clone().ok_or_else(|| Error::NotInError(unit.clone()))?;
        if retry {
            session.retry(unit)?;
        } else {
            session.skip(unit, &failed)?;
        }
        session.finish()
    }

    /// What the controller knows, as it was saved last; does not wait for a verb that works.
    ///
    /// # Errors
    /// When the model's files cannot be read.
    pub fn state(&self) -> Result<ModelState, Error> {
        Ok(self.store.load()?.unwrap_or_else(|| ModelState::new(&self.name)))
    }

    /// Copies all that Juju knows of the model, and what its units have on disk, to a folder that is not there yet.
    ///
    /// # Errors
    /// When the files cannot be copied.
    pub fn keep(&self, folder: &Path) -> Result<(), Error> {
        Ok(self.store.keep(folder)?)
    }

    /// Makes all that Juju knows of the model, and what its units have on disk, what it was when it was kept in the folder.
    ///
    /// # Errors
    /// When the files cannot be copied.
    pub fn put_back(&self, folder: &Path) -> Result<(), Error> {
        Ok(self.store.put_back(folder)?)
    }

    /// Everything that was logged in the model.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<Vec<LogLine>, Error> {
        let path = self.store.log_path();
        let lines = Log::open(&path).and_then(|log| log.lines());
        lines.map_err(|source| Error::Log { path, source })
    }

    /// What one unit logged.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn unit_log(&self, unit: &UnitName) -> Result<Vec<LogLine>, Error> {
        let tag = unit.tag();
        Ok(self.log()?.into_iter().filter(|line| line.entity == tag).collect())
    }

    /// Removes all applications with their hooks, then the namespace with all that is left in it, then the model's
    /// files.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn destroy(&self) -> Result<Vec<HookRecord>, Error> {
        let names: Vec<String> = self.state()?.applications.into_keys().collect();
        let mut records = Vec::new();
        for name in names {
            records.extend(self.remove_application(&name, true)?);
        }
        self.cloud.destroy_model(&self.name)?;
        self.store.forget()?;
        Ok(records)
    }
}
