//! What the fuzz targets call: properties that hold for any input. Each panics where one does not.

pub use crate::{
    api::properties::{authorization, form, json_body, json_body_by_choices, multipart_form},
    config::properties::{configuration, environment},
    http::messages,
};
