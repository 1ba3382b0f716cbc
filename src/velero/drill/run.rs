//! What a drill does between its beginning and its end: it reads, restores and compares.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{DynamicObject, TypeMeta},
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    archive::{Archive, Objects},
    comparison::{
        compare_archive, left_out, named_namespaces, namespaces_of, refused_pods, restorable, unexplained, unreadable,
    },
    contents,
    network::{self, Network},
    order::{DrillAudience, DrillOrder, objects},
    pods::{is_ready, why_not_running},
    report::{DrillReport, Finding},
    scratch::{self, OWN, Whose},
    volumes::{self, Compared},
};
use crate::{
    cluster::{Cluster, ClusterError, MetadataOnly, found},
    error_chain::ErrorChain,
    velero::{
        names::velero_kind,
        runs::{
            details::Details,
            follow::{Ended, follow},
            make::{KnownRun, make},
            run::{Run as VeleroRun, RunKind},
        },
        wanted::Cli,
    },
};

/// How long Velero may take to give up what it is told to give up.
const GIVING_UP: Duration = Duration::from_secs(30);
/// How often pods are looked at that are to become ready.
const PACE: Duration = Duration::from_secs(2);

/// A drill under way.
pub(super) struct Run<'a> {
    pub cli: &'a Cli,
    pub cluster: &'a Cluster,
    pub order: &'a DrillOrder,
    pub whose: Whose<'a>,
    pub deadline: Instant,
}

/// What Velero has restored.
struct Restored {
    uid: String,
    run: VeleroRun,
    /// What Velero says went wrong.
    errors: Vec<String>,
    /// What it waited for, if it was not over in time.
    waiting_for: Option<String>,
}

