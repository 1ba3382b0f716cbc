//! The action `restore`: a backup, or a part of it, back into the cluster.

use thiserror::Error;

use super::{
    ActionError, connect, failed, refuse_while_dying, refused,
    restore_parameters::{Source, read},
    waiting::{see_through, tell_what_is_missing},
};
use crate::{
    contract::parameter,
    juju::{Environment, HookTools},
    velero::{KnownRun, RunKind},
};

/// Why a backup is not restored.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(super) enum BackupError {
    #[error("there is no backup {0}: list-backups and run command=\"backup get\" show those that there are")]
    NoneOfName(String),
    #[error(
        "there is no backup with uid {0}: list-backups shows those that there are; each cluster has uids of its own"
    )]
    NoneOfUid(String),
    #[error("backup {name} is {phase}: only one that is Completed or PartiallyFailed can be restored")]
    Phase { name: String, phase: String },
}

/// Makes the restore, and waits until it has ended.
pub(super) async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let parameters = tools.action_parameters().await?;
    let (source, order) = read(&parameters).map_err(failed)?;
    let wait = parameters.boolean(parameter::WAIT.name).unwrap_or(true);
    refuse_while_dying(tools, environment).await?;
    let velero = connect(environment)?;
    let found = match &source {
        Source::Name(name) => velero.backup_named(name).await,
        Source::Uid(uid) => velero.backup_of_uid(uid).await,
    };
    let found = found.map_err(refused(environment))?;
    let backup = restorable(&source, found).map_err(failed)?;
    if let Some(trouble) = velero.location_trouble(backup.location()).await.map_err(refused(environment))? {
        return Err(failed(trouble));
    }
    if wait {
        tell_what_is_missing(&velero, tools, &backup).await;
    }
    let made = velero.make_restore(&environment.unit, &backup.name, &order).await.map_err(refused(environment))?;
    tools.set_action_result("backup-name", &backup.name).await?;
    see_through(&velero, tools, environment, RunKind::Restore, made, wait).await
}

/// Returns the backup that was found, if it can be restored.
pub(super) fn restorable(source: &Source, found: Option<KnownRun>) -> Result<KnownRun, BackupError> {
    let Some(backup) = found else {
        return Err(match source {
            Source::Name(name) => BackupError::NoneOfName(name.clone()),
            Source::Uid(uid) => BackupError::NoneOfUid(uid.clone()),
        });
    };
    let phase = &backup.run.status.phase;
    if !phase.can_be_restored() {
        return Err(BackupError::Phase { name: backup.name, phase: phase.to_string() });
    }
    Ok(backup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::velero::{Phase, Run};

    #[test]
    fn only_what_has_not_failed_is_restored() {
        let found = |phase: Phase| {
            let mut run = Run::default();
            run.status.phase = phase;
            Some(KnownRun { name: "nightly".into(), uid: "0a".into(), run, target: None })
        };
        let source = Source::Name("nightly".into());
        for phase in [Phase::Completed, Phase::PartiallyFailed] {
            assert!(restorable(&source, found(phase)).is_ok());
        }
        for (phase, word) in [(Phase::Failed, "Failed"), (Phase::InProgress, "InProgress"), (Phase::New, "New")] {
            let told = restorable(&source, found(phase)).unwrap_err().to_string();
            assert!(told.starts_with(&format!("backup nightly is {word}: only one")), "{told}");
        }
        let told = restorable(&Source::Uid("0a".into()), None).unwrap_err().to_string();
        assert!(told.starts_with("there is no backup with uid 0a: "), "{told}");
    }
}
