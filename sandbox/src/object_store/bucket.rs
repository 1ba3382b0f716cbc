//! A bucket of a server that keeps buckets as folders: what is in it can be seen without the server.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::fs::XattrFlags;
use serde_json::json;

/// The folder that the S3 server keeps in a bucket for itself.
const INTERNAL: &str = ".sgwtmp";

/// The end of the names of the files that the GCS server keeps beside objects, where the file system has no attributes for it.
const METADATA: &str = ".metadata";

/// Why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct BucketError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A bucket, by its folder.
#[derive(Clone, Debug)]
pub struct Bucket {
    folder: PathBuf,
}

impl Bucket {
    pub(super) fn create(folder: PathBuf) -> Result<Self, BucketError> {
        fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        Ok(Self { folder })
    }

    /// Lets a user do these things there and nothing else, such as `s3:GetObject`, by a policy as S3 has them.
    pub(super) fn allow(&self, access_key: &str, actions: &[&str]) -> Result<(), BucketError> {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let resources = [format!("arn:aws:s3:::{name}"), format!("arn:aws:s3:::{name}/*")];
        // What of them is about the bucket, and what about its objects, must not be in one statement.
        let (of_bucket, of_objects): (Vec<&str>, Vec<&str>) =
            actions.iter().copied().partition(|action| action.contains("Bucket"));
        let statements = [(of_bucket, &resources[0]), (of_objects, &resources[1])];
        let statements = statements.iter().filter(|(actions, _)| !actions.is_empty()).map(|(actions, resource)| {
            json!({"Effect": "Allow", "Principal": {"AWS": [access_key]}, "Action": actions, "Resource": resource})
        });
        let policy = json!({"Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>()}).to_string();
        self.set("policy", &policy)
    }

    /// Has each new object kept for so many days, by the bucket's own rule, which nobody can shorten.
    ///
    /// # Errors
    /// When the folder has no such attributes.
    pub fn lock_objects(&self, days: u32) -> Result<(), BucketError> {
        let rule = json!({"Enabled": true, "DefaultRetention": {"Mode": "COMPLIANCE", "Days": days}, "CreatedAt": Timestamp::now()});
        self.set("bucket-lock", &rule.to_string())
    }

    /// Sets what the S3 server keeps of a bucket in an attribute of its folder, and reads with each request.
    fn set(&self, name: &str, value: &str) -> Result<(), BucketError> {
        rustix::fs::setxattr(&self.folder, format!("user.{name}"), value.as_bytes(), XattrFlags::empty())
            .map_err(io::Error::from)
            .map_err(failed("set an attribute of", &self.folder))
    }

    /// The keys of all objects, sorted.
    ///
    /// # Errors
    /// When the bucket is not there, or changes while it is read.
    pub fn keys(&self) -> Result<Vec<String>, BucketError> {
        let mut keys = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
                let path = entry.map_err(failed("list", &folder))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name == INTERNAL || name.ends_with(METADATA) {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(key) = path.strip_prefix(&self.folder) {
                    keys.push(key.display().to_string());
                }
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// The content of the object `key`.
    ///
    /// # Errors
    /// When there is no such object.
    pub fn read(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        let path = self.folder.join(key);
        fs::read(&path).map_err(failed("read", &path))
    }

    /// Puts another content into the object `key` behind the server's back, as damage does. What the server notes of it stays.
    ///
    /// # Errors
    /// When there is no such object.
    pub fn damage(&self, key: &str, content: &[u8]) -> Result<(), BucketError> {
        let path = self.folder.join(key);
        let write = || io::Write::write_all(&mut fs::File::options().write(true).truncate(true).open(&path)?, content);
        write().map_err(failed("damage", &path))
    }

    /// Loses the object `key`.
    ///
    /// # Errors
    /// When there is no such object.
    pub fn lose(&self, key: &str) -> Result<(), BucketError> {
        let path = self.folder.join(key);
        fs::remove_file(&path).map_err(failed("remove", &path))
    }

    pub(super) fn moved_to(self, folder: PathBuf) -> Result<Self, BucketError> {
        // By name alone: what the server notes of an object is kept in the attributes of its file.
        fs::rename(&self.folder, &folder).map_err(failed("move a bucket to", &folder))?;
        Ok(Self { folder })
    }

    /// Removes the bucket with all that is in it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn destroy(&self) -> Result<(), BucketError> {
        fs::remove_dir_all(&self.folder).map_err(failed("remove", &self.folder))
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> BucketError {
    let path = path.to_owned();
    move |source| BucketError { action, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_files_below_the_bucket_without_the_servers_own() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::create(folder.path().join("bucket")).unwrap();
        for file in ["backups/one/one.tar.gz", "kopia/x", "kopia/x.metadata", ".sgwtmp/half"] {
            let path = folder.path().join("bucket").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        assert_eq!(bucket.keys().unwrap(), ["backups/one/one.tar.gz", "kopia/x"]);
        assert_eq!(bucket.read("kopia/x").unwrap(), b"kopia/x");
        let there = Bucket::create(folder.path().join("there")).unwrap();
        let bucket = bucket.moved_to(there.folder).unwrap();
        assert_eq!(bucket.read("kopia/x").unwrap(), b"kopia/x");
        assert!(!folder.path().join("bucket").exists());
        bucket.destroy().unwrap();
        assert!(bucket.keys().unwrap_err().to_string().starts_with("cannot list"));
    }
}
