//! Restore drills by the action `verify-backup`, on the real server: of good backups, and of such as are broken.

use std::{
    io::Read,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use kube::{
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use sandbox::{juju::ActionStatus, object_store::Bucket};
use serde_json::{Value, json};

use crate::{
    actions::{TARGET, log_of},
    backups::Client,
    deployed::Deployed,
    objects,
    workload::{Chosen, Workload},
    world::World,
};

/// What acts outside of its namespace, and what does not.
const STAGE: &str = include_str!("drill_stage.yaml");

/// A pod that shares a folder with its node.
const ON_NODE: &str = r#"{apiVersion: v1, kind: Pod, metadata: {name: on-node}, spec: {terminationGracePeriodSeconds: 0,
  containers: [{name: a, image: "busybox:1.36", command: [sleep, "3600"]}], volumes: [{name: a, hostPath: {path: /tmp}}]}}"#;

/// A pod with a volume that only a node with a certain label takes.
const PICKY: &str = r#"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: picky}, spec: {accessModes: [ReadWriteOnce],
  resources: {requests: {storage: 16Mi}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: picky}, spec: {terminationGracePeriodSeconds: 0, nodeSelector: {for-drills: "yes"},
  containers: [{name: a, image: "busybox:1.36", command: [sleep, "3600"], volumeMounts: [{name: a, mountPath: /a}]}],
  volumes: [{name: a, persistentVolumeClaim: {claimName: picky}}]}}"#;

/// What stands in a Secret of the stage.
const MARKED: &str = "marked-secret-of-the-stage";

/// What the charm remembers of drills.
const BOOK: &str = "velero-operator-drills";

const STAGE_OF_ONE: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {currency: EUR}}";

/// The charm with a node agent, and an application with a volume that has its namespace backed up on demand.
fn with_ledger(name: &str) -> (Deployed, Workload, String) {
    let mut deployed = Deployed::new(name);
    let bucket = deployed.relate_s3();
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    let workload = Workload::new(deployed.world, &format!("{name}-workload"), Chosen::ByDefault);
    workload.write();
    let ledger = Client::relate(&mut deployed, "ledger");
    ledger.declare(&mut deployed, &json!({"include_namespaces": [workload.namespace()], "ttl": "72h"}));
    (deployed, workload, bucket)
}

/// Makes the objects of a file in a namespace.
fn make_all(world: &World, namespace: &str, stage: &str) {
    for document in stage.split("\n---\n") {
        let mut object: Value = serde_yaml::from_str(document).unwrap();
        object["metadata"]["namespace"] = namespace.into();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let types = object.types.clone().unwrap();
        let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
        let kind = kube::core::GroupVersionKind::gvk(group, version, &types.kind);
        let resource = kube::core::ApiResource::from_gvk(&kind);
        let api = kube::Api::<DynamicObject>::namespaced_with(world.client.clone(), namespace, &resource);
        world.runtime.block_on(api.create(&PostParams::default(), &object)).unwrap();
    }
}

/// The scratch namespaces of a model's drills, but for those that are on their way out.
fn scratch_namespaces(deployed: &Deployed) -> Vec<String> {
    let selector = format!("velero-operator/drill-of={}", deployed.namespace());
    let api = objects::api(deployed.world, "", "Namespace");
    let listed = deployed.world.runtime.block_on(api.list(&ListParams::default().labels(&selector))).unwrap();
    let stay = listed.items.into_iter().filter(|namespace| namespace.metadata.deletion_timestamp.is_none());
    stay.map(|namespace| namespace.metadata.name.unwrap()).collect()
}

fn in_namespace(deployed: &Deployed, namespace: &str, group_version: (&str, &str), kind: &str, name: &str) -> Value {
    let kind = kube::core::GroupVersionKind::gvk(group_version.0, group_version.1, kind);
    let resource = kube::core::ApiResource::from_gvk(&kind);
    let api = kube::Api::<DynamicObject>::namespaced_with(deployed.world.client.clone(), namespace, &resource);
    serde_json::to_value(deployed.world.runtime.block_on(api.get(name)).unwrap()).unwrap()
}

fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come to that");
        thread::sleep(Duration::from_millis(200));
    }
}

fn back_up(deployed: &Deployed) -> String {
    let result = deployed.act_well("create-backup", &json!({"target": TARGET}));
    result["backup-name"].as_str().unwrap().to_owned()
}

