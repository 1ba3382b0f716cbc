//! Where a model is kept on disk: so that verbs of different processes work on the same one, one at a time.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::names::UnitName;
use super::state::ModelState;

/// Files below this size are copied, larger ones are links where the file system allows it: a charm carries programs of many
/// megabytes, nobody writes into a program (who builds one anew puts another file in its place), and dozens of models that
/// each have them twice would fill a disk.
const LINK_FROM: u64 = 1024 * 1024;

/// Why the model's files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct StoreError {
    operation: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError { operation, path: path.to_owned(), source }
}

/// The folder of a model.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The folder of the model `name` under the sandbox's state folder; nothing is made yet.
    #[must_use]
    pub fn new(state: &Path, name: &str) -> Self {
        Self { directory: models_directory(state).join(name) }
    }

    /// Makes the folder, for its owner only: it holds credentials.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> Result<(), StoreError> {
        let create = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        create(&self.directory).map_err(failed("create", &self.directory))
    }

    /// The model's folder.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The log's file.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.directory.join("debug.log")
    }

    /// The folder of a unit's agent.
    #[must_use]
    pub fn agent_directory(&self, unit: &UnitName) -> PathBuf {
        self.directory.join("agents").join(unit.tag())
    }

    /// The copy of a charm that is taken on deploy and refresh.
    #[must_use]
    pub fn charm_directory(&self, application: &str, revision: u32) -> PathBuf {
        self.directory.join("charms").join(format!("{application}-{revision}"))
    }

    /// Waits until no other verb works on the model; the lock ends with the file.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn lock(&self, on_wait: impl FnOnce()) -> Result<File, StoreError> {
        let path = self.directory.join("lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => on_wait(),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        file.lock().map_err(failed("lock", &path))?;
        Ok(file)
    }

    /// The model, if it was saved before.
    ///
    /// # Errors
    /// When the file cannot be read or is not a model's.
    pub fn load(&self) -> Result<Option<ModelState>, StoreError> {
        let path = self.directory.join("model.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &path)(source)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| failed("read", &path)(error.into()))
    }

    /// Saves the model: whoever reads sees the old or the new one whole, also if the verb is killed.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, model: &ModelState) -> Result<(), StoreError> {
        let path = self.directory.join("model.json");
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
            file.write_all(&serde_json::to_vec(model)?)?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(failed("write", &path))
    }

    /// Adds a line to a file of JSON lines.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let path = self.directory.join(name);
        let write = || -> io::Result<()> {
            let mut line = serde_json::to_vec(value)?;
            line.push(b'\n');
            OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?.write_all(&line)
        };
        write().map_err(failed("write", &path))
    }

    /// Takes a copy of a charm for the application.
    ///
    /// # Errors
    /// When it cannot be read or the copy not be written.
    pub fn keep_charm(&self, source: &Path, application: &str, revision: u32) -> Result<PathBuf, StoreError> {
        let target = self.charm_directory(application, revision);
        copy_directory(source, &target)?;
        Ok(target)
    }

    /// Gives a unit a fresh copy of its charm; what the old one wrote there is lost.
    ///
    /// # Errors
    /// When the copy cannot be written.
    pub fn unpack_charm(&self, kept: &Path, unit: &UnitName) -> Result<(), StoreError> {
        copy_directory(kept, &self.agent_directory(unit).join("charm"))
    }

    /// Forgets the folder of a unit's agent.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_unit(&self, unit: &UnitName) -> Result<(), StoreError> {
        remove_directory(&self.agent_directory(unit))
    }

    /// Forgets all copies of an application's charm.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn forget_charms(&self, application: &str, revisions: u32) -> Result<(), StoreError> {
        (0..=revisions).try_for_each(|revision| remove_directory(&self.charm_directory(application, revision)))
    }

    /// Copies the whole model.
    ///
    /// # Errors
    /// When it cannot be read, or the copy not be written.
    pub fn keep(&self, folder: &Path) -> Result<(), StoreError> {
        copy_directory(&self.directory, folder)
    }

    /// Replaces the whole model by a copy.
    ///
    /// # Errors
    /// When the copy cannot be read, or the model not be written.
    pub fn put_back(&self, folder: &Path) -> Result<(), StoreError> {
        copy_directory(folder, &self.directory)
    }

    /// Forgets the whole model.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn forget(&self) -> Result<(), StoreError> {
        remove_directory(&self.directory)
    }
}

/// Where the models are under the sandbox's state folder.
pub(super) fn models_directory(state: &Path) -> PathBuf {
    state.join("models")
}

