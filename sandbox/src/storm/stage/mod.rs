//! A cluster and a model, in which one case after the other takes place: each begins where its scenario does.

mod steps;

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{
    cluster::{
        control_plane::{ControlPlane, ControlPlaneError},
        etcd::{EtcdError, Stored},
        files::Files,
        objects::{Objects, ReadError, Reader},
        player::{Memory, Player},
    },
    doors::{
        api_proxy::{ApiProxy, ApiProxyError, ApiServer},
        cli_door::{self, CliDoor},
        gate::{Gate, Seen},
        juju_door::JujuDoor,
        operation::Door,
    },
    scenario::{APPLICATION, AZURE_KEYS, PASSWORD, PRINCIPAL_SECRETS, Scenario},
};
use crate::{
    host::ClusterAccess,
    juju::{self, HookRecord, Model, UnitName},
    object_store::{BucketError, GcsError, S3Access, S3Error, S3Server, service_account_key},
    progress::Progress,
};

/// The model, and so the namespace.
pub(super) const MODEL: &str = "storm";

/// The namespace of another Velero.
pub(super) const NEIGHBOUR: &str = "neighbour";

/// The bucket of all cases.
const BUCKET: &str = "storm";

/// Where the charm notes drills, and under which key the one that is under way.
const DRILL_BOOK: &str = "velero-operator-drills";
const UNDER_WAY: &str = "under-way";

/// How long an API server may take to serve the kinds that were defined, or forgotten, behind its back.
const SERVED_WITHIN: Duration = Duration::from_mins(2);

/// Within how many hooks everything is settled once nothing changes any more.
const SETTLED_WITHIN: usize = 8;

/// The units that there may be.
const UNITS: [u32; 2] = [0, 1];

/// The charm's program in its folder.
const PROGRAM: &str = "dispatch";

/// A store that only Velero's pods reach, as it were: nobody listens there.
const FAR: &str = "http://127.0.0.1:9";

/// Service accounts of Google's.
const ACCOUNTS: [&str; 2] = ["first", "second"];

/// Where their store is, in place of Google's own: nobody has an address there.
const UNIVERSE: &str = "storm.localhost";

/// Keys that the store knows beside its first ones.
const OTHER_KEYS: (&str, &str) = ("storm-other-access", "storm-other-secret-key");

