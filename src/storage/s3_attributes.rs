//! The headers that a user wants on the objects in the bucket: the field `attributes` of the interface `s3`.
//!
//! They are a JSON list of texts such as `X-Amz-Server-Side-Encryption=AES256`; newer integrators pass on what the user wrote, which
//! may be lines of them. Velero's plugin for S3 can send those for tags and for encryption by the store, by options of its own.
//! Others, such as `Cache-Control`, and the storage class it cannot.

use std::collections::BTreeMap;

use serde_json::Value;

use super::StorageError;

/// The key of the field.
const KEY: &str = "attributes";

const ENCRYPTION: &str = "x-amz-server-side-encryption";
const ENCRYPTION_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-key";
const TAGGING: &str = "x-amz-tagging";

/// The kinds of encryption that the plugin can ask for.
const ENCRYPTIONS: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];

/// The options of the plugin that send the headers.
///
/// # Errors
///
/// When the headers ask for an encryption or for tags that the plugin would not give: backups without them are not what the user
/// wants. The values are not in the error, as a key may be among them.
pub(super) fn plugin_options(attributes: &str) -> Result<BTreeMap<String, String>, StorageError> {
    let headers = headers(attributes)?;
    let header = |name: &str| headers.get(name).map(String::as_str);
    let refuse = |reason: &str| Err(StorageError::invalid(KEY, reason));
    if header(CUSTOMER_KEY).is_some() {
        return refuse(
            "asks for encryption by a key of the customer, which files of volumes would be without: use aws:kms",
        );
    }
    let mut options = BTreeMap::new();
    let mut set = |option: &str, value: &str| options.insert(option.to_owned(), value.to_owned());
    match (header(ENCRYPTION), header(ENCRYPTION_KEY)) {
        (Some(encryption), _) if !ENCRYPTIONS.contains(&encryption) => {
            return refuse("has an encryption that is none of AES256, aws:kms and aws:kms:dsse");
        }
        // The plugin takes the one for the other.
        (Some(encryption), Some(_)) if encryption != "aws:kms" => {
            return refuse("has a key of AWS KMS, which needs the encryption aws:kms");
        }
        (encryption, key) => {
            encryption.map(|encryption| set("serverSideEncryption", encryption));
            key.map(|key| set("kmsKeyId", key));
        }
    }
    if let Some(tags) = header(TAGGING) {
        if !are_tags(tags) {
            return refuse("has tags that the plugin does not take: set 2 to 10 of them as a=1&b=2");
        }
        set("tagging", tags);
    }
    Ok(options)
}

/// The headers by their names in lower case.
fn headers(text: &str) -> Result<BTreeMap<String, String>, StorageError> {
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(entries)) => entries
            .iter()
            .map(|entry| entry.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| StorageError::invalid(KEY, "is not a list of texts such as Header=value"))?,
        Ok(Value::String(inner)) => inner.lines().map(str::to_owned).collect(),
        _ => text.lines().map(str::to_owned).collect(),
    };
    let pairs = list.iter().filter_map(|entry| {
        let (name, value) = entry.split_once(['=', ':'])?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    });
    Ok(pairs.filter(|(_, value)| !value.is_empty()).collect())
}

/// Whether the plugin takes them: see `CheckTags` there.
fn are_tags(text: &str) -> bool {
    let tags: Vec<_> = text.split('&').map(|tag| tag.split('=').collect::<Vec<_>>()).collect();
    let lengths = |tag: &Vec<&str>| matches!(tag.as_slice(), [key, value] if (1..=128).contains(&key.chars().count()) && value.chars().count() <= 248);
    (2..=10).contains(&tags.len()) && tags.iter().all(lengths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(attributes: &str) -> Vec<(String, String)> {
        plugin_options(attributes).unwrap().into_iter().collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn encryption_by_the_store_becomes_options_of_the_plugin() {
        assert_eq!(options(r#"["X-Amz-Server-Side-Encryption=AES256"]"#), [pair("serverSideEncryption", "AES256")]);
        let key = "arn:aws:kms:eu-west-3:111122223333:key/0a1b";
        let lines =
            format!("x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: {key}");
        let both = [pair("kmsKeyId", key), pair("serverSideEncryption", "aws:kms")];
        assert_eq!(options(&lines), both);
        assert_eq!(options(&serde_json::json!(lines).to_string()), both);
    }

    #[test]
    fn tags_are_passed_on() {
        assert_eq!(options(r#"["x-amz-tagging=team=ops&tier=gold"]"#), [pair("tagging", "team=ops&tier=gold")]);
    }

    #[test]
    fn what_the_plugin_cannot_send_is_left_out() {
        assert_eq!(options(r#"["Cache-Control=max-age=60", "x-amz-storage-class=GLACIER"]"#), []);
        assert_eq!(options("nothing of the kind"), []);
        assert_eq!(options("[]"), []);
    }

    #[test]
    fn an_encryption_that_would_not_be_made_is_refused_and_no_value_repeated() {
        for attributes in [
            r#"["x-amz-server-side-encryption=marked"]"#,
            r#"["x-amz-server-side-encryption=AES256", "x-amz-server-side-encryption-aws-kms-key-id=marked"]"#,
            r#"["X-Amz-Server-Side-Encryption-Customer-Key=marked="]"#,
            r#"["x-amz-tagging=marked=1"]"#,
            r#"["x-amz-tagging=marked&b=1"]"#,
            r#"["x-amz-tagging=marked=1", 5]"#,
        ] {
            let error = plugin_options(attributes).unwrap_err().to_string();
            assert!(error.starts_with("attributes ") && !error.contains("marked"), "{error}");
        }
    }
}
