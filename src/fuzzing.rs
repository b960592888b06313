//! What the fuzz targets call: properties that hold for any input. Each panics where one does not.

pub use crate::{
    config::properties::{configuration, environment},
    http::messages,
    http::properties::{authorization, form, json_body, json_body_by_choices, multipart_form},
};
