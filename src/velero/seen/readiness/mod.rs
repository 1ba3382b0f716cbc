//! Whether an installation works, judged from what was observed: no I/O here.

mod location;
mod node_agent;
mod pods;
mod server;
mod trouble;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

pub(crate) use location::{VALIDATION, began_with_it, due_restart, is_unanswered};
pub use trouble::{ImageOptions, Trouble};

use super::{expected::Expected, observed::Observed};

/// Judges what was observed against what is expected. Returns what is wrong, the most urgent first: the server, then the
/// location, which only a server can validate, then the node agent.
pub(crate) fn assess(expected: &Expected, observed: &Observed) -> Vec<Trouble> {
    let mut troubles = assess_server(expected, observed);
    // Only a server that runs as planned can have validated the location as planned.
    if troubles.iter().all(allows_validation) && expected.location {
        troubles.extend(location::assess(observed));
    }
    if let Some(manifest) = &expected.node_agent {
        troubles.extend(node_agent::assess(manifest, observed));
    }
    troubles
}

/// Judges the server alone: whether it runs as planned, and no other beside it.
pub(crate) fn assess_server(expected: &Expected, observed: &Observed) -> Vec<Trouble> {
    server::assess(&expected.server, observed)
}

/// Judges what was observed of a server that was restarted as its storage was silent: what was known of that does not count.
pub(crate) fn assess_restarted(expected: &Expected, observed: &Observed) -> Vec<Trouble> {
    let anew = |trouble| match trouble {
        Trouble::StorageSilent { .. } => Trouble::NotValidated { silent_from: None },
        other => other,
    };
    assess(expected, observed).into_iter().map(anew).collect()
}

/// Returns the pods of the server that were not told to end.
pub(crate) fn staying_servers(pods: &[Pod]) -> impl Iterator<Item = &Pod> {
    pods::SERVERS.staying(pods)
}

/// Whether the running server is the one to validate the location. A lost one beside it counts as dead: nothing that it could
/// still do is worth leaving the storage unconfigured until its node comes back.
pub(crate) fn allows_validation(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::LostServer { .. })
}

/// Whether waiting longer is useless: all is well, or waiting does not mend it.
pub(crate) fn is_settled(troubles: &[Trouble], now: Timestamp) -> bool {
    troubles.is_empty() || troubles.iter().any(|trouble| trouble.is_lasting(now))
}

/// Returns the trouble of pods that the API server does not admit. They are not admitted later either.
fn not_admitted(object: &'static str, message: &str) -> Trouble {
    // The text before it has a generated pod name, which differs each time.
    let reason = message.split_once("is forbidden: ").map_or(message, |(_, reason)| reason);
    Trouble::NotAdmitted { object, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
