//! `Registrar`: registers unknown sub-accounts with the pool's backend, as the stratum servers request it.
//!
//! * `settings`: settings of the operator.

mod settings;

pub use settings::RegistrationSettings;
