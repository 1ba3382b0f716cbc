//! The action `list-backups`: the newest backups of applications.

use super::{ActionError, SUCCESS, connect, failed, forecasts::of_schedules, refused, table::table};
use crate::{
    contract::{ParameterSpec, parameter},
    error_chain::ErrorChain,
    juju::{ActionParameters, Environment, HookTools},
    velero::{BackupFilter, ListedBackup, RepositoryPassword, Velero, VeleroError},
};

/// How many are listed where nothing is said.
const DEFAULT_LIMIT: usize = 100;
/// How many are listed at most: each is seven results.
const HIGHEST_LIMIT: usize = 1000;

/// Lists the backups.
pub(super) async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let parameters = tools.action_parameters().await?;
    let (filter, limit) = wanted(&parameters).map_err(failed)?;
    let velero = connect(environment)?;
    let list = velero.newest_backups(&filter, limit).await.map_err(refused(environment))?;
    let forecasts = velero.forecast_schedules(environment.application()).await.unwrap_or_else(|error| {
        tracing::warn!("cannot find out what the backups of applications hold: {}", ErrorChain(&error));
        Vec::new()
    });
    let mut remarks = of_schedules(&forecasts, &filter);
    remarks.extend(public_password(&velero).await.unwrap_or_else(|error| {
        tracing::warn!("cannot find out how volumes are encrypted: {}", ErrorChain(&error));
        None
    }));
    let mut results = vec![("table".to_owned(), table(&list, &remarks)), ("total".to_owned(), list.total.to_string())];
    results.extend(list.newest.iter().flat_map(entries));
    results.push((SUCCESS.0.to_owned(), SUCCESS.1.to_owned()));
    Ok(tools.set_action_results(&results).await?)
}

/// Returns what is wrong with the password that files of volumes are encrypted with, if there are any or will be.
async fn public_password(velero: &Velero) -> Result<Option<String>, VeleroError> {
    if velero.repository_password().await? != RepositoryPassword::Public {
        return Ok(None);
    }
    let are = "encrypted with Velero's own password, which everybody knows";
    Ok(if velero.has_repositories().await? {
        Some(format!("files of volumes are {are}; that cannot be changed for backups that are there"))
    } else if velero.has_node_agent().await? {
        Some(format!("files of volumes will be {are}: set repository-password before the first backup of volumes"))
    } else {
        None
    })
}

/// Reads what is to be listed.
fn wanted(parameters: &ActionParameters) -> Result<(BackupFilter, usize), String> {
    let filter = filter(parameters)?;
    let limit = limit(parameters)?;
    Ok((filter, limit))
}

/// Reads of which applications backups are meant.
pub(super) fn filter(parameters: &ActionParameters) -> Result<BackupFilter, String> {
    let text = |parameter: ParameterSpec| parameters.text(parameter.name).map(str::to_owned);
    let (application, endpoint) = (text(parameter::APP), text(parameter::ENDPOINT));
    if application.is_none() && endpoint.is_some() {
        return Err("endpoint alone names no application: give app too".to_owned());
    }
    Ok(BackupFilter { application, endpoint, model: text(parameter::MODEL), completed_only: false })
}

/// Reads how many are listed at most.
pub(super) fn limit(parameters: &ActionParameters) -> Result<usize, String> {
    match parameters.integer(parameter::LIMIT.name) {
        None => Ok(DEFAULT_LIMIT),
        Some(given) => usize::try_from(given)
            .ok()
            .filter(|limit| (1..=HIGHEST_LIMIT).contains(limit))
            .ok_or_else(|| format!("limit {given} is not from 1 to {HIGHEST_LIMIT}")),
    }
}

/// Returns the results of a backup, for scripts.
fn entries(backup: &ListedBackup) -> impl Iterator<Item = (String, String)> + use<> {
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let ListedBackup { uid, name, application, endpoint, model, phase, started, completed } = backup.clone();
    let fields = [
        ("name", name),
        ("app", application),
        ("endpoint", endpoint),
        ("model", model),
        ("phase", phase.to_string()),
        ("start-timestamp", time(started)),
        ("completion-timestamp", time(completed)),
    ];
    // Uids of Kubernetes are lower-case words with dashes, as keys of results are.
    fields.into_iter().map(move |(key, value)| (format!("backups.{uid}.{key}"), value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::velero::Phase;

    fn wanted_of(parameters: &Value) -> Result<(BackupFilter, usize), String> {
        wanted(&parameters.as_object().unwrap().clone().into_iter().collect())
    }

    #[test]
    fn all_are_listed_where_nothing_is_said_but_not_too_many() {
        assert_eq!(wanted_of(&json!({})), Ok((BackupFilter::default(), 100)));
        let filter =
            BackupFilter { application: Some("ledger".into()), model: Some("apps".into()), ..BackupFilter::default() };
        assert_eq!(wanted_of(&json!({"app": "ledger", "model": "apps", "limit": 1000})), Ok((filter, 1000)));
        for limit in [0, -1, 1001] {
            let told = format!("limit {limit} is not from 1 to 1000");
            assert_eq!(wanted_of(&json!({"limit": limit})), Err(told));
        }
        assert_eq!(
            wanted_of(&json!({"endpoint": "backups"})).unwrap_err(),
            "endpoint alone names no application: give app too"
        );
    }

    #[test]
    fn scripts_find_each_backup_by_its_uid() {
        let backup = ListedBackup {
            uid: "0a1b-2c".into(),
            name: "nightly".into(),
            application: "ledger".into(),
            endpoint: "backups".into(),
            model: "apps".into(),
            phase: Phase::InProgress,
            started: Some("2026-01-31T10:20:30Z".parse().unwrap()),
            completed: None,
        };
        let told: Vec<_> = entries(&backup).map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "backups.0a1b-2c.name=nightly",
            "backups.0a1b-2c.app=ledger",
            "backups.0a1b-2c.endpoint=backups",
            "backups.0a1b-2c.model=apps",
            "backups.0a1b-2c.phase=InProgress",
            "backups.0a1b-2c.start-timestamp=2026-01-31T10:20:30Z",
            "backups.0a1b-2c.completion-timestamp=",
        ];
        assert_eq!(told, expected);
    }
}
