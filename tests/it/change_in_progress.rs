//! Changes while a backup or a restore is really in progress: it ends well, and what would have failed it is done after it.

use crate::{deployed::Deployed, gate::Gate};

#[test]
fn a_backup_in_progress_ends_well_whatever_changes_meanwhile() {
    let mut deployed = Deployed::new("backup-in-progress");
    let world = deployed.world;
    let store = world.own_store("in-progress");
    let s3 = store.access().clone();
    let [here, there] = ["here", "there"].map(|name| {
        s3.bucket(name).unwrap();
        name
    });
    let fields =
        [("bucket", here), ("endpoint", &s3.endpoint), ("access-key", &s3.access_key), ("secret-key", &s3.secret_key)];
    deployed.configure("use-node-agent", "true");
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    assert_eq!(deployed.status(), "active: ready");
    let gate = Gate::new(&deployed);
    deployed.run_well(&format!("backup create slow --include-namespaces {}", gate.namespace));
    deployed.until_phase("Backup", "slow", "InProgress");
    let before = deployed.standing();

    // The place: the backup would begin in one and end in the other.
    deployed.publish(relation, "s3-credentials", &[("bucket", there)]);
    assert_eq!(deployed.status(), "waiting: to change the storage location until backup slow has ended");
    assert_eq!(deployed.standing(), before);
    deployed.update_status();
    assert_eq!(deployed.status(), "waiting: to change the storage location until backup slow has ended");
    assert_eq!(deployed.standing(), before);
    deployed.publish(relation, "s3-credentials", &[("bucket", here)]);
    assert_eq!(deployed.status(), "active: ready");

    // The credentials: those that the backup began with may be taken back, and it needs some to end.
    world.runtime.block_on(store.create_user("second", "second-secret-key")).unwrap();
    let second = [("access-key", "second"), ("secret-key", "second-secret-key")];
    deployed.publish(relation, "s3-credentials", &second);
    assert_eq!(deployed.status(), "active: ready");
    let mut rotated = deployed.standing();
    for changed in ["Secret cloud-credentials", "BackupStorageLocation default"] {
        assert_ne!(rotated.insert(changed.to_owned(), before[changed].clone()), before.get(changed).cloned());
    }
    assert_eq!(rotated, before);
    let before = deployed.standing();

    // What restarts the server, and what takes the node agent away.
    deployed.configure("default-volumes-to-fs-backup", "true");
    assert_eq!(deployed.status(), "waiting: to restart Velero until backup slow has ended");
    assert_eq!(deployed.standing(), before);
    deployed.configure("default-volumes-to-fs-backup", "false");
    assert_eq!(deployed.status(), "active: ready");
    deployed.configure("use-node-agent", "false");
    assert_eq!(deployed.status(), "waiting: to remove DaemonSet node-agent until backup slow has ended");
    assert_eq!(deployed.standing(), before);

    // The storage itself: the backup is finished in it all the same.
    deployed.remove_relation("s3-credentials");
    assert!(deployed.status().starts_with("blocked: no storage"), "{}", deployed.status());
    assert_eq!(deployed.standing(), before);

    gate.open("backup");
    deployed.until_phase("Backup", "slow", "Completed");
    deployed.update_status();
    for (kind, name) in
        [("DaemonSet", "node-agent"), ("BackupStorageLocation", "default"), ("Secret", "cloud-credentials")]
    {
        assert!(deployed.object(kind, name).is_none(), "{kind} {name}");
    }
    let server = deployed.expect("Deployment", "velero");
    assert!(server["spec"]["template"]["spec"]["initContainers"].is_null());
    assert!(s3.bucket(here).unwrap().keys().unwrap().iter().any(|key| key == "backups/slow/velero-backup.json"));
}

#[test]
fn a_restore_in_progress_ends_well_and_a_restart_waits_for_it() {
    let mut deployed = Deployed::new("restore-in-progress");
    let bucket = deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    let gate = Gate::new(&deployed);
    gate.open("backup");
    deployed.run_well(&format!("backup create nightly --include-namespaces {} --wait", gate.namespace));
    deployed.until_phase("Backup", "nightly", "Completed");
    let copy = format!("{}-copy", gate.namespace);
    deployed
        .run_well(&format!("restore create slow --from-backup nightly --namespace-mappings {}:{copy}", gate.namespace));
    // The hook of the restored pod is the last part of it.
    deployed.until_phase("Restore", "slow", "Finalizing");
    let before = deployed.standing();
    deployed.configure("default-volumes-to-fs-backup", "true");
    assert_eq!(deployed.status(), "waiting: to restart Velero until restore slow has ended");
    assert_eq!(deployed.standing(), before);
    let relation = deployed.model.status().unwrap().relations[0].id;
    let other = deployed.world.bucket();
    deployed.publish(relation, "s3-credentials", &[("bucket", &other)]);
    assert!(deployed.status().starts_with("waiting: "), "{}", deployed.status());
    assert_eq!(deployed.standing(), before);
    deployed.publish(relation, "s3-credentials", &[("bucket", &bucket)]);

    gate.open("restore");
    deployed.until_phase("Restore", "slow", "Completed");
    let restore = deployed.expect("Restore", "slow");
    assert_eq!(restore["status"]["hookStatus"]["hooksAttempted"], 1, "{restore}");
    assert!(restore["status"]["hookStatus"]["hooksFailed"].as_i64().unwrap_or_default() == 0, "{restore}");
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    let arguments = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(arguments.to_string().contains("--default-volumes-to-fs-backup=true"), "{arguments}");
    crate::objects::forget(deployed.world, &copy);
}
