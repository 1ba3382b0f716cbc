//! What the story tells of an application that says itself what of it is to be backed up, and of the schedule that does it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{
    DemoError,
    stage::APPLICATION,
    story::{Story, Written, expect},
    workload,
};
use crate::juju::{Scripted, Whose};

/// The endpoints at both ends of the relation.
const ENDPOINTS: [&str; 2] = ["velero-backups", "backups"];

/// As an application would mostly want it, and at no time of day, which might be now.
const DAILY: &str = "@every 24h";

/// So that nobody has to wait for a day.
const SOON: &str = "@every 20s";

/// How long the schedule may take to be due, for the server may take a minute to see that it is, and the backup to end.
const LIMIT: Duration = Duration::from_mins(3);

/// What a schedule has backed up.
pub(super) struct Scheduled {
    schedule: String,
    backup: String,
    written: Written,
}

impl Story<'_> {
    /// Relates the application that the workload is taken for. It names claims, and not the pods that Velero needs to read them.
    /// Returns the relation's number.
    pub(super) async fn integrate_application(&self) -> Result<u32, DemoError> {
        self.narrator.step("Integrate the workload, as an application that says what of it to back up");
        let name = workload::NAME;
        let scripted = Scripted::provider(name, ENDPOINTS[1], "velero_backup_config");
        self.work_on_model(move |model| Ok(((), model.deploy_scripted(&scripted)?))).await?;
        let endpoint = format!("{APPLICATION}:{}", ENDPOINTS[0]);
        self.narrator.command(&format!("juju integrate {endpoint} {name}"));
        let relation = self.work_on_model(move |model| model.integrate(&endpoint, name)).await?;
        self.declare(relation, DAILY).await?;
        self.expect_status(&format!(
            "active: ready; 1 volume of {name} is backed up without its data: its pods are not in the backup"
        ))?;
        let option = "add-pods-to-backups";
        let command = format!("juju config {APPLICATION} {option}=true");
        self.verb(&command, move |model| model.configure(APPLICATION, option, "true")).await?;
        let status = self.stage.status()?;
        expect("the status with that option", "active: ready", status.as_deref().unwrap_or("no unit"))?;
        Ok(relation)
    }

    /// Lets the application declare what of it is to be backed up, and when, as its charm would.
    async fn declare(&self, relation: u32, schedule: &str) -> Result<(), DemoError> {
        let (name, namespace) = (workload::NAME, self.workload.namespace());
        let spec = json!({"schedule": schedule, "include_namespaces": [namespace],
            "include_resources": ["deployments", "persistentvolumeclaims"]});
        self.narrator.so(&format!("{name} declares {spec}"));
        let spec = spec.to_string();
        let bag = [("app", name), ("relation_name", ENDPOINTS[1]), ("model", namespace), ("spec", &spec)];
        let bag: BTreeMap<_, _> = bag.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let whose = Whose::Application(name.to_owned());
        self.work_on_model(move |model| Ok(((), model.write_databag(relation, &whose, &bag)?))).await
    }

    /// Waits until the application's schedule has made a backup with the files of its volume.
    pub(super) async fn let_schedule_back_up(&self, relation: u32) -> Result<Scheduled, DemoError> {
        self.narrator.step("Let its schedule back it up again");
        let written = self.write().await?;
        self.declare(relation, SOON).await?;
        let (kubectl, namespace) = (&self.stage.kubectl, self.stage.model.name());
        let schedules = kubectl.json(&format!("get schedules.velero.io --namespace {namespace}")).await?;
        let schedule = name_of(&schedules["items"][0]);
        let due = "--for=jsonpath={.status.lastBackup}";
        kubectl.wait(&format!("wait {due} schedules.velero.io/{schedule} --namespace {namespace}"), LIMIT).await?;
        let of_schedule = format!("--selector velero.io/schedule-name={schedule} --namespace {namespace}");
        let backups = kubectl.json(&format!("get backups.velero.io {of_schedule}")).await?;
        let backup = name_of(&backups["items"][0]);
        self.narrator.so(&format!("the Schedule {schedule} has begun a backup"));
        self.backups_end().await?;
        self.expect_phase("backup", &backup).await?;
        self.expect_volume_in(&backup).await?;
        let table = self.run_action("list-backups", "app", workload::NAME, "table").await?;
        self.narrator.output(&table);
        Ok(Scheduled { schedule, backup, written })
    }

    /// Waits until no backup is in progress.
    async fn backups_end(&self) -> Result<(), DemoError> {
        let ended = "--for=jsonpath={.status.completionTimestamp}";
        let all = format!("wait {ended} backups.velero.io --all --namespace {}", self.stage.model.name());
        self.stage.kubectl.wait(&all, LIMIT).await.map(drop)
    }

    /// Takes the application out of the model, and the workload out of the cluster.
    pub(super) async fn lose_application(&self, scheduled: &Scheduled) -> Result<(), DemoError> {
        self.narrator.step("Lose the application");
        let name = workload::NAME;
        let command = format!("juju remove-application {name}");
        self.verb(&command, move |model| model.remove_application(name, false)).await?;
        let Scheduled { schedule, backup, .. } = scheduled;
        let (kubectl, namespace) = (&self.stage.kubectl, self.stage.model.name());
        let gone = format!("wait --for=delete schedules.velero.io/{schedule} --namespace {namespace}");
        kubectl.wait(&gone, LIMIT).await?;
        // It may have begun another one.
        self.backups_end().await?;
        self.expect_phase("backup", backup).await?;
        self.narrator.so("its Schedule is gone with it, and its backups stay");
        self.delete_workload().await
    }

    /// Brings it back with what was in its volume.
    pub(super) async fn restore_application(&self, scheduled: &Scheduled) -> Result<(), DemoError> {
        self.narrator.step("Restore it from the backup of its schedule");
        let restored = self.run_action("restore", "backup", &scheduled.backup, "volumes-with-data").await?;
        expect("volumes that were restored with their data", "1", &restored)?;
        self.expect_restored(&scheduled.written).await
    }

    /// Proves the backup without touching the application: it is restored into a scratch namespace, and compared.
    pub(super) async fn drill(&self, scheduled: &Scheduled) -> Result<(), DemoError> {
        self.narrator.step("Prove the backup by a restore drill, before it is needed again");
        let results = self.act("verify-backup", "backup", &scheduled.backup).await?;
        let told = |key: &str| results.get(key).and_then(serde_json::Value::as_str).unwrap_or("none").to_owned();
        expect("what the drill has shown", "good", &told("result"))?;
        expect("volumes that came back with all their bytes", "1", &told("volumes"))?;
        self.narrator.so(&format!(
            "{} objects and 1 volume of {} came back into a scratch namespace, which is gone again",
            told("objects-restored"),
            told("volume-bytes")
        ));
        self.narrator.so(&format!("the network was {}", told("network")));
        let namespaces = self.stage.kubectl.run("get namespaces --output name").await?;
        let left: Vec<_> = namespaces.lines().filter(|name| name.starts_with("namespace/drill-")).collect();
        expect("scratch namespaces", "", &left.join(", "))
    }
}

fn name_of(object: &serde_json::Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or("none").to_owned()
}
