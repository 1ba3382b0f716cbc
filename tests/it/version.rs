//! The releases of the CLI, the definitions and the server.

use futures::TryStreamExt;
use kube::{
    Api,
    api::{DynamicObject, ListParams, WatchEvent, WatchParams},
};
use sandbox::{images, progress::Progress};

use crate::{
    deployed::{APPLICATION, Deployed},
    objects,
};

fn shown_version(deployed: &Deployed) -> String {
    deployed.model.status().unwrap().applications[APPLICATION].version.clone()
}

/// What the server's pods are noted to have told.
fn noted(deployed: &Deployed) -> Vec<Option<String>> {
    deployed
        .pods_of("deploy=velero")
        .iter()
        .map(|pod| pod["metadata"]["annotations"]["velero-operator/server-version"].as_str().map(str::to_owned))
        .collect()
}

/// The state of the namespace from which on [`asked_since`] counts.
fn now(deployed: &Deployed) -> String {
    let listed = deployed.world.runtime.block_on(requests(deployed).list(&ListParams::default())).unwrap();
    assert!(listed.items.is_empty(), "requests that were left: {:?}", listed.items);
    listed.metadata.resource_version.unwrap()
}

/// How often a server was asked since then.
fn asked_since(deployed: &Deployed, state: &str) -> usize {
    let told_so_far = WatchParams::default().timeout(1);
    let api = requests(deployed);
    let events: Vec<WatchEvent<DynamicObject>> =
        deployed.world.runtime.block_on(async { api.watch(&told_so_far, state).await?.try_collect().await }).unwrap();
    assert!(!events.iter().any(|event| matches!(event, WatchEvent::Error(_))), "{events:?}");
    events.iter().filter(|event| matches!(event, WatchEvent::Added(_))).count()
}

fn requests(deployed: &Deployed) -> Api<DynamicObject> {
    objects::api(deployed.world, deployed.namespace(), "ServerStatusRequest")
}

#[test]
fn juju_shows_the_version_of_the_server() {
    let deployed = Deployed::new("shown-version");
    assert_eq!(shown_version(&deployed), "1.18.3");
    assert_eq!(noted(&deployed), [Some("1.18.3".to_owned())]);
}

#[test]
fn an_image_of_another_minor_release_is_refused_before_anything_changes() {
    let mut deployed = Deployed::new("other-minor");
    let before = deployed.versions();
    deployed.configure("velero-image", "velero/velero:v1.17.2");
    assert_eq!(
        deployed.status(),
        "blocked: velero-image velero/velero:v1.17.2 is Velero 1.17.2, this charm needs 1.18: \
         set velero-image to an image of 1.18, or juju config --reset velero-image"
    );
    assert_eq!(deployed.versions(), before);
    deployed.reset("velero-image");
    assert!(deployed.status().starts_with("blocked: no storage"));
    assert_eq!(deployed.versions(), before);
}

#[test]
fn a_server_whose_tag_tells_no_version_is_asked_once() {
    let mut deployed = Deployed::new("asked-version");
    deployed.relate_s3();
    let world = deployed.world;
    let nightly = "docker.io/velero/velero:nightly";
    world.runtime.block_on(world.cluster.node().tag_image(&images::velero_name(), nightly)).unwrap();
    let before = now(&deployed);
    deployed.configure("velero-image", "velero/velero:nightly");
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(shown_version(&deployed), "1.18.3");
    assert_eq!(noted(&deployed), [Some("1.18.3".to_owned())]);
    assert_eq!(asked_since(&deployed, &before), 1);

    let asked = now(&deployed);
    deployed.update_status();
    assert_eq!(asked_since(&deployed, &asked), 0);
}

#[test]
fn a_server_that_tells_another_minor_release_blocks_until_it_is_another_image() {
    let mut deployed = Deployed::new("told-version");
    deployed.relate_s3();
    let world = deployed.world;
    let folder = tempfile::tempdir_in(world.cluster.folder()).unwrap();
    world.runtime.block_on(async {
        let name = "docker.io/velero/velero:edge";
        let archive =
            images::velero_that_calls_itself("v1.17.9", name, folder.path(), &Progress::silent()).await.unwrap();
        world.cluster.node().import_image(&archive).await.unwrap();
    });
    deployed.configure("velero-image", "velero/velero:edge");
    assert_eq!(
        deployed.status(),
        "blocked: velero-image velero/velero:edge is Velero 1.17.9, this charm needs 1.18: \
         set velero-image to an image of 1.18, or juju config --reset velero-image"
    );
    assert_eq!(shown_version(&deployed), "1.17.9");
    deployed.reset("velero-image");
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(shown_version(&deployed), "1.18.3");
}
