//! The scratch namespaces of a drill: closed to the network, limited, labelled as the application's, and taken away afterwards.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ObjectMeta, TypeMeta},
};
use serde_json::{Value, json};

use super::marks::own_labels;
use crate::{
    cluster::{Cluster, ClusterError, MetadataOnly, call, found, named},
    settings::Quantity,
    velero::wanted::label_value::{hashed_name, short_hash},
};

/// The label with the namespace of the Velero whose drill it is.
const DRILL_OF: &str = "velero-operator/drill-of";
/// The annotation with the namespace that is restored into it.
const RESTORED_FROM: &str = "velero-operator/restored-from";
/// The label of a namespace that somebody wants to look into after the drill.
const KEPT: &str = "velero-operator/kept";
/// The label of a namespace that no backup takes in, whosever Velero makes it. Reference: `pkg/controller/backup_controller.go` of Velero.
const NOT_BACKED_UP: &str = "velero.io/exclude-from-backup";
/// The name of the objects that the charm itself makes in a scratch namespace.
pub(super) const OWN: &str = "velero-operator-drill";
/// The annotation of a volume that was made for its claim.
const PROVISIONED: &str = "pv.kubernetes.io/provisioned-by";
/// The labels by which the cluster limits what the pods of a namespace may do.
const POD_SECURITY: [&str; 3] =
    ["pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/warn", "pod-security.kubernetes.io/audit"];
/// How much a namespace's name may have.
const LONGEST_NAME: usize = 63;

/// Whose drill it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    pub application: &'a str,
    /// What tells the drill from others.
    pub id: &'a str,
}

/// How much a drill may take of the cluster.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Share {
    /// Nothing where it is not known how many there are to be.
    pub pods: Option<usize>,
    /// In thousandths of a processor.
    pub processors: u64,
    /// In bytes.
    pub memory: u64,
}

/// What is left of the volumes of a drill.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Leftovers {
    /// The PersistentVolumes that nobody made for the drill, and that nobody can use again without a person.
    pub volumes: BTreeSet<String>,
}

/// Returns the names of the scratch namespaces for those of a backup.
pub(super) fn mapping<'a>(whose: Whose<'_>, namespaces: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let name = |namespace: &str| {
        let hash = short_hash(&[whose.id, namespace]);
        hashed_name(&format!("drill-{namespace}"), &hash, LONGEST_NAME)
    };
    namespaces.into_iter().map(|namespace| (namespace.to_owned(), name(namespace))).collect()
}

/// Returns half of what the nodes of the cluster have, which is the most that a drill takes.
pub(super) async fn share(cluster: &Cluster, pods: Option<usize>) -> Result<Share, ClusterError> {
    let nodes = cluster.list(&cluster.cluster_wide::<Node>(), "the nodes", "").await?;
    let allocatable = |resource: &str, amount: fn(&Quantity) -> u64| {
        let quantities = nodes.iter().filter_map(|node| {
            let quantity = node.status.as_ref()?.allocatable.as_ref()?.get(resource)?;
            Some(amount(&Quantity::parse(&quantity.0)?))
        });
        quantities.fold(0, u64::saturating_add) / 2
    };
    Ok(Share {
        // Controllers may replace pods before the old ones have gone.
        pods: pods.map(|pods| pods * 2 + 2),
        processors: allocatable("cpu", Quantity::thousandths),
        memory: allocatable("memory", Quantity::whole),
    })
}

/// Makes the scratch namespaces.
pub(super) async fn make(
    cluster: &Cluster,
    whose: Whose<'_>,
    mapping: &BTreeMap<String, String>,
    share: Share,
) -> Result<(), ClusterError> {
    let namespaces: Api<Namespace> = cluster.cluster_wide();
    let owner =
        call("get", format!("Namespace {}", cluster.namespace()), || namespaces.get_metadata_opt(cluster.namespace()))
            .await?;
    let owner = owner.and_then(|owner| owner.metadata.uid);
    for (original, scratch) in mapping {
        cluster.apply(&namespace(cluster, whose, original, scratch, owner.clone())).await?;
        // Nothing is restored before it is closed.
        for object in fence(scratch, share) {
            cluster.apply(&object).await?;
        }
    }
    Ok(())
}

