//! The options.

use crate::deployed::Deployed;

#[test]
fn an_image_that_cannot_be_pulled_blocks_soon_and_resetting_it_mends() {
    let mut deployed = Deployed::new("bad-image");
    deployed.relate_s3();
    deployed.configure("velero-image", "velero/velero:v1.18.99");
    let status = deployed.status();
    assert!(status.starts_with("blocked: cannot pull image velero/velero:v1.18.99 (ErrImagePull)"), "{status}");
    // The hook itself found out; how soon is a row of the bench.
    assert_eq!(deployed.records.last().unwrap().name, "config-changed");
    deployed.reset("velero-image");
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn a_plugin_image_that_cannot_be_pulled_is_named_too() {
    let mut deployed = Deployed::new("bad-plugin");
    deployed.relate_s3();
    deployed.configure("velero-aws-plugin-image", "velero/velero-plugin-for-aws:v0.0.0-none");
    let status = deployed.status();
    assert!(status.starts_with("blocked: cannot pull image velero/velero-plugin-for-aws:v0.0.0-none"), "{status}");
    deployed.reset("velero-aws-plugin-image");
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn an_empty_image_names_the_option_and_leaves_what_runs() {
    let mut deployed = Deployed::new("empty-image");
    let before = deployed.versions();
    for option in ["velero-image", "velero-aws-plugin-image", "velero-azure-plugin-image", "velero-gcp-plugin-image"] {
        deployed.configure(option, "");
        assert_eq!(
            deployed.status(),
            format!("blocked: the option {option} is empty: set an image, or juju config --reset {option}")
        );
        assert_eq!(deployed.versions(), before);
        deployed.reset(option);
    }
    assert!(deployed.status().starts_with("blocked: no storage"));
}

#[test]
fn the_node_agent_comes_and_goes_with_its_option() {
    let mut deployed = Deployed::new("node-agent");
    deployed.relate_s3();
    deployed.configure("default-volumes-to-fs-backup", "true");
    assert_eq!(
        deployed.status(),
        "blocked: default-volumes-to-fs-backup needs the node agent: set use-node-agent=true too"
    );
    deployed.configure("use-node-agent", "true");
    assert_eq!(deployed.status(), "active: ready");
    let agent = deployed.expect("DaemonSet", "node-agent");
    assert_eq!(agent["status"]["numberAvailable"], 1);
    let arguments = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(arguments.to_string().contains("--default-volumes-to-fs-backup=true"), "{arguments}");
    deployed.configure("default-volumes-to-fs-backup", "false");
    deployed.configure("use-node-agent", "false");
    assert_eq!(deployed.status(), "active: ready");
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    let arguments = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(!arguments.to_string().contains("fs-backup"), "{arguments}");
}

#[test]
fn the_node_agent_goes_with_its_option_though_another_option_still_needs_it() {
    let mut deployed = Deployed::new("needed-agent");
    deployed.relate_s3();
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    assert_eq!(deployed.status(), "active: ready");
    deployed.expect("DaemonSet", "node-agent");
    deployed.configure("use-node-agent", "false");
    assert_eq!(
        deployed.status(),
        "blocked: default-volumes-to-fs-backup needs the node agent: set use-node-agent=true too"
    );
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    deployed.configure("default-volumes-to-fs-backup", "false");
    assert_eq!(deployed.status(), "active: ready");
}
