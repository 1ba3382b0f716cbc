//! What is to be known to conduct drills by their schedule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::book::DrillsSince;

/// By what drills are conducted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct DrillOrders {
    pub since: DrillsSince,
    /// How long one may take.
    pub timeout: Duration,
    /// Whether one waits until pods are ready that were.
    pub waits_for_pods: bool,
}
