//! Short names for building schemas.

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Ref, RefOr, Schema,
    extensions::Extensions,
    schema::{
        AllOfBuilder, AnyOfBuilder, Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type,
    },
};

/// Extension: maximum size of a text in bytes of UTF-8, for which JSON Schema has no keyword.
pub const MAX_BYTES: &str = "x-max-bytes";

/// A reference to a schema of the document's components.
pub fn component(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

pub fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

/// A non-empty text.
pub fn some_text(description: &str) -> ObjectBuilder {
    text(description).min_length(Some(1))
}

pub fn nullable(kind: Type) -> SchemaType {
    [kind, Type::Null].into_iter().collect()
}

/// A constant.
pub fn exactly(value: impl Into<Value>) -> Object {
    one_of([value.into()])
}

/// One of the values, which have the same type.
pub fn one_of(values: impl IntoIterator<Item = Value>) -> Object {
    let values: Vec<Value> = values.into_iter().collect();
    let kind = match values.first() {
        Some(Value::Bool(_)) => Type::Boolean,
        Some(Value::Number(_)) => Type::Integer,
        _ => Type::String,
    };
    ObjectBuilder::new().schema_type(kind).enum_values(Some(values)).build()
}

pub fn list(items: impl Into<RefOr<Schema>>) -> ArrayBuilder {
    ArrayBuilder::new().items(items.into())
}

/// An object with these fields. A field is optional if its name ends in `?`.
pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, RefOr<Schema>)>) -> ObjectBuilder {
    fields.into_iter().fold(ObjectBuilder::new(), |object, (name, schema)| {
        match name.strip_suffix('?') {
            Some(optional) => object.property(optional, schema),
            None => object.property(name, schema).required(name),
        }
    })
}

/// A schema `of` with narrower or additional fields.
pub fn narrowed<'a>(
    title: &str,
    of: &str,
    fields: impl IntoIterator<Item = (&'a str, RefOr<Schema>)>,
) -> RefOr<Schema> {
    AllOfBuilder::new().title(Some(title)).item(component(of)).item(object(fields)).into()
}

pub fn any_of(mut schemas: Vec<RefOr<Schema>>) -> RefOr<Schema> {
    if schemas.len() == 1 {
        return schemas.remove(0);
    }
    schemas.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).into()
}

pub fn max_bytes(bytes: usize) -> Option<Extensions> {
    Some(Extensions::builder().add(MAX_BYTES, json!(bytes)).build())
}

pub fn json_content(schema: impl Into<RefOr<Schema>>) -> Content {
    ContentBuilder::new().schema(Some(schema)).build()
}

pub fn text_content(text: &str) -> Content {
    json_content(exactly(text))
}

/// `null` or an empty list.
pub fn no_list() -> Array {
    ArrayBuilder::new()
        .schema_type(nullable(Type::Array))
        .items(ObjectBuilder::new().schema_type(SchemaType::AnyValue))
        .max_items(Some(0))
        .build()
}
