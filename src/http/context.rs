//! What the middleware leaves with a request for its handler: the configuration that it is judged by, and its source.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, dev::Payload};
use switcher_actors::{RequestId, Source};

use super::{error::RequestError, live_config::RequestConfig};

/// One entry in a request's extensions, not two: each costs an allocation, and a fourth entry a larger table.
pub struct Context {
    pub config: Arc<RequestConfig>,
    pub source: Source,
}

/// Extractor of the configuration that was loaded for a request.
pub struct LoadedConfig(pub Arc<RequestConfig>);

impl FromRequest for LoadedConfig {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let config = extensions.get().map(|Context { config, .. }| Self(Arc::clone(config)));
        ready(config.ok_or_else(|| RequestError::ChecksSkipped.into()))
    }
}

/// Client, user and id of a request that has passed the middleware.
pub fn source(request: &HttpRequest) -> Source {
    let unknown = || Source::api(None, RequestId::default());
    request.extensions().get().map_or_else(unknown, |Context { source, .. }| source.clone())
}
