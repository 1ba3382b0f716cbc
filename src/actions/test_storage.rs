//! The action `test-storage`: what the storage allows, found out by use.

use jiff::SignedDuration;

use super::{ActionError, SUCCESS, connect, failed, refuse_while_dying, refused};
use crate::{
    contract::parameter,
    juju::{ActionParameters, Environment, HookTools},
    plan,
    snapshot::Snapshot,
    store::{Heard, Owner, Proof, Rates, Store, StoreError, Verdict, takes_no_backups},
    text::harmless,
};

/// How many MiB are written and read where nothing is said.
const DEFAULT_SIZE: usize = 8;
/// How many at most: they are in memory.
const LARGEST_SIZE: usize = 256;
const MIB: usize = 1024 * 1024;

/// Tries the storage.
pub(super) async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let parameters = tools.action_parameters().await?;
    let size = wanted(&parameters).map_err(failed)?;
    let takes_over = parameters.boolean(parameter::TAKE_OVER.name).unwrap_or_default();
    if takes_over {
        refuse_while_dying(tools, environment).await?;
    }
    let snapshot = Snapshot::of_storage(tools, environment).await?;
    let storage = plan::backup_storage(&snapshot).map_err(|status| failed(status.message()))?;
    let proxies = plan::reach::proxies(&environment.proxies).map_err(|status| failed(status.message()))?;
    let store = Store::open(&storage, proxies.as_ref()).await.map_err(|error| failed(not_reached(&error)))?;
    let proof = store.prove().await;
    let verdict = proof.verdict();
    if let Verdict::Untried(error) = &verdict {
        return Err(failed(not_reached(error)));
    }
    let rates = match &verdict {
        Verdict::Works | Verdict::Keeps(_) if size > 0 => Some(store.measure(size).await.map_err(|error| {
            failed(format!("the storage works with little, and not with {} MiB: {error}", size / MIB))
        })?),
        _ => None,
    };
    let mut results = results(&proof, &store.heard(), rates);
    if let Verdict::Refused(step, error) = verdict {
        tools.set_action_results(&results).await?;
        return Err(failed(harmless(&takes_no_backups(step, &storage.bucket, &error))));
    }
    let owner = owner(&store, environment, takes_over).await?;
    results.extend(owner.map(|owner| ("owner".to_owned(), harmless(&owner))));
    results.push((SUCCESS.0.to_owned(), SUCCESS.1.to_owned()));
    Ok(tools.set_action_results(&results).await?)
}

/// Finds out whose the place is, and makes it this application's own if that is asked for. Returns the owner as it is to be told.
async fn owner(store: &Store, environment: &Environment, takes_over: bool) -> Result<Option<String>, ActionError> {
    let velero = connect(environment)?;
    let Some(cluster) = velero.cluster_uid().await.map_err(refused(environment))? else { return Ok(None) };
    let (model, application) = (velero.namespace().to_owned(), environment.application().to_owned());
    let own = Owner { cluster, model, application };
    let unknown = |error: StoreError| failed(harmless(&format!("cannot find out whose the storage is: {error}")));
    let before = store.owner().await.map_err(unknown)?;
    let other = before.as_ref().filter(|before| !before.is(&own)).map(|before| before.told_to(&own));
    if takes_over {
        let kept = |error: StoreError| failed(harmless(&format!("cannot take the storage over: {error}")));
        store.claim(&own).await.map_err(kept)?;
    }
    Ok(Some(match (other, before) {
        (Some(other), _) if takes_over => format!("this application; before, {other}"),
        (Some(other), _) => other,
        (None, None) if !takes_over => "nobody yet".to_owned(),
        (None, _) => "this application".to_owned(),
    }))
}

/// Returns what is told where nothing has come of it.
fn not_reached(error: &StoreError) -> String {
    harmless(&format!(
        "the charm does not reach the storage, which says nothing of Velero: {error}; juju status says whether Velero does"
    ))
}

