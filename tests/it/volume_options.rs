//! Options on how volumes are backed up and images are pulled, on a cluster that has no CSI driver.

use serde_json::{Value, json};

use crate::deployed::Deployed;

fn arguments(deployed: &Deployed, kind: &str, name: &str) -> Vec<Value> {
    let object = deployed.expect(kind, name);
    object["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap().clone()
}

#[test]
fn velero_runs_with_csi_snapshots_and_the_status_says_what_they_lack() {
    let mut deployed = Deployed::new("csi-snapshots");
    deployed.relate_s3();
    deployed.create("Secret", &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mirror"}}));
    deployed.configure_all(&[
        ("use-csi-snapshots", "true"),
        ("default-snapshot-move-data", "true"),
        ("use-node-agent", "true"),
        ("image-pull-secrets", "mirror, other-mirror"),
    ]);
    let lacking = "active: ready; use-csi-snapshots=true makes no snapshots: the cluster has no VolumeSnapshots: install their \
                   definitions and controller; image-pull-secrets names the Secret other-mirror, which is not there";
    deployed.assert_comes_to_say(lacking);
    assert!(arguments(&deployed, "Deployment", "velero").contains(&json!("--default-snapshot-move-data=true")));
    for (kind, name) in [("Deployment", "velero"), ("DaemonSet", "node-agent")] {
        assert!(arguments(&deployed, kind, name).contains(&json!("--features=EnableCSI")), "{kind}");
        let pulled_by = &deployed.expect(kind, name)["spec"]["template"]["spec"]["imagePullSecrets"];
        assert_eq!(pulled_by, &json!([{"name": "mirror"}, {"name": "other-mirror"}]));
    }
    // Velero works without the kinds that it looks for.
    deployed.run_well("backup create all --include-namespaces csi-snapshots --wait");

    let standing = deployed.standing();
    deployed.update_status();
    assert_eq!((deployed.status().as_str(), deployed.standing()), (lacking, standing));
    for option in ["use-csi-snapshots", "default-snapshot-move-data", "image-pull-secrets"] {
        deployed.reset(option);
    }
    deployed.assert_becomes_active();
    let pod = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"];
    assert_eq!(pod.get("imagePullSecrets"), None);
    assert!(!pod.to_string().contains("EnableCSI"), "{pod}");
}