impl Run<'_> {
    /// Reads a backup, restores it into scratch namespaces, and compares.
    pub(super) async fn all(&self, audience: &mut impl DrillAudience) -> Result<DrillReport, ClusterError> {
        let backup = self.order.backup.name.as_str();
        let mut report = self.empty_report();
        audience.hears(&format!("reading what is in backup {backup}")).await;
        let namespace = self.cluster.namespace();
        let (list, archive) = futures::future::join(
            contents::list(self.cli, namespace, backup),
            contents::archive(self.cli, namespace, backup),
        )
        .await;
        let contents = match (list, archive) {
            (Ok(list), Ok(archive)) => Some((list, archive)),
            (Err(error), _) | (_, Err(error)) if error.is_of_the_way() => {
                let why = unreadable(&error);
                report.unchecked.push(format!("its objects, as this unit cannot read the store as Velero does; {why}"));
                None
            }
            // What is in the archive says more than that its list is missing.
            (_, Err(error)) | (Err(error), Ok(_)) => {
                report.findings.push(unreadable(&error));
                return Ok(report);
            }
        };
        let pods = contents.as_ref().map(|(_, archive)| archive.pods);
        let (restorable, archive) = match contents {
            Some((list, archive)) => {
                compare_archive(&list, &archive, &mut report);
                report.unchecked.extend(left_out(&list));
                (restorable(&list), archive)
            }
            None => (Objects::new(), Archive::default()),
        };
        let namespaces = match pods {
            Some(_) => namespaces_of(&restorable),
            None => named_namespaces(&self.order.backup),
        };
        if namespaces.is_empty() {
            report.findings.push(Finding::NothingToRestore);
            return Ok(report);
        }
        let mapping = scratch::mapping(self.whose, namespaces.iter().map(String::as_str));
        audience
            .hears(&format!("restoring {backup} into {}", mapping.values().cloned().collect::<Vec<_>>().join(", ")))
            .await;
        scratch::make(self.cluster, self.whose, &mapping, scratch::share(self.cluster, pods).await?).await?;
        if self.order.keep {
            report.kept.clone_from(&mapping);
        }
        let first = mapping.values().next().map_or("", String::as_str);
        let (network, restored) =
            futures::future::join(network::probe(self.cluster, first), self.restore(&mapping, audience)).await;
        report.network = Some(network.unwrap_or_else(|error| {
            tracing::warn!("cannot try the network of the drill: {}", ErrorChain(&error));
            Network::Unknown
        }));
        let restored = restored?;
        audience.hears("comparing what came back with what was backed up").await;
        self.compare(&restorable, &archive, &mapping, &restored, &mut report).await?;
        report.findings.sort();
        Ok(report)
    }

    fn empty_report(&self) -> DrillReport {
        DrillReport { backup: self.order.backup.name.clone(), ..DrillReport::default() }
    }

    async fn restore(
        &self,
        mapping: &BTreeMap<String, String>,
        audience: &mut impl DrillAudience,
    ) -> Result<Restored, ClusterError> {
        let [rules, restore] = objects(self.cluster, self.order, self.whose, mapping);
        self.cluster.apply(&rules).await?;
        let about = format!("drill-{}", self.order.backup.name);
        let made = make(self.cluster, RunKind::Restore, &about, &self.order.conductor, restore).await?;
        let followed = follow(self.cluster, RunKind::Restore, &made.name, &made.uid, audience);
        let (run, waiting_for) = if let Ok(ended) = timeout_at(self.deadline, followed).await {
            (ended_run(ended?), None)
        } else {
            let waiting_for = self.waiting_for(&made, mapping).await?;
            (self.give_up(&made, audience).await?, Some(waiting_for))
        };
        let errors = if run.status.errors > 0 {
            let details = Details::ask(self.cli, self.cluster.namespace(), RunKind::Restore, &made.name).await;
            details.map(|details| details.errors).unwrap_or_default()
        } else {
            Vec::new()
        };
        Ok(Restored { uid: made.uid, run, errors, waiting_for })
    }

    /// Has Velero give up what it still restores, so that no other restore waits behind this one.
    async fn give_up(&self, made: &KnownRun, audience: &mut impl DrillAudience) -> Result<VeleroRun, ClusterError> {
        cancel_volumes(self.cluster, &made.uid).await?;
        let followed = follow(self.cluster, RunKind::Restore, &made.name, &made.uid, audience);
        match timeout_at(Instant::now() + GIVING_UP, followed).await {
            Ok(ended) => Ok(ended_run(ended?)),
            Err(_) => Ok(VeleroRun::default()),
        }
    }

    /// Returns what a restore waits for.
    async fn waiting_for(&self, made: &KnownRun, mapping: &BTreeMap<String, String>) -> Result<String, ClusterError> {
        let mut reasons = Vec::new();
        for pod in self.pods(mapping).await? {
            reasons.extend(why_not_running(&pod).map(|why| format!("pod {} {why}", pod.name_any())));
        }
        let going_on = |volume: &&DynamicObject| volume.data["status"]["phase"] == "InProgress";
        let volumes = of_restore(self.cluster, &made.uid).await?;
        let count = volumes.iter().filter(going_on).count();
        if count > 0 {
            reasons.push(format!("{count} volumes are being restored"));
        }
        Ok(if reasons.is_empty() { "Velero's restore goes on".to_owned() } else { reasons.join("; ") })
    }

    async fn pods(&self, mapping: &BTreeMap<String, String>) -> Result<Vec<Pod>, ClusterError> {
        let mut pods = Vec::new();
        for scratch in mapping.values() {
            let api = self.cluster.namespaced_in::<Pod>(scratch);
            let listed = self.cluster.list(&api, "the pods of the drill", "").await?;
            pods.extend(listed.into_iter().filter(|pod| pod.name_any() != OWN));
        }
        Ok(pods)
    }

    async fn compare(
        &self,
        restorable: &Objects,
        archive: &Archive,
        mapping: &BTreeMap<String, String>,
        restored: &Restored,
        report: &mut DrillReport,
    ) -> Result<(), ClusterError> {
        let refused = refused_pods(archive, &restored.errors);
        let backup = &self.order.backup;
        let kinds = [("v1", "PodVolumeBackup"), ("v2alpha1", "DataUpload")];
        let backed_up = volumes_of(self.cluster, kinds, &RunKind::Backup.belongings(&backup.uid)).await?;
        let Compared { volumes, bytes, claims, mut findings, unchecked } =
            volumes::compare(&backed_up, &of_restore(self.cluster, &restored.uid).await?, &refused);
        (report.volumes, report.bytes) = (volumes, bytes);
        report
            .unchecked
            .extend(unchecked.iter().map(|volume| format!("volume {volume}: its pod does not run in a drill")));
        report.unchecked.extend(
            refused.iter().map(|pod| format!("pod {pod}: it reaches its node, or asks for more than a drill takes")),
        );
        let snapshots = &backup.run.status;
        let snapshots = snapshots.volume_snapshots_completed + snapshots.csi_volume_snapshots_completed;
        let all: Vec<_> = archive.objects.get("v1/PersistentVolumeClaim").into_iter().flatten().collect();
        let (meant, without): (Vec<_>, Vec<_>) = all
            .into_iter()
            .filter(|claim| !claims.contains(*claim))
            .cloned()
            .partition(|claim| archive.excluded_claims.contains(claim));
        report.unchecked.extend(meant.iter().map(|claim| format!("claim {claim}: its pods exclude it from backups")));
        if snapshots > 0 && !without.is_empty() {
            // Of a snapshot it is not told whose it is.
            report.unchecked.push(format!(
                "{snapshots} snapshots by the storage's own means, perhaps of claims {}",
                without.join(", ")
            ));
        } else if !without.is_empty() {
            findings.push(Finding::WithoutData(without));
        }
        let (restored_count, missing) = self.missing(restorable, archive, mapping).await?;
        report.objects_restored = restored_count;
        if !missing.is_empty() {
            findings.push(Finding::NotRestored(missing));
        }
        if let Some(waiting_for) = &restored.waiting_for {
            // That is the drill's own doing.
            findings.retain(|finding| !matches!(finding, Finding::Volume { .. }));
            findings.push(Finding::TooLong { limit: self.order.timeout, waiting_for: waiting_for.clone() });
        } else {
            findings.extend(unexplained(&restored.run.status, &restored.errors, &findings));
        }
        if self.order.waits_for_pods {
            let (ready, not_ready) = self.wait_for_pods(archive, &refused, mapping).await?;
            report.pods_ready = Some(ready);
            if !not_ready.is_empty() {
                findings.push(Finding::NotReady(not_ready));
            }
        } else {
            report.unchecked.push("whether pods become ready again".to_owned());
        }
        if volumes > 0 {
            report
                .unchecked
                .push("single files, of which Velero keeps no list: volumes are compared by their bytes".to_owned());
        }
        report.findings.append(&mut findings);
        Ok(())
    }

    /// Returns how many objects came back, and which did not. Those that others make are up to those.
    async fn missing(
        &self,
        restorable: &Objects,
        archive: &Archive,
        mapping: &BTreeMap<String, String>,
    ) -> Result<(usize, Vec<String>), ClusterError> {
        let (mut count, mut missing) = (0, Vec::new());
        for (kind, names) in restorable.iter().filter(|(kind, _)| *kind != "v1/Pod") {
            let Some((api_version, name)) = kind.rsplit_once('/') else { continue };
            let types = TypeMeta { api_version: api_version.to_owned(), kind: name.to_owned() };
            let mut live = BTreeSet::new();
            for (original, scratch) in mapping {
                let add = |object: MetadataOnly| {
                    live.insert(format!("{original}/{}", object.metadata.name));
                };
                self.cluster.collect(&self.cluster.there(&types, scratch), "what came back", "", add).await?;
            }
            for object in names {
                let is_known_missing = !archive.objects.get(kind).is_some_and(|names| names.contains(object));
                let is_owned = archive.owned.contains(&(kind.clone(), object.clone()));
                if live.contains(object) {
                    count += 1;
                } else if !is_owned && !is_known_missing {
                    missing.push(format!("{kind} {object}"));
                }
            }
        }
        Ok((count, missing))
    }

    /// Waits until as many pods are ready in each namespace as were. Returns how many are, and which are not.
    async fn wait_for_pods(
        &self,
        archive: &Archive,
        refused: &BTreeSet<String>,
        mapping: &BTreeMap<String, String>,
    ) -> Result<(usize, Vec<String>), ClusterError> {
        let were_ready = archive.ready_pods.iter().filter(|pod| !refused.contains(*pod)).count();
        loop {
            let pods = self.pods(mapping).await?;
            let (ready, not_ready): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| is_ready(pod));
            if ready.len() >= were_ready {
                return Ok((ready.len(), Vec::new()));
            }
            if Instant::now() + PACE >= self.deadline {
                let lacking = not_ready.iter().map(|pod| match why_not_running(pod) {
                    Some(why) => format!("{} ({why})", pod.name_any()),
                    None => pod.name_any(),
                });
                let mut lacking: Vec<_> = lacking.collect();
                if lacking.is_empty() {
                    lacking.push(format!("{} that are not there", were_ready - ready.len()));
                }
                return Ok((ready.len(), lacking));
            }
            sleep(PACE).await;
        }
    }
}

