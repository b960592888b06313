//! First coins and index entries of the sub-accounts that the user lists have, and the lists' marks.
//!
//! * `messages`: the messages of `UserLists`;
//! * `create`: creates znodes that are missing;
//! * `marks`: how far each list was complete before the daemon's start;
//! * `pump`: runs both, one message at a time.

mod create;
mod marks;
mod messages;
mod pump;

pub(crate) use marks::{ListMark, ListMarks};
pub(crate) use messages::{
    FirstCoin, FirstCoins, FirstCoinsEnd, NotCreated, ReadMarks, WriteMarks,
};
