//! The arrows between the modules of the charm and of the sandbox: each uses those below it, and none above it.

use crate::{
    arrows::{Layers, circles},
    project,
};

/// Modules from the ground up, each with those that it may use.
type Modules<'a> = &'a [(&'a str, &'a [&'a str])];

/// The modules of the charm.
const CHARM: Modules<'_> = &[
    ("text", &[]),
    ("error_chain", &[]),
    ("status", &["text"]),
    ("process", &["text"]),
    ("contract", &[]),
    ("cluster", &["error_chain"]),
    ("juju", &["contract", "process", "status", "text"]),
    ("snapshot", &["contract", "juju"]),
    ("storage", &["contract"]),
    ("proxies", &[]),
    ("store", &["proxies", "storage"]),
    ("backups", &[]),
    ("settings", &["backups"]),
    ("observability", &[]),
    ("integrations", &["backups", "contract", "juju", "observability", "snapshot", "storage", "text"]),
    ("velero", &["backups", "cluster", "error_chain", "process", "proxies", "settings", "status", "storage", "text"]),
    (
        "plan",
        &[
            "backups",
            "contract",
            "integrations",
            "juju",
            "proxies",
            "settings",
            "snapshot",
            "status",
            "storage",
            "velero",
        ],
    ),
    (
        "reconcile",
        &[
            "backups",
            "cluster",
            "contract",
            "error_chain",
            "integrations",
            "juju",
            "plan",
            "proxies",
            "snapshot",
            "status",
            "storage",
            "store",
            "text",
            "velero",
        ],
    ),
    (
        "actions",
        &[
            "backups",
            "cluster",
            "contract",
            "error_chain",
            "integrations",
            "juju",
            "plan",
            "process",
            "snapshot",
            "store",
            "text",
            "velero",
        ],
    ),
    ("observer", &["cluster", "contract", "observability", "process", "velero"]),
    ("hook_process", &["actions", "contract", "error_chain", "juju", "observer", "reconcile"]),
    (
        "command_line",
        &["contract", "error_chain", "integrations", "juju", "observer", "plan", "snapshot", "status", "velero"],
    ),
    (
        "fuzzing",
        &[
            "actions", "backups", "contract", "juju", "proxies", "settings", "status", "storage", "store", "text",
            "velero",
        ],
    ),
];

/// The modules of the charm's `velero`.
const VELERO: Modules<'_> = &[
    ("names", &[]),
    ("phase", &[]),
    ("wanted", &["names"]),
    ("seen", &["names", "phase", "wanted"]),
    ("location", &["names", "phase", "seen", "wanted"]),
    ("runs", &["location", "names", "phase", "wanted"]),
    ("drill", &["names", "phase", "runs", "seen", "wanted"]),
    ("change", &["drill", "location", "names", "phase", "seen", "wanted"]),
    ("forecast", &["location", "names", "seen", "wanted"]),
];

/// The modules of the sandbox. Its command line, `cli`, is above all of them: the library cannot name it.
const SANDBOX: Modules<'_> = &[
    ("error", &[]),
    ("progress", &[]),
    ("tls", &[]),
    ("host", &["progress"]),
    ("charm", &[]),
    ("tools", &["host", "progress"]),
    ("images", &["host", "progress", "tools"]),
    ("preparation", &["charm", "host", "images", "progress", "tools"]),
    ("entra_id", &["host", "tls"]),
    ("forward_proxy", &["host"]),
    ("distance", &["host"]),
    (
        "cluster",
        &[
            "distance",
            "entra_id",
            "error",
            "forward_proxy",
            "host",
            "images",
            "preparation",
            "progress",
            "tls",
            "tools",
        ],
    ),
    ("pod_additions", &["cluster"]),
    ("object_store", &["cluster", "host", "pod_additions", "progress", "tls", "tools"]),
    ("prometheus", &["cluster", "host", "progress", "tools"]),
    ("juju", &["host"]),
    (
        "bench",
        &[
            "charm",
            "cluster",
            "distance",
            "host",
            "images",
            "juju",
            "object_store",
            "pod_additions",
            "preparation",
            "progress",
            "tools",
        ],
    ),
    (
        "demo",
        &["charm", "cluster", "images", "juju", "object_store", "pod_additions", "preparation", "progress", "tools"],
    ),
    (
        "dashboard",
        &["charm", "cluster", "images", "juju", "object_store", "preparation", "progress", "prometheus", "tools"],
    ),
    ("storm", &["charm", "host", "juju", "object_store", "preparation", "progress", "tls", "tools"]),
    ("cli", &[]),
];

