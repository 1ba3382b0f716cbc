//! Storage by the relation `azure-storage`, alone and with `azure-service-principal`: the real plugin against Microsoft's own
//! server for developers, and a stand-in for Entra ID.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use kube::api::{DeleteParams, Patch, PatchParams};
use sandbox::{
    entra_id::ServicePrincipal,
    juju::{DeployOptions, HookRecord},
    object_store::AzureAccess,
    pod_additions::{KeptAdditions, PodAdditions},
};
use serde_json::json;

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    objects,
    storage_test::try_all,
    world::{self, World},
};

const STORAGE: &str = "azure-storage-integrator";
const PRINCIPAL: &str = "azure-auth-integrator";

/// The charm in a model whose pods and units trust the sandbox's Azure, with the integrators as a user deploys them.
struct Azure {
    deployed: Deployed,
    blobs: AzureAccess,
    container: String,
    _kept: KeptAdditions,
}

impl Azure {
    /// Deploys the charm, related to nothing yet, beside a container.
    fn new(world: &'static World, model: &str, blobs: &AzureAccess) -> Self {
        let authority = world.azure().authority.certificate();
        let additions = PodAdditions::default().trusting(authority);
        let kept = world.runtime.block_on(additions.keep(world.cluster.access(), model)).unwrap();
        let deployed = Deployed::trusting(world, model, &trusted(), authority);
        let container = world.container(blobs);
        Self { deployed, blobs: blobs.clone(), container, _kept: kept }
    }

    /// Deploys the charm and relates the container by the account's key.
    fn with_key(model: &str) -> Self {
        let world = world::shared();
        let mut azure = Self::new(world, model, world.azure().blobs());
        azure.relate_storage(&azure.blobs.key.clone());
        azure
    }

    /// What the integrator tells of the container, with the container in its endpoint.
    fn relate_storage(&mut self, key: &str) {
        let endpoint = format!("{}/{}", self.blobs.endpoint, self.container);
        let (container, account) = (self.container.clone(), self.blobs.account.clone());
        let config = [
            ("container", container.as_str()),
            ("storage-account", &account),
            ("connection-protocol", "https"),
            ("endpoint", &endpoint),
        ];
        self.relate(STORAGE, &config, &[("secret-key", key)]);
    }

    fn relate_principal(&mut self, principal: &ServicePrincipal) {
        let config = [("subscription-id", &*principal.subscription_id), ("tenant-id", &*principal.tenant_id)];
        self.relate(
            PRINCIPAL,
            &config,
            &[("client-id", &principal.client_id), ("client-secret", &principal.client_secret)],
        );
    }

    /// Deploys an integrator, lets the user give it its options and its secret, and relates it.
    fn relate(&mut self, integrator: &str, config: &[(&str, &str)], secret: &[(&str, &str)]) {
        let model = &self.deployed.model;
        let uri = model.add_user_secret(integrator, &map(secret)).unwrap();
        let mut config = map(config);
        config.insert("credentials".to_owned(), uri.to_string());
        let options = DeployOptions { config, ..DeployOptions::default() };
        model.deploy_built_in(integrator, &options).unwrap().unwrap();
        model.grant_user_secret(integrator, integrator).unwrap();
        let (_, records) = model.integrate(APPLICATION, integrator).unwrap();
        self.deployed.after(records);
    }

    /// Lets the user give an integrator's secret another content, which is told by its hook alone.
    fn rotate(&mut self, integrator: &str, secret: &[(&str, &str)]) {
        let records = self.deployed.model.update_user_secret(integrator, &map(secret)).unwrap();
        assert_eq!(names(&records), ["secret-changed"]);
        self.deployed.after(records);
    }

    fn unrelate(&mut self, integrator: &str) {
        let records = self.deployed.model.remove_relation(APPLICATION, integrator).unwrap();
        self.deployed.after(records);
    }

    /// The lines of the credentials file in the cluster.
    fn credentials(&self) -> Vec<String> {
        let secret = self.deployed.expect("Secret", "cloud-credentials");
        let content = BASE64_STANDARD.decode(secret["data"]["creds"].as_str().unwrap()).unwrap();
        String::from_utf8(content).unwrap().lines().map(str::to_owned).collect()
    }

    fn expect_unusable(&mut self, reason: &str) {
        self.deployed.assert_comes_to_say(reason);
        let status = self.deployed.status();
        assert!(status.starts_with("blocked: storage is not usable: ") && status.contains(reason), "{status}");
        let location = self.deployed.expect("BackupStorageLocation", "default");
        assert!(location["status"]["message"].as_str().unwrap().contains(reason), "{status} is not of {location}");
    }

    fn blobs(&self) -> Vec<String> {
        self.deployed.world.runtime.block_on(self.blobs.blobs(&self.container)).unwrap()
    }

