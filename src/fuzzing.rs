//! Properties for the fuzz targets, which hold for any input. Each panics if it does not hold.

pub use crate::{
    api::properties::{authorization, form, json_body, json_body_by_choices, multipart_form},
    config::properties::{configuration, environment},
    http::messages,
};
