//! The volumes of a cluster: claims, what they are bound to, and the pods that use them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use futures::{TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::TypeMeta;
use serde::Deserialize;

use super::{
    seen_volume::{SeenVolume, VolumeKind},
    selection::Selection,
};
use crate::{
    backups::VolumeTraits,
    cluster::{Cluster, ClusterError, Head, Listed},
};

/// Of how many namespaces each is asked for its objects. Above that, one list of the whole cluster is quicker.
const MOST_NAMESPACES: usize = 8;
/// The phase of a claim that has a volume.
const BOUND: &str = "Bound";
/// The annotations of a pod with the names of volumes whose files are to be read, and are not to be read.
const READ: &str = "backup.velero.io/backup-volumes";
const NOT_READ: &str = "backup.velero.io/backup-volumes-excludes";

/// The claims that backups may take, with all that decides whether their data comes along.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub claims: Vec<Claim>,
    /// By namespace and name of the claim.
    uses: BTreeMap<(String, String), Vec<Use>>,
    /// By the names of the volumes that claims are bound to.
    kinds: BTreeMap<String, VolumeKind>,
    /// The CSI drivers of those that have one.
    drivers: BTreeMap<String, String>,
    /// What policies may ask for, of those as well. Only read where there are policies.
    traits: BTreeMap<String, VolumeTraits>,
}

/// A claim that is bound to a volume.
#[derive(Debug)]
pub(super) struct Claim {
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub is_block_device: bool,
    pub access_modes: BTreeSet<String>,
    volume: String,
}

/// A pod's use of a claim.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub labels: BTreeMap<String, String>,
    pub is_running: bool,
    /// Whether a container has it as a part of its file system.
    pub is_mounted: bool,
    pub wish: Wish,
}

/// What a pod says of the backup of a volume.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// Whether its files are to be read, where those of others are not.
    pub is_chosen: bool,
    /// Whether they are not to be read, where those of others are.
    pub is_excluded: bool,
}

impl Volumes {
    /// Reads what any of these selections may take.
    pub(super) async fn read(cluster: &Cluster, selections: &[&Selection]) -> Result<Self, ClusterError> {
        let selections: Vec<_> = selections.iter().filter(|selection| selection.takes_claims()).collect();
        let named: Option<Vec<_>> = selections.iter().map(|selection| selection.namespaces()).collect();
        let named = named.map(|named| named.into_iter().flatten().collect());
        let is_taken = |name: &str| selections.iter().any(|selection| selection.takes_namespace(name));
        let mut claims = Vec::new();
        collect(cluster, "PersistentVolumeClaim", named.as_ref(), |seen: SeenClaim| {
            claims.extend(seen.claim().filter(|claim| is_taken(&claim.namespace)));
        })
        .await?;
        if claims.is_empty() {
            return Ok(Self::default());
        }
        let namespaces: BTreeSet<_> = claims.iter().map(|claim| claim.namespace.as_str()).collect();
        let bound: BTreeSet<_> = claims.iter().map(|claim| claim.volume.as_str()).collect();
        let (mut uses, mut kinds) = (BTreeMap::<_, Vec<Use>>::new(), BTreeMap::new());
        let (mut drivers, mut traits) = (BTreeMap::new(), BTreeMap::new());
        let has_policies = selections.iter().any(|selection| selection.policies().is_some());
        let pods = collect(cluster, "Pod", Some(&namespaces), |pod: SeenPod| {
            for (claim, used) in pod.uses() {
                uses.entry((pod.metadata.namespace.clone(), claim)).or_default().push(used);
            }
        });
        let volumes = collect(cluster, "PersistentVolume", None, |volume: SeenVolume| {
            if bound.contains(volume.metadata.name.as_str()) {
                kinds.insert(volume.metadata.name.clone(), volume.kind());
                if has_policies {
                    traits.insert(volume.metadata.name.clone(), volume.traits());
                }
                drivers.extend(volume.into_driver());
            }
        });
        futures::try_join!(pods, volumes)?;
        Ok(Self { claims, uses, kinds, drivers, traits })
    }

    pub(super) fn kind_of(&self, claim: &Claim) -> VolumeKind {
        self.kinds.get(&claim.volume).copied().unwrap_or_default()
    }

