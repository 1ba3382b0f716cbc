//! What may keep an installation from working, and how it is worded: here alone.

use jiff::Timestamp;

use crate::status::Status;

/// Something of an installation that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// An object is not there (yet).
    Missing {
        /// Which: `Deployment velero`.
        object: &'static str,
    },
    /// An object was not applied from the planned manifest (yet).
    NotApplied { object: &'static str },
    /// The rollout of an object is not complete.
    RollingOut {
        object: &'static str,
        /// What is missing: `to be rolled out`.
        missing: String,
        /// From when on it counts as lasting; `None` as long as the cluster has not begun with it.
        lasting_from: Option<Timestamp>,
    },
    /// The API server does not take the pods of an object. Mostly a person has to allow them.
    NotAdmitted {
        object: &'static str,
        reason: String,
        /// From when on it counts as lasting: a moment after a change, the cluster has not yet tried the pods of the latest template.
        lasting_from: Timestamp,
    },
    /// No node takes a pod.
    Unschedulable {
        pod: String,
        /// What the scheduler says.
        reason: String,
        /// From when on it counts as lasting; `None` as long as a pod is about to make room.
        lasting_from: Option<Timestamp>,
    },
    /// An image cannot be pulled.
    ImageNotPulled {
        image: String,
        /// What it is for.
        purpose: ImagePurpose,
        /// The kubelet's word for it: `ImagePullBackOff`.
        reason: String,
        /// What the container runtime says.
        cause: String,
    },
    /// A container cannot be started.
    NotStarted {
        container: String,
        pod: String,
        /// The kubelet's word for it: `CreateContainerConfigError`.
        reason: String,
        /// What the kubelet says.
        cause: String,
    },
    /// A container ends soon after each start.
    CrashLooping {
        container: String,
        pod: String,
        /// How it ended: `Error, exit code 1`; empty where that is not known.
        end: String,
        /// The last line that it said.
        last_words: Option<String>,
    },
    /// A server that was told to end goes on for a moment.
    PreviousServer {
        pod: String,
        /// From when on it is not going to end by itself.
        lost_from: Timestamp,
    },
    /// A server that was told to end is still there long after it should have been killed: its node is lost.
    LostServer { pod: String, node: String },
    /// The server has not said yet whether the storage can be used.
    NotValidated {
        /// From when on the storage is taken for one that does not answer.
        silent_from: Option<Timestamp>,
    },
    /// The server has had the time to validate the storage, and has said nothing.
    StorageSilent {
        /// Which store: its address, or what else is known of it.
        store: String,
        /// Why its name cannot be found, if that is so.
        lookup: Option<String>,
    },
    /// The server has said nothing of the storage, and is not restarted yet.
    StuckServer {
        /// Which store: its address, or what else is known of it.
        store: String,
        /// What the restart waits for.
        restart: String,
    },
    /// The server says that the storage cannot be used.
    StorageUnusable {
        /// In its words.
        message: String,
    },
}

/// What an image is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ImagePurpose {
    /// The server and the node agent.
    Velero,
    Plugin,
    /// A container that something in the cluster has added to the pods.
    Addition,
}

/// What a person sets to choose the images.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ImageOptions {
    /// The option with the image of the server and the node agent.
    pub velero: &'static str,
    /// The option with the image of the plugin, if there is a plugin.
    pub plugin: Option<&'static str>,
}

impl ImageOptions {
    fn of(self, purpose: ImagePurpose) -> Option<&'static str> {
        match purpose {
            ImagePurpose::Velero => Some(self.velero),
            ImagePurpose::Plugin => self.plugin,
            ImagePurpose::Addition => None,
        }
    }
}

