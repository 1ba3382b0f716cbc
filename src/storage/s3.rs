//! S3 and the stores that speak its protocol: the interface `s3`.

use std::{collections::BTreeMap, net::IpAddr};

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{RequestContext, Storage, StorageError, StorageFields, VeleroStorageProvider, certificates, s3_attributes};
use crate::contract::{ConfigOption, endpoint, option};

/// What clients send to stores for which a region means nothing; AWS's own first one.
const DEFAULT_REGION: &str = "us-east-1";

/// S3, by the interface `s3` of the s3-integrator.
pub(super) struct S3;

impl VeleroStorageProvider for S3 {
    fn endpoint(&self) -> &'static str {
        endpoint::S3_CREDENTIALS
    }

    fn integrator(&self) -> &'static str {
        "s3-integrator"
    }

    fn provider(&self) -> &'static str {
        "aws"
    }

    fn plugin_image(&self) -> ConfigOption<&'static str> {
        option::VELERO_AWS_PLUGIN_IMAGE
    }

    /// Integrators of the interface's version 1 wait for the request for secrets and a version. Those of version 0 know
    /// neither and wait for a bucket, and one that has none configured adopts the name. A version 1 integrator would
    /// make that bucket, so the name is sent only to one that shows no version.
    fn request(&self, seen: &RequestContext<'_>) -> BTreeMap<&'static str, String> {
        let mut request = BTreeMap::from([
            ("requested-secrets", r#"["access-key", "secret-key"]"#.to_owned()),
            ("lib-version", "1.0".to_owned()),
            ("version", "1".to_owned()),
        ]);
        let shows_version = ["lib-version", "version"].iter().any(|key| seen.published.get(key).is_some());
        let answered = !seen.published.is_empty() || seen.overdue;
        if answered && !shows_version {
            request.insert("bucket", format!("relation-{}", seen.relation_number));
        }
        request
    }

    fn storage(&self, fields: &StorageFields) -> Result<Storage, StorageError> {
        let [bucket, access_key, secret_key] = fields.require(["bucket", "access-key", "secret-key"])?;
        check_bucket(bucket)?;
        let endpoint = fields.get("endpoint").map(Endpoint::parse).transpose()?;
        let amazon = endpoint.as_ref().is_none_or(|endpoint| endpoint.amazon);
        let region = fields.get("region");
        let mut config = BTreeMap::new();
        if let Some(region) = region.or((!amazon).then_some(DEFAULT_REGION)) {
            config.insert("region".to_owned(), region.to_owned());
        }
        if let Some(endpoint) = &endpoint {
            config.insert("s3Url".to_owned(), endpoint.url.clone());
        }
        if let Some(path_style) = path_style(fields.get("s3-uri-style"), amazon)? {
            config.insert("s3ForcePathStyle".to_owned(), path_style.to_string());
        }
        if !amazon {
            // Uploads with the checksums that are AWS's default are refused by Ceph, Backblaze B2, IBM COS and others.
            config.insert("checksumAlgorithm".to_owned(), String::new());
        }
        // Of the fields `s3-api-version` and `storage-class` the plugin makes nothing: it knows the option `signatureVersion` and
        // signs with version 4 all the same, and has none for a class.
        if let Some(attributes) = fields.get("attributes") {
            config.extend(s3_attributes::plugin_options(attributes)?);
        }
        Ok(Storage {
            bucket: bucket.to_owned(),
            prefix: fields.prefix("path")?,
            backup_location_config: config,
            // Snapshots are of AWS's block storage, which other stores do not have, and are made per region.
            snapshot_location_config: region
                .filter(|_| amazon)
                .map(|region| BTreeMap::from([("region".to_owned(), region.to_owned())])),
            credentials: credentials_file(access_key, secret_key)?,
            certificate_authority: fields
                .get("tls-ca-chain")
                .map(|chain| certificates::pem_bundle("tls-ca-chain", chain))
                .transpose()?,
        })
    }
}

fn credentials_file(access_key: &str, secret_key: &str) -> Result<SecretString, StorageError> {
    let access_key = StorageFields::credential("access-key", access_key)?;
    let secret_key = StorageFields::credential("secret-key", secret_key)?;
    Ok(SecretString::from(format!(
        "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
        access_key.expose_secret(),
        secret_key.expose_secret()
    )))
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

/// The rules for names of general-purpose buckets in the user guide of Amazon S3.
fn check_bucket(bucket: &str) -> Result<(), StorageError> {
    let refuse = |reason: &str| {
        Err(StorageError::invalid("bucket", format!("is {bucket:?}, which S3 does not allow: {reason}")))
    };
    let outer = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    if !(3..=63).contains(&bucket.chars().count()) {
        return refuse("a name has 3 to 63 characters");
    }
    if !bucket.chars().all(|character| outer(character) || matches!(character, '.' | '-')) {
        return refuse("a name has only lower-case letters, digits, dots and hyphens");
    }
    if !bucket.starts_with(outer) || !bucket.ends_with(outer) {
        return refuse("a name begins and ends with a letter or a digit");
    }
    if bucket.contains("..") {
        return refuse("a name has no two dots in a row");
    }
    if bucket.parse::<IpAddr>().is_ok() {
        return refuse("a name is no IP address");
    }
    Ok(())
}

struct Endpoint {
    /// Without a slash at its end.
    url: String,
    /// Whether it is one of AWS's own.
    amazon: bool,
}

impl Endpoint {
    /// Both the plugin and kopia take a scheme, a host and a port, and kopia refuses a path.
    fn parse(text: &str) -> Result<Self, StorageError> {
        let refuse = |reason: &str| Err(StorageError::invalid("endpoint", reason));
        let Ok(url) = Url::parse(text) else {
            return refuse("is no URL: set it as https://HOST:PORT");
        };
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("does not begin with http:// or https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("holds a user name or a password: remove it");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("holds more than scheme, host and port: set it as https://HOST:PORT");
        }
        if url.path() != "/" {
            return refuse("has a path: set it as https://HOST:PORT, and the folder in the option path");
        }
        let amazon = match url.host() {
            Some(Host::Domain(host)) => {
                [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|domain| host.ends_with(domain))
            }
            _ => false,
        };
        Ok(Self { url: text.trim_end_matches('/').to_owned(), amazon })
    }
}

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
