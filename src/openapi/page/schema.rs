//! A schema in words: as one line, or as a table of an object's fields.

use std::fmt::Write;

use serde_json::Value;
use utoipa::openapi::{
    RefOr, Schema,
    extensions::Extensions,
    schema::{Array, ArrayItems, Object, SchemaType, Type},
};

use super::html::{Line, Plain, TABLE_END, table};
use crate::openapi::MAX_BYTES;

/// The schema as one line of markup.
pub fn in_a_line(schema: &RefOr<Schema>) -> String {
    match schema {
        RefOr::Ref(reference) => link(&reference.ref_location),
        RefOr::T(Schema::Array(array)) => of_array(array),
        RefOr::T(Schema::Object(object)) => of_object(object),
        RefOr::T(Schema::OneOf(one)) => joined(&one.items, " or "),
        RefOr::T(Schema::AnyOf(any)) => joined(&any.items, " or "),
        RefOr::T(Schema::AllOf(all)) => all
            .title
            .as_ref()
            .map_or_else(|| joined(&all.items, " and "), |title| Plain(title).to_string()),
        // The enum is not exhaustive.
        RefOr::T(_) => String::new(),
    }
}

/// The schema as blocks of markup.
pub fn in_full(schema: &RefOr<Schema>) -> String {
    match schema {
        RefOr::T(Schema::Object(object)) if !object.properties.is_empty() => fields(object),
        RefOr::T(Schema::AnyOf(any)) => {
            let items = any.items.iter().map(|item| format!("<li>{}</li>\n", titled(item)));
            format!("<p>One of these:</p>\n<ul>\n{}</ul>\n", items.collect::<String>())
        }
        RefOr::T(Schema::AllOf(all)) => {
            let (base, narrowed): (Vec<_>, Vec<_>) =
                all.items.iter().partition(|item| matches!(item, RefOr::Ref(_)));
            let base: Vec<String> = base.into_iter().map(in_a_line).collect();
            let narrowed: String = narrowed.into_iter().map(in_full).collect();
            format!("<p>{} with:</p>\n{narrowed}", base.join(" and "))
        }
        other => format!("<p>{}</p>\n", in_a_line(other)),
    }
}

fn titled(schema: &RefOr<Schema>) -> String {
    let title = match schema {
        RefOr::T(Schema::AllOf(all)) => all.title.as_deref(),
        RefOr::T(Schema::Object(object)) => object.title.as_deref(),
        _ => None,
    };
    let title = title.map(|title| format!("<p><strong>{}</strong></p>\n", Plain(title)));
    title.unwrap_or_default() + &in_full(schema)
}

fn fields(object: &Object) -> String {
    let mut text = described(object.description.as_deref());
    text.push_str(&table(&["Field", "Value"]));
    for (name, schema) in &object.properties {
        let optional = if object.required.contains(name) { "" } else { " <em>optional</em>" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\"><code>{}</code>{optional}</th><td>{}</td></tr>",
            Plain(name),
            in_a_line(schema)
        );
    }
    text + TABLE_END
}

fn described(description: Option<&str>) -> String {
    description
        .map(|text| format!("<p>{}.</p>\n", Line(text.trim_end_matches('.'))))
        .unwrap_or_default()
}

/// Anchor of a schema on the page.
pub fn anchor(name: &str) -> String {
    format!("schema-{}", Plain(name))
}

fn link(location: &str) -> String {
    let name = location.rsplit('/').next().unwrap_or_default();
    format!("<a href=\"#{}\">{}</a>", anchor(name), Plain(name))
}

fn joined(items: &[RefOr<Schema>], with: &str) -> String {
    items.iter().map(in_a_line).collect::<Vec<_>>().join(with)
}

fn of_array(array: &Array) -> String {
    let items = match &array.items {
        ArrayItems::RefOrSchema(schema) => in_a_line(schema),
        ArrayItems::False => String::new(),
    };
    let null = if is_nullable(&array.schema_type) { ", or null" } else { "" };
    match (array.min_items, array.max_items) {
        (_, Some(0)) => format!("an empty list{null}"),
        (Some(least), _) if least > 0 => format!("list of {items}, at least {least}{null}"),
        _ => format!("list of {items}{null}"),
    }
}

fn of_object(object: &Object) -> String {
    if !object.properties.is_empty() {
        let names: Vec<String> =
            object.properties.keys().map(|name| format!("<code>{}</code>", Plain(name))).collect();
        return format!("object of {}", names.join(", "));
    }
    let mut parts = match &object.enum_values {
        Some(values) => {
            let values =
                values.iter().map(|value| format!("<code>{}</code>", Plain(&value.to_string())));
            vec![values.collect::<Vec<_>>().join(", ")]
        }
        None => vec![kind(&object.schema_type).to_owned()],
    };
    match (object.min_length, object.max_length) {
        (Some(least), Some(most)) => parts.push(format!("{least} to {most} characters")),
        (Some(1), None) => parts.push("not empty".to_owned()),
        _ => {}
    }
    if let Some(bytes) = extension(object.extensions.as_ref(), MAX_BYTES) {
        parts.push(format!("at most {bytes} bytes of UTF-8"));
    }
    if is_nullable(&object.schema_type) {
        parts.push("or null".to_owned());
    }
    if let Some(pattern) = &object.pattern {
        parts.push(format!("matches <code>{}</code>", Plain(pattern)));
    }
    let mut text = parts.join(", ");
    if let Some(description) = &object.description {
        // Writing to a String cannot fail.
        let _ = write!(text, ". {}", Line(description));
    }
    text
}

fn extension<'a>(extensions: Option<&'a Extensions>, name: &str) -> Option<&'a Value> {
    extensions?.get(name)
}

fn is_nullable(kind: &SchemaType) -> bool {
    matches!(kind, SchemaType::Array(kinds) if kinds.contains(&Type::Null))
}

fn kind(kind: &SchemaType) -> &'static str {
    let kind = match kind {
        SchemaType::Type(kind) => Some(kind),
        SchemaType::Array(kinds) => kinds.iter().find(|kind| **kind != Type::Null),
        SchemaType::AnyValue => None,
    };
    match kind {
        None => "anything",
        Some(Type::String) => "text",
        Some(Type::Integer) => "whole number",
        Some(Type::Number) => "number",
        Some(Type::Boolean) => "true or false",
        Some(Type::Object) => "object",
        Some(Type::Array) => "list",
        Some(Type::Null) => "null",
    }
}