    /// Backs up and restores, and tells what is in the container then.
    fn back_up_and_restore(&self) -> Vec<String> {
        try_all(&self.deployed);
        let output = self.deployed.run_well("backup create nightly --include-namespaces default --wait");
        assert!(output.contains("Backup completed with status: Completed"), "{output}");
        let output = self.deployed.run_well("restore create again --from-backup nightly --wait");
        assert!(output.contains("Restore completed with status: Completed"), "{output}");
        self.blobs()
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn names(records: &[HookRecord]) -> Vec<&str> {
    records.iter().map(|record| record.name.as_str()).collect()
}

fn principal(world: &World) -> ServicePrincipal {
    let principal = ServicePrincipal::random();
    world.azure().directory.admit(&principal).unwrap();
    principal
}

#[test]
fn an_account_key_takes_backups_and_their_logs() {
    let mut azure = Azure::with_key("azure");
    assert_eq!(azure.deployed.status(), "active: ready");
    let location = azure.deployed.expect("BackupStorageLocation", "default");
    assert_eq!(location["spec"]["provider"], "azure");
    assert_eq!(location["spec"]["objectStorage"]["bucket"], azure.container);
    // Of the endpoint, the container is told apart.
    assert_eq!(
        location["spec"]["config"],
        json!({
            "storageAccount": azure.blobs.account,
            "storageAccountKeyEnvVar": "AZURE_STORAGE_ACCOUNT_ACCESS_KEY",
            "storageAccountURI": azure.blobs.endpoint,
        })
    );
    // The key of a storage account opens no disks.
    assert!(azure.deployed.object("VolumeSnapshotLocation", "default").is_none());
    let server = azure.deployed.expect("Deployment", "velero");
    assert_eq!(
        server["spec"]["template"]["spec"]["initContainers"][0]["image"],
        "velero/velero-plugin-for-microsoft-azure:v1.14.0"
    );

    let blobs = azure.back_up_and_restore();
    for prefix in ["backups/nightly/", "restores/again/"] {
        assert!(blobs.iter().any(|blob| blob.starts_with(prefix)), "{prefix}: {blobs:?}");
    }
    let logs = azure.deployed.run_well("backup logs nightly");
    assert!(logs.contains("level=info"), "{logs}");

    let before = azure.deployed.versions();
    azure.deployed.update_status();
    assert_eq!(azure.deployed.versions(), before);
}

#[test]
fn a_rotated_account_key_arrives_in_that_hook_and_is_tried() {
    let world = world::shared();
    let mut server = world.runtime.block_on(world.azure_server(&world.azure().authority, "azure-rotated"));
    let mut azure = Azure::new(world, "azure-rotated", server.access());
    let first = server.access().key.clone();
    azure.relate_storage(&first);
    assert_eq!(azure.deployed.status(), "active: ready");
    let pods = azure.deployed.expect("Deployment", "velero")["metadata"]["generation"].clone();

    world.runtime.block_on(server.rotate_key()).unwrap();
    let second = server.access().key.clone();
    let mistyped = BASE64_STANDARD.encode("not the key");
    azure.rotate(STORAGE, &[("secret-key", &mistyped)]);
    // The server takes tokens too, and says of a wrong signature that it is neither.
    azure.expect_unusable("InvalidAuthenticationInfo");
    azure.rotate(STORAGE, &[("secret-key", &second)]);
    assert_eq!(azure.deployed.status(), "active: ready");
    assert_eq!(
        azure.credentials(),
        ["AZURE_CLOUD_NAME=AzurePublicCloud".to_owned(), format!("AZURE_STORAGE_ACCOUNT_ACCESS_KEY={second}")]
    );
    assert_eq!(azure.deployed.expect("Deployment", "velero")["metadata"]["generation"], pods);
    assert_ne!(first, second);
}

#[test]
fn a_service_principal_signs_in_and_its_wrong_secret_is_told_in_microsofts_words() {
    let world = world::shared();
    let mut azure = Azure::new(world, "azure-principal", world.azure().blobs());
    let mut principal = principal(world);
    azure.relate_principal(&principal);
    assert!(azure.deployed.status().starts_with("blocked: no storage"), "{}", azure.deployed.status());
    // The key that the integrator tells all the same is not what opens the container.
    azure.relate_storage(&BASE64_STANDARD.encode("not the key"));
    assert_eq!(azure.deployed.status(), "active: ready");
    let location = azure.deployed.expect("BackupStorageLocation", "default");
    assert_eq!(
        location["spec"]["config"],
        json!({
            "storageAccount": azure.blobs.account,
            "storageAccountURI": azure.blobs.endpoint,
            "useAAD": "true",
        })
    );
    let blobs = azure.back_up_and_restore();
    assert!(blobs.iter().any(|blob| blob.starts_with("restores/again/")), "{blobs:?}");

    let right = principal.client_secret.clone();
    azure.rotate(PRINCIPAL, &[("client-id", &principal.client_id), ("client-secret", "not the secret")]);
    azure.expect_unusable("AADSTS7000215: Invalid client secret provided.");
    azure.rotate(PRINCIPAL, &[("client-id", &principal.client_id), ("client-secret", &right)]);
    assert_eq!(azure.deployed.status(), "active: ready");

    world.azure().directory.rotate_secret(&mut principal).unwrap();
    let rotated = principal.client_secret.clone();
    azure.rotate(PRINCIPAL, &[("client-id", &principal.client_id), ("client-secret", &rotated)]);
    assert_eq!(azure.deployed.status(), "active: ready");
    let credentials = azure.credentials();
    assert!(credentials.contains(&format!("AZURE_CLIENT_SECRET={rotated}")), "{} lines", credentials.len());
    // Without it, the key of the account is what there is.
    azure.unrelate(PRINCIPAL);
    azure.expect_unusable("InvalidAuthenticationInfo");
}

#[test]
fn from_s3_to_azure_and_back_nothing_of_the_other_is_left() {
    let world = world::shared();
    let mut azure = Azure::new(world, "s3-azure-s3", world.azure().blobs());
    let plugins = |azure: &Azure| {
        let server = azure.deployed.expect("Deployment", "velero");
        let plugins = server["spec"]["template"]["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
        plugins.iter().map(|plugin| plugin["image"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let provider = |azure: &Azure| azure.deployed.expect("BackupStorageLocation", "default")["spec"].clone();
    azure.deployed.relate_s3();
    assert_eq!(azure.deployed.status(), "active: ready");
    let s3 = provider(&azure);
    assert_eq!(plugins(&azure), ["velero/velero-plugin-for-aws:v1.14.3"]);
    let s3_credentials = azure.credentials();

    azure.deployed.remove_relation("s3-credentials");
    azure.relate_storage(&azure.blobs.key.clone());
    assert_eq!(azure.deployed.status(), "active: ready");
    assert_eq!(plugins(&azure), ["velero/velero-plugin-for-microsoft-azure:v1.14.0"]);
    assert_eq!(provider(&azure)["provider"], "azure");
    assert!(provider(&azure)["config"].get("s3Url").is_none());
    assert!(azure.credentials().iter().all(|line| line.starts_with("AZURE_")), "{:?}", azure.credentials().len());
    let keys = azure.deployed.expect("Secret", "cloud-credentials")["data"].as_object().unwrap().len();
    assert_eq!(keys, 1);

    azure.unrelate(STORAGE);
    let world_s3 = world.s3().clone();
    let bucket = s3["objectStorage"]["bucket"].as_str().unwrap().to_owned();
    let (relation, records) =
        azure.deployed.model.integrate(&format!("{APPLICATION}:s3-credentials"), "s3-credentials-provider").unwrap();
    azure.deployed.after(records);
    azure.deployed.publish(
        relation,
        "s3-credentials",
        &[
            ("bucket", &bucket),
            ("endpoint", &world_s3.endpoint),
            ("access-key", &world_s3.access_key),
            ("secret-key", &world_s3.secret_key),
        ],
    );
    assert_eq!(azure.deployed.status(), "active: ready");
    assert_eq!(plugins(&azure), ["velero/velero-plugin-for-aws:v1.14.3"]);
    assert_eq!(provider(&azure), s3);
    assert_eq!(azure.credentials(), s3_credentials);
}

#[test]
fn a_service_principal_makes_snapshots_of_disks_where_the_nodes_tell_their_resource_group() {
    // Nodes are everybody's.
    let (_turn, world) = world::alone();
    let mut azure = Azure::new(world, "azure-nodes", world.azure().blobs());
    azure.relate_storage(&azure.blobs.key.clone());
    azure.relate_principal(&principal(world));
    assert_eq!(azure.deployed.status(), "active: ready");
    let group = |azure: &Azure| {
        let lines = azure.credentials();
        lines.iter().find_map(|line| line.strip_prefix("AZURE_RESOURCE_GROUP=").map(str::to_owned))
    };
    // The only node there is has no such cloud.
    assert!(azure.deployed.object("VolumeSnapshotLocation", "default").is_none());
    assert_eq!(group(&azure), None);

    let provider_id = "azure:///subscriptions/3c0e8a54-91b7-4e52-8f0d-6a1de9b7c420/resourceGroups/mc_rg_cluster_eu/\
                       providers/Microsoft.Compute/virtualMachineScaleSets/aks-pool/virtualMachines/0";
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "of-azure"}, "spec": {
        "providerID": provider_id, "unschedulable": true}});
    let nodes = objects::api(world, "", "Node");
    let parameters = PatchParams::apply("somebody").force();
    world.runtime.block_on(nodes.patch("of-azure", &parameters, &Patch::Apply(&node))).unwrap();
    azure.deployed.update_status();
    assert_eq!(azure.deployed.status(), "active: ready");
    let snapshots = azure.deployed.expect("VolumeSnapshotLocation", "default");
    assert_eq!(snapshots["spec"]["provider"], "azure");
    assert_eq!(snapshots["spec"]["credential"], json!({"name": "cloud-credentials", "key": "creds"}));
    assert_eq!(group(&azure).as_deref(), Some("mc_rg_cluster_eu"));
    let before = azure.deployed.versions();
    azure.deployed.update_status();
    assert_eq!(azure.deployed.versions(), before);

    azure.unrelate(PRINCIPAL);
    assert_eq!(azure.deployed.status(), "active: ready");
    assert!(azure.deployed.object("VolumeSnapshotLocation", "default").is_none());
    world.runtime.block_on(nodes.delete("of-azure", &DeleteParams::default())).unwrap();
}
