//! The backend that registers, for commands that only check it.

use slog::{Discard, Logger, o};

use super::{RegistrationSettings, backend::Backend};
use crate::upstream::FetchError;

/// Sends a GET, which registers nothing, and returns the status of the answer; `None` without a URL. Redirects are not
/// followed.
pub async fn probe_registration(
    settings: &RegistrationSettings,
) -> Option<Result<u16, FetchError>> {
    backend(settings).probe().await
}

/// Requests the registration of a sub-account that the backend knows: its answer is the sub-account's puid. `Err` has the
/// cause.
pub async fn register_known(settings: &RegistrationSettings, name: &str) -> Result<u32, String> {
    backend(settings).register(name).await.map_err(|not| not.cause)
}

fn backend(settings: &RegistrationSettings) -> Backend {
    Backend::new(settings, &Logger::root(Discard, o!()))
}
