//! The hooks that Juju runs.

use serde::{Deserialize, Serialize};

use super::names::UnitName;

/// What happens in a relation.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RelationEvent {
    /// The relation exists.
    Created,
    /// A remote unit came.
    Joined,
    /// A remote unit's or the remote application's settings are new.
    Changed,
    /// A remote unit went.
    Departed,
    /// The relation ends.
    Broken,
}

impl RelationEvent {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Joined => "joined",
            Self::Changed => "changed",
            Self::Departed => "departed",
            Self::Broken => "broken",
        }
    }

    /// The endpoint and the event that a hook's name is made of, if it is one of a relation.
    pub(super) fn from_suffix(hook: &str) -> Option<(&str, Self)> {
        let (rest, event) = hook.rsplit_once('-')?;
        let event = match event {
            "created" => Self::Created,
            "joined" => Self::Joined,
            "changed" => Self::Changed,
            "departed" => Self::Departed,
            "broken" => Self::Broken,
            _ => return None,
        };
        Some((rest.strip_suffix("-relation")?, event))
    }
}

/// A hook, with what it is about.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// The first of a unit.
    Install,
    /// The unit leads now.
    LeaderElected,
    /// The unit does not lead (Juju 3).
    LeaderSettingsChanged,
    /// The configuration may be new.
    ConfigChanged,
    /// The unit should serve.
    Start,
    /// The unit, or its pod, goes.
    Stop,
    /// The last of a unit.
    Remove,
    /// The charm may be new.
    UpgradeCharm,
    /// Every few minutes.
    UpdateStatus,
    /// One of a relation.
    Relation {
        /// What happened.
        event: RelationEvent,
        /// In which relation.
        relation: u32,
        /// The endpoint of this side.
        endpoint: String,
        /// The application at the other side.
        remote_application: String,
        /// Whom it is about, unless the application.
        remote_unit: Option<UnitName>,
        /// Who goes, in `-departed`.
        departing: Option<UnitName>,
    },
    /// A secret that the unit reads has a new revision.
    SecretChanged {
        /// The secret.
        id: String,
        /// The reader's own name for it.
        label: String,
    },
    /// Any other, by name.
    Other(String),
}

impl Hook {
    /// The hook's name, as in `JUJU_HOOK_NAME`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Install => "install".to_owned(),
            Self::LeaderElected => "leader-elected".to_owned(),
            Self::LeaderSettingsChanged => "leader-settings-changed".to_owned(),
            Self::ConfigChanged => "config-changed".to_owned(),
            Self::Start => "start".to_owned(),
            Self::Stop => "stop".to_owned(),
            Self::Remove => "remove".to_owned(),
            Self::UpgradeCharm => "upgrade-charm".to_owned(),
            Self::UpdateStatus => "update-status".to_owned(),
            Self::Relation { event, endpoint, .. } => format!("{endpoint}-relation-{}", event.name()),
            Self::SecretChanged { .. } => "secret-changed".to_owned(),
            Self::Other(name) => name.clone(),
        }
    }

    /// The number of the relation that the hook is about.
    #[must_use]
    pub fn relation(&self) -> Option<u32> {
        match self {
            Self::Relation { relation, .. } => Some(*relation),
            _ => None,
        }
    }
}
