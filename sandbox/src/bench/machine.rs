//! The machine and the versions that a bench is of, without anything by which the machine could be found.

use std::{fs, thread};

use crate::tools::{self, Tool};

/// One line about them.
#[must_use]
pub fn describe() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text)).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores, {} GB of memory, Linux {}; velero-operator {}, Velero {}, Kubernetes {}",
        memory / 1_000_000,
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
        version(&tools::VELERO, "github.com/vmware-tanzu/velero"),
        version(&tools::KUBERNETES, "k8s.io/kubernetes"),
    )
}

fn version(tool: &Tool, module: &str) -> &'static str {
    tool.required_version(module).unwrap_or("of an unknown version")
}

/// The machine's memory, in thousands of bytes.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024 / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_the_kernel_calls_total() {
        let text = "MemFree: 5 kB\nMemTotal:       24000000 kB\n";
        assert_eq!(total_memory(text), Some(24_576_000));
        assert_eq!(total_memory("nothing"), None);
    }
}
