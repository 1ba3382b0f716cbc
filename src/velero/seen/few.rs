//! Names in a message that has not room for many.

use std::fmt::Display;

/// At most this many are named.
const NAMED: usize = 3;

/// Returns the first few names, and how many more there are.
pub(crate) fn named<T: Display>(names: &[T]) -> String {
    let first = names.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMED) {
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}
