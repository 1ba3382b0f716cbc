//! Whether an installation works, judged from what was observed: no I/O here.

mod location;
mod node_agent;
mod pods;
mod server;
mod trouble;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};

pub(crate) use location::{VALIDATION, began_with_it, due_restart, is_unanswered};
pub(crate) use trouble::{ImageOptions, Trouble};

use super::{expected::Expected, namespace::own_fields, observed::Observed};

/// How long the cluster may take to try the pods of a changed template.
const FIRST_TRY: Duration = Duration::from_secs(3);

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

/// Returns the trouble of pods that the API server does not admit. They are not admitted later either, but what was said before the
/// charm's last change of their object may be of pods that are not made any more.
fn not_admitted(object: &'static str, of: &ObjectMeta, message: &str, refused: Option<Timestamp>) -> Trouble {
    // The text before it has a generated pod name, which differs each time.
    let reason = message.split_once("is forbidden: ").map_or(message, |(_, reason)| reason);
    let changed = own_fields(of).and_then(|fields| Some(fields.time.as_ref()?.0));
    let changed_since = changed.filter(|changed| refused.is_some_and(|refused| refused < *changed));
    let lasting_from = changed_since.map_or(Timestamp::UNIX_EPOCH, |changed| changed + FIRST_TRY);
    Trouble::NotAdmitted { object, reason: reason.to_owned(), lasting_from }
}

#[cfg(test)]
mod tests;
