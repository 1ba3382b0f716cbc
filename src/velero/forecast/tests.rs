use serde_json::json;

use super::*;
use crate::cluster::test_api::TestApi;

/// A cluster with a claim of `shop` that is bound to a volume, and a pod that uses it.
struct World {
    api: TestApi,
}

/// What a real application asks for.
fn claims_alone() -> Value {
    json!({"includedNamespaces": ["shop"], "includedResources": ["persistentvolumeclaims"],
        "labelSelector": {"matchLabels": {"app": "minio"}}, "defaultVolumesToFsBackup": true})
}

fn with_pods() -> Value {
    let mut spec = claims_alone();
    spec["includedResources"] = json!(["persistentvolumeclaims", "persistentvolumes", "pods"]);
    spec
}

impl World {
    fn new() -> Self {
        let world = Self::without_agent();
        world.api.put(&json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "node-agent", "namespace": "velero"}}));
        world
    }

    fn without_agent() -> Self {
        let api = TestApi::new();
        api.define("v1", "Schedule");
        api.define("v1", "VolumeSnapshotLocation");
        let world = Self { api };
        world.put_claim("shop", "data", "minio");
        world.put_volume("data", &json!({"csi": {"driver": "any"}}));
        world.put_pod(&json!({}), &json!({}));
        world
    }

    fn put_claim(&self, namespace: &str, name: &str, app: &str) {
        self.api.put(&json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
            "spec": {"volumeName": name, "accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}}));
    }

    fn put_volume(&self, name: &str, spec: &Value) {
        self.api
            .put(&json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}));
    }

    /// Puts the pod there, with something else about it.
    fn put_pod(&self, metadata: &Value, more: &Value) {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "minio-0", "namespace": "shop"},
            "spec": {"nodeName": "a", "containers": [{"name": "minio", "volumeMounts": [{"name": "disk"}]}],
                "volumes": [{"name": "config"}, {"name": "disk", "persistentVolumeClaim": {"claimName": "data"}}]},
            "status": {"phase": "Running"}});
        for (key, value) in metadata.as_object().unwrap() {
            pod["metadata"][key] = value.clone();
        }
        for (key, value) in more.as_object().unwrap() {
            pod[key] = value.clone();
        }
        self.api.put(&pod);
    }

    async fn forecast(&self, spec: &Value) -> Forecast {
        forecast(&self.api.cluster("velero"), &[&Selection::of(spec)]).await.unwrap().remove(0)
    }

    /// Why the claim's data is not in a backup.
    async fn gap(&self, spec: &Value) -> Option<Gap> {
        let Forecast { with_data, without_data } = self.forecast(spec).await;
        assert_eq!(with_data + without_data.len(), 1, "{without_data:?}");
        without_data.get("shop/data").copied()
    }
}

#[tokio::test]
async fn a_claim_without_its_pods_is_without_its_data() {
    let world = World::new();
    assert_eq!(world.gap(&claims_alone()).await, Some(Gap::PodsLeftOut));
    // The claim brings the pod, whatever the pod's labels are.
    assert_eq!(world.gap(&with_pods()).await, None);
    let mut without_volumes = with_pods();
    without_volumes["includedResources"] = json!(["pvc", "pods"]);
    assert_eq!(world.gap(&without_volumes).await, Some(Gap::VolumesLeftOut));
    without_volumes["includeClusterResources"] = json!(false);
    assert_eq!(world.gap(&without_volumes).await, Some(Gap::VolumesExcluded));
    let mut excluded = claims_alone();
    excluded["includedResources"] = json!([]);
    excluded["excludedResources"] = json!(["pods"]);
    assert_eq!(world.gap(&excluded).await, Some(Gap::PodsExcluded));
}

#[tokio::test]
async fn a_pod_must_run_and_mount_the_volume_and_not_exclude_it() {
    let world = World::new();
    let annotation = |name: &str| json!({"annotations": {format!("backup.velero.io/{name}"): "more,disk"}});
    world.put_pod(&annotation("backup-volumes-excludes"), &json!({}));
    assert_eq!(world.gap(&with_pods()).await, Some(Gap::Excluded));
    let mut unless_chosen = with_pods();
    unless_chosen["defaultVolumesToFsBackup"] = json!(false);
    assert_eq!(world.gap(&unless_chosen).await, Some(Gap::NotChosen));
    world.put_pod(&annotation("backup-volumes"), &json!({}));
    assert_eq!(world.gap(&unless_chosen).await, None);
    for metadata in [
        json!({"deletionTimestamp": "2026-01-31T10:00:00Z"}),
        json!({"labels": {"velero.io/exclude-from-backup": "true"}}),
    ] {
        world.put_pod(&metadata, &json!({}));
        assert_eq!(world.gap(&with_pods()).await, Some(Gap::NoRunningPod), "{metadata}");
    }
    world.put_pod(&json!({}), &json!({"status": {"phase": "Pending"}}));
    assert_eq!(world.gap(&with_pods()).await, Some(Gap::NoRunningPod));
    let volumes = json!([{"name": "disk", "persistentVolumeClaim": {"claimName": "data"}}]);
    world.put_pod(&json!({}), &json!({"spec": {"nodeName": "a", "containers": [{}], "volumes": volumes}}));
    assert_eq!(world.gap(&with_pods()).await, Some(Gap::NotMounted));
}

