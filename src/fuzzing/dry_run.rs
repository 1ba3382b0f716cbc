//! What the CLI prints.

use std::collections::BTreeSet;

use kube::{ResourceExt, api::DynamicObject};
use serde_json::json;

use super::{
    Oracle,
    given::{PLANTED, assert_hidden},
    installation,
};
use crate::{
    settings::{Group, NodeAgentSettings, RepositorySettings, ServerSettings, Settings},
    storage::{Storage, StoreKeys},
    velero::{LocationPlan, Manifests, Version, read_dry_run, to_yaml},
};

const SERVER: &str = "{log-level: debug, node-selector: {disk: ssd}, tolerations: [{operator: Exists}]}";
const NODE_AGENT: &str = "{load-concurrency: {global: 2}, node-selector: {disk: ssd}, priority-class: low}";
const REPOSITORY: &str = "{cache-limit: 2Gi, maintenance: {keep-latest: 1}}";

/// Any output is refused or completed: each object is the application's own, none is the namespace, none has a credential, and the
/// same output gives the same manifests.
pub(super) fn dry_run(data: &[u8], _: &mut Oracle<'_>) {
    let Ok(objects) = read_dry_run(data) else { return };
    // As they are kept from hook to hook.
    let kept: Vec<DynamicObject> = serde_json::from_slice(&serde_json::to_vec(&objects).unwrap()).unwrap();
    assert_eq!(kept, objects);
    let storage = Storage {
        bucket: "backups".to_owned(),
        prefix: None,
        backup_location_config: [("region".to_owned(), "eu-west-3".to_owned())].into(),
        snapshot_location_config: None,
        credentials: PLANTED.into(),
        keys: StoreKeys::AzureAccount { key: PLANTED.into() },
        certificate_authority: Some("certificate".to_owned()),
        notes: Vec::new(),
    };
    let mut installation = installation::with("aws", storage);
    check(&objects, &installation);
    installation.settings = Settings {
        server: ServerSettings::parse(SERVER).unwrap(),
        node_agent: NodeAgentSettings::parse(NODE_AGENT).unwrap(),
        repository: RepositorySettings::parse(REPOSITORY).unwrap(),
    };
    installation.location = LocationPlan::None;
    check(&objects, &installation);
}

fn check(objects: &[DynamicObject], installation: &crate::velero::Installation) {
    let version = Version::parse("v1.18.3");
    let manifests = || Manifests::from_dry_run(objects.to_vec(), version.as_ref(), "velero", installation);
    let made = manifests();
    let all = || made.definitions.iter().chain(&made.objects).chain(&made.locations);
    assert!(all().all(|object| object.types.as_ref().is_some_and(|types| types.kind != "Namespace")));
    let of_cli = objects.iter().filter(|object| object.types.as_ref().is_some_and(|types| types.kind != "Namespace"));
    let (printed, present): (BTreeSet<_>, BTreeSet<_>) =
        (of_cli.map(ResourceExt::name_any).collect(), all().map(ResourceExt::name_any).collect());
    assert!(printed.is_subset(&present), "{printed:?} and {present:?}");
    for object in all() {
        assert!(object.annotations().contains_key("velero-operator/manifest"), "{:?}", object.annotations());
        let is_definition = object.types.as_ref().is_some_and(|types| types.kind == "CustomResourceDefinition");
        let is_ours = object.labels().get("app.kubernetes.io/instance").is_some_and(|name| name == "velero-operator");
        assert!(object.metadata.namespace.is_none() || is_definition || is_ours, "{object:?}");
        assert_hidden(&json!(object).to_string());
    }
    let text = to_yaml(&made).unwrap();
    assert_hidden(&text);
    assert_eq!(to_yaml(&manifests()).unwrap(), text);
}
