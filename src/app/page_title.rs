//! The title of a page. The server's HTML gets the text of `Title` as it is, so markup in the title of a room is escaped here.

use leptos::prelude::*;
use leptos_meta::Title;

/// The `<title>` of a page: `text` and the name of the program.
#[component]
pub fn PageTitle(text: String) -> impl IntoView {
    view! { <Title text=format!("{} · Roomcast", escaped(&text))/> }
}

/// Text in the content of an element (HTML, 13.1.2.2).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_text() {
        assert_eq!(escaped("</title><b>&amp;"), "&lt;/title&gt;&lt;b&gt;&amp;amp;");
    }
}
