//! A store that cannot be reached: the unit says it, and by which name.

use crate::deployed::Deployed;

#[test]
fn a_store_whose_name_is_unknown_is_told_of_by_name() {
    let mut deployed = Deployed::new("unknown-name");
    deployed.relate_s3();
    let relation = deployed.model.status().unwrap().relations[0].id;
    deployed.publish(relation, "s3-credentials", &[("endpoint", "http://store.invalid:9000")]);
    let status = deployed.status();
    assert!(status.starts_with("blocked: storage ") && status.contains("store.invalid"), "{status}");
}
