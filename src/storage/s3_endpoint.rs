//! Where an S3 store is, by the field `endpoint` of the interface `s3`.

use url::{Host, Url};

use super::{StorageError, host::is_host_name};

/// The key of the field.
const KEY: &str = "endpoint";

/// What the names of AWS's own hosts end with.
const AMAZON_DOMAINS: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"];

/// The address of a store.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Endpoint {
    /// One of AWS's own, or AWS without an address.
    Amazon {
        /// What the plugin is given; `None` where it finds the address by itself, and the region of the bucket with it.
        url: Option<String>,
        /// The region that the address is in, if it tells.
        region: Option<String>,
    },
    /// Any other.
    Other {
        /// What the plugin is given.
        url: String,
        /// Whether the host's name begins with the bucket's, as in the address of a bucket.
        begins_with_bucket: bool,
    },
}

impl Endpoint {
    /// AWS, wherever the bucket is.
    pub(super) const AWS: Self = Self::Amazon { url: None, region: None };

    /// Reads the address of the store that holds `bucket`.
    ///
    /// The parsed URL is passed on, not the text: the parser corrects what Go's parser, which the
    /// plugin uses, takes for something else (`http:/10.0.0.1:9000` for a path without a host). Both the plugin and kopia take
    /// a scheme, a host and a port, and kopia refuses a path.
    ///
    /// # Errors
    ///
    /// When the text is no such address, or the address of another bucket.
    pub(super) fn parse(text: &str, bucket: &str) -> Result<Self, StorageError> {
        let refuse = |reason: &str| Err(StorageError::invalid(KEY, reason));
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
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let address = |host: &str| format!("{}://{host}{port}", url.scheme());
        let host = match url.host() {
            Some(Host::Domain(host)) => host,
            Some(host) => return Ok(Self::Other { url: address(&host.to_string()), begins_with_bucket: false }),
            None => return refuse("has no host: set it as https://HOST:PORT"),
        };
        if !is_host_name(host) {
            return refuse("has a host that is neither a name nor an IP address: set it as https://HOST:PORT");
        }
        let absolute = host.strip_suffix('.').unwrap_or(host);
        match AmazonHost::parse(absolute) {
            None => {
                let begins_with_bucket = bucket_prefix(absolute, bucket).is_some();
                Ok(Self::Other { url: address(host), begins_with_bucket })
            }
            Some(found) => {
                // The client puts the bucket in front of the host by itself.
                let host = match found.before {
                    "" => absolute.to_owned(),
                    before if before.eq_ignore_ascii_case(bucket) => found.service_host.to_owned(),
                    before => match bucket_prefix(before, bucket).filter(|rest| rest.starts_with("vpce-")) {
                        Some(endpoint) => format!("bucket.{endpoint}.{}", found.service_host),
                        None if before.split('.').any(|label| label.starts_with("vpce-")) => absolute.to_owned(),
                        None => return refuse("is the address of another bucket: set it without the bucket's name"),
                    },
                };
                // This is the default of all clients: leave it out.
                let url = (host != "s3.amazonaws.com").then(|| address(&host));
                Ok(Self::Amazon { url, region: found.region.map(str::to_owned) })
            }
        }
    }
}

/// A host of AWS's S3: `[BUCKET.|vpce-ID.]SERVICE[.dualstack][.REGION][.vpce].DOMAIN`.
struct AmazonHost<'a> {
    /// What stands before the service's own name.
    before: &'a str,
    service_host: &'a str,
    region: Option<&'a str>,
}

impl<'a> AmazonHost<'a> {
    fn parse(host: &'a str) -> Option<Self> {
        let name = AMAZON_DOMAINS.iter().find_map(|domain| host.strip_suffix(domain))?;
        let name = name.strip_suffix(".vpce").unwrap_or(name);
        let (name, region) = match split_last(name) {
            (rest, last) if is_region(last) => (rest, Some(last)),
            _ => (name, None),
        };
        let name = name.strip_suffix(".dualstack").unwrap_or(name);
        let (before, service) = split_last(name);
        let in_service = match service {
            "s3-external-1" => Some("us-east-1"),
            "s3" | "s3-fips" | "s3-accelerate" | "s3-accesspoint" | "s3-accesspoint-fips" => None,
            other if other.starts_with("s3express-") => None,
            // The older form, with a hyphen.
            other => {
                Some(other.strip_prefix("s3-fips-").or_else(|| other.strip_prefix("s3-")).filter(|it| is_region(it))?)
            }
        };
        let service_host = host.strip_prefix(before).map_or(host, |rest| rest.trim_start_matches('.'));
        Some(Self { before, service_host, region: region.or(in_service) })
    }
}

/// Returns the last label of a name, and what is before it.
fn split_last(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// Whether it has the form of a region of AWS, as `eu-west-3` or `us-gov-west-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<_> = label.split('-').collect();
    let [words @ .., number] = parts.as_slice() else { return false };
    words.len() >= 2
        && words.iter().all(|word| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase()))
        && !number.is_empty()
        && number.chars().all(|digit| digit.is_ascii_digit())
}

/// Returns what follows the bucket's name and a dot at the beginning of a host, if it is a host of its own.
fn bucket_prefix<'a>(host: &'a str, bucket: &str) -> Option<&'a str> {
    let (start, rest) = host.split_at_checked(bucket.len())?;
    rest.strip_prefix('.').filter(|rest| start.eq_ignore_ascii_case(bucket) && !rest.is_empty())
}

#[cfg(test)]
#[path = "s3_endpoint_tests.rs"]
mod tests;
