//! Tracing events as messages in the unit's log.

use std::{
    fmt::{self, Write},
    pin::pin,
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::HookTools;

/// Linux takes arguments of up to 131,071 bytes; longer messages are split.
const LONGEST_ARGUMENT: usize = 100_000;

/// A tracing layer that hands every event over to [`LogLines`], so that tracing never waits for a hook tool.
#[derive(Debug)]
pub(crate) struct JujuLog {
    lines: UnboundedSender<(Level, String)>,
}

/// The other end of a [`JujuLog`], which writes the events with `juju-log`.
#[derive(Debug)]
pub(crate) struct LogLines {
    lines: UnboundedReceiver<(Level, String)>,
}

impl JujuLog {
    /// Returns a layer and the end at which its events come out.
    pub(crate) fn new() -> (Self, LogLines) {
        let (sender, receiver) = unbounded_channel();
        (Self { lines: sender }, LogLines { lines: receiver })
    }
}

impl<S: Subscriber> Layer<S> for JujuLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        // The receiving end lives as long as the runtime; what is logged after it has nobody to read it.
        let _ = self.lines.send((*event.metadata().level(), message.finish()));
    }
}

#[derive(Default)]
struct Message {
    text: String,
    fields: String,
}

impl Message {
    fn finish(self) -> String {
        self.text + &self.fields
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = if field.name() == "message" {
            write!(self.text, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

impl LogLines {
    /// Writes events as they come until `done`, and then the last of them. A log that cannot be written is no reason for a
    /// hook to fail.
    pub(crate) async fn follow(&mut self, tools: &HookTools, done: impl Future<Output = ()>) {
        let mut done = pin!(done);
        loop {
            tokio::select! {
                Some((level, line)) = self.lines.recv() => self.write_from(tools, level, line).await,
                () = &mut done => break,
            }
        }
        if let Ok((level, line)) = self.lines.try_recv() {
            self.write_from(tools, level, line).await;
        }
    }

    /// Writes an event and those that are already waiting behind it.
    async fn write_from(&mut self, tools: &HookTools, mut level: Level, mut text: String) {
        while let Ok((next_level, line)) = self.lines.try_recv() {
            // Neighbours of one level make one call: each is a round trip to the agent.
            if next_level == level && text.len() + line.len() < LONGEST_ARGUMENT {
                text.push('\n');
                text.push_str(&line);
            } else {
                write(tools, level, &text).await;
                (level, text) = (next_level, line);
            }
        }
        write(tools, level, &text).await;
    }
}

async fn write(tools: &HookTools, level: Level, text: &str) {
    let word = match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    };
    for part in parts(text) {
        if let Err(error) = tools.run("juju-log", &["--log-level", word, "--", part], None).await {
            // Juju takes standard error into the unit's log too.
            eprintln!("{word} {part} ({error})");
        }
    }
}

/// Returns the text in pieces that fit into an argument each.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let (part, rest) = text.split_at(text.floor_char_boundary(LONGEST_ARGUMENT));
        text = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::{super::tool::tests::ScriptedTools, *};

    #[tokio::test]
    async fn events_keep_their_level_and_fields() {
        let scripted = ScriptedTools::new(&[("juju-log", "true")]);
        let (layer, mut lines) = JujuLog::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!("-first");
            tracing::info!("second");
            tracing::warn!(object = "Deployment/velero", "was edited");
        });
        lines.follow(&scripted.tools(), async {}).await;
        assert_eq!(
            scripted.calls("juju-log"),
            "--log-level\nINFO\n--\n-first\nsecond\n--log-level\nWARNING\n--\nwas edited object=\"Deployment/velero\"\n"
        );
    }

    #[test]
    fn long_texts_are_split_between_characters() {
        let text = "ä".repeat(LONGEST_ARGUMENT);
        let parts: Vec<_> = parts(&text).collect();
        assert!(parts.iter().all(|part| part.len() <= LONGEST_ARGUMENT));
        assert_eq!(parts.concat(), text);
    }
}