#[tokio::test]
async fn what_velero_does_not_read_is_told_first() {
    let world = World::new();
    world.put_volume("data", &json!({"hostPath": {"path": "/var"}}));
    assert_eq!(world.gap(&claims_alone()).await, Some(Gap::HostPath));
    let without_agent = World::without_agent();
    assert_eq!(without_agent.gap(&with_pods()).await, Some(Gap::NoNodeAgent));
}

#[tokio::test]
async fn a_snapshot_holds_the_data_where_the_provider_makes_one() {
    let world = World::new();
    let location = |provider: &str| {
        json!({"apiVersion": "velero.io/v1", "kind": "VolumeSnapshotLocation",
            "metadata": {"name": "default", "namespace": "velero"}, "spec": {"provider": provider}})
    };
    world.put_volume("data", &json!({"csi": {"driver": "ebs.csi.aws.com"}}));
    let mut spec = claims_alone();
    spec["defaultVolumesToFsBackup"] = json!(false);
    spec["includedResources"] = json!(["pvc", "pv"]);
    assert_eq!(world.gap(&spec).await, Some(Gap::PodsLeftOut));
    world.api.put(&location("velero.io/aws"));
    assert_eq!(world.gap(&spec).await, None);
    // Without the volume's own object there is none.
    assert_eq!(world.gap(&claims_alone()).await, Some(Gap::PodsLeftOut));
    // A pod whose files are to be read keeps Velero from it, even where the pod is not in the backup.
    spec["defaultVolumesToFsBackup"] = json!(true);
    assert_eq!(world.gap(&spec).await, Some(Gap::PodsLeftOut));
    spec["defaultVolumesToFsBackup"] = json!(false);
    world.api.put(&location("gcp"));
    assert_eq!(world.gap(&spec).await, Some(Gap::PodsLeftOut));
}

#[tokio::test]
async fn a_snapshot_by_the_driver_holds_the_data_where_there_is_a_class_for_it() {
    let world = World::without_agent();
    let mut spec = claims_alone();
    spec["defaultVolumesToFsBackup"] = json!(false);
    world.api.put(&json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "velero", "namespace": "velero"},
        "spec": {"template": {"spec": {"containers": [{"args": ["server", "--features=EnableCSI"]}]}}}}));
    assert_eq!(world.gap(&spec).await, Some(Gap::NoNodeAgent));
    world.api.put(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "volumesnapshotclasses.snapshot.storage.k8s.io"}}));
    let class = |driver: &str| {
        json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "driver": driver,
            "metadata": {"name": driver}})
    };
    world.api.put(&class("another"));
    assert_eq!(world.gap(&spec).await, Some(Gap::NoNodeAgent));
    // Of a volume that has a driver Velero's own plugin makes none then.
    world.put_volume("data", &json!({"csi": {"driver": "ebs.csi.aws.com"}}));
    world.api.put(&json!({"apiVersion": "velero.io/v1", "kind": "VolumeSnapshotLocation",
        "metadata": {"name": "default", "namespace": "velero"}, "spec": {"provider": "aws"}}));
    spec["includedResources"] = json!(["pvc", "pv"]);
    assert_eq!(world.gap(&spec).await, Some(Gap::NoNodeAgent));
    world.put_volume("data", &json!({"csi": {"driver": "any"}}));
    world.api.put(&class("any"));
    assert_eq!(world.gap(&spec).await, None);
    // Where files are to be read there is none.
    world.put_pod(&json!({"annotations": {"backup.velero.io/backup-volumes": "disk"}}), &json!({}));
    assert_eq!(world.gap(&spec).await, Some(Gap::NoNodeAgent));
    world.put_pod(&json!({}), &json!({}));
    spec["snapshotVolumes"] = json!(false);
    assert_eq!(world.gap(&spec).await, Some(Gap::NoNodeAgent));
    // A server that was not told to makes none.
    spec["snapshotVolumes"] = json!(true);
    assert_eq!(world.gap(&spec).await, None);
    world.api.put(&json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "velero", "namespace": "velero"},
        "spec": {"template": {"spec": {"containers": [{"args": ["server"]}]}}}}));
    assert_eq!(world.gap(&spec).await, Some(Gap::NoNodeAgent));
}

