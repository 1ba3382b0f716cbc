//! The charm where a Velero is already: another application's, one that was installed by hand, Helm's, or half of one.

use std::{collections::BTreeMap, fs};

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
pub fn deploy(deployed: &mut Deployed, name: &str) {
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
pub fn empty_model(world: &'static World, name: &str) -> Deployed {
    let model = Model::new(world.cluster.access().clone(), name, &world.state, &world.program).unwrap();
    objects::make_model(world, name);
    Deployed { world, model, records: Vec::new() }
}

/// `velero install` as its users do it, with a bucket of the S3 server, until the location is available.
pub fn install_by_hand(deployed: &Deployed) -> String {
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

fn keys(secret: &Value) -> Vec<&String> {
    secret["data"].as_object().unwrap().keys().collect()
}

/// Makes a backup, and a Schedule whose day does not come while a test runs, as their users do it.
fn back_up_by_hand(deployed: &Deployed) {
    velero(deployed, &["backup", "create", "nightly", "--include-namespaces=default", "--wait"]);
    velero(deployed, &["schedule", "create", "yearly", "--schedule=0 3 29 2 *"]);
    deployed.until_phase("Schedule", "yearly", "Enabled");
}

fn remove(deployed: &Deployed, application: &str) {
    let records = deployed.model.remove_application(application, false).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
}

#[test]
fn a_second_application_changes_nothing_of_the_first_and_names_it() {
    let mut deployed = Deployed::new("two-applications");
    deployed.relate_s3();
    back_up_by_hand(&deployed);
    let before = deployed.everything();
    deploy(&mut deployed, SECOND);
    let said = status_of(&deployed, SECOND);
    assert!(said.starts_with("blocked: Deployment velero belongs to the application velero-operator"), "{said}");
    assert_eq!(deployed.everything(), before);
    assert_eq!(deployed.status(), "active: ready");
    remove(&deployed, SECOND);
    assert_eq!(deployed.everything(), before);
    assert!(deployed.update_status().success());
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn a_velero_installed_by_hand_stays_as_it_is_until_a_storage_is_integrated_and_is_adopted_whole() {
    let mut deployed = empty_model(world::shared(), "by-hand");
    let bucket = install_by_hand(&deployed);
    back_up_by_hand(&deployed);
    let before = deployed.everything();
    let backup = deployed.uid("Backup", "nightly");

    deploy(&mut deployed, APPLICATION);
    let said = deployed.status();
    assert!(said.starts_with("blocked: found an existing Velero"), "{said}");
    assert!(said.contains(&format!("bucket {bucket}")) && said.contains("juju integrate"), "{said}");
    assert_eq!(deployed.everything(), before);

    deployed.relate_bucket(&bucket);
    let said = deployed.status();
    assert!(said.starts_with("active: ready; the node agent that was there stays"), "{said}");
    assert_eq!(deployed.uid("Backup", "nightly"), backup, "the place is the same");
    deployed.expect("Schedule", "yearly");
    assert_eq!(
        deployed.expect("DaemonSet", "node-agent")["metadata"]["labels"]["app.kubernetes.io/instance"],
        APPLICATION
    );
    // The credentials that were there may be the only copy.
    let secret = deployed.expect("Secret", "cloud-credentials");
    assert_eq!(keys(&secret), ["cloud", "creds"]);
    let settled = deployed.everything();
    assert!(deployed.update_status().success());
    assert_eq!(deployed.everything(), settled, "a second look changes nothing");

    // The relation's credentials go with it, and nothing of what was there before.
    deployed.remove_relation("s3-credentials");
    let secret = deployed.expect("Secret", "cloud-credentials");
    assert_eq!(keys(&secret), ["cloud"]);
    assert!(deployed.object("BackupStorageLocation", "default").is_none());
}

#[test]
fn credentials_that_were_there_before_outlast_the_application_that_adopted_them() {
    let mut deployed = empty_model(world::shared(), "adopted-secret");
    let bucket = install_by_hand(&deployed);
    let theirs = deployed.expect("Secret", "cloud-credentials")["data"]["cloud"].clone();
    assert!(theirs.is_string());
    deploy(&mut deployed, APPLICATION);
    deployed.relate_bucket(&bucket);
    assert_eq!(keys(&deployed.expect("Secret", "cloud-credentials")), ["cloud", "creds"]);
    // The relation is there until the last hook.
    remove(&deployed, APPLICATION);
    assert_eq!(deployed.names(), ["Secret cloud-credentials"]);
    let released = deployed.expect("Secret", "cloud-credentials");
    assert_eq!(released["data"], json!({"cloud": theirs}));
    assert!(released["metadata"]["labels"].is_null() && released["metadata"]["annotations"].is_null(), "{released}");
}

#[test]
fn an_adopted_node_agent_goes_when_it_was_asked_for_and_then_is_not() {
    let mut deployed = empty_model(world::shared(), "adopted-agent");
    install_by_hand(&deployed);
    deploy(&mut deployed, APPLICATION);
    deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    assert_eq!(deployed.status(), "active: ready");
    let mut names = deployed.names();
    deployed.configure("use-node-agent", "false");
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    names.retain(|name| name != "DaemonSet node-agent");
    assert_eq!(deployed.names(), names);
}

/// The objects of a release of Velero's Helm chart, by the names and with the labels that the chart gives them; no server runs.
/// The server has the release's name, if Velero's is in that, and a name made of both otherwise.
fn helm_release(deployed: &Deployed, release: &str, location: &str, node_agent: bool) {
    let full_name = if release.contains("velero") { release.to_owned() } else { format!("{release}-velero") };
    let labels = json!({"app.kubernetes.io/instance": release, "app.kubernetes.io/name": "velero"});
    let make = |kind: &str, api_version: &str, name: &str, content: Value| {
        let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels,
            "annotations": {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": deployed.namespace()}}});
        object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
        object["metadata"]["labels"]["helm.sh/chart"] = json!("velero-11.1.0");
        if kind == "Deployment" {
            object["metadata"]["labels"]["component"] = json!("velero");
        }
        object.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        deployed.create(kind, &object);
    };
    let account = format!("{full_name}-server");
    make("ServiceAccount", "v1", &account, json!({}));
    let subject = json!({"kind": "ServiceAccount", "name": account, "namespace": deployed.namespace()});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    let binding = json!({"roleRef": role, "subjects": [subject]});
    make("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", &format!("{account}-{}", deployed.namespace()), binding);
    make("Secret", "v1", &full_name, json!({"stringData": {"cloud": MARKED}}));
    let pod = |name: &str, labels: &Value| {
        let container = json!({"name": name, "image": "velero/velero:v1.18.3"});
        // No node has this label.
        json!({"metadata": {"labels": labels}, "spec": {"serviceAccountName": account, "containers": [container],
            "nodeSelector": {"example.test/no-node": "true"}}})
    };
    let server = json!({"replicas": 0, "selector": {"matchLabels": labels}, "template": pod("velero", &labels)});
    make("Deployment", "apps/v1", &full_name, json!({"spec": server}));
    if node_agent {
        let labels = json!({"name": "node-agent"});
        let agent = json!({"selector": {"matchLabels": labels}, "template": pod("node-agent", &labels)});
        make("DaemonSet", "apps/v1", "node-agent", json!({"spec": agent}));
    }
    let credential = json!({"name": full_name, "key": "cloud"});
    let spec = json!({"provider": "aws", "objectStorage": {"bucket": "theirs"}, "credential": credential});
    make("BackupStorageLocation", "velero.io/v1", location, json!({"spec": spec}));
    let spec = json!({"schedule": "0 3 * * *", "template": {"storageLocation": location}});
    make("Schedule", "velero.io/v1", &format!("{full_name}-daily"), json!({"spec": spec}));
    let backup = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "nightly"},
        "spec": {"storageLocation": location}, "status": {"phase": "Completed"}});
    deployed.create("Backup", &backup);
}

#[test]
fn a_velero_of_helm_is_never_touched_and_the_unit_says_whose_it_is() {
    let world = world::shared();
    // It brings the definitions.
    drop(Deployed::with(world, "before-helm", &trusted()));
    // The second release shares no name with the charm's Velero: only its server tells.
    for (release, location, node_agent, server) in
        [("velero", "default", true, "velero"), ("backup", "theirs", false, "backup-velero")]
    {
        let mut deployed = empty_model(world, &format!("helm-release-{release}"));
        helm_release(&deployed, release, location, node_agent);
        let before = deployed.everything();
        assert!(before.len() > 7, "{before:?}");
        deploy(&mut deployed, APPLICATION);
        deployed.relate_s3();
        let said = deployed.status();
        assert!(
            said.starts_with(&format!("blocked: Deployment {server} belongs to Helm's release {release}")),
            "{said}"
        );
        assert_eq!(deployed.everything(), before);
        remove(&deployed, APPLICATION);
        assert_eq!(deployed.everything(), before);
        deployed.delete("ClusterRoleBinding", &format!("{server}-server-helm-release-{release}"));
    }
}

#[test]
fn beside_a_server_under_another_name_that_nobody_claims_none_is_installed() {
    let mut deployed = empty_model(world::shared(), "another-server");
    let labels = json!({"component": "velero"});
    let container = json!({"name": "velero", "image": "velero/velero:v1.18.3"});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    deployed.create(
        "Deployment",
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "velero-by-hand", "labels": labels},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}}),
    );
    deploy(&mut deployed, APPLICATION);
    deployed.relate_s3();
    let said = deployed.status();
    let named = "blocked: Deployment velero-by-hand is a server of Velero, and a namespace has room for one Velero";
    assert!(said.starts_with(named), "{said}");
    assert_eq!(deployed.names(), ["Deployment velero-by-hand"]);
    remove(&deployed, APPLICATION);
    assert_eq!(deployed.names(), ["Deployment velero-by-hand"]);
}

