//! Waiting for a backup or a restore that an action has begun.

use super::{
    ActionError, SUCCESS, failed,
    progress::{Progress, show},
    refused,
    results::{Ending, missing_data},
};
use crate::{
    error_chain::ErrorChain,
    juju::{Environment, HookTools},
    velero::{Coverage, Details, Ended, KnownRun, RunKind, Velero},
};

/// Waits until a run has ended, and reports what became of it; without `wait`, says how to find that out later.
pub(super) async fn see_through(
    velero: &Velero,
    tools: &HookTools,
    environment: &Environment,
    kind: RunKind,
    made: KnownRun,
    wait: bool,
) -> Result<(), ActionError> {
    let (word, name) = (kind.word(), made.name.clone());
    // Known even if the rest of the action is not seen.
    tools.set_action_result(&format!("{word}-name"), &name).await?;
    let later = format!("juju run {} run command=\"{word} describe {name}\"", environment.unit);
    if !wait {
        show(tools, &format!("{word} {name} is made; look how far it is by {later}")).await;
        tools.set_action_result("phase", &made.run.status.phase.to_string()).await?;
        return Ok(tools.set_action_result(SUCCESS.0, SUCCESS.1).await?);
    }
    show(tools, &format!("{word} {name} is made, and goes on if this action is cancelled; then look by {later}")).await;
    let ended = velero.follow(kind, &made, &mut Progress::new(tools)).await.map_err(refused(environment))?;
    let Ended::Run(run, volumes) = ended else {
        return Err(failed(format!("{word} {name} was deleted before it had ended")));
    };
    let made = KnownRun { run: *run, ..made };
    let details = details(velero, kind, &made).await;
    let coverage = match kind {
        RunKind::Backup => coverage(velero, &made, &details).await,
        RunKind::Restore => None,
    };
    let ending = Ending { kind, name, run: made.run, volumes, details, coverage };
    for remark in ending.remarks() {
        show(tools, &remark).await;
    }
    tools.set_action_results(&ending.results()).await?;
    match ending.failure() {
        Some(failure) => Err(failed(failure)),
        None => Ok(tools.set_action_result(SUCCESS.0, SUCCESS.1).await?),
    }
}

/// Tells which volumes of a backup will be restored without their data.
pub(super) async fn tell_what_is_missing(velero: &Velero, tools: &HookTools, backup: &KnownRun) {
    let details = details(velero, RunKind::Backup, backup).await;
    if let Some(missing) = coverage(velero, backup, &details).await.as_ref().and_then(missing_data) {
        show(tools, &missing).await;
    }
}

/// Returns what of the claims in a backup has its data in it, as far as that can be found out.
async fn coverage(velero: &Velero, backup: &KnownRun, details: &Details) -> Option<Coverage> {
    let coverage = velero.coverage(backup, details.claims.clone()?).await;
    coverage
        .map_err(|error| tracing::warn!("cannot find out what backup {} holds: {}", backup.name, ErrorChain(&error)))
        .ok()
}

/// Returns what the store has of a run that has ended. What has ended has ended, whether or not it can be asked for.
async fn details(velero: &Velero, kind: RunKind, made: &KnownRun) -> Details {
    let status = &made.run.status;
    // A restore has no more to tell than its problems, and one that was refused has none.
    let is_told = kind == RunKind::Backup && status.phase.can_be_restored() || status.errors + status.warnings > 0;
    if !is_told {
        return Details::default();
    }
    velero.details(kind, &made.name).await.unwrap_or_else(|error| {
        tracing::warn!("cannot find out more of {} {}: {}", kind.word(), made.name, ErrorChain(&error));
        Details::default()
    })
}
