//! Races: follows.