/// Why a case cannot take place.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// There is no cluster.
    #[error("a storm needs an API server")]
    ControlPlane(#[from] ControlPlaneError),
    /// There is no way to it.
    #[error("a storm needs to stand between the charm and its API server")]
    ApiProxy(#[from] ApiProxyError),
    /// The store does not run.
    #[error("a storm needs an object store")]
    Store(#[from] S3Error),
    /// The store has no bucket.
    #[error("a storm needs a bucket")]
    Bucket(#[from] BucketError),
    /// There is no key file for Google's store.
    #[error("a storm needs a key file")]
    KeyFile(#[from] GcsError),
    /// Files cannot be used.
    #[error("a storm needs files")]
    Files(#[from] io::Error),
    /// The cluster does not do what it is told.
    #[error("the cluster does not do what the storm tells it")]
    Cluster(#[source] Box<kube::Error>),
    /// The cluster cannot be put back.
    #[error("the cluster cannot be made what it was")]
    Etcd(#[from] EtcdError),
    /// Juju does not do what it is told.
    #[error("Juju refuses {step}")]
    Juju {
        /// What it was to do.
        step: String,
        /// Why not.
        #[source]
        source: Box<juju::Error>,
    },
    /// Without any fault something is not as it should be.
    #[error("without any fault {scenario} does not end well: {reason}")]
    Calm {
        /// The scenario.
        scenario: &'static str,
        /// What is not.
        reason: String,
    },
}

impl From<ReadError> for StageError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::List(error) => error.into(),
            ReadError::Changes(error) => error.into(),
        }
    }
}

impl From<kube::Error> for StageError {
    fn from(error: kube::Error) -> Self {
        Self::Cluster(Box::new(error))
    }
}

/// Where a scenario begins.
pub(super) struct Beginning {
    stored: Stored,
    memory: Memory,
    model: PathBuf,
    objects: Objects,
}

impl Beginning {
    /// Returns what has been logged on a stage since, for people.
    pub(super) fn news(&self, stage: &Stage) -> Result<Vec<String>, StageError> {
        let length = std::fs::metadata(self.model.join("debug.log")).map_or(0, |file| file.len());
        let line = |text: &str| {
            let line: Value = serde_json::from_str(text).ok()?;
            Some(format!("{} {}", line["level"].as_str()?, line["message"].as_str()?))
        };
        Ok(stage.log_since(length)?.lines().filter_map(line).collect())
    }

    /// The objects that are there.
    pub(super) fn objects(&self) -> &Objects {
        &self.objects
    }
}

/// One cluster with one model.
pub(super) struct Stage {
    runtime: Handle,
    plane: ControlPlane,
    pub(super) gate: Arc<Gate>,
    pub(super) juju_door: Arc<JujuDoor>,
    pub(super) cli_door: CliDoor,
    pub(super) proxy: ApiProxy,
    pub(super) player: Arc<Player>,
    pub(super) reader: Arc<Reader>,
    pub(super) model: Model,
    store: S3Server,
    /// Key files of Google's service accounts, by their names.
    key_files: BTreeMap<&'static str, String>,
    /// As everything is before anything is done.
    empty: Stored,
    action_failed: AtomicBool,
    /// The charm's own program.
    own_program: PathBuf,
    /// What runs in its place, if anything.
    other_program: Mutex<Option<PathBuf>>,
}

impl Stage {
    /// Starts all of it, for the charm in a folder.
    pub(super) async fn start(charm: &Path, program: &Path, progress: &Progress) -> Result<Self, StageError> {
        let plane = ControlPlane::start(progress).await?;
        let folder = plane.folder().to_owned();
        let gate = Arc::new(Gate::default());
        let files = Files::serve(plane.access().server_address).await?;
        let player = Arc::new(Player::new(plane.client().clone(), plane.etcd().clone(), files, MODEL));
        player.make_node().await?;
        let reader = Arc::new(Reader::new(plane.client().clone(), plane.etcd().clone()));
        let server =
            ApiServer { address: plane.address(), authority: plane.authority(), administrator: plane.client().clone() };
        let here = plane.access().server_address;
        let way = ApiProxy::start(here, server, Arc::clone(&gate), Some(Arc::clone(&player))).await?;
        let cli_door = CliDoor::open(Arc::clone(&gate))?;
        cli_door.furnish(charm, program, &cli_door::folder(&folder))?;
        let access = ClusterAccess {
            service_port: way.address().port(),
            certificate_authority: way.authority().to_owned(),
            ..plane.access()
        };
        let juju_door = Arc::new(JujuDoor::new(Arc::clone(&gate)));
        let refused = |source| StageError::Juju { step: "a model".into(), source: Box::new(source) };
        let boundary: Arc<dyn juju::Boundary> = Arc::clone(&juju_door) as _;
        let model = Model::new(access, MODEL, &folder.join("juju"), program).map_err(refused)?.watched_by(boundary);
        model.automatically_retry_hooks(false).map_err(refused)?;
        let store = S3Server::start(&plane.access(), &folder.join("s3"), progress).await?;
        store.access().bucket(BUCKET)?;
        store.create_user(OTHER_KEYS.0, OTHER_KEYS.1).await?;
        let mut key_files = BTreeMap::new();
        for account in ACCOUNTS {
            let file = service_account_key(account).await?;
            key_files.insert(account, file.replace("googleapis.com", UNIVERSE));
        }
        let empty = plane.etcd().keep().await?;
        let runtime = Handle::current();
        Ok(Self {
            runtime,
            plane,
            gate,
            juju_door,
            cli_door,
            proxy: way,
            player,
            reader,
            model,
            store,
            key_files,
            empty,
            action_failed: AtomicBool::new(false),
            own_program: charm.join(PROGRAM),
            other_program: Mutex::default(),
        })
    }

    /// Has another program run in place of the charm's own, from where a scenario begins; `None` is the charm's own again.
    pub(super) fn put_in(&self, program: Option<PathBuf>) -> Result<(), StageError> {
        let link = cli_door::folder(self.plane.folder()).join(PROGRAM);
        std::fs::remove_file(&link)?;
        symlink(std::fs::canonicalize(program.as_ref().unwrap_or(&self.own_program))?, link)?;
        *self.other_program.lock().unwrap_or_else(PoisonError::into_inner) = program;
        Ok(())
    }

    /// Replaces the program that the model's units have on disk.
    fn replace_programs(&self) -> Result<(), StageError> {
        let program = self.other_program.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(program) = program else { return Ok(()) };
        let mut folders = vec![self.model.directory().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name() == PROGRAM {
                    std::fs::remove_file(entry.path())?;
                    std::fs::copy(&program, entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Waits for what is asked of the cluster.
    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Where what is asked of the cluster runs.
    pub(super) fn handle(&self) -> Handle {
        self.runtime.clone()
    }

    /// What may be in one Secret, and nowhere else, behind that Secret.
    pub(super) fn secrets(&self) -> [(&'static str, Vec<String>); 2] {
        let S3Access { access_key, secret_key, .. } = self.store.access();
        let of_files = self.key_files.values().filter_map(|file| middle_line(file));
        let keys =
            [secret_key, OTHER_KEYS.1, access_key, OTHER_KEYS.0].into_iter().chain(AZURE_KEYS).chain(PRINCIPAL_SECRETS);
        let keys = keys.chain(of_files).map(str::to_owned).collect();
        [("Secret storm/cloud-credentials", keys), ("Secret storm/velero-repo-credentials", vec![PASSWORD.to_owned()])]
    }

    /// Makes the cluster and the model what they are where a scenario begins, and keeps that.
    pub(super) fn prepare(&mut self, scenario: &'static Scenario) -> Result<Beginning, StageError> {
        let mut empty = self.empty.clone();
        self.wait(self.plane.etcd().put_back(&mut empty))?;
        self.empty = empty;
        self.wait(self.player.remember(Memory::new()));
        self.forget_model()?;
        self.gate.arm(&[]);
        for step in scenario.before {
            self.take(step)?;
        }
        self.keep_settled(self.plane.folder().join("beginnings").join(scenario.name), None)
    }

    /// Lets hooks run until they change nothing any more, or all is as it was when they did not, and keeps what there is then. What is
    /// still to be confirmed would be done in some runs of a scenario and not in others.
    fn keep_settled(&self, model: PathBuf, settled: Option<&Objects>) -> Result<Beginning, StageError> {
        for _ in 0..SETTLED_WITHIN {
            self.gate.arm(&[]);
            self.update_status()?;
            let writes = |seen: &Seen| seen.operation.door == Door::Api && seen.operation.is_write();
            if !self.gate.seen().iter().any(writes) || settled == Some(&self.objects()?) {
                break;
            }
        }
        self.model.keep(&model).map_err(|source| refused("to keep the model", source))?;
        let objects = self.objects()?;
        let stored = self.wait(self.plane.etcd().keep())?;
        Ok(Beginning { stored, memory: self.player.memory(), model, objects })
    }

    fn forget_model(&self) -> Result<(), StageError> {
        std::fs::remove_dir_all(self.model.directory())?;
        let again = self.model.automatically_retry_hooks(false);
        again.map_err(|source| refused("a new model", source))
    }

    /// Goes back to where a scenario begins.
    pub(super) fn go_back(&self, beginning: &mut Beginning) -> Result<(), StageError> {
        let put_back = self.wait(self.plane.etcd().put_back(&mut beginning.stored))?;
        self.wait(self.player.remember(beginning.memory.clone()));
        self.action_failed.store(false, Ordering::Relaxed);
        self.model.put_back(&beginning.model).map_err(|source| refused("to put the model back", source))?;
        if put_back.definitions {
            self.wait(self.until_served(beginning))?;
        }
        // A server that has said nothing for minutes counts as silent.
        self.wait(self.player.validate_again())?;
        // The charm knows credentials by their Secret's version, and has them validated that have another one.
        if put_back.secrets {
            *beginning = self.keep_settled(beginning.model.clone(), Some(&beginning.objects))?;
        }
        self.replace_programs()
    }

    /// Waits until the API server serves the kinds that are defined, and no others.
    async fn until_served(&self, beginning: &Beginning) -> Result<(), StageError> {
        let wanted = beginning.objects.get("CustomResourceDefinition backups.velero.io").is_some();
        // It follows its definitions within a moment as a rule, and tells nobody.
        let deadline = Instant::now() + SERVED_WITHIN;
        loop {
            let request = http::Request::get("/apis/velero.io/v1/backups").body(Vec::new());
            let answer = match request {
                Ok(request) => self.plane.client().request_text(request).await,
                Err(error) => Err(kube::Error::HttpError(error)),
            };
            let now = self.reader.read().await;
            let is_as_before = now.as_ref().is_ok_and(|now| *now == beginning.objects);
            if is_as_before && answer.is_ok() == wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                let mut reasons = now?.differences(&beginning.objects);
                reasons.push(match answer {
                    Ok(_) => "backups are listed".to_owned(),
                    Err(error) => format!("backups cannot be listed: {error}"),
                });
                return Err(StageError::Calm { scenario: "going back", reason: reasons.join("\n") });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns all objects as they are now.
    pub(super) fn objects(&self) -> Result<Objects, StageError> {
        Ok(self.wait(self.reader.read())?)
    }

    /// Has the hook run that comes every five minutes, and the rest of the world act on it.
    pub(super) fn update_status(&self) -> Result<Vec<HookRecord>, StageError> {
        let records = self.model.update_status().map_err(|source| refused("update-status", source))?;
        self.wait(self.player.play());
        Ok(records)
    }

    /// Has Juju try the failed hooks of units again, if any has failed.
    pub(super) fn retry(&self) -> Result<Option<Vec<HookRecord>>, StageError> {
        let mut retried = None;
        for unit in UNITS.map(|number| UnitName::new(APPLICATION, number)) {
            match self.model.resolved(&unit, true) {
                Ok(records) => {
                    self.wait(self.player.play());
                    retried.get_or_insert_with(Vec::new).extend(records);
                }
                Err(
                    juju::Error::NotInError(_)
                    | juju::Error::UnitNotFound { .. }
                    | juju::Error::ApplicationNotFound { .. },
                ) => {}
                Err(source) => return Err(refused("to try again", source)),
            }
        }
        Ok(retried)
    }

    /// Returns what the unit says of itself, as `word: message`; nothing where it has gone.
    pub(super) fn status(&self) -> Result<Option<String>, StageError> {
        let state = self.model.status().map_err(|source| refused("to tell the status", source))?;
        let unit =
            state.applications.get(APPLICATION).and_then(|application| application.units.get(&unit().to_string()));
        Ok(unit.map(|unit| {
            let word = serde_json::to_value(unit.workload_status.value).unwrap_or_default();
            format!("{}: {}", word.as_str().unwrap_or_default(), unit.workload_status.message)
        }))
    }

    /// Returns what the unit and its agent have logged since the log was so many bytes long.
    pub(super) fn log_since(&self, length: u64) -> Result<String, StageError> {
        let log = std::fs::read(self.model.directory().join("debug.log"))?;
        let from = usize::try_from(length).unwrap_or_default().min(log.len());
        Ok(String::from_utf8_lossy(&log[from..]).into_owned())
    }

    /// Returns how long the log is, in bytes.
    pub(super) fn log_length(&self) -> u64 {
        std::fs::metadata(self.model.directory().join("debug.log")).map_or(0, |file| file.len())
    }

    /// Lets a drill that is under way count as one that nobody has confirmed for long.
    pub(super) fn abandon_drills(&self) -> Result<(), StageError> {
        self.wait(async {
            let maps: Api<ConfigMap> = Api::namespaced(self.plane.client().clone(), MODEL);
            let book = maps.get_opt(DRILL_BOOK).await?;
            let Some(noted) = book.and_then(|book| book.data?.remove(UNDER_WAY)) else { return Ok(()) };
            let mut noted: Value = noted.parse().map_err(io::Error::from)?;
            noted["confirmed"] = "2026-01-31T10:00:00Z".into();
            let patch = json!({"data": {UNDER_WAY: noted.to_string()}});
            maps.patch(DRILL_BOOK, &PatchParams::default(), &Patch::Merge(patch)).await?;
            Ok(())
        })
    }

    /// Whether an action that was run since this was gone back to has failed.
    pub(super) fn action_failed(&self) -> bool {
        self.action_failed.load(Ordering::Relaxed)
    }
}

/// Returns a line of a key in a file, which is in it as JSON writes it.
fn middle_line(key_file: &str) -> Option<&str> {
    key_file.split("\\n").find(|line| line.len() > 40 && !line.contains('-'))
}

/// The unit that is there for as long as the application is.
fn unit() -> UnitName {
    UnitName::new(APPLICATION, 0)
}

fn refused(step: &str, source: juju::Error) -> StageError {
    StageError::Juju { step: step.to_owned(), source: Box::new(source) }
}
