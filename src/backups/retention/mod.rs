//! Which of the backups of an application are kept, and which go.

mod judgement;
mod policy;
mod undercut;

pub(crate) use judgement::{PastBackup, Standing, Verdict, judge};
pub(crate) use policy::Retention;
pub(crate) use undercut::undercut;
