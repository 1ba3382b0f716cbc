//! A sample of the storm: the charm with one thing broken at a time, in each kind of hook and in each way.

use sandbox::{
    progress::Progress,
    storm::{self, Options},
};

/// How many of all cases are tried.
const CASES: usize = 300;

/// Between them they have each kind of hook, and an action.
const SCENARIOS: [&str; 13] = [
    "deploy",
    "relate-s3",
    "update-status",
    "default-volumes-to-fs-backup",
    "renew-azure",
    "relate-backups",
    "end-backups",
    "two-units",
    "upgrade-charm",
    "replace-pod",
    "create-backup",
    "end-s3",
    "remove",
];

#[test]
fn whatever_breaks_in_whichever_hook_it_ends_where_it_would_have_ended() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::sample(CASES, &SCENARIOS, folder.path().join("report.jsonl"));
    let outcome = storm::run(&options, &Progress::to_stderr()).unwrap();
    assert_eq!((outcome.cases, outcome.bad), (CASES, 0), "{}", outcome.text);
    // What waits for others makes requests that come in one run and not in the next. Most come.
    assert!(outcome.unreached * 20 < CASES, "{}", outcome.text);
}
