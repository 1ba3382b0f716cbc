//! The certificates and kubeconfigs of a cluster.

use std::{fs, io, iter, net::IpAddr};

use serde_json::{Value, json};

use super::{
    blueprint::{Blueprint, NODE, NodeNumber},
    network::KUBERNETES_SERVICE,
};
use crate::certificates::{Authority, CertificateError, Certified, SigningKeys};

/// Why the cluster has no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A certificate could not be made.
    #[error("cannot make the certificates of the cluster")]
    Certificate(#[from] CertificateError),
    /// A file could not be written.
    #[error("cannot write the certificates of the cluster")]
    Write(#[from] io::Error),
}

/// Who has a kubeconfig: its file, and the user and group that Kubernetes knows them by.
const CLIENTS: [(&str, &str, &str); 4] = [
    ("kubeconfig", "sandbox-admin", "system:masters"),
    ("kube-controller-manager.kubeconfig", "system:kube-controller-manager", "system:kube-controller-manager"),
    ("kube-scheduler.kubeconfig", "system:kube-scheduler", "system:kube-scheduler"),
    ("kube-proxy.kubeconfig", "system:kube-proxy", "system:node-proxier"),
];

/// Makes all of them, and writes them into the cluster's folder.
///
/// # Errors
/// When a certificate cannot be made, or a file not written.
pub fn write(blueprint: &Blueprint) -> Result<(), CredentialsError> {
    fs::create_dir_all(blueprint.file("pki"))?;
    let authority = Authority::new("velero-operator sandbox cluster")?;
    fs::write(blueprint.certificate_authority(), authority.certificate())?;

    let addresses = [blueprint.link.node(), KUBERNETES_SERVICE, [127, 0, 0, 1].into()].map(IpAddr::from);
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
    save(blueprint, "kube-apiserver", &authority.server("kube-apiserver", &names, &addresses)?)?;
    save(blueprint, "kubelet-client", &authority.client("kube-apiserver", Some("system:masters"))?)?;
    let service_accounts = SigningKeys::new("service accounts")?;
    fs::write(blueprint.file("pki/service-account.key"), service_accounts.private)?;
    fs::write(blueprint.file("pki/service-account.pub"), service_accounts.public)?;

    let clients = CLIENTS.map(|(file, user, group)| (file.to_owned(), user.to_owned(), group));
    let kubelets = iter::once(NodeNumber::FIRST).chain(NodeNumber::further()).map(kubelet);
    for (file, user, group) in clients.into_iter().chain(kubelets) {
        let client = authority.client(&user, Some(group))?;
        let text = kubeconfig(&blueprint.api_server(), authority.certificate(), &user, &client);
        fs::write(blueprint.file(&file), serde_yaml::to_string(&text).map_err(io::Error::other)?)?;
    }
    Ok(())
}

/// What a kubelet has: its user is its node.
fn kubelet(node: NodeNumber) -> (String, String, &'static str) {
    (node.kubeconfig(), format!("system:node:{}", node.name()), "system:nodes")
}

fn save(blueprint: &Blueprint, name: &str, certified: &Certified) -> io::Result<()> {
    fs::write(blueprint.file(&format!("pki/{name}.crt")), &certified.certificate)?;
    fs::write(blueprint.file(&format!("pki/{name}.key")), &certified.key)
}

fn kubeconfig(server: &str, authority: &str, user: &str, client: &Certified) -> Value {
    let encode = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": NODE, "cluster": { "server": server, "certificate-authority-data": encode(authority) } }],
        "users": [{
            "name": user,
            "user": {
                "client-certificate-data": encode(&client.certificate), "client-key-data": encode(&client.key),
            },
        }],
        "contexts": [{ "name": NODE, "context": { "cluster": NODE, "user": user } }],
        "current-context": NODE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelets_user_is_the_node() {
        assert_eq!(kubelet(NodeNumber::FIRST).1, "system:node:sandbox");
        assert_eq!(kubelet(NodeNumber(1)).0, "sandbox-2.kubeconfig");
    }

    #[test]
    fn a_kubeconfig_carries_its_certificates_encoded() {
        let client = Certified { certificate: "cert".into(), key: "key".into() };
        let value = kubeconfig("https://10.0.0.1:6443", "authority", "admin", &client);
        assert_eq!(value["users"][0]["user"]["client-key-data"], "a2V5");
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://10.0.0.1:6443");
    }
}
