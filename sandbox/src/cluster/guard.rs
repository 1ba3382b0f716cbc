//! The process that holds a cluster together: it stays outside of the cluster's namespaces, starts what is inside, and
//! removes every trace of it at the end, whether that was asked for or the cluster's owner was killed.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use super::{
    blueprint::{Blueprint, Programs},
    cgroups::{self, CgroupError},
    credentials::{self, CredentialsError},
    init,
    leftovers::{self, LeftoversError},
    network::{Link, NetworkError, Reservation},
    options::ClusterOptions,
    services,
};
use crate::process;

/// How long init may take to end every process of the cluster.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How much of init's last words an error carries, in bytes.
const LAST_WORDS: usize = 2000;

/// What the guard says to whoever started it: a line of JSON each.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Notice {
    /// The cluster's folder is locked: nobody will take it for a leftover.
    Locked,
    /// The cluster's processes are starting.
    Running {
        /// The first process of the cluster's namespaces.
        process: u32,
    },
    /// There will be no cluster.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What a guard is asked to do.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The cluster's folder, which is there and empty.
    pub folder: PathBuf,
    /// The programs that it runs.
    pub programs: Programs,
    /// What it has beside what every one has.
    pub options: ClusterOptions,
}

/// Why there is no cluster, or no more.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The cluster's folder cannot be used.
    #[error("cannot use the folder of the cluster")]
    Folder(#[from] io::Error),
    /// There is no link to the cluster.
    #[error("cannot link the cluster to this machine")]
    Network(#[from] NetworkError),
    /// There is no control group for the cluster.
    #[error("cannot set up the control groups of the cluster")]
    Cgroup(#[from] CgroupError),
    /// There are no credentials.
    #[error("cannot write the credentials of the cluster")]
    Credentials(#[from] CredentialsError),
    /// Something is left of the cluster.
    #[error("cannot clean up after the cluster")]
    Leftovers(#[from] LeftoversError),
    /// The first process of the cluster ended on its own.
    #[error("the first process of the cluster ended: {last_words}")]
    Ended {
        /// The end of what it wrote to its log.
        last_words: String,
    },
}

/// The line by which a guard is told that its cluster shall outlive whoever started it.
pub(super) const DETACH: &str = "detach";

/// Runs a cluster until it is told to end: by SIGTERM, or by the end of standard input unless [`DETACH`] came before.
///
/// # Errors
/// When the cluster could not be started, ended on its own, or left something behind.
pub async fn run(orders: &Orders) -> Result<(), GuardError> {
    let lock = leftovers::lock(&orders.folder)?;
    say(&Notice::Locked)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut cluster = Running { child: None, reservation: None };
    let result = tokio::select! {
        result = cluster.start_and_wait(orders) => result,
        () = owner_gone() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    if let Err(error) = &result {
        say(&Notice::Failed { reason: crate::error::chain(error) })?;
    }
    cluster.end().await?;
    leftovers::remove(&orders.folder, &lock, cluster.reservation.take()).await?;
    if let Some(clusters) = orders.folder.parent() {
        leftovers::remove_if_empty(clusters, &leftovers::lock_all()?);
    }
    result
}

fn say(notice: &Notice) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    // Whoever started a detached guard is gone by the time that it ends.
    match writeln!(stdout, "{}", serde_json::to_string(notice)?).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => said,
    }
}

/// The owner holds the other end of standard input, and lets go of it when it ends, however it ends.
async fn owner_gone() {
    let (said, heard) = tokio::sync::oneshot::channel();
    // A thread of its own, which nobody waits for: a read of standard input cannot be called off.
    std::thread::spawn(move || said.send(io::stdin().lines().next()));
    if let Ok(Some(Ok(line))) = heard.await
        && line == DETACH
    {
        std::future::pending::<()>().await;
    }
}

struct Running {
    child: Option<Child>,
    reservation: Option<Reservation>,
}

impl Running {
    async fn start_and_wait(&mut self, orders: &Orders) -> Result<(), GuardError> {
        let (link, reservation) = Link::reserve().await?;
        self.reservation = Some(reservation);
        let blueprint = prepare(orders, link)?;
        let log = File::create(blueprint.logs().join("init.log"))?;
        let child = self.child.insert(init_command(&orders.folder, log)?.spawn()?);
        let (Some(stdout), Some(mut stdin)) = (child.stdout.take(), child.stdin.take()) else {
            return Err(io::Error::other("the first process of the cluster has no pipes").into());
        };
        let mut said = String::new();
        BufReader::new(stdout).read_line(&mut said).await?;
        if said.trim_end() != init::STARTED {
            return Err(ended(&blueprint));
        }
        let unshare = child.id().ok_or_else(|| io::Error::other("unshare has ended"))?;
        let process = process::only_child(unshare)?;
        blueprint.link.attach(process).await?;
        stdin.write_all(b"go\n").await?;
        say(&Notice::Running { process })?;
        child.wait().await?;
        // Init takes the end of this pipe for the end of the cluster.
        drop(stdin);
        Err(ended(&blueprint))
    }

    /// Waits for the end of every process of the cluster, which has begun with the end of init's standard input.
    async fn end(&mut self) -> io::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if tokio::time::timeout(END_LIMIT, child.wait()).await.is_err() {
            // `unshare` takes the first process of the cluster, and so all of it, with it.
            child.kill().await?;
        }
        Ok(())
    }
}

fn prepare(orders: &Orders, link: Link) -> Result<Blueprint, GuardError> {
    let blueprint = Blueprint {
        folder: orders.folder.clone(),
        link,
        programs: orders.programs.clone(),
        options: orders.options.clone(),
    };
    blueprint.save()?;
    let node = blueprint.first_node();
    node.save()?;
    cgroups::create(&link.unique_name())?;
    credentials::write(&blueprint)?;
    services::write_node_configuration(&node)?;
    for (file, text) in services::cluster_configuration(&blueprint) {
        fs::write(blueprint.file(file), text)?;
    }
    Ok(blueprint)
}

fn init_command(folder: &Path, log: File) -> io::Result<Command> {
    let mut command = Command::new("unshare");
    command
        .args(init::NAMESPACES)
        .arg(std::env::current_exe()?)
        .args(["cluster-init", "--folder"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true);
    Ok(command)
}

fn ended(blueprint: &Blueprint) -> GuardError {
    let log = fs::read_to_string(blueprint.logs().join("init.log")).unwrap_or_default();
    let mut from = log.len().saturating_sub(LAST_WORDS);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    GuardError::Ended { last_words: log[from..].trim().to_owned() }
}
