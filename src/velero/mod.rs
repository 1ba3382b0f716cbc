//! Velero in one namespace: what belongs to it, how it gets there, and whether it works.
//!
//! [`Velero`] asks the `velero` CLI what an installation consists of, brings the cluster to it through [`Cluster`], and
//! judges what runs. Nothing here knows of Juju or of relations.

mod change;
mod drill;
#[cfg(test)]
pub(crate) mod fixtures;
mod forecast;
mod location;
mod names;
mod phase;
mod runs;
mod seen;
mod wanted;

use std::{path::Path, time::Duration};

use futures::{StreamExt, future::try_join_all, stream::BoxStream, try_join};
use k8s_openapi::api::apps::v1::DaemonSet;
use thiserror::Error;
use tokio::time::Instant;

pub(crate) use change::{
    applied::Applied,
    apply::Pending,
    removal::Removal,
    retention::{RetentionApplied, RetentionReview, ReviewedBackup},
    schedules::SchedulesApplied,
};
#[cfg(test)]
pub(crate) use drill::report::Finding;
pub(crate) use drill::{
    book::{DrillBook, DrillRecord, DrillResult, DrillsSince},
    conduct::DrillError,
    order::{DrillAudience, DrillOrder, DrillOrders},
    report::DrillReport,
};
#[cfg(test)]
pub(crate) use forecast::Gap;
pub(crate) use forecast::{Forecast, ScheduleForecast, VolumeCount};
pub(crate) use location::{
    tested::{TestOutcome, Tested},
    update::{DueUpdate, LocationUpdate, LocationsUpdated},
};
pub(crate) use names::{LOCATION, node_agent_config, policies_name, proxies_secret, repository_config, reserved_name};
pub(crate) use phase::Phase;
pub(crate) use runs::{
    details::Details,
    follow::{Audience, Ended},
    listing::{BackupFilter, BackupList, ListedBackup},
    make::KnownRun,
    run::{Run, RunKind},
    volumes::{Coverage, Volumes},
};
#[cfg(test)]
pub(crate) use seen::holdings::{Claim, Held};
pub(crate) use seen::{
    expected::Expected,
    facts::{Facts, Needs},
    holdings::{Conflict, Holdings},
    kubelet_root::{CurrentRoot, FoundRoot, SeveralRoots},
    ledger::{BackupResult, Labels, LastBackups, Ledger, LedgerEvent, Outcome as LedgerOutcome, ScheduleEntry},
    look::Look,
    observed::Observed,
    readiness::{ImageOptions, Trouble},
    repository::RepositoryPassword,
    restart::Restart,
    server::{RunningServer, ServerVersion},
    sighting::Sighting,
    snapshot_classes::SnapshotClasses,
    summary::{LocationState, Summary},
};
pub(crate) use wanted::{
    BackupLocation, Cli, CliError, CsiSnapshots, Finish, HeldBack, Installation, KubeletRoot, LineSink, LocationPlan,
    Manifests, PlannedProxies, ProxiesSecret, Version, check_image, pull_secrets, to_yaml,
};
pub(crate) use wanted::{
    backup::OneBackup,
    restore::{ExistingResourcePolicy, RestoreOrder},
};
#[cfg(any(test, fuzzing))]
pub(crate) use wanted::{
    cli::install_arguments, dry_run::read as read_dry_run, image::pull_policy, schedule::ScheduleSettings,
};
#[cfg(any(test, fuzzing))]
pub(crate) use {drill::archive::Archive, seen::storage_message::lasting};

use crate::{
    backups::{BackupPlan, PolicyPlan, Retention},
    cluster::{Cluster, ClusterError, named},
    proxies::Proxies,
    status::Status,
};
use change::{apply, definitions, policies, removal, retention, schedules};
use location::{
    update,
    validation::{self, DueRestart},
};
use names::NODE_AGENT;
use seen::{namespace, nodes, observed, proxies, readiness, repository, snapshot_classes, watch};

