//! What the server has, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::request::{Call, Verb};

pub(super) type Rewrite = Box<dyn Fn(&mut Value) + Send>;
type Outcome = Result<Value, StatusCode>;

/// Which object; or which kind, where the name is empty.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The objects and their past.
#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<Key, Value>,
    /// What was applied of an object, by its manager.
    applied: BTreeMap<(Key, String), Value>,
    events: Vec<(u64, &'static str, Key, Value)>,
    version: u64,
    finished: BTreeSet<String>,
    rewrite: Option<Rewrite>,
}

impl Store {
    pub(super) fn objects(&self) -> impl Iterator<Item = &Value> {
        self.objects.values()
    }

    pub(super) fn finish(&mut self, kind: &str) {
        self.finished.insert(kind.to_owned());
    }

    pub(super) fn rewrite(&mut self, rewrite: Rewrite) {
        self.rewrite = Some(rewrite);
    }

    /// The version of the latest change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether there can be objects of the kind of a key.
    pub(super) fn is_known(&self, key: &Key) -> bool {
        let is_of_snapshots = key.group == "snapshot.storage.k8s.io";
        let built_in = !key.group.contains('.') || key.group.ends_with(".k8s.io") && !is_of_snapshots;
        built_in || self.objects.contains_key(&definition_of(key))
    }

    pub(super) fn serve(&mut self, call: &Call) -> Outcome {
        if !self.is_known(&call.key) {
            return Err(StatusCode::NOT_FOUND);
        }
        match call.verb {
            Verb::Get => self.objects.get(&call.key).cloned().ok_or(StatusCode::NOT_FOUND),
            Verb::List | Verb::Watch => Ok(self.list(call)),
            Verb::Create => self.create(call),
            Verb::Apply => Ok(self.apply(call)),
            Verb::Merge => self.merge(call),
            Verb::Delete => self.delete(call),
            Verb::DeleteCollection => Ok(self.delete_collection(call)),
        }
        .map(|answer| if call.metadata_only && call.verb != Verb::List { metadata_of(&answer) } else { answer })
    }

