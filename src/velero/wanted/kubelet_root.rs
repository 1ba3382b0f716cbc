//! Where a kubelet keeps the volumes of pods, as a path that is checked.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The root directory of a kubelet: an absolute path without detours.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct KubeletRoot(String);

/// Why a text is no such path.
#[derive(Debug, Error, Eq, PartialEq)]
pub(crate) enum KubeletRootError {
    #[error("is no absolute path")]
    NotAbsolute,
    #[error("is a path with . or ..")]
    Detour,
    #[error("is a path with white space or control characters")]
    Unprintable,
}

impl KubeletRoot {
    /// Returns a path that is known to be one.
    pub(crate) fn known(path: &'static str) -> Self {
        Self(path.to_owned())
    }
}

impl FromStr for KubeletRoot {
    type Err = KubeletRootError;

    fn from_str(text: &str) -> Result<Self, KubeletRootError> {
        if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(KubeletRootError::Unprintable);
        }
        let relative = text.strip_prefix('/').ok_or(KubeletRootError::NotAbsolute)?;
        let parts: Vec<&str> = relative.split('/').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err(KubeletRootError::NotAbsolute);
        }
        if parts.iter().any(|part| matches!(*part, "." | "..")) {
            return Err(KubeletRootError::Detour);
        }
        Ok(Self(format!("/{}", parts.join("/"))))
    }
}

impl fmt::Display for KubeletRoot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_or_refused() {
        assert_eq!("/var//lib/kubelet/".parse::<KubeletRoot>().unwrap().to_string(), "/var/lib/kubelet");
        for (text, error) in [
            ("", KubeletRootError::NotAbsolute),
            ("var/lib", KubeletRootError::NotAbsolute),
            ("/", KubeletRootError::NotAbsolute),
            ("/var/../etc", KubeletRootError::Detour),
            ("/var/./lib", KubeletRootError::Detour),
            ("/var lib", KubeletRootError::Unprintable),
        ] {
            assert_eq!(text.parse::<KubeletRoot>(), Err(error), "{text}");
        }
    }
}
