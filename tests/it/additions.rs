//! What others add to Velero's objects is theirs: the charm leaves it alone, and still says what is the case.

use kube::api::ListParams;
use sandbox::pod_additions::{FIELD_MANAGER, KeptAdditions, PodAdditions};
use serde_json::{Value, json};
use velero_operator::contract::option;

use crate::{deployed::Deployed, objects, world};

/// Lets every pod of Velero in a model trust the S3 server, as soon as the charm makes it.
fn trusting_s3(model: &str) -> KeptAdditions {
    let world = world::shared();
    let additions = PodAdditions::default().trusting(&world.s3().certificate_authority);
    world.runtime.block_on(additions.keep(world.cluster.access(), model)).unwrap()
}

/// What tells that an object, or a pod of it, was changed or replaced.
fn marks(deployed: &Deployed) -> Vec<Value> {
    let mut marks: Vec<_> = [("Deployment", "velero"), ("DaemonSet", "node-agent")]
        .iter()
        .map(|(kind, name)| deployed.expect(kind, name)["metadata"]["resourceVersion"].clone())
        .collect();
    let pods = objects::api(deployed.world, deployed.namespace(), "Pod");
    let listed = deployed.world.runtime.block_on(pods.list(&ListParams::default())).unwrap();
    marks.extend(listed.iter().map(|pod| json!(pod.metadata.uid)));
    marks
}

#[test]
fn additions_to_velero_are_there_from_the_first_hook_on_and_stay() {
    let _kept = trusting_s3("added-to");
    let mut deployed = Deployed::new("added-to");
    let server = deployed.expect("Deployment", "velero");
    let variables = server["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(variables.iter().any(|variable| variable["name"] == "SSL_CERT_DIR"), "{variables:?}");
    let managers = server["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|fields| fields["manager"] == FIELD_MANAGER), "{managers:?}");

    // Nothing but the addition makes the server's certificate one to trust.
    let (s3, bucket) = (deployed.world.s3().clone(), deployed.world.bucket());
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &s3.tls_endpoint),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    deployed.relate("s3-credentials", "s3", &fields);
    assert_eq!(deployed.status(), "active: ready");
    deployed.configure("use-node-agent", "true");
    assert_eq!(deployed.status(), "active: ready");
    let agent = deployed.expect("DaemonSet", "node-agent");
    assert!(agent["spec"]["template"].to_string().contains("SSL_CERT_DIR"), "{agent}");

    let (objects, before) = (deployed.versions(), marks(&deployed));
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.versions(), objects);
    assert_eq!(marks(&deployed), before);

    // A change of the charm's own restarts Velero once, and the additions survive it.
    deployed.configure("velero-image", &format!("docker.io/{}", option::VELERO_IMAGE.default));
    assert_eq!(deployed.status(), "active: ready");
    assert!(deployed.expect("Deployment", "velero")["spec"]["template"].to_string().contains("SSL_CERT_DIR"));
}

#[test]
fn an_addition_that_keeps_velero_from_running_is_not_taken_for_ready() {
    let mut deployed = Deployed::new("added-harm");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let mut volumes = deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["volumes"].clone();
    volumes.as_array_mut().unwrap().push(json!({"name": "missing", "secret": {"secretName": "no-such-secret"}}));
    deployed.edit("Deployment", "velero", &json!({"spec": {"template": {"spec": {"volumes": volumes}}}}));
    let generation = deployed.expect("Deployment", "velero")["metadata"]["generation"].clone();
    deployed.update_status();
    let status = deployed.status();
    assert!(status.starts_with("waiting: for "), "{status}");
    // It is not the charm's to take away.
    assert_eq!(deployed.expect("Deployment", "velero")["metadata"]["generation"], generation);
}
