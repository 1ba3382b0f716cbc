//! The command line of the action `run`.

use serde_json::json;

use super::Oracle;
use crate::actions::{
    command,
    flags::{Flag, Subcommand},
};

/// A command that is let through is the same to the CLI's own library: it finds no flag in it that is refused, and none that is
/// unknown, and a question is answered beforehand.
pub(super) fn run(data: &[u8], oracle: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data);
    let Ok(words) = command::parse(&text) else { return };
    assert!(words.iter().all(|word| !word.contains('\0')), "no program takes {words:?}");
    let again = shell_words::join(&words);
    assert_eq!(command::parse(&again).as_ref(), Ok(&words));
    assert_eq!(command::parse(&format!("velero {again}")).as_ref(), Ok(&words));
    let Some(subcommand) = Subcommand::find(&words[0], &words[1]) else {
        assert!(words.len() == 2 && matches!(words[1].as_str(), "-h" | "--help"), "{words:?}");
        return;
    };
    let known: Vec<&Flag> = subcommand.flags().collect();
    let declared = |flag: &&Flag| {
        let short = flag.short.map(String::from).unwrap_or_default();
        json!({"name": flag.name, "short": short, "takesValue": flag.takes_value})
    };
    let asked = json!({"flags": known.iter().map(declared).collect::<Vec<_>>(), "words": words[2..]});
    match oracle.ask("flags", &asked.to_string()) {
        None => {}
        Some(Err(error)) => assert!(error.contains("flag needs an argument"), "{words:?}: {error}"),
        Some(Ok(found)) => {
            let is_on = |name: &str| {
                found.get(name).is_some_and(|value| ["1", "t", "T", "true", "TRUE", "True"].contains(&value.as_str()))
            };
            assert!(known.iter().all(|flag| flag.refused.is_none() || !found.contains_key(flag.name)), "{words:?}");
            let asks = known.iter().any(|flag| flag.name == "confirm");
            assert!(!asks || is_on("confirm") || is_on("help"), "{words:?}");
        }
    }
}
