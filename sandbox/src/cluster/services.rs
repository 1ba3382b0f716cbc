//! The programs that a cluster consists of, and what each is told.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    blueprint::{API_PORT, Blueprint, NodeBlueprint},
    network::{self, PODS, SERVICES},
    options::PodSecurityLevel,
};
use crate::images;

/// The name of the service that makes a node one of the cluster.
pub(super) const KUBELET: &str = "kubelet";

/// The file that says which requests the audit log tells of.
const AUDIT_POLICY: &str = "audit-policy.json";

/// The file that says what the API server does not admit.
const ADMISSION: &str = "admission.json";

/// A program that runs for as long as the cluster does.
#[derive(Debug)]
pub struct Service {
    /// Its name: its log is `NAME.log`.
    pub name: &'static str,
    /// The program: a path, or a name to look for.
    pub program: PathBuf,
    /// What it is told.
    pub arguments: Vec<String>,
    /// A socket that must be there first.
    pub after: Option<PathBuf>,
}

impl Service {
    fn new(name: &'static str, folder: &Path, arguments: Vec<String>) -> Self {
        Self { name, program: folder.join(name), arguments, after: None }
    }
}

/// The services of the whole cluster, in the order in which they are started.
#[must_use]
pub(super) fn of_cluster(blueprint: &Blueprint) -> Vec<Service> {
    let (kubernetes, etcd) = (&blueprint.programs.kubernetes, &blueprint.programs.etcd);
    vec![
        Service::new("etcd", etcd, etcd_arguments(blueprint)),
        Service::new("kube-apiserver", kubernetes, api_server_arguments(blueprint)),
        Service::new("kube-controller-manager", kubernetes, controller_manager_arguments(blueprint)),
        Service::new(
            "kube-scheduler",
            kubernetes,
            vec![format!("--config={}", blueprint.file("scheduler.json").display())],
        ),
    ]
}

/// The services of one node, in the order in which they are started.
#[must_use]
pub(super) fn of_node(node: &NodeBlueprint) -> Vec<Service> {
    let kubernetes = &node.cluster.programs.kubernetes;
    let config = |name: &str| node.file(name).display().to_string();
    let mut kubelet = vec![
        format!("--config={}", config("kubelet.json")),
        format!("--kubeconfig={}", node.cluster.file(&node.number.kubeconfig()).display()),
        format!("--hostname-override={}", node.number.name()),
        format!("--node-ip={}", node.address()),
        format!("--root-dir={}", node.options.kubelet_root.display()),
    ];
    if !node.options.labels.is_empty() {
        kubelet.push(format!("--node-labels={}", node.options.labels.join(",")));
    }
    vec![
        Service::new("containerd", Path::new(""), vec!["--config".into(), config("containerd.toml")]),
        Service::new("kube-proxy", kubernetes, vec![format!("--config={}", config("proxy.json"))]),
        Service {
            // It ends, rather than waits, when there is no container runtime.
            after: Some(node.containerd_socket()),
            ..Service::new(KUBELET, kubernetes, kubelet)
        },
    ]
}

/// The configuration files of the services of the whole cluster: name inside of its folder, and text.
#[must_use]
pub(super) fn cluster_configuration(blueprint: &Blueprint) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("scheduler.json", scheduler_configuration(blueprint).to_string()),
        (AUDIT_POLICY, audit_policy().to_string()),
        // Nothing listens there: a name that cannot be known is an error at once, and not after a time limit.
        ("resolv.conf", "nameserver 127.0.0.1\n".to_owned()),
    ];
    if let Some(level) = blueprint.options.pod_security {
        files.push((ADMISSION, admission_configuration(level).to_string()));
    }
    files
}

/// Makes the folders of a node, and writes the configuration files of its services.
///
/// # Errors
/// When one cannot be made or written.
pub(super) fn write_node_configuration(node: &NodeBlueprint) -> io::Result<()> {
    for folder in ["logs", "cni", "volume-plugins"] {
        fs::create_dir_all(node.file(folder))?;
    }
    for (name, text) in [
        ("containerd.toml", containerd_configuration(node)),
        ("cni/pods.conflist", pod_network(node).to_string()),
        ("kubelet.json", kubelet_configuration(node).to_string()),
        ("proxy.json", proxy_configuration(node).to_string()),
    ] {
        fs::write(node.file(name), text)?;
    }
    Ok(())
}

fn etcd_arguments(blueprint: &Blueprint) -> Vec<String> {
    let (clients, peers) = ("http://127.0.0.1:2379", "http://127.0.0.1:2380");
    vec![
        format!("--data-dir={}", blueprint.file("etcd").display()),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        "--log-level=warn".into(),
        // The cluster's data is worth nothing once its processes have ended.
        "--unsafe-no-fsync".into(),
    ]
}

