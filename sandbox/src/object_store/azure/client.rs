//! Requests to a storage account, signed with its key.
//!
//! Microsoft's crates sign with tokens of Entra ID alone, and those that sign with the key bring an RSA along that has a known
//! flaw. Of the signature of <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key> these requests,
//! which have no content, need little.

use std::{fmt::Write as _, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, StatusCode, body::Bytes};
use jiff::Timestamp;
use ring::hmac;
use serde::Deserialize;
use url::Url;

use super::AzureAccess;
use crate::https::{self, HttpsError};

/// The version of the protocol that the requests are of.
const VERSION: &str = "2025-01-05";

/// How long the server may take for one request.
const LIMIT: Duration = Duration::from_secs(20);

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum AzureRequestError {
    /// The account's address or key is not what it should be.
    #[error("cannot make a request to the storage account {0}")]
    Account(String),
    /// The server cannot be talked to.
    #[error("cannot {what}")]
    Https {
        /// What was to be done.
        what: String,
        /// Why.
        #[source]
        source: HttpsError,
    },
    /// The server refused.
    #[error("cannot {what}: {status}: {text}")]
    Refused {
        /// What was to be done.
        what: String,
        /// The status of the answer.
        status: StatusCode,
        /// The answer.
        text: String,
    },
    /// The server's list is no such list.
    #[error("cannot read the list of blobs")]
    List(#[from] quick_xml::DeError),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BlobList {
    blobs: Blobs,
}

#[derive(Default, Deserialize)]
struct Blobs {
    #[serde(rename = "Blob", default)]
    blobs: Vec<Blob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Blob {
    name: String,
}

impl AzureAccess {
    /// Makes the container `name`, if it is not there.
    ///
    /// # Errors
    /// When the server refuses, as it does for another key than the account's.
    pub async fn create_container(&self, name: &str) -> Result<(), AzureRequestError> {
        let what = format!("make the container {name}");
        match self.request(&what, Method::PUT, name, &[("restype", "container")]).await {
            Ok(_) | Err(AzureRequestError::Refused { status: StatusCode::CONFLICT, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The names of all blobs of a container, sorted.
    ///
    /// # Errors
    /// When the server refuses, or there is no such container.
    pub async fn blobs(&self, container: &str) -> Result<Vec<String>, AzureRequestError> {
        let what = format!("list the container {container}");
        let query = [("comp", "list"), ("restype", "container")];
        let text = self.request(&what, Method::GET, container, &query).await?;
        let list: BlobList = quick_xml::de::from_str(&text)?;
        let mut names: Vec<_> = list.blobs.blobs.into_iter().map(|blob| blob.name).collect();
        names.sort();
        Ok(names)
    }

    /// Sends a request on a container. The names in `query` are sorted, as the signature has them.
    async fn request(
        &self,
        what: &str,
        method: Method,
        container: &str,
        query: &[(&str, &str)],
    ) -> Result<String, AzureRequestError> {
        let unusable = || AzureRequestError::Account(self.endpoint.clone());
        let mut url = Url::parse(&format!("{}/{container}", self.endpoint)).map_err(|_| unusable())?;
        url.query_pairs_mut().extend_pairs(query);
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let key = STANDARD.decode(&self.key).map_err(|_| unusable())?;
        let text = string_to_sign(&method, &self.account, url.path(), query, &date);
        let signature = STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes()));
        let request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header("content-length", 0)
            .header("x-ms-date", date)
            .header("x-ms-version", VERSION)
            .header("authorization", format!("SharedKey {}:{signature}", self.account))
            .body(Empty::<Bytes>::new())
            .map_err(|_| unusable())?;
        let failed = |source| AzureRequestError::Https { what: what.to_owned(), source };
        let client = https::client(&self.certificate_authority).map_err(failed)?;
        let answer = async {
            let answer = client.request(request).await.map_err(HttpsError::from)?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(HttpsError::from)?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let answer = tokio::time::timeout(LIMIT, answer).await.unwrap_or(Err(HttpsError::TimedOut(LIMIT)));
        let (status, text) = answer.map_err(failed)?;
        if status.is_success() {
            return Ok(text);
        }
        Err(AzureRequestError::Refused { what: what.to_owned(), status, text })
    }
}

/// What the signature of a request without content is made of: its method, eleven headers of which it has none, those that
/// begin with `x-ms-`, and what it is on.
fn string_to_sign(method: &Method, account: &str, path: &str, query: &[(&str, &str)], date: &str) -> String {
    let none = "\n".repeat(11);
    let mut text = format!("{method}\n{none}x-ms-date:{date}\nx-ms-version:{VERSION}\n/{account}{path}");
    for (name, value) in query {
        let _ = write!(text, "\n{name}:{value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_as_the_protocol_says() {
        let query = [("comp", "list"), ("restype", "container")];
        let date = "Mon, 23 Nov 2026 01:20:00 GMT";
        assert_eq!(
            string_to_sign(&Method::GET, "account", "/account/backups", &query, date),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Mon, 23 Nov 2026 01:20:00 GMT\nx-ms-version:2025-01-05\n\
             /account/account/backups\ncomp:list\nrestype:container"
        );
    }

    #[test]
    fn a_list_of_blobs_is_read_with_and_without_any() {
        let names = |blobs: &str| {
            let text = format!(
                r#"<?xml version="1.0"?><EnumerationResults ServiceEndpoint="x"><Prefix/>{blobs}<NextMarker/></EnumerationResults>"#
            );
            let list: BlobList = quick_xml::de::from_str(&text).unwrap();
            list.blobs.blobs.into_iter().map(|blob| blob.name).collect::<Vec<_>>()
        };
        let blob = |name: &str| format!("<Blob><Name>{name}</Name><Properties><Etag>1</Etag></Properties></Blob>");
        assert_eq!(names("<Blobs/>"), Vec::<String>::new());
        assert_eq!(names(&format!("<Blobs>{}{}</Blobs>", blob("a/b"), blob("c"))), ["a/b", "c"]);
    }
}
