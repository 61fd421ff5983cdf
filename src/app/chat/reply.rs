//! The chip over the text box that says which message is answered. `public/message.js` makes it, with the field `re` in it.

use leptos::prelude::document;

/// Returns the seq of the message that is answered, and hides the chip while the answer is sent; empty without a chip.
pub fn take() -> String {
    let Ok(Some(chip)) = document().query_selector(".composer__re:not([hidden])") else { return String::new() };
    let _ = chip.toggle_attribute_with_force("hidden", true);
    chip.get_attribute("data-re").unwrap_or_default()
}

/// Removes the chip of an answer that is stored; shows that of a refused one again.
pub fn sent(is_stored: bool) {
    let Ok(Some(chip)) = document().query_selector(".composer__re[hidden]") else { return };
    if is_stored {
        chip.remove();
    } else {
        let _ = chip.remove_attribute("hidden");
    }
}