/// Has Velero give up the volumes that a restore still writes.
pub(super) async fn cancel_volumes(cluster: &Cluster, uid: &str) -> Result<(), ClusterError> {
    for volume in of_restore(cluster, uid).await? {
        found(cluster.merge(&volume, &json!({"spec": {"cancel": true}})).await)?;
    }
    Ok(())
}

/// Returns what tells of the volumes of a restore.
async fn of_restore(cluster: &Cluster, uid: &str) -> Result<Vec<DynamicObject>, ClusterError> {
    let kinds = [("v1", "PodVolumeRestore"), ("v2alpha1", "DataDownload")];
    volumes_of(cluster, kinds, &RunKind::Restore.belongings(uid)).await
}

async fn volumes_of(
    cluster: &Cluster,
    kinds: [(&str, &str); 2],
    selector: &str,
) -> Result<Vec<DynamicObject>, ClusterError> {
    let mut volumes = Vec::new();
    for (version, kind) in kinds {
        let kind = velero_kind(version, kind);
        volumes.extend(cluster.list_dynamic(&cluster.here(&kind), &kind, "the volumes", selector).await?);
    }
    Ok(volumes)
}

fn ended_run(ended: Ended) -> VeleroRun {
    match ended {
        Ended::Run(run, _) => *run,
        Ended::Gone => VeleroRun::default(),
    }
}