#[tokio::test]
async fn policies_decide_before_all_else_what_becomes_of_a_volume() {
    let world = World::new();
    let mut spec = with_pods();
    spec["defaultVolumesToFsBackup"] = json!(false);
    spec["resourcePolicy"] = json!({"kind": "configmap", "name": "policies"});
    let follow = |action: &str| {
        let text = format!(
            "version: v1\nvolumePolicies: [{{conditions: {{capacity: '1Gi,', storageClass: [fast], \
            volumeTypes: [csi], pvcLabels: {{app: minio}}, pvcPhase: [Bound], pvcAccessModes: [ReadWriteOnce], \
            pvcVolumeMode: Filesystem}}, action: {{type: {action}}}}}]"
        );
        world.api.put(
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "policies", "namespace": "velero"},
            "data": {"any": text}}),
        );
    };
    follow("fs-backup");
    // The volume does not fit, so that all is as without policies.
    assert_eq!(world.gap(&spec).await, Some(Gap::NotChosen));
    let volume = json!({"csi": {"driver": "any"}, "capacity": {"storage": "2Gi"}, "storageClassName": "fast"});
    world.put_volume("data", &volume);
    assert_eq!(world.gap(&spec).await, None);
    follow("snapshot");
    assert_eq!(world.gap(&spec).await, Some(Gap::NoSnapshot));
    follow("custom");
    assert_eq!(world.gap(&spec).await, None);
    follow("skip");
    assert_eq!(world.forecast(&spec).await, Forecast::default());
    // What cannot be read is nothing that a forecast could go by.
    follow("nothing");
    assert_eq!(world.gap(&spec).await, Some(Gap::NotChosen));
    follow("fs-backup");
    world.put_volume("data", &json!({"storageos": {}, "capacity": {"storage": "2Gi"}, "storageClassName": "fast"}));
    assert_eq!(world.gap(&spec).await, Some(Gap::NotChosen));
}

#[tokio::test]
async fn claims_are_taken_by_their_labels_or_brought_by_a_pod() {
    let world = World::new();
    world.put_claim("shop", "other", "web");
    world.put_claim("elsewhere", "data", "minio");
    world.api.put(&json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "unbound", "namespace": "shop", "labels": {"app": "minio"}},
        "spec": {"volumeName": "to-come"}, "status": {"phase": "Pending"}}));
    world.api.put(&json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "left-out",
        "namespace": "shop", "labels": {"app": "minio", "velero.io/exclude-from-backup": "true"}},
        "spec": {"volumeName": "left-out"}, "status": {"phase": "Bound"}}));
    assert_eq!(world.gap(&claims_alone()).await, Some(Gap::PodsLeftOut));
    world.put_claim("shop", "data", "not-minio");
    assert_eq!(world.forecast(&claims_alone()).await, Forecast::default());
    world.put_pod(&json!({"labels": {"app": "minio"}}), &json!({}));
    assert_eq!(world.gap(&with_pods()).await, None);
    // All namespaces.
    let everything = world.forecast(&json!({"defaultVolumesToFsBackup": true})).await;
    assert_eq!(everything.with_data, 1);
    assert_eq!(everything.without_data.keys().collect::<Vec<_>>(), ["elsewhere/data", "shop/other"]);
    assert_eq!(everything.main_gap(), Some(Gap::NoRunningPod));
}

#[tokio::test]
async fn a_claim_that_is_left_out_by_its_label_is_not_brought_by_its_pod() {
    let world = World::new();
    world.put_pod(&json!({"labels": {"app": "minio"}}), &json!({}));
    assert_eq!(world.forecast(&with_pods()).await.with_data, 1);
    world.api.put(&json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data",
        "namespace": "shop", "labels": {"app": "minio", "velero.io/exclude-from-backup": "true"}},
        "spec": {"volumeName": "data", "accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}}));
    assert_eq!(world.forecast(&with_pods()).await, Forecast::default());
}

#[tokio::test]
async fn nothing_is_read_for_who_takes_no_volumes() {
    let world = World::new();
    world.forecast(&json!({"includedResources": ["profiles.kubeflow.org"]})).await;
    assert_eq!(world.api.requests(), Vec::<String>::new());
    // Nor are pods where there are no claims.
    world.forecast(&json!({"includedNamespaces": ["empty"]})).await;
    assert!(world.api.requests().iter().all(|request| !request.contains("pods")), "{:?}", world.api.requests());
}

#[tokio::test]
async fn the_schedules_of_the_application_are_told_of_by_their_whole_names() {
    let world = World::new();
    let schedule = |name: &str, instance: &str, paused: bool| {
        json!({"apiVersion": "velero.io/v1", "kind": "Schedule",
            "metadata": {"name": name, "namespace": "velero", "annotations": {"velero-operator/app": "minio-with-a-long-name"},
                "labels": {"app.kubernetes.io/instance": instance, "managed-by": "velero-operator", "app": "minio",
                    "endpoint": "backups", "model": "shop"}},
            "spec": {"paused": paused, "template": claims_alone()}})
    };
    world.api.put_all(&[schedule("a", "ours", false), schedule("b", "theirs", false), schedule("c", "ours", true)]);
    let cluster = world.api.cluster("velero");
    let found = schedules(&cluster, "ours").await.unwrap();
    let (target, _) = &found["a"];
    assert_eq!(
        (found.len(), target.each_ref().map(String::as_str)),
        (1, ["minio-with-a-long-name", "backups", "shop"])
    );
}
