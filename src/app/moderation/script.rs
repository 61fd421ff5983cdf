//! The part of a page that loads `public/mod.js` and `public/mod.css`. A page has it only if the reader is staff of the room, so a
//! viewer loads neither.

use super::words::{counts_template, purges, rank_name, timeouts, w};
use crate::app::FilesRoot;
use crate::domain::{id::RoomId, paths, rank::Rank};
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::Link;
use serde_json::json;

/// Renders the style sheet of the staff's pages. The page of a message needs it for every reader.
#[component]
pub fn StaffStyle() -> impl IntoView {
    let FilesRoot(root) = use_context().unwrap_or_default();
    view! { <Link rel="stylesheet" href=format!("{root}/mod.css")/> }
}

/// Renders the style sheet and the script, with the script's texts. With the reader's `rank` the script hides acts that the server
/// always refuses.
#[component]
pub fn StaffPart(room: RoomId, #[prop(default = Rank::Moderator)] rank: Rank) -> impl IntoView {
    let FilesRoot(root) = use_context().unwrap_or_default();
    let settings = json!({
        "room": room,
        "rank": rank,
        "words": words(),
        "timeouts": timeouts(),
        "purges": purges(),
    });
    view! {
        <StaffStyle/>
        <script type="module" src=format!("{root}/mod.js") nonce=use_nonce() data-staff=settings.to_string()></script>
    }
    .into_any()
}

/// Renders the button of a room's bar that leads to the moderation page. `public/mod.js` counts the reports on it.
#[component]
pub fn StaffButton(room: RoomId) -> impl IntoView {
    view! {
        <a class="icon-button staff-button" href=paths::moderation_page(&room) aria-label=w!(moderation) title=w!(moderation)>
            <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M10 2.5 3.5 5v4.5c0 4 2.7 6.7 6.5 8 3.8-1.3 6.5-4 6.5-8V5Z"/></svg>
            <span class="staff-button__count" data-staff-count="" hidden></span>
        </a>
    }
    .into_any()
}

/// The texts of the script.
fn words() -> serde_json::Value {
    json!({
        "remove": w!(remove), "removed": w!(removed_mark), "person": w!(person), "more": w!(more), "reply": w!(reply),
        "pin": w!(pin), "unpin": w!(unpin), "warn": w!(warn), "timeout": w!(timeout), "ban": w!(ban), "note": w!(note),
        "undo": w!(undo), "undone": w!(undone), "purge": w!(purge), "page": w!(page), "cancel": w!(cancel),
        "close": w!(close), "failed": w!(failed), "unreachable": w!(unreachable), "reason": w!(reason),
        "reasonOptional": w!(reason_optional), "noteHint": w!(note_hint), "loading": w!(loading), "keys": w!(keys),
        "keysHint": w!(keys_hint), "keyMove": w!(key_move), "keyTimeout": w!(key_timeout), "keyBan": w!(key_ban),
        "keyHelp": w!(key_help), "inForce": w!(in_force), "noneInForce": w!(none_in_force), "lift": w!(lift),
        "notes": w!(notes), "noNotes": w!(no_notes), "lastMessages": w!(last_messages), "noMessages": w!(no_messages),
        "nicknames": w!(nicknames), "sinceAccount": w!(since_account), "sinceGuest": w!(since_guest),
        "firstSeen": w!(first_seen), "lastSeen": w!(last_seen), "sharesNetwork": w!(shares_network),
        "mayNotAct": w!(may_not_act), "until": w!(until), "forGood": w!(for_good),
        "untilAcknowledged": w!(until_acknowledged), "textGone": w!(text_gone), "reports": w!(reports),
        "moderation": w!(moderation), "askBan": w!(ask_ban), "askTimeout": w!(ask_timeout), "askWarn": w!(ask_warn),
        "askNote": w!(ask_note), "askPurge": w!(ask_purge), "armedBan": w!(armed_ban), "armedTimeout": w!(armed_timeout),
        "timeoutHint": w!(timeout_hint), "banHint": w!(ban_hint), "warnHint": w!(warn_hint),
        "counts": counts_template(),
        "ranks": {
            "bot": w!(badge_bot),
            "guest": rank_name(Rank::Guest), "viewer": rank_name(Rank::Viewer), "vip": rank_name(Rank::Vip),
            "moderator": rank_name(Rank::Moderator), "host": rank_name(Rank::Host), "owner": rank_name(Rank::Owner),
        },
        "kinds": {"ban": w!(ban), "timeout": w!(timeout), "warning": w!(warn)},
    })
}
