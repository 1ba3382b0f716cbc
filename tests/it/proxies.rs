//! A model whose clusters reach the outside by a proxy: Velero and the charm go by it, and not to the API server.

use sandbox::{forward_proxy::ForwardProxy, juju::DeployOptions, object_store::S3_NAME};
use serde_json::json;

use crate::{
    deployed::{Deployed, trusted},
    secrecy::expect_kept,
    storage_test::try_all,
    volumes::back_up,
    workload::{Chosen, Workload},
    world,
};

/// The password of the proxy, and as it stands in a URL.
const PASSWORD: (&str, &str) = ("marked/proxy:42", "marked%2Fproxy%3A42");

#[test]
fn a_store_to_which_only_a_proxy_leads_is_used_and_the_api_server_is_never_asked_for_by_it() {
    let world = world::shared();
    let (folder, login) = (world.cluster.folder().join("forward-proxy"), format!("velero:{}", PASSWORD.0));
    let starting = ForwardProxy::start(world.cluster.access(), &folder, &login, S3_NAME);
    let proxy = world.runtime.block_on(starting).unwrap();
    let url = format!("http://velero:{}@{}", PASSWORD.1, proxy.address());
    let settings = [("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")];
    let config = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut deployed = Deployed::with(world, "proxied", &DeployOptions { config, ..trusted() });
    deployed.model.proxies(&url, &url, "127.0.0.1,localhost,::1").unwrap();
    let s3 = world.s3().clone();
    let (bucket, chain) = (world.bucket(), json!([s3.certificate_authority]).to_string());
    let named = |endpoint: &str| {
        let (scheme, address) = endpoint.split_once("://").unwrap();
        format!("{scheme}://{S3_NAME}:{}", address.rsplit_once(':').unwrap().1)
    };
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &named(&s3.tls_endpoint)),
        ("tls-ca-chain", &chain),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    deployed.assert_becomes_active();
    try_all(&deployed);

    // Files of volumes go by it, too, and logs to the unit: nobody but the proxy knows the name.
    let workload = Workload::new(world, "proxied-workload", Chosen::ByDefault);
    back_up(&deployed, &workload);
    let logs = deployed.run_well(&format!("backup logs {}", workload.namespace()));
    assert!(logs.contains("Backed up"), "{logs}");

    let standing = deployed.standing();
    deployed.update_status();
    assert_eq!((deployed.status().as_str(), deployed.standing()), ("active: ready", standing));
    let tunnels = proxy.requests().unwrap();
    let expected = format!("CONNECT {S3_NAME}:");
    assert!(tunnels.len() > 5 && tunnels.iter().all(|asked| asked.starts_with(&expected)), "{tunnels:#?}");

    // Without TLS the proxy makes the requests itself.
    deployed.publish(relation, "s3-credentials", &[("endpoint", &named(&s3.endpoint)), ("tls-ca-chain", "")]);
    deployed.assert_becomes_active();
    let made = proxy.requests().unwrap().split_off(tunnels.len());
    for method in ["GET", "PUT", "DELETE"] {
        let begins = format!("{method} http://{S3_NAME}:");
        assert!(made.iter().any(|asked| asked.starts_with(&begins)), "{made:#?}");
    }
    assert!(made.iter().all(|asked| asked.contains(S3_NAME) && !asked.starts_with("refused")), "{made:#?}");

    expect_kept(&mut deployed, &[PASSWORD.0, PASSWORD.1, &url, &s3.secret_key]);
    for kind in ["Deployment", "DaemonSet", "Pod", "Job", "BackupRepository", "PodVolumeBackup"] {
        for object in deployed.list(kind) {
            assert!(!object.to_string().contains(PASSWORD.1), "{object}");
        }
    }
}
