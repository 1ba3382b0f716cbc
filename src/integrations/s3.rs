//! The interface `s3`.

use std::collections::BTreeMap;

use super::interface::{RequestContext, StorageInterface};
use crate::{
    contract::endpoint,
    storage::{S3, VeleroStorageProvider},
};

/// S3 by the relation with an s3-integrator.
pub(super) struct S3Credentials;

impl StorageInterface for S3Credentials {
    fn endpoint(&self) -> &'static str {
        endpoint::S3_CREDENTIALS
    }

    fn integrator(&self) -> &'static str {
        "s3-integrator"
    }

    fn provider(&self) -> &'static dyn VeleroStorageProvider {
        &S3
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(published: &[(&str, &str)], overdue: bool) -> BTreeMap<&'static str, String> {
        let published = published.iter().copied().collect();
        S3Credentials.request(&RequestContext { relation_number: "7", published: &published, overdue })
    }

    #[test]
    fn a_bucket_is_asked_for_only_where_the_other_side_shows_no_version() {
        assert!(!request(&[], false).contains_key("bucket"));
        assert!(!request(&[("lib-version", "1.0")], true).contains_key("bucket"));
        assert!(!request(&[("version", "1")], false).contains_key("bucket"));
        assert_eq!(request(&[("data", "{}")], false)["bucket"], "relation-7");
        assert_eq!(request(&[], true)["bucket"], "relation-7");
    }

    #[test]
    fn secrets_are_always_asked_for() {
        let request = request(&[], false);
        assert_eq!(request["requested-secrets"], r#"["access-key", "secret-key"]"#);
        assert_eq!(request["lib-version"], "1.0");
        assert_eq!(request["version"], "1");
    }
}
