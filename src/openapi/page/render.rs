//! Renders an OpenAPI document as HTML. This file knows no endpoint.

use std::fmt::{self, Write};

use serde_json::Value;
use utoipa::openapi::{
    Content, OpenApi, RefOr, Required, Response,
    example::Example,
    path::{Operation, Parameter, ParameterIn, PathItem},
    request_body::RequestBody,
    server::Server,
};

use super::{
    html::{Line, Plain, Prose, TABLE_END, table},
    schema::{anchor, in_a_line, in_full},
};
use crate::openapi::ALIAS_OF;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
"#;

pub fn page(document: &OpenApi) -> String {
    let mut page = HEAD.to_owned();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, document);
    page
}

fn write_page(page: &mut String, document: &OpenApi) -> fmt::Result {
    let info = &document.info;
    writeln!(page, "<title>{} API</title>", Plain(&info.title))?;
    page.push_str("<link rel=\"stylesheet\" href=\"docs.css\">\n</head>\n<body>\n");
    page.push_str("<a class=\"skip\" href=\"#main\">To the content</a>\n<header>\n");
    writeln!(
        page,
        "<h1>{} API</h1>\n<p>Version {}. <a href=\"openapi.json\">The same for programs</a>: OpenAPI {}.</p>",
        Plain(&info.title),
        Plain(&info.version),
        // The version has no accessor besides its serializer.
        Plain(
            serde_json::to_value(&document.openapi)
                .ok()
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default()
        ),
    )?;
    write_contents(page, document)?;
    page.push_str("</header>\n<main id=\"main\">\n");
    write!(page, "{}", Prose(info.description.as_deref().unwrap_or_default()))?;
    write_access(page, document)?;
    let server = document.servers.iter().flatten().next().map(address).unwrap_or_default();
    for (path, method, operation) in operations(document) {
        write_operation(page, document, &server, (path, method, operation))?;
    }
    page.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    for (name, schema) in document.components.iter().flat_map(|components| &components.schemas) {
        let (id, body) = (anchor(name), in_full(schema));
        writeln!(
            page,
            "<section id=\"{id}\">\n<h3><code>{}</code></h3>\n{body}</section>",
            Plain(name)
        )?;
    }
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

/// Operations in the document's order, without aliases.
fn operations(document: &OpenApi) -> impl Iterator<Item = (&str, &'static str, &Operation)> {
    document.paths.paths.iter().flat_map(|(path, item)| {
        let of_item = of_item(item).filter(|(_, operation)| alias_of(operation).is_none());
        of_item.map(move |(method, operation)| (path.as_str(), method, operation))
    })
}

fn of_item(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    let methods = [
        ("GET", get),
        ("PUT", put),
        ("POST", post),
        ("DELETE", delete),
        ("OPTIONS", options),
        ("HEAD", head),
        ("PATCH", patch),
        ("TRACE", trace),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn alias_of(operation: &Operation) -> Option<&str> {
    operation.extensions.as_ref()?.get(ALIAS_OF)?.as_str()
}

fn id(operation: &Operation) -> &str {
    operation.operation_id.as_deref().unwrap_or_default()
}

fn write_contents(page: &mut String, document: &OpenApi) -> fmt::Result {
    page.push_str("<nav aria-label=\"Contents\">\n<ul>\n");
    for (path, method, operation) in operations(document) {
        writeln!(
            page,
            "<li><a href=\"#{}\"><code>{method} {}</code></a> {}</li>",
            Plain(id(operation)),
            Plain(path),
            Line(operation.summary.as_deref().unwrap_or_default())
        )?;
    }
    page.push_str("<li><a href=\"#schemas\">Schemas</a></li>\n</ul>\n</nav>\n");
    Ok(())
}

fn write_access(page: &mut String, document: &OpenApi) -> fmt::Result {
    page.push_str("<h2>Access</h2>\n<dl>\n");
    for server in document.servers.iter().flatten() {
        writeln!(
            page,
            "<dt>Address</dt>\n<dd><code>{}</code>: {}. It is <code>{}</code>; from elsewhere:\n<ul>",
            Plain(&address(server)),
            Line(server.description.as_deref().unwrap_or_default()),
            Plain(&server.url)
        )?;
        for (name, variable) in server.variables.iter().flatten() {
            let text = variable.description.as_deref().unwrap_or_default();
            writeln!(page, "<li><code>{}</code>: {}</li>", Plain(name), Line(text))?;
        }
        page.push_str("</ul></dd>\n");
    }
    page.push_str(
        "<dt>Credentials</dt>\n<dd>HTTP Basic authentication, or a token (<code>Authorization: Bearer TOKEN</code>), with \
         every request</dd>\n</dl>\n",
    );
    Ok(())
}

/// A server's address with its variables' defaults.
fn address(server: &Server) -> String {
    let variables = server.variables.iter().flatten();
    variables.fold(server.url.clone(), |url, (name, variable)| {
        url.replace(&format!("{{{name}}}"), &variable.default_value)
    })
}

fn write_operation(
    page: &mut String,
    document: &OpenApi,
    server: &str,
    (path, method, operation): (&str, &str, &Operation),
) -> fmt::Result {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    writeln!(
        page,
        "<section id=\"{}\">\n<h2><code>{method} {}</code></h2>\n<p>{}.</p>",
        Plain(id(operation)),
        Plain(path),
        Line(&text(&operation.summary))
    )?;
    write!(page, "{}", Prose(&text(&operation.description)))?;
    for (alias, item) in &document.paths.paths {
        let is_alias =
            |(of, operation): (&str, &Operation)| of == method && alias_of(operation) == Some(path);
        if of_item(item).any(is_alias) {
            writeln!(page, "<p>Alias: <code>{}</code></p>", Plain(alias))?;
        }
    }
    write_parameters(page, operation)?;
    if let Some(body) = operation.request_body.as_ref().and_then(inline) {
        write_body(page, &format!("{server}{path}"), body)?;
    }
    for (status, response) in &operation.responses.responses {
        if let Some(response) = inline(response) {
            write_response(page, status, response)?;
        }
    }
    page.push_str("</section>\n");
    Ok(())
}

fn write_parameters(page: &mut String, operation: &Operation) -> fmt::Result {
    let parameters: Vec<&Parameter> =
        operation.parameters.iter().flatten().filter_map(inline).collect();
    if parameters.is_empty() {
        return Ok(());
    }
    page.push_str("<h3>Parameters</h3>\n");
    page.push_str(&table(&["Name", "Value"]));
    for parameter in parameters {
        let place = match parameter.parameter_in {
            ParameterIn::Path => "in the path",
            ParameterIn::Header => "in the header",
            ParameterIn::Cookie => "in a cookie",
            _ => "in the query",
        };
        let optional = if parameter.required == Required::True { "" } else { ", optional" };
        writeln!(
            page,
            "<tr><th scope=\"row\"><code>{}</code> <em>{place}{optional}</em></th><td>{}. {}.</td></tr>",
            Plain(&parameter.name),
            parameter.schema.as_ref().map(in_a_line).unwrap_or_default(),
            Line(parameter.description.as_deref().unwrap_or_default())
        )?;
    }
    page.push_str(TABLE_END);
    Ok(())
}

fn write_body(page: &mut String, address: &str, body: &RequestBody) -> fmt::Result {
    let optional = if body.required == Some(Required::True) { "" } else { " <em>optional</em>" };
    writeln!(page, "<h3>Body{optional}</h3>")?;
    write!(page, "{}", Prose(body.description.as_deref().unwrap_or_default()))?;
    for (media_type, content) in contents(&body.content) {
        let schema = content.schema.as_ref().map(in_a_line).unwrap_or_default();
        writeln!(page, "<p><code>{}</code>: {schema}</p>", Plain(media_type))?;
        if let Some(arguments) = content.example.as_ref().and_then(|it| arguments(media_type, it)) {
            writeln!(
                page,
                "<pre>curl -u USER:PASSWORD {} {}</pre>",
                Plain(address),
                Plain(&arguments)
            )?;
        }
    }
    Ok(())
}

/// Arguments with which curl sends an example. The document's examples contain no single quotes.
fn arguments(media_type: &str, example: &Value) -> Option<String> {
    let flag = match media_type {
        "application/json" => return Some(format!("-d '{example}'")),
        "application/x-www-form-urlencoded" => "-d",
        "multipart/form-data" => "-F",
        _ => return None,
    };
    let fields = example.as_object()?.iter();
    let fields =
        fields.map(|(name, value)| format!("{flag} {name}={}", value.as_str().unwrap_or_default()));
    Some(fields.collect::<Vec<_>>().join(" "))
}

fn write_response(page: &mut String, status: &str, response: &Response) -> fmt::Result {
    writeln!(
        page,
        "<details>\n<summary>Status {}</summary>\n<p>{}</p>",
        Plain(status),
        Line(&response.description)
    )?;
    for (media_type, content) in contents(&response.content) {
        let schema = content.schema.as_ref().map(in_full).unwrap_or_default();
        writeln!(page, "<p><code>{}</code></p>\n{schema}", Plain(media_type))?;
        write_errors(page, content)?;
    }
    page.push_str("</details>\n");
    Ok(())
}

/// A table of errors: the examples of an answer, with their meanings.
fn write_errors(page: &mut String, content: &Content) -> fmt::Result {
    let examples: Vec<&Example> = content.examples.values().filter_map(inline).collect();
    if examples.is_empty() {
        return Ok(());
    }
    page.push_str(&table(&["err_no", "err_msg", "Meaning"]));
    for example in examples {
        let field = |name: &str| example.value.as_ref().and_then(|value| value.get(name));
        let number = field("err_no").map(Value::to_string).unwrap_or_default();
        let message = field("err_msg").and_then(Value::as_str).unwrap_or_default();
        writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td><code>{}</code></td><td>{}</td></tr>",
            Plain(&number),
            Plain(message),
            Line(&example.summary)
        )?;
    }
    page.push_str(TABLE_END);
    Ok(())
}

fn contents<'a>(
    contents: impl IntoIterator<Item = (&'a String, &'a RefOr<Content>)>,
) -> impl Iterator<Item = (&'a str, &'a Content)> {
    contents.into_iter().filter_map(|(name, content)| Some((name.as_str(), inline(content)?)))
}

/// The value itself; `None` for a reference.
fn inline<T>(value: &RefOr<T>) -> Option<&T> {
    match value {
        RefOr::T(value) => Some(value),
        RefOr::Ref(_) => None,
    }
}
