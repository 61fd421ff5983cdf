//! Long lines: the list shows six rows of them, and a button shows the others. The style sheet cuts, this module finds the cut ones.

use leptos::ev::MouseEvent;
use leptos::prelude::event_target;
use wasm_bindgen::JsCast;
use web_sys::Element;

/// Marks the lines of the list whose text is cut, so that their buttons show. A line is measured once per width of the list, since
/// messages may come by the hundred per second.
pub fn mark(list: &Element) {
    let width = list.client_width().to_string();
    let Ok(buttons) = list.query_selector_all(&[".line__more:not([data-width='", &width, "'])"].concat()) else { return };
    for button in (0..buttons.length()).filter_map(|index| buttons.item(index)) {
        let button: Element = button.unchecked_into();
        let _ = button.set_attribute("data-width", &width);
        let Some(line) = button.parent_element() else { continue };
        let Some(text) = line.query_selector(".line__text").ok().flatten() else { continue };
        let is_cut = text.get_bounding_client_rect().bottom() > line.get_bounding_client_rect().bottom() + 1.0;
        let _ = line.toggle_attribute_with_force("data-long", is_cut || is_open(&button));
    }
}

/// Returns the button of a long line, if it was pressed.
pub fn pressed(event: &MouseEvent) -> Option<Element> {
    event_target::<Element>(event).closest(".line__more").ok().flatten()
}

/// Shows the whole line of a button, or cuts it again.
pub fn toggle(button: &Element, more: &str, less: &str) {
    let opens = !is_open(button);
    let _ = button.set_attribute("aria-expanded", if opens { "true" } else { "false" });
    // The list gets another height, and the line is measured again.
    let _ = button.remove_attribute("data-width");
    button.set_text_content(Some(if opens { less } else { more }));
}

fn is_open(button: &Element) -> bool {
    button.get_attribute("aria-expanded").is_some_and(|open| open == "true")
}
