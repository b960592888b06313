//! The OpenAPI document of the API, for authors of clients.
//!
//! Paths and methods come from the table of routes, answers from the types that are sent, errors from `ApiError`, coins
//! and limits from the configuration. Requests are parsed by hand, with the Go daemon's rules, and so described by hand
//! here; `tests/api/openapi` compares both. Reasons: docs/develop/decisions/0017-openapi.md.
//!
//! * `switches`, `sub_pools`, `user_lists`: the endpoints;
//! * `errors`: each error with its meaning and its endpoints;
//! * `schema`: short names for building schemas;
//! * `page`: the document as an HTML page.

mod errors;
pub mod page;
mod schema;
mod sub_pools;
mod switches;
mod user_lists;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use actix_web::http::Method;
use switcher_actors::{COMMENT_BYTES, Coins, ON_BEHALF_OF_BYTES};
use utoipa::{
    ToSchema,
    openapi::{
        Components, HttpMethod, Info, OpenApiBuilder, Paths, RefOr, Required, ResponseBuilder,
        Schema,
        extensions::Extensions,
        header::HeaderBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        response::Response,
        schema::{ObjectBuilder, Type},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
        server::{Server, ServerBuilder, ServerVariableBuilder},
        tag::TagBuilder,
    },
};

use self::schema::{exactly, json_content, text_content};
use crate::{
    api::{
        answer::JobmakerBody,
        results::ResultBody,
        routes::{self, Endpoint},
    },
    http::{Access, CHALLENGE, RequestConfig, UNAUTHORIZED, error::ThreeFields},
    users::Role,
};

pub use schema::MAX_BYTES;
pub use utoipa::openapi::OpenApi;

/// Extension of an operation whose path is an alias: the path that it stands for.
pub const ALIAS_OF: &str = "x-alias-of";

const BASIC: &str = "basic";
const BEARER: &str = "bearer";

/// Facts about this daemon that the document contains.
#[derive(Clone)]
pub struct Described {
    coins: Coins,
    lower_case: bool,
    coinbase_max: usize,
    body_limit: usize,
    /// Whether the sub-pool API is on.
    sub_pools: bool,
    /// Whether the API serves user lists.
    user_lists: bool,
    /// Address of the API.
    address: SocketAddr,
}

impl Described {
    pub fn new(
        config: &RequestConfig,
        sub_pools: bool,
        user_lists: bool,
        address: SocketAddr,
    ) -> Self {
        Self {
            coins: config.switch_rules.coins.clone(),
            lower_case: config.switch_rules.lower_case,
            coinbase_max: config.coinbase_max,
            body_limit: config.body_limits.size,
            sub_pools,
            user_lists,
            address,
        }
    }

    fn coins(&self) -> impl Iterator<Item = &str> {
        self.coins.iter().map(|coin| coin.as_str())
    }

    /// A coin for examples.
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
                let mut operation: Operation = operation(row.endpoint, facts, method).build();
                operation.operation_id = Some(operation_id(method, path));
                if *path != row.paths[0] {
                    operation.extensions =
                        Some(Extensions::builder().add(ALIAS_OF, row.paths[0]).build());
                }
                if row.access != Access::Role(Role::Viewer) {
                    operation
                        .parameters
                        .get_or_insert_default()
                        .extend(about_the_change().map(RefOr::from));
                }
                errors::add_statuses(&mut operation.responses, row.endpoint);
                operation.responses.responses.insert("401".to_owned(), unauthorized().into());
                paths.add_path_operation(*path, vec![documented], operation);
            }
        }
    }
    if facts.user_lists {
        let mut operation = operation(Endpoint::UserList, facts, &Method::GET).build();
        operation.operation_id = Some("get_user_list".to_owned());
        operation.security = Some(vec![SecurityRequirement::default()]);
        errors::add_statuses(&mut operation.responses, Endpoint::UserList);
        paths.add_path_operation(user_lists::PATH, vec![HttpMethod::Get], operation);
    }
    let mut info = Info::new("switcher-api-server", env!("CARGO_PKG_VERSION"));
    info.description = Some(introduction(facts));
    let tag = |name: &str, text| TagBuilder::new().name(name).description(Some(text)).build();
    let mut tags = vec![
        tag(switches::TAG, "Sub-accounts, and the coins that they mine."),
        tag(sub_pools::TAG, "Coinbase texts and payout addresses of sub-pools."),
    ];
    if facts.user_lists {
        tags.push(tag(user_lists::TAG, "Sub-accounts with their numbers, for sserver."));
    }
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([server(facts.address)]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components(facts)))
        .security(Some([BASIC, BEARER].map(|scheme| SecurityRequirement::new(scheme, [""; 0]))))
        .build()
}

