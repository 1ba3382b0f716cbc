//! What always holds of that which the charm reads, whatever the bytes are: properties for fuzzing.
//!
//! `cargo fuzz` looks for bytes that are against them, and the tests hold the inputs that it has found, which are kept below
//! `fuzz/corpus`, and others made of them. None of it is in the charm's program.

mod backups;
mod command;
mod dry_run;
mod given;
mod installation;
mod juju;
mod names;
mod options;
mod readers;
mod status;
mod storage;
mod store;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, env};

use given::{Given, PLANTED};
pub(crate) use readers::Readers;

/// The variable that names the program of `tools/readers` while a target runs.
const READERS: &str = "VELERO_READERS";
/// It is asked of one input of so many: it takes longer than the charm.
const ASKED_OF: u32 = 64;

/// What the charm reads, and what must hold of it.
struct Target {
    name: &'static str,
    property: fn(&[u8], &mut Oracle<'_>),
}

impl Target {
    fn check(&self, data: &[u8], oracle: &mut Oracle<'_>) {
        // What has the mark of credentials itself says nothing of where they come to light.
        if !data.windows(PLANTED.len()).any(|part| part == PLANTED.as_bytes()) {
            (self.property)(data, oracle);
        }
    }
}

const TARGETS: &[Target] = &[
    Target { name: "s3_databag", property: storage::s3 },
    Target { name: "azure_databag", property: storage::azure },
    Target { name: "gcs_databag", property: storage::gcs },
    Target { name: "certificate_chain", property: storage::certificates },
    Target { name: "s3_attributes", property: storage::attributes },
    Target { name: "credentials", property: storage::credentials },
    Target { name: "run_command", property: command::run },
    Target { name: "kubelet_root", property: names::kubelet_root },
    Target { name: "image", property: names::image },
    Target { name: "dry_run", property: dry_run::dry_run },
    Target { name: "hook_tools", property: juju::hook_tools },
    Target { name: "status", property: status::status },
    Target { name: "declared_backups", property: backups::declared },
    Target { name: "times", property: backups::times },
    Target { name: "restore_parameters", property: backups::restore },
    Target { name: "retention", property: backups::retention },
    Target { name: "volume_policies", property: backups::volume_policies },
    Target { name: "settings", property: options::settings },
    Target { name: "proxies", property: options::proxies },
    Target { name: "backup_archive", property: store::archive },
    Target { name: "store_refusal", property: store::refusal },
];

/// Those who know what a text means to Velero, where they are there to be asked.
struct Oracle<'a>(Option<&'a mut Readers>);

impl Oracle<'_> {
    /// Returns what a reader makes of a text, or why it makes nothing of it.
    fn ask(&mut self, reader: &str, text: &str) -> Option<readers::Read> {
        self.0.as_mut().map(|readers| readers.read(reader, text))
    }
}

thread_local! {
    static ASKED: RefCell<(u32, Option<Readers>)> =
        RefCell::new((0, env::var_os(READERS).map(|program| Readers::of_program(program.as_ref()))));
}

/// Panics if the charm does something of which a target says that it never does.
///
/// # Panics
///
/// That is how a fuzzer learns of it.
pub fn check(target: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|known| known.name == target).expect("the target is known");
    ASKED.with_borrow_mut(|(turn, readers)| {
        let readers = readers.as_mut().filter(|_| turn.is_multiple_of(ASKED_OF));
        target.check(data, &mut Oracle(readers));
        *turn = turn.wrapping_add(1);
    });
}

/// Fails where a text could not be an argument or a part of a manifest, or would end a line.
fn assert_printable(text: &str) {
    assert!(!text.contains(char::is_control), "a control character in {text:?}");
}
