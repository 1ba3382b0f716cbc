//! What must be there before a cluster can be started or a story be told: installed, built and compiled once a machine.
//!
//! Only what is missing is made. Downloads go on beside builds, and two builds at a time: one leaves a core idle while it links,
//! or while what it compiles waits for one package. What ended well stays, so that another run goes on after a failure.

mod board;

use std::{
    cmp::Reverse,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, FutureExt, try_join_all};
use tokio::sync::Semaphore;

use crate::{
    charm::{self, BuildError, Profile},
    folders,
    images::Plugin,
    packages::{self, PackageError},
    progress::Progress,
    tools::{self, Tool, ToolError},
};
use board::Board;

/// How many builds there are at a time.
const BUILDS: usize = 2;

/// How often it is shown how far the steps are.
const REFRESH: Duration = Duration::from_secs(1);

/// What takes less is not announced.
const SHORT: Duration = Duration::from_secs(30);

/// Something that must be there, and takes a while when it is not.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The Debian packages of a cluster.
    Packages,
    /// The programs of a tool.
    Tool(&'static Tool),
    /// The charm of this checkout.
    Charm(Profile),
}

/// Why something is not there.
#[derive(Debug, thiserror::Error)]
pub enum PreparationError {
    /// One of the steps failed.
    #[error("{what} could not be had; what other steps have made is kept, and the same command goes on from there")]
    Step {
        /// What the step is to make.
        what: &'static str,
        /// What went wrong.
        #[source]
        source: StepError,
    },
    /// A program that a step needs is not installed, or there is no cache folder.
    #[error("cannot build what is missing")]
    Impossible(#[source] ToolError),
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Of the Debian packages.
    #[error(transparent)]
    Packages(#[from] PackageError),
    /// Of a tool.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Of the charm.
    #[error(transparent)]
    Charm(#[from] BuildError),
}

impl Step {
    /// What it makes, as people call it.
    fn what(self) -> &'static str {
        match self {
            Self::Packages => "Debian packages",
            Self::Tool(tool) => tool.title,
            Self::Charm(_) => "the charm",
        }
    }

    /// What it takes on two cores that do nothing else, with nothing cached.
    fn takes(self) -> Duration {
        match self {
            Self::Packages => Duration::from_secs(15),
            Self::Tool(tool) => tool.takes,
            Self::Charm(profile) if charm::was_compiled(profile) => Duration::from_secs(10),
            Self::Charm(Profile::Release) => Duration::from_mins(3),
            Self::Charm(Profile::Dev) => Duration::from_secs(40),
        }
    }

    /// Whether it waits for the network before it builds anything.
    fn is_fetched(self) -> bool {
        !matches!(self, Self::Charm(_))
    }

    /// Whether there is nothing to do. Of the charm only Cargo knows.
    fn is_done(self) -> Result<bool, ToolError> {
        match self {
            Self::Packages => Ok(packages::are_there()),
            Self::Tool(tool) => tools::is_built(tool),
            Self::Charm(_) => Ok(false),
        }
    }
}

/// The two parts of a step's work: one waits for the network, one keeps the processors busy.
trait Work: Sync {
    fn fetch(&self, step: Step) -> BoxFuture<'_, Result<(), StepError>>;
    fn build(&self, step: Step) -> BoxFuture<'_, Result<(), StepError>>;
}

/// The work as it is.
struct Real<'a>(&'a Progress);

impl Work for Real<'_> {
    fn fetch(&self, step: Step) -> BoxFuture<'_, Result<(), StepError>> {
        async move {
            match step {
                Step::Packages => packages::ensure(self.0).await?,
                Step::Tool(tool) => tools::fetch(tool).await?,
                Step::Charm(_) => {}
            }
            Ok(())
        }
        .boxed()
    }

    fn build(&self, step: Step) -> BoxFuture<'_, Result<(), StepError>> {
        async move {
            match step {
                Step::Packages => {}
                Step::Tool(tool) => drop(tools::build(tool, self.0).await?),
                Step::Charm(profile) => charm::compile(profile).await?,
            }
            Ok(())
        }
        .boxed()
    }
}

