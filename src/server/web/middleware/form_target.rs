//! The page that a form stands on, and the page that it leads to, by the form's own fields: `back`, `next`, `room`. `Referer` is
//! read where they say nothing. No result leaves this site.

use crate::domain::{
    id::RoomId,
    paths::{self, SignInTab},
    reply::{ActReply, OpenRoomReply},
};
use axum::http::{HeaderMap, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use std::collections::HashMap;

/// The fields of a form; a name occurs once.
pub(crate) type Fields = HashMap<String, String>;

/// Bytes of a path to which a form leads, at most; a longer one counts as absent.
const MAX_PATH: usize = 2048;
/// Encodes what `Location` cannot hold; `percent_encode` encodes all bytes beyond ASCII by itself.
const NOT_IN_LOCATION: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// Whether a page has a form that posts to the path.
pub(crate) fn is_form(path: &str) -> bool {
    let is_act = paths::ACTS.contains(&path);
    is_act
        || matches!(
            path,
            paths::GUEST
                | paths::REGISTER
                | paths::LOGIN
                | paths::LOGOUT
                | paths::PASSWORD
                | paths::END_SESSION
                | paths::END_OTHER_SESSIONS
                | paths::PREFERENCES
                | paths::SEND
                | paths::OPEN_ROOM
        )
}

/// The page that shows the form again after a refusal.
pub(crate) fn form_page(path: &str, fields: &Fields, headers: &HeaderMap) -> String {
    let next = || field_path(fields, "next");
    let of_path = || match path {
        paths::PASSWORD | paths::END_SESSION | paths::END_OTHER_SESSIONS => Some(paths::ACCOUNT_PAGE.into()),
        // The form for a nickname also stands in the rooms, which it leads back to.
        paths::GUEST => next(),
        paths::REGISTER => Some(paths::sign_in_page(SignInTab::Register, next().as_deref())),
        paths::LOGIN => Some(paths::sign_in_page(SignInTab::LogIn, next().as_deref())),
        _ => next().or_else(|| room(fields)),
    };
    let fallback = || if path == paths::GUEST { paths::sign_in_page(SignInTab::Guest, None) } else { "/".into() };
    field_path(fields, "back").or_else(of_path).or_else(|| referring_path(headers)).unwrap_or_else(fallback)
}

/// The page after success. `answer` is the JSON of the server function.
pub(crate) fn after_success(path: &str, fields: &Fields, headers: &HeaderMap, answer: &[u8]) -> String {
    let next = || field_path(fields, "next");
    match path {
        paths::OPEN_ROOM => {
            let opened = serde_json::from_slice::<OpenRoomReply>(answer).ok();
            opened.map_or_else(|| "/".into(), |opened| paths::room_page(&opened.room))
        }
        paths::GUEST | paths::REGISTER | paths::LOGIN => next().unwrap_or_else(|| "/".into()),
        paths::PASSWORD => paths::PASSWORD_CHANGED_PAGE.into(),
        paths::END_SESSION | paths::END_OTHER_SESSIONS => paths::ACCOUNT_PAGE.into(),
        _ => {
            let to = next().or_else(|| room(fields)).or_else(|| referring_path(headers)).unwrap_or_else(|| "/".into());
            if TAKEN_BACK.contains(&path) { with_done(to, answer) } else { to }
        }
    }
}

/// Acts whose page offers to take them back.
const TAKEN_BACK: [&str; 12] = [
    paths::REMOVE,
    paths::PURGE,
    paths::TIMEOUT,
    paths::BAN,
    paths::LIFT,
    paths::WARN,
    paths::NOTE,
    paths::PIN,
    paths::UNPIN,
    paths::MODE,
    paths::TITLE,
    paths::ROLE,
];

/// Adds the act of an answer to the address of a page of the staff, in place of an earlier one. Other pages offer nothing.
fn with_done(to: String, answer: &[u8]) -> String {
    let (path, query) = to.split_once('?').unwrap_or((&to, ""));
    let of_staff = path.ends_with("/moderate") || path.contains("/messages/");
    let action = serde_json::from_slice::<ActReply>(answer).ok().and_then(|reply| reply.action);
    let Some(action) = action.filter(|_| of_staff && path.starts_with("/rooms/")) else { return to };
    let is_done = |field: &&str| field.split('=').next() == Some(paths::DONE_FIELD);
    let mut fields: Vec<String> =
        query.split('&').filter(|field| !field.is_empty() && !is_done(field)).map(String::from).collect();
    fields.push(format!("{}={action}", paths::DONE_FIELD));
    format!("{path}?{}", fields.join("&"))
}

/// The page of the room that the form names.
fn room(fields: &Fields) -> Option<String> {
    fields.get("room").and_then(|room| room.parse::<RoomId>().ok()).map(|room| paths::room_page(&room))
}

/// A path in a field of the form.
fn field_path(fields: &Fields, name: &str) -> Option<String> {
    fields.get(name).and_then(|path| as_location(path.as_bytes()))
}

/// Path and query of the page that has the form.
fn referring_path(headers: &HeaderMap) -> Option<String> {
    as_location(headers.get(header::REFERER)?.as_bytes())
}

fn as_location(url: &[u8]) -> Option<String> {
    let url = percent_encode(url, NOT_IN_LOCATION).to_string();
    local_path(&url).filter(|path| path.len() <= MAX_PATH).map(str::to_owned)
}

/// Returns path and query of a URL, without its host, so that no redirect leads to another site. `None`: not a path.
pub(crate) fn local_path(url: &str) -> Option<&str> {
    let path = match url.split_once("://") {
        // A path may have a URL in its query.
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map(|slash| &rest[slash..])?,
        _ => url,
    };
    let local = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && !path.chars().any(char::is_control);
    local.then(|| path.split('#').next().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_this_site() {
        assert_eq!(local_path("/rooms/1"), Some("/rooms/1"));
        assert_eq!(local_path("https://anywhere.example/rooms/1?a=b#c"), Some("/rooms/1?a=b"));
        assert_eq!(local_path("/sign-in?next=https://evil.example/x"), Some("/sign-in?next=https://evil.example/x"));
        for bad in [
            "//evil.example",
            "https://evil.example",
            "evil",
            "/\\evil.example",
            "javascript:alert(1)",
            "http://x//evil.example",
            "/a\nb",
        ] {
            assert_eq!(local_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn b51_a_form_leads_by_its_own_fields() {
        let fields = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let page = |path, pairs: &[(&str, &str)]| form_page(path, &fields(pairs), &HeaderMap::new());
        let then = |path, pairs: &[(&str, &str)]| after_success(path, &fields(pairs), &HeaderMap::new(), br#"{"room":"7"}"#);
        let tab = "/sign-in?tab=register&next=%2Frooms%2F1";
        assert_eq!(page(paths::SEND, &[("room", "1")]), "/rooms/1");
        assert_eq!(page(paths::MODE, &[("room", "1"), ("next", "/rooms/1")]), "/rooms/1");
        assert_eq!(page(paths::SEND, &[("room", "1"), ("next", "/rooms/1?embed")]), "/rooms/1?embed");
        assert_eq!(then(paths::SEND, &[("room", "1"), ("next", "/rooms/1?embed")]), "/rooms/1?embed");
        assert_eq!(page(paths::SEND, &[("room", "1"), ("next", "//evil.example")]), "/rooms/1");
        assert_eq!(page(paths::SEND, &[("room", "//evil.example")]), "/");
        assert_eq!(page(paths::GUEST, &[("next", "/rooms/1")]), "/rooms/1");
        assert_eq!(page(paths::GUEST, &[("next", "/rooms/1"), ("back", tab)]), tab);
        assert_eq!(page(paths::REGISTER, &[("next", "/rooms/1")]), tab);
        assert_eq!(page(paths::GUEST, &[]), "/sign-in?tab=guest");
        assert_eq!(page(paths::LOGIN, &[]), "/sign-in?tab=login");
        assert_eq!(page(paths::PASSWORD, &[("back", "//evil.example")]), "/account");
        assert_eq!(page(paths::PREFERENCES, &[("next", "/rooms/字?q=a b")]), "/rooms/%E5%AD%97?q=a%20b");
        assert_eq!(then(paths::SEND, &[("room", "1")]), "/rooms/1");
        assert_eq!(then(paths::OPEN_ROOM, &[]), "/rooms/7");
        assert_eq!(then(paths::LOGOUT, &[("next", "/rooms/1")]), "/rooms/1");
        assert_eq!(then(paths::LOGOUT, &[]), "/");
        let id = "0193a5d0-5f3c-7c4e-8a51-2f6f0c1d9e77";
        let act = |path, next: &str| {
            let answer = format!(r#"{{"status":true,"action":"{id}","rev":3}}"#);
            after_success(path, &fields(&[("room", "1"), ("next", next)]), &HeaderMap::new(), answer.as_bytes())
        };
        assert_eq!(act(paths::REMOVE, "/rooms/1/messages/41"), format!("/rooms/1/messages/41?done={id}"));
        assert_eq!(act(paths::BAN, "/rooms/1/moderate?done=earlier&a=b"), format!("/rooms/1/moderate?a=b&done={id}"));
        assert_eq!(act(paths::REMOVE, "/rooms/1"), "/rooms/1");
        assert_eq!(act(paths::UNDO, "/rooms/1/moderate"), "/rooms/1/moderate");
        assert_eq!(then(paths::REMOVE, &[("next", "/rooms/1/moderate")]), "/rooms/1/moderate", "nothing was done");
        let (longest, too_long) = (format!("/{}", "x".repeat(MAX_PATH - 1)), format!("/{}", "x".repeat(MAX_PATH)));
        assert_eq!(then(paths::GUEST, &[("next", &longest)]), longest);
        assert_eq!(then(paths::GUEST, &[("next", &too_long)]), "/");
    }
}
