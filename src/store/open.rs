//! How each kind of store is opened: with what Velero's plugin is told, so that what works here works there.

use std::time::Duration;

use object_store::{
    ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    azure::MicrosoftAzureBuilder,
    client::{HttpConnector, HttpRequestBody},
    gcp::GoogleCloudStorageBuilder,
    path::Path,
};
use secrecy::ExposeSecret;

use super::{FOLDER, Store, StoreError, wire::Wire};
use crate::{
    proxies::Proxies,
    storage::{Storage, StoreKeys},
};

/// Where those of another cloud than the public one sign in, by what the names of its stores end with.
const AUTHORITIES: [(&str, &str); 2] = [
    (".core.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
    (".core.usgovcloudapi.net", "https://login.microsoftonline.us"),
];

impl Store {
    /// Opens a store, which is reached by these proxies.
    ///
    /// # Errors
    ///
    /// When the charm has no way to use it, or a bucket of AWS's is looked for and not found.
    pub(crate) async fn open(storage: &Storage, proxies: Option<&Proxies>) -> Result<Self, StoreError> {
        let unusable = |error: &dyn std::error::Error| StoreError::Unusable { reason: error.to_string() };
        let wire = Wire::new(storage.certificate_authority.as_deref(), proxies).map_err(|error| unusable(&error))?;
        let objects = match &storage.keys {
            StoreKeys::S3 { access_key, secret_key } => {
                let region = match storage.backup_location_config.get("region") {
                    Some(region) => region.clone(),
                    None => region_of(&wire, &storage.bucket).await?,
                };
                s3(storage, region)
                    .with_access_key_id(access_key.expose_secret())
                    .with_secret_access_key(secret_key.expose_secret())
                    .with_retry(retry())
                    .with_http_connector(wire.clone())
                    .build()
                    .map(|store| Box::new(store) as Box<dyn ObjectStore>)
            }
            StoreKeys::AzureAccount { key } => azure(storage, &wire)
                .with_access_key(key.expose_secret())
                .build()
                .map(|store| Box::new(store) as Box<dyn ObjectStore>),
            StoreKeys::AzurePrincipal { tenant, client, secret } => azure(storage, &wire)
                .with_client_secret_authorization(
                    client.expose_secret(),
                    secret.expose_secret(),
                    tenant.expose_secret(),
                )
                .with_authority_host(authority(storage))
                .build()
                .map(|store| Box::new(store) as Box<dyn ObjectStore>),
            StoreKeys::Google { file } => google(storage)
                .with_service_account_key(file.expose_secret())
                .with_retry(retry())
                .with_http_connector(wire.clone())
                .build()
                .map(|store| Box::new(store) as Box<dyn ObjectStore>),
        };
        // Errors of the builders name the field, and never what is in it.
        let objects = objects.map_err(|error| match error {
            object_store::Error::Generic { store, .. } => {
                StoreError::Unusable { reason: format!("the charm cannot use this store of {store}") }
            }
            error => unusable(&error),
        })?;
        let place = storage.prefix.as_deref().map_or_else(Path::default, Path::from);
        Ok(Self { objects, folder: place.join(FOLDER), wire })
    }
}

/// One attempt more, as a moment may be bad.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 1, retry_timeout: Duration::from_secs(8), ..RetryConfig::default() }
}

fn s3(storage: &Storage, region: String) -> AmazonS3Builder {
    let config = &storage.backup_location_config;
    let text = |key: &str| config.get(key).map(String::as_str);
    // The charm says this of all stores but AWS's own.
    let is_amazon = text("checksumAlgorithm").is_none();
    let by_path = text("s3ForcePathStyle") == Some("true");
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&storage.bucket)
        .with_region(region)
        .with_virtual_hosted_style_request(!by_path)
        // As the plugin deletes, which needs no right to delete many at once.
        .with_disable_bulk_delete(true);
    if is_amazon {
        // Buckets with a lock want one with each object.
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    if let Some(url) = text("s3Url") {
        let url = if by_path { url.to_owned() } else { in_host(url, &storage.bucket) };
        builder = builder.with_endpoint(url);
    }
    // Buckets may refuse what is not encrypted so.
    for (key, option) in [("serverSideEncryption", "aws_server_side_encryption"), ("kmsKeyId", "aws_sse_kms_key_id")] {
        if let Some((value, key)) = text(key).zip(option.parse::<AmazonS3ConfigKey>().ok()) {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

/// Returns the address of a bucket that is a host of its own.
fn in_host(url: &str, bucket: &str) -> String {
    url.split_once("://").map_or_else(|| url.to_owned(), |(scheme, host)| format!("{scheme}://{bucket}.{host}"))
}

/// Asks AWS in which region a bucket is, as the plugin does. Everybody may.
async fn region_of(wire: &Wire, bucket: &str) -> Result<String, StoreError> {
    let unusable = |reason: String| StoreError::Unusable { reason };
    let client = wire.connect(&object_store::ClientOptions::new()).map_err(|error| unusable(error.to_string()))?;
    let request = http::Request::head(format!("https://s3.amazonaws.com/{bucket}")).body(HttpRequestBody::empty());
    let request = request.map_err(|_| unusable(format!("no address can be made of the bucket {bucket}")))?;
    let answer =
        client.execute(request).await.map_err(|error| StoreError::Unreachable { reason: error.to_string() })?;
    let region = answer.headers().get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
    region.map(str::to_owned).ok_or_else(|| unusable(format!("AWS does not tell the region of the bucket {bucket}")))
}

fn azure(storage: &Storage, wire: &Wire) -> MicrosoftAzureBuilder {
    let config = &storage.backup_location_config;
    let account = config.get("storageAccount").map(String::as_str).unwrap_or_default();
    let builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(&storage.bucket)
        .with_retry(retry())
        .with_http_connector(wire.clone());
    match config.get("storageAccountURI") {
        Some(uri) => builder.with_endpoint(uri.clone()),
        None => builder,
    }
}

fn authority(storage: &Storage) -> &'static str {
    let uri = storage.backup_location_config.get("storageAccountURI").map(String::as_str).unwrap_or_default();
    let found = AUTHORITIES.iter().find(|(suffix, _)| uri.contains(suffix));
    found.map_or("https://login.microsoftonline.com", |(_, authority)| authority)
}

fn google(storage: &Storage) -> GoogleCloudStorageBuilder {
    let builder = GoogleCloudStorageBuilder::new().with_bucket_name(&storage.bucket);
    match storage.backup_location_config.get("universeDomain") {
        Some(domain) => builder.with_base_url(&format!("https://storage.{domain}")),
        None => builder,
    }
}