/// What a cluster needs, with the images of those plugins.
pub fn of_cluster(plugins: impl IntoIterator<Item = Plugin>) -> Vec<Step> {
    let tools = [&tools::KUBERNETES, &tools::ETCD, &tools::VELERO];
    let plugins = plugins.into_iter().map(Plugin::tool);
    [Step::Packages].into_iter().chain(tools.into_iter().chain(plugins).map(Step::Tool)).collect()
}

/// Makes what is missing of `steps`, and says how far it is.
///
/// # Errors
/// When one of them fails; then it ends the others, and what they have made by then stays.
pub async fn prepare(steps: impl IntoIterator<Item = Step>, progress: &Progress) -> Result<(), PreparationError> {
    let mut missing = Vec::new();
    for step in steps {
        if !step.is_done().map_err(PreparationError::Impossible)? {
            missing.push(step);
        }
    }
    for step in &missing {
        // Better at once than after minutes of other builds.
        if let Step::Tool(tool) = step {
            tools::check(tool).map_err(PreparationError::Impossible)?;
        }
    }
    let missing = in_order(missing);
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let board = Board::new(missing.iter().map(|step| (step.what(), step.takes())), cores);
    if board.left(Duration::ZERO) < SHORT {
        // Nobody wants to read of it; what fails is told all the same.
        return run(&missing, board, &Real(progress), &Progress::silent()).await;
    }
    progress.tell(&board.announcement());
    if let Ok(cache) = folders::cache() {
        progress.tell(&format!("what is built is kept in {}", cache.display()));
    }
    run(&missing, board, &Real(progress), progress).await
}

/// The packages first, as they are soon there and the network is free; then what takes longest, so that what is built last, by
/// itself, is short.
fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by_key(|step| (!matches!(step, Step::Packages), Reverse(step.takes())));
    steps
}