/// The files of the sandbox's `juju`.
const JUJU: Modules<'_> = &[
    ("charm", &[]),
    ("cloud", &[]),
    ("ending_order", &[]),
    ("interruption", &[]),
    ("log", &[]),
    ("status", &[]),
    ("wire", &[]),
    ("names", &["charm"]),
    ("boundary", &["names"]),
    ("process", &["wire"]),
    ("tool_client", &["wire"]),
    ("hook", &["names"]),
    ("relation", &["charm", "names"]),
    ("secret", &["names"]),
    ("series", &["names"]),
    ("memory", &["relation", "status"]),
    ("simulated", &["charm", "status"]),
    ("state", &["charm", "ending_order", "hook", "names", "relation", "secret", "series", "simulated", "status"]),
    ("reactions", &["names", "secret", "simulated", "state"]),
    ("resolver", &["hook", "names", "relation", "secret", "state"]),
    ("store", &["names", "state"]),
    ("environment", &["cloud", "hook", "names", "state"]),
    ("exec_client", &["environment", "names", "wire"]),
    ("context", &["environment", "hook", "log", "memory", "names", "relation", "secret", "state", "status", "store"]),
    ("tools", &["charm", "context", "log", "names", "relation", "secret", "state", "status", "wire"]),
    (
        "agent",
        &[
            "boundary",
            "cloud",
            "context",
            "environment",
            "interruption",
            "log",
            "names",
            "process",
            "store",
            "tools",
            "wire",
        ],
    ),
    ("error", &["agent", "charm", "cloud", "names", "relation", "store"]),
    (
        "model",
        &[
            "agent",
            "boundary",
            "charm",
            "cloud",
            "context",
            "ending_order",
            "environment",
            "error",
            "hook",
            "interruption",
            "log",
            "names",
            "reactions",
            "relation",
            "resolver",
            "secret",
            "series",
            "simulated",
            "state",
            "status",
            "store",
            "wire",
        ],
    ),
];

/// The files of the sandbox's `bench`.
const BENCH: Modules<'_> = &[
    ("audit", &[]),
    ("cost", &[]),
    ("machine", &[]),
    ("task", &[]),
    ("user", &[]),
    ("command", &["cost"]),
    ("objects", &[]),
    ("obstacles", &["objects"]),
    ("storage", &["command", "cost", "task"]),
    ("recorder", &["audit", "cost", "objects", "storage", "user"]),
    ("trouble", &["cost", "obstacles", "recorder", "storage"]),
    ("hooks", &["cost", "recorder", "storage", "task"]),
    ("drill", &["command", "cost", "hooks", "recorder", "task"]),
    ("crowd", &["cost", "hooks", "objects", "recorder", "storage", "task"]),
    ("observer", &["cost", "recorder", "task", "user"]),
    ("news", &["cost", "objects", "recorder"]),
    ("related", &["cost", "recorder", "task"]),
    ("far", &["cost", "recorder", "storage", "task"]),
    ("targets", &["cost", "news", "task", "trouble"]),
    ("report", &["cost", "news", "targets", "task", "trouble"]),
    ("by_hand", &["command", "cost", "objects", "task", "user"]),
];

#[test]
fn no_arrow_of_the_charm_points_back() {
    let source = project().join("src");
    for (within, order) in [(&[][..], CHARM), (&["velero"], VELERO)] {
        assert_eq!(Layers { source: source.clone(), within, order }.offences(), Vec::<String>::new());
    }
}

#[test]
fn no_arrow_of_the_sandbox_points_back() {
    let source = project().join("sandbox/src");
    for (within, order) in [(&[][..], SANDBOX), (&["juju"], JUJU), (&["bench"], BENCH)] {
        assert_eq!(Layers { source: source.clone(), within, order }.offences(), Vec::<String>::new());
    }
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    for source in ["src", "sandbox/src"] {
        assert_eq!(circles(&project().join(source)), Vec::<String>::new());
    }
}
