//! Answers of a program that depend on nothing but the program and its arguments, kept from hook to hook.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use data_encoding::HEXLOWER;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// A folder with one answer per key. It only saves time and memory, and may be deleted at any time.
#[derive(Clone, Debug)]
pub(super) struct DryRunCache {
    directory: PathBuf,
}

/// A key with everything that its answer depends on.
#[derive(Debug)]
pub(super) struct Key {
    /// What is asked; of all keys of a name only the last answer is kept.
    name: &'static str,
    fingerprint: String,
}

impl Key {
    /// Returns the key for a run of `program`, which is identified by its size and time. `None` when it is not there.
    pub(super) fn new(name: &'static str, program: &Path, arguments: &[String]) -> Option<Self> {
        let metadata = fs::metadata(program).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let mut hash = Sha256::new();
        hash.update(format!("{} {}", metadata.len(), modified.as_nanos()));
        for argument in arguments {
            hash.update([0]);
            hash.update(argument);
        }
        Some(Self { name, fingerprint: HEXLOWER.encode(&hash.finalize()) })
    }
}

impl DryRunCache {
    /// Returns a cache in a folder that need not be there yet.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Returns the answer, if it was kept and can be read.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        serde_json::from_slice(&fs::read(self.path(key)).ok()?).ok()
    }

    /// Keeps an answer for the next hook. Where it cannot be kept, the next hook asks again.
    pub(super) fn put<T: Serialize>(&self, key: &Key, answer: &T) {
        if let Err(error) = self.try_put(key, answer) {
            tracing::debug!("cannot keep what the velero CLI said: {error}");
        }
    }

    fn try_put<T: Serialize>(&self, key: &Key, answer: &T) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let outdated = format!("{}-", key.name);
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&outdated)) {
                fs::remove_file(entry.path())?;
            }
        }
        let mut file = NamedTempFile::new_in(&self.directory)?;
        serde_json::to_writer(&mut file, answer)?;
        file.flush()?;
        file.persist(self.path(key))?;
        Ok(())
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory.join(format!("{}-{}.json", key.name, key.fingerprint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_to_each_key_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "one").unwrap();
        let cache = DryRunCache::new(folder.path().join("cache"));
        let ask = |name, argument: &str| Key::new(name, &program, &[argument.to_owned()]).unwrap();

        cache.put(&ask("version", ""), &"1");
        cache.put(&ask("install", "a"), &"A");
        cache.put(&ask("install", "b"), &"B");
        assert_eq!(cache.get::<String>(&ask("version", "")).as_deref(), Some("1"));
        assert_eq!(cache.get::<String>(&ask("install", "a")), None);
        assert_eq!(cache.get::<String>(&ask("install", "b")).as_deref(), Some("B"));

        fs::write(&program, "another").unwrap();
        assert_eq!(cache.get::<String>(&ask("install", "b")), None);
        assert!(Key::new("install", &folder.path().join("none"), &[]).is_none());
    }
}
