//! The charm where a Velero is already: another application's, one that was installed by hand, Helm's, or half of one.

use std::fs;

use sandbox::juju::{DeployOptions, HookRecord, Model};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    objects,
    predecessor::{self, velero},
    world::{self, World},
};

const SECOND: &str = "second";
const MARKED: &str = "marked-by-hand-secret";

fn named(name: &str) -> DeployOptions {
    DeployOptions { name: Some(name.to_owned()), ..trusted() }
}

/// Deploys the charm under a name, and runs `update-status` after that: no hook may fail.
fn deploy(deployed: &mut Deployed, name: &str) {
    let records = deployed.model.deploy(&deployed.world.charm, &named(name)).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    deployed.after(records);
    assert!(deployed.update_status().success());
}

/// The status of the first unit of an application, as `word: message`.
fn status_of(deployed: &Deployed, application: &str) -> String {
    let view = deployed.model.status().unwrap();
    let status = &view.applications[application].units[&format!("{application}/0")].workload_status;
    let word = serde_json::to_value(status.value).unwrap();
    format!("{}: {}", word.as_str().unwrap(), status.message)
}

/// A namespace in which a Velero may be before the charm.
fn empty_model(world: &'static World, name: &str) -> Deployed {
    let model = Model::new(world.cluster.access().clone(), name, &world.state, &world.program).unwrap();
    objects::make_model(world, name);
    Deployed { world, model, records: Vec::new() }
}

/// `velero install` as its users do it, with a bucket of the S3 server, until the location is available.
fn install_by_hand(deployed: &Deployed) -> String {
    let world = deployed.world;
    let (bucket, s3) = (world.bucket(), world.s3());
    let file = deployed.world.cluster.folder().join(format!("{}-credentials", deployed.namespace()));
    let keys = format!("aws_access_key_id={}\naws_secret_access_key={}", s3.access_key, s3.secret_key);
    fs::write(&file, format!("[default]\n{keys}\n# {MARKED}\n")).unwrap();
    let config = format!("region=us-east-1,s3ForcePathStyle=true,checksumAlgorithm=,s3Url={}", s3.endpoint);
    velero(
        deployed,
        &[
            "install",
            "--image=velero/velero:v1.18.3",
            "--provider=aws",
            "--plugins=velero/velero-plugin-for-aws:v1.14.3",
            &format!("--bucket={bucket}"),
            &format!("--secret-file={}", file.display()),
            &format!("--backup-location-config={config}"),
            "--use-volume-snapshots=false",
            "--use-node-agent",
        ],
    );
    fs::remove_file(file).unwrap();
    deployed.until_phase("BackupStorageLocation", "default", "Available");
    bucket
}

#[test]
fn a_second_application_changes_nothing_of_the_first_and_names_it() {
    let mut deployed = Deployed::new("two-applications");
    deployed.relate_s3();
    deployed.run_well("backup create nightly --include-namespaces default --wait");
    let before = deployed.versions();
    deploy(&mut deployed, SECOND);
    let said = status_of(&deployed, SECOND);
    assert!(said.starts_with("blocked: Deployment velero belongs to the application velero-operator"), "{said}");
    assert_eq!(deployed.versions(), before);
    assert_eq!(deployed.status(), "active: ready");
    let records = deployed.model.remove_application(SECOND, false).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert_eq!(deployed.versions(), before);
    assert!(deployed.update_status().success());
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn a_velero_installed_by_hand_stays_as_it_is_until_a_storage_is_integrated_and_is_adopted_whole() {
    let mut deployed = empty_model(world::shared(), "by-hand");
    let bucket = install_by_hand(&deployed);
    velero(&deployed, &["backup", "create", "nightly", "--include-namespaces=default", "--wait"]);
    velero(&deployed, &["schedule", "create", "daily", "--schedule=0 3 * * *"]);
    let before = deployed.versions();
    let backup = deployed.uid("Backup", "nightly");

    deploy(&mut deployed, APPLICATION);
    let said = deployed.status();
    assert!(said.starts_with("blocked: found a Velero that this application has not made"), "{said}");
    assert!(said.contains(&format!("bucket {bucket}")) && said.contains("juju integrate"), "{said}");
    assert_eq!(deployed.versions(), before);

    let s3 = deployed.world.s3();
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &s3.endpoint),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    deployed.relate("s3-credentials", "s3", &fields);
    let said = deployed.status();
    assert!(said.starts_with("active: ready; the node agent that was there stays"), "{said}");
    assert_eq!(deployed.uid("Backup", "nightly"), backup, "the place is the same");
    deployed.expect("Schedule", "daily");
    assert_eq!(
        deployed.expect("DaemonSet", "node-agent")["metadata"]["labels"]["app.kubernetes.io/instance"],
        APPLICATION
    );
    // The credentials that were there may be the only copy.
    let secret = deployed.expect("Secret", "cloud-credentials");
    let keys: Vec<_> = secret["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["cloud", "creds"]);
    let settled = deployed.versions();
    assert!(deployed.update_status().success());
    assert_eq!(deployed.versions(), settled, "a second look changes nothing");

    // The relation's credentials go with it, and nothing of what was there before.
    deployed.remove_relation("s3-credentials");
    let secret = deployed.expect("Secret", "cloud-credentials");
    assert_eq!(secret["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["cloud"]);
    assert!(deployed.object("BackupStorageLocation", "default").is_none());
}

#[test]
fn an_adopted_node_agent_goes_when_it_was_asked_for_and_then_is_not() {
    let mut deployed = empty_model(world::shared(), "adopted-agent");
    install_by_hand(&deployed);
    deploy(&mut deployed, APPLICATION);
    deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    assert_eq!(deployed.status(), "active: ready");
    deployed.configure("use-node-agent", "false");
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
}

/// The objects of Velero's Helm chart that share a name with the charm's.
fn helm_release(deployed: &Deployed) {
    let metadata = |name: &str| {
        json!({"name": name,
            "labels": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "backup",
                "app.kubernetes.io/name": "velero", "helm.sh/chart": "velero-11.1.0"},
            "annotations": {"meta.helm.sh/release-name": "backup", "meta.helm.sh/release-namespace": deployed.namespace()}})
    };
    let labels = json!({"app.kubernetes.io/instance": "backup", "app.kubernetes.io/name": "velero"});
    let container = json!({"name": "velero", "image": "velero/velero:v1.18.3"});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    deployed.create(
        "Deployment",
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("velero"),
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}}),
    );
    let location = json!({"provider": "aws", "objectStorage": {"bucket": "theirs"}, "credential":
        {"name": "cloud-credentials", "key": "cloud"}});
    deployed.create(
        "BackupStorageLocation",
        &json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation",
        "metadata": metadata("default"), "spec": location}),
    );
    deployed.create(
        "Secret",
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("cloud-credentials"),
        "stringData": {"cloud": MARKED}}),
    );
}

