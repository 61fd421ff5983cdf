//! The chat panel: takes serialisable props and nothing from the router, so it can stand on any page.

mod composer;
mod connection;
mod conversation;
mod cooldown;
mod draft_box;
mod list;
mod panel;
mod submit;

pub use panel::ChatPanel;
