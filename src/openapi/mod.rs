//! The API's description: an OpenAPI document, for who writes clients.
//!
//! Made of what the daemon itself goes by: paths and methods of the table of routes, answers of the types that are
//! sent, errors of `ApiError`, coins and limits of this daemon's configuration. Requests are parsed by hand, as the
//! daemon that this one replaces does, so they are described by hand, here; `tests/api/openapi` holds both against
//! each other. Why so: docs/develop/decisions/0017-openapi.md.
//!
//! * `switches`, `sub_pools`: the endpoints;
//! * `errors`: each error with its meaning, and who answers it;
//! * `schema`: how schemas are written.

mod errors;
pub mod page;
mod schema;
mod sub_pools;
mod switches;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use switcher_actors::Coins;
use utoipa::{
    ToSchema,
    openapi::{
        Components, HttpMethod, Info, OpenApiBuilder, Paths, RefOr, ResponseBuilder, Schema,
        extensions::Extensions,
        header::HeaderBuilder,
        path::Operation,
        response::Response,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
        server::{Server, ServerBuilder, ServerVariableBuilder},
        tag::TagBuilder,
    },
};

use self::schema::{exactly, json_content, text_content};
use crate::{
    api::{
        answer::{Body, JobmakerBody},
        request_metrics::Endpoint,
        results::Entry,
        routes,
    },
    http::RequestConfig,
};

pub use schema::MAX_BYTES;
pub use sub_pools::{coinbase, get_coinbase, update_coinbase};
pub use switches::{switch_many, switch_one};
pub use utoipa::openapi::OpenApi;

/// The extension of an operation that says of which path this one is another name.
pub const ALIAS_OF: &str = "x-alias-of";

const BASIC: &str = "basic";

/// What the document tells of this daemon alone.
#[derive(Clone)]
pub struct Described {
    coins: Coins,
    lower_case: bool,
    coinbase_max: usize,
    body_limit: usize,
    /// Whether the sub-pool API is on.
    sub_pools: bool,
    /// Where the API listens.
    address: SocketAddr,
}

impl Described {
    /// Those of an API with these terms.
    pub fn new(terms: &RequestConfig, sub_pools: bool, address: SocketAddr) -> Self {
        Self {
            coins: terms.rules.coins.clone(),
            lower_case: terms.rules.lower_case,
            coinbase_max: terms.coinbase_max,
            body_limit: terms.body.size,
            sub_pools,
            address,
        }
    }

    fn coins(&self) -> impl Iterator<Item = &str> {
        self.coins.iter().map(|coin| coin.as_str())
    }

    /// One that there is, for examples.
    fn some_coin(&self) -> &str {
        self.coins().next().unwrap_or_default()
    }
}

/// The whole document.
pub fn document(facts: &Described) -> OpenApi {
    let mut paths = Paths::new();
    for row in &routes::TABLE {
        for path in row.paths {
            for method in row.methods {
                let Some(documented) = documented(method) else { continue };
                let mut operation: Operation = (row.described)(facts, method).build();
                operation.operation_id = Some(operation_id(method, path));
                if *path != row.paths[0] {
                    operation.extensions =
                        Some(Extensions::builder().add(ALIAS_OF, row.paths[0]).build());
                }
                errors::add_statuses(&mut operation.responses, row.endpoint);
                operation.responses.responses.insert("401".to_owned(), unauthorized().into());
                paths.add_path_operation(*path, vec![documented], operation);
            }
        }
    }
    let mut info = Info::new("switcher-api-server", env!("CARGO_PKG_VERSION"));
    info.description = Some(introduction(facts));
    let tag = |name: &str, text| TagBuilder::new().name(name).description(Some(text)).build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([server(facts.address)]))
        .tags(Some([
            tag(switches::TAG, "Sub-accounts, and the coins that they mine."),
            tag(sub_pools::TAG, "What a sub-pool's blocks carry, and whom they pay."),
        ]))
        .paths(paths)
        .components(Some(components(facts)))
        .security(Some([SecurityRequirement::new(BASIC, [""; 0])]))
        .build()
}

