//! The OpenAPI document as an HTML page.
//!
//! * `render`: the page;
//! * `schema`: a schema in words;
//! * `html`: text that goes into a page.

mod html;
mod render;
mod schema;

pub use html::Plain;
pub use render::page;

/// The page's style sheet.
pub const STYLE: &str = include_str!("style.css");
