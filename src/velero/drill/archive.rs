//! The archive of a backup as it lies in the store: which objects are in it, and what it tells of its pods.
//!
//! Reference: `pkg/archive` and `pkg/backup/item_backupper.go` of Velero, whose archive has an object at
//! `resources/GROUP-RESOURCE/namespaces/NAMESPACE/NAME.json` or `resources/GROUP-RESOURCE/cluster/NAME.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::Path,
};

use flate2::read::GzDecoder;
use serde::Deserialize;
use thiserror::Error;

/// The annotations of a pod by which volumes are left out of backups on purpose.
const EXCLUDED: &str = "backup.velero.io/backup-volumes-excludes";
/// An object that is larger than the cluster itself would take one.
const LARGEST_OBJECT: u64 = 64 * 1024 * 1024;

/// Objects by their kind, `apps/v1/Deployment`, each as `namespace/name`, or `name` where it has no namespace.
pub(crate) type Objects = BTreeMap<String, BTreeSet<String>>;

/// Why an archive cannot be read as a whole.
#[derive(Debug, Error)]
pub(crate) enum ArchiveError {
    #[error("it is damaged or cut off behind {objects} objects")]
    Damaged {
        objects: usize,
        #[source]
        source: io::Error,
    },
    #[error("it has no object at all")]
    Empty,
}

/// What an archive holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Archive {
    pub objects: Objects,
    /// The files of objects that are no objects.
    pub unreadable: Vec<String>,
    /// The objects that another one has made, or that the cluster makes: whether they are there again is up to those.
    pub owned: BTreeSet<(String, String)>,
    /// The pods that were ready.
    pub ready_pods: BTreeSet<String>,
    /// The claims that are left out of backups on purpose.
    pub excluded_claims: BTreeSet<String>,
    /// How many pods were running or about to.
    pub pods: usize,
}

/// What is read of an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(rename = "type")]
    secret_type: Option<String>,
    #[serde(default)]
    spec: serde_json::Value,
    #[serde(default)]
    status: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    owner_references: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Archive {
    /// Reads an archive to its end.
    pub(crate) fn read(compressed: impl Read) -> Result<Self, ArchiveError> {
        let mut archive = Self::default();
        match archive.read_all(compressed) {
            Err(source) => Err(ArchiveError::Damaged { objects: archive.count(), source }),
            Ok(()) if archive.objects.is_empty() => Err(ArchiveError::Empty),
            Ok(()) => Ok(archive),
        }
    }

    /// Returns how many objects it has.
    pub(crate) fn count(&self) -> usize {
        self.objects.values().map(BTreeSet::len).sum()
    }

    fn read_all(&mut self, compressed: impl Read) -> io::Result<()> {
        let mut files = tar::Archive::new(GzDecoder::new(compressed));
        for file in files.entries()? {
            let file = file?;
            let path = file.path()?.to_string_lossy().into_owned();
            if !is_object(&path) {
                continue;
            }
            let mut content = Vec::new();
            file.take(LARGEST_OBJECT).read_to_end(&mut content)?;
            match serde_json::from_slice(&content) {
                Ok(object) => self.add(object),
                Err(_) => self.unreadable.push(path),
            }
        }
        // The checksum of the compressed stream is behind the last file.
        io::copy(&mut files.into_inner(), &mut io::sink()).map(drop)
    }

    fn add(&mut self, object: Object) {
        let Object { api_version, kind, metadata, secret_type, spec, status } = object;
        let key = format!("{api_version}/{kind}");
        let name = match &metadata.namespace {
            Some(namespace) => format!("{namespace}/{}", metadata.name),
            None => metadata.name.clone(),
        };
        let is_made_by_cluster = secret_type.as_deref() == Some("kubernetes.io/service-account-token");
        if !metadata.owner_references.is_empty() || is_made_by_cluster {
            self.owned.insert((key.clone(), name.clone()));
        }
        if key == "v1/Pod" {
            self.add_pod(&name, &metadata, &spec, &status);
        }
        self.objects.entry(key).or_default().insert(name);
    }

    fn add_pod(&mut self, name: &str, metadata: &Metadata, spec: &serde_json::Value, status: &serde_json::Value) {
        let has_ended = matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"));
        if has_ended {
            // Velero does not restore such a one.
            self.owned.insert(("v1/Pod".to_owned(), name.to_owned()));
            return;
        }
        self.pods += 1;
        let conditions = status["conditions"].as_array();
        let is_ready = |condition: &serde_json::Value| condition["type"] == "Ready" && condition["status"] == "True";
        if conditions.is_some_and(|conditions| conditions.iter().any(is_ready)) {
            self.ready_pods.insert(name.to_owned());
        }
        let excluded = metadata.annotations.get(EXCLUDED).map_or("", String::as_str);
        let excluded: BTreeSet<_> = excluded.split(',').map(str::trim).collect();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        for volume in spec["volumes"].as_array().into_iter().flatten() {
            let volume_name = volume["name"].as_str().unwrap_or_default();
            if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str()
                && excluded.contains(volume_name)
            {
                self.excluded_claims.insert(format!("{namespace}/{claim}"));
            }
        }
    }
}

