//! What other applications want to have backed up, and when: from what they declare to what Velero is to be told.
//!
//! All of it is pure. What Velero would not read is refused here, by the rules of Go, in which Velero is written: an object that it
//! cannot decode would keep it from reading the others of its kind as well.

mod cron;
mod declaration;
mod go_duration;
mod label;
mod occurrence;
mod period;
mod plan;
mod resource;
mod retention;
mod spec;
mod time_limit;
mod ttl;
mod volume_policy;

pub(crate) use cron::Cron;
pub(crate) use declaration::{Declaration, SpecId, Target};
pub(crate) use go_duration::GoDuration;
pub(crate) use label::{LONGEST_LABEL, is_label_key, is_label_value};
pub(crate) use plan::{BackupPlan, Defaults, PlannedSpec, PolicyPlan, SchedulePlan, ScheduledBackup};
pub(crate) use resource::ResourceKind;
pub(crate) use retention::{PastBackup, Retention, Standing, Verdict, judge, undercut};
pub(crate) use spec::BackupSpec;
pub(crate) use time_limit::TimeLimit;
pub(crate) use ttl::Ttl;
pub(crate) use volume_policy::{VolumeAction, VolumePolicies, VolumeTraits};
