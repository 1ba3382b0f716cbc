//! `cargo sandbox demo`: the whole story, as a person runs it.

use std::{fs, path::Path, process::Output, time::Duration};

use sandbox::program;
use tempfile::TempDir;
use tokio::{process::Command, runtime::Builder, time::timeout};

/// Runs the demo, which keeps its state in the folder `state`.
fn demo(state: &Path, arguments: &[&str]) -> Output {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut command = Command::new(program::path().await.unwrap());
        command.arg("demo").args(arguments).env("XDG_STATE_HOME", state).kill_on_drop(true);
        timeout(Duration::from_mins(10), command.output()).await.unwrap().unwrap()
    })
}

/// Runs the demo with a kind of store, and checks what it tells and leaves.
fn comes_to_its_good_end(arguments: &[&str], storage: &str, container: &str) {
    let state = TempDir::new().unwrap();
    let output = demo(state.path(), arguments);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let mut lines = told.lines();
    for part in [
        &format!("with an empty {container} backups"),
        "$ juju deploy velero-operator --trust",
        "velero-operator/0 is blocked: no storage",
        &format!("$ juju integrate velero-operator {storage}-"),
        "velero-operator/0 is active: ready",
        "$ juju integrate velero-operator:velero-backups notes",
        "1 volume of notes is backed up without its data: its pods are not in the backup: set add-pods-to-backups=true",
        "$ juju config velero-operator add-pods-to-backups=true",
        "velero-operator/0 is active: ready",
        r#"$ juju run velero-operator/0 run command="backup create nightly --wait""#,
        "Backup completed with status: Completed",
        "$ kubectl delete namespace demo-workload",
        r#"$ juju run velero-operator/0 run command="restore create --from-backup nightly --wait""#,
        "Restore completed with status: Completed",
        ": the same as before",
        "the Schedule notes-backups-",
        "$ juju run velero-operator/0 list-backups app=notes",
        "| notes-backups-",
        "$ juju remove-application notes",
        "its Schedule is gone with it, and its backups stay",
        "$ juju run velero-operator/0 restore backup=notes-backups-",
        ": the same as before",
        "$ juju run velero-operator/0 verify-backup backup=notes-backups-",
        "1 volume of 1.0 MiB came back into a scratch namespace",
        "$ juju remove-application velero-operator",
        "namespace demo is empty",
        &format!("in the {container}: still"),
        "All of it was as it should be.",
    ] {
        assert!(lines.any(|line| line.contains(part)), "{part:?} is not told, or not in its place: {told}");
    }
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0, "the state folder is left");
}

#[test]
fn the_demo_comes_to_its_good_end_and_leaves_nothing() {
    comes_to_its_good_end(&[], "s3", "bucket");
}

#[test]
fn the_demo_is_told_with_google_cloud_storage() {
    comes_to_its_good_end(&["--storage", "gcs"], "gcs", "bucket");
}

#[test]
fn a_demo_that_cannot_go_on_says_why_and_fails() {
    let state = TempDir::new().unwrap();
    let output = demo(state.path(), &["--kubeconfig", "no-such-kubeconfig"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot read the kubeconfig no-such-kubeconfig"), "{error}");
}