fn namespace(
    cluster: &Cluster,
    whose: Whose<'_>,
    original: &str,
    scratch: &str,
    owner: Option<String>,
) -> DynamicObject {
    let mut object = named("v1", "Namespace", scratch);
    let mut labels = labels(cluster.namespace(), whose.application);
    labels.insert(NOT_BACKED_UP.to_owned(), "true".to_owned());
    // Pods that reach their node, its network or its folders would share them with those that they are copies of.
    labels.extend(POD_SECURITY.map(|label| (label.to_owned(), "baseline".to_owned())));
    let annotations = BTreeMap::from([(RESTORED_FROM.to_owned(), original.to_owned())]);
    // Where the model is destroyed by force, the cluster takes its drills along.
    let owner_references = owner.map(|uid| {
        let reference = json!({"apiVersion": "v1", "kind": "Namespace", "name": cluster.namespace(), "uid": uid});
        serde_json::from_value(reference).map(|reference| vec![reference]).unwrap_or_default()
    });
    object.metadata =
        ObjectMeta { labels: Some(labels), annotations: Some(annotations), owner_references, ..object.metadata };
    object
}

/// Returns the labels of the application's scratch namespaces.
fn labels(velero: &str, application: &str) -> BTreeMap<String, String> {
    own_labels(application, Some((DRILL_OF, velero)))
}

/// Returns what closes a scratch namespace and limits what is in it.
fn fence(scratch: &str, share: Share) -> [DynamicObject; 3] {
    let object = |api_version: &str, kind: &str, spec: Value| {
        let mut object = named(api_version, kind, OWN);
        object.metadata.namespace = Some(scratch.to_owned());
        object.data = json!({"spec": spec});
        object
    };
    let closed = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    let Share { pods, processors, memory } = share;
    let mut hard = json!({"services.loadbalancers": "0", "services.nodeports": "0"});
    if let Some(pods) = pods {
        hard["pods"] = pods.to_string().into();
    }
    if processors > 0 && memory > 0 {
        hard["requests.cpu"] = format!("{processors}m").into();
        hard["requests.memory"] = memory.to_string().into();
    }
    // Under such a quota every container asks for something.
    let least = json!({"limits": [{"type": "Container", "defaultRequest": {"cpu": "10m", "memory": "16Mi"}}]});
    [
        object("networking.k8s.io/v1", "NetworkPolicy", closed),
        object("v1", "ResourceQuota", json!({"hard": hard})),
        object("v1", "LimitRange", least),
    ]
}

/// Marks scratch namespaces as ones that stay after the drill.
pub(super) async fn keep(cluster: &Cluster, mapping: &BTreeMap<String, String>) -> Result<(), ClusterError> {
    for scratch in mapping.values() {
        cluster.merge(&named("v1", "Namespace", scratch), &json!({"metadata": {"labels": {KEPT: "true"}}})).await?;
    }
    Ok(())
}

/// Takes the application's scratch namespaces away, but for those that are kept unless `kept` go, too.
pub(super) async fn take_away(cluster: &Cluster, application: &str, kept: bool) -> Result<Leftovers, ClusterError> {
    let api = cluster.everywhere(&namespace_kind());
    let namespaces = cluster.list(&api, "the scratch namespaces", &selector(cluster, application, kept)).await?;
    let mut leftovers = Leftovers::default();
    for namespace in namespaces {
        let name = namespace.name_any();
        if namespace.metadata.deletion_timestamp.is_some() {
            continue;
        }
        leftovers.volumes.append(&mut release_volumes(cluster, &name).await?);
        cluster.delete(&named("v1", "Namespace", &name)).await?;
        tracing::info!("took the scratch namespace {name} away");
    }
    Ok(leftovers)
}

