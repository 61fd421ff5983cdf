//! The chat panel: takes serialisable props and nothing from the router, so it can stand on any page.

mod composer;
mod connection;
mod conversation;
mod list;
mod panel;

pub use panel::ChatPanel;