/// Whether a file of an archive is an object, once: where Velero keeps an object in several versions, each is in a folder of its own,
/// and the preferred one here, too.
fn is_object(path: &str) -> bool {
    let parts: Vec<_> = path.trim_start_matches("./").split('/').collect();
    match parts.as_slice() {
        ["resources", _, "namespaces", _, file] | ["resources", _, "cluster", file] => {
            Path::new(file).extension().is_some_and(|extension| extension == "json")
        }
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use serde_json::{Value, json};

    use super::*;

    /// An archive as Velero makes it.
    pub(in crate::velero::drill) fn archive(files: &[(&str, Value)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, content) in files {
            let content = content.to_string();
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        let mut encoder = builder.into_inner().unwrap();
        encoder.flush().unwrap();
        encoder.finish().unwrap()
    }

    fn pod(name: &str, status: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "status": status,
            "metadata": {"name": name, "namespace": "shop", "ownerReferences": [{"kind": "ReplicaSet"}],
                "annotations": {EXCLUDED: "cache, logs"}},
            "spec": {"volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "cache-claim"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "logs", "emptyDir": {}}]}})
    }

    #[test]
    fn what_is_in_an_archive_is_found() {
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let starting = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"},
            {"type": "PodScheduled", "status": "True"}]});
        let settings =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}});
        let token = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "shop"},
            "type": "kubernetes.io/service-account-token"});
        let bytes = archive(&[
            ("metadata/version", json!("1.1.0")),
            ("resources/pods/namespaces/shop/web-1.json", pod("web-1", &ready)),
            ("resources/pods/v1-preferredversion/namespaces/shop/web-1.json", pod("web-1", &ready)),
            ("resources/pods/namespaces/shop/web-2.json", pod("web-2", &starting)),
            ("resources/pods/namespaces/shop/done.json", pod("done", &json!({"phase": "Succeeded"}))),
            ("resources/configmaps/namespaces/shop/settings.json", settings),
            ("resources/secrets/namespaces/shop/token.json", token),
            (
                "resources/namespaces/cluster/shop.json",
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
            ),
            ("resources/secrets/namespaces/shop/broken.json", json!("no object")),
        ]);
        let archive = Archive::read(bytes.as_slice()).unwrap();
        let names = |kind: &str| archive.objects[kind].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(names("v1/Pod"), ["shop/done", "shop/web-1", "shop/web-2"]);
        assert_eq!((names("v1/Namespace"), archive.count(), archive.pods), (vec!["shop"], 6, 2));
        assert_eq!(archive.ready_pods, BTreeSet::from(["shop/web-1".to_owned()]));
        assert_eq!(archive.excluded_claims, BTreeSet::from(["shop/cache-claim".to_owned()]));
        let owned: Vec<_> = archive.owned.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(owned, ["shop/done", "shop/web-1", "shop/web-2", "shop/token"]);
        assert_eq!(archive.unreadable, ["resources/secrets/namespaces/shop/broken.json"]);
    }

    #[test]
    fn an_archive_that_was_cut_or_changed_is_damaged() {
        let settings = |number: u8| {
            let name = format!("settings-{number}");
            let noise: String =
                (0..400_u32).map(|at| char::from(b'a' + (at * at * u32::from(number) % 23) as u8)).collect();
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"noise": noise}})
        };
        let paths: Vec<_> =
            (0..9).map(|number| format!("resources/configmaps/namespaces/shop/settings-{number}.json")).collect();
        let files: Vec<_> = paths.iter().zip(0..9).map(|(path, number)| (path.as_str(), settings(number))).collect();
        let bytes = archive(&files);
        assert_eq!(Archive::read(bytes.as_slice()).unwrap().count(), 9);
        for end in [0, 5, bytes.len() / 2, bytes.len() - 4] {
            assert!(Archive::read(&bytes[..end]).is_err(), "{end}");
        }
        let mut changed = bytes.clone();
        let at = bytes.len() - 6;
        changed[at] ^= 1;
        assert!(matches!(Archive::read(changed.as_slice()), Err(ArchiveError::Damaged { .. })));
        assert!(matches!(Archive::read(archive(&[]).as_slice()), Err(ArchiveError::Empty)));
    }
}
