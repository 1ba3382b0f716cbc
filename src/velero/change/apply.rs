//! Bringing a cluster to an installation: definitions first, then everything else at once, then the deletions.

use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use super::{applied::Applied, definitions, namespace, proxies, prune, repository};
use crate::{
    cluster::{Cluster, ClusterError, FieldOwners, MANIFEST_ANNOTATION, contains, describe, differs, named},
    error_chain::ErrorChain,
    status::Status,
    velero::{
        names::SERVER,
        seen::{
            holdings::{Held, Holdings},
            operations::operations_in_progress,
            sighting::Sighting,
        },
        wanted::{Installation, Manifests},
    },
};

/// Brings the cluster to the manifests of an installation, all but those of the locations that are wanted.
pub(crate) async fn apply(
    cluster: &Cluster,
    installation: &Installation,
    manifests: &Manifests,
    holdings: &Holdings,
    sighting: &Sighting,
) -> Result<Applied, ClusterError> {
    let mut applied = Applied::default();
    let definitions = definitions::apply(cluster, &manifests.definitions, &sighting.definitions, &mut applied);
    if let Some(status) = definitions.await? {
        applied.postponed.push(status);
        applied.lacks_kinds = true;
        return Ok(applied);
    }
    if let Some(password) = &installation.repository_password {
        // A server that starts without one makes the public one.
        repository::apply(cluster, &installation.application, password, &mut applied).await?;
    }
    proxies::apply(cluster, installation, &mut applied).await?;
    let labels = &manifests.namespace_labels;
    let namespace = sighting.namespace.as_ref().map(|namespace| &namespace.metadata);
    // They come before the pods that would not be admitted without them, and go after these.
    if !labels.is_empty() {
        applied.changed.extend(namespace::label_sighted(cluster, labels, namespace).await?);
    }
    objects(cluster, installation, &manifests.objects, holdings, sighting, &mut applied).await?;
    prune::prune(cluster, installation, &manifests.locations, holdings, &mut applied).await?;
    if labels.is_empty() && applied.postponed.is_empty() {
        applied.changed.extend(namespace::label_sighted(cluster, labels, namespace).await?);
    }
    Ok(applied)
}

/// What the leader would still change of an installation, for a unit that must not change anything.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// What waits for something else, which is why what runs is not as planned.
    pub postponed: Option<Status>,
    /// What the leader is about to do, or is kept from doing.
    pub to_apply: Option<Status>,
}

/// Returns what the leader would still change of an installation's objects.
pub(crate) async fn pending(
    cluster: &Cluster,
    installation: &Installation,
    manifests: &Manifests,
    holdings: &Holdings,
) -> Result<Pending, ClusterError> {
    let mut changes = changes(cluster, installation, &manifests.objects, holdings).await?;
    let postponed = hold_back_restarts(cluster, &mut changes).await?;
    let to_apply = changes.first().map(|change| format!("to apply {}", describe(change.desired)));
    let superfluous = prune::superfluous(installation, &manifests.locations, holdings);
    let to_remove = || superfluous.first().map(|object| format!("to remove {}", describe(object)));
    Ok(Pending { postponed, to_apply: to_apply.or_else(to_remove).map(Status::Waiting) })
}

/// An object that differs from its manifest.
struct Change<'a> {
    desired: &'a DynamicObject,
    live: Option<&'a DynamicObject>,
    replaces_pods: bool,
}

/// Returns the objects that differ from what is wanted, all but those that are held back.
async fn changes<'a>(
    cluster: &Cluster,
    installation: &Installation,
    desired: &'a [DynamicObject],
    holdings: &'a Holdings,
) -> Result<Vec<Change<'a>>, ClusterError> {
    let held_back = |object: &&DynamicObject| match object.types.as_ref().map(|types| types.kind.as_str()) {
        Some("Deployment") => installation.held_back.server,
        Some("DaemonSet") => installation.held_back.node_agent,
        _ => false,
    };
    let compared = desired.iter().filter(|object| !held_back(object)).map(|desired| async move {
        match holdings.find(desired) {
            Some(held) => change(cluster, desired, held).await,
            None => Ok(Some(Change { desired, live: None, replaces_pods: false })),
        }
    });
    Ok(try_join_all(compared).await?.into_iter().flatten().collect())
}

