//! What Juju's hook tools print.

use std::{collections::BTreeMap, error::Error};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Oracle,
    given::{PLANTED, assert_hidden, plant},
};
use crate::juju::{Databag, GoalState, Network, flat_map, read_printed};

const LONGEST_KEY: usize = 128;

/// Any output is refused without being repeated, or read; and what is read of a databag Juju reads again as the same.
pub(super) fn hook_tools(data: &[u8], oracle: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data);
    read::<bool>(&text);
    read::<Option<String>>(&text);
    read::<Option<Vec<String>>>(&text);
    read::<Option<Map<String, Value>>>(&text);
    if let Some(network) = read::<Option<Network>>(&text).flatten() {
        assert!(network.address().is_none_or(|address| !address.is_empty()));
    }
    if let Some(goal) = read::<Option<GoalState>>(&text).flatten() {
        for unit in goal.units.keys().cloned().chain(["velero-operator/0".to_owned()]) {
            let is_known = goal.units.contains_key(&unit);
            assert_eq!((goal.is_last(&unit).is_some(), goal.is_dying(&unit).is_some()), (is_known, is_known));
        }
        let staying = goal.units.values().filter(|unit| unit.status != "dying").count();
        let last = goal.units.keys().filter(|unit| goal.is_last(unit) == Some(true)).count();
        assert!(staying > 1 || last > 0 || goal.units.is_empty());
        assert!(staying < 2 || last == 0);
    }
    let Some(databag) = read::<Option<Databag>>(&text).flatten() else { return };
    let marked: Databag = databag.entries().map(|(key, _)| (key, PLANTED)).collect();
    assert_hidden(&format!("{marked:?}"));
    let entries: BTreeMap<_, _> = databag.entries().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let written = flat_map(&entries);
    assert_eq!(serde_json::from_str::<BTreeMap<String, String>>(&written).unwrap(), entries);
    // Those of the charm are short, and YAML has no longer ones.
    let are_short = entries.keys().all(|key| key.len() < LONGEST_KEY);
    if let Some(read) = are_short.then(|| oracle.ask("yaml", &written)).flatten() {
        assert_eq!(read, Ok(entries), "{written}");
    }
}

/// Returns what a tool's output says. The error of one that cannot be read has nothing of it.
fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    if let Ok(value) = read_printed("tool", text) {
        return Some(value);
    }
    let mut marked = text.to_owned();
    plant(&mut marked);
    if let Err(error) = read_printed::<T>("tool", &marked) {
        assert_hidden(&error.to_string());
        assert_hidden(&format!("{error:?}"));
        assert!(error.source().is_none());
    }
    None
}
