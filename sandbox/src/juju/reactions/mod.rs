//! How the applications that the sandbox plays react to what is the case in their model.

mod exchange;
mod integrator;
mod s3_integrator;

use super::simulated::Simulated;
use super::state::{ApplicationKind, ModelState};

/// Lets the application react to what is the case now; doing it twice changes nothing more.
pub fn react(model: &mut ModelState, application: &str) {
    let Some(ours) = model.applications.get(application) else { return };
    let ApplicationKind::Simulated { behaviour, .. } = &ours.kind else { return };
    let mut behaviour = behaviour.clone();
    match &mut behaviour {
        Simulated::S3Integrator(integrator) => integrator.react(model, application),
        Simulated::Integrator(integrator) => integrator.react(model, application),
        Simulated::Scripted => {}
    }
    let status = behaviour.status();
    let Some(ours) = model.applications.get_mut(application) else { return };
    for unit in ours.units.values_mut() {
        if (unit.status.value, &unit.status.message) != (status.value, &status.message) {
            unit.status = status.clone();
        }
    }
    if let ApplicationKind::Simulated { behaviour: kept, .. } = &mut ours.kind {
        *kept = behaviour;
    }
}
