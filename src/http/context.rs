//! What the middleware leaves with a request for its handler: the configuration that judged it, and its source.

use std::{
    future::{Ready, ready},
    ops::Deref,
    sync::Arc,
};

use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, dev::Payload};
use switcher_actors::{RequestId, Source};

use super::{error::RequestError, live_config::RequestConfig};

/// One entry of a request's extensions: each entry costs an allocation per request, and more than three another table.
pub struct Context {
    pub config: Arc<RequestConfig>,
    pub source: Source,
}

/// Extractor of the configuration that was loaded for a request.
pub struct LoadedConfig(Arc<RequestConfig>);

impl LoadedConfig {
    pub fn into_inner(self) -> Arc<RequestConfig> {
        self.0
    }
}

impl Deref for LoadedConfig {
    type Target = RequestConfig;

    fn deref(&self) -> &RequestConfig {
        &self.0
    }
}

impl FromRequest for LoadedConfig {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let config = extensions.get().map(|Context { config, .. }| Self(Arc::clone(config)));
        ready(config.ok_or_else(|| RequestError::Unchecked.into()))
    }
}

/// Client, user and id of a request that has passed the middleware.
pub fn source(request: &HttpRequest) -> Source {
    let unknown = || Source::api(None, RequestId::default());
    request.extensions().get().map_or_else(unknown, |Context { source, .. }| source.clone())
}
