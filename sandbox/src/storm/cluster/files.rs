//! What lies in the store of each backup and restore, for those who are told where.

use std::{
    convert::Infallible,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
};

use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The files by what a `DownloadRequest` calls them. Of others there are none, as of what a Velero has not made.
const FILES: [(&str, &str); 4] = [
    ("BackupResourceList", r#"{"v1/ConfigMap":["ledger/book"],"v1/Namespace":["ledger"]}"#),
    ("BackupResults", r#"{"errors":{},"warnings":{}}"#),
    ("BackupVolumeInfos", "[]"),
    ("RestoreResults", r#"{"errors":{},"warnings":{}}"#),
];

/// A server of these files, for as long as this value lives.
pub(in crate::storm) struct Files {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Files {
    /// Serves them at an address of this machine.
    pub(in crate::storm) async fn serve(here: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((here, 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
        Ok(Self { address, serving })
    }

    /// Returns where a file is.
    pub(in crate::storm) fn address_of(&self, kind: &str) -> String {
        format!("http://{}/{kind}", self.address)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(stream: TcpStream) {
    let service = service_fn(|request: Request<_>| async move {
        let file = file(request.uri().path().trim_start_matches('/'));
        let status = if file.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let mut response = Response::new(Full::<Bytes>::from(file.unwrap_or_default()));
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    });
    // Whoever does not wait for the answer does not need it.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Returns a file as it lies in a store.
fn file(kind: &str) -> Option<Vec<u8>> {
    let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
    if kind == "BackupContents" {
        return archive(compressed).ok();
    }
    let (_, text) = FILES.iter().find(|(name, _)| *name == kind)?;
    compressed.write_all(text.as_bytes()).ok()?;
    compressed.finish().ok()
}

/// Returns the archive of a backup with what is on its list.
fn archive(compressed: GzEncoder<Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(compressed);
    let (book, ledger) = (
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "book", "namespace": "ledger"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ledger"}}),
    );
    for (path, object) in [
        ("resources/configmaps/namespaces/ledger/book.json", book),
        ("resources/namespaces/cluster/ledger.json", ledger),
    ] {
        let content = object.to_string();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes())?;
    }
    builder.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_file_lies_compressed_in_the_store_and_others_do_not() {
        let mut text = String::new();
        GzDecoder::new(file("BackupVolumeInfos").unwrap().as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), file("BackupItemOperations")), ("[]", None));
        let archive = file("BackupContents").unwrap();
        assert_eq!(tar::Archive::new(GzDecoder::new(archive.as_slice())).entries().unwrap().count(), 2);
    }
}