/// Returns what applying an object would change. Where that is unclear, a dry run tells: admission may have rewritten what was
/// sent, and would again.
async fn change<'a>(
    cluster: &Cluster,
    desired: &'a DynamicObject,
    held: &'a Held,
) -> Result<Option<Change<'a>>, ClusterError> {
    let live = &held.object;
    if !differs(live, desired) {
        return Ok(None);
    }
    let inherits = FieldOwners::Predecessors.is_due(&live.metadata);
    let tried = if inherits { None } else { tried(cluster, desired).await? };
    let Some(tried) = tried else {
        let replaces_pods = has_available_pods(live) && !has_template(live, desired);
        return Ok(Some(Change { desired, live: Some(live), replaces_pods }));
    };
    let is_same = |pointer: &str| live.data.pointer(pointer) == tried.data.pointer(pointer);
    let replaces_pods = has_available_pods(live) && !(is_same("/spec/template") && is_same("/spec/selector"));
    let changes = without_status(&tried) != without_status(live)
        || tried.labels() != live.labels()
        || tried.annotations() != live.annotations();
    Ok(changes.then_some(Change { desired, live: Some(live), replaces_pods }))
}

/// Returns an object as it would be after it was applied; `None` where the server cannot say, or would not take it.
async fn tried(cluster: &Cluster, desired: &DynamicObject) -> Result<Option<DynamicObject>, ClusterError> {
    match cluster.try_apply(desired).await {
        Ok(tried) => Ok(Some(tried)),
        // A field that cannot be changed, or a webhook that does not support dry runs.
        Err(error) if error.is_refusal() => Ok(None),
        Err(error) => Err(error),
    }
}

fn without_status(object: &DynamicObject) -> Value {
    let mut data = object.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("status");
    }
    data
}

/// Takes out of the changes what would restart the server or the node agent while a backup or a restore is in progress that
/// another server could not continue. Returns what to wait for then.
async fn hold_back_restarts(cluster: &Cluster, changes: &mut Vec<Change<'_>>) -> Result<Option<Status>, ClusterError> {
    if !changes.iter().any(|change| change.replaces_pods) {
        return Ok(None);
    }
    let operations = operations_in_progress(cluster).await?;
    let Some(operation) = operations.iter().find(|operation| operation.needs_this_server) else { return Ok(None) };
    changes.retain(|change| !change.replaces_pods);
    Ok(Some(Status::Waiting(operation.holds("to restart Velero", Timestamp::now()))))
}

/// Applies those objects that differ.
async fn objects(
    cluster: &Cluster,
    installation: &Installation,
    desired: &[DynamicObject],
    holdings: &Holdings,
    sighting: &Sighting,
    applied: &mut Applied,
) -> Result<(), ClusterError> {
    let account = desired.iter().find(|object| is_account(object)).and_then(|account| holdings.find(account));
    let account_made = account.and_then(|held| held.object.creation_timestamp());
    let mut changes = changes(cluster, installation, desired, holdings).await?;
    match hold_back_restarts(cluster, &mut changes).await? {
        Some(status) => applied.postponed.push(status),
        None => proxies::forget(cluster, installation, holdings, applied).await?,
    }
    refuse_unknown_priorities(cluster, &mut changes, applied).await?;
    cluster.adopt_predecessors_fields(changes.iter().filter_map(|change| change.live)).await?;
    // A server exits where a ConfigMap is missing that its flags name.
    let (first, mut rest): (Vec<_>, Vec<_>) =
        changes.iter().partition(|change| is_of_kind(change.desired, "ConfigMap"));
    let mut outcomes = join_all(first.iter().map(|change| apply_or_remake(cluster, change))).await;
    if outcomes.iter().any(Result::is_err) {
        rest.retain(|change| change.desired.data.pointer("/spec/template").is_none());
        (applied.server_refused, applied.node_agent_refused) = (true, true);
    }
    outcomes.extend(join_all(rest.iter().map(|change| apply_or_remake(cluster, change))).await);
    let mut made = Vec::new();
    for (change, outcome) in first.iter().chain(&rest).zip(outcomes) {
        match outcome {
            Ok(object) => {
                applied.changed.push(describe(change.desired));
                made.push(object);
            }
            // The rest goes on: the other objects were applied.
            Err(error) if error.is_refusal() && !error.is_forbidden() => {
                tracing::warn!("{}", ErrorChain(&error));
                applied.refused.push(Status::Blocked(error.in_the_servers_words()));
                applied.note_refused(change.desired);
            }
            Err(error) => return Err(error),
        }
    }
    let account_made =
        made.iter().find(|object| is_account(object)).and_then(ResourceExt::creation_timestamp).or(account_made);
    // Without a ServiceAccount no pods are made: those that are older were there from the beginning of the hook.
    let orphans = account_made.map(|made| orphaned_pods(sighting.pods(), &made)).unwrap_or_default();
    applied.changed.extend(delete_pods(cluster, &orphans).await?);
    Ok(())
}

