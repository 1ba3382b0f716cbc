//! Whether a hook or an action of the unit runs. What the observer would ask for meanwhile would only queue up behind it.

use std::{
    fs::{self, File},
    thread,
    time::Duration,
};

use super::place::Place;

/// How often a hook tries to mark its run, and how long it waits between. The observer holds the lock for a moment when it looks.
const ATTEMPTS: usize = 5;
const MOMENT: Duration = Duration::from_millis(1);

/// The mark of a hook or an action that runs. It ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Busy {
    _file: File,
}

impl Busy {
    /// Marks this process as a running hook or action, where there has been an observer. Without the mark, an observer may ask for a
    /// hook too many.
    pub(crate) fn mark(place: &Place) -> Option<Self> {
        let file = File::open(place.busy()).ok()?;
        let take = |attempt: usize| {
            if attempt > 0 {
                thread::sleep(MOMENT);
            }
            file.try_lock().is_ok()
        };
        (0..ATTEMPTS).any(take).then_some(Self { _file: file })
    }

    /// Makes what is marked.
    pub(super) fn prepare(place: &Place) -> std::io::Result<()> {
        fs::OpenOptions::new().create(true).append(true).open(place.busy()).map(drop)
    }

    /// Whether a hook or an action runs.
    pub(super) fn is_marked(place: &Place) -> bool {
        File::open(place.busy()).is_ok_and(|file| file.try_lock().is_err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_marked_as_long_as_it_lasts() {
        let charm = tempfile::tempdir().unwrap();
        let place = Place::in_charm(charm.path());
        assert!(Busy::mark(&place).is_none() && !Busy::is_marked(&place));
        fs::create_dir(place.folder()).unwrap();
        Busy::prepare(&place).unwrap();
        assert!(!Busy::is_marked(&place));
        let run = Busy::mark(&place).unwrap();
        assert!(Busy::is_marked(&place));
        drop(run);
        assert!(!Busy::is_marked(&place));
    }
}