#[test]
fn a_python_charm_that_runs_beside_is_named_and_left_alone() {
    let (_turn, world) = world::alone();
    let (mut deployed, _) = predecessor::deployed(world, "python-beside", &trusted());
    predecessor::await_available(&deployed);
    back_up_by_hand(&deployed);
    let before = deployed.everything();
    deploy(&mut deployed, SECOND);
    let said = status_of(&deployed, SECOND);
    assert!(said.contains(" belongs to the application velero-operator"), "{said}");
    assert_eq!(deployed.everything(), before);
    remove(&deployed, SECOND);
    assert_eq!(deployed.everything(), before);
}

/// What Juju has made in the model's namespace, whole, by kind and name.
fn of_juju(deployed: &Deployed) -> BTreeMap<(&'static str, String), Value> {
    let listed = ["ServiceAccount", "Service", "Secret"].into_iter().flat_map(|kind| {
        deployed
            .list(kind)
            .into_iter()
            .map(move |object| ((kind, object["metadata"]["name"].as_str().unwrap().to_owned()), object))
    });
    listed.filter(|(_, object)| object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "juju").collect()
}

#[test]
fn an_application_that_is_called_as_veleros_own_objects_makes_nothing_and_leaves_what_juju_made_for_it() {
    for (name, kind) in [("velero", "ServiceAccount"), ("velero-metrics", "Service")] {
        let mut deployed = empty_model(world::shared(), &format!("application-{name}"));
        let options = DeployOptions { units: 0, ..named(name) };
        deployed.model.deploy(&deployed.world.charm, &options).unwrap();
        let made = of_juju(&deployed);
        assert!(made.contains_key(&(kind, name.to_owned())), "{made:?}");
        let records = deployed.model.add_unit(name).unwrap();
        assert!(!records.is_empty() && records.iter().all(HookRecord::success), "{records:?}");
        deployed.after(records);
        assert!(deployed.update_status().success());
        let said = status_of(&deployed, name);
        assert!(said.starts_with(&format!("blocked: an application must not be called {name}")), "{said}");
        assert_eq!(deployed.names(), Vec::<String>::new());
        assert_eq!(of_juju(&deployed), made);
    }
}

#[test]
fn rights_of_others_that_have_the_name_of_this_models_are_left_alone() {
    // The second one is what Juju makes for an application `bound-by-juju` of a model `velero`.
    let jujus = json!({"app.kubernetes.io/managed-by": "juju", "app.kubernetes.io/name": "bound-by-juju"});
    for (model, labels, account, holder) in [
        ("bound-elsewhere", json!({}), "velero", "ServiceAccount velero of namespace others"),
        ("bound-by-juju", jujus, "bound-by-juju", "Juju's application bound-by-juju"),
    ] {
        let mut deployed = empty_model(world::shared(), model);
        let name = &format!("velero-{model}");
        let binding: Value = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "others"}]});
        deployed.create("ClusterRoleBinding", &binding);
        let before = deployed.expect("ClusterRoleBinding", name);
        deploy(&mut deployed, APPLICATION);
        let said = deployed.status();
        assert!(said.contains(&format!("ClusterRoleBinding {name} belongs to {holder}")), "{said}");
        assert!(said.ends_with("in a model of another name"), "{said}");
        remove(&deployed, APPLICATION);
        assert_eq!(deployed.expect("ClusterRoleBinding", name), before);
        deployed.delete("ClusterRoleBinding", name);
    }
}
