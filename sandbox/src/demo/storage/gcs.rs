//! Google Cloud Storage, by fake-gcs-server.

use std::path::Path;

use futures::future::{self, BoxFuture, FutureExt};

use super::{BUCKET, DemoError, Storage, StorageKind, Verb};
use crate::{
    cluster::ClusterAccess,
    object_store::{Bucket, GcsServer, service_account_key},
    pod_additions::KeptAdditions,
    progress::Progress,
};

/// A GCS server with a bucket, to which the Velero of a model is led.
#[derive(Debug)]
pub(super) struct Gcs {
    server: GcsServer,
    bucket: Bucket,
    key_file: String,
    _kept: KeptAdditions,
}

impl Gcs {
    pub(super) async fn start(
        access: &ClusterAccess,
        folder: &Path,
        model: &str,
        progress: &Progress,
    ) -> Result<Self, DemoError> {
        let server = GcsServer::start(access, &folder.join("gcs"), progress).await?;
        let bucket = server.access().bucket(BUCKET)?;
        let key_file = service_account_key("velero").await?;
        let kept = server.access().pod_additions().keep(access, model).await?;
        Ok(Self { server, bucket, key_file, _kept: kept })
    }
}

impl Storage for Gcs {
    fn address(&self) -> &str {
        &self.server.access().endpoint
    }

    fn authority(&self) -> Option<&str> {
        Some(&self.server.access().certificate_authority)
    }

    fn offer(&self) -> Vec<Verb> {
        let integrator = StorageKind::Gcs.integrator();
        let content = [("secret-key".to_owned(), self.key_file.clone())].into();
        let mut verbs = vec![Verb::deploy(integrator, &[("bucket", BUCKET)])];
        verbs.extend(Verb::entrust(integrator, "gcs-key", "secret-key#file=service_account.json", content));
        verbs
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<String>, DemoError>> {
        future::ready(self.bucket.keys().map_err(DemoError::from)).boxed()
    }
}