    /// Returns what policies may ask for of a claim.
    pub(super) fn traits_of(&self, claim: &Claim) -> VolumeTraits {
        VolumeTraits {
            labels: claim.labels.clone(),
            // Others have no data.
            phase: BOUND.to_owned(),
            mode: if claim.is_block_device { "Block" } else { "Filesystem" }.to_owned(),
            access_modes: claim.access_modes.clone(),
            ..self.traits.get(&claim.volume).cloned().unwrap_or_default()
        }
    }

    /// Returns the CSI driver of a claim's volume, if it has one.
    pub(super) fn driver_of(&self, claim: &Claim) -> Option<&str> {
        self.drivers.get(&claim.volume).map(String::as_str)
    }

    /// Returns the uses that pods make of a claim.
    pub(super) fn uses_of(&self, claim: &Claim) -> &[Use] {
        self.uses.get(&(claim.namespace.clone(), claim.name.clone())).map_or(&[], Vec::as_slice)
    }
}

/// Gives `add` the objects of a kind: those of some namespaces, or at least these.
async fn collect<T: Listed>(
    cluster: &Cluster,
    kind: &str,
    namespaces: Option<&BTreeSet<&str>>,
    add: impl FnMut(T),
) -> Result<(), ClusterError> {
    let types = TypeMeta { api_version: "v1".to_owned(), kind: kind.to_owned() };
    let what = format!("the {kind}s");
    match namespaces {
        Some(names) if names.len() <= MOST_NAMESPACES => {
            let add = RefCell::new(add);
            let of_each = names.iter().map(|name| cluster.there(&types, name));
            stream::iter(of_each.map(Ok))
                .try_for_each_concurrent(None, |api| {
                    let (add, what) = (&add, &what);
                    async move { cluster.collect(&api, what, "", |object| (add.borrow_mut())(object)).await }
                })
                .await
        }
        _ => cluster.collect(&cluster.everywhere(&types), &what, "", add).await,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenClaim {
    metadata: Head,
    #[serde(default)]
    spec: SeenClaimSpec,
    #[serde(default)]
    status: SeenPhase,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenClaimSpec {
    volume_name: String,
    volume_mode: String,
    access_modes: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SeenPhase {
    phase: String,
}

impl Listed for SeenClaim {}

impl SeenClaim {
    /// Returns the claim, if it has a volume: another has no data.
    fn claim(self) -> Option<Claim> {
        let Self { metadata: Head { namespace, name, labels, .. }, spec, status } = self;
        (status.phase == BOUND && !spec.volume_name.is_empty()).then(|| Claim {
            namespace: namespace.unwrap_or_default(),
            name,
            labels,
            is_block_device: spec.volume_mode == "Block",
            access_modes: spec.access_modes,
            volume: spec.volume_name,
        })
    }
}

#[derive(Deserialize)]
struct SeenPod {
    metadata: SeenPodMetadata,
    #[serde(default)]
    spec: SeenPodSpec,
    #[serde(default)]
    status: SeenPhase,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenPodMetadata {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    deletion_timestamp: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenPodSpec {
    node_name: String,
    volumes: Vec<PodVolume>,
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodVolume {
    name: String,
    persistent_volume_claim: Option<PodClaim>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodClaim {
    claim_name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    volume_mounts: Vec<Mount>,
}

#[derive(Deserialize)]
struct Mount {
    name: String,
}

impl Listed for SeenPod {}

impl SeenPod {
    /// Returns the pod's uses of claims, each with the name of the claim.
    fn uses(&self) -> impl Iterator<Item = (String, Use)> {
        let Self { metadata, spec, status } = self;
        let is_running =
            status.phase == "Running" && !spec.node_name.is_empty() && metadata.deletion_timestamp.is_none();
        let is_among = |annotation: &str, volume: &PodVolume| {
            metadata.annotations.get(annotation).is_some_and(|names| names.split(',').any(|name| name == volume.name))
        };
        spec.volumes.iter().filter_map(move |volume| {
            let claim = volume.persistent_volume_claim.as_ref()?;
            let mut mounts = spec.containers.iter().flat_map(|container| &container.volume_mounts);
            let used = Use {
                labels: metadata.labels.clone(),
                is_running,
                is_mounted: mounts.any(|mount| mount.name == volume.name),
                wish: Wish { is_chosen: is_among(READ, volume), is_excluded: is_among(NOT_READ, volume) },
            };
            Some((claim.claim_name.clone(), used))
        })
    }
}
