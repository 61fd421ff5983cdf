//! Text that changes in place.

use crate::app::reactive::effect;
use leptos::html::Span;
use leptos::prelude::*;

/// Renders a span and sets its text whenever it changes. It replaces all content of the span, so that the text stays true after a
/// translator replaced the text node by elements of its own.
#[component]
pub fn LiveText(
    /// Class of the span.
    #[prop(optional)]
    class: &'static str,
    /// The text.
    text: Signal<String>,
) -> impl IntoView {
    let span = NodeRef::<Span>::new();
    let rendered = text.get_untracked();
    let first = rendered.clone();
    effect(move |shown: Option<String>| {
        let text = text.get();
        if shown.as_ref().unwrap_or(&first) != &text
            && let Some(span) = span.get_untracked()
        {
            span.set_text_content(Some(&text));
        }
        text
    });
    view! { <span class=class node_ref=span>{rendered}</span> }
}