fn operation(endpoint: Endpoint, facts: &Described, method: &Method) -> OperationBuilder {
    match endpoint {
        Endpoint::Switch => switches::switch_one(facts, method),
        Endpoint::SwitchMany => switches::switch_many(facts),
        Endpoint::GetCoinbase => sub_pools::get_coinbase(facts),
        Endpoint::UpdateCoinbase => sub_pools::update_coinbase(facts),
        Endpoint::UserList => user_lists::list(facts),
    }
}

/// The document's name of a method of the table.
fn documented(method: &Method) -> Option<HttpMethod> {
    match method.as_str() {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        _ => None,
    }
}

/// `post_switch_multi_user`: usable as the name of a function in a generated client.
fn operation_id(method: &Method, path: &str) -> String {
    // An alias has the same letters as its path, so a slash becomes two underscores.
    let path = path.trim_start_matches('/').replace('/', "__").replace('-', "_");
    format!("{}_{path}", method.as_str().to_lowercase())
}

/// The server's address, made of variables, since clients may reach the API through proxies and by other names. The
/// defaults come from `ListenAddr`.
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
        .description(Some("The API at ListenAddr"))
        .parameter("host", variable(host, "The host under which you reach the daemon"))
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
        "Moves a mining pool's miners between coins, and changes the coinbase texts and payout addresses of its \
         sub-pools.\n\n\
         Check `err_no` and `success` of an answer, not its status: an endpoint answers most of its own errors with \
         status 200. Success means that ZooKeeper has committed the change.\n\n\
         JSON bodies are read whatever their `Content-Type` is. Field names match in any case, unknown fields are \
         ignored, the last of repeated fields counts, `null` equals an absent field, and the limit of nesting is 64. \
         The schemas describe the part of this leniency that clients may rely on.\n\n\
         {other}{sub_pools}",
        other = errors::of_no_endpoint(),
    )
}

fn components(facts: &Described) -> Components {
    let mut components = Components::new();
    for (name, kind, description) in [
        (
            BASIC,
            HttpAuthScheme::Basic,
            "A user with password or token: `APIUser`, or one of `UsersFile`",
        ),
        (
            BEARER,
            HttpAuthScheme::Bearer,
            "The token of a user of `UsersFile`: 64 hexadecimal digits",
        ),
    ] {
        let mut scheme = Http::new(kind);
        scheme.description = Some(description.to_owned());
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    let mut add = |name: &str, schema: RefOr<Schema>| {
        components.schemas.insert(name.to_owned(), schema);
    };
    switches::add_schemas(facts, &mut add);
    sub_pools::add_schemas(&mut add);
    add(&ThreeFields::name(), <ThreeFields<'_> as utoipa::PartialSchema>::schema());
    add(&ResultBody::name(), <ResultBody<'_> as utoipa::PartialSchema>::schema());
    add(&JobmakerBody::name(), <JobmakerBody<'_> as utoipa::PartialSchema>::schema());
    components
}

/// Headers of a request that changes something.
fn about_the_change() -> [Parameter; 2] {
    let header = |name: &str, bytes: usize, text: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(format!("{text}. It is recorded, UTF-8, cut after {bytes} bytes")))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    };
    [
        header(
            "X-On-Behalf-Of",
            ON_BEHALF_OF_BYTES,
            "The person for whom a backend acts, which grants nothing",
        ),
        header("X-Change-Comment", COMMENT_BYTES, "The reason"),
    ]
}

/// 401, which is not JSON.
fn unauthorized() -> Response {
    let header = HeaderBuilder::new()
        .schema(Some(exactly(CHALLENGE)))
        .description(Some("The authentication scheme"));
    ResponseBuilder::new()
        .description("Missing or wrong credentials. Nothing was read or written.")
        .header("WWW-Authenticate", header.build())
        .content("text/html", text_content(UNAUTHORIZED))
        .build()
}

/// 200, with one of these answers.
fn ok(description: &str, answers: Vec<RefOr<Schema>>, endpoint: Endpoint) -> Response {
    let mut content = json_content(schema::any_of(answers));
    content.examples.extend(errors::examples(endpoint, 200));
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

#[cfg(test)]
mod tests;
