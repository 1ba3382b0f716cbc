//! Object stores to back up to.

mod bucket;
mod s3;

pub use bucket::{Bucket, BucketError};
pub use s3::{S3Access, S3Error, S3Server};