/// Takes out of the changes what is to have a priority class that there is not: its pods would not be admitted, and those that there
/// are would be gone by then.
async fn refuse_unknown_priorities(
    cluster: &Cluster,
    changes: &mut Vec<Change<'_>>,
    applied: &mut Applied,
) -> Result<(), ClusterError> {
    let mut unknown = Vec::new();
    for change in &*changes {
        let class = change.desired.data.pointer("/spec/template/spec/priorityClassName").and_then(Value::as_str);
        if let Some(class) = class
            && cluster.find(&named("scheduling.k8s.io/v1", "PriorityClass", class)).await?.is_none()
        {
            let object = describe(change.desired);
            applied.note_refused(change.desired);
            applied.refused.push(Status::Blocked(format!(
                "the cluster has no PriorityClass {class}, which {object} is to have: name another one, or create it"
            )));
            unknown.push(object);
        }
    }
    changes.retain(|change| !unknown.contains(&describe(change.desired)));
    Ok(())
}

/// Whether an object is Velero's ServiceAccount.
fn is_account(object: &DynamicObject) -> bool {
    is_of_kind(object, "ServiceAccount")
}

fn is_of_kind(object: &DynamicObject, kind: &str) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == kind)
}

/// Applies an object, and makes it anew where it cannot become what it should be: some fields are fixed when an object is made,
/// such as the role that a ClusterRoleBinding gives, and others may contradict those that somebody added.
async fn apply_or_remake(cluster: &Cluster, change: &Change<'_>) -> Result<DynamicObject, ClusterError> {
    let object = change.desired;
    // `rollingUpdate` is a default without an owner; to apply Recreate would conflict with it.
    if let Some(live) = change.live
        && live.data.pointer("/spec/strategy/rollingUpdate").is_some()
        && object.data.pointer("/spec/strategy/type").is_some_and(|strategy| strategy == "Recreate")
    {
        let recreate = json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}});
        cluster.merge(live, &recreate).await?;
    }
    match cluster.apply(object).await {
        Err(error) if error.is_invalid() && cluster.accepts(object).await => {
            tracing::info!("{} cannot be mended and is made anew", describe(object));
            cluster.delete(object).await?;
            cluster.apply(object).await
        }
        outcome => outcome,
    }
}

/// Returns the names of those pods of Velero that are older than their ServiceAccount: it was made anew, and the API
/// server refuses the tokens that they have of the former one.
fn orphaned_pods(pods: &[Pod], account_made: &Time) -> Vec<String> {
    let orphaned = |pod: &&Pod| {
        let controlled =
            pod.owner_references().iter().any(|owner| matches!(owner.kind.as_str(), "ReplicaSet" | "DaemonSet"));
        controlled
            && pod.metadata.deletion_timestamp.is_none()
            && pod.spec.as_ref().is_some_and(|spec| spec.service_account_name.as_deref() == Some(SERVER))
            && pod.creation_timestamp().is_some_and(|made| made < *account_made)
    };
    pods.iter().filter(orphaned).map(ResourceExt::name_any).collect()
}

/// Deletes pods, of which their controllers make others. There is nothing that they could still finish.
async fn delete_pods(cluster: &Cluster, names: &[String]) -> Result<Vec<String>, ClusterError> {
    try_join_all(names.iter().map(|name| async move {
        let pod = cluster.own(named("v1", "Pod", name));
        cluster.delete(&pod).await?;
        Ok(describe(&pod))
    }))
    .await
}

/// Whether the pods of a Deployment or a DaemonSet stay as they are when it is applied, as far as can be told without a dry
/// run.
fn has_template(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let Some(template) = desired.data.pointer("/spec/template") else { return true };
    let same_template = live.data.pointer("/spec/template").is_some_and(|live| contains(live, template));
    let same_selector = live.data.pointer("/spec/selector") == desired.data.pointer("/spec/selector");
    // Fields that an older manifest had and this one has not are in the template of the cluster alone.
    let same_manifest = live.annotations().get(MANIFEST_ANNOTATION) == desired.annotations().get(MANIFEST_ANNOTATION);
    same_template && same_selector && same_manifest
}

/// Whether a Deployment or a DaemonSet has pods that may be at work. Pods that are crash-looping, or cannot start, are not, and
/// a change may mend them.
fn has_available_pods(live: &DynamicObject) -> bool {
    ["/status/availableReplicas", "/status/numberAvailable"]
        .iter()
        .any(|count| live.data.pointer(count).and_then(Value::as_i64).is_some_and(|count| count > 0))
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