    fn selected<'a>(&'a self, call: &'a Call) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.objects.iter().filter(|(key, object)| is_within(key, &call.key) && call.selects(object))
    }

    fn list(&self, call: &Call) -> Value {
        let after = call.parameter("continue");
        let limit = call.parameter("limit").map_or(usize::MAX, |limit| limit.parse().expect("a limit"));
        let token = |key: &Key| format!("{}/{}", key.namespace, key.name);
        let mut rest = self.selected(call).filter(|(key, _)| after.is_none_or(|after| token(key).as_str() > after));
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if rest.next().is_some() {
            metadata["continue"] = json!(page.last().map(|(key, _)| token(key)));
        }
        let items: Vec<_> = page.iter().map(|(_, object)| listed(object, call)).collect();
        // So does the API server.
        let items = if call.metadata_only && items.is_empty() { Value::Null } else { Value::Array(items) };
        json!({"kind": "List", "apiVersion": api_version(&call.key.group, &call.version), "metadata": metadata, "items": items})
    }

    fn create(&mut self, call: &Call) -> Outcome {
        let mut key = call.key.clone();
        let name = call.body["metadata"]["name"].as_str();
        let generated = || call.body["metadata"]["generateName"].as_str().map(|name| format!("{name}{}", self.version));
        key.name = name.map(str::to_owned).or_else(generated).ok_or(StatusCode::UNPROCESSABLE_ENTITY)?;
        if self.objects.contains_key(&key) {
            return Err(StatusCode::CONFLICT);
        }
        let mut object = call.body.clone();
        object["metadata"]["name"] = json!(key.name);
        if call.is_dry_run() {
            return Ok(object);
        }
        self.put(key.clone(), object);
        Ok(self.objects[&key].clone())
    }

    fn apply(&mut self, call: &Call) -> Value {
        let manager = call.parameter("fieldManager").expect("an apply names its manager").to_owned();
        let slot = (call.key.clone(), manager.clone());
        let before = self.objects.get(&call.key).cloned();
        let mut object = before.clone().unwrap_or_else(|| json!({}));
        if let Some(applied) = self.applied.get(&slot) {
            remove_missing(&mut object, applied, &call.body);
        }
        merge(&mut object, &call.body, false);
        object["metadata"]["name"] = json!(call.key.name);
        if let Some(rewrite) = &self.rewrite {
            rewrite(&mut object);
        }
        let mut entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        entries.retain(|entry| entry["manager"] != manager.as_str() || entry["operation"] != "Apply");
        entries.push(json!({"manager": manager, "operation": "Apply", "apiVersion": call.body["apiVersion"],
            "fieldsType": "FieldsV1", "fieldsV1": fields(&call.body)}));
        object["metadata"]["managedFields"] = Value::Array(entries);
        if call.is_dry_run() {
            return object;
        }
        self.applied.insert(slot, call.body.clone());
        if before.as_ref() != Some(&object) {
            self.put(call.key.clone(), object);
        }
        self.objects[&call.key].clone()
    }

    fn merge(&mut self, call: &Call) -> Outcome {
        let before = self.objects.get(&call.key).ok_or(StatusCode::NOT_FOUND)?.clone();
        let expected = &call.body["metadata"]["resourceVersion"];
        if expected.is_string() && *expected != before["metadata"]["resourceVersion"] {
            return Err(StatusCode::CONFLICT);
        }
        let mut object = before.clone();
        merge(&mut object, &call.body, true);
        if object != before && !call.is_dry_run() {
            self.put(call.key.clone(), object);
        }
        Ok(self.objects.get(&call.key).cloned().unwrap_or(before))
    }

    fn delete(&mut self, call: &Call) -> Outcome {
        let live = self.objects.get(&call.key).ok_or(StatusCode::NOT_FOUND)?;
        let preconditions = &call.body["preconditions"];
        for field in ["uid", "resourceVersion"] {
            if preconditions[field].is_string() && preconditions[field] != live["metadata"][field] {
                return Err(StatusCode::CONFLICT);
            }
        }
        if !call.is_dry_run() {
            self.remove(&call.key);
        }
        Ok(json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 200}))
    }

    fn delete_collection(&mut self, call: &Call) -> Value {
        let answer = self.list(call);
        let items = answer["items"].as_array().into_iter().flatten();
        let uids: BTreeSet<_> = items.filter_map(|item| item["metadata"]["uid"].as_str()).collect();
        let is_listed = |object: &Value| object["metadata"]["uid"].as_str().is_some_and(|uid| uids.contains(uid));
        let keys: Vec<_> =
            self.objects.iter().filter(|(_, object)| is_listed(object)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.remove(&key);
        }
        answer
    }

    /// Puts an object there, new or changed; one that was only waiting for its finalizers goes.
    pub(super) fn put(&mut self, key: Key, mut object: Value) {
        self.version += 1;
        let before = self.objects.get(&key);
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if !key.namespace.is_empty() {
            metadata["namespace"] = json!(key.namespace);
        }
        if !metadata["uid"].is_string() {
            metadata["uid"] = json!(format!("uid-{}", self.version));
        }
        if !metadata["creationTimestamp"].is_string() {
            metadata["creationTimestamp"] = json!("2026-01-31T10:20:30Z");
        }
        if metadata["deletionTimestamp"].is_string() && !has_finalizers(&object) {
            self.forget(&key, object);
            return;
        }
        if object["kind"] == "CustomResourceDefinition" && object["status"].is_null() {
            object["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        }
        let generation = before.map_or(0, |before| before["metadata"]["generation"].as_u64().unwrap_or(1));
        let same = before.is_some_and(|before| before["spec"] == object["spec"]);
        object["metadata"]["generation"] = json!(if same { generation } else { generation + 1 });
        let event = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.events.push((self.version, event, key.clone(), object.clone()));
        self.objects.insert(key, object);
    }

    /// Deletes an object, or marks it as being deleted if something holds it.
    fn remove(&mut self, key: &Key) {
        let Some(mut object) = self.objects.get(key).cloned() else { return };
        let finished = object["kind"].as_str().is_some_and(|kind| self.finished.contains(kind));
        if has_finalizers(&object) && !finished {
            if !object["metadata"]["deletionTimestamp"].is_string() {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-31T11:20:30Z");
                self.put(key.clone(), object);
            }
            return;
        }
        self.version += 1;
        self.forget(key, object);
    }

    fn forget(&mut self, key: &Key, object: Value) {
        self.objects.remove(key);
        self.applied.retain(|(applied, _), _| applied != key);
        // With a definition go the objects of its kind.
        let within: Vec<_> = if key.plural == "customresourcedefinitions" {
            self.objects.keys().filter(|other| definition_of(other) == *key).cloned().collect()
        } else {
            Vec::new()
        };
        self.events.push((self.version, "DELETED", key.clone(), object));
        for other in within {
            self.remove(&other);
        }
    }

    /// The lines of a watch since a version, and the version that they lead to. Those since version 0 begin with what is there.
    pub(super) fn events(&self, call: &Call, since: u64) -> (String, u64) {
        let line = |event: &str, object: &Value| format!("{}\n", json!({"type": event, "object": shown(object, call)}));
        if since == 0 {
            return (self.selected(call).map(|(_, object)| line("ADDED", object)).collect(), self.version.max(1));
        }
        let of_call = |(version, _, key, object): &&(u64, &'static str, Key, Value)| {
            *version > since && is_within(key, &call.key) && call.selects(object)
        };
        let lines = self.events.iter().filter(of_call).map(|(_, event, _, object)| line(event, object)).collect();
        (lines, self.version)
    }
}

/// The key of the definition that a key's kind has, if it is not built in.
fn definition_of(key: &Key) -> Key {
    Key {
        group: "apiextensions.k8s.io".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
        namespace: String::new(),
        name: format!("{}.{}", key.plural, key.group),
    }
}

fn is_within(key: &Key, scope: &Key) -> bool {
    key.group == scope.group
        && key.plural == scope.plural
        && (scope.namespace.is_empty() || key.namespace == scope.namespace)
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// An object of a list: of built-in kinds, only the list says which they are.
fn listed(object: &Value, call: &Call) -> Value {
    let mut object = shown(object, call);
    if !call.key.group.contains('.') || call.key.group.ends_with(".k8s.io") {
        object.as_object_mut().expect("an object").retain(|field, _| field != "kind" && field != "apiVersion");
    }
    object
}

fn shown(object: &Value, call: &Call) -> Value {
    if call.metadata_only { metadata_of(object) } else { object.clone() }
}

fn metadata_of(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// A JSON merge patch; one that is no patch but an object has no `null` that would remove.
fn merge(object: &mut Value, patch: &Value, removes: bool) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    let fields = object.as_object_mut().expect("made one above");
    for (name, value) in patch {
        if value.is_null() {
            if removes {
                fields.remove(name);
            }
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value, removes);
        }
    }
}

/// Removes the fields that a manager has applied before and does not apply now.
fn remove_missing(object: &mut Value, before: &Value, now: &Value) {
    let (Some(fields), Some(before)) = (object.as_object_mut(), before.as_object()) else { return };
    for (name, value) in before {
        match now.get(name) {
            None => drop(fields.remove(name)),
            Some(now) => {
                if let Some(field) = fields.get_mut(name) {
                    remove_missing(field, value, now);
                }
            }
        }
    }
}

/// What managed fields say of an object: its fields down to lists and values, all but those that say what it is.
fn fields(object: &Value) -> Value {
    let mut fields = fields_within(object);
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|name, _| name != "f:kind" && name != "f:apiVersion");
    }
    fields
}

fn fields_within(object: &Value) -> Value {
    let Value::Object(of) = object else { return json!({}) };
    Value::Object(of.iter().map(|(name, value)| (format!("f:{name}"), fields_within(value))).collect::<Map<_, _>>())
}

/// What a refusal says; of an invalid field also which it is, where the message has it as the server words it.
pub(super) fn status(code: StatusCode, message: &str) -> Value {
    let reason = code.canonical_reason().unwrap_or_default().replace(' ', "");
    let field = message.split_once(": Invalid value").and_then(|(before, _)| before.rsplit(' ').next());
    let causes: Vec<_> =
        field.map(|field| json!({"reason": "FieldValueInvalid", "field": field})).into_iter().collect();
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": reason,
        "message": message, "details": {"causes": causes}})
}