/// How long a server may take that was restarted, and the validation that it begins with.
const RESTART_PATIENCE: Duration = Duration::from_secs(25);

/// Velero in the namespace of a cluster.
#[derive(Debug)]
pub(crate) struct Velero {
    cli: Cli,
    cluster: Cluster,
}

/// Why an operation on Velero failed.
#[derive(Debug, Error)]
pub(crate) enum VeleroError {
    #[error("cannot find out what Velero consists of")]
    Manifests(#[from] CliError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl VeleroError {
    /// Returns the status that says what the cluster refused, if it did; `None` for what may work when it is tried again.
    pub(crate) fn refusal(&self, application: &str) -> Option<Status> {
        let Self::Cluster(error) = self else { return None };
        if error.is_forbidden() {
            let how = format!("juju trust {application} --scope=cluster");
            return Some(Status::Blocked(format!("not allowed to manage the cluster: {how}")));
        }
        error.is_refusal().then(|| Status::Blocked(error.in_the_servers_words()))
    }
}

/// What was seen of an installation.
#[derive(Debug)]
pub(crate) struct Assessment {
    /// What is not as it should be, the most urgent first.
    pub troubles: Vec<Trouble>,
    /// The server, if it runs as planned and no other beside it.
    pub server: Option<RunningServer>,
    /// The same for who watches on.
    pub look: Look,
    /// What is known by use of the storage, if Velero finds it available.
    pub tested: Option<Tested>,
}

impl Assessment {
    fn of(expected: &Expected, observed: &Observed) -> Self {
        let as_planned = readiness::assess_server(expected, observed).iter().all(readiness::allows_validation);
        Self {
            troubles: readiness::assess(expected, observed),
            server: RunningServer::among(&observed.pods).filter(|_| as_planned),
            look: Look::of(expected, observed),
            tested: observed.location.as_ref().filter(|_| expected.location).and_then(Tested::of),
        }
    }
}

/// Returns those of the Secrets that are not in the namespace.
async fn missing_secrets(cluster: &Cluster, names: &[String]) -> Result<Vec<String>, ClusterError> {
    let looked_at = names.iter().map(|name| async move {
        let live = cluster.find_metadata(&cluster.own(named("v1", "Secret", name))).await?;
        Ok::<_, ClusterError>(live.is_none().then(|| name.clone()))
    });
    Ok(try_join_all(looked_at).await?.into_iter().flatten().collect())
}

impl Velero {
    /// Velero on the cluster that the charm itself runs in, with the CLI that lies in the charm's directory.
    pub(crate) fn in_cluster(charm_directory: &Path) -> Result<Self, ClusterError> {
        Ok(Self::of(Cli::in_charm(charm_directory), Cluster::in_cluster()?))
    }

    /// Velero on a cluster, by a CLI.
    pub(crate) fn of(cli: Cli, cluster: Cluster) -> Self {
        Self { cli, cluster }
    }

    /// Returns the same Velero, whose store the CLI reaches by these proxies.
    pub(crate) fn by_proxies(self, proxies: Option<Proxies>) -> Self {
        Self { cli: self.cli.by_proxies(proxies), ..self }
    }

    /// Returns the CLI, for the user's own commands.
    pub(crate) fn cli(&self) -> &Cli {
        &self.cli
    }

    /// Returns the namespace that all of it is in.
    pub(crate) fn namespace(&self) -> &str {
        self.cluster.namespace()
    }

    /// Looks at what an application has to know of in every hook; nothing is changed.
    pub(crate) async fn sight(&self, application: &str) -> Result<(Holdings, Sighting), VeleroError> {
        Ok(Sighting::take(&self.cluster, application).await?)
    }

