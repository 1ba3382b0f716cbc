//! The labels of what drills make.

use std::collections::BTreeMap;

use crate::velero::{
    names::{INSTANCE, MANAGED_BY},
    wanted::label_value::label_value,
};

/// The label of the objects of a drill in Velero's namespace.
pub(super) const DRILL: &str = "velero-operator/drill";

/// Returns the labels of an application's own object, and one more that it may have.
pub(super) fn own_labels(application: &str, more: Option<(&str, &str)>) -> BTreeMap<String, String> {
    let labels = [(MANAGED_BY.0, MANAGED_BY.1), (INSTANCE, application)].into_iter().chain(more);
    labels.map(|(key, value)| (key.to_owned(), label_value(value).into_owned())).collect()
}

/// Returns the selector of what an application's drills have in Velero's namespace.
pub(super) fn selector(application: &str) -> String {
    format!("{DRILL},{INSTANCE}={}", label_value(application))
}
