//! A listener: connections, checks of every request, and the actor that serves it.
//!
//! * `actor`: owns a listener: binds, serves, stops; the API's, and that of the admin pages;
//! * `connections`: message framing, deadlines and memory of each connection;
//! * `middleware`: checks of every request before its endpoint, such as authentication;
//! * `basic_auth`: credentials of a request;
//! * `csrf`: recognizes requests that a page of another site has sent;
//! * `hosts`: hosts under which a listener for browsers answers;
//! * `logins`: failed logins: counted, logged, and answered late;
//! * `slowdown`: how long each of them waits;
//! * `live_config`: the part of the configuration that each request is judged by; a reload replaces it;
//! * `request_id`: the id that an answer and its log lines carry;
//! * `body`: reads a request's body within a size and a time.

mod actor;
mod basic_auth;
pub mod body;
mod connections;
mod csrf;
mod hosts;
mod live_config;
mod logins;
mod middleware;
pub mod request_id;
mod slowdown;

pub use actor::{BoundListener, HttpActor, ServerLimits, Stop};
pub use basic_auth::BasicAuth;
#[cfg(fuzzing)]
pub use connections::properties::messages;
pub use connections::{Deadlines, OF_A_WORKER, most_at_once};
pub use live_config::{LiveConfig, RequestConfig, RequestConfigData};
pub use logins::Logins;
pub use middleware::Middleware;
