//! S3 and the stores that speak its protocol.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{
    Storage, StorageError, StorageFields, StoreKeys, VeleroStorageProvider, certificates, credentials, s3_attributes,
    s3_endpoint::Endpoint,
};
use crate::contract::{ConfigOption, option};

/// What clients send to stores for which a region means nothing; AWS's own first one.
const DEFAULT_REGION: &str = "us-east-1";

/// S3, at AWS or elsewhere.
pub(crate) struct S3;

impl VeleroStorageProvider for S3 {
    fn provider(&self) -> &'static str {
        "aws"
    }

    fn plugin_image(&self) -> ConfigOption<&'static str> {
        option::VELERO_AWS_PLUGIN_IMAGE
    }

    fn storage(&self, fields: &StorageFields<'_>, _: &[String]) -> Result<Storage, StorageError> {
        let [bucket, _, _] = fields.require(["bucket", "access-key", "secret-key"])?;
        check_bucket(bucket)?;
        let mut notes = fields.notes_on_credentials(&["access-key", "secret-key"]);
        let given_region = fields.line("region")?;
        let endpoint = fields.get("endpoint").map_or(Ok(Endpoint::AWS), |text| Endpoint::parse(text, bucket))?;
        let (amazon, url, known_region) = match endpoint {
            // The plugin asks AWS for the region only where it has no address.
            Endpoint::Amazon { url: Some(_), region: None } if given_region.is_none() => {
                return Err(StorageError::Incomplete { missing: vec!["region"] });
            }
            Endpoint::Amazon { url, region } => (true, url, region),
            Endpoint::Other { url, begins_with_bucket } => {
                if begins_with_bucket {
                    notes.push(format!(
                        "endpoint begins with the name of the bucket: if it is the address of the bucket, set it without {bucket}."
                    ));
                }
                (false, Some(url), Some(DEFAULT_REGION.to_owned()))
            }
        };
        let region = given_region.map(str::to_owned).or(known_region);
        let mut config = BTreeMap::new();
        config.extend(region.clone().map(|region| ("region".to_owned(), region)));
        config.extend(url.map(|url| ("s3Url".to_owned(), url)));
        if let Some(path_style) = path_style(fields.get("s3-uri-style"), amazon)? {
            config.insert("s3ForcePathStyle".to_owned(), path_style.to_string());
        }
        if !amazon {
            // Uploads with the checksums that are AWS's default are refused by Ceph, Backblaze B2, IBM COS and others.
            config.insert("checksumAlgorithm".to_owned(), String::new());
        }
        // The plugin ignores `signatureVersion`, so that `s3-api-version` would do nothing, and it has no option for a
        // storage class.
        if let Some(attributes) = fields.get("attributes") {
            let options = s3_attributes::plugin_options(attributes)?;
            config.extend(options.config);
            notes.extend(options.notes);
        }
        Ok(Storage {
            bucket: bucket.to_owned(),
            prefix: fields.prefix("path")?,
            backup_location_config: config,
            // Snapshots are of AWS's block storage, which other stores do not have, and are made per region.
            snapshot_location_config: region
                .filter(|_| amazon)
                .map(|region| BTreeMap::from([("region".to_owned(), region)])),
            credentials: credentials_file(fields)?,
            keys: StoreKeys::S3 {
                access_key: fields.credential("access-key")?,
                secret_key: fields.credential("secret-key")?,
            },
            certificate_authority: fields
                .get("tls-ca-chain")
                .map(|chain| certificates::pem_bundle("tls-ca-chain", chain))
                .transpose()?,
            notes,
        })
    }
}

fn credentials_file(fields: &StorageFields<'_>) -> Result<SecretString, StorageError> {
    let line = |name, key| credentials::ini_line(name, key, &fields.credential(key)?);
    Ok(credentials::file([
        SecretString::from("[default]\n"),
        line("aws_access_key_id", "access-key")?,
        line("aws_secret_access_key", "secret-key")?,
    ]))
}

/// Whether buckets are addressed by path; `None` leaves it to AWS's default.
///
/// Stores other than AWS rarely have a DNS name per bucket, so that for them the path is the default.
fn path_style(style: Option<&str>, amazon: bool) -> Result<Option<bool>, StorageError> {
    match style {
        Some("path") => Ok(Some(true)),
        // The interface's document says `host`, the charm that was here first said `virtual`.
        Some("host" | "virtual") => Ok(Some(false)),
        Some(other) => Err(StorageError::invalid("s3-uri-style", format!("is {other:?}: set it to path, or to host"))),
        None => Ok((!amazon).then_some(true)),
    }
}

/// Refuses what is no name of a bucket in any store, as it cannot be sent as one.
///
/// The rules of AWS for new buckets are not those of other stores, and not those for its own buckets of before 2018, which
/// may have capitals, underscores and up to 255 characters. A store that does not like a name says so.
fn check_bucket(bucket: &str) -> Result<(), StorageError> {
    let refuse = |reason: &str| Err(StorageError::invalid("bucket", format!("is {bucket:?}: {reason}")));
    if bucket.contains('/') {
        return refuse("a name has no slash, set the folder in the bucket as path");
    }
    if bucket.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return refuse("a name has no white space");
    }
    if matches!(bucket, "." | "..") {
        return refuse("that is no name");
    }
    Ok(())
}

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
