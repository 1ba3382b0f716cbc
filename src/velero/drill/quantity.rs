//! Kubernetes' quantities, as far as nodes tell what they have: `3920m`, `16284Ki`.

/// The suffixes of a quantity and their factors.
const SUFFIXES: [(&str, u64); 11] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("", 1),
];

/// Returns a number of processors in thousandths.
pub(super) fn thousandths(quantity: &str) -> Option<u64> {
    match quantity.strip_suffix('m') {
        Some(number) => number.parse().ok(),
        None => whole(quantity)?.checked_mul(1000),
    }
}

/// Returns a number of bytes.
pub(super) fn bytes(quantity: &str) -> Option<u64> {
    whole(quantity)
}

fn whole(quantity: &str) -> Option<u64> {
    let (number, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((quantity.strip_suffix(suffix)?, *factor)))?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_tell_is_read() {
        assert_eq!(
            (thousandths("3920m"), thousandths("4"), thousandths("2k")),
            (Some(3920), Some(4000), Some(2_000_000))
        );
        assert_eq!((bytes("16284Ki"), bytes("1G"), bytes("1024")), (Some(16_674_816), Some(1_000_000_000), Some(1024)));
        assert_eq!((bytes("some"), bytes("-1"), bytes("1.5Gi")), (None, None, None));
    }
}
