//! What the last hook has seen, as it tells the observer.

use std::{
    fs,
    io::{self, Write},
    time::SystemTime,
};

use tempfile::NamedTempFile;

use super::{LastLook, ObserverError, busy::Busy, place::Place};

/// The note of the last hook, and when that hook was.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Note {
    pub look: LastLook,
    written: Option<SystemTime>,
}

impl Note {
    /// Leaves a note for the observer.
    pub(super) fn leave(place: &Place, look: &LastLook) -> Result<(), ObserverError> {
        let write = || {
            fs::create_dir_all(place.folder())?;
            Busy::prepare(place)?;
            let mut file = NamedTempFile::new_in(place.folder())?;
            serde_json::to_writer(&mut file, look)?;
            file.flush()?;
            file.persist(place.note())?;
            Ok(())
        };
        write().map_err(|source: io::Error| ObserverError::File { path: place.note(), source })
    }

    /// Reads the note that is there, if it is another than `self`. One that cannot be read tells nothing.
    pub(super) fn next(&self, place: &Place) -> Option<Self> {
        let written = fs::metadata(place.note()).and_then(|metadata| metadata.modified()).ok();
        if written == self.written {
            return None;
        }
        let look = fs::read(place.note()).ok().and_then(|text| serde_json::from_slice(&text).ok()).flatten();
        Some(Self { look, written })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_note_is_read_once_and_says_nothing_where_nothing_is_planned() {
        let charm = tempfile::tempdir().unwrap();
        let place = Place::in_charm(charm.path());
        assert_eq!(Note::default().next(&place), None);
        let look: LastLook = serde_json::from_value(
            json!({"expected": {"server": {"Hash": "0a"}, "node_agent": null, "location": true}, "seen": "0b"}),
        )
        .unwrap();
        Note::leave(&place, &look).unwrap();
        let note = Note::default().next(&place).unwrap();
        assert_eq!((&note.look, note.next(&place)), (&look, None));
        Note::leave(&place, &None).unwrap();
        assert_eq!(Note::default().next(&place).unwrap().look, None);
        fs::write(place.note(), "{").unwrap();
        assert_eq!(Note::default().next(&place).unwrap().look, None);
    }
}
