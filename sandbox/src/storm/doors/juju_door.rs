//! The hook tools of a charm, each call of which passes a gate.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::{
    fault::Fault,
    gate::Gate,
    operation::{self, Door},
};
use crate::juju::{Boundary, Passage, UnitName};

/// What Juju's tools say where their agent has no controller.
const NO_CONNECTION: &str = "ERROR connection is shut down\n";

/// What looks at something, and is told in which hook, counted from 0, and its name.
pub(in crate::storm) type Inspect = Box<dyn Fn(usize, &str) + Send>;

/// What stands between a unit and its agent.
pub(in crate::storm) struct JujuDoor {
    gate: Arc<Gate>,
    kills: AtomicBool,
    on_active: Mutex<Option<Inspect>>,
    on_end: Mutex<Option<Inspect>>,
}

impl JujuDoor {
    pub(in crate::storm) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, kills: AtomicBool::new(false), on_active: Mutex::default(), on_end: Mutex::default() }
    }

    /// Has this done whenever the charm says that all is well, before Juju hears it.
    pub(in crate::storm) fn when_active(&self, inspect: Option<Inspect>) {
        *self.on_active.lock().unwrap_or_else(PoisonError::into_inner) = inspect;
    }

    /// Has this done whenever a hook has ended.
    pub(in crate::storm) fn when_ended(&self, inspect: Option<Inspect>) {
        *self.on_end.lock().unwrap_or_else(PoisonError::into_inner) = inspect;
    }

    fn look(&self, inspect: &Mutex<Option<Inspect>>) {
        let inspect = inspect.lock().unwrap_or_else(PoisonError::into_inner);
        let hooks = self.gate.hooks();
        if let Some((inspect, hook)) = inspect.as_ref().zip(hooks.last()) {
            inspect(hooks.len() - 1, &hook.name);
        }
    }
}

impl Boundary for JujuDoor {
    fn begins(&self, unit: &UnitName, name: &str) {
        // The first unit leads for as long as it is there, and it goes last.
        self.gate.begins(name, unit.number == 0);
    }

    fn runs(&self, group: i32) {
        self.gate.runs(group);
    }

    fn calls(&self, tool: &str, arguments: &[String]) -> Passage {
        let fault = self.gate.passes(Door::Tool, &operation::tool(tool, arguments));
        let answered = |code, stdout: &str, stderr: &str| Passage::Answered {
            code,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        match fault {
            Some(Fault::KilledBefore) => {
                self.gate.kill();
                return Passage::Lost;
            }
            Some(Fault::Dies) => return Passage::Lost,
            Some(Fault::Hangs) => return Passage::Held,
            Some(Fault::Fails) => return answered(1, "", NO_CONNECTION),
            Some(Fault::SaysNothing) => return answered(0, "", ""),
            Some(Fault::SaysNonsense) => return answered(0, "{\"half\":", ""),
            Some(Fault::SaysNull) => return answered(0, "null\n", ""),
            Some(Fault::KilledAfter) => self.kills.store(true, Ordering::Relaxed),
            Some(Fault::Terminated) => self.gate.terminate(),
            _ => {}
        }
        if tool == "status-set" && arguments.iter().any(|word| word == "active") {
            self.look(&self.on_active);
        }
        if self.gate.is_deposed() { Passage::WithoutLease } else { Passage::Through }
    }

    fn answers(&self) -> bool {
        let kills = self.kills.swap(false, Ordering::Relaxed);
        if kills {
            self.gate.kill();
        }
        !kills
    }

    fn ends(&self) {
        self.gate.ends();
        self.look(&self.on_end);
    }
}
