//! The container images of the sandbox. There is no registry to pull from: each is made here, of files that are here.

mod archive;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use archive::{Entry, Image, ROOT};
use data_encoding::HEXLOWER;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    folders::{self, FolderError},
    packages,
    progress::Progress,
    tools::{self, Tool, ToolError},
};

/// The image of every pod's sandbox.
pub const PAUSE: &str = "docker.io/library/pause:sandbox";

/// An image with a shell, for workloads.
pub const BUSYBOX: &str = "docker.io/library/busybox:1.36";

/// The image of Velero's plugin for Google Cloud Storage. It has the tag that the charm asks for; in it is the version of
/// `tools/`, one patch older, as Go's module proxy has not all that the newer one needs.
pub const VELERO_PLUGIN_FOR_GCP: &str = "docker.io/velero/velero-plugin-for-gcp:v1.14.3";

/// The image of Velero's plugin for Azure. It has the tag that the charm asks for; in it is the version of `tools/`, as a newer
/// one cannot be built from Go's module proxy.
pub const VELERO_PLUGIN_FOR_MICROSOFT_AZURE: &str = "docker.io/velero/velero-plugin-for-microsoft-azure:v1.14.0";

/// What Debian's certificates of authorities are read from, and where images have them.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The commands that a workload of a test may want; busybox is them all, by the name that it is run under.
const APPLETS: [&str; 24] = [
    "sh",
    "cat",
    "chmod",
    "cp",
    "date",
    "dd",
    "echo",
    "env",
    "find",
    "grep",
    "head",
    "id",
    "ls",
    "md5sum",
    "mkdir",
    "mv",
    "nc",
    "nslookup",
    "rm",
    "sha256sum",
    "sleep",
    "sync",
    "touch",
    "wget",
];

/// The Go module of Velero.
const VELERO_MODULE: &str = "github.com/vmware-tanzu/velero";

/// Changes when an image is put together in another way, of the same programs.
const RECIPE: u32 = 2;

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no cache folder.
    #[error("cannot keep the images that are made")]
    Folder(#[from] FolderError),
    /// A program of the image could not be built.
    #[error("cannot make an image of what is built")]
    Tool(#[from] ToolError),
    /// A program of the image is not installed.
    #[error("{program} is not installed")]
    NotInstalled {
        /// The program.
        program: &'static str,
    },
    /// The archive could not be written.
    #[error("cannot make the image {image}")]
    Write {
        /// The image's name.
        image: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A plugin of Velero's, for one kind of object store.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plugin {
    /// S3.
    Aws,
    /// Azure Blob.
    Azure,
    /// Google Cloud Storage.
    Gcp,
}

impl Plugin {
    /// What it is built from.
    #[must_use]
    pub fn tool(self) -> &'static Tool {
        match self {
            Self::Aws => &tools::VELERO_PLUGIN_FOR_AWS,
            Self::Azure => &tools::VELERO_PLUGIN_FOR_MICROSOFT_AZURE,
            Self::Gcp => &tools::VELERO_PLUGIN_FOR_GCP,
        }
    }

    /// The name of its image, as the charm asks for it.
    #[must_use]
    pub fn image(self) -> String {
        match self {
            Self::Aws => velero_plugin_for_aws_name(),
            Self::Azure => VELERO_PLUGIN_FOR_MICROSOFT_AZURE.to_owned(),
            Self::Gcp => VELERO_PLUGIN_FOR_GCP.to_owned(),
        }
    }
}

/// The archives of the images that every cluster needs, made if they have not been yet.
///
/// # Errors
/// When a program of an image cannot be built or is not installed, or an archive cannot be written.
pub async fn archives(progress: &Progress) -> Result<Vec<PathBuf>, ImageError> {
    let velero = tools::folder(&tools::VELERO, progress).await?;
    let busybox = packages::program("busybox").ok_or(ImageError::NotInstalled { program: "busybox" })?;
    let cache = folders::cache()?.join("images");
    [pause_image(&busybox), busybox_image(&busybox), velero_image(&velero)]
        .iter()
        .map(|image| archived(image, &cache, progress))
        .collect()
}

/// The archive of a plugin's image, made if it has not been yet.
///
/// # Errors
/// As [`archives`].
pub async fn plugin_archive(plugin: Plugin, progress: &Progress) -> Result<PathBuf, ImageError> {
    let built = tools::folder(plugin.tool(), progress).await?;
    let image = plugin_image(plugin.image(), plugin.tool().name, &built);
    archived(&image, &folders::cache()?.join("images"), progress)
}

/// The archive of an image whose server is the same as that of [`velero_name`] and calls itself another version, of as many
/// characters. It and what it is made of are in `folder`.
///
/// # Errors
/// As [`archives`].
pub async fn velero_that_calls_itself(
    version: &str,
    name: &str,
    folder: &Path,
    progress: &Progress,
) -> Result<PathBuf, ImageError> {
    let built = tools::folder(&tools::VELERO, progress).await?;
    let failed = |source| ImageError::Write { image: name.to_owned(), source };
    for program in tools::VELERO.programs {
        fs::copy(built.join(program), folder.join(program)).map_err(failed)?;
    }
    let server = folder.join("velero");
    let own = tools::VELERO.required_version(VELERO_MODULE).unwrap_or_default();
    let renamed = replaced(&fs::read(&server).map_err(failed)?, own.as_bytes(), version.as_bytes());
    fs::write(&server, renamed.ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?).map_err(failed)?;
    archived(&Image { name: name.to_owned(), ..velero_image(folder) }, folder, progress)
}

/// `bytes` with every `old` replaced by a `new` of the same length; `None` when there is none.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    if old.len() != new.len() || old.is_empty() {
        return None;
    }
    let mut changed = bytes.to_vec();
    let mut places = memmem::find_iter(bytes, old).peekable();
    places.peek()?;
    for place in places {
        changed.get_mut(place..place + new.len())?.copy_from_slice(new);
    }
    Some(changed)
}

