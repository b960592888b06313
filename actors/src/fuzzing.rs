//! What the fuzz targets call: properties that hold for any input. Each panics where one does not.

pub use crate::{
    ack_waiter::properties::ack,
    domain::properties::names,
    poller::properties::{user_coin_map, user_coin_map_by_choices},
};
