//! The Velero CLI of a charm, each run of which passes a gate. The program beside the charm that has the CLI's name is the
//! sandbox's own: it asks what is to become of the run, and does as it is told.

use std::{
    collections::HashMap,
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    fault::Fault,
    gate::Gate,
    operation::{self, Door},
};

/// The CLI's name.
const NAME: &str = "velero";

/// The name of the real one, beside it.
const REAL: &str = "velero.real";

/// The file with the address to ask at.
const ADDRESS: &str = "velero.door";

/// How long a CLI hangs that is not killed before: longer than the charm bears it.
const HANG: Duration = Duration::from_secs(150);

/// Something that no version of Velero prints.
const UNKNOWN: &str = "\n---\napiVersion: storm.test/v1\nkind: Unheard\nmetadata:\n  name: of\n";

/// What becomes of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Order {
    Run,
    /// And tell here what was printed.
    RunAndTell,
    /// What the real one has printed before to the same words.
    Say(String),
    Fail,
    SayNothing,
    SayHalf,
    SayMore,
    Die,
    Hang,
}

/// Whether the program was called by the CLI's name.
#[must_use]
pub fn is_cli(program: &OsStr) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == NAME)
}

/// Does what the CLI of a charm in a storm is to do.
#[must_use]
pub fn run_cli(program: &OsStr, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match run(Path::new(program), &arguments.collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("An error occurred: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(program: &Path, arguments: &[OsString]) -> io::Result<ExitCode> {
    let address = fs::read_to_string(program.with_file_name(ADDRESS))?;
    let door = TcpStream::connect(address.trim())?;
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let environment: Vec<_> = env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    let mut line = serde_json::to_vec(&(words, environment))?;
    line.push(b'\n');
    (&door).write_all(&line)?;
    let mut order = String::new();
    BufReader::new(&door).read_line(&mut order)?;
    // Where nobody answers, the charm is about to be killed.
    let order = serde_json::from_str(&order).unwrap_or(Order::Die);

    let mut real = Command::new(program.with_file_name(REAL));
    real.args(arguments);
    match order {
        Order::Run => Err(real.exec()),
        Order::RunAndTell => {
            let output = real.stderr(Stdio::inherit()).output()?;
            io::stdout().write_all(&output.stdout)?;
            let said = String::from_utf8(output.stdout).map_err(io::Error::other)?;
            if output.status.success() {
                serde_json::to_writer(&door, &said)?;
            }
            Ok(output.status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
        }
        Order::Say(said) => {
            io::stdout().write_all(said.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Order::Fail => Err(io::Error::other("unexpected end of everything")),
        Order::SayNothing => Ok(ExitCode::SUCCESS),
        Order::SayHalf | Order::SayMore => {
            let mut said = real.stderr(Stdio::inherit()).output()?.stdout;
            if matches!(order, Order::SayHalf) {
                said.truncate(said.len() / 2);
            } else {
                said.extend_from_slice(UNKNOWN.as_bytes());
            }
            io::stdout().write_all(&said)?;
            Ok(ExitCode::SUCCESS)
        }
        Order::Hang => {
            thread::sleep(HANG);
            Ok(ExitCode::FAILURE)
        }
        Order::Die => {
            let this = nix::unistd::getpid();
            nix::sys::signal::kill(this, nix::sys::signal::Signal::SIGKILL)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Where the CLI of one charm asks.
pub(in crate::storm) struct CliDoor {
    address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl CliDoor {
    /// Listens.
    pub(in crate::storm) fn open(gate: Arc<Gate>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let said = Arc::new(Mutex::new(String::new()));
        let noted = Arc::clone(&said);
        thread::spawn(move || {
            let mut known = Known::new();
            for stream in listener.incoming().flatten() {
                // Who goes away before the answer is a charm that was killed.
                let _ = answer(&stream, &gate, &noted, &mut known);
            }
        });
        Ok(Self { address, said })
    }

    /// Copies a charm, by links, to a folder that is not there yet, with a CLI that asks here.
    pub(in crate::storm) fn furnish(&self, charm: &Path, program: &Path, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(charm)? {
            let entry = entry?;
            let name = if entry.file_name() == NAME { OsString::from(REAL) } else { entry.file_name() };
            symlink(fs::canonicalize(entry.path())?, folder.join(name))?;
        }
        symlink(program, folder.join(NAME))?;
        fs::write(folder.join(ADDRESS), self.address.to_string())
    }

    /// Returns all arguments and all of the environment that the CLI was given, and forgets them.
    pub(in crate::storm) fn take_said(&self) -> String {
        std::mem::take(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the real CLI prints to which words.
type Known = HashMap<Vec<String>, String>;

/// Returns the words of a run by which it is known what it prints, if they are enough: it asks no cluster, and no environment.
fn telling(arguments: &[String], environment: &[String]) -> Option<Vec<String>> {
    let words: Vec<_> = match arguments {
        // A file that says that there is no cluster, by another name each time.
        [flag, _, words @ ..] if flag == "--kubeconfig" => words.to_vec(),
        words => words.to_vec(),
    };
    let prints = words.iter().any(|word| word == "--dry-run") || words == ["version", "--client-only"];
    (prints && environment.is_empty()).then_some(words)
}

fn answer(mut stream: &TcpStream, gate: &Gate, said: &Mutex<String>, known: &mut Known) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
    let (arguments, environment): (Vec<String>, Vec<String>) = serde_json::from_str(&line)?;
    let telling = telling(&arguments, &environment);
    let run = || match telling.as_ref().map(|words| known.get(words)) {
        None => Order::Run,
        Some(None) => Order::RunAndTell,
        Some(Some(said)) => Order::Say(said.clone()),
    };
    let order = match gate.passes(Door::Cli, &operation::cli(&arguments)) {
        Some(Fault::Fails) => Order::Fail,
        Some(Fault::SaysNothing) => Order::SayNothing,
        Some(Fault::SaysHalf) => Order::SayHalf,
        Some(Fault::SaysUnknown) => Order::SayMore,
        Some(Fault::Dies) => Order::Die,
        Some(Fault::Hangs) => Order::Hang,
        Some(Fault::KilledBefore) => {
            gate.kill();
            return Ok(());
        }
        Some(Fault::Terminated) => {
            gate.terminate();
            run()
        }
        _ => run(),
    };
    let mut line = serde_json::to_vec(&order)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    if let (Order::RunAndTell, Some(words)) = (order, telling) {
        known.insert(words, serde_json::from_reader(stream)?);
    }
    Ok(())
}

/// The folder of a charm that was furnished.
pub(in crate::storm) fn folder(stage: &Path) -> PathBuf {
    stage.join("charm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cli_prints_is_known_only_where_it_asks_nobody() {
        let known_by = |words: &str, environment: &[&str]| {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            let environment: Vec<_> = environment.iter().map(|&each| each.to_owned()).collect();
            telling(&words, &environment).map(|words| words.join(" "))
        };
        let install = "--namespace a install --dry-run -o yaml";
        assert_eq!(known_by(&format!("--kubeconfig /tmp/1 {install}"), &[]).as_deref(), Some(install));
        assert_eq!(known_by("version --client-only", &[]).as_deref(), Some("version --client-only"));
        assert_eq!(known_by(install, &["HOME=/root"]), None);
        for asking in ["version", "backup create nightly", "--kubeconfig /tmp/1 backup get"] {
            assert_eq!(known_by(asking, &[]), None, "{asking}");
        }
    }
}
