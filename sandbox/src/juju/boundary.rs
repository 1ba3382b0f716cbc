//! Where a charm meets Juju: somebody may stand there, see what it asks for, and let it come to harm.

use super::names::UnitName;

/// Somebody who sees each run of a charm and each call of a hook tool.
pub trait Boundary: Send + Sync {
    /// A hook or action begins.
    fn begins(&self, unit: &UnitName, name: &str);
    /// Its process runs, in the process group of this number.
    fn runs(&self, group: i32);
    /// It calls a tool. Returns what becomes of the call.
    fn calls(&self, tool: &str, arguments: &[String]) -> Passage;
    /// What the call was for is done, and the answer is about to be given. Returns whether it gets through.
    fn answers(&self) -> bool;
    /// The process has ended.
    fn ends(&self);
}

/// What becomes of the call of a hook tool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Passage {
    /// It goes on as if nobody stood there.
    Through,
    /// The unit does not lead any more as it goes on.
    WithoutLease,
    /// Nothing is done, and the tool says this.
    Answered {
        /// Its exit code.
        code: u8,
        /// What it writes to standard output.
        stdout: String,
        /// What it writes to standard error.
        stderr: String,
    },
    /// Nothing is done, and nobody answers.
    Lost,
    /// Nothing is done, and the tool waits for an answer for as long as it is let.
    Held,
}
