//! Who the observer is: at most one of a unit, of one build of the charm.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
};

use super::{ObserverError, place::Place};

/// The program of this process, as the file that it is.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The lock of a running observer. It is free as soon as that ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// The observer that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Holder {
    /// The id of its process.
    pub process: i32,
    /// Which build of the charm it is of.
    pub build: String,
}

/// Returns what tells this build of the charm from others.
pub(super) fn own_build() -> Result<String, ObserverError> {
    let program = fs::metadata(OWN_PROGRAM).map_err(ObserverError::Program)?;
    let (device, number, size) = (program.dev(), program.ino(), program.size());
    Ok(format!("{}-{device}-{number}-{size}-{}.{}", env!("CARGO_PKG_VERSION"), program.mtime(), program.mtime_nsec()))
}

impl Lock {
    /// Takes the lock for this process; `None` where an observer runs.
    pub(super) fn take(place: &Place, build: &str) -> Result<Option<Self>, ObserverError> {
        let failed = |source| ObserverError::File { path: place.lock(), source };
        // What another one has written there is still true.
        let mut file =
            OpenOptions::new().create(true).truncate(false).write(true).open(place.lock()).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        file.write_all(format!("{} {build}\n", std::process::id()).as_bytes()).map_err(failed)?;
        Ok(Some(Self { file }))
    }

    /// Whether the charm's directory has gone, and with it the lock: another observer could run by now.
    pub(super) fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
}

impl Holder {
    /// Returns the observer that runs, if one does.
    pub(super) fn of(place: &Place) -> Result<Option<Self>, ObserverError> {
        let failed = |source| ObserverError::File { path: place.lock(), source };
        let file = match File::open(place.lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let text = io::read_to_string(file).map_err(failed)?;
        let holder = text
            .trim_end()
            .split_once(' ')
            .and_then(|(process, build)| Some(Self { process: process.parse().ok()?, build: build.to_owned() }));
        // It is told only as it begins, and the hook that starts it waits for that.
        holder.map(Some).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_observer_at_a_time_and_it_is_known() {
        let charm = tempfile::tempdir().unwrap();
        let place = Place::in_charm(charm.path());
        fs::create_dir(place.folder()).unwrap();
        assert_eq!(Holder::of(&place).unwrap(), None);
        let lock = Lock::take(&place, "1.2.3-4").unwrap().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Holder::of(&place).unwrap(), Some(Holder { process: own, build: "1.2.3-4".to_owned() }));
        assert!(Lock::take(&place, "1.2.3-4").unwrap().is_none());
        drop(lock);
        assert_eq!(Holder::of(&place).unwrap(), None);
        assert!(Lock::take(&place, "1.2.3-5").unwrap().is_some());
    }

    #[test]
    fn a_lock_goes_with_the_charms_directory() {
        let charm = tempfile::tempdir().unwrap();
        let place = Place::in_charm(charm.path());
        fs::create_dir(place.folder()).unwrap();
        let lock = Lock::take(&place, "1.2.3-4").unwrap().unwrap();
        assert!(!lock.is_gone());
        fs::remove_dir_all(place.folder()).unwrap();
        assert!(lock.is_gone());
    }

    #[test]
    fn a_build_is_told_from_another_and_is_the_same_each_time() {
        assert_eq!(own_build().unwrap(), own_build().unwrap());
        assert!(own_build().unwrap().len() > env!("CARGO_PKG_VERSION").len() + 8);
    }
}
