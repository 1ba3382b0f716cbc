//! Single values of settings.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

use crate::backups::{GoDuration, is_label_key, is_label_value};

/// The longest name of an object of Kubernetes.
const LONGEST_NAME: usize = 253;

/// How much a program of Velero's logs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogLevel {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Fatal,
    Panic,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
            Self::Panic => "panic",
        })
    }
}

/// A value that is written as a text.
trait Word: Sized {
    /// What a message says is expected where there is no text.
    const EXPECTED: &'static str;

    /// Returns what a text says, or why it says nothing.
    fn read(text: &str) -> Result<Self, String>;
}

struct WordVisitor<T>(PhantomData<T>);

impl<T: Word> Visitor<'_> for WordVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }
}

/// Reads a word. A number or a truth value is none: YAML has them, and not what was written.
fn word<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(WordVisitor(PhantomData))
}

/// How long something may take, or how often it is done, as Go reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Period(String);

impl Word for Period {
    const EXPECTED: &'static str = "a duration, as 30m or 4h";

    fn read(text: &str) -> Result<Self, String> {
        match GoDuration::parse(text) {
            Ok(duration) if duration > GoDuration::ZERO => Ok(Self(text.to_owned())),
            Ok(_) => Err(format!("{text:?} is not more than nothing, as 30m or 4h is")),
            Err(error) => Err(format!("{text:?} is no duration, as 30m or 4h is: {error}")),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The key of a label or a taint.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) struct LabelKey(String);

impl Word for LabelKey {
    const EXPECTED: &'static str = "the key of a label, as example.com/disk";

    fn read(text: &str) -> Result<Self, String> {
        let is_key = is_label_key(text);
        is_key
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| format!("{text:?} is no key of a label, as example.com/disk is"))
    }
}

impl<'de> Deserialize<'de> for LabelKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

/// The value of a label or a taint.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) struct LabelValue(String);

impl Word for LabelValue {
    const EXPECTED: &'static str = "the value of a label, in quotes if it is \"true\" or a number";

    fn read(text: &str) -> Result<Self, String> {
        let is_value = is_label_value(text);
        is_value.then(|| Self(text.to_owned())).ok_or_else(|| format!("{text:?} is no value of a label, as ssd is"))
    }
}

impl<'de> Deserialize<'de> for LabelValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}

/// The name of an object without a namespace.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Name(String);

impl Name {
    /// Returns the name as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Word for Name {
    const EXPECTED: &'static str = "the name of an object, as high-priority";

    fn read(text: &str) -> Result<Self, String> {
        let is_letter = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        let is_part = |part: &str| {
            part.starts_with(is_letter)
                && part.ends_with(is_letter)
                && part.chars().all(|character| is_letter(character) || character == '-')
        };
        let is_name = text.len() <= LONGEST_NAME && text.split('.').all(is_part);
        is_name
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| format!("{text:?} is no name of an object, as high-priority is"))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer)
    }
}
