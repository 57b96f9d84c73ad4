//! What counts do not hold although the text does.

/// What was left out of counts so that they fit into the memory that they were allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Distinct pretokens that were left out, or more: of counts that were added, several may have left
    /// out the same one.
    pub pretokens: u64,
    /// How often these occur.
    pub occurrences: u64,
    /// They occur less often than this.
    pub below: u64,
}

impl Pruned {
    /// What was left out of two counts together.
    #[must_use]
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
        Some(Self {
            pretokens: one.pretokens.saturating_add(other.pretokens),
            occurrences: one.occurrences.saturating_add(other.occurrences),
            below: one.below.max(other.below),
        })
    }
}
