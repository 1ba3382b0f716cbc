//! The interface `gcs`.

use std::collections::BTreeMap;

use super::interface::{RequestContext, StorageInterface};
use crate::{
    contract::endpoint,
    storage::{Gcs, VeleroStorageProvider},
};

/// Google Cloud Storage by the relation with a gcs-integrator.
pub(super) struct GcsCredentials;

impl StorageInterface for GcsCredentials {
    fn endpoint(&self) -> &'static str {
        endpoint::GCS_CREDENTIALS
    }

    fn integrator(&self) -> &'static str {
        "gcs-integrator"
    }

    fn provider(&self) -> &'static dyn VeleroStorageProvider {
        &Gcs
    }

    /// A name of a bucket, as other integrators wait for it, would replace the one that the integrator was configured
    /// with.
    fn request(&self, _: &RequestContext<'_>) -> BTreeMap<&'static str, String> {
        BTreeMap::from([("requested-secrets", r#"["secret-key"]"#.to_owned()), ("version", "1".to_owned())])
    }
}
