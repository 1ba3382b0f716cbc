//! The pins: which modules, at which versions, with which link flags.

use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// A folder of `tools/` that pins programs which the sandbox runs or the charm bundles.
#[derive(Debug)]
pub struct Tool {
    /// The folder's name.
    pub name: &'static str,
    /// The programs that a build of it makes, by their paths inside of the build.
    pub programs: &'static [&'static str],
    /// What people call it.
    pub title: &'static str,
    /// What a build takes on two cores with nothing cached: to say so to whoever waits.
    pub takes: Duration,
    pub(super) recipe: Recipe,
    pub(super) files: &'static [(&'static str, &'static str)],
}

/// How programs are made of pins.
#[derive(Debug)]
pub(super) enum Recipe {
    /// Go builds its main packages.
    Go {
        /// What it is told to build: `tool`, the module's `tool` lines, or `.`, its own main package.
        package: &'static str,
        link_flags: &'static str,
    },
    /// npm installs its packages.
    Npm,
}

/// The files of a folder under `tools/`. They are a part of this binary so that what is built is what is hashed.
macro_rules! files {
    ($folder:literal: $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../../../tools/", $folder, "/", $file)))),+]
    };
}

/// Velero: the CLI that the charm bundles, which is the server too, and its helpers inside of pods.
pub static VELERO: Tool = Tool {
    name: "velero",
    title: "Velero",
    takes: Duration::from_mins(3),
    programs: &["velero", "velero-helper", "velero-restore-helper"],
    recipe: Recipe::Go { package: "tool", link_flags: include_str!("../../../tools/velero/ldflags") },
    files: files!("velero": "go.mod", "go.sum"),
};

/// Velero's plugin for S3.
pub static VELERO_PLUGIN_FOR_AWS: Tool = Tool {
    name: "velero-plugin-for-aws",
    title: "Velero's plugin for S3",
    takes: Duration::from_mins(2),
    programs: &["cp-plugin", "velero-plugin-for-aws"],
    recipe: Recipe::Go { package: "tool", link_flags: include_str!("../../../tools/velero-plugin-for-aws/ldflags") },
    files: files!("velero-plugin-for-aws": "go.mod", "go.sum"),
};

/// Velero's plugin for Azure.
pub static VELERO_PLUGIN_FOR_MICROSOFT_AZURE: Tool = Tool {
    name: "velero-plugin-for-microsoft-azure",
    title: "Velero's plugin for Azure",
    takes: Duration::from_secs(140),
    programs: &["cp-plugin", "velero-plugin-for-microsoft-azure"],
    recipe: Recipe::Go {
        package: "tool",
        link_flags: include_str!("../../../tools/velero-plugin-for-microsoft-azure/ldflags"),
    },
    files: files!("velero-plugin-for-microsoft-azure": "go.mod", "go.sum"),
};

/// Velero's plugin for Google Cloud Storage.
pub static VELERO_PLUGIN_FOR_GCP: Tool = Tool {
    name: "velero-plugin-for-gcp",
    title: "Velero's plugin for Google Cloud Storage",
    takes: Duration::from_mins(1),
    programs: &["cp-plugin", "velero-plugin-for-gcp"],
    recipe: Recipe::Go { package: "tool", link_flags: include_str!("../../../tools/velero-plugin-for-gcp/ldflags") },
    files: files!("velero-plugin-for-gcp": "go.mod", "go.sum"),
};

/// Kubernetes' control plane, node programs and kubectl.
pub static KUBERNETES: Tool = Tool {
    name: "kubernetes",
    title: "Kubernetes",
    takes: Duration::from_secs(330),
    programs: &["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"],
    recipe: Recipe::Go { package: "tool", link_flags: include_str!("../../../tools/kubernetes/ldflags") },
    files: files!("kubernetes": "go.mod", "go.sum"),
};

/// The database of Kubernetes.
pub static ETCD: Tool = Tool {
    name: "etcd",
    title: "etcd",
    takes: Duration::from_mins(1),
    programs: &["etcd"],
    recipe: Recipe::Go { package: ".", link_flags: include_str!("../../../tools/etcd/ldflags") },
    files: files!("etcd": "go.mod", "go.sum", "main.go"),
};

/// The S3 server.
pub static VERSITYGW: Tool = Tool {
    name: "versitygw",
    title: "the S3 server",
    takes: Duration::from_mins(1),
    programs: &["versitygw"],
    recipe: Recipe::Go { package: "tool", link_flags: include_str!("../../../tools/versitygw/ldflags") },
    files: files!("versitygw": "go.mod", "go.sum"),
};