#[test]
fn a_good_backup_comes_back_and_nothing_of_it_acts_outside() {
    let (deployed, workload, _) = with_ledger("drill");
    make_all(deployed.world, workload.namespace(), STAGE);
    let nothing = deployed.act_in_vain("verify-backup", &json!({"target": TARGET}));
    assert!(nothing.starts_with("ledger:backups has no backup that is Completed"), "{nothing}");
    make_all(deployed.world, workload.namespace(), ON_NODE);
    let backup = back_up(&deployed);
    let before = objects::everything(deployed.world, workload.namespace());

    // Another unit conducts one; and then it seems that it does so no more.
    let mut labels =
        json!({"app.kubernetes.io/managed-by": "velero-operator", "app.kubernetes.io/instance": "velero-operator"});
    let own = labels.clone();
    let under_way = |confirmed: &str| {
        let drill = json!({"id": "0a", "conductor": "velero-operator/7", "started": confirmed, "confirmed": confirmed,
            "backup": "nightly"});
        let book = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": BOOK, "labels": own},
            "data": {"under-way": drill.to_string()}});
        deployed.apply_as_somebody("ConfigMap", BOOK, &book);
    };
    let phase = |phase: &str| deployed.edit("Backup", &backup, &json!({"status": {"phase": phase}}));
    phase("InProgress");
    let told = deployed.act_in_vain("verify-backup", &json!({"target": TARGET}));
    assert!(told.contains(" has no backup that is Completed"), "{told}");
    deployed.run_well("backup create other --include-namespaces default --wait");
    let told = deployed.act_in_vain("verify-backup", &json!({"backup": "other"}));
    assert!(told.starts_with(&format!("backup {backup} is in progress, which a drill would disturb: ")), "{told}");
    phase("Completed");
    under_way(&jiff::Timestamp::now().to_string());
    let told = deployed.act_in_vain("verify-backup", &json!({"backup": backup}));
    assert!(told.starts_with("velero-operator/7 conducts a drill of backup nightly already"), "{told}");
    under_way("2026-01-01T00:00:00Z");
    labels["velero-operator/drill-of"] = deployed.namespace().into();
    let left =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "drill-left-behind", "labels": labels}});
    let api = objects::api(deployed.world, "", "Namespace");
    let left: DynamicObject = serde_json::from_value(left).unwrap();
    deployed.world.runtime.block_on(api.create(&PostParams::default(), &left)).unwrap();

    let drilled = deployed.act("verify-backup", &json!({"target": TARGET, "keep": true, "wait-for-pods": true}));
    assert_eq!((drilled.status, drilled.message.as_str()), (ActionStatus::Completed, ""), "{drilled:?}");
    let results = &drilled.results;
    for (key, value) in [("result", "good"), ("backup-name", &backup), ("volumes", "1"), ("pods-ready", "1")] {
        assert_eq!(results[key], value, "{drilled:?}");
    }
    assert_eq!(results["volume-bytes"], "97.6 KiB");
    // The bridge of this cluster knows no policies.
    assert!(results["network"].as_str().unwrap().starts_with("open: "), "{drilled:?}");
    let not_checked = results["not-checked"].as_str().unwrap();
    let on_node = "pod drill-workload/on-node: it reaches its node";
    assert!(not_checked.contains("1 of v1/LimitRange") && not_checked.contains(on_node), "{not_checked}");
    let all = format!("{drilled:?}");
    assert!(!all.contains(MARKED), "{all}");
    assert!(log_of(&drilled).contains("comparing what came back"), "{drilled:?}");
    let [scratch] = &scratch_namespaces(&deployed)[..] else { panic!("{:?}", scratch_namespaces(&deployed)) };
    assert!(scratch.starts_with("drill-drill-workload-"), "{scratch}");
    let get = |group_version, kind, name| in_namespace(&deployed, scratch, group_version, kind, name);
    let (core, apps) = (("", "v1"), ("apps", "v1"));
    for service in ["door", "balanced"] {
        let spec = &get(core, "Service", service)["spec"];
        assert_eq!(
            (&spec["type"], &spec["clusterIP"], &spec["ports"]),
            (&json!("ClusterIP"), &json!("None"), &json!(null))
        );
    }
    let inner = get(core, "Service", "inner");
    assert_eq!((&inner["spec"]["ports"][0]["port"], &inner["metadata"]["annotations"]), (&json!(80), &json!(null)));
    let ingress = get(("networking.k8s.io", "v1"), "Ingress", "web");
    assert_eq!(ingress["spec"]["ingressClassName"], "velero-operator-drill");
    assert_eq!(ingress["metadata"]["annotations"], json!(null));
    assert_eq!(get(("batch", "v1"), "CronJob", "nightly")["spec"]["suspend"], true);
    assert_eq!(get(("batch", "v1"), "Job", "migration")["spec"]["suspend"], true);
    let policy = get(("networking.k8s.io", "v1"), "NetworkPolicy", "allow-all");
    assert_eq!(policy["spec"]["podSelector"]["matchExpressions"][0]["key"], "velero-operator/no-pod");
    let scaler = get(("autoscaling", "v2"), "HorizontalPodAutoscaler", "web");
    assert_eq!(scaler["spec"]["behavior"]["scaleUp"]["selectPolicy"], "Disabled");
    assert_eq!(get(("policy", "v1"), "PodDisruptionBudget", "web")["spec"]["maxUnavailable"], "100%");
    assert_eq!(get(apps, "Deployment", "web")["spec"]["template"]["spec"]["priorityClassName"], json!(null));
    let quota = get(core, "ResourceQuota", "velero-operator-drill");
    assert_eq!(quota["spec"]["hard"]["services.nodeports"], "0");

    // A backup of the whole cluster would have the copies in it.
    deployed.run_well("backup create everything --snapshot-volumes=false --default-volumes-to-fs-backup=false --include-resources namespaces,configmaps --wait");
    let described = deployed.run_well("backup describe everything --details");
    assert!(
        described.contains("drill-workload/settings") && !described.contains(&format!("{scratch}/")),
        "{described}"
    );

    // The next drill takes the former one's namespace away, and its own.
    let again = deployed.act_well("verify-backup", &json!({"backup": backup}));
    assert_eq!((&again["result"], &again["pods-ready"]), (&json!("good"), &json!(null)));
    assert_eq!(scratch_namespaces(&deployed), [""; 0]);
    assert_eq!(objects::everything(deployed.world, workload.namespace()), before);
    assert!(deployed.list("Restore").is_empty());
    let told = deployed.act_in_vain("verify-backup", &json!({"backup": "none-such"}));
    assert!(told.starts_with("there is no backup none-such: "), "{told}");

    // With the application goes all of it, kept or not.
    deployed.act_well("verify-backup", &json!({"backup": backup, "keep": true}));
    assert_eq!(scratch_namespaces(&deployed).len(), 1);
    deployed.model.remove_application(crate::deployed::APPLICATION, false).unwrap();
    assert_eq!(scratch_namespaces(&deployed), [""; 0]);
    assert!(deployed.object("ConfigMap", BOOK).is_none());
}

