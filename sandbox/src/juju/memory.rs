//! What Juju keeps for a whole hook or action: it reads that once, and answers with it whatever the controller learns meanwhile.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::relation::Whose;
use super::status::Status;

/// What the tools of one run have answered and go on answering.
#[derive(Default)]
pub(super) struct Memory {
    /// The unit's status, once asked for.
    pub status: Option<Status>,
    /// The configuration, once asked for.
    pub settings: Option<BTreeMap<String, Value>>,
    /// The settings in relations, each once asked for, without what this run writes.
    pub databags: BTreeMap<(u32, Whose), BTreeMap<String, String>>,
    /// The relations that the unit was in as the run began, and whether `relation-ids` names them.
    pub relations: BTreeMap<u32, bool>,
    /// A unit that was once found not to lead does not ask again, while one that leads does.
    pub does_not_lead: Cell<bool>,
}