impl Trouble {
    /// Whether waiting for some seconds more would not change it.
    pub(crate) fn is_lasting(&self, now: Timestamp) -> bool {
        match self {
            Self::ImageNotPulled { .. }
            | Self::NotStarted { .. }
            | Self::CrashLooping { .. }
            | Self::LostServer { .. }
            | Self::StorageSilent { .. }
            | Self::StuckServer { .. }
            | Self::StorageUnusable { .. } => true,
            Self::NotAdmitted { lasting_from, .. } => now >= *lasting_from,
            Self::Unschedulable { lasting_from, .. } | Self::RollingOut { lasting_from, .. } => {
                lasting_from.is_some_and(|from| now >= from)
            }
            Self::Missing { .. }
            | Self::NotApplied { .. }
            | Self::PreviousServer { .. }
            | Self::NotValidated { .. } => false,
        }
    }

    /// Returns when it becomes another trouble, or a lasting one, by the passing of time alone.
    pub(crate) fn turns_at(&self) -> Option<Timestamp> {
        match self {
            Self::Unschedulable { lasting_from: at, .. }
            | Self::RollingOut { lasting_from: at, .. }
            | Self::NotValidated { silent_from: at } => *at,
            Self::PreviousServer { lost_from: at, .. } | Self::NotAdmitted { lasting_from: at, .. } => Some(*at),
            _ => None,
        }
    }

    /// Whether it is the storage that does not work, by what the server says or does not say.
    pub(crate) fn is_of_storage(&self) -> bool {
        matches!(self, Self::StorageSilent { .. } | Self::StorageUnusable { .. })
    }

    /// Returns the trouble as the status of a unit.
    pub(crate) fn status(&self, options: &ImageOptions) -> Status {
        match self {
            Self::Missing { object } => Status::Waiting(format!("for {object} to be made")),
            Self::NotApplied { object } => Status::Waiting(format!("for {object} to be changed as planned")),
            Self::RollingOut { object, missing, .. } => Status::Waiting(format!("for {object} {missing}")),
            Self::NotAdmitted { object, reason, .. } => {
                Status::Blocked(format!("the cluster does not admit the pods of {object}: {reason}"))
            }
            Self::Unschedulable { pod, reason, .. } => {
                Status::Waiting(format!("for pod {pod} to find a node: {reason}"))
            }
            Self::ImageNotPulled { image, purpose, reason, cause } => {
                let remedy =
                    options.of(*purpose).map_or(String::new(), |option| format!(", check the option {option}"));
                Status::Blocked(format!("cannot pull image {image} ({reason}){remedy}: {cause}"))
            }
            Self::NotStarted { container, pod, reason, cause } => {
                Status::Blocked(format!("container {container} of pod {pod} cannot start ({reason}): {cause}"))
            }
            Self::CrashLooping { container, pod, end, last_words } => {
                let end = if end.is_empty() { String::new() } else { format!(" ({end})") };
                let last_words = last_words.as_deref().unwrap_or("see its log");
                Status::Blocked(format!("container {container} of pod {pod} is crash-looping{end}: {last_words}"))
            }
            Self::PreviousServer { pod, .. } => Status::Waiting(format!("for pod {pod} of the previous server to end")),
            Self::LostServer { pod, node } => Status::Blocked(format!(
                "pod {pod} of the previous server is stuck terminating on node {node}, which seems to be lost: bring the node back, or \
                 kubectl delete node {node}, or kubectl delete pod {pod} --force"
            )),
            Self::NotValidated { .. } => {
                Status::Waiting("for BackupStorageLocation default to be validated".to_owned())
            }
            Self::StorageSilent { store, lookup: Some(why) } => {
                Status::Blocked(format!("storage does not answer: the name of {store} cannot be found: {why}"))
            }
            Self::StorageSilent { store, lookup: None } => Status::Blocked(format!(
                "storage does not answer: Velero got no answer from {store} so far, check that it runs and can be reached from \
                 the cluster"
            )),
            Self::StuckServer { store, restart } => Status::Waiting(format!(
                "{restart}: it got no answer from {store} so far, or still waits for the storage before it"
            )),
            Self::StorageUnusable { message } => Status::Blocked(format!("storage is not usable: {message}")),
        }
    }
}