/// The stand-in for Google Cloud Storage.
pub static FAKE_GCS_SERVER: Tool = Tool {
    name: "fake-gcs-server",
    title: "the GCS server",
    takes: Duration::from_secs(85),
    programs: &["fake-gcs-server"],
    recipe: Recipe::Go { package: "tool", link_flags: include_str!("../../../tools/fake-gcs-server/ldflags") },
    files: files!("fake-gcs-server": "go.mod", "go.sum"),
};

/// Velero's readers of what the charm writes, for the charm's tests.
pub static READERS: Tool = Tool {
    name: "readers",
    title: "Velero's readers",
    takes: Duration::from_secs(45),
    programs: &["readers"],
    recipe: Recipe::Go { package: ".", link_flags: include_str!("../../../tools/readers/ldflags") },
    files: files!("readers": "go.mod", "go.sum", "main.go"),
};

/// Prometheus, and what plays alert rules through, for the charm's tests. It is built without its pages, and without all that finds
/// something to scrape.
pub static PROMETHEUS: Tool = Tool {
    name: "prometheus",
    title: "Prometheus",
    takes: Duration::from_mins(4),
    programs: &["prometheus", "promtool"],
    recipe: Recipe::Go { package: "tool", link_flags: include_str!("../../../tools/prometheus/ldflags") },
    files: files!("prometheus": "go.mod", "go.sum", "tags"),
};

/// The Azure Blob server.
pub static AZURITE: Tool = Tool {
    name: "azurite",
    title: "the Azure Blob server",
    takes: Duration::from_secs(30),
    programs: &["node_modules/azurite/dist/src/blob/main.js"],
    recipe: Recipe::Npm,
    files: files!("azurite": "package.json", "package-lock.json"),
};

impl Tool {
    /// The version of `module` that this tool's `go.mod` requires.
    #[must_use]
    pub fn required_version(&self, module: &str) -> Option<&'static str> {
        let (_, go_mod) = self.files.iter().find(|(file, _)| *file == "go.mod")?;
        go_mod.lines().find_map(|line| {
            let mut words = line.trim().trim_start_matches("require ").split_whitespace();
            (words.next() == Some(module)).then(|| words.next()).flatten().filter(|word| word.starts_with('v'))
        })
    }

    /// What parts of the sources Go is to leave out or to take in.
    pub(super) fn tags(&self) -> &'static str {
        self.files.iter().find(|(file, _)| *file == "tags").map_or("", |(_, tags)| tags.trim())
    }

    /// Go's flags for the linker as one more file, for they are an input of the build.
    fn link_flags(&self) -> Option<(&'static str, &'static str)> {
        match self.recipe {
            Recipe::Go { link_flags, .. } => Some(("ldflags", link_flags)),
            Recipe::Npm => None,
        }
    }

    /// What a build of this tool is known by: it changes with every input of the build, 16 hexadecimal digits long.
    #[must_use]
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        for (file, text) in self.files.iter().chain(&self.link_flags()) {
            hash.update(file);
            hash.update([0]);
            hash.update(text);
            hash.update([0]);
        }
        HEXLOWER.encode(&hash.finalize()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_go_mod() {
        assert_eq!(VELERO.required_version("github.com/vmware-tanzu/velero"), Some("v1.18.3"));
        assert_eq!(ETCD.required_version("go.etcd.io/etcd/server/v3"), Some("v3.6.8"));
        assert_eq!(ETCD.required_version("example.org/nothing"), None);
    }

    #[test]
    fn a_version_that_is_linked_into_a_program_is_the_one_that_is_built() {
        for (tool, module) in [
            (&VELERO, "github.com/vmware-tanzu/velero"),
            (&KUBERNETES, "k8s.io/kubernetes"),
            (&VERSITYGW, "github.com/versity/versitygw"),
        ] {
            let version = tool.required_version(module).unwrap();
            let (_, link_flags) = tool.link_flags().unwrap();
            assert!(link_flags.contains(&format!("={version}")), "{}: {version}", tool.name);
        }
    }

    #[test]
    fn each_tool_has_a_key_of_its_own() {
        let keys = [
            &VELERO,
            &VELERO_PLUGIN_FOR_AWS,
            &VELERO_PLUGIN_FOR_MICROSOFT_AZURE,
            &VELERO_PLUGIN_FOR_GCP,
            &KUBERNETES,
            &ETCD,
            &VERSITYGW,
            &READERS,
            &PROMETHEUS,
            &AZURITE,
            &FAKE_GCS_SERVER,
        ]
        .map(Tool::key);
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert!(keys.iter().all(|key| key.len() == 16));
    }
}
