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
    conduct::{DrillAudience, DrillOrder, objects},
    contents::{self, ContentsError, without_queries},
    kinds::{Treatment, treatment},
    network::{self, Network},
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
        let (list, archive) = match (list, archive) {
            (Ok(list), Ok(archive)) => (list, archive),
            // What is in the archive says more than that its list is missing.
            (_, Err(error)) | (Err(error), Ok(_)) => {
                report.findings.push(unreadable(&error));
                return Ok(report);
            }
        };
        compare_archive(&list, &archive, &mut report);
        report.unchecked.extend(left_out(&list));
        let restorable = restorable(&list);
        let namespaces: BTreeSet<_> =
            restorable.values().flatten().filter_map(|name| Some(name.split_once('/')?.0)).collect();
        if namespaces.is_empty() {
            report.unchecked.push("nothing in it is of a namespace and of a kind that a drill restores".to_owned());
            return Ok(report);
        }
        let mapping = scratch::mapping(self.whose, namespaces.iter().copied());
        audience
            .hears(&format!("restoring {backup} into {}", mapping.values().cloned().collect::<Vec<_>>().join(", ")))
            .await;
        scratch::make(self.cluster, self.whose, &mapping, scratch::share(self.cluster, archive.pods).await?).await?;
        if self.order.keep {
            report.kept.clone_from(&mapping);
        }
        let first = mapping.values().next().map_or("", String::as_str);
        let (network, restored) =
            futures::future::join(network::probe(self.cluster, first), self.restore(&mapping, audience)).await;
        report.network = network.unwrap_or_else(|error| {
            tracing::warn!("cannot try the network of the drill: {}", ErrorChain(&error));
            Network::Unknown
        });
        let restored = restored?;
        audience.hears("comparing what came back with what was backed up").await;
        self.compare(&restorable, &archive, &mapping, &restored, &mut report).await?;
        report.findings.sort();
        Ok(report)
    }

    fn empty_report(&self) -> DrillReport {
        DrillReport {
            backup: self.order.backup.name.clone(),
            findings: Vec::new(),
            objects_in_archive: 0,
            objects_restored: 0,
            volumes: 0,
            bytes: 0,
            pods_ready: None,
            network: Network::Unknown,
            unchecked: Vec::new(),
            kept: BTreeMap::new(),
            left_volumes: Vec::new(),
            duration: Duration::ZERO,
        }
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
        let (run, waiting_for) = match timeout_at(self.deadline, followed).await {
            Ok(ended) => (ended_run(ended?), None),
            Err(_) => {
                let waiting_for = self.waiting_for(&made, mapping).await?;
                (self.give_up(&made, audience).await?, Some(waiting_for))
            }
        };
        let errors = if run.status.errors > 0 {
            let details = Details::ask(self.cli, self.cluster.namespace(), RunKind::Restore, &made.name).await;
            details.map(|details| details.errors).unwrap_or_default()
        } else {
            Vec::new()
        };
        Ok(Restored { uid: made.uid, run, errors, waiting_for })
    }

    /// Has Velero give up the volumes that it still restores, so that no other restore waits behind this one.
    async fn give_up(&self, made: &KnownRun, audience: &mut impl DrillAudience) -> Result<VeleroRun, ClusterError> {
        for volume in self.of_restore(&made.uid).await? {
            found(self.cluster.merge(&volume, &json!({"spec": {"cancel": true}})).await)?;
        }
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
        let volumes = self.of_restore(&made.uid).await?;
        let count = volumes.iter().filter(going_on).count();
        if count > 0 {
            reasons.push(format!("{count} volumes are being restored"));
        }
        Ok(if reasons.is_empty() { "Velero's restore goes on".to_owned() } else { reasons.join("; ") })
    }

    /// Returns what tells of the volumes of a restore.
    async fn of_restore(&self, uid: &str) -> Result<Vec<DynamicObject>, ClusterError> {
        self.volumes([("v1", "PodVolumeRestore"), ("v2alpha1", "DataDownload")], &RunKind::Restore.belongings(uid))
            .await
    }

    async fn volumes(&self, kinds: [(&str, &str); 2], selector: &str) -> Result<Vec<DynamicObject>, ClusterError> {
        let mut volumes = Vec::new();
        for (version, kind) in kinds {
            let kind = velero_kind(version, kind);
            let api = self.cluster.here(&kind);
            volumes.extend(self.cluster.list_dynamic(&api, &kind, "the volumes", selector).await?);
        }
        Ok(volumes)
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
        let backed_up = self.volumes(kinds, &RunKind::Backup.belongings(&backup.uid)).await?;
        let Compared { volumes, bytes, claims, mut findings, unchecked } =
            volumes::compare(&backed_up, &self.of_restore(&restored.uid).await?, &refused);
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
            findings.extend(unexplained(restored, &findings));
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

fn ended_run(ended: Ended) -> VeleroRun {
    match ended {
        Ended::Run(run, _) => *run,
        Ended::Gone => VeleroRun::default(),
    }
}

fn unreadable(error: &ContentsError) -> Finding {
    Finding::Unreadable(without_queries(&ErrorChain(error).to_string()))
}

/// Compares the list of a backup with its archive.
fn compare_archive(list: &Objects, archive: &Archive, report: &mut DrillReport) {
    report.objects_in_archive = archive.count();
    let nothing = BTreeSet::new();
    let missing: Vec<_> = list
        .iter()
        .flat_map(|(kind, names)| {
            let there = archive.objects.get(kind).unwrap_or(&nothing);
            names.difference(there).map(move |name| format!("{kind} {name}"))
        })
        .collect();
    if !missing.is_empty() {
        report.findings.push(Finding::NotInArchive(missing));
    }
    if !archive.unreadable.is_empty() {
        report.findings.push(Finding::NoObjects(archive.unreadable.clone()));
    }
}

/// Returns the objects of a list that a drill restores.
fn restorable(list: &Objects) -> Objects {
    let is_restored = |(kind, _): &(&String, &BTreeSet<String>)| treatment(kind) == Treatment::Restored;
    list.iter().filter(is_restored).map(|(kind, names)| (kind.clone(), names.clone())).collect()
}

/// Returns what of a list is not restored.
fn left_out(list: &Objects) -> Option<String> {
    let kinds: Vec<_> = list
        .iter()
        .filter(|(kind, _)| treatment(kind) == Treatment::LeftOut)
        .map(|(kind, names)| format!("{} of {kind}", names.len()))
        .collect();
    (!kinds.is_empty()).then(|| {
        format!("whether these can be restored, which are of the whole cluster or whose controllers would act on a copy: {}", kinds.join(", "))
    })
}

/// Returns the pods that the scratch namespaces do not take.
fn refused_pods(archive: &Archive, errors: &[String]) -> BTreeSet<String> {
    let pods = archive.objects.get("v1/Pod").into_iter().flatten();
    let is_refused = |pod: &&String| {
        let name = pod.rsplit('/').next().unwrap_or_default();
        errors.iter().any(|error| error.contains(&format!("pods \"{name}\" is forbidden")) && is_of_fence(error))
    };
    pods.filter(is_refused).cloned().collect()
}

/// Whether an error comes of what a scratch namespace does not take on purpose.
fn is_of_fence(error: &str) -> bool {
    error.contains("violates PodSecurity") || error.contains(&format!("exceeded quota: {OWN}"))
}

/// Returns what Velero says went wrong that no other finding tells.
fn unexplained(restored: &Restored, findings: &[Finding]) -> Option<Finding> {
    let status = &restored.run.status;
    let phase = status.phase.to_string();
    if !status.phase.has_ended() {
        return Some(Finding::Restore {
            phase: "unknown".to_owned(),
            why: "it was deleted before it had ended".to_owned(),
        });
    }
    if !status.phase.can_be_restored() {
        let why = std::iter::once(&status.failure_reason).chain(&status.validation_errors).find(|why| !why.is_empty());
        return Some(Finding::Restore { phase, why: why.cloned().unwrap_or_default() });
    }
    let is_of_volumes = |error: &str| error.contains("pod volume restore failed") || error.contains("PodVolumeRestore");
    let tells_volumes = findings
        .iter()
        .any(|finding| matches!(finding, Finding::Volume { .. } | Finding::RepositoryPassword | Finding::Bytes { .. }));
    let is_told = |error: &&String| is_of_fence(error) || tells_volumes && is_of_volumes(error);
    let mut rest = restored.errors.iter().filter(|error| !is_told(error));
    let why = rest.next()?.clone();
    let why = match rest.count() {
        0 => why,
        more => format!("{why} (and {more} more)"),
    };
    Some(Finding::Restore { phase, why })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Returns why a pod does not run, if that is known.
fn why_not_running(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("cannot be scheduled: {}", condition.message.as_deref().unwrap_or_default()));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let mut reasons = waiting.filter(|reason| !matches!(reason.as_str(), "PodInitializing" | "ContainerCreating"));
    reasons.next().map(|reason| format!("waits: {reason}"))
}
