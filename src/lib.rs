//! Roomcast: live-room chat and push gateway in one binary.
//!
//! The floor plan, from the ground up. A floor uses the floors below it and nothing above:
//!
//! - [`domain`]: the words and rules of the chat, pure, for both targets.
//! - [`server`]: `gateway` (who is connected here), `storage` (what was said), `accounts` and `chat` (the use cases), `web`
//!   (the door of the pages).
//! - [`app`]: the pages, rendered by the server and taken over in the browser.
//!
//! The two `cfg` attributes below are the only ones: everything else compiles for the target it is built for.

// Views nest deep, and so do their types.
#![recursion_limit = "256"]

pub mod app;
pub mod domain;
#[cfg(feature = "ssr")]
pub mod server;

/// Takes the islands of the server's HTML over, in the browser.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    app::crash::install();
    leptos::mount::hydrate_islands();
}