/// The name of Velero's image, at the version that is built.
#[must_use]
pub fn velero_name() -> String {
    name_of(&tools::VELERO, VELERO_MODULE)
}

/// The name of the image of Velero's plugin for S3, at the version that is built.
#[must_use]
pub fn velero_plugin_for_aws_name() -> String {
    name_of(&tools::VELERO_PLUGIN_FOR_AWS, "github.com/vmware-tanzu/velero-plugin-for-aws")
}

fn name_of(tool: &Tool, module: &str) -> String {
    format!("docker.io/velero/{}:{}", tool.name, tool.required_version(module).unwrap_or("latest"))
}

fn archived(image: &Image, cache: &Path, progress: &Progress) -> Result<PathBuf, ImageError> {
    let failed = |source| ImageError::Write { image: image.name.clone(), source };
    fs::create_dir_all(cache).map_err(failed)?;
    let archive = cache.join(format!("{}.tar", key(image).map_err(failed)?));
    if archive.is_file() {
        return Ok(archive);
    }
    progress.tell(&format!("making the image {}", image.name));
    let scratch = tempfile::Builder::new().prefix("unfinished-").tempdir_in(cache).map_err(failed)?;
    let unfinished = scratch.path().join("image.tar");
    archive::write(image, &unfinished, scratch.path()).map_err(failed)?;
    fs::rename(unfinished, &archive).map_err(failed)?;
    Ok(archive)
}

/// What an archive is known by. A file counts with its path, size and time of change: the built programs' paths change with
/// their pins, and Debian's files get a new time with each version, so that nothing need be read to see that nothing changed.
fn key(image: &Image) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{RECIPE} {image:?}"));
    for entry in &image.entries {
        if let Entry::Copy { from, .. } = entry {
            let metadata = fs::metadata(from)?;
            hash.update(format!("{} {:?}", metadata.len(), metadata.modified()?));
        }
    }
    Ok(HEXLOWER.encode(&hash.finalize()[..8]))
}

fn program(path: &str, from: PathBuf) -> Entry {
    Entry::Copy { path: path.to_owned(), from, mode: 0o755 }
}

