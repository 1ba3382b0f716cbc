//! The action `verify-backup`: a restore drill of the newest good backup of an application, or of a certain one.

use std::time::Duration;

use thiserror::Error;

use super::{
    ActionError, SUCCESS, connect, failed,
    progress::{Progress, show, size},
    refuse_while_dying, refused,
    restore::{BackupError, restorable},
    restore_parameters::{ParameterError, Source, backup_name},
    targets::{TargetError, Wanted as Target},
};
use crate::{
    backups::TimeLimit,
    contract::parameter,
    juju::{ActionParameters, Environment, HookTools},
    text::harmless,
    velero::{
        Audience, BackupFilter, DrillAudience, DrillError, DrillOrder, DrillReport, DrillResult, KnownRun, Run, Velero,
        VeleroError, Volumes,
    },
};

/// What is to be verified.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Wanted<'a> {
    /// The newest good backup of an application's endpoint.
    Target(Target<'a>),
    /// A backup by its name.
    Backup(&'a str),
}

/// Why there is nothing to verify.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
enum WantedError {
    #[error("give a target or a backup, and not both")]
    NotOne,
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Name(#[from] ParameterError),
    #[error("model is for a target, and not for a backup")]
    ModelOfBackup,
    #[error("timeout {0}")]
    Timeout(String),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{0} has no backup that is Completed: list-backups shows those that there are")]
    NoneGood(String),
    #[error("{wanted} has backups in several models, name one of them by model=: {}", models.join(", "))]
    Ambiguous { wanted: String, models: Vec<String> },
}

/// Conducts the drill.
pub(super) async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let parameters = tools.action_parameters().await?;
    let wanted = Wanted::read(&parameters).map_err(failed)?;
    let timeout = timeout(&parameters).map_err(failed)?;
    refuse_while_dying(tools, environment).await?;
    let velero = connect(environment)?;
    let backup = wanted.find(&velero).await.map_err(refused(environment))?.map_err(failed)?;
    let location = backup.location().to_owned();
    if let Some(trouble) = velero.location_trouble(&location).await.map_err(refused(environment))? {
        return Err(failed(trouble));
    }
    tools.set_action_result("backup-name", &backup.name).await?;
    let order = DrillOrder {
        application: environment.application().to_owned(),
        conductor: environment.unit.clone(),
        target: backup.target.clone(),
        backup,
        keep: parameters.boolean(parameter::KEEP.name).unwrap_or_default(),
        timeout,
        waits_for_pods: parameters.boolean(parameter::WAIT_FOR_PODS.name).unwrap_or_default(),
    };
    let mut onlooker = Onlooker { progress: Progress::new(tools), tools };
    let report = match velero.drill(&order, &mut onlooker).await {
        Ok(report) => report,
        Err(DrillError::Cluster(error)) => return Err(refused(environment)(VeleroError::Cluster(error))),
        Err(error) => return Err(failed(error)),
    };
    for finding in &report.findings {
        show(tools, &harmless(&finding.to_string())).await;
    }
    tools.set_action_results(&results(&report)).await?;
    match report.findings.split_first() {
        None => Ok(tools.set_action_result(SUCCESS.0, SUCCESS.1).await?),
        Some((first, [])) => {
            Err(failed(harmless(&format!("the drill of backup {} has failed: {first}", report.backup))))
        }
        Some((first, more)) => Err(failed(harmless(&format!(
            "the drill of backup {} has failed: {first} (and {} more findings)",
            report.backup,
            more.len()
        )))),
    }
}

/// Shows the user what a drill does.
struct Onlooker<'a> {
    progress: Progress<'a>,
    tools: &'a HookTools,
}

impl Audience for Onlooker<'_> {
    async fn sees(&mut self, run: &Run, volumes: &Volumes) {
        self.progress.sees(run, volumes).await;
    }
}

impl DrillAudience for Onlooker<'_> {
    async fn hears(&mut self, step: &str) {
        show(self.tools, step).await;
    }
}

