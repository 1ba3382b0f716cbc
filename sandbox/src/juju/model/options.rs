//! How Juju is to behave in a model: what it leaves open, and what is another from one series to the other.

use std::time::Duration;

use super::super::ending_order::EndingOrder;
use super::super::error::Error;
use super::super::series::Series;
use super::super::state::ModelState;
use super::Model;

impl Model {
    /// Whether a failed hook is tried again by each verb, as Juju does after a while (the model option
    /// `automatically-retry-hooks`; it is on at first).
    ///
    /// # Errors
    /// When the model's files cannot be used.
    pub fn automatically_retry_hooks(&self, on: bool) -> Result<(), Error> {
        self.set(|state| state.automatically_retry_hooks = on)
    }

    /// Whether a leader that is being removed still answers `true` to `is-leader` (it does not at first).
    ///
    /// # Errors
    /// When the model's files cannot be used.
    pub fn dying_leader_keeps_lease(&self, on: bool) -> Result<(), Error> {
        self.set(|state| state.dying_leader_keeps_lease = on)
    }

    /// Of which series of Juju the model is. To be told before anything is deployed.
    ///
    /// # Errors
    /// When the model's files cannot be used.
    pub fn of_series(&self, series: Series) -> Result<(), Error> {
        self.set(|state| state.series = series)
    }

    /// In which order the relations of a dying unit end.
    ///
    /// # Errors
    /// When the model's files cannot be used.
    pub fn relations_end(&self, order: EndingOrder) -> Result<(), Error> {
        self.set(|state| state.ending_order = order)
    }

    /// How long a pod may take to end before what runs in it is killed (30 s at first, as Juju says in its pods).
    ///
    /// # Errors
    /// When the model's files cannot be used.
    pub fn pod_grace(&self, grace: Duration) -> Result<(), Error> {
        self.set(|state| state.pod_grace = grace)
    }

    /// Whether the pod of a unit is told to end as soon as the unit is removed, so that all its last hooks together take no
    /// longer than [`Model::pod_grace`]. It is not at first: Juju waits until the unit's last hook is done. Turned on, it
    /// stands for something else that ends the pod meanwhile: its node is drained, its `StatefulSet` or namespace deleted.
    ///
    /// # Errors
    /// When the model's files cannot be used.
    pub fn pods_end_with_removal(&self, on: bool) -> Result<(), Error> {
        self.set(|state| state.pods_end_with_removal = on)
    }

    /// Which proxies the model has: its options `juju-http-proxy`, `juju-https-proxy` and `juju-no-proxy`.
    ///
    /// # Errors
    /// When the model's files cannot be used.
    pub fn proxies(&self, http: &str, https: &str, except: &str) -> Result<(), Error> {
        let proxies = [("HTTP_PROXY", http), ("HTTPS_PROXY", https), ("NO_PROXY", except)];
        let proxies = proxies.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.set(|state| state.proxies = proxies.into())
    }

    fn set(&self, change: impl FnOnce(&mut ModelState)) -> Result<(), Error> {
        let mut session = self.begin()?;
        change(&mut session.state);
        session.save()
    }
}
