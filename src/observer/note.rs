//! What the last hook has seen, as it tells the observer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{ObserverError, busy::Busy, place::Place};
use crate::velero::{DrillOrders, Look, VolumeCount};

/// What a hook tells the observer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Told {
    /// What it expected, and how it has seen that last.
    pub look: Look,
    /// Whether a change waits for a backup or a restore to end.
    pub waits: bool,
    /// Whether this unit is the one to mend what somebody changes.
    pub leads: bool,
    /// How many volumes the backups of each Schedule are going to hold, by its name. Only the leader knows.
    pub volumes: BTreeMap<String, VolumeCount>,
    /// Whether files of volumes are encrypted with the password that everybody knows, where that is known.
    pub public_password: Option<bool>,
    /// By what this unit is to conduct restore drills, if it is to.
    pub drills: Option<DrillOrders>,
    /// Which drills have failed, where that was looked at.
    pub failed_drills: Option<BTreeSet<String>>,
}

/// The note of the last hook, and when that hook was.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Note {
    /// What it tells; nothing where nothing could be planned.
    pub told: Option<Told>,
    written: Option<SystemTime>,
}

impl Note {
    /// Leaves a note for the observer.
    pub(super) fn leave(place: &Place, told: Option<&Told>) -> Result<(), ObserverError> {
        let write = || {
            fs::create_dir_all(place.folder())?;
            Busy::prepare(place)?;
            let mut file = NamedTempFile::new_in(place.folder())?;
            serde_json::to_writer(&mut file, &told)?;
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
        let told = fs::read(place.note()).ok().and_then(|text| serde_json::from_slice(&text).ok()).flatten();
        Some(Self { told, written })
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
        let look = json!({"expected": {"server": {"Hash": "0a"}, "node_agent": null, "location": true}, "seen": "0b"});
        let told: Told =
            serde_json::from_value(json!({"look": look, "waits": true, "leads": true, "public_password": false,
            "volumes": {"nightly": {"with_data": 1, "without_data": 2}}, "failed_drills": ["0c"],
            "drills": {"since": {"schedule": "@daily", "since": "2026-01-31T10:00:00Z"}, "waits_for_pods": false,
                "timeout": {"secs": 7200, "nanos": 0}}}))
            .unwrap();
        Note::leave(&place, Some(&told)).unwrap();
        let note = Note::default().next(&place).unwrap();
        assert_eq!((note.told.as_ref(), note.next(&place)), (Some(&told), None));
        Note::leave(&place, None).unwrap();
        assert_eq!(Note::default().next(&place).unwrap().told, None);
        fs::write(place.note(), "{").unwrap();
        assert_eq!(Note::default().next(&place).unwrap().told, None);
    }
}
