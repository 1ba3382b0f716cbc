//! A part of the storm beside a real Velero: with real controllers, kubelets and a server that validates with a real store, one
//! thing breaks in each change.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use sandbox::{
    juju::{HookRecord, Whose},
    storm::Interference,
};

use crate::{
    deployed::{APPLICATION, Deployed},
    world::{self, World},
};

const MODEL: &str = "beside-velero";

/// What breaks while other keys of the same bucket are brought.
const IN_KEYS: [&str; 10] = [
    "/0 api PATCH /api/v1/namespaces/beside-velero/secrets/cloud-credentials #1 killed-before",
    "/0 api PATCH /api/v1/namespaces/beside-velero/secrets/cloud-credentials #1 killed-after",
    "/0 api PATCH /api/v1/namespaces/beside-velero/secrets/cloud-credentials #1 lost-after",
    "/0 api PATCH /apis/velero.io/v1/namespaces/beside-velero/backupstoragelocations/default #1 409",
    "/0 api PATCH /apis/velero.io/v1/namespaces/beside-velero/backupstoragelocations/default #2 killed-after",
    "/0 api PATCH /apis/velero.io/v1/namespaces/beside-velero/backupstoragelocations/default #2 edited",
    "/0 api GET /apis/velero.io/v1/namespaces/beside-velero/backupstoragelocations?watch=true&fieldSelector=metadata.name=default #1 \
     watch-is-gone",
    "/0 tool relation-get -r s3-credentials:0 --app - s3-credentials-provider #1 fails",
    "/0 tool status-set waiting #1 killed-before",
    "/0 tool status-set active #1 killed-before",
];

/// What breaks while the server is started anew with other settings.
const IN_ROLLOUTS: [&str; 6] = [
    "/0 api PATCH /apis/apps/v1/namespaces/beside-velero/deployments/velero #1 503",
    "/0 api PATCH /apis/apps/v1/namespaces/beside-velero/deployments/velero #1 killed-after",
    "/0 api PATCH /apis/apps/v1/namespaces/beside-velero/deployments/velero #1 deleted",
    "/0 api GET /apis/apps/v1/namespaces/beside-velero/deployments?watch=true&fieldSelector=metadata.name=velero #1 watch-ends",
    "/0 api GET /api/v1/namespaces/beside-velero/pods?watch=true&labelSelector=component=velero #1 lost-before",
    "/0 tool status-set active #1 terminated",
];

/// What breaks in the last hook.
const AT_THE_END: &str = "/3 api DELETE /apis/apps/v1/namespaces/beside-velero/deployments/velero #1 lost-after";

/// The charm between which and its cluster somebody stands.
struct Broken {
    deployed: Deployed,
    interference: Interference,
    relation: u32,
}

impl Broken {
    fn new(world: &'static World) -> Self {
        let interference = Interference::start(world.cluster.access(), world.client.clone());
        let interference = world.runtime.block_on(interference).unwrap();
        let mut deployed = Deployed::interfered(world, MODEL, &interference);
        let relation = deployed.relate("s3-credentials", "s3", &[]);
        Self { deployed, interference, relation }
    }

    /// Lets this break in the first hook of what is done next.
    fn arm(&self, what: &str) {
        self.interference.arm(what).unwrap();
    }

    /// Lets Juju try again what has failed, and looks whether all is well in the end, as it is without anything broken.
    fn recovers(&mut self, what: &str, records: Vec<HookRecord>) {
        self.deployed.after(records);
        while let Ok(records) = self.deployed.model.resolved(&Deployed::unit(), true) {
            assert!(records.last().is_some_and(HookRecord::success), "{what}: {records:?}");
            self.deployed.after(records);
        }
        assert!(self.interference.was_reached(), "{what} is not among {:#?}", self.interference.seen());
        self.deployed.assert_becomes_active();
        self.deployed.update_status();
        assert_eq!(self.deployed.status(), "active: ready", "{what}");
    }

    /// Whether the cluster has the keys of that user.
    fn has_keys(&self, access_key: &str) -> bool {
        let secret = self.deployed.expect("Secret", "cloud-credentials");
        let content = BASE64_STANDARD.decode(secret["data"]["creds"].as_str().unwrap()).unwrap();
        String::from_utf8(content).unwrap().contains(access_key)
    }
}

#[test]
fn whatever_breaks_beside_a_real_velero_backups_are_made_with_what_was_asked_for() {
    let world = world::shared();
    let mut broken = Broken::new(world);
    let store = world.own_store(MODEL);
    let access = store.access().clone();
    access.bucket("backups").unwrap();
    for number in 0..IN_KEYS.len() {
        world.runtime.block_on(store.create_user(&format!("user-{number}"), &format!("key-of-user-{number}"))).unwrap();
    }
    let keys = |broken: &Broken, access_key: &str, secret_key: &str| {
        let fields = [
            ("bucket", "backups"),
            ("endpoint", access.endpoint.as_str()),
            ("access-key", access_key),
            ("secret-key", secret_key),
        ];
        let fields: BTreeMap<_, _> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let provider = Whose::Application("s3-credentials-provider".to_owned());
        broken.deployed.model.write_databag(broken.relation, &provider, &fields).unwrap()
    };
    let records = keys(&broken, &access.access_key, &access.secret_key);
    broken.deployed.after(records).assert_becomes_active();
    let server = broken.deployed.uid("Deployment", "velero");
    let started = broken.deployed.pods();

    for (number, what) in IN_KEYS.iter().enumerate() {
        broken.arm(what);
        let (access_key, secret_key) = (format!("user-{number}"), format!("key-of-user-{number}"));
        let records = keys(&broken, &access_key, &secret_key);
        broken.recovers(what, records);
        assert!(broken.has_keys(&access_key), "{what}");
        let name = format!("with-keys-{number}");
        broken.deployed.run_well(&format!("backup create {name} --include-namespaces default --wait"));
        broken.deployed.until_phase("Backup", &name, "Completed");
    }
    // New keys reach a server that runs.
    assert_eq!((broken.deployed.uid("Deployment", "velero"), broken.deployed.pods()), (server, started));

    for (what, level) in IN_ROLLOUTS.iter().zip(["debug", "info"].into_iter().cycle()) {
        broken.arm(what);
        let settings = format!("log-level: {level}");
        let records = broken.deployed.model.configure(APPLICATION, "server", &settings).unwrap();
        broken.recovers(what, records);
        let server = broken.deployed.expect("Deployment", "velero").to_string();
        assert!(server.contains(&format!("--log-level={level}")), "{what}: {server}");
    }
    let backups = broken.deployed.list("Backup").len();
    assert_eq!(backups, IN_KEYS.len());

    broken.arm(AT_THE_END);
    let records = broken.deployed.model.remove_application(APPLICATION, false).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert!(broken.interference.was_reached(), "{:#?}", broken.interference.seen());
    assert_eq!(broken.deployed.names(), Vec::<String>::new());
}