async fn run(steps: &[Step], board: Board, work: &impl Work, progress: &Progress) -> Result<(), PreparationError> {
    let started = Instant::now();
    let board = Mutex::new(board);
    // Both let in who has come first.
    let (network, builders) = (Semaphore::new(1), Semaphore::new(BUILDS));
    let each = steps.iter().enumerate().map(|(index, step)| {
        let (board, network, builders) = (&board, &network, &builders);
        let change = move |to: fn(&mut Board, usize)| {
            to(&mut board.lock().unwrap_or_else(PoisonError::into_inner), index);
        };
        async move {
            let failed = |source| PreparationError::Step { what: step.what(), source };
            // What has nothing to download does not wait for those who have.
            if step.is_fetched() {
                let _turn = network.acquire().await;
                change(Board::fetches);
                work.fetch(*step).await.map_err(failed)?;
                change(Board::waits);
            }
            let _turn = builders.acquire().await;
            change(Board::builds);
            progress.begin(&board.lock().unwrap_or_else(PoisonError::into_inner).beginning(index, started.elapsed()));
            work.build(*step).await.map_err(failed)?;
            change(Board::ends);
            Ok(())
        }
    });
    let show = async {
        loop {
            progress.show(&board.lock().unwrap_or_else(PoisonError::into_inner).line(started.elapsed()));
            tokio::time::sleep(REFRESH).await;
        }
    };
    let outcome = tokio::select! {
        outcome = try_join_all(each) => outcome.map(drop),
        never = show => never,
    };
    progress.show("");
    outcome
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::sync::Notify;

    use super::*;
    use crate::process::ProcessError;

    fn names(steps: &[Step]) -> Vec<&'static str> {
        steps.iter().map(|step| step.what()).collect()
    }

    /// Work that fails for some, and notes what it was done for.
    #[derive(Default)]
    struct Noted {
        fails: Option<&'static str>,
        done: Mutex<Vec<String>>,
    }

    impl Noted {
        fn note(&self, part: &str, step: Step) {
            self.done.lock().unwrap().push(format!("{part} {}", step.what()));
        }
    }

    impl Work for Noted {
        fn fetch(&self, step: Step) -> BoxFuture<'_, Result<(), StepError>> {
            async move {
                if let (Step::Tool(tool), true) = (step, self.fails == Some(step.what())) {
                    let program = "go".to_owned();
                    let source = ProcessError::Start { program, source: io::Error::other("no such host") };
                    return Err(ToolError::Fetch { tool: tool.name, source }.into());
                }
                self.note("fetched", step);
                Ok(())
            }
            .boxed()
        }

        fn build(&self, step: Step) -> BoxFuture<'_, Result<(), StepError>> {
            async move {
                self.note("built", step);
                Ok(())
            }
            .boxed()
        }
    }

    async fn run_all(steps: &[Step], work: &Noted) -> Result<(), PreparationError> {
        let board = Board::new(steps.iter().map(|step| (step.what(), step.takes())), 2);
        run(steps, board, work, &Progress::silent()).await
    }

    #[test]
    fn a_cluster_is_built_with_the_plugins_that_were_asked_for_and_no_other() {
        assert_eq!(names(&of_cluster([])), ["Debian packages", "Kubernetes", "etcd", "Velero"]);
        let with_aws = names(&of_cluster([Plugin::Aws]));
        assert_eq!(with_aws, ["Debian packages", "Kubernetes", "etcd", "Velero", "Velero's plugin for S3"]);
    }

    #[test]
    fn packages_come_first_and_short_builds_last() {
        let steps =
            [Step::Tool(&tools::ETCD), Step::Packages, Step::Tool(&tools::VELERO), Step::Tool(&tools::KUBERNETES)];
        assert_eq!(names(&in_order(steps.into())), ["Debian packages", "Kubernetes", "Velero", "etcd"]);
    }

    #[tokio::test]
    async fn every_step_is_fetched_and_then_built() {
        let (steps, work) = ([Step::Packages, Step::Tool(&tools::VELERO)], Noted::default());
        run_all(&steps, &work).await.unwrap();
        let mut done = work.done.into_inner().unwrap();
        done.sort();
        assert_eq!(done, ["built Debian packages", "built Velero", "fetched Debian packages", "fetched Velero"]);
    }

    /// Work of which the download goes on until the charm is built.
    #[derive(Default)]
    struct SlowNetwork(Notify);

    impl Work for SlowNetwork {
        fn fetch(&self, _: Step) -> BoxFuture<'_, Result<(), StepError>> {
            async move {
                self.0.notified().await;
                Ok(())
            }
            .boxed()
        }

        fn build(&self, step: Step) -> BoxFuture<'_, Result<(), StepError>> {
            async move {
                if let Step::Charm(_) = step {
                    self.0.notify_one();
                }
                Ok(())
            }
            .boxed()
        }
    }

    #[tokio::test]
    async fn the_charm_is_compiled_while_others_download() {
        let steps = [Step::Tool(&tools::KUBERNETES), Step::Charm(Profile::Dev)];
        let board = Board::new(steps.iter().map(|step| (step.what(), step.takes())), 2);
        let (work, progress) = (SlowNetwork::default(), Progress::silent());
        let ended = tokio::time::timeout(Duration::from_secs(20), run(&steps, board, &work, &progress));
        ended.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_step_that_fails_is_named_with_its_tool_and_cause() {
        let steps = [Step::Tool(&tools::VELERO), Step::Tool(&tools::ETCD)];
        let work = Noted { fails: Some("etcd"), ..Noted::default() };
        let error = run_all(&steps, &work).await.unwrap_err();
        assert_eq!(
            crate::error::chain(&error),
            "etcd could not be had; what other steps have made is kept, and the same command goes on from there: cannot \
             download the Go modules of etcd: cannot run go: no such host"
        );
    }
}
