//! The subcommands of the Velero CLI that the action `run` lets through, with all of their flags.
//!
//! Only what stands here is let through. A test holds the table against the help of the CLI that the charm bundles, so that
//! a flag which a later CLI has or has no more is noticed. The CLI's global flags are not here: they lead to another
//! Velero (`--namespace`, `--kubeconfig`) or are those of its logging library, which writes files and prints requests.

/// A subcommand that may be run.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    /// The command that it belongs to.
    pub command: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// All of its flags but those of [`COMMON`], in groups as the CLI's source has them.
    groups: &'static [&'static [Flag]],
}

/// A flag of a subcommand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// Its short form.
    pub short: Option<char>,
    /// Whether it takes a value: the next word, unless it is given as `--flag=value`.
    pub takes_value: bool,
    /// Why it is not allowed, if it is not.
    pub refused: Option<&'static str>,
}

impl Flag {
    const fn value(name: &'static str) -> Self {
        Self { name, short: None, takes_value: true, refused: None }
    }

    /// One that means `true` by itself, and takes another value only as `--name=value`.
    const fn switch(name: &'static str) -> Self {
        Self { name, short: None, takes_value: false, refused: None }
    }

    const fn or(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    const fn refused(self, reason: &'static str) -> Self {
        Self { refused: Some(reason), ..self }
    }
}

impl Subcommand {
    /// Returns the subcommand of these names.
    #[must_use]
    pub fn find(command: &str, name: &str) -> Option<&'static Self> {
        SUBCOMMANDS.iter().find(|subcommand| subcommand.command == command && subcommand.name == name)
    }

    /// Returns all of its flags.
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.groups.iter().copied().flatten().chain(COMMON)
    }
}

/// The switch that answers a question beforehand.
pub(super) const CONFIRM: Flag = Flag::switch("confirm");
/// The switch that makes the CLI print its help and do nothing else.
pub(super) const HELP: Flag = Flag::switch("help").or('h');

/// The flags of every subcommand.
const COMMON: &[Flag] = &[HELP];

const SELECTOR: Flag = Flag::value("selector").or('l');

const OUTPUT: &[Flag] =
    &[Flag::value("output").or('o'), Flag::value("label-columns").or('L'), Flag::switch("show-labels")];

const WAIT: &[Flag] = &[Flag::switch("wait").or('w')];

/// The flags of a backup, which the template of a schedule has as well.
const BACKUP: &[Flag] = &[
    SELECTOR,
    Flag::value("annotations"),
    Flag::value("csi-snapshot-timeout"),
    Flag::value("data-mover"),
    Flag::switch("default-volumes-to-fs-backup"),
    Flag::value("exclude-cluster-scoped-resources"),
    Flag::value("exclude-namespace-scoped-resources"),
    Flag::value("exclude-namespaces"),
    Flag::value("exclude-resources"),
    Flag::switch("include-cluster-resources"),
    Flag::value("include-cluster-scoped-resources"),
    Flag::value("include-namespace-scoped-resources"),
    Flag::value("include-namespaces"),
    Flag::value("include-resources"),
    Flag::value("item-operation-timeout"),
    Flag::value("labels"),
    Flag::value("or-selector"),
    Flag::value("ordered-resources"),
    Flag::value("parallel-files-upload"),
    Flag::value("resource-policies-configmap"),
    Flag::switch("snapshot-move-data"),
    Flag::switch("snapshot-volumes"),
    Flag::value("storage-location"),
    Flag::value("ttl"),
    Flag::value("volume-snapshot-locations"),
];

const RESTORE: &[Flag] = &[
    SELECTOR,
    Flag::switch("allow-partially-failed"),
    Flag::value("annotations"),
    Flag::value("exclude-namespaces"),
    Flag::value("exclude-resources"),
    Flag::value("existing-resource-policy"),
    Flag::value("from-backup"),
    Flag::value("from-schedule"),
    Flag::switch("include-cluster-resources"),
    Flag::value("include-namespaces"),
    Flag::value("include-resources"),
    Flag::value("item-operation-timeout"),
    Flag::value("labels"),
    Flag::value("namespace-mappings"),
    Flag::value("or-selector"),
    Flag::value("parallel-files-download"),
    Flag::switch("preserve-nodeports"),
    Flag::value("resource-modifier-configmap"),
    Flag::value("resource-policies-configmap"),
    Flag::switch("restore-volumes"),
    Flag::value("status-exclude-resources"),
    Flag::value("status-include-resources"),
    Flag::switch("write-sparse-files"),
];

/// The flags of the subcommands that read from the object store themselves.
const DOWNLOAD: &[Flag] = &[
    Flag::value("cacert")
        .refused("it names a file of the unit; the authority that comes with the storage is used without it"),
    Flag::switch("insecure-skip-tls-verify"),
];

const GET: &[&[Flag]] = &[&[SELECTOR], OUTPUT];
const LOGS: &[&[Flag]] = &[DOWNLOAD, &[Flag::value("timeout")]];
const DELETE: &[&[Flag]] = &[&[SELECTOR, Flag::switch("all"), CONFIRM]];
/// `skip-immediately` looks like a switch in Velero's documentation, and is none in its source.
const PAUSE: &[&[Flag]] = &[&[SELECTOR, Flag::switch("all"), Flag::value("skip-immediately")]];

/// Every subcommand that may be run.
pub const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { command: "backup", name: "create", groups: &[BACKUP, WAIT, &[Flag::value("from-schedule")], OUTPUT] },
    Subcommand { command: "backup", name: "get", groups: GET },
    Subcommand {
        command: "backup",
        name: "describe",
        groups: &[&[SELECTOR, Flag::switch("details"), Flag::value("output").or('o')], DOWNLOAD],
    },
    Subcommand { command: "backup", name: "logs", groups: LOGS },
    Subcommand { command: "backup", name: "delete", groups: DELETE },
    Subcommand { command: "restore", name: "create", groups: &[RESTORE, WAIT, OUTPUT] },
    Subcommand { command: "restore", name: "get", groups: GET },
    Subcommand { command: "restore", name: "describe", groups: &[&[SELECTOR, Flag::switch("details")], DOWNLOAD] },
    Subcommand { command: "restore", name: "logs", groups: LOGS },
    Subcommand { command: "restore", name: "delete", groups: DELETE },
    Subcommand {
        command: "schedule",
        name: "create",
        groups: &[
            BACKUP,
            &[
                Flag::switch("paused"),
                Flag::value("schedule"),
                Flag::value("skip-immediately"),
                Flag::switch("use-owner-references-in-backup"),
            ],
            OUTPUT,
        ],
    },
    Subcommand { command: "schedule", name: "get", groups: GET },
    Subcommand { command: "schedule", name: "describe", groups: &[&[SELECTOR]] },
    Subcommand { command: "schedule", name: "delete", groups: DELETE },
    Subcommand { command: "schedule", name: "pause", groups: PAUSE },
    Subcommand { command: "schedule", name: "unpause", groups: PAUSE },
];
