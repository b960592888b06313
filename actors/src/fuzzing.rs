//! Entry points of the fuzz targets: properties that hold for any input. A violated property panics.

pub use crate::{
    ack_waiter::properties::ack,
    domain::properties::names,
    poller::properties::{user_coin_map, user_coin_map_by_choices},
};
