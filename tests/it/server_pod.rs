//! The pods of Velero: one server at a time, without privileges, from an image that needs no registry at a restart, with the token of
//! its account.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kube::api::ListParams;
use sandbox::juju::Model;
use serde_json::json;

use crate::{
    deployed::{Deployed, trusted},
    objects, world,
};

/// Looks at the servers of a namespace again and again. Returns how many ran at once at the most, when it is told to end.
struct Sampler {
    ends: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Sampler {
    fn start(deployed: &Deployed) -> Self {
        let (ends, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let api = objects::api(deployed.world, deployed.namespace(), "Pod");
        let (told, seen) = (Arc::clone(&ends), Arc::clone(&most));
        let task = deployed.world.runtime.spawn(async move {
            let mut pause = tokio::time::interval(Duration::from_millis(100));
            while !told.load(Ordering::Relaxed) {
                pause.tick().await;
                let pods = api.list(&ListParams::default().labels("deploy=velero")).await.unwrap();
                let runs = |pod: &&kube::api::DynamicObject| {
                    !pod.data["status"]["containerStatuses"][0]["state"]["running"].is_null()
                };
                seen.fetch_max(pods.iter().filter(runs).count(), Ordering::Relaxed);
            }
        });
        Self { ends, most, task }
    }

    fn most(self, deployed: &Deployed) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        deployed.world.runtime.block_on(self.task).unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

#[test]
fn a_change_ends_the_server_before_it_starts_the_next_one() {
    let mut deployed = Deployed::new("one-server");
    deployed.relate_s3();
    let before = deployed.pods();
    let sampler = Sampler::start(&deployed);
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    deployed.assert_becomes_active();
    assert_eq!(sampler.most(&deployed), 1);
    assert!(deployed.pods().keys().all(|pod| !before.contains_key(pod)), "the server was not changed");
}

#[test]
fn where_the_standard_restricted_is_enforced_the_server_runs_and_backs_up() {
    let world = world::shared();
    let model = Model::new(world.cluster.access().clone(), "restricted", &world.state, &world.program).unwrap();
    objects::make_model(world, "restricted");
    let mut deployed = Deployed { world, model, records: Vec::new() };
    let enforced = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    deployed.edit("Namespace", "restricted", &enforced);
    let records = deployed.model.deploy(&world.charm, &trusted()).unwrap();
    deployed.after(records);
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    assert!(deployed.run_well("backup create nightly --include-namespaces default --wait").contains("Completed"));
    assert!(deployed.run_well("restore create again --from-backup nightly --wait").contains("Completed"));
    let pod = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"];
    let policies: Vec<_> = ["containers", "initContainers"].map(|list| &pod[list][0]["imagePullPolicy"]).into();
    assert_eq!(policies, ["IfNotPresent", "IfNotPresent"]);
}

#[test]
fn where_accounts_do_not_give_pods_their_token_the_pods_ask_for_it_themselves() {
    let mut deployed = Deployed::new("no-tokens");
    deployed.relate_s3();
    for account in ["default", "velero"] {
        deployed.edit("ServiceAccount", account, &json!({"automountServiceAccountToken": false}));
    }
    let before = deployed.pods();
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    deployed.assert_becomes_active();
    let after = deployed.pods();
    assert_eq!(after.len(), 2, "{after:?}");
    assert!(after.keys().all(|pod| !before.contains_key(pod)), "the server is still the one from before");
    // It is still so: the pods alone are the charm's business.
    assert_eq!(deployed.expect("ServiceAccount", "velero")["automountServiceAccountToken"], false);
}