/// Whether none of the application's scratch namespaces is there any more, but for those that are kept.
pub(super) async fn are_gone(cluster: &Cluster, application: &str) -> Result<bool, ClusterError> {
    let mut names = Vec::new();
    let add = |namespace: MetadataOnly| names.push(namespace.metadata.name);
    cluster
        .collect(
            &cluster.everywhere(&namespace_kind()),
            "the scratch namespaces",
            &selector(cluster, application, false),
            add,
        )
        .await?;
    Ok(names.is_empty())
}

fn namespace_kind() -> TypeMeta {
    TypeMeta { api_version: "v1".to_owned(), kind: "Namespace".to_owned() }
}

fn selector(cluster: &Cluster, application: &str, kept: bool) -> String {
    let labels = labels(cluster.namespace(), application);
    let mut selector: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !kept {
        selector.push(format!("!{KEPT}"));
    }
    selector.join(",")
}

/// Lets the volumes of a scratch namespace go with their claims. Returns those that were not made for them.
async fn release_volumes(cluster: &Cluster, scratch: &str) -> Result<BTreeSet<String>, ClusterError> {
    let claims: Api<PersistentVolumeClaim> = cluster.namespaced_in(scratch);
    let claims = cluster.list(&claims, "the claims of a drill", "").await?;
    let volumes: Api<PersistentVolume> = cluster.cluster_wide();
    let mut left = BTreeSet::new();
    for name in claims.into_iter().filter_map(|claim| claim.spec?.volume_name) {
        let volume = call("get", format!("PersistentVolume {name}"), || volumes.get_opt(&name)).await?;
        let Some(volume) = volume else { continue };
        let spec = volume.spec.as_ref();
        let is_of_drill = spec.and_then(|spec| spec.claim_ref.as_ref()?.namespace.as_deref()) == Some(scratch);
        if !is_of_drill {
            continue;
        }
        let is_kept = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) != Some("Delete");
        if !volume.annotations().contains_key(PROVISIONED) {
            left.insert(name);
        } else if is_kept {
            let gone = json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}});
            found(cluster.merge(&named("v1", "PersistentVolume", &name), &gone).await)?;
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::test_api::TestApi, velero::names::INSTANCE};

    #[test]
    fn a_scratch_namespace_is_told_from_all_others() {
        let whose = Whose { application: "velero-operator", id: "1" };
        let names = mapping(whose, ["shop", "apps"]);
        assert!(names["shop"].starts_with("drill-shop-") && names["apps"].starts_with("drill-apps-"), "{names:?}");
        assert_ne!(mapping(Whose { id: "2", ..whose }, ["shop"])["shop"], names["shop"]);
        let long = "a".repeat(63);
        assert_eq!(mapping(whose, [long.as_str()])[&long].len(), 63);
    }

    #[test]
    fn nothing_gets_in_or_out_and_no_more_than_its_share_is_taken() {
        let [policy, quota, _] = fence("drill-shop", Share { pods: Some(4), processors: 1500, memory: 1 << 30 });
        assert_eq!(policy.data["spec"], json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
        let hard = &quota.data["spec"]["hard"];
        assert_eq!((&hard["pods"], &hard["services.nodeports"]), (&json!("4"), &json!("0")));
        assert_eq!((&hard["requests.cpu"], &hard["requests.memory"]), (&json!("1500m"), &json!("1073741824")));
        // A cluster that does not say what it has is limited by pods alone.
        let by_pods = Share { pods: Some(4), ..Share::default() };
        for share in [by_pods, Share { processors: 1500, ..by_pods }, Share { memory: 1 << 30, ..by_pods }] {
            let [_, quota, _] = fence("drill-shop", share);
            assert_eq!(quota.data["spec"]["hard"].as_object().unwrap().len(), 3);
        }
    }

    #[tokio::test]
    async fn a_scratch_namespace_is_labelled_restricted_and_goes_with_the_model() {
        let cluster = TestApi::new().cluster("velero");
        let whose = Whose { application: "velero-operator", id: "1" };
        let object = namespace(&cluster, whose, "shop", "drill-shop-1", Some("0a1b".to_owned()));
        let labels = object.labels();
        for (key, value) in [
            (INSTANCE, "velero-operator"),
            (DRILL_OF, "velero"),
            (NOT_BACKED_UP, "true"),
            ("pod-security.kubernetes.io/enforce", "baseline"),
        ] {
            assert_eq!(labels.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert_eq!(object.annotations()[RESTORED_FROM], "shop");
        assert_eq!(object.owner_references()[0].uid, "0a1b");
        assert_eq!(object.name_any(), "drill-shop-1");
        let selected = |kept: bool| selector(&cluster, "velero-operator", kept);
        assert!(selected(true).contains("velero-operator/drill-of=velero"), "{}", selected(true));
        assert_eq!(selected(false), format!("{},!{KEPT}", selected(true)));
    }

    #[tokio::test]
    async fn a_drill_takes_half_of_what_the_nodes_have() {
        let api = TestApi::new();
        let node = |name: &str, memory: &str| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
                "status": {"allocatable": {"cpu": "1500m", "memory": memory}}})
        };
        api.put_all(&[node("a", "1Gi"), node("b", "2Gi")]);
        let of = async |pods| share(&api.cluster("velero"), pods).await.unwrap();
        let half = Share { pods: None, processors: 1500, memory: 3 << 29 };
        assert_eq!(of(None).await, half);
        assert_eq!(of(Some(3)).await, Share { pods: Some(8), ..half });
    }

    #[tokio::test]
    async fn only_volumes_that_were_made_for_the_drill_go_with_it() {
        let api = TestApi::new();
        let claim = |volume: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": volume, "namespace": "drill-shop-1"}, "spec": {"volumeName": volume}})
        };
        let volume = |name: &str, namespace: &str, policy: &str, annotation: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolume",
                "metadata": {"name": name, "annotations": {annotation: "csi.example.com"}},
                "spec": {"claimRef": {"namespace": namespace, "name": name}, "persistentVolumeReclaimPolicy": policy}})
        };
        for volume in ["retained", "by-hand", "of-another", "gone"] {
            api.put(&claim(volume));
        }
        api.put_all(&[
            volume("retained", "drill-shop-1", "Retain", PROVISIONED),
            volume("by-hand", "drill-shop-1", "Retain", "other"),
            volume("of-another", "shop", "Retain", PROVISIONED),
        ]);
        let cluster = api.cluster("velero");
        let left = release_volumes(&cluster, "drill-shop-1").await.unwrap();
        assert_eq!(left, BTreeSet::from(["by-hand".to_owned()]));
        let policy = async |name: &str| {
            let volume = cluster.find(&named("v1", "PersistentVolume", name)).await.unwrap().unwrap();
            volume.data["spec"]["persistentVolumeReclaimPolicy"].clone()
        };
        assert_eq!(policy("retained").await, "Delete");
        assert_eq!((policy("by-hand").await, policy("of-another").await), (json!("Retain"), json!("Retain")));
    }

    #[tokio::test]
    async fn only_what_is_kept_is_there_after_a_drill() {
        let api = TestApi::new();
        let cluster = api.cluster("velero");
        let whose = Whose { application: "velero-operator", id: "1" };
        let mapping = mapping(whose, ["shop"]);
        make(&cluster, whose, &mapping, Share::default()).await.unwrap();
        assert!(!are_gone(&cluster, "velero-operator").await.unwrap());
        assert!(are_gone(&cluster, "another").await.unwrap());
        let count = |kind: &str| api.names().iter().filter(|name| name.starts_with(kind)).count();
        assert_eq!((count("NetworkPolicy "), count("ResourceQuota "), count("LimitRange ")), (1, 1, 1));
        keep(&cluster, &mapping).await.unwrap();
        assert!(are_gone(&cluster, "velero-operator").await.unwrap());
        take_away(&cluster, "velero-operator", false).await.unwrap();
        assert_eq!(count("Namespace "), 1);
        take_away(&cluster, "velero-operator", true).await.unwrap();
        assert_eq!(count("Namespace "), 0);
    }
}