#[test]
fn a_velero_of_helm_is_never_touched_and_the_unit_says_whose_it_is() {
    let world = world::shared();
    // It brings the definitions.
    drop(Deployed::with(world, "before-helm", &trusted()));
    let mut deployed = empty_model(world, "helm-release");
    helm_release(&deployed);
    let before = deployed.versions();
    deploy(&mut deployed, APPLICATION);
    deployed.relate_s3();
    let said = deployed.status();
    assert!(said.starts_with("blocked: Deployment velero belongs to Helm's release backup"), "{said}");
    assert_eq!(deployed.versions(), before);
    let records = deployed.model.remove_application(APPLICATION, false).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert_eq!(deployed.versions(), before);
}

#[test]
fn a_python_charm_that_runs_beside_is_named_and_left_alone() {
    let (_turn, world) = world::alone();
    let (mut deployed, _) = predecessor::deployed(world, "python-beside", &trusted());
    predecessor::await_available(&deployed);
    let before = deployed.versions();
    deploy(&mut deployed, SECOND);
    let said = status_of(&deployed, SECOND);
    assert!(said.contains(" belongs to the application velero-operator"), "{said}");
    assert_eq!(deployed.versions(), before);
    deployed.model.remove_application(SECOND, false).unwrap();
    assert_eq!(deployed.versions(), before);
}

#[test]
fn an_application_that_is_called_as_veleros_own_objects_makes_nothing() {
    for name in ["velero", "velero-metrics"] {
        let mut deployed = empty_model(world::shared(), &format!("application-{name}"));
        deploy(&mut deployed, name);
        let said = status_of(&deployed, name);
        assert!(said.starts_with(&format!("blocked: an application must not be called {name}")), "{said}");
        assert!(deployed.object("Deployment", "velero").is_none());
        let binding = format!("velero-{}", deployed.namespace());
        assert!(deployed.object("ClusterRoleBinding", &binding).is_none());
    }
}

#[test]
fn rights_of_others_that_have_the_name_of_this_models_are_left_alone() {
    let mut deployed = empty_model(world::shared(), "bound-elsewhere");
    let binding: Value = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "velero-bound-elsewhere"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "velero", "namespace": "others"}]});
    deployed.create("ClusterRoleBinding", &binding);
    deploy(&mut deployed, APPLICATION);
    let said = deployed.status();
    let theirs = "ClusterRoleBinding velero-bound-elsewhere belongs to ServiceAccount velero of namespace others";
    assert!(said.contains(theirs), "{said}");
    let kept = deployed.expect("ClusterRoleBinding", "velero-bound-elsewhere");
    assert_eq!(kept["roleRef"]["name"], "view");
    deployed.model.remove_application(APPLICATION, false).unwrap();
    deployed.expect("ClusterRoleBinding", "velero-bound-elsewhere");
    deployed.delete("ClusterRoleBinding", "velero-bound-elsewhere");
}
