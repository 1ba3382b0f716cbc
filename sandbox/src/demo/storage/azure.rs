//! Azure Blob, by Azurite.

use std::path::Path;

use futures::future::{BoxFuture, FutureExt};

use super::{BUCKET, DemoError, Storage, StorageKind, Verb};
use crate::{
    certificates::Authority,
    cluster::ClusterAccess,
    object_store::{AzureError, AzureServer},
    pod_additions::{KeptAdditions, PodAdditions},
    progress::Progress,
};

/// An Azure Blob server with a container, whose certificate the Velero of a model trusts.
#[derive(Debug)]
pub(super) struct Azure {
    server: AzureServer,
    _kept: KeptAdditions,
}

impl Azure {
    pub(super) async fn start(
        access: &ClusterAccess,
        folder: &Path,
        model: &str,
        progress: &Progress,
    ) -> Result<Self, DemoError> {
        let authority = Authority::new("velero-operator sandbox Azure").map_err(AzureError::from)?;
        let server = AzureServer::start(access, &authority, &folder.join("azure"), progress).await?;
        server.access().create_container(BUCKET).await?;
        let kept = PodAdditions::default().trusting(authority.certificate()).keep(access, model).await?;
        Ok(Self { server, _kept: kept })
    }
}

impl Storage for Azure {
    fn address(&self) -> &str {
        &self.server.access().endpoint
    }

    fn authority(&self) -> Option<&str> {
        Some(&self.server.access().certificate_authority)
    }

    fn offer(&self) -> Vec<Verb> {
        let (integrator, azure) = (StorageKind::Azure.integrator(), self.server.access());
        // As Azure's own is: the address of the account, with the container in it.
        let endpoint = format!("{}/{BUCKET}", azure.endpoint);
        let options = [
            ("container", BUCKET),
            ("storage-account", &azure.account),
            ("connection-protocol", "https"),
            ("endpoint", &endpoint),
        ];
        let content = [("secret-key".to_owned(), azure.key.clone())].into();
        let mut verbs = vec![Verb::deploy(integrator, &options)];
        verbs.extend(Verb::entrust(integrator, "azure-key", "secret-key=…", content));
        verbs
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<String>, DemoError>> {
        async { Ok(self.server.access().blobs(BUCKET).await?) }.boxed()
    }
}
