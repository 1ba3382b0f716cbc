//! The pins: which modules, at which versions, with which link flags.

use sha2::{Digest, Sha256};

use crate::hexadecimal::hexadecimal;

/// A Go module of `tools/` whose programs the sandbox runs or the charm bundles.
#[derive(Debug)]
pub struct Tool {
    /// The module's folder under `tools/`.
    pub name: &'static str,
    /// The programs that a build of it makes.
    pub programs: &'static [&'static str],
    /// What a build takes on two cores with nothing cached, in minutes: to say so to whoever waits.
    pub(super) minutes: u8,
    /// What `go build` is told to build: `tool`, the module's `tool` lines, or `.`, its own main package.
    pub(super) package: &'static str,
    pub(super) files: &'static [(&'static str, &'static str)],
    pub(super) link_flags: &'static str,
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
    programs: &["velero", "velero-helper", "velero-restore-helper"],
    minutes: 3,
    package: "tool",
    files: files!("velero": "go.mod", "go.sum"),
    link_flags: include_str!("../../../tools/velero/ldflags"),
};

/// Velero's plugin for S3.
pub static VELERO_PLUGIN_FOR_AWS: Tool = Tool {
    name: "velero-plugin-for-aws",
    programs: &["cp-plugin", "velero-plugin-for-aws"],
    minutes: 2,
    package: "tool",
    files: files!("velero-plugin-for-aws": "go.mod", "go.sum"),
    link_flags: include_str!("../../../tools/velero-plugin-for-aws/ldflags"),
};

/// Kubernetes' control plane, node programs and kubectl.
pub static KUBERNETES: Tool = Tool {
    name: "kubernetes",
    programs: &["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"],
    minutes: 6,
    package: "tool",
    files: files!("kubernetes": "go.mod", "go.sum"),
    link_flags: include_str!("../../../tools/kubernetes/ldflags"),
};

/// The database of Kubernetes.
pub static ETCD: Tool = Tool {
    name: "etcd",
    programs: &["etcd"],
    minutes: 1,
    package: ".",
    files: files!("etcd": "go.mod", "go.sum", "main.go"),
    link_flags: include_str!("../../../tools/etcd/ldflags"),
};

/// The S3 server.
pub static VERSITYGW: Tool = Tool {
    name: "versitygw",
    programs: &["versitygw"],
    minutes: 1,
    package: "tool",
    files: files!("versitygw": "go.mod", "go.sum"),
    link_flags: include_str!("../../../tools/versitygw/ldflags"),
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

    /// What a build of this tool is known by: it changes with every input of the build, 16 hexadecimal digits long.
    #[must_use]
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        for (file, text) in self.files.iter().chain([&("ldflags", self.link_flags)]) {
            hash.update(file);
            hash.update([0]);
            hash.update(text);
            hash.update([0]);
        }
        hexadecimal(&hash.finalize()[..8])
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
            assert!(tool.link_flags.contains(&format!("={version}")), "{}: {version}", tool.name);
        }
    }

    #[test]
    fn each_tool_has_a_key_of_its_own() {
        let keys = [&VELERO, &VELERO_PLUGIN_FOR_AWS, &KUBERNETES, &ETCD, &VERSITYGW].map(Tool::key);
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert!(keys.iter().all(|key| key.len() == 16));
    }
}
