//! Object stores next to a cluster that is not the sandbox's own: on this machine's network.

use std::{net::TcpStream, time::Duration};

use sandbox::{
    certificates::Authority,
    cluster::ClusterAccess,
    object_store::{AzureRequestError, AzureServer, GcsServer, S3Server},
    progress::Progress,
};

fn access_without_namespaces() -> ClusterAccess {
    ClusterAccess {
        kubeconfig: "kubeconfig".into(),
        namespaces_of: None,
        service_host: "127.0.0.1".into(),
        service_port: 6443,
        certificate_authority: String::new(),
        server_address: [127, 0, 0, 1].into(),
        nameserver: None,
    }
}

fn listens(endpoint: &str) -> bool {
    let (_, address) = endpoint.split_once("://").unwrap();
    TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(1)).is_ok()
}

#[tokio::test]
async fn a_servers_processes_end_with_it_unless_it_is_detached() {
    let (cluster, progress) = (access_without_namespaces(), Progress::to_stderr());
    let (owned_folder, detached_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());

    let detached = S3Server::start_detached(&cluster, detached_folder.path(), &progress).await.unwrap();
    let mut owned = S3Server::start(&cluster, owned_folder.path(), &progress).await.unwrap();
    let access = owned.access().clone();
    assert_ne!(access.endpoint, detached.endpoint);
    assert!(listens(&access.endpoint) && listens(&access.tls_endpoint));
    owned.pause().await.unwrap();
    assert!(!listens(&access.endpoint) && !listens(&access.tls_endpoint));

    assert!(listens(&detached.endpoint) && listens(&detached.tls_endpoint));
    S3Server::end_detached(detached_folder.path()).unwrap();
    // Killed processes let go of their ports a moment later.
    let gone = async {
        while listens(&detached.endpoint) || listens(&detached.tls_endpoint) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    S3Server::end_detached(detached_folder.path()).unwrap();
}

#[tokio::test]
async fn an_azure_container_is_made_by_its_account_key_and_by_no_other() {
    let (cluster, progress) = (access_without_namespaces(), Progress::to_stderr());
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Azure").unwrap();
    let mut server = AzureServer::start(&cluster, &authority, folder.path(), &progress).await.unwrap();
    let before = server.access().clone();
    before.create_container("backups").await.unwrap();
    before.create_container("backups").await.unwrap();
    assert_eq!(before.blobs("backups").await.unwrap(), Vec::<String>::new());
    let refused = before.blobs("missing").await.unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");

    server.rotate_key().await.unwrap();
    let refused = before.blobs("backups").await.unwrap_err().to_string();
    // Azure's own says 403; this one, which takes tokens too, that it is neither a signature of the account nor a token.
    assert!(refused.contains("InvalidAuthenticationInfo"), "{refused}");
    assert_eq!(server.access().blobs("backups").await.unwrap(), Vec::<String>::new());
    server.pause().await.unwrap();
    assert!(matches!(server.access().blobs("backups").await, Err(AzureRequestError::Https { .. })));
}

#[tokio::test]
async fn a_gcs_server_listens_again_where_it_did_and_has_what_it_had() {
    let (cluster, progress) = (access_without_namespaces(), Progress::to_stderr());
    let folder = tempfile::tempdir().unwrap();
    let mut server = GcsServer::start(&cluster, folder.path(), &progress).await.unwrap();
    let access = server.access().clone();
    access.bucket("backups").unwrap();
    assert!(access.endpoint.starts_with("https://") && listens(&access.endpoint), "{access:?}");
    server.pause().await.unwrap();
    assert!(!listens(&access.endpoint));
    server.resume().await.unwrap();
    assert!(listens(&access.endpoint));
    assert!(access.buckets.join("backups").is_dir());
}