/// Returns how many bytes are to be written.
fn wanted(parameters: &ActionParameters) -> Result<usize, String> {
    let Some(given) = parameters.integer(parameter::SIZE.name) else { return Ok(DEFAULT_SIZE * MIB) };
    let size = usize::try_from(given).ok().filter(|size| *size <= LARGEST_SIZE);
    size.map(|size| size * MIB).ok_or_else(|| format!("size {given} is not from 0 to {LARGEST_SIZE}"))
}

/// Returns the results of the action.
fn results(proof: &Proof, heard: &Heard, rates: Option<Rates>) -> Vec<(String, String)> {
    let steps = proof.steps.iter().map(|(step, outcome)| {
        let told = outcome.as_ref().map_or_else(|error| format!("no: {error}"), |()| "yes".to_owned());
        (step.word(), told)
    });
    let versioning = proof.keeps_versions.map(|keeps| if keeps { "yes" } else { "no" }.to_owned());
    let locked = heard.locked_until.as_ref().map(|until| {
        format!("{until}: what is written cannot be deleted before that, and of what Velero writes again the old version stays too")
    });
    let rate = |rate: f64| format!("{:.1} MiB/s", rate / (1024.0 * 1024.0));
    let others = [
        ("versioning", versioning),
        ("locked-until", locked),
        ("upload", rates.map(|rates| rate(rates.upload))),
        ("download", rates.map(|rates| rate(rates.download))),
        ("clock-difference", heard.clock_skew.map(difference)),
    ];
    let others = others.into_iter().filter_map(|(key, value)| Some((key, value?)));
    steps.chain(others).map(|(key, value)| (key.to_owned(), harmless(&value))).collect()
}

/// Returns how far two clocks are apart. The store tells whole seconds.
fn difference(skew: SignedDuration) -> String {
    match skew.as_secs() {
        -1..=1 => "less than 2 s".to_owned(),
        seconds @ 2.. => format!("the storage is {seconds} s ahead"),
        seconds => format!("the storage is {} s behind", -seconds),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store::Step;

    fn wanted_of(parameters: &Value) -> Result<usize, String> {
        wanted(&parameters.as_object().unwrap().clone().into_iter().collect())
    }

    #[test]
    fn so_much_is_written_as_is_asked_for_and_not_too_much() {
        assert_eq!(wanted_of(&json!({})), Ok(8 * MIB));
        assert_eq!(wanted_of(&json!({"size": 0})), Ok(0));
        assert_eq!(wanted_of(&json!({"size": 256})), Ok(256 * MIB));
        for size in [-1, 257] {
            assert_eq!(wanted_of(&json!({"size": size})), Err(format!("size {size} is not from 0 to 256")));
        }
    }

    #[test]
    fn each_step_is_told_with_what_the_storage_says_of_it() {
        let proof = Proof {
            steps: vec![(Step::Write, Ok(())), (Step::Delete, Err(StoreError::Silent { seconds: 10 }))],
            keeps_versions: Some(true),
        };
        let heard = Heard { clock_skew: Some(SignedDuration::from_secs(-90)), locked_until: None };
        let rates = Rates { upload: 3.0 * 1024.0 * 1024.0, download: 524_288.0 };
        let told: Vec<_> =
            results(&proof, &heard, Some(rates)).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "write=yes",
            "delete=no: no answer in 10 s",
            "versioning=yes",
            "upload=3.0 MiB/s",
            "download=0.5 MiB/s",
            "clock-difference=the storage is 90 s behind",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn clocks_are_compared_in_whole_seconds() {
        let told = [-2, -1, 1, 2].map(|seconds| difference(SignedDuration::from_secs(seconds)));
        assert_eq!(told, ["the storage is 2 s behind", "less than 2 s", "less than 2 s", "the storage is 2 s ahead"]);
    }

    #[test]
    fn a_storage_that_is_not_reached_says_nothing_of_velero() {
        let told = not_reached(&StoreError::Silent { seconds: 10 });
        assert!(
            told.starts_with("the charm does not reach the storage") && told.contains("no answer in 10 s"),
            "{told}"
        );
    }
}
