//! After a panic the wasm is dead and the page only looks alive: a bar offers to load it again.

use crate::app::i18n::texts;
use crate::domain::lang::Lang;
use leptos::prelude::*;
use std::panic;

pub fn install() {
    panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        // By hand: nothing of the framework can be trusted any more.
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
    // The page's own address: loading it again is all there is to do.
    link.set_attribute("href", &window().location().href().ok()?).ok()?;
    link.set_text_content(Some(texts::reload(lang)));
    bar.append_child(&link).ok()?;
    document.body()?.append_child(&bar).ok()?;
    Some(())
}
