//! Restore drills: a backup is restored into scratch namespaces, and compared with what was backed up.

pub(crate) mod book;