fn api_server_arguments(blueprint: &Blueprint) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", blueprint.file("pki").join(name).display());
    let mut arguments = vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        "--bind-address=0.0.0.0".into(),
        format!("--secure-port={API_PORT}"),
        format!("--advertise-address={}", blueprint.link.node()),
        format!("--service-cluster-ip-range={SERVICES}"),
        file("tls-cert-file", "kube-apiserver.crt"),
        file("tls-private-key-file", "kube-apiserver.key"),
        file("client-ca-file", "ca.crt"),
        file("kubelet-client-certificate", "kubelet-client.crt"),
        file("kubelet-client-key", "kubelet-client.key"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        file("service-account-key-file", "service-account.pub"),
        file("service-account-signing-key-file", "service-account.key"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        "--profiling=false".into(),
    ];
    if blueprint.options.pod_security.is_some() {
        arguments.push(format!("--admission-control-config-file={}", blueprint.file(ADMISSION).display()));
    }
    if blueprint.options.audit {
        arguments.push(format!("--audit-policy-file={}", blueprint.file(AUDIT_POLICY).display()));
        arguments.push(format!("--audit-log-path={}", blueprint.audit_log().display()));
        // In megabytes; a log that begins anew would have to be followed from file to file.
        arguments.push("--audit-log-maxsize=10000".into());
    }
    arguments
}

/// A line for each request of a service account, the cluster's own aside, before it is answered: once the answer is there, so is
/// the line.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["ResponseStarted", "ResponseComplete", "Panic"],
        "rules": [
            { "level": "None", "userGroups": ["system:serviceaccounts:kube-system"] },
            { "level": "Metadata", "userGroups": ["system:serviceaccounts"] },
        ],
    })
}

/// A level of the pod security standards for every namespace that does not say another. Kubernetes' own are left out, as they
/// are wherever this is done.
fn admission_configuration(level: PodSecurityLevel) -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{
            "name": "PodSecurity",
            "configuration": {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": { "enforce": level, "enforce-version": "latest" },
                "exemptions": { "namespaces": ["kube-system"] },
            },
        }],
    })
}

fn controller_manager_arguments(blueprint: &Blueprint) -> Vec<String> {
    let pki = |name: &str| blueprint.file("pki").join(name).display().to_string();
    vec![
        format!("--kubeconfig={}", blueprint.file("kube-controller-manager.kubeconfig").display()),
        "--bind-address=127.0.0.1".into(),
        "--leader-elect=false".into(),
        "--use-service-account-credentials=true".into(),
        // Juju's units run beside the cluster: of the StatefulSets of their applications no pods are to come.
        "--controllers=*,-statefulset-controller".into(),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--service-account-private-key-file={}", pki("service-account.key")),
        format!("--flex-volume-plugin-dir={}", blueprint.file("volume-plugins").display()),
        "--kube-api-qps=300".into(),
        "--kube-api-burst=600".into(),
        // A claim is bound on the next round after its volume has appeared, which is 15 s away by default.
        "--pvclaimbinder-sync-period=1s".into(),
        "--concurrent-namespace-syncs=20".into(),
        "--concurrent-gc-syncs=20".into(),
        "--profiling=false".into(),
    ]
}

fn client_connection(blueprint: &Blueprint, name: &str) -> Value {
    json!({ "kubeconfig": blueprint.file(&format!("{name}.kubeconfig")), "qps": 200, "burst": 400 })
}

fn scheduler_configuration(blueprint: &Blueprint) -> Value {
    json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": client_connection(blueprint, "kube-scheduler"),
        "leaderElection": { "leaderElect": false },
        "podInitialBackoffSeconds": 1,
        "podMaxBackoffSeconds": 1,
    })
}

fn proxy_configuration(node: &NodeBlueprint) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": client_connection(&node.cluster, "kube-proxy"),
        "mode": "iptables",
        "clusterCIDR": PODS,
        "hostnameOverride": node.number.name(),
        "iptables": { "minSyncPeriod": "0s" },
        // The table of connections is this machine's: its size is not ours to change.
        "conntrack": { "maxPerCore": 0, "min": 0 },
    })
}

fn kubelet_configuration(node: &NodeBlueprint) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": false },
            "x509": { "clientCAFile": node.cluster.certificate_authority() },
        },
        "authorization": { "mode": "AlwaysAllow" },
        "containerRuntimeEndpoint": format!("unix://{}", node.containerd_socket().display()),
        "featureGates": node.options.feature_gates,
        "clusterDomain": "cluster.local",
        // Nothing listens there, but pods that want the cluster's names are not warned of for that.
        "clusterDNS": [node.cluster.link.node()],
        "resolvConf": node.cluster.file("resolv.conf"),
        "volumePluginDir": node.file("volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", node.control_group()),
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        // Nobody may be turned out, and no image thrown away, because this machine's disk is rather full: an image cannot
        // be fetched again.
        "evictionHard": { "memory.available": "64Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": false,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "nodeStatusUpdateFrequency": "2s",
        "crashLoopBackOff": { "maxContainerRestartPeriod": "2s" },
    })
}

/// Each pod has a link of its own to the node, so that every packet passes the node's rules. On a bridge, an answer from one
/// pod to another would not, unless a kernel module that this machine may lack makes it.
fn pod_network(node: &NodeBlueprint) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": network::pods_of(node.number.0) }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                    "dataDir": "/run/cni",
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

fn containerd_configuration(node: &NodeBlueprint) -> String {
    let folder = node.folder();
    let folder = folder.display();
    let socket = node.containerd_socket();
    let socket = socket.display();
    let pause = images::PAUSE;
    // `restrict_oom_score_adj`: where even root may not lower the score, no pod would start.
    format!(
        r#"version = 2
root = "{folder}/containerd"
state = "/run/containerd"

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/containerd-opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#
    )
}
