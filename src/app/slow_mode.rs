//! The host's form for the slow mode of a room: plain HTML from the server, the same with and without JavaScript.

use crate::app::i18n::{duration, lang};
use crate::domain::{id::RoomId, paths, refusal::Refusal};
use crate::t;
use leptos::prelude::*;

/// The values that the form offers, in seconds; 0 is off. The command line may set others.
const CHOICES: [u64; 10] = [0, 5, 10, 30, 60, 120, 300, 900, 3600, 21_600];

/// Renders the form, folded. A refused form is open, with the refusal.
#[component]
pub fn SlowModeForm(room: RoomId, slow_ms: u64, refusal: Option<Refusal>) -> impl IntoView {
    let (now, is_refused) = (slow_ms.div_ceil(1000), refusal.is_some());
    let label = move |seconds| if seconds == 0 { t!(off).to_owned() } else { duration(lang(), seconds) };
    let mut choices = CHOICES.to_vec();
    if !choices.contains(&now) {
        choices.push(now);
        choices.sort_unstable();
    }
    let options = choices.into_iter().map(|seconds| {
        view! { <option value=seconds * 1000 selected=seconds == now>{label(seconds)}</option> }
    });
    view! {
        <details class="slow-mode" open=is_refused>
            <summary>{format!("{}: {}", t!(slow_mode), label(now))}</summary>
            <form class="row-form" method="post" action=paths::MODE>
                <input type="hidden" name="room" value=room.to_string()/>
                <input type="hidden" name="next" value=paths::room_page(&room)/>
                <select class="field__input" name="slow_ms" aria-label=t!(slow_mode)>{options.collect_view()}</select>
                <button class="button">{t!(save)}</button>
            </form>
            {refusal.map(|refusal| view! { <p class="refusal" role="alert">{refusal.message(lang())}</p> })}
        </details>
    }
    .into_any()
}
