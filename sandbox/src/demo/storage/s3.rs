//! S3, by versitygw.

use std::path::Path;

use futures::future::{self, BoxFuture, FutureExt};

use super::{BUCKET, DemoError, Storage, StorageKind, Verb};
use crate::{
    cluster::ClusterAccess,
    object_store::{Bucket, S3Server},
    progress::Progress,
};

/// An S3 server with a bucket.
#[derive(Debug)]
pub(super) struct S3 {
    server: S3Server,
    bucket: Bucket,
}

impl S3 {
    pub(super) async fn start(access: &ClusterAccess, folder: &Path, progress: &Progress) -> Result<Self, DemoError> {
        let server = S3Server::start(access, &folder.join("s3"), progress).await?;
        let bucket = server.access().bucket(BUCKET)?;
        Ok(Self { server, bucket })
    }
}

impl Storage for S3 {
    fn address(&self) -> &str {
        &self.server.access().endpoint
    }

    fn offer(&self) -> Vec<Verb> {
        let integrator = StorageKind::S3.integrator();
        let s3 = self.server.access().clone();
        let command = format!("juju run {integrator}/leader sync-s3-credentials access-key=… secret-key=…");
        vec![
            Verb::deploy(integrator, &[("endpoint", &s3.endpoint), ("bucket", BUCKET)]),
            Verb::new(command, move |model| model.sync_s3_credentials(integrator, &s3.access_key, &s3.secret_key)),
        ]
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<String>, DemoError>> {
        future::ready(self.bucket.keys().map_err(DemoError::from)).boxed()
    }
}