impl<'a> Wanted<'a> {
    fn read(parameters: &'a ActionParameters) -> Result<Self, WantedError> {
        let text = |name: &str| parameters.text(name).filter(|text| !text.is_empty());
        let (target, backup) = (text(parameter::DRILL_TARGET.name), text(parameter::BACKUP.name));
        let model = text(parameter::MODEL.name);
        match (target, backup) {
            (Some(target), None) => Ok(Self::Target(Target::parse(target, model)?)),
            (None, Some(_)) if model.is_some() => Err(WantedError::ModelOfBackup),
            (None, Some(backup)) => Ok(Self::Backup(backup_name(backup.trim())?)),
            _ => Err(WantedError::NotOne),
        }
    }

    /// Finds the backup.
    async fn find(&self, velero: &Velero) -> Result<Result<KnownRun, WantedError>, VeleroError> {
        let target = match self {
            Self::Backup(name) => {
                let found = velero.backup_named(name).await?;
                return Ok(restorable(&Source::Name((*name).to_owned()), found).map_err(WantedError::Backup));
            }
            Self::Target(target) => target,
        };
        let filter = BackupFilter {
            application: Some(target.application.to_owned()),
            endpoint: Some(target.endpoint.to_owned()),
            model: target.model.map(str::to_owned),
            completed_only: true,
        };
        let listed = velero.newest_backups(&filter, LOOKED_THROUGH).await?.newest;
        let models = listed.iter().map(|backup| backup.model.as_str()).collect::<Vec<_>>();
        let newest = match self.choose(&models, velero.namespace()) {
            Ok(newest) => &listed[newest],
            Err(error) => return Ok(Err(error)),
        };
        let found = velero.backup_of_uid(&newest.uid).await?;
        Ok(found.ok_or_else(|| WantedError::NoneGood(self.to_string())))
    }

    /// Returns which of the backups is meant, whose models these are, the newest first.
    fn choose(&self, models: &[&str], own: &str) -> Result<usize, WantedError> {
        if let Some(newest) = models.iter().position(|model| *model == own) {
            return Ok(newest);
        }
        let mut distinct: Vec<_> = models.iter().map(|model| (*model).to_owned()).collect();
        distinct.sort();
        distinct.dedup();
        match distinct.len() {
            0 => Err(WantedError::NoneGood(self.to_string())),
            1 => Ok(0),
            _ => Err(WantedError::Ambiguous { wanted: self.to_string(), models: distinct }),
        }
    }
}

/// Among how many of the newest backups of a target it is looked in which models it is.
const LOOKED_THROUGH: usize = 1000;

impl std::fmt::Display for Wanted<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Backup(name) => write!(formatter, "backup {name}"),
            Self::Target(target) => target.fmt(formatter),
        }
    }
}

/// Reads how long the drill may take.
fn timeout(parameters: &ActionParameters) -> Result<Duration, WantedError> {
    let Some(text) = parameters.text(parameter::TIMEOUT.name) else { return Ok(DrillOrder::DEFAULT_TIMEOUT) };
    let limit = TimeLimit::parse(text).map_err(|error| WantedError::Timeout(error.to_string()))?;
    Ok(limit.duration())
}

