//! How the other parts of the sandbox reach a cluster, whoever made it.

use std::{ffi::OsStr, net::IpAddr, path::PathBuf, process::Command};

use serde::{Deserialize, Serialize};

/// What a user of a cluster has to know of it: the embedded one's or the one of `--kubeconfig`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ClusterAccess {
    /// A kubeconfig with administrator's rights that works where the sandbox program itself runs.
    pub kubeconfig: PathBuf,
    /// The process whose mount and network namespaces the cluster lives in (as `nsenter --target` takes it);
    /// `None` when the cluster is the user's own and shares nothing but the network with this machine.
    pub namespaces_of: Option<u32>,
    /// Host of the API server as a pod sees it: the value of `KUBERNETES_SERVICE_HOST`.
    pub service_host: String,
    /// Port of the API server as a pod sees it: the value of `KUBERNETES_SERVICE_PORT`.
    pub service_port: u16,
    /// The certificate authority of the API server, as PEM: the `ca.crt` of a service account.
    pub certificate_authority: String,
    /// The address at which a server that is made for the cluster is reached by pods, by the charm and by this machine.
    pub server_address: IpAddr,
    /// Whom pods ask for names; `None` where a charm asks whom this machine asks.
    pub nameserver: Option<IpAddr>,
}

impl ClusterAccess {
    /// A command that runs `program` where the cluster's own programs run: inside of its mount, network and process
    /// namespaces, so that it ends with the cluster, or on this machine when the cluster has none of its own.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.enter(&["--mount", "--net", "--ipc", "--pid"], program)
    }

    /// As [`ClusterAccess::command`], but the files are this machine's.
    #[must_use]
    pub fn network_command(&self, program: impl AsRef<OsStr>) -> Command {
        self.enter(&["--net", "--pid"], program)
    }

    fn enter(&self, namespaces: &[&str], program: impl AsRef<OsStr>) -> Command {
        let Some(process) = self.namespaces_of else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.args(["--target", &process.to_string()]).args(namespaces).arg("--").arg(program);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(namespaces_of: Option<u32>) -> Vec<String> {
        let access = ClusterAccess {
            kubeconfig: "kubeconfig".into(),
            namespaces_of,
            service_host: "10.96.0.1".into(),
            service_port: 443,
            certificate_authority: String::new(),
            server_address: [10, 213, 0, 2].into(),
            nameserver: None,
        };
        let command = access.command("true");
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn an_embedded_clusters_programs_run_inside_of_its_namespaces() {
        assert_eq!(
            arguments(Some(7)),
            ["nsenter", "--target", "7", "--mount", "--net", "--ipc", "--pid", "--", "true"]
        );
    }

    #[test]
    fn a_users_own_cluster_has_no_namespaces_to_enter() {
        assert_eq!(arguments(None), ["true"]);
    }
}
