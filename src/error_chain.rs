//! Errors with their causes, in one line.

use std::{error::Error, fmt};

/// Prints an error and each of its sources after a colon.
#[derive(Debug)]
pub(crate) struct ErrorChain<'a>(pub &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut last = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Libraries often repeat the text of a source in their own.
            if !last.contains(&text) {
                write!(formatter, ": {text}")?;
                last = text;
            }
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("cannot open the door: the key is lost")]
    struct Repeating(#[source] Inner);

    #[derive(Debug, Error)]
    #[error("the key is lost")]
    struct Inner;

    #[derive(Debug, Error)]
    #[error("cannot go in")]
    struct Outer(#[source] Repeating);

    #[test]
    fn every_cause_is_told_once() {
        assert_eq!(
            ErrorChain(&Outer(Repeating(Inner))).to_string(),
            "cannot go in: cannot open the door: the key is lost"
        );
    }
}