/// Returns the results of the action.
fn results(report: &DrillReport) -> Vec<(String, String)> {
    let result = if report.result() == DrillResult::Good { "good" } else { "failed" };
    let mut results = vec![
        ("result", result.to_owned()),
        ("objects-in-archive", report.objects_in_archive.to_string()),
        ("objects-restored", report.objects_restored.to_string()),
        ("volumes", report.volumes.to_string()),
        ("volume-bytes", size(report.bytes)),
        ("duration", format!("{} s", report.duration.as_secs())),
    ];
    results.extend(report.network.map(|network| ("network", network.in_words().to_owned())));
    results.extend(report.pods_ready.map(|ready| ("pods-ready", ready.to_string())));
    let lines = |lines: &[String]| lines.iter().map(|line| harmless(line)).collect::<Vec<_>>().join("\n");
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    let kept: Vec<_> = report.kept.iter().map(|(original, scratch)| format!("{scratch} (of {original})")).collect();
    for (key, value) in [
        ("findings", lines(&findings)),
        ("not-checked", lines(&report.unchecked)),
        ("kept-namespaces", lines(&kept)),
        ("left-volumes", lines(&report.left_volumes)),
    ] {
        if !value.is_empty() {
            results.push((key, value));
        }
    }
    results.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::velero::Finding;

    fn parameters(value: &serde_json::Value) -> ActionParameters {
        value.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn a_target_or_a_backup_is_meant() {
        let read = |value: serde_json::Value| {
            let parameters = parameters(&value);
            Wanted::read(&parameters).map(|wanted| wanted.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(read(json!({"target": "ledger:backups"})).unwrap(), "ledger:backups");
        assert_eq!(read(json!({"target": "ledger:backups", "model": "apps"})).unwrap(), "ledger:backups of model apps");
        assert_eq!(read(json!({"backup": "nightly"})).unwrap(), "backup nightly");
        for (value, told) in [
            (json!({}), "give a target or a backup, and not both"),
            (json!({"target": "a:b", "backup": "nightly"}), "give a target or a backup, and not both"),
            (json!({"target": "ledger"}), "target \"ledger\" is not of the form APP:ENDPOINT"),
            (json!({"backup": "nightly", "model": "apps"}), "model is for a target, and not for a backup"),
            // It would be a part of an address of the API.
            (json!({"backup": "../restores/x"}), "backup has \"../restores/x\", which cannot be the name of a backup"),
            (json!({"backup": "x?watch=1"}), "backup has \"x?watch=1\", which cannot be the name of a backup"),
        ] {
            assert_eq!(read(value).unwrap_err(), told);
        }
    }

    #[test]
    fn the_own_model_or_the_only_one_is_meant() {
        let wanted = Wanted::Target(Target { application: "ledger", endpoint: "backups", model: None });
        let choose = |models: &[&str]| wanted.choose(models, "own").map_err(|error| error.to_string());
        assert_eq!((choose(&["apps", "own", "own"]), choose(&["apps", "apps"])), (Ok(1), Ok(0)));
        let told = choose(&["b", "a", "b"]).unwrap_err();
        assert_eq!(told, "ledger:backups has backups in several models, name one of them by model=: a, b");
        assert!(choose(&[]).unwrap_err().starts_with("ledger:backups has no backup that is Completed"));
    }

    #[test]
    fn what_a_drill_has_shown_is_told_and_nothing_of_what_it_has_not() {
        let mut report = DrillReport { objects_in_archive: 3, objects_restored: 2, ..DrillReport::default() };
        let told = |report: &DrillReport| json!(results(report).into_iter().collect::<BTreeMap<_, _>>());
        let good = json!({"result": "good", "objects-in-archive": "3", "objects-restored": "2", "volumes": "0",
            "volume-bytes": "0 bytes", "duration": "0 s"});
        assert_eq!(told(&report), good);
        report.findings = vec![Finding::Unreadable("no\u{1b} store".to_owned())];
        report.kept = [("shop".to_owned(), "drill-shop-1".to_owned())].into();
        report.pods_ready = Some(1);
        let bad = told(&report);
        assert_eq!((&bad["result"], &bad["pods-ready"]), (&json!("failed"), &json!("1")));
        assert_eq!(bad["findings"], "the backup cannot be read: no␛ store");
        assert_eq!(bad["kept-namespaces"], "drill-shop-1 (of shop)");
        assert_eq!((bad.get("not-checked"), bad.get("left-volumes")), (None, None));
    }

    #[test]
    fn a_time_is_read_as_velero_reads_it() {
        let read = |text: &str| timeout(&parameters(&json!({"timeout": text}))).map_err(|error| error.to_string());
        assert_eq!(read("90m"), Ok(Duration::from_mins(90)));
        assert_eq!(timeout(&parameters(&json!({}))), Ok(DrillOrder::DEFAULT_TIMEOUT));
        assert!(read("2d").unwrap_err().starts_with("timeout \"2d\" is no time limit: "));
        // For Velero it would be the longest one.
        assert!(read("0").unwrap_err().starts_with("timeout \"0\" is no time limit: "));
    }
}
