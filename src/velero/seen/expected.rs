//! What is watched and judged: the part of a plan that tells whether it has been carried out. It holds no secrets.

use kube::{ResourceExt, api::DynamicObject};
use serde::{Deserialize, Serialize};

use crate::{
    cluster::MANIFEST_ANNOTATION,
    velero::wanted::{Installation, Manifests},
};

/// What should run in the namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Expected {
    /// The manifest of the server's Deployment.
    pub server: ExpectedManifest,
    /// The manifest of the node agent's DaemonSet; `None` where there is to be no node agent.
    pub node_agent: Option<ExpectedManifest>,
    /// Whether there is to be a BackupStorageLocation.
    pub location: bool,
}

/// From which manifest an object should have been applied.
///
/// What admission has left of it is not compared: a cluster's policy may have backups run with images from a mirror, say.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum ExpectedManifest {
    /// Any: this part of the plan is held back, and what runs goes on as it is.
    Any,
    /// The one with this hash.
    Hash(String),
}

impl Expected {
    /// Everything, whatever it is of: for who does not know the plan.
    pub(crate) const EVERYTHING: Self =
        Self { server: ExpectedManifest::Any, node_agent: Some(ExpectedManifest::Any), location: true };

    /// Returns what is to be seen once an installation of these manifests runs.
    pub(crate) fn of(installation: &Installation, manifests: &Manifests) -> Self {
        let manifest = |kind: &str| {
            let is_it = |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == kind);
            let hash = manifests.objects.iter().find(is_it).and_then(hash);
            hash.map_or(ExpectedManifest::Any, |hash| ExpectedManifest::Hash(hash.to_owned()))
        };
        let unless =
            |held_back: bool, manifest: ExpectedManifest| if held_back { ExpectedManifest::Any } else { manifest };
        let held_back = installation.held_back;
        Self {
            server: unless(held_back.server, manifest("Deployment")),
            node_agent: installation.node_agent.then(|| unless(held_back.node_agent, manifest("DaemonSet"))),
            location: installation.backup_location().is_some(),
        }
    }
}

impl ExpectedManifest {
    /// Whether an object was last applied from it.
    pub(crate) fn is_of(&self, object: &impl ResourceExt) -> bool {
        match self {
            Self::Any => true,
            Self::Hash(wanted) => hash(object) == Some(wanted),
        }
    }
}

fn hash(object: &impl ResourceExt) -> Option<&str> {
    object.annotations().get(MANIFEST_ANNOTATION).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::apps::v1::Deployment;

    use super::*;
    use crate::{
        cluster::named,
        settings::Settings,
        velero::wanted::{CsiSnapshots, HeldBack, LocationPlan},
    };

    fn applied_from(hash: Option<&str>) -> Deployment {
        let mut deployment = Deployment::default();
        if let Some(hash) = hash {
            deployment.annotations_mut().insert(MANIFEST_ANNOTATION.to_owned(), hash.to_owned());
        }
        deployment
    }

    #[test]
    fn what_is_expected_are_the_manifests_of_what_is_wanted() {
        let installation = |node_agent| Installation {
            application: "velero-operator".to_owned(),
            node_agent_is_adopted: false,
            held_back: HeldBack::default(),
            image: "velero/velero:v1.18.3".to_owned(),
            node_agent,
            kubelet_root: None,
            default_volumes_to_fs_backup: false,
            csi_snapshots: CsiSnapshots::None,
            image_pull_secrets: Vec::new(),
            repository_password: None,
            proxies: None,
            settings: Settings::default(),
            plugin_image: None,
            location: LocationPlan::None,
        };
        let object = |kind: &str, hash: &str| {
            let mut object = named("apps/v1", kind, "any");
            object.annotations_mut().insert(MANIFEST_ANNOTATION.to_owned(), hash.to_owned());
            object
        };
        let manifests = Manifests {
            namespace: "model".to_owned(),
            namespace_labels: BTreeMap::new(),
            definitions: Vec::new(),
            objects: vec![object("Service", "00"), object("DaemonSet", "0b"), object("Deployment", "0a")],
            credentials: None,
            locations: Vec::new(),
        };
        let hash = |hash: &str| ExpectedManifest::Hash(hash.to_owned());
        assert_eq!(
            Expected::of(&installation(true), &manifests),
            Expected { server: hash("0a"), node_agent: Some(hash("0b")), location: false }
        );
        assert_eq!(Expected::of(&installation(false), &manifests).node_agent, None);
        // What is held back may be of any manifest.
        let held_back = HeldBack { server: true, node_agent: true };
        let any = Expected::of(&Installation { held_back, ..installation(true) }, &manifests);
        assert_eq!((any.server, any.node_agent), (ExpectedManifest::Any, Some(ExpectedManifest::Any)));
    }

    #[test]
    fn an_object_is_of_the_manifest_that_it_was_applied_from() {
        let planned = ExpectedManifest::Hash("0a".to_owned());
        assert!(planned.is_of(&applied_from(Some("0a"))));
        assert!(!planned.is_of(&applied_from(Some("0b"))));
        assert!(!planned.is_of(&applied_from(None)));
        assert!(ExpectedManifest::Any.is_of(&applied_from(None)));
    }
}