fn remove_directory(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes a folder a copy of another as packing does: links become copies of what they lead to, modes are kept. What is a copy already
/// stays, as to compare some hundred files costs less than to make them.
fn copy_directory(source: &Path, target: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(target).map_err(failed("create", target))?;
    for entry in fs::read_dir(target).map_err(failed("read", target))? {
        let there = entry.map_err(failed("read", target))?.path();
        let Some(name) = there.file_name() else { continue };
        if !is_copy(&source.join(name), &there) {
            remove(&there).map_err(failed("remove", &there))?;
        }
    }
    for entry in fs::read_dir(source).map_err(failed("read", source))? {
        let from = entry.map_err(failed("read", source))?.path();
        let Some(name) = from.file_name() else { continue };
        let to = target.join(name);
        let metadata = fs::metadata(&from).map_err(failed("read", &from))?;
        if metadata.is_dir() {
            copy_directory(&from, &to)?;
        } else if to.symlink_metadata().is_err() && !(is_program(&metadata) && linked(&from, &to)) {
            fs::copy(&from, &to).map_err(failed("copy", &from))?;
        }
    }
    Ok(())
}

/// Whether a file has the content and the mode of another; of folders, that both are one.
fn is_copy(of: &Path, there: &Path) -> bool {
    let (Ok(original), Ok(copy)) = (fs::metadata(of), fs::symlink_metadata(there)) else { return false };
    if original.is_dir() || copy.is_dir() {
        return original.is_dir() && copy.is_dir();
    }
    if (original.dev(), original.ino()) == (copy.dev(), copy.ino()) {
        return true;
    }
    // A program is long, and linked where it can be.
    copy.is_file()
        && !is_program(&original)
        && original.len() == copy.len()
        && original.permissions() == copy.permissions()
        && fs::read(of).is_ok_and(|original| fs::read(there).is_ok_and(|copy| copy == original))
}

fn is_program(file: &Metadata) -> bool {
    file.len() >= LINK_FROM && file.permissions().mode() & 0o100 != 0
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Whether a file could be linked: not to another file system, nor where links are forbidden or used up. What a symbolic
/// link leads to is linked, not the link.
fn linked(from: &Path, to: &Path) -> bool {
    fs::canonicalize(from).and_then(|from| fs::hard_link(from, to)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_kept_for_its_owner_only() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let store = Store::new(state.path(), "demo");
        store.create().expect("a folder");
        assert!(store.load().expect("no model yet").is_none());
        let mut model = ModelState::new("demo");
        model.next_task = 7;
        store.save(&model).expect("saved");
        assert_eq!(store.load().expect("read").expect("a model").next_task, 7);
        let mode = |path: PathBuf| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(store.directory().join("model.json")), 0o600);
        assert_eq!(mode(store.directory().to_owned()), 0o700);
    }

    #[test]
    fn a_model_is_put_back_as_it_was_kept() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (store, kept) = (Store::new(folder.path(), "demo"), folder.path().join("kept"));
        let write = |name: &str, text: &str| {
            let path = store.directory().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, text).expect("written");
            path
        };
        let content = |directory: &Path| {
            let mut found = Vec::new();
            let mut folders = vec![directory.to_owned()];
            while let Some(next) = folders.pop() {
                for entry in fs::read_dir(next).expect("a folder") {
                    let path = entry.expect("an entry").path();
                    let metadata = fs::symlink_metadata(&path).expect("metadata");
                    let name = path.strip_prefix(directory).expect("a path in it").to_owned();
                    let text = fs::read_to_string(&path).ok();
                    found.push((name, metadata.file_type(), metadata.permissions().mode(), text));
                    folders.extend(metadata.is_dir().then_some(path));
                }
            }
            found.sort_by(|one, other| one.0.cmp(&other.0));
            found
        };
        for name in ["changed", "as-long", "other-mode", "a/gone", "to-link", "to-folder", "b/to-file", "stays"] {
            write(name, name);
        }
        store.keep(&kept).expect("kept");
        let before = content(store.directory());
        write("changed", "something longer");
        write("as-long", "xx-long");
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(store.directory().join("other-mode"), mode).expect("a mode");
        fs::remove_dir_all(store.directory().join("a")).expect("removed");
        write("new/one", "new");
        for name in ["to-link", "to-folder"] {
            fs::remove_file(store.directory().join(name)).expect("removed");
        }
        std::os::unix::fs::symlink(kept.join("to-link"), store.directory().join("to-link")).expect("a link");
        write("to-folder/one", "new");
        fs::remove_dir_all(store.directory().join("b")).expect("removed");
        write("b", "a file");
        assert_ne!(content(store.directory()), before);
        store.put_back(&kept).expect("put back");
        assert_eq!(content(store.directory()), before);
    }

    #[test]
    fn two_verbs_do_not_work_on_a_model_at_once() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let store = Store::new(state.path(), "demo");
        store.create().expect("a folder");
        let held = store.lock(|| panic!("nobody else has it")).expect("locked");
        let (waiting, told) = std::sync::mpsc::channel();
        let other = store.clone();
        let thread = std::thread::spawn(move || other.lock(|| waiting.send(()).expect("a listener")).map(|_| ()));
        told.recv().expect("the other waits");
        drop(held);
        thread.join().expect("no panic").expect("locked");
    }
}
