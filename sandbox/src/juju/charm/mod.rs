//! What a charm says of itself: `metadata.yaml`, `manifest.yaml`, `config.yaml` and `actions.yaml`.

mod action;
mod metadata;
mod option;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use action::{ActionSpec, InvalidParameters};
pub use metadata::{Endpoint, Metadata, Role};
pub(crate) use option::parse_bool;
pub use option::{ConfigOption, InvalidOption, OptionType};

/// Why a directory is not a charm that Juju would deploy to Kubernetes.
#[derive(Debug, thiserror::Error)]
pub enum CharmError {
    /// A file that every charm has, or that this one has, cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what Juju expects there.
    #[error("{} is not valid", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_yaml::Error,
    },
    /// The content can be read but breaks one of Juju's rules.
    #[error("{}: {reason}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// The rule, in Juju's words where they are known.
        reason: String,
    },
}

/// A charm, read from its unpacked directory.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Charm {
    /// `metadata.yaml`.
    pub metadata: Metadata,
    /// The options of `config.yaml`, by name.
    pub options: BTreeMap<String, ConfigOption>,
    /// `actions.yaml`, by name.
    pub actions: BTreeMap<String, ActionSpec>,
}

#[derive(Default, Deserialize)]
struct ConfigFile {
    #[serde(default)]
    options: Option<BTreeMap<String, ConfigOption>>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    bases: Vec<serde_json::Value>,
}

impl Charm {
    /// Reads the charm in `directory` and checks it as Juju does on deploy.
    ///
    /// # Errors
    /// When a file is missing or unreadable, or breaks a rule of Juju.
    pub fn read(directory: &Path) -> Result<Self, CharmError> {
        let metadata: Metadata =
            read_yaml(&directory.join("metadata.yaml"))?.ok_or_else(|| missing(directory.join("metadata.yaml")))?;
        metadata.check().map_err(|reason| CharmError::Rule { path: directory.join("metadata.yaml"), reason })?;

        let manifest_path = directory.join("manifest.yaml");
        let manifest: Manifest = read_yaml(&manifest_path)?.ok_or_else(|| CharmError::Rule {
            path: manifest_path.clone(),
            reason: "missing: without it this is a charm of format 1, which Juju refuses on Kubernetes; \
                     deploy a packed charm, not its source"
                .to_owned(),
        })?;
        if manifest.bases.is_empty() {
            return Err(CharmError::Rule { path: manifest_path, reason: "it names no bases".to_owned() });
        }

        let config_path = directory.join("config.yaml");
        let options = read_yaml::<ConfigFile>(&config_path)?.unwrap_or_default().options.unwrap_or_default();
        for (name, option) in &options {
            option
                .check_default(name)
                .map_err(|error| CharmError::Rule { path: config_path.clone(), reason: error.to_string() })?;
        }

        let actions_path = directory.join("actions.yaml");
        let actions: BTreeMap<String, ActionSpec> = read_yaml(&actions_path)?.unwrap_or_default();
        for (name, action) in &actions {
            action.check(name).map_err(|reason| CharmError::Rule { path: actions_path.clone(), reason })?;
        }
        Ok(Self { metadata, options, actions })
    }

    /// The endpoint of that name, whatever its role.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<(Role, &Endpoint)> {
        self.metadata.endpoint(name)
    }
}

fn missing(path: PathBuf) -> CharmError {
    CharmError::Read { path, source: io::Error::from(io::ErrorKind::NotFound) }
}

/// The file's content, or `None` when there is no such file or it is empty.
fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, CharmError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CharmError::Read { path: path.to_owned(), source }),
    };
    serde_yaml::from_str(&text).map_err(|source| CharmError::Parse { path: path.to_owned(), source })
}

/// Whether `name` is one that Juju takes for charms and applications: lower case, digits and dashes, beginning with a
/// letter, each part between dashes holding a letter.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('-').all(|part| {
            !part.is_empty()
                && part.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit())
                && part.chars().any(|each| each.is_ascii_lowercase())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charm(files: &[(&str, &str)]) -> Result<Charm, CharmError> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            fs::write(directory.path().join(name), text).expect("a file");
        }
        Charm::read(directory.path())
    }

    const METADATA: (&str, &str) = ("metadata.yaml", "name: example\nsummary: s\ndescription: d\n");
    const MANIFEST: (&str, &str) =
        ("manifest.yaml", "bases: [{name: ubuntu, channel: '24.04', architectures: [amd64]}]\n");

    #[test]
    fn metadata_and_manifest_are_enough() {
        let charm = charm(&[METADATA, MANIFEST]).expect("a charm");
        assert_eq!(charm.metadata.name, "example");
        assert!(charm.options.is_empty() && charm.actions.is_empty());
    }

    #[test]
    fn a_charm_without_manifest_is_format_one() {
        let error = charm(&[METADATA]).expect_err("refused");
        assert!(error.to_string().contains("format 1"), "{error}");
    }

    #[test]
    fn bool_is_not_a_type_of_option() {
        let config = ("config.yaml", "options: {x: {type: bool}}");
        assert!(matches!(charm(&[METADATA, MANIFEST, config]), Err(CharmError::Parse { .. })));
    }

    #[test]
    fn a_default_of_the_wrong_type_is_refused() {
        let config = ("config.yaml", "options: {x: {type: int, default: many}}");
        let error = charm(&[METADATA, MANIFEST, config]).expect_err("refused");
        assert!(error.to_string().ends_with("option \"x\" expected int, got \"many\""), "{error}");
    }

    #[test]
    fn names_follow_juju() {
        for good in ["velero-operator", "s3-integrator", "a1"] {
            assert!(is_valid_name(good), "{good}");
        }
        for bad in ["", "Velero", "a--b", "a-1", "1a", "a_b", "-a", "a-"] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
