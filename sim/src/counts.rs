//! How often what happened: a fault that hits nothing tests nothing.

use std::collections::BTreeMap;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// Counts one more.
    pub fn note(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// Counts so many more.
    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.0.entry(name).or_default() += count;
    }

    /// Counts what another has counted.
    pub fn merge(&mut self, other: &Counts) {
        other.iter().for_each(|(name, count)| self.add(name, count));
    }

    /// How often, so far.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(name, count)| (*name, *count))
    }

    /// How many different things have happened.
    pub fn kinds(&self) -> usize {
        self.0.values().filter(|count| **count > 0).count()
    }
}
