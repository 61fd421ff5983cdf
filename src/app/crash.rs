//! A bar that offers to reload the page after a panic, because the wasm instance does not run any more.

use crate::app::i18n::texts;
use crate::domain::lang::Lang;
use leptos::prelude::*;
use std::panic;

/// Installs a panic hook that logs the panic to the console and shows the bar.
pub fn install() {
    panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        // Built with DOM calls, because the framework's state is undefined after a panic.
        let _ = show_bar();
    }));
}

fn show_bar() -> Option<()> {
    let document = document();
    let lang = document.document_element()?.get_attribute("lang").unwrap_or_default();
    let lang = Lang::from_accept_language(&lang);
    let bar = document.create_element("p").ok()?;
    bar.set_class_name("crash-bar");
    bar.set_attribute("role", "alert").ok()?;
    bar.set_text_content(Some(&format!("{} ", texts::crashed(lang))));
    let link = document.create_element("a").ok()?;
    // A link to the page's own address works without any code.
    link.set_attribute("href", &window().location().href().ok()?).ok()?;
    link.set_text_content(Some(texts::reload(lang)));
    bar.append_child(&link).ok()?;
    document.body()?.append_child(&bar).ok()?;
    Some(())
}
