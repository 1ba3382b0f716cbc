//! OCI image archives, made from files.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// The owner of what belongs to nobody else.
pub const ROOT: (u64, u64) = (0, 0);

/// What one entry of an image's file system is.
#[derive(Debug)]
pub enum Entry {
    /// A folder that anybody may read, or, if so said, write.
    Folder {
        /// The path inside of the image, without the leading slash.
        path: &'static str,
        /// The permissions, such as `0o1777`.
        mode: u32,
        /// The user and the group that it belongs to.
        owner: (u64, u64),
    },
    /// A copy of a file of this machine.
    Copy {
        /// The path inside of the image, without the leading slash.
        path: String,
        /// The file of this machine.
        from: PathBuf,
        /// The permissions.
        mode: u32,
    },
    /// A file with a text.
    Text {
        /// The path inside of the image, without the leading slash.
        path: &'static str,
        /// What it says.
        text: String,
        /// The permissions.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// The path inside of the image, without the leading slash.
        path: String,
        /// What it points to.
        target: &'static str,
    },
}

/// An image to make.
#[derive(Debug)]
pub struct Image {
    /// The full name, such as `docker.io/library/busybox:1.36`.
    pub name: String,
    /// What is in it.
    pub entries: Vec<Entry>,
    /// What a container of it runs, unless told otherwise.
    pub entrypoint: Vec<String>,
    /// Who it runs as, `user` or `user:group` by number.
    pub user: &'static str,
    /// The environment of a container of it, `NAME=value` each.
    pub environment: Vec<&'static str>,
}

/// A blob of an archive: its digest (`sha256:…`) and its size in bytes.
struct Blob {
    digest: String,
    size: u64,
}

/// Writes `image` as an OCI archive into the file `archive`, using `scratch` for what has to be known before it is written.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(image: &Image, archive: &Path, scratch: &Path) -> io::Result<()> {
    let layer_file = scratch.join("layer.tar");
    write_layer(image, &layer_file)?;
    let layer = digest_of_file(&layer_file)?;
    let config = config(image, &layer);
    let config_blob = blob_of(&config);
    let manifest = manifest(&config_blob, &layer);
    let index = index(image, &blob_of(&manifest));

    let mut tar = Builder::new(io::BufWriter::new(File::create(archive)?));
    append_text(&mut tar, "oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string().as_bytes(), 0o644)?;
    append_text(&mut tar, "index.json", &index, 0o644)?;
    append_text(&mut tar, &blob_path(&config_blob), &config, 0o644)?;
    append_text(&mut tar, &blob_path(&blob_of(&manifest)), &manifest, 0o644)?;
    append_file(&mut tar, &blob_path(&layer), &layer_file, 0o644)?;
    tar.into_inner()?.flush()
}

fn write_layer(image: &Image, file: &Path) -> io::Result<()> {
    let mut tar = Builder::new(io::BufWriter::new(File::create(file)?));
    for entry in &image.entries {
        match entry {
            Entry::Folder { path, mode, owner: (user, group) } => {
                let mut header = header(EntryType::Directory, 0, *mode);
                header.set_uid(*user);
                header.set_gid(*group);
                tar.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            Entry::Copy { path, from, mode } => append_file(&mut tar, path, from, *mode)?,
            Entry::Text { path, text, mode } => append_text(&mut tar, path, text.as_bytes(), *mode)?,
            Entry::Link { path, target } => {
                let mut header = header(EntryType::Symlink, 0, 0o777);
                tar.append_link(&mut header, path, target)?;
            }
        }
    }
    tar.into_inner()?.flush()
}

fn append_file(tar: &mut Builder<impl Write>, path: &str, from: &Path, mode: u32) -> io::Result<()> {
    let file = File::open(from)?;
    let mut header = header(EntryType::Regular, file.metadata()?.len(), mode);
    tar.append_data(&mut header, path, file)
}

fn append_text(tar: &mut Builder<impl Write>, path: &str, text: &[u8], mode: u32) -> io::Result<()> {
    let mut header = header(EntryType::Regular, text.len() as u64, mode);
    tar.append_data(&mut header, path, text)
}

/// The time is always the same, and the owner root where nothing else is said, so that the same files make the same image.
fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn config(image: &Image, layer: &Blob) -> Vec<u8> {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Entrypoint": image.entrypoint, "Env": image.environment, "User": image.user },
        "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
    })
    .to_string()
    .into_bytes()
}

fn manifest(config: &Blob, layer: &Blob) -> Vec<u8> {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest, "size": config.size,
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest, "size": layer.size,
        }],
    })
    .to_string()
    .into_bytes()
}

fn index(image: &Image, manifest: &Blob) -> Vec<u8> {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest.digest,
            "size": manifest.size,
            "annotations": { "io.containerd.image.name": image.name },
        }],
    })
    .to_string()
    .into_bytes()
}

/// The machine's architecture by the name that Go, and so OCI, has for it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn blob_path(blob: &Blob) -> String {
    format!("blobs/sha256/{}", blob.digest.trim_start_matches("sha256:"))
}

fn blob_of(bytes: &[u8]) -> Blob {
    Blob { digest: digest(Sha256::digest(bytes).as_slice()), size: bytes.len() as u64 }
}

fn digest_of_file(path: &Path) -> io::Result<Blob> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Blob { digest: digest(hash.finalize().as_slice()), size });
        }
        hash.update(&buffer[..read]);
        size += read as u64;
    }
}

fn digest(hash: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(hash))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;

    fn read_back(path: &Path) -> HashMap<String, Vec<u8>> {
        let mut files = HashMap::new();
        for entry in tar::Archive::new(File::open(path).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        files
    }

    #[test]
    fn every_reference_of_an_archive_leads_to_a_blob_of_its_digest() {
        let scratch = tempfile::tempdir().unwrap();
        let archive = scratch.path().join("image.tar");
        let image = Image {
            name: "docker.io/example/image:1".into(),
            entries: vec![
                Entry::Folder { path: "tmp", mode: 0o1777, owner: ROOT },
                Entry::Text { path: "hello", text: "world".into(), mode: 0o644 },
                Entry::Link { path: "greeting".into(), target: "hello" },
            ],
            entrypoint: vec!["/hello".to_owned()],
            user: "65532",
            environment: vec!["HOME=/tmp"],
        };
        write(&image, &archive, scratch.path()).unwrap();
        let files = read_back(&archive);

        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            let bytes = &files[&digest.replace("sha256:", "blobs/sha256/")];
            assert_eq!(descriptor["size"], bytes.len());
            assert_eq!(blob_of(bytes).digest, digest);
            bytes.clone()
        };
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let index = json(&files["index.json"]);
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], image.name);
        let manifest = json(&blob(&index["manifests"][0]));
        let config = json(&blob(&manifest["config"]));
        blob(&manifest["layers"][0]);
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(config["config"]["User"], "65532");
    }
}