/// Drills a backup that is broken. Returns what the action says.
fn fails(deployed: &Deployed, backup: &str) -> String {
    let told = deployed.act_in_vain("verify-backup", &json!({"backup": backup}));
    assert_eq!(scratch_namespaces(deployed), [""; 0]);
    let told = told.strip_prefix(&format!("the drill of backup {backup} has failed: ")).expect(&told);
    told.to_owned()
}

/// The archive without the files whose paths end so.
fn without(archive: &[u8], end: &str) -> Vec<u8> {
    let mut files = tar::Archive::new(GzDecoder::new(archive));
    let mut kept = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for file in files.entries().unwrap() {
        let mut file = file.unwrap();
        let path = file.path().unwrap().into_owned();
        if !path.to_string_lossy().ends_with(end) {
            let (mut header, mut content) = (file.header().clone(), Vec::new());
            file.read_to_end(&mut content).unwrap();
            kept.append_data(&mut header, path, content.as_slice()).unwrap();
        }
    }
    kept.into_inner().unwrap().finish().unwrap()
}

fn bucket(deployed: &Deployed, name: &str) -> Bucket {
    deployed.world.s3().bucket(name).unwrap()
}

#[test]
fn what_is_missing_of_the_objects_of_a_backup_is_told() {
    let (deployed, workload, name) = with_ledger("drill-objects");
    make_all(deployed.world, workload.namespace(), STAGE_OF_ONE);
    let (backup, bucket) = (back_up(&deployed), bucket(&deployed, &name));
    let archive = format!("backups/{backup}/{backup}.tar.gz");
    let whole = bucket.read(&archive).unwrap();

    bucket.damage(&archive, &without(&whole, "/settings.json")).unwrap();
    let told = fails(&deployed, &backup);
    let lacks = "its archive lacks 1 object that is on its own list: v1/ConfigMap drill-objects-workload/settings";
    assert_eq!(told, lacks);

    bucket.damage(&archive, &whole[..whole.len() / 2]).unwrap();
    let told = fails(&deployed, &backup);
    let cut = "the backup cannot be read: its archive cannot be read: it is damaged or cut off behind ";
    assert!(told.starts_with(cut), "{told}");

    bucket.damage(&archive, &whole).unwrap();
    bucket.lose(&format!("backups/{backup}/{backup}-resource-list.json.gz")).unwrap();
    let told = fails(&deployed, &backup);
    assert!(told.starts_with("the backup cannot be read: the store has no list of what is in it: "), "{told}");
    assert!(!told.contains("X-Amz"), "{told}");

    // Completed, says Velero, and the claim has come without its data.
    let namespace = workload.namespace();
    deployed.run_well(&format!(
        "backup create hollow --include-namespaces {namespace} --default-volumes-to-fs-backup=false --wait"
    ));
    assert_eq!(fails(&deployed, "hollow"), "1 claim has no data in it: drill-objects-workload/notes");
}

