//! Roomcast: live-room chat and push gateway in one binary.
//!
//! ```text
//!     main.rs, serve/, command/      the command line
//!     app                            pages (Leptos): rendered by the server; the browser builds the chat panel anew
//!     server::{web, gatewayworker, control}          floor 4: HTTP, PHP's GatewayClient, the control socket
//!     server::{chat, accounts}                       floor 3: use cases
//!     server::storage                                floor 2: durable records
//!     server::gateway                                floor 1: connections and pushes
//!     server::{config, clock, incident, payload, php, allocator}   shared by several floors
//!     domain                         types and rules, pure, compiled for server and browser
//! ```
//!
//! A module uses the floors below it and nothing above (the shared ones: see ARCHITECTURE.md); `tests/house.rs` checks that.
//! [`domain`] is where to start, `ARCHITECTURE.md` has the walkthroughs.
//!
//! The two `cfg` attributes below are the only ones: every other file compiles for each target it is built for.

// The types of nested views are deep.
#![recursion_limit = "256"]

pub mod app;
pub mod domain;
#[cfg(feature = "ssr")]
pub mod server;

/// Builds the chat panel in an empty element. Returns false if its props cannot be read. Called once by the page's script.
#[cfg(feature = "browser")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn mount(panel: web_sys::HtmlElement) -> bool {
    console_error_panic_hook::set_once();
    app::mounted_panel::mount(panel)
}
