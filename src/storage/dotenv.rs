//! Lines of a credentials file in the form of dotenv, which Velero reads for Azure.

use secrecy::ExposeSecret;

use super::{StorageError, StorageFields};

/// The line that gives `variable` the value of the field `key`.
///
/// Velero's server and its plugins have read the file by three parsers over the years, which treat `#`, `$`, quotation
/// marks and backslashes differently, and none has an escape that the others know. The line is one that all of them read
/// alike.
///
/// # Errors
///
/// When there is no such line for the value, which is not repeated.
pub(super) fn line(variable: &str, key: &'static str, value: &str) -> Result<String, StorageError> {
    let value = StorageFields::credential(key, value)?;
    let value = value.expose_secret();
    let has = |character: char| value.contains(character);
    let bare = !value.contains(['#', '$']) && !value.starts_with(['\'', '"']);
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
            "has # or $ beside a quotation mark or backslash, which no credentials file of Velero can hold: make a new one",
        ));
    };
    Ok(format!("{variable}={quote}{value}{quote}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_quoted_only_where_it_has_to_be() {
        for (value, expected) in [
            ("ZmFrZS1rZXk+/w==", "KEY=ZmFrZS1rZXk+/w==\n"),
            ("it's 5\\6 \"o'clock\"", "KEY=it's 5\\6 \"o'clock\"\n"),
            ("a#b", "KEY='a#b'\n"),
            ("a $HOME b", "KEY='a $HOME b'\n"),
            ("$5 \"off\"", "KEY='$5 \"off\"'\n"),
            ("\"quoted\"", "KEY='\"quoted\"'\n"),
            ("'quoted'", "KEY=\"'quoted'\"\n"),
        ] {
            assert_eq!(line("KEY", "client-secret", value).unwrap(), expected);
        }
    }

    #[test]
    fn what_no_line_can_hold_is_refused_and_not_repeated() {
        for value in ["marked'#", "marked'$X", "marked#\"", "marked$\\", "'marked\\", "marked\nline", "marked\u{7f}"] {
            let error = line("KEY", "client-secret", value).unwrap_err().to_string();
            assert!(error.starts_with("client-secret ") && !error.contains("marked"), "{error}");
        }
    }
}
