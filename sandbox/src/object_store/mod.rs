//! Object stores to back up to.

mod azure;
mod bucket;
mod gcs;
mod s3;

pub use crate::host::daemon::DaemonError;
pub use azure::{AzureAccess, AzureError, AzureRequestError, AzureServer};
pub use bucket::{Bucket, BucketError};
pub use gcs::{GcsAccess, GcsError, GcsServer, service_account_key};
pub use s3::{S3_NAME, S3Access, S3Error, S3Server};
