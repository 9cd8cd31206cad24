//! Conversations and customers: listed, told, changed and erased; on both databases.

mod attributes;
mod erase;
mod fixture;
mod lists;
mod timeline;
