//! One call to the Kubernetes API: with a time limit, repeated a few times where that helps, and why it gave no result.

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use kube::core::Status as ApiStatus;
use thiserror::Error;
use tokio::time::{Instant, timeout};

/// How long one call may take before it counts as lost.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(20);
/// How often a call may fail.
const MOST_FAILURES: u32 = 5;
/// How long a call is repeated to a server that has too much to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long at most until a call is repeated.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// What a server says of a kind whose objects it has not read in yet: `ready.go` of the API server's watch cache. Behind a colon it
/// would say what goes wrong.
const NEW_KIND: &str = "storage is (re)initializing";

/// Why a call gave no result.
#[derive(Debug, Error)]
pub(crate) enum ClusterError {
    #[error("there is no service account of a pod to reach the cluster with")]
    NoServiceAccount(#[source] kube::config::InClusterError),
    #[error("cannot make a Kubernetes client from the pod's service account")]
    Client(#[source] Box<kube::Error>),
    #[error("cannot {operation} {object}")]
    Call {
        /// What was to be done: `apply`, `list`.
        operation: &'static str,
        /// To what: `Deployment velero`.
        object: String,
        /// What the server or the connection said.
        #[source]
        source: Box<kube::Error>,
    },
    #[error("cannot {operation} {object}: no answer within {} s", CALL_LIMIT.as_secs())]
    TimedOut { operation: &'static str, object: String },
}

impl ClusterError {
    fn api_status(&self) -> Option<&ApiStatus> {
        match self {
            Self::Call { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the server refused for lack of rights. Quotas, admission policies and a namespace that is being deleted answer
    /// with the same code, but rights would not help there.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.api_status().is_some_and(|status| status.code == 403 && is_want_of_rights(&status.message))
    }

    /// Whether the server refused the request, so that repeating it would not help: for lack of rights, because of a quota or
    /// an admission policy, or because it is invalid.
    pub(crate) fn is_refusal(&self) -> bool {
        self.api_status().is_some_and(|status| matches!(status.code, 400 | 403 | 405 | 422))
    }

    /// Returns what was to be done, and what the server said to it.
    pub(crate) fn in_the_servers_words(&self) -> String {
        match self.api_status() {
            Some(status) => format!("the cluster refuses to {self}: {}", status.message).replacen("cannot ", "", 1),
            None => self.to_string(),
        }
    }

    /// Whether there is no such object, or no such kind of object.
    pub(crate) fn is_not_found(&self) -> bool {
        self.api_status().is_some_and(|status| status.code == 404)
    }

    /// Whether the server refused a field of the object: its value is not allowed, or cannot be changed. An admission policy refuses
    /// with the same code, and names no field.
    pub(crate) fn is_invalid(&self) -> bool {
        let names_field = |status: &ApiStatus| {
            status.details.iter().flat_map(|details| &details.causes).any(|cause| !cause.field.is_empty())
        };
        self.api_status().is_some_and(|status| status.code == 422 && names_field(status))
    }

    /// Whether the server has more to do than it can: it takes this call later.
    fn is_throttled(&self) -> bool {
        self.api_status().is_some_and(|status| status.code == 429)
    }

    /// Whether the server has only just begun to serve the kind, as it does within milliseconds of its definition. It says that it
    /// wants to be asked again after a second, as it does when it has too much to do.
    fn is_of_new_kind(&self) -> bool {
        self.is_throttled() && self.api_status().is_some_and(|status| status.message == NEW_KIND)
    }

    /// Returns after how long the server wants to be asked again, where it says so.
    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.api_status()?.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()).min(LONGEST_DELAY))
    }

    /// Whether the same call may succeed a moment later: a conflict, too many requests, a server in trouble or a lost
    /// connection.
    fn is_transient(&self) -> bool {
        match self {
            Self::NoServiceAccount(_) | Self::Client(_) => false,
            Self::TimedOut { .. } => true,
            Self::Call { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => matches!(status.code, 409 | 429 | 500..=599),
                kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => true,
                _ => false,
            },
        }
    }
}

/// Whether the authorizer made a refusal: `User "…" cannot patch resource "services" in API group "" …`, or the rule that nobody
/// gives rights that they do not have. Others refuse in words of their own, in which there may be any.
fn is_want_of_rights(message: &str) -> bool {
    let said = message.split_once("User \"").and_then(|(_, rest)| rest.split_once("\" cannot "));
    let is_authorizers = said.is_some_and(|(_, rest)| {
        let mut words = rest.split_whitespace().skip(1);
        matches!(words.next(), Some("resource" | "path")) && words.next().is_some_and(|name| name.starts_with('"'))
    });
    is_authorizers || message.contains("is attempting to grant RBAC permissions not currently held")
}

/// Turns a missing object, or kind of object, into `None`.
pub(crate) fn found<T>(result: Result<T, ClusterError>) -> Result<Option<T>, ClusterError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks again where the answer is that there is nothing. On that, things are deleted, made anew, or left for ever, and a server that is
/// behind the others says it of what is there.
pub(crate) async fn asked_twice<T, F>(ask: impl Fn() -> F) -> Result<Option<T>, ClusterError>
where
    F: Future<Output = Result<Option<T>, ClusterError>>,
{
    // Each is as large as a request.
    match Box::pin(ask()).await? {
        None => Box::pin(ask()).await,
        found => Ok(found),
    }
}

/// Makes a call like [`call`] on what may not be there. Returns nothing where the server says twice that it is not.
pub(crate) async fn call_if_there<T, F>(
    operation: &'static str,
    object: String,
    once: impl Fn() -> F,
) -> Result<Option<T>, ClusterError>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    asked_twice(|| async { found(call(operation, object.clone(), &once).await) }).await
}

/// Makes a call, and again a few times where that may help: after 0.2 s, then after twice as long each time, with
/// jitter. A server that has too much to do is asked for longer: it says so at once, and soon has less to do. One that has
/// only just begun to serve a kind is asked sooner.
pub(crate) async fn call<T, F>(operation: &'static str, object: String, once: impl Fn() -> F) -> Result<T, ClusterError>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let attempt = || async {
        match timeout(CALL_LIMIT, once()).await {
            Ok(result) => result.map_err(|source| ClusterError::Call {
                operation,
                object: object.clone(),
                source: Box::new(source),
            }),
            Err(_) => Err(ClusterError::TimedOut { operation, object: object.clone() }),
        }
    };
    let (begun, mut failures) = (Instant::now(), 0);
    let helps = |error: &ClusterError| {
        if error.is_throttled() {
            return begun.elapsed() < PATIENCE;
        }
        failures += 1;
        error.is_transient() && failures < MOST_FAILURES
    };
    let delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST_DELAY)
        .without_max_times()
        .with_jitter();
    attempt
        .retry(delays)
        .when(helps)
        .adjust(
            |error, delay| {
                if error.is_of_new_kind() { delay.map(|delay| delay / 8) } else { delay.max(error.retry_after()) }
            },
        )
        .notify(|error, delay| tracing::debug!("{error}; again in {} ms", delay.as_millis()))
        .await
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::cluster::{client::named, test_api::TestApi};

    const NO_RESOURCE: &str = "services is forbidden: User \"system:serviceaccount:velero:velero-operator\" cannot patch resource \"services\" in API group \"\" in the namespace \"velero\"";
    const NO_ESCALATION: &str = "clusterrolebindings.rbac.authorization.k8s.io \"velero\" is forbidden: user \"system:serviceaccount:velero:velero-operator\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}";
    const QUOTA: &str = "secrets \"cloud-credentials\" is forbidden: exceeded quota: few, requested: count/secrets=1, used: count/secrets=2, limited: count/secrets=2";
    const WEBHOOK: &str =
        "admission webhook \"validate.kyverno.svc-fail\" denied the request: users cannot change what is labelled";
    const POD_SECURITY: &str = "pods \"node-agent-x\" is forbidden: violates PodSecurity \"restricted:latest\": hostPath volumes (volume \"host-pods\")";
    const ADMISSION_POLICY: &str = "services \"velero-metrics\" is forbidden: ValidatingAdmissionPolicy 'no-services' with binding 'here' denied request: you cannot have resource names like that";
    const TERMINATING: &str = "deployments.apps \"velero\" is forbidden: unable to create new content in namespace velero because it is being terminated";

    #[test]
    fn only_the_authorizer_and_the_rule_against_escalation_speak_of_rights() {
        for (message, want_of_rights) in [
            (NO_RESOURCE, true),
            ("User \"somebody\" cannot get path \"/metrics\"", true),
            (NO_ESCALATION, true),
            (QUOTA, false),
            (WEBHOOK, false),
            (POD_SECURITY, false),
            (ADMISSION_POLICY, false),
            (TERMINATING, false),
            ("", false),
        ] {
            assert_eq!(is_want_of_rights(message), want_of_rights, "{message}");
        }
    }

    async fn error(code: StatusCode, message: &'static str) -> ClusterError {
        let api = TestApi::new();
        api.refuse_saying(move |_| Some((code, message.to_owned())));
        api.cluster("velero").find(&named("v1", "Service", "velero-metrics")).await.unwrap_err()
    }

    /// What becomes of a call to a server that answers with this code for so long, and how often it is made.
    async fn after(code: StatusCode, while_busy: Duration) -> (bool, usize) {
        let api = TestApi::new();
        let begun = Instant::now();
        api.refuse(move |_| (begun.elapsed() < while_busy).then_some(code));
        let found = api.cluster("velero").find(&named("v1", "Service", "velero-metrics")).await;
        (found.is_ok(), api.requests().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_too_much_to_do_is_asked_until_it_has_less() {
        let begun = Instant::now();
        assert!(after(StatusCode::TOO_MANY_REQUESTS, Duration::from_secs(10)).await.0);
        assert!(begun.elapsed() < Duration::from_secs(14));
        // Not for ever, and not without a pause.
        let (begun, (is_well, requests)) =
            (Instant::now(), after(StatusCode::TOO_MANY_REQUESTS, Duration::from_mins(9)).await);
        assert!(!is_well && requests < 20 && begun.elapsed() < PATIENCE + 2 * LONGEST_DELAY);
        // One that is in trouble is not asked as long.
        assert_eq!(after(StatusCode::SERVICE_UNAVAILABLE, Duration::from_mins(9)).await, (false, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_only_just_begun_to_serve_a_kind_is_asked_again_at_once() {
        for (message, at_once) in
            [(NEW_KIND, true), ("too many requests", false), ("storage is (re)initializing: no etcd", false)]
        {
            let api = TestApi::new();
            let begun = Instant::now();
            let is_new = move || begun.elapsed() < Duration::from_millis(20);
            api.refuse_saying(move |_| is_new().then(|| (StatusCode::TOO_MANY_REQUESTS, message.to_owned())));
            api.cluster("velero").find(&named("v1", "Service", "velero-metrics")).await.unwrap();
            assert_eq!(begun.elapsed() < Duration::from_millis(200), at_once, "{message}");
        }
    }

    #[tokio::test]
    async fn a_refusal_for_another_reason_is_told_in_the_servers_words() {
        let refused = error(StatusCode::FORBIDDEN, TERMINATING).await;
        assert!(refused.is_refusal() && !refused.is_forbidden());
        let words = format!("the cluster refuses to get Service velero-metrics: {TERMINATING}");
        assert_eq!(refused.in_the_servers_words(), words);
        let forbidden = error(StatusCode::FORBIDDEN, NO_ESCALATION).await;
        assert!(forbidden.is_refusal() && forbidden.is_forbidden());
        assert!(!error(StatusCode::UNPROCESSABLE_ENTITY, NO_RESOURCE).await.is_forbidden());
    }
}
