//! The verbs as a user types them, as far as that goes without a cluster.

use std::process::{Command, Output};

fn sandbox(arguments: &[&str]) -> Output {
    let state = tempfile::tempdir().expect("a temporary directory");
    Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(arguments)
        .env("XDG_STATE_HOME", state.path())
        .output()
        .expect("the program runs")
}

#[test]
fn without_a_cluster_each_verb_says_how_to_get_one() {
    for verb in [&["status"][..], &["deploy", "./charm"], &["config", "x"], &["run", "x/0", "y"], &["debug-log"]] {
        let output = sandbox(verb);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        assert!(text.starts_with("ERROR there is no cluster: start one with `cargo sandbox up`"), "{verb:?}: {text}");
    }
}

#[test]
fn help_lists_the_verbs_and_not_the_parts() {
    let text = String::from_utf8_lossy(&sandbox(&["--help"]).stdout).into_owned();
    for verb in ["up", "down", "deploy", "integrate", "config", "run", "status", "debug-log", "remove-application"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(verb)), "{verb}: {text}");
    }
    assert!(!text.contains("cluster-guard") && !text.contains("charm-supervisor"), "{text}");
}

#[test]
fn mistakes_are_told_before_anything_is_done() {
    assert_eq!(sandbox(&["resolved", "no-unit"]).status.code(), Some(2));
    assert_eq!(sandbox(&["debug-log", "--level", "LOUD"]).status.code(), Some(2));
    assert_eq!(sandbox(&["jump"]).status.code(), Some(2));
}
