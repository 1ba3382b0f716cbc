use std::cell::RefCell;

use proptest::prelude::*;

use super::{
    super::{Storage, StorageError, StorageFields, VeleroStorageProvider, azure::Azure, s3::S3},
    *,
};
use crate::test_readers::{Readers, credential, runner};

fn secret(value: &str) -> SecretString {
    SecretString::from(value)
}

#[test]
fn a_value_of_an_ini_file_is_quoted_only_where_it_has_to_be() {
    for (value, expected) in [
        ("s3cr3t/with+slash=", "KEY=s3cr3t/with+slash=\n"),
        ("a#b;c=[d]\"e'", "KEY=a#b;c=[d]\"e'\n"),
        ("#a", "KEY=#a\n"),
        (" a", "KEY=\" a\"\n"),
        ("a\u{a0}", "KEY=\"a\u{a0}\"\n"),
        ("\"a\"", "KEY=\"\"a\"\"\n"),
        ("'", "KEY=\"'\"\n"),
    ] {
        assert_eq!(ini_line("KEY", "secret-key", &secret(value)).unwrap().expose_secret(), expected);
    }
}

#[test]
fn a_value_of_a_dotenv_file_is_quoted_only_where_it_has_to_be() {
    for (value, expected) in [
        ("ZmFrZS1rZXk+/w==", "KEY=ZmFrZS1rZXk+/w==\n"),
        ("it's 5\\6 \"o'clock\"", "KEY=it's 5\\6 \"o'clock\"\n"),
        ("a#b", "KEY='a#b'\n"),
        ("a $HOME b", "KEY='a $HOME b'\n"),
        ("$5 \"off\"", "KEY='$5 \"off\"'\n"),
        ("\"quoted\"", "KEY='\"quoted\"'\n"),
        ("'quoted'", "KEY=\"'quoted'\"\n"),
        (" a ", "KEY=' a '\n"),
    ] {
        assert_eq!(dotenv_line("KEY", "client-secret", &secret(value)).unwrap().expose_secret(), expected);
    }
}

#[test]
fn what_no_line_can_hold_is_refused_and_not_repeated() {
    for value in ["marked'#", "marked'$X", "marked#\"", "marked$\\", "'marked\\", " marked'\""] {
        let error = dotenv_line("KEY", "client-secret", &secret(value)).unwrap_err().to_string();
        assert!(error.starts_with("client-secret ") && !error.contains("marked"), "{error}");
    }
    for value in ["marked #", "marked ;b", " #marked"] {
        let error = ini_line("KEY", "secret-key", &secret(value)).unwrap_err().to_string();
        assert!(error.starts_with("secret-key ") && !error.contains("marked"), "{error}");
    }
}

/// What Velero's reader makes of the credentials of a storage, or the key of the field that keeps it from being one.
fn read(
    readers: &RefCell<Readers>,
    reader: &str,
    storage: Result<Storage, StorageError>,
) -> Result<ReadBack, StorageError> {
    storage.map(|storage| readers.borrow_mut().read(reader, storage.credentials.expose_secret()))
}

type ReadBack = Result<std::collections::BTreeMap<String, String>, String>;

#[test]
fn what_the_aws_sdk_reads_is_the_key_or_the_key_is_refused_by_name() {
    let (readers, accepted) = (RefCell::new(Readers::start()), RefCell::new(0));
    let property = |(access_key, secret_key): (String, String)| {
        let given = [("access-key", access_key.as_str()), ("secret-key", secret_key.as_str())];
        let fields: StorageFields = [("bucket", "backups")].into_iter().chain(given).collect();
        match read(&readers, "aws", S3.storage(&fields, &[])) {
            Ok(values) => {
                *accepted.borrow_mut() += 1;
                let given = given.map(|(key, value)| (key.to_owned(), value.trim_matches(['\r', '\n']).to_owned()));
                prop_assert_eq!(values, Ok(given.into()));
            }
            Err(StorageError::Incomplete { missing }) => {
                prop_assert!(missing.iter().all(|key| fields.get(key).is_none()));
            }
            Err(StorageError::Invalid { key, .. }) => {
                let (_, value) = given.into_iter().find(|(name, _)| *name == key).unwrap();
                let inner = value.trim_matches(['\r', '\n']);
                prop_assert!(
                    inner.contains(char::is_control) || inner.contains(" #") || inner.contains(" ;"),
                    "{value:?}"
                );
            }
        }
        Ok(())
    };
    runner().run(&(credential(), credential()), property).unwrap();
    assert!(accepted.into_inner() > 100);
}

#[test]
fn what_velero_reads_for_azure_is_the_secret_or_the_secret_is_refused_by_name() {
    let (readers, accepted) = (RefCell::new(Readers::start()), RefCell::new(0));
    let property = |client_secret: String| {
        let fields: StorageFields = [
            ("container", "backups"),
            ("storage-account", "stbackups01"),
            ("subscription-id", "sub"),
            ("tenant-id", "ten"),
            ("client-id", "cli"),
            ("client-secret", &client_secret),
        ]
        .into_iter()
        .collect();
        match read(&readers, "azure", Azure.storage(&fields, &[])) {
            Ok(values) => {
                *accepted.borrow_mut() += 1;
                let mut values = values.map_err(TestCaseError::fail)?;
                let value = values.remove("AZURE_CLIENT_SECRET");
                prop_assert_eq!(value.as_deref(), Some(client_secret.trim_matches(['\r', '\n'])));
                let names: Vec<_> = values.keys().map(String::as_str).collect();
                prop_assert_eq!(
                    names,
                    ["AZURE_CLIENT_ID", "AZURE_CLOUD_NAME", "AZURE_SUBSCRIPTION_ID", "AZURE_TENANT_ID"]
                );
            }
            Err(error) => prop_assert_eq!(error.key(), "client-secret"),
        }
        Ok(())
    };
    runner().run(&credential(), property).unwrap();
    assert!(accepted.into_inner() > 100);
}
