//! The applications that are backed up: each has something else to tell on a dashboard.

use serde_json::{Value, json};

use crate::images;

/// An application with a Deployment, in the namespace of its model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Application {
    pub(super) name: &'static str,
    pub(super) model: &'static str,
    /// The cron expression of its backups. Each application has a minute of its own: what waits in the server's queue
    /// begins a minute later.
    schedule: &'static str,
    /// Which kinds of objects are backed up; all, where there are none.
    kinds: &'static [&'static str],
    /// Its volumes, each with how many KiB are added to it four times a minute.
    volumes: &'static [(&'static str, u32)],
    /// A script that must succeed before a backup of its pod.
    before_backup: Option<&'static str>,
}

/// Where all of them have their endpoint.
pub(super) const ENDPOINT: &str = "backups";

/// By which their objects are chosen.
const LABEL: &str = "app.kubernetes.io/name";

/// Is backed up as it should be, and has more to back up each time.
pub(super) const LEDGER: Application = Application {
    name: "ledger",
    model: "finance",
    schedule: "0-59/4 * * * *",
    kinds: &[],
    volumes: &[("data", 384), ("journal", 64)],
    before_backup: None,
};

/// Asks for its volume without the pod that Velero needs to read it.
pub(super) const MAIL: Application = Application {
    name: "mail",
    model: "office",
    schedule: "1-59/4 * * * *",
    kinds: &["persistentvolumeclaims", "configmaps"],
    volumes: &[("spool", 32)],
    before_backup: None,
};

/// Is backed up well until its disk is full: then its database cannot be dumped.
pub(super) const WIKI: Application = Application {
    name: "wiki",
    model: "office",
    schedule: "2-59/4 * * * *",
    kinds: &[],
    volumes: &[("pages", 96)],
    before_backup: Some("test ! -e /pages/full"),
};

/// Lets the next backup of [`WIKI`] fail.
pub(super) const FILL_WIKI: &str = "touch /pages/full";

/// Has no volume.
pub(super) const DIRECTORY: Application = Application {
    name: "directory",
    model: "people",
    schedule: "3-59/4 * * * *",
    kinds: &[],
    volumes: &[],
    before_backup: None,
};

/// All of them.
pub(super) const ALL: [Application; 4] = [DIRECTORY, LEDGER, MAIL, WIKI];

impl Application {
    /// What it declares of its backups.
    pub(super) fn spec(&self) -> Value {
        let mut spec = json!({
            "include_namespaces": [self.model],
            "label_selector": {LABEL: self.name},
            "schedule": self.schedule,
            "ttl": "72h",
        });
        if !self.kinds.is_empty() {
            spec["include_resources"] = json!(self.kinds);
        }
        spec
    }

    /// The objects that it is made of, with their namespace.
    pub(super) fn objects(&self) -> Vec<Value> {
        let (name, labels) = (self.name, json!({LABEL: self.name}));
        let metadata = |name: &str| json!({"name": name, "namespace": self.model, "labels": labels});
        let claim = |volume: &str| format!("{name}-{volume}");
        let mut objects = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.model}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": {"name": name}}),
        ];
        objects.extend(self.volumes.iter().map(|(volume, _)| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata(&claim(volume)),
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}})
        }));
        let volumes = self.volumes.iter().map(|(volume, _)| *volume);
        let mounts: Vec<_> =
            volumes.clone().map(|name| json!({"name": name, "mountPath": format!("/{name}")})).collect();
        let sources: Vec<_> =
            volumes.map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": claim(name)}})).collect();
        let mut template = json!({
            "metadata": {"labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 2,
                "containers": [{"name": name, "image": images::BUSYBOX.trim_start_matches("docker.io/library/"),
                    "command": ["sh", "-c", self.script()], "volumeMounts": mounts}],
                "volumes": sources,
            },
        });
        if let Some(script) = self.before_backup {
            template["metadata"]["annotations"] = json!({
                "pre.hook.backup.velero.io/command": json!(["/bin/sh", "-c", script]).to_string(),
                "pre.hook.backup.velero.io/on-error": "Fail",
            });
        }
        objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(name),
            "spec": {"selector": {"matchLabels": labels}, "template": template}}));
        objects
    }

    /// What its container does: it adds to its volumes.
    fn script(&self) -> String {
        let add = |(volume, kibibytes): &(&str, u32)| format!("head -c {kibibytes}k /dev/urandom >> /{volume}/file; ");
        let adding: String = self.volumes.iter().map(add).collect();
        format!("trap exit TERM; while true; do {adding}sleep 15 & wait; done")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_declares_what_its_objects_are_chosen_by() {
        for application in ALL {
            let spec = application.spec();
            for object in application.objects().into_iter().filter(|object| object["kind"] != "Namespace") {
                assert_eq!(object["metadata"]["labels"], spec["label_selector"], "{object}");
                assert_eq!(object["metadata"]["namespace"], spec["include_namespaces"][0], "{object}");
            }
        }
        assert_eq!(MAIL.spec()["include_resources"][0], "persistentvolumeclaims");
        assert_eq!(LEDGER.spec()["include_resources"], Value::Null);
    }

    #[test]
    fn an_applications_container_fills_the_volumes_that_it_mounts() {
        let deployment = LEDGER.objects().pop().unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let script = container["command"][2].as_str().unwrap();
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(script.contains(&format!(">> {}/file", mount["mountPath"].as_str().unwrap())), "{script}");
        }
        assert!(!DIRECTORY.script().contains("head"), "{}", DIRECTORY.script());
    }
}
