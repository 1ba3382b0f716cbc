use kube::api::DynamicObject;
use serde_json::json;

use super::*;
use crate::cluster::MANIFEST_ANNOTATION;

/// A definition as Velero of some version would bring it: later ones know more fields and more phases.
fn definition(name: &str, version: Option<&str>, fields: &[&str], phases: &[&str]) -> DynamicObject {
    let fields: serde_json::Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), json!({"type": "string"}))).collect();
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"hooks": {"type": "array", "items": {"type": "object",
            "properties": fields}}}},
        "status": {"type": "object", "properties": {"phase": {"type": "string", "enum": phases}}},
    }});
    let mut definition: DynamicObject = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {MANIFEST_ANNOTATION: format!("{version:?} {fields:?}")}},
        "spec": {"versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    }))
    .unwrap();
    if let Some(version) = version {
        definition.annotations_mut().insert(VERSION_ANNOTATION.to_owned(), version.to_owned());
    }
    definition
}

fn ours(name: &str) -> DynamicObject {
    definition(name, Some("1.18.3"), &["name", "timeout"], &["New", "Completed"])
}

/// The definition as it is in a cluster when `manager` was the last to write its versions.
fn written_by(manager: &str, mut definition: DynamicObject) -> DynamicObject {
    let operation = if manager == FIELD_MANAGER { "Apply" } else { "Update" };
    definition.metadata.managed_fields = serde_json::from_value(json!([
        {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:versions": {}}}},
        {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:metadata": {}}},
    ]))
    .unwrap();
    definition
}

#[test]
fn one_that_nobody_has_changed_since_the_charm_applied_it_is_told_by_its_metadata() {
    let desired = ours("backups");
    let head = DynamicObject { data: json!({}), ..written_by(FIELD_MANAGER, ours("backups")) };
    let tells = |change: fn(&mut DynamicObject)| {
        let mut head = head.clone();
        change(&mut head);
        is_as_applied(&[head], &desired)
    };
    assert!(tells(|_| {}));
    assert!(!tells(|head| head.metadata.name = Some("restores".to_owned())));
    assert!(!tells(|head| drop(head.annotations_mut().insert(MANIFEST_ANNOTATION.to_owned(), "0b".to_owned()))));
    assert!(!tells(|head| head.metadata.managed_fields = None));
    assert!(!tells(|head| {
        head.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-31T10:20:30Z")).unwrap();
    }));
    // Somebody else was the last to write its versions.
    let edited = DynamicObject { data: json!({}), ..written_by("kubectl", ours("backups")) };
    assert!(!is_as_applied(&[edited], &desired));
}

/// The names of what is to be applied, and of what is newer.
fn decided(live: &[DynamicObject]) -> (Vec<String>, Vec<String>) {
    let desired = [ours("backups"), ours("restores")];
    let due = due(&desired, live);
    (due.apply.into_iter().map(ResourceExt::name_any).collect(), due.newer)
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn missing_definitions_are_made_and_equal_ones_left() {
    assert_eq!(decided(&[]), (vec!["backups".to_owned(), "restores".to_owned()], nothing()));
    let live = ["backups", "restores"].map(|name| written_by(FIELD_MANAGER, ours(name)));
    assert_eq!(decided(&live), (nothing(), nothing()));
}

#[test]
fn an_older_veleros_are_replaced_whoever_brought_them() {
    let older = |version| definition("backups", version, &["name"], &["New"]);
    let restores = written_by(FIELD_MANAGER, ours("restores"));
    for live in [
        written_by(FIELD_MANAGER, older(Some("1.9.7"))),
        written_by("velero", older(None)),
        written_by("kubectl", older(Some("1.18.3"))),
    ] {
        assert_eq!(decided(&[live, restores.clone()]), (vec!["backups".to_owned()], nothing()));
    }
}

#[test]
fn an_older_veleros_that_a_charm_brought_may_know_what_velero_has_dropped() {
    let live = [
        written_by(FIELD_MANAGER, definition("backups", Some("1.17.0"), &["name", "dropped"], &["New"])),
        written_by(FIELD_MANAGER, ours("restores")),
    ];
    assert_eq!(decided(&live), (vec!["backups".to_owned()], nothing()));
}

#[test]
fn a_newer_veleros_are_left_whoever_brought_them() {
    let more_fields = definition("backups", None, &["name", "timeout", "retries"], &["New", "Completed"]);
    let more_phases = definition("backups", None, &["name", "timeout"], &["New", "Queued", "Completed"]);
    let mut more_versions = ours("backups");
    let mut version = more_versions.data["spec"]["versions"][0].clone();
    version["name"] = json!("v2");
    more_versions.data["spec"]["versions"].as_array_mut().unwrap().push(version);
    // This one allows nothing more than ours: whoever has brought it can do with ours.
    let restores = written_by("helm", definition("restores", None, &["name"], &["New"]));
    for live in [
        written_by(FIELD_MANAGER, definition("backups", Some("1.20.0"), &["name", "timeout"], &["New", "Completed"])),
        written_by("helm", more_fields.clone()),
        written_by("helm", more_phases),
        written_by("helm", more_versions),
        // The charm's annotation stays where somebody applies newer ones over it.
        written_by("kubectl", DynamicObject { metadata: ours("backups").metadata, ..more_fields }),
    ] {
        assert_eq!(decided(&[live, restores.clone()]), (vec!["restores".to_owned()], vec!["backups".to_owned()]));
    }
}

#[test]
fn a_definition_that_a_newer_velero_misses_is_made_all_the_same() {
    let live = [written_by(FIELD_MANAGER, definition("backups", Some("1.20.0"), &["name"], &["New"]))];
    assert_eq!(decided(&live), (vec!["restores".to_owned()], vec!["backups".to_owned()]));
}

#[test]
fn one_that_is_being_deleted_is_made_anew() {
    let mut going = written_by(FIELD_MANAGER, definition("backups", Some("1.20.0"), &["name"], &["New"]));
    going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-31T10:20:30Z")).unwrap();
    let desired = [ours("backups")];
    let due = due(&desired, &[going]);
    assert_eq!((due.apply.len(), due.terminating), (1, vec!["backups".to_owned()]));
}

#[test]
fn what_velero_has_dropped_tells_of_an_older_release() {
    // 1.8 to 1.10 knew a kind of download that later ones do not.
    let kinds = |kinds: &[&str]| {
        let schema =
            json!({"properties": {"spec": {"properties": {"target": {"properties": {"kind": {"enum": kinds}}}}}}});
        let mut definition = definition("downloadrequests.velero.io", None, &[], &[]);
        definition.data["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema;
        definition
    };
    let desired = [kinds(&["BackupLog", "BackupContents", "BackupResults"])];
    let of_1_10 = kinds(&["BackupLog", "BackupContents", "BackupItemSnapshots"]);
    assert_eq!(standing(&of_1_10, &desired[0]), Standing::Replaceable);
    let unknown = kinds(&["BackupLog", "BackupContents", "Dropped"]);
    let (has, lacks) = ("v1.spec.target.kind=Dropped".to_owned(), "v1.spec.target.kind=BackupResults".to_owned());
    assert_eq!(standing(&unknown, &desired[0]), Standing::Unclear { has, lacks });
}

#[test]
fn nothing_within_what_ours_keeps_whole_is_more() {
    // 1.6 to 1.9 spelt out what an init container is.
    let containers = |items: &Value| {
        let mut definition = definition("restores", None, &[], &[]);
        definition.data["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
            json!({"properties": {"spec": {"properties": {"initContainers": {"type": "array", "items": items}}}}});
        definition
    };
    let ours = containers(&json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let of_1_9 = containers(&json!({"type": "object", "properties": {"image": {"type": "string"}}}));
    assert_eq!(standing(&of_1_9, &ours), Standing::Replaceable);
}

#[test]
fn an_edited_definition_that_our_server_can_work_with_stays() {
    let mut edited = ours("backups");
    edited.data["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["added"] =
        json!({"type": "string"});
    assert_eq!(standing(&written_by("kubectl", edited), &ours("backups")), Standing::Newer);
    // One that somebody has taken from is mended.
    let less = definition("backups", Some("1.18.3"), &["name"], &["New"]);
    assert_eq!(standing(&written_by("kubectl", less), &ours("backups")), Standing::Replaceable);
}

#[test]
fn a_definition_that_has_more_and_lacks_something_is_for_a_person_to_decide() {
    let mixed = |version| definition("backups", version, &["name", "added"], &["New"]);
    let unclear =
        Standing::Unclear { has: "v1.spec.hooks[].added".to_owned(), lacks: "v1.spec.hooks[].timeout".to_owned() };
    assert_eq!(standing(&written_by("kubectl", mixed(None)), &ours("backups")), unclear);
    // Of a charm's of the same minor release too, as the server could not work with it.
    assert_eq!(standing(&written_by(FIELD_MANAGER, mixed(Some("1.18.9"))), &ours("backups")), unclear);
    // Of another one's it is told already that they are of another release.
    assert_eq!(standing(&written_by(FIELD_MANAGER, mixed(Some("1.20.0"))), &ours("backups")), Standing::Newer);
    let desired = [ours("backups"), ours("restores")];
    let live = [written_by("kubectl", mixed(None)), written_by("velero", definition("restores", None, &[], &[]))];
    let due = due(&desired, &live);
    assert_eq!(due.unclear.len(), 1);
    assert!(due.newer.is_empty());
}

#[test]
fn a_definition_that_allows_any_value_is_more_than_one_that_names_them() {
    let mut any = ours("backups");
    let phase = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/phase";
    any.data.pointer_mut(phase).unwrap().as_object_mut().unwrap().remove("enum");
    assert_eq!(standing(&written_by("kubectl", any), &ours("backups")), Standing::Newer);
}

#[test]
fn the_charm_has_the_versions_where_it_has_applied_them_itself() {
    let with = |manager: &str, operation: &str, fields: Value| {
        let mut head = DynamicObject { data: json!({}), ..ours("backups") };
        let entry = json!({"manager": manager, "operation": operation, "fieldsV1": fields});
        head.metadata.managed_fields = serde_json::from_value(json!([entry])).unwrap();
        has_the_charms_versions(&head)
    };
    let versions = || json!({"f:spec": {"f:versions": {}}});
    assert!(with(FIELD_MANAGER, "Apply", versions()));
    assert!(!with("another", "Apply", versions()));
    assert!(!with(FIELD_MANAGER, "Update", versions()));
    assert!(!with(FIELD_MANAGER, "Apply", json!({"f:metadata": {}})));
}

#[test]
fn a_schema_that_says_nothing_of_its_items_is_no_more_than_one_that_does() {
    let mut vague = ours("backups");
    let hooks = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/hooks";
    vague.data.pointer_mut(hooks).unwrap().as_object_mut().unwrap().remove("items");
    assert_eq!(more(&vague, &ours("backups")), BTreeSet::new());
    assert_eq!(more(&ours("backups"), &vague), BTreeSet::new());
}
