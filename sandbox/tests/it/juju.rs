//! What the local Juju makes on a real cluster.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Pod, Secret, Service, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Client, Config,
    api::{ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use sandbox::{
    cluster::Cluster,
    juju::{DeployOptions, Model, Progress as Hooks, Series},
    progress::Progress,
};
use serde_json::json;

/// The name of an application and of the namespace that is its model.
const NAMESPACE: &str = "units";

/// A charm that does nothing.
fn charm(folder: &Path) -> std::path::PathBuf {
    let directory = folder.join("charm");
    fs::create_dir_all(&directory).unwrap();
    let write = |file: &str, text: &str| fs::write(directory.join(file), text).unwrap();
    write("metadata.yaml", "name: example\nsummary: s\ndescription: d\n");
    write("manifest.yaml", "bases: [{name: ubuntu, channel: '24.04', architectures: [amd64]}]");
    write("dispatch", "#!/bin/sh\ntrue\n");
    fs::set_permissions(directory.join("dispatch"), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// How many units the application has for the cluster: as wanted, and as they are.
async fn scale(client: &Client, application: &str) -> Option<(Option<i32>, i32)> {
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), NAMESPACE);
    let set = sets.get_opt(application).await.unwrap()?;
    Some((set.spec.unwrap().replicas, set.status.unwrap().replicas))
}

#[tokio::test]
async fn an_application_has_the_objects_that_juju_makes_and_no_pods() {
    let cluster = Cluster::start(&Progress::to_stderr()).await.unwrap();
    let kubeconfig = Kubeconfig::read_from(&cluster.access().kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_sandbox"));
    let model = Model::new(cluster.access().clone(), NAMESPACE, folder.path(), program).unwrap();
    model.of_series(Series::Juju40).unwrap();

    let charm = charm(folder.path());
    let deploy = |name: &str| {
        let options = DeployOptions { name: Some(name.to_owned()), trust: true, ..DeployOptions::default() };
        model.deploy(&charm, &options).unwrap();
    };
    deploy("example");
    assert_eq!(scale(&client, "example").await, Some((Some(1), 1)));
    model.add_unit("example").unwrap();
    assert_eq!(scale(&client, "example").await, Some((Some(2), 2)));

    // Somebody else's service account of the name of an application: Juju takes it over, and removes it in the end.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let foreign = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": "velero", "labels": {"component": "velero"}}});
    accounts.patch("velero", &PatchParams::apply("velero"), &Patch::Apply(&foreign)).await.unwrap();
    deploy("velero");
    let account = accounts.get("velero").await.unwrap();
    let labels = account.metadata.labels.unwrap();
    assert_eq!(labels["component"], "velero");
    assert_eq!(
        (labels["app.kubernetes.io/name"].as_str(), labels["app.kubernetes.io/managed-by"].as_str()),
        ("velero", "juju")
    );
    assert_eq!(account.automount_service_account_token, Some(false));
    let binding = Api::<ClusterRoleBinding>::all(client.clone()).get("units-velero").await.unwrap();
    assert_eq!(binding.subjects.unwrap()[0].name, "velero");
    Api::<ClusterRole>::all(client.clone()).get("units-velero").await.unwrap();
    for service in ["velero", "velero-endpoints"] {
        Api::<Service>::namespaced(client.clone(), NAMESPACE).get(service).await.unwrap();
    }

    // Of all these units there is no pod.
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 0);

    // A unit that is dead at once finds its application scaled to nothing.
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (told, asked, runtime) = (seen.clone(), client.clone(), tokio::runtime::Handle::current());
    let watched = model.clone().with_progress(move |progress| {
        if let Hooks::Started { execution, .. } = progress {
            let scale = runtime.block_on(scale(&asked, "velero"));
            let wanted = scale.and_then(|(wanted, _)| wanted);
            told.lock().unwrap().push(format!("{} at {wanted:?}", execution.name()));
        }
    });
    tokio::task::spawn_blocking(move || watched.remove_application("velero", false).unwrap()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["stop at Some(0)"]);
    assert_eq!(scale(&client, "velero").await, None);
    assert!(accounts.get_opt("velero").await.unwrap().is_none());
    model.remove_unit(&"example/1".parse().unwrap()).unwrap();
    assert_eq!(scale(&client, "example").await, Some((Some(1), 1)));
    model.remove_application("example", false).unwrap();
    let secrets: Api<Secret> = Api::namespaced(client, NAMESPACE);
    assert_eq!(secrets.list(&ListParams::default()).await.unwrap().items.len(), 0);
}
