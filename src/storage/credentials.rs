//! The lines of credentials files, in the forms that Velero reads.

use secrecy::{ExposeSecret, SecretString};

use super::StorageError;

/// Returns the file of these lines, each of which ends with a line break.
pub(super) fn file(lines: impl IntoIterator<Item = SecretString>) -> SecretString {
    let lines: Vec<_> = lines.into_iter().collect();
    SecretString::from(lines.iter().map(ExposeSecret::expose_secret).collect::<String>())
}

/// Returns the line that gives `name` the value of the field `key`, as the AWS SDK's reader takes it.
///
/// The reader cuts off blanks at the ends, and one quotation mark at each end if both are the same; after a blank, `#` and `;`
/// begin a comment even within quotation marks.
///
/// # Errors
///
/// When there is no such line for the value, which is not repeated.
pub(super) fn ini_line(name: &str, key: &'static str, value: &SecretString) -> Result<SecretString, StorageError> {
    let value = value.expose_secret();
    if [" #", " ;"].iter().any(|comment| value.contains(comment)) {
        return Err(StorageError::invalid(
            key,
            "has a blank before # or ;, which no credentials file for S3 can hold: make a new one",
        ));
    }
    let quote = if value.trim() != value || value.starts_with(['\'', '"']) { "\"" } else { "" };
    Ok(SecretString::from(format!("{name}={quote}{value}{quote}\n")))
}

/// Returns the line that gives `variable` the value of the field `key`, as dotenv files have it.
///
/// Velero's server and its plugins have read the file by three parsers over the years, which treat `#`, `$`, quotation
/// marks and backslashes differently, and none has an escape that the others know. The line is one that all of them read
/// alike.
///
/// # Errors
///
/// When there is no such line for the value, which is not repeated.
pub(super) fn dotenv_line(
    variable: &str,
    key: &'static str,
    value: &SecretString,
) -> Result<SecretString, StorageError> {
    let value = value.expose_secret();
    let has = |character: char| value.contains(character);
    let bare = !value.contains(['#', '$']) && !value.starts_with(['\'', '"']) && value.trim() == value;
    // An older parser counts quotation marks of both kinds around each `#`, a newer one takes `\'` for no end.
    let in_single_quotes = !(has('\'') || value.ends_with('\\') || (has('#') && has('"')));
    let in_double_quotes = !value.contains(['"', '\\', '#', '$']);
    let quote = if bare {
        ""
    } else if in_single_quotes {
        "'"
    } else if in_double_quotes {
        "\""
    } else {
        return Err(StorageError::invalid(
            key,
            "has #, $ or blanks at its ends beside a quotation mark or backslash, which no credentials file of Velero can \
             hold: make a new one",
        ));
    };
    Ok(SecretString::from(format!("{variable}={quote}{value}{quote}\n")))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