    /// Finds out what a plan depends on beside the holdings; nothing is changed.
    pub(crate) async fn facts(&self, needs: &Needs, mut holdings: Holdings) -> Result<Facts, VeleroError> {
        let cluster = &self.cluster;
        let asks_kubelets = needs.kubelet_root || holdings.has_adopted_node_agent();
        let node_agent: Option<DaemonSet> =
            if asks_kubelets { holdings.typed("DaemonSet", NODE_AGENT).ok().flatten() } else { None };
        let provider_ids =
            async { if needs.provider_ids { observed::provider_ids(cluster).await } else { Ok(Vec::new()) } };
        let kubelet_root = async {
            if asks_kubelets { nodes::kubelet_root(cluster, node_agent.as_ref()).await.map(Some) } else { Ok(None) }
        };
        let proxies = async {
            match &needs.proxies {
                Some(proxies) => proxies::look(cluster, &needs.application, proxies).await.map(Some),
                None => Ok(None),
            }
        };
        let snapshot_classes =
            async { if needs.snapshot_classes { snapshot_classes::read(cluster).await.map(Some) } else { Ok(None) } };
        let (provider_ids, kubelet_root, proxies, snapshot_classes, missing_pull_secrets, ()) = try_join!(
            provider_ids,
            kubelet_root,
            proxies,
            snapshot_classes,
            missing_secrets(cluster, &needs.pull_secrets),
            holdings.add_config_maps(cluster, &needs.application, &needs.config_maps)
        )?;
        let cli = self.cli.version().await?;
        Ok(Facts { provider_ids, cli, kubelet_root, proxies, snapshot_classes, missing_pull_secrets, holdings })
    }

    /// Returns what an installation consists of.
    pub(crate) async fn manifests(&self, installation: &Installation) -> Result<Manifests, VeleroError> {
        Ok(Manifests::of(&self.cli, self.cluster.namespace(), installation).await?)
    }

    /// Brings the cluster to an installation, changing only what differs from it; all but its storage locations.
    pub(crate) async fn install(
        &self,
        installation: &Installation,
        manifests: &Manifests,
        holdings: &Holdings,
        sighting: &Sighting,
    ) -> Result<Applied, VeleroError> {
        Ok(apply::apply(&self.cluster, installation, manifests, holdings, sighting).await?)
    }

    /// Returns the release that the CustomResourceDefinitions of the cluster are of; nothing is changed.
    pub(crate) async fn definitions_release(
        &self,
        manifests: &Manifests,
        sighting: &Sighting,
    ) -> Result<Option<Version>, VeleroError> {
        Ok(definitions::release(&self.cluster, &manifests.definitions, &sighting.definitions).await?)
    }

    /// Returns what the leader would still change, for a unit that changes nothing.
    pub(crate) async fn pending(
        &self,
        installation: &Installation,
        manifests: &Manifests,
        holdings: &Holdings,
    ) -> Result<Pending, VeleroError> {
        Ok(apply::pending(&self.cluster, installation, manifests, holdings).await?)
    }

    /// Returns what the leader would still change of the policies for volumes, by what was sighted.
    pub(crate) fn pending_policies(&self, application: &str, plan: &PolicyPlan, sighting: &Sighting) -> Option<Status> {
        policies::pending(&self.cluster, application, plan, sighting.policies.as_ref())
    }

    /// Waits until the leader has written the policies for volumes, or the deadline is there.
    pub(crate) async fn await_policies(&self, application: &str, plan: &PolicyPlan, deadline: Instant) {
        policies::until_written(&self.cluster, application, plan, deadline).await;
    }

