//! The action `create-backup`: a backup of what an application has declared.

use super::{ActionError, connect, failed, refuse_while_dying, refused, targets::Wanted, waiting::see_through};
use crate::{
    contract::parameter,
    integrations,
    juju::{Environment, HookTools},
    plan,
    snapshot::Snapshot,
    velero::{LOCATION, OneBackup, RunKind},
};

/// Makes the backup, and waits until it has ended.
pub(super) async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let parameters = tools.action_parameters().await?;
    let target = parameters.text(parameter::TARGET.name).unwrap_or_default();
    let wanted = Wanted::parse(target, parameters.text(parameter::MODEL.name)).map_err(failed)?;
    let wait = parameters.boolean(parameter::WAIT.name).unwrap_or(true);
    refuse_while_dying(tools, environment).await?;
    let velero = connect(environment)?;
    let snapshot = Snapshot::of_declarations(tools, environment).await?;
    let declared = integrations::declarations(&snapshot);
    let chosen = wanted.choose(&declared, velero.namespace()).map_err(failed)?;
    let settings = plan::backup_settings(&snapshot.config).map_err(|status| failed(status.message()))?;
    let order = OneBackup {
        id: chosen.id,
        target: chosen.target,
        spec: chosen.spec,
        ttl: chosen.spec.ttl.as_ref().or(settings.ttl.as_ref()),
    };
    if let Some(trouble) = velero.location_trouble(LOCATION).await.map_err(refused(environment))? {
        return Err(failed(trouble));
    }
    let made = velero
        .make_backup(&environment.unit, &order, settings.default_volumes_to_fs_backup)
        .await
        .map_err(refused(environment))?;
    see_through(&velero, tools, environment, RunKind::Backup, made, wait).await
}