/// The methods that the table has are among these.
fn documented(method: &actix_web::http::Method) -> Option<HttpMethod> {
    match method.as_str() {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        _ => None,
    }
}

/// `post_switch_multi_user`: a name that a generated client can have as a function's.
fn operation_id(method: &actix_web::http::Method, path: &str) -> String {
    // An alias differs from its path in no letter, so slashes count twice.
    let path = path.trim_start_matches('/').replace('/', "__").replace('-', "_");
    format!("{}_{path}", method.as_str().to_lowercase())
}

/// Where clients are to find the API is not ours to know: proxies and names stand between. So the address is made
/// of variables, whose defaults are what is known: what `ListenAddr` says.
fn server(address: SocketAddr) -> Server {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            "127.0.0.1".to_owned()
        }
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let variable = |default: String, text| {
        ServerVariableBuilder::new().default_value(default).description(Some(text))
    };
    ServerBuilder::new()
        .url("http://{host}:{port}")
        .description(Some("The API, as ListenAddr has it"))
        .parameter("host", variable(host, "The daemon's host, as you reach it"))
        .parameter("port", variable(address.port().to_string(), "The port of ListenAddr"))
        .build()
}

fn introduction(facts: &Described) -> String {
    let sub_pools = if facts.sub_pools {
        ""
    } else {
        "\n\nThe sub-pool API of this daemon is off: it answers `403` to every request. Set \
         `ZKSubPoolUpdateBaseDir`."
    };
    format!(
        "Moves a mining pool's miners between coins, and changes whom its sub-pools pay.\n\n\
         Look at `err_no` and `success` of an answer, not at its status: what an endpoint itself refuses has status \
         200, too. A success is answered only for what ZooKeeper has committed.\n\n\
         Bodies in JSON are read whatever their `Content-Type` says. Field names match whatever their case, unknown \
         fields are ignored, the last of repeated fields wins, `null` equals an absent field, and nothing may be \
         nested deeper than 64. Of this leniency the schemas say what a client may rely on.\n\n\
         {other}{sub_pools}",
        other = errors::of_no_endpoint(),
    )
}

fn components(facts: &Described) -> Components {
    let mut components = Components::new();
    let mut scheme = Http::new(HttpAuthScheme::Basic);
    scheme.description = Some("`APIUser` and `APIPassword`".to_owned());
    components.add_security_scheme(BASIC, SecurityScheme::Http(scheme));
    let mut add = |name: &str, schema: RefOr<Schema>| {
        components.schemas.insert(name.to_owned(), schema);
    };
    switches::add_schemas(facts, &mut add);
    sub_pools::add_schemas(&mut add);
    add(&Body::name(), <Body<'_> as utoipa::PartialSchema>::schema());
    add(&Entry::name(), <Entry<'_> as utoipa::PartialSchema>::schema());
    add(&JobmakerBody::name(), <JobmakerBody<'_> as utoipa::PartialSchema>::schema());
    components
}

/// The answer to who has not the right credentials. It is no JSON.
fn unauthorized() -> Response {
    let header = HeaderBuilder::new()
        .schema(Some(exactly(r#"Basic realm="Restricted""#)))
        .description(Some("The scheme that is asked for"));
    ResponseBuilder::new()
        .description("Missing or wrong credentials. Nothing was looked at or written.")
        .header("WWW-Authenticate", header.build())
        .content("text/html", text_content("<h1>401 - Unauthorized</h1>"))
        .build()
}

/// 200: one of these.
fn ok(description: &str, answers: Vec<RefOr<Schema>>, endpoint: Endpoint) -> Response {
    let mut content = json_content(schema::any_of(answers));
    content.examples.extend(errors::examples(endpoint, 200));
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

#[cfg(test)]
mod tests;