/// Folders and files that every program expects.
fn base() -> Vec<Entry> {
    let accounts =
        "root:x:0:0:root:/root:/bin/sh\ncnb:x:1002:1000::/home/cnb:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/sh\n";
    vec![
        Entry::Folder { path: "tmp", mode: 0o1777, owner: ROOT },
        Entry::Folder { path: "root", mode: 0o700, owner: ROOT },
        Entry::Folder { path: "etc", mode: 0o755, owner: ROOT },
        Entry::Text { path: "etc/passwd", text: accounts.into(), mode: 0o644 },
        Entry::Text { path: "etc/group", text: "root:x:0:\ncnb:x:1000:\nnonroot:x:65532:\n".into(), mode: 0o644 },
    ]
}

fn pause_image(busybox: &Path) -> Image {
    Image {
        name: PAUSE.to_owned(),
        entries: vec![program("bin/busybox", busybox.to_owned())],
        // The runtime ends a pod's sandbox with a signal that nothing can ignore, so there is none to wait for.
        entrypoint: ["/bin/busybox", "sleep", "2147483647"].map(str::to_owned).into(),
        user: "65532:65532",
        environment: vec![],
    }
}

fn busybox_image(busybox: &Path) -> Image {
    let mut entries = base();
    entries.push(program("bin/busybox", busybox.to_owned()));
    entries.extend(APPLETS.map(|applet| Entry::Link { path: format!("bin/{applet}"), target: "busybox" }));
    Image {
        name: BUSYBOX.to_owned(),
        entries,
        entrypoint: vec!["/bin/sh".to_owned()],
        user: "",
        environment: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
    }
}

/// As upstream's: the programs at the root, and a user other than root with a home that nobody else may write.
fn velero_image(velero: &Path) -> Image {
    let mut entries = base();
    entries.extend(tools::VELERO.programs.iter().map(|name| program(name, velero.join(name))));
    entries.push(Entry::Copy { path: CERTIFICATES.to_owned(), from: Path::new("/").join(CERTIFICATES), mode: 0o644 });
    entries.push(Entry::Folder { path: "home/cnb", mode: 0o750, owner: (1002, 1000) });
    Image {
        name: velero_name(),
        entries,
        entrypoint: vec![],
        // By name, as upstream's: a cluster cannot tell by it whether it is root.
        user: "cnb:cnb",
        environment: vec!["PATH=/"],
    }
}

/// As upstream's: the plugin, and what copies it into the server's pod.
fn plugin_image(name: String, plugin: &str, folder: &Path) -> Image {
    Image {
        name,
        entries: vec![
            program("bin/cp-plugin", folder.join("cp-plugin")),
            program(&format!("plugins/{plugin}"), folder.join(plugin)),
        ],
        entrypoint: vec!["/bin/cp-plugin".to_owned(), format!("/plugins/{plugin}"), format!("/target/{plugin}")],
        user: "65532:65532",
        environment: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn velero_images_have_the_names_that_the_charm_asks_for() {
        assert_eq!(velero_name(), "docker.io/velero/velero:v1.18.3");
        assert_eq!(velero_plugin_for_aws_name(), "docker.io/velero/velero-plugin-for-aws:v1.14.3");
    }

    #[test]
    fn a_version_is_replaced_wherever_it_stands() {
        assert_eq!(replaced(b"v1.2 and v1.2", b"v1.2", b"v1.9").unwrap(), b"v1.9 and v1.9");
        assert_eq!(replaced(b"v1.2", b"v1.3", b"v1.9"), None);
        assert_eq!(replaced(b"v1.2", b"v1.2", b"v1.10"), None);
    }

    #[test]
    fn the_same_files_make_the_same_archive_and_only_once() {
        let cache = tempfile::tempdir().unwrap();
        let busybox = cache.path().join("busybox");
        fs::write(&busybox, "program").unwrap();
        let archive = archived(&busybox_image(&busybox), cache.path(), &Progress::silent()).unwrap();
        let again = archived(&busybox_image(&busybox), cache.path(), &Progress::new(|line| panic!("{line}"))).unwrap();
        assert_eq!(archive, again);

        fs::write(&busybox, "another program").unwrap();
        assert_ne!(archived(&busybox_image(&busybox), cache.path(), &Progress::silent()).unwrap(), archive);
    }
}