#[test]
fn what_is_missing_of_the_volumes_of_a_backup_is_told() {
    let (deployed, workload, name) = with_ledger("drill-volumes");
    let (backup, bucket) = (back_up(&deployed), bucket(&deployed, &name));

    let secret = deployed.expect("Secret", "velero-repo-credentials");
    let password = secret["data"]["repository-password"].clone();
    let set = |value: &Value| {
        deployed.edit("Secret", "velero-repo-credentials", &json!({"data": {"repository-password": value}}));
    };
    set(&STANDARD.encode("another").into());
    let told = fails(&deployed, &backup);
    assert!(told.starts_with("its files of volumes are encrypted with another password: set the option "), "{told}");
    set(&password);

    let packs = format!("kopia/{}/p", workload.namespace());
    let packs: Vec<_> = bucket.keys().unwrap().into_iter().filter(|key| key.starts_with(&packs)).collect();
    assert!(!packs.is_empty(), "{:?}", bucket.keys());
    let whole: Vec<_> = packs.iter().map(|key| bucket.read(key).unwrap()).collect();
    let volume = "the files of volume drill-volumes-workload/notes were not restored: ";
    for (key, content) in packs.iter().zip(&whole) {
        bucket.damage(key, &vec![b'x'; content.len()]).unwrap();
    }
    let told = fails(&deployed, &backup);
    assert!(told.starts_with(volume) && !told.contains("more findings"), "{told}");
    for key in &packs {
        bucket.lose(key).unwrap();
    }
    let told = fails(&deployed, &backup);
    assert!(told.starts_with(volume) && !told.contains("more findings"), "{told}");
}

#[test]
fn a_drill_that_cannot_end_is_given_up_and_blocks_nothing() {
    let (deployed, workload, _) = with_ledger("drill-time");
    let label = |value: Value| {
        let nodes = objects::api(deployed.world, "", "Node");
        let patch = Patch::Merge(json!({"metadata": {"labels": {"for-drills": value}}}));
        let node = deployed.world.cluster.node().name();
        deployed.world.runtime.block_on(nodes.patch(node, &PatchParams::default(), &patch)).unwrap();
    };
    label("yes".into());
    make_all(deployed.world, workload.namespace(), PICKY);
    let pod = objects::api(deployed.world, workload.namespace(), "Pod");
    let is_running = |pod: Option<&DynamicObject>| pod.is_some_and(|pod| pod.data["status"]["phase"] == "Running");
    deployed.world.runtime.block_on(await_condition(pod, "picky", is_running)).unwrap();
    let backup = back_up(&deployed);
    label(Value::Null);
    let told = deployed.act_in_vain("verify-backup", &json!({"backup": backup, "timeout": "25s"}));
    assert!(told.contains("it was not over within 25 s: pod picky cannot be scheduled: "), "{told}");
    assert_eq!(scratch_namespaces(&deployed), [""; 0]);

    // Whoever needs a restore does not wait behind a drill.
    let told = thread::scope(|scope| {
        let drill = scope.spawn(|| deployed.act_in_vain("verify-backup", &json!({"backup": backup})));
        until(|| deployed.list("Restore").iter().any(|restore| restore["status"]["phase"] == "InProgress"));
        let spec = json!({"backupName": backup, "includedNamespaces": ["none-such"]});
        let urgent =
            json!({"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": {"name": "urgent"}, "spec": spec});
        deployed.create("Restore", &urgent);
        deployed.until_phase("Restore", "urgent", "Completed");
        drill.join().unwrap()
    });
    assert!(told.starts_with("the drill was given up, as restore urgent would have had to wait for it"), "{told}");
    assert_eq!(scratch_namespaces(&deployed), [""; 0]);
    label("yes".into());
    let again = deployed.act_well("verify-backup", &json!({"backup": backup}));
    assert_eq!((&again["result"], &again["volumes"]), (&json!("good"), &json!("2")));
    label(Value::Null);
}
