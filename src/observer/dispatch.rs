//! Having Juju run a hook of the charm's own, in its turn.

use std::{path::Path, time::Duration};

use tokio::process::Command;

use crate::{
    contract::hook,
    process::{self, Limits},
};

/// A hook waits behind all that Juju has to do for the unit; it prints nothing.
const LIMITS: Limits = Limits { time: Duration::from_hours(1), output: 64 * 1024 };

/// Has Juju run the hook that looks what has changed, and waits for its end. Whether it went well tells the next look at what it left.
pub(super) async fn ask_for_hook(juju_exec: &Path, unit: &str) {
    let mut command = Command::new(juju_exec);
    command.args([unit, &format!("JUJU_DISPATCH_PATH=hooks/{} ./dispatch", hook::VELERO_CHANGED)]);
    // Where Juju could not be asked, it is asked again after a pause. Nobody could be told: only hooks can log.
    let _ = process::run(command, None, LIMITS).await;
}
