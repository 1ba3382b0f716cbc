//! In which order the relations of a dying unit end.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The order in which the relations of a dying unit end. Juju walks a Go map before each hook, so that any order may come, also
/// one in which the departures of several relations are mixed. A charm has to do with each.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndingOrder {
    /// One relation after the other, the newest first.
    #[default]
    NewestFirst,
    /// One relation after the other, the oldest first.
    OldestFirst,
    /// Mixed, in a way that the number stands for.
    Mixed(u64),
}

impl EndingOrder {
    /// The relations in the order in which the next hook is looked for. `left` is how much is still to end: it is another one
    /// before each hook.
    #[must_use]
    pub fn arrange(self, mut relations: Vec<u32>, left: usize) -> Vec<u32> {
        relations.sort_unstable();
        match self {
            Self::OldestFirst => {}
            Self::NewestFirst => relations.reverse(),
            Self::Mixed(seed) => relations.sort_by_cached_key(|id| Sha256::digest(format!("{seed} {left} {id}"))),
        }
        relations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_end_newest_first_unless_told_otherwise() {
        assert_eq!(EndingOrder::default().arrange(vec![2, 0, 7], 3), [7, 2, 0]);
        assert_eq!(EndingOrder::OldestFirst.arrange(vec![2, 0, 7], 3), [0, 2, 7]);
    }

    #[test]
    fn a_seed_gives_the_same_mixture_each_time_and_others_from_step_to_step() {
        let all = |seed| (0..20).map(|left| EndingOrder::Mixed(seed).arrange(vec![0, 1, 2], left)).collect::<Vec<_>>();
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
        assert!(all(1).iter().any(|order| *order != all(1)[0]));
    }
}
