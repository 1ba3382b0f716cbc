//! What a store says when it refuses.
//!
//! S3, Azure and Google Cloud Storage answer in XML with a `Code` and a `Message`, and the places that give out tokens in JSON. Of the
//! answer only these are told: others of its parts may repeat credentials, such as the string that was signed.

use std::fmt;

use serde::Deserialize;

/// The longest text of a store that is told.
const LONGEST: usize = 200;

/// A store's refusal, in its own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    status: u16,
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct Xml {
    #[serde(rename = "Code", default)]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

/// Of OAuth: RFC 6749, section 5.2.
#[derive(Deserialize)]
struct OfToken {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Refusal {
    /// Reads it from an answer.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        // Azure begins with a byte order mark.
        let text = text.trim_start_matches('\u{feff}').trim();
        let (code, message) = quick_xml::de::from_str(text)
            .map(|Xml { code, message }| (code, message))
            .or_else(|_| {
                serde_json::from_str(text).map(|OfToken { error, error_description }| (error, error_description))
            })
            .unwrap_or_default();
        Self { status, code: first_line(&code), message: first_line(&message) }
    }

    /// Whether it is about the bucket, or what the provider calls so, and not about an object in it.
    pub(super) fn is_of_bucket(&self) -> bool {
        ["NoSuchBucket", "ContainerNotFound"].contains(&self.code.as_str())
    }

    /// Whether it is the store's word on what is asked for, and not about the moment.
    pub(super) fn is_lasting(&self) -> bool {
        // An answer without words is of something on the way to the store. The others are: too late, too many, and all that the store
        // says of itself.
        !self.code.is_empty() && (400..500).contains(&self.status) && !matches!(self.status, 408 | 429)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => write!(formatter, "HTTP status {}", self.status),
            ("", text) | (text, "") => formatter.write_str(text),
            (code, message) => write!(formatter, "{code}: {}", message.trim_end_matches('.')),
        }
    }
}

/// Returns the beginning of a text: others of its lines are the number and the time of the request.
fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let is_shown = |character: &char| !character.is_control();
    line.chars().filter(is_shown).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> String {
        Refusal::read(status, body.as_bytes()).to_string()
    }

    #[test]
    fn each_stores_own_words_are_told_and_nothing_that_was_signed() {
        let s3 = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
            <Message>The request signature does not match.</Message><AWSAccessKeyId>marked-key</AWSAccessKeyId>\
            <StringToSign>marked-string</StringToSign></Error>";
        assert_eq!(told(403, s3), "SignatureDoesNotMatch: The request signature does not match");
        let azure = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthorizationPermissionMismatch</Code>\
            <Message>This request is not authorized to perform this operation using this permission.\nRequestId:0a1b\nTime:2026\
            </Message></Error>";
        assert_eq!(
            told(403, azure),
            "AuthorizationPermissionMismatch: This request is not authorized to perform this operation using this permission"
        );
        let token = r#"{"error":"invalid_client","error_description":"Invalid client secret.\r\nTrace ID: 0a1b"}"#;
        assert_eq!(told(401, token), "invalid_client: Invalid client secret");
    }

    #[test]
    fn an_answer_without_words_is_told_by_its_number() {
        for body in ["", "<html><body>Forbidden</body></html>", "{}", "\u{0}\u{1}"] {
            assert_eq!(told(403, body), "HTTP status 403", "{body:?}");
        }
        assert_eq!(told(404, "<Error><Code>NoSuchBucket</Code></Error>"), "NoSuchBucket");
        let long = format!("<Error><Message>{}</Message></Error>", "long ".repeat(100));
        assert_eq!(told(400, &long).len(), LONGEST);
    }

    #[test]
    fn only_the_stores_own_word_on_what_is_asked_for_is_believed() {
        for (status, lasting) in
            [(400, true), (403, true), (404, true), (408, false), (429, false), (500, false), (503, false)]
        {
            assert_eq!(Refusal::read(status, b"<Error><Code>No</Code></Error>").is_lasting(), lasting, "{status}");
            assert!(!Refusal::read(status, b"<html>a proxy's page</html>").is_lasting(), "{status}");
        }
    }
}
