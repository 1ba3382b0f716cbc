//! What the dry run of `velero install` prints, read and held against what the charm completes of it.

use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// Why an output is not the objects of an installation.
#[derive(Debug, Error)]
pub(crate) enum DryRunError {
    #[error("it is no list of objects")]
    Form(#[source] serde_yaml::Error),
    #[error("it has no objects")]
    Empty,
    #[error("an object of it has no kind or no name")]
    Nameless,
    #[error("{kind} {name} of it has no {part}")]
    Lacks { kind: String, name: String, part: &'static str },
}

#[derive(Deserialize)]
struct List {
    items: Vec<DynamicObject>,
    /// It stands behind the objects: an output that was cut off does not have it, and what it lacks would be deleted.
    #[serde(rename = "kind")]
    _kind: String,
}

/// Reads the objects. Of those that the charm completes, the parts that it writes into are there.
///
/// # Errors
///
/// When it is something else: a part of an output, or that of a program which the charm does not know.
pub(crate) fn read(output: &[u8]) -> Result<Vec<DynamicObject>, DryRunError> {
    let List { items, .. } = serde_yaml::from_slice(output).map_err(DryRunError::Form)?;
    if items.is_empty() {
        return Err(DryRunError::Empty);
    }
    for object in &items {
        let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
        let name = object.metadata.name.as_deref().unwrap_or_default();
        if kind.is_empty() || name.is_empty() {
            return Err(DryRunError::Nameless);
        }
        if let Some(part) = lack(kind, &object.data) {
            return Err(DryRunError::Lacks { kind: kind.to_owned(), name: name.to_owned(), part });
        }
    }
    Ok(items)
}

/// Returns which part an object of a kind lacks.
fn lack(kind: &str, data: &Value) -> Option<&'static str> {
    let is_map = |pointer: &str| data.pointer(pointer).is_some_and(Value::is_object);
    // What is said to be nothing can be written into as well.
    let may_be_map = |pointer: &str| data.pointer(pointer).is_none_or(|part| part.is_object() || part.is_null());
    let are_maps = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(Value::is_object));
    let has_containers = || {
        let containers = data.pointer("/spec/template/spec/containers");
        let beginning = data.pointer("/spec/template/spec/initContainers");
        containers.is_some_and(|list| are_maps(list) && *list != Value::Array(Vec::new()))
            && beginning.is_none_or(|list| are_maps(list) || list.is_null())
    };
    match kind {
        "BackupStorageLocation" | "VolumeSnapshotLocation" => (!is_map("/spec")).then_some("spec"),
        "Deployment" | "DaemonSet" if !is_map("/spec/template/spec") => Some("template of a pod"),
        "Deployment" | "DaemonSet" if !has_containers() => Some("containers"),
        "Deployment" | "DaemonSet" => {
            let has_metadata =
                may_be_map("/spec/template/metadata") && may_be_map("/spec/template/metadata/annotations");
            (!has_metadata).then_some("metadata of its pods")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_of(kind: &str, spec: &Value) -> Result<Vec<DynamicObject>, String> {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "velero"}, "spec": spec});
        read(json!({"items": [object], "kind": "List"}).to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_object_without_what_the_charm_completes_of_it_is_an_error_and_no_panic() {
        let container = json!([{"name": "velero"}]);
        let pod = |spec: Value| json!({"template": {"spec": spec}});
        for (spec, part) in [
            (json!("words"), "template of a pod"),
            (json!({"template": 5}), "template of a pod"),
            (pod(json!({})), "containers"),
            (pod(json!({"containers": []})), "containers"),
            (pod(json!({"containers": ["velero"]})), "containers"),
            (pod(json!({"containers": container, "initContainers": {}})), "containers"),
            (json!({"template": {"metadata": [], "spec": {"containers": container}}}), "metadata of its pods"),
            (
                json!({"template": {"metadata": {"annotations": "none"}, "spec": {"containers": container}}}),
                "metadata of its pods",
            ),
        ] {
            for kind in ["Deployment", "DaemonSet"] {
                assert_eq!(read_of(kind, &spec).unwrap_err(), format!("{kind} velero of it has no {part}"));
            }
        }
        let nothing =
            json!({"template": {"metadata": null, "spec": {"containers": container, "initContainers": null}}});
        assert_eq!(read_of("Deployment", &nothing).unwrap().len(), 1);
        let location = read_of("BackupStorageLocation", &json!([])).unwrap_err();
        assert_eq!(location, "BackupStorageLocation velero of it has no spec");
    }

    #[test]
    fn half_an_output_is_an_error() {
        let whole = "apiVersion: v1\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\nkind: List\n";
        assert_eq!(read(whole.as_bytes()).unwrap().len(), 1);
        // Of all these, the first would be an installation without what was cut off.
        let cut = whole.trim_end_matches("kind: List\n");
        for output in [cut, "", "items:", "- a", "kind: List", "{items: [5], kind: List}", "items: [{kind: Deployment"]
        {
            assert!(matches!(read(output.as_bytes()), Err(DryRunError::Form(_))), "{output}");
        }
        for object in
            [json!({}), json!({"apiVersion": "v1", "kind": "Service"}), json!({"metadata": {"name": "velero"}})]
        {
            let output = json!({"items": [object], "kind": "List"}).to_string();
            assert!(matches!(read(output.as_bytes()), Err(DryRunError::Nameless)), "{output}");
        }
        for output in ["{items: [], kind: List}", "items:\nkind: List"] {
            assert!(matches!(read(output.as_bytes()), Err(DryRunError::Empty)), "{output}");
        }
    }
}
