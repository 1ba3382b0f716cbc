//! Ending a verb that works, from another thread.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

type Kill = Box<dyn Fn() + Send>;

/// Whether one verb shall end early, and how to end what it runs.
#[derive(Default)]
pub(super) struct Interruption {
    asked: AtomicBool,
    kill: Mutex<Option<Kill>>,
}

impl fmt::Debug for Interruption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Interruption").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Interruption {
    /// Asks the verb to end, and ends the charm that it runs.
    pub(super) fn ask(&self) {
        let kill = self.kill.lock().unwrap_or_else(PoisonError::into_inner);
        self.asked.store(true, Ordering::Relaxed);
        if let Some(kill) = kill.as_ref() {
            kill();
        }
    }

    /// Whether somebody has asked.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Lets `kill` be called when somebody asks, or has asked; `None` when there is nothing to end any more.
    pub(super) fn on_ask(&self, kill: Option<Kill>) {
        let mut place = self.kill.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kill) = &kill
            && self.is_asked()
        {
            kill();
        }
        *place = kill;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use super::*;

    #[test]
    fn what_runs_is_killed_whether_it_began_before_or_after() {
        let (interruption, killed) = (Interruption::default(), Arc::new(AtomicUsize::new(0)));
        let kill = || {
            let killed = Arc::clone(&killed);
            Box::new(move || {
                killed.fetch_add(1, Ordering::Relaxed);
            }) as Kill
        };
        interruption.on_ask(Some(kill()));
        interruption.on_ask(None);
        interruption.ask();
        assert_eq!(killed.load(Ordering::Relaxed), 0);
        interruption.on_ask(Some(kill()));
        assert_eq!(killed.load(Ordering::Relaxed), 1);
        interruption.ask();
        assert_eq!(killed.load(Ordering::Relaxed), 2);
    }
}
