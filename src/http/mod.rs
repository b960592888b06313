//! A listener: connections, checks of every request, and the actor that serves it. The API and the admin pages have
//! one each.
//!
//! * `actor`: serves a listener, reports on it, stops it;
//! * `bind`: takes an address to listen on;
//! * `connections`: message framing, deadlines and memory of each connection;
//! * `middleware`: the checks of every request before its endpoint, and `identity`, the user of a request;
//! * `access`: the user of a request, and the role that its route needs;
//! * `basic_auth`: HTTP Basic authentication;
//! * `handshakes`: TLS of the listeners, and its failed handshakes: metrics, log;
//! * `logins`: logins of a listener: metrics, log, delayed answers of failed ones;
//! * `missing_roles`: refused requests of users without a role: metrics, log;
//! * `comparisons`: the thread that compares passwords with slow hashes; `waiting`: the logins that wait for it;
//! * `slowdown`: the delay of each failed login's answer;
//! * `csrf`: requests that a page of another site sends;
//! * `sessions`, `session_cookie`: sessions of the console, and the cookie that has their ids;
//! * `hosts`: hosts under which a listener for browsers answers;
//! * `live_config`: the configuration that requests are judged by; a reload replaces it;
//! * `request_id`: the id in an answer and in its log lines; the source of a request;
//! * `context`: what the middleware leaves with a request for its handler;
//! * `forwarded`: the client's address and TLS, also behind trusted proxies;
//! * `body`: reads a request's body within a size and a time;
//! * `error`: the listener's refusals, and the answer of three fields.

mod access;
mod actor;
mod basic_auth;
mod bind;
pub mod body;
mod comparisons;
mod connections;
mod context;
mod csrf;
pub mod error;
mod forwarded;
mod handshakes;
mod hosts;
mod live_config;
mod logins;
mod middleware;
mod missing_roles;
mod request_id;
mod session_cookie;
mod sessions;
mod slowdown;
mod waiting;

pub use access::{Access, Actor, MissingRole, require};
#[cfg(test)]
pub use access::{Identified, Means};
pub use actor::{HttpActor, ServerLimits, Stop};
#[cfg(any(test, fuzzing))]
pub use basic_auth::BasicAuth;
pub use basic_auth::{CHALLENGE, UNAUTHORIZED};
pub use bind::BoundListener;
#[cfg(fuzzing)]
pub use connections::properties::messages;
pub use connections::{Deadlines, WORKER_DESCRIPTORS, max_connections};
pub use context::{LoadedConfig, source};
pub use csrf::{accepts_pages, proves_own_site};
pub use forwarded::{client, is_secure};
pub use handshakes::{ListenerTls, Tls};
pub use live_config::{LiveConfig, RequestConfig};
pub use logins::Logins;
pub use middleware::{Middleware, Public, SignIn, SpecialPaths};
pub use session_cookie::{SessionCookie, see_other};
pub use sessions::{NoRandom, SessionKey};
