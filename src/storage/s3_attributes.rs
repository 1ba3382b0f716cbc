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

/// What becomes of the headers.
#[derive(Debug, Default)]
pub(super) struct PluginOptions {
    /// The options of the plugin that send them.
    pub(super) config: BTreeMap<String, String>,
    /// What is left out and said.
    pub(super) notes: Vec<String>,
}

/// Returns the options of the plugin that send the headers.
///
/// Backups without a tag are better than none, so that tags which the plugin does not take are left out and said.
///
/// # Errors
///
/// When the headers ask for an encryption that the plugin would not give: backups without it are not what the user wants. The
/// values are not in the error, as a key may be among them.
pub(super) fn plugin_options(attributes: &str) -> Result<PluginOptions, StorageError> {
    let mut options = PluginOptions::default();
    let headers = headers(attributes, &mut options.notes)?;
    let header = |name: &str| headers.get(name).map(String::as_str);
    let refuse = |reason: &str| Err(StorageError::invalid(KEY, reason));
    if header(CUSTOMER_KEY).is_some() {
        return refuse(
            "asks for encryption by a key of the customer, which files of volumes would be without: use aws:kms",
        );
    }
    let mut set = |option: &str, value: &str| options.config.insert(option.to_owned(), value.to_owned());
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
        match plugin_tags(tags) {
            Some(tags) => {
                set("tagging", &tags);
            }
            None => options.notes.push(
                "the tags of attributes are not set: Velero's plugin takes 2 to 10 of them, as a=1&b=2".to_owned(),
            ),
        }
    }
    Ok(options)
}

/// Returns the headers by their names in lower case.
fn headers(text: &str, notes: &mut Vec<String>) -> Result<BTreeMap<String, String>, StorageError> {
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(entries)) => entries,
        Ok(Value::String(inner)) => inner.lines().map(Value::from).collect(),
        _ => text.lines().map(Value::from).collect(),
    };
    let mut headers = BTreeMap::new();
    for entry in list.iter().filter(|entry| !entry.is_null()) {
        let header = entry.as_str().and_then(|text| text.split_once(['=', ':']));
        let (name, value) =
            header.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim())).unwrap_or_default();
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-')
        };
        if !is_name(&name) || value.chars().any(char::is_control) {
            // What is not understood must not be the encryption that the user relies on.
            if entry.to_string().to_ascii_lowercase().contains("encryption") {
                return Err(StorageError::invalid(
                    KEY,
                    "has an encryption in a form that is not understood: set it as x-amz-server-side-encryption=aws:kms",
                ));
            }
            if !entry.as_str().is_some_and(|text| text.trim().is_empty()) {
                notes.push("an entry of attributes is left out: it is not of the form Header=value".to_owned());
            }
        } else if !value.is_empty() {
            headers.insert(name, value.to_owned());
        }
    }
    notes.dedup();
    Ok(headers)
}

/// Returns the tags in the form that the plugin takes; see `CheckTags` there.
fn plugin_tags(text: &str) -> Option<String> {
    let tags: Vec<_> = text
        .split('&')
        .filter(|tag| !tag.is_empty())
        .map(|tag| if tag.contains('=') { tag.to_owned() } else { format!("{tag}=") })
        .collect();
    let is_taken = |tag: &String| match tag.split('=').collect::<Vec<_>>().as_slice() {
        [key, value] => (1..=128).contains(&key.chars().count()) && value.chars().count() <= 248,
        _ => false,
    };
    ((2..=10).contains(&tags.len()) && tags.iter().all(is_taken)).then(|| tags.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(attributes: &str) -> Vec<(String, String)> {
        let options = plugin_options(attributes).unwrap();
        assert_eq!(options.notes, Vec::<String>::new(), "{attributes}");
        options.config.into_iter().collect()
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
        assert_eq!(options("x-amz-tagging: team&tier=gold&"), [pair("tagging", "team=&tier=gold")]);
    }

    #[test]
    fn tags_that_the_plugin_does_not_take_are_left_out_and_said() {
        let eleven = (0..11).map(|number| format!("k{number}=1")).collect::<Vec<_>>().join("&");
        let long = format!("a=1&b={}", "x".repeat(249));
        for tags in ["a=b", "a", "a=b=c&d=e", "=&a=b", &eleven, &long] {
            let attributes =
                serde_json::json!([format!("x-amz-tagging={tags}"), "x-amz-server-side-encryption=AES256"]);
            let options = plugin_options(&attributes.to_string()).unwrap();
            assert_eq!(options.config.into_iter().collect::<Vec<_>>(), [pair("serverSideEncryption", "AES256")]);
            let [note] = options.notes.as_slice() else { panic!("{:?}", options.notes) };
            assert!(note.starts_with("the tags of attributes are not set"), "{note}");
        }
    }

    #[test]
    fn an_entry_that_is_no_header_is_left_out_and_said() {
        for attributes in [
            r#"["x-amz-tagging=a=1&b=2", 5, {"a": 1}]"#,
            "x-amz-tagging=a=1&b=2\nnothing of the kind",
            r#"["x-amz-tagging=a=1&b=2", "x-amz-tagging=a=\u0000&c=3"]"#,
        ] {
            let options = plugin_options(attributes).unwrap();
            assert_eq!(options.config.into_iter().collect::<Vec<_>>(), [pair("tagging", "a=1&b=2")]);
            assert_eq!(options.notes, ["an entry of attributes is left out: it is not of the form Header=value"]);
        }
    }

    #[test]
    fn what_the_plugin_cannot_send_is_left_out() {
        assert_eq!(options(r#"["Cache-Control=max-age=60", "x-amz-storage-class=GLACIER"]"#), []);
        assert_eq!(options(r#"["", null, " "]"#), []);
        assert_eq!(options("\n\n"), []);
    }

    #[test]
    fn an_encryption_that_would_not_be_made_is_refused_and_no_value_repeated() {
        for attributes in [
            r#"["x-amz-server-side-encryption=marked"]"#,
            r#"["x-amz-server-side-encryption=AES256", "x-amz-server-side-encryption-aws-kms-key-id=marked"]"#,
            r#"["X-Amz-Server-Side-Encryption-Customer-Key=marked="]"#,
            r#"["x-amz-tagging=marked=1", {"X-Amz-Server-Side-Encryption": "AES256"}]"#,
            r#"{"x-amz-server-side-encryption": "marked"}"#,
            r#"["x-amz-server-side-encryption-aws-kms-key-id=mar\u0000ked"]"#,
            r#"["x-amz-server-side-encryption-aws-kms-key-id=mar\r\nked"]"#,
            "x-amz-server-side-encryption AES256",
        ] {
            let error = plugin_options(attributes).unwrap_err().to_string();
            assert!(error.starts_with("attributes ") && !error.contains("marked"), "{error}");
        }
    }
}
