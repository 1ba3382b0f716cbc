//! The action `create-backup`: a backup of what an application has declared.

use super::{
    ActionError, connect, failed, forecasts::without_data, progress::show, refuse_while_dying, refused,
    targets::Wanted, waiting::see_through,
};
use crate::{
    contract::parameter,
    error_chain::ErrorChain,
    integrations,
    juju::{Environment, HookTools},
    plan,
    snapshot::Snapshot,
    velero::{LOCATION, OneBackup, RunKind, policies_name},
};

/// Makes the backup, and waits until it has ended.
pub(super) async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let parameters = tools.action_parameters().await?;
    let target = parameters.text(parameter::TARGET.name).unwrap_or_default();
    let wanted = Wanted::parse(target, parameters.text(parameter::MODEL.name)).map_err(failed)?;
    let wait = parameters.boolean(parameter::WAIT.name).unwrap_or(true);
    refuse_while_dying(tools, environment).await?;
    let velero = connect(environment)?;
    let snapshot = Snapshot::of_declarations(tools, environment, wanted.application).await?;
    let declared = integrations::declarations(&snapshot);
    let chosen = wanted.choose(&declared, velero.namespace()).map_err(failed)?;
    let settings = plan::backup_settings(&snapshot.config).map_err(|status| failed(status.message()))?;
    let spec = chosen.spec.clone();
    let spec = if settings.adds_pods { spec.with_pods() } else { spec };
    let order = OneBackup {
        id: chosen.id,
        target: chosen.target,
        spec: &spec,
        ttl: chosen.spec.ttl.as_ref().or(settings.ttl.as_ref()),
    };
    if let Some(trouble) = velero.location_trouble(LOCATION).await.map_err(refused(environment))? {
        return Err(failed(trouble));
    }
    let policies = settings.has_policies.then(|| policies_name(environment.application()));
    let planned = velero
        .plan_backup(&environment.unit, &order, settings.default_volumes_to_fs_backup, policies.as_deref())
        .await
        .map_err(refused(environment))?;
    // What is not known now is found out of the backup once it has ended.
    match velero.forecast_backup(planned.spec()).await {
        Ok(forecast) => {
            for line in without_data("the backup will be", &forecast) {
                show(tools, &line).await;
            }
        }
        Err(error) => tracing::warn!("cannot find out what the backup is going to hold: {}", ErrorChain(&error)),
    }
    let made = velero.make_backup(planned).await.map_err(refused(environment))?;
    see_through(&velero, tools, environment, RunKind::Backup, made, wait).await
}