    /// Returns the change of the storage locations and their credentials that is due: by what was sighted, or else by
    /// what is there now.
    pub(crate) async fn due_update<'a>(
        &self,
        manifests: &'a Manifests,
        holdings: &Holdings,
        sighting: Option<&Sighting>,
    ) -> Result<DueUpdate<'a>, VeleroError> {
        Ok(update::due_update(&self.cluster, manifests, holdings, sighting).await?)
    }

    /// Waits until the leader has made the change of the storage locations that is due, or the deadline is there.
    pub(crate) async fn await_locations(
        &self,
        expected: &Expected,
        manifests: &Manifests,
        holdings: &Holdings,
        deadline: Instant,
    ) -> Result<(), VeleroError> {
        Ok(Box::pin(update::until_made(&self.cluster, expected, manifests, holdings, deadline)).await?)
    }

    /// Waits until the planned server runs, and no other beside it that could validate the storage locations with other plugins.
    /// Returns what keeps it from that, if it does not run by then.
    pub(crate) async fn await_server(
        &self,
        expected: &Expected,
        deadline: Instant,
    ) -> Result<Vec<Trouble>, VeleroError> {
        let observed = watch::until(&self.cluster, expected, deadline, readiness::assess_server).await?;
        let troubles = readiness::assess_server(expected, &observed);
        Ok(if troubles.iter().all(readiness::allows_validation) { Vec::new() } else { troubles })
    }

    /// Changes the storage locations, while only the planned server runs.
    pub(crate) async fn update_locations(
        &self,
        expected: &Expected,
        update: &LocationUpdate<'_>,
        deadline: Instant,
    ) -> Result<LocationsUpdated, VeleroError> {
        // It watches, as its caller does, and would double the size of every hook's future.
        Ok(Box::pin(update::apply(&self.cluster, expected, update, deadline)).await?)
    }

    /// Brings the Schedules to what other applications have declared.
    pub(crate) async fn apply_schedules(
        &self,
        installation: &Installation,
        plan: &BackupPlan,
        policies: &PolicyPlan,
    ) -> Result<SchedulesApplied, VeleroError> {
        Ok(schedules::apply(&self.cluster, installation, plan, policies).await?)
    }

    /// Brings the policies for volumes to what is planned, where the Schedules are not looked at.
    pub(crate) async fn apply_policies(
        &self,
        application: &str,
        plan: &PolicyPlan,
    ) -> Result<SchedulesApplied, VeleroError> {
        Ok(schedules::apply_policies(&self.cluster, application, plan).await?)
    }

    /// Decides what a retention makes of the backups of the application's Schedules; nothing is changed.
    pub(crate) async fn review_retention(
        &self,
        application: &str,
        retention: &Retention,
    ) -> Result<RetentionReview, VeleroError> {
        Ok(retention::review(&self.cluster, application, retention).await?)
    }

    /// Asks the server to delete what a retention does not keep.
    pub(crate) async fn apply_retention(
        &self,
        application: &str,
        retention: &Retention,
    ) -> Result<RetentionApplied, VeleroError> {
        Ok(retention::apply(&self.cluster, application, retention).await?)
    }

    /// Judges what was sighted, or what runs now where that does not tell enough.
    pub(crate) async fn assess_sighted(
        &self,
        expected: &Expected,
        holdings: &Holdings,
        sighting: &Sighting,
    ) -> Result<Assessment, VeleroError> {
        match sighting.observed(holdings, expected) {
            Some(observed) => Ok(Assessment::of(expected, &observed)),
            None => self.assess_now(expected).await,
        }
    }

    /// Judges what runs now.
    pub(crate) async fn assess_now(&self, expected: &Expected) -> Result<Assessment, VeleroError> {
        let observed = observed::read(&self.cluster, expected).await?;
        Ok(Assessment::of(expected, &observed))
    }

    /// Waits until all that is expected works, something fails in a way that waiting does not mend, or the deadline is there.
    /// Judges what runs then.
    pub(crate) async fn wait_until_settled(
        &self,
        expected: &Expected,
        deadline: Instant,
    ) -> Result<Assessment, VeleroError> {
        let observed = watch::until(&self.cluster, expected, deadline, readiness::assess).await?;
        Ok(Assessment::of(expected, &observed))
    }

    /// Returns all that an installation is judged by, whatever is expected: as soon as it is known, and after each change.
    pub(crate) fn sightings(&self) -> BoxStream<'static, Observed> {
        watch::stream(&self.cluster, &Expected::EVERYTHING).boxed()
    }

    /// Returns what has become of Schedules, backups and restores: all that is there, and then each change.
    pub(crate) fn ledger_events(&self) -> BoxStream<'static, LedgerEvent> {
        watch::ledger_events(&self.cluster)
    }

    /// Returns which password the files of volumes are encrypted with.
    pub(crate) async fn repository_password(&self) -> Result<RepositoryPassword, VeleroError> {
        Ok(repository::password(&self.cluster).await?)
    }

    /// Whether there are files of volumes that are encrypted with it already.
    pub(crate) async fn has_repositories(&self) -> Result<bool, VeleroError> {
        Ok(repository::has_repositories(&self.cluster).await?)
    }

    /// Finds out more of a store that does not answer: whether its name is unknown, and whether it may be the server that hangs.
    /// Returns the restart of the server that is due, if that may help and no backup or restore is in progress.
    pub(crate) async fn look_into_silence(
        &self,
        expected: &Expected,
        seen: &mut Assessment,
    ) -> Result<Option<Restart>, VeleroError> {
        for trouble in &mut seen.troubles {
            let Trouble::StorageSilent { store, lookup } = trouble else { continue };
            let restart = match validation::due_restart(&self.cluster, expected).await? {
                DueRestart::None => None,
                DueRestart::Now(restart) => Some(restart),
                DueRestart::Postponed(restart) => {
                    *trouble = Trouble::StuckServer { store: store.clone(), restart };
                    return Ok(None);
                }
            };
            *lookup = validation::failed_lookup(store).await;
            return Ok(restart);
        }
        Ok(None)
    }

    /// Restarts the server.
    pub(crate) async fn restart_server(&self, expected: &Expected, restart: Restart) -> Result<(), VeleroError> {
        Ok(validation::restart(&self.cluster, expected, restart).await?)
    }

    /// Waits until a server that was restarted says something of the storage. Returns what runs then, unless nothing new is known.
    pub(crate) async fn hear_restarted(
        &self,
        expected: &Expected,
        deadline: Instant,
    ) -> Result<Option<Assessment>, VeleroError> {
        let deadline = deadline.min(Instant::now() + RESTART_PATIENCE);
        let observed = watch::until(&self.cluster, expected, deadline, readiness::assess_restarted).await?;
        let is_news = readiness::is_settled(&readiness::assess_restarted(expected, &observed), observed.at);
        Ok(is_news.then(|| Assessment::of(expected, &observed)))
    }

    /// Returns what tells this cluster from all others: the uid of its namespace `kube-system`.
    pub(crate) async fn cluster_uid(&self) -> Result<Option<String>, VeleroError> {
        Ok(namespace::cluster_uid(&self.cluster).await?)
    }

    /// Notes on the location what has come of trying its store by use. Returns what the unit waits for where that has gone meanwhile.
    pub(crate) async fn note_test(&self, tested: &Tested, outcome: TestOutcome) -> Result<Option<Status>, VeleroError> {
        let is_there = tested.note(&self.cluster, outcome).await?;
        Ok((!is_there).then(update::missing))
    }

    /// Asks a server for its version; `None` when it does not answer in time.
    pub(crate) async fn ask_version(&self, server: &RunningServer) -> Result<Option<ServerVersion>, VeleroError> {
        Ok(server.ask(&self.cluster).await?)
    }

    /// Notes on a server's pod that its version was told.
    pub(crate) async fn note_version(
        &self,
        server: &RunningServer,
        version: &ServerVersion,
    ) -> Result<(), VeleroError> {
        Ok(server.note(&self.cluster, version).await?)
    }

    /// Removes everything that the charm and its Velero made in the namespace, and what of it is cluster-wide and used by
    /// nobody else. Returns what is left.
    pub(crate) async fn remove(&self, application: &str) -> Removal {
        removal::remove(&self.cluster, application).await
    }

    /// Whether the application of a unit, whose pod this is, ends with it. If that is unknown, it does not.
    pub(crate) async fn application_ends(&self, application: &str, unit: &str) -> Result<bool, ClusterError> {
        removal::application_ends(&self.cluster, application, unit).await
    }
}
