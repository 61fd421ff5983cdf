//! The cookies that the site sets and reads: `SameSite=Lax`, for the whole host.
//!
//! Under HTTPS their names begin with `__Host-`, so that no sibling host can set them (draft-ietf-httpbis-rfc6265bis, section
//! 4.1.3.2). Cookies are read as bytes, pair by pair: a malformed cookie of another program hides none of ours.

use crate::domain::lang::Lang;
use crate::domain::preferences::{LANG_COOKIE, OLD_LANG_COOKIE, OLD_THEME_COOKIE, THEME_COOKIE, Theme};
use crate::server::accounts::{Accounts, Token};
use crate::server::clock::Clock;
use crate::server::config::WebSettings;
use crate::server::storage::{StorageError, Store};
use axum::http::{HeaderMap, header};
use cookie::{Cookie, CookieBuilder, SameSite};

/// Holds the session token; not readable by scripts. [`context_layer`](super::context_layer::context_layer) looks its session up.
pub(crate) const SESSION_COOKIE: &str = "roomcast_session";
/// Holds the key of a refused form, see [`ReturnedForms`](crate::server::web::returned_forms::ReturnedForms).
pub(crate) const RETURNED_COOKIE: &str = "roomcast_returned";
/// Holds a random token that tells browsers behind one address apart; until the browser is closed.
pub(crate) const VISITOR_COOKIE: &str = "roomcast_visitor";

/// Names the device to the accounts that signed in on it: a random token, not readable by scripts. It gives no right but
/// limits of its own for log-ins.
pub(crate) const DEVICE_COOKIE: &str = "roomcast_device";
/// Lifetime of the device cookie: a year, in seconds.
const DEVICE_SECONDS: i64 = 365 * 24 * 3600;
/// Lifetime of preferences that move to their present names: a year, in seconds.
const PREFERENCE_SECONDS: i64 = 365 * 24 * 3600;

/// Prefix of the names of all cookies of this site. No cookie with it is shown to PHP.
pub(crate) const PREFIX: &str = "roomcast_";
/// Prefix of a name under HTTPS: browsers take such a cookie only from this host, only Secure, only for the path `/`.
const HOST_PREFIX: &str = "__Host-";
/// Names without [`PREFIX`], as earlier versions set them.
const OLD_NAMES: [(&str, &str); 2] = [(LANG_COOKIE, OLD_LANG_COOKIE), (THEME_COOKIE, OLD_THEME_COOKIE)];
/// Most values of one name that a request is tried with.
const MAX_VALUES: usize = 4;

/// The names under which the cookies of one request are read and set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CookieNames {
    /// The client came over HTTPS: cookies are Secure, and their names begin with `__Host-`.
    pub is_https: bool,
    /// The names of earlier versions are read where the new one is missing.
    pub reads_old: bool,
}

impl CookieNames {
    /// Reads this site's cookies of a request, in one pass.
    pub(crate) fn read(self, headers: &HeaderMap) -> Cookies<'_> {
        let own = all_cookies(headers)
            .filter(|(name, _)| is_own_cookie(name) || OLD_NAMES.iter().any(|(_, old)| *name == old.as_bytes()));
        Cookies { names: self, own: own.collect() }
    }

    /// Returns the first value of the cookies called `name`, see [`Cookies::values`].
    pub(crate) fn value<'a>(self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        self.read(headers).value(name)
    }

    /// The `Set-Cookie` headers that set the preferences under their present names, if the request has them under earlier ones
    /// only.
    pub(crate) fn move_preferences(self, headers: &HeaderMap) -> Vec<String> {
        if !self.reads_old {
            return vec![];
        }
        let cookies = self.read(headers);
        let moved = |name, is_valid: fn(&str) -> bool| {
            let value = cookies.value_of_old_name(name).filter(|value| is_valid(value))?;
            Some(self.set(name, value, PREFERENCE_SECONDS, false))
        };
        let lang = moved(LANG_COOKIE, |code| Lang::from_code(code).is_some());
        lang.into_iter().chain(moved(THEME_COOKIE, |code| Theme::from_code(code).is_some())).collect()
    }

    /// A `Set-Cookie` header with a lifetime in seconds. `http_only` hides the cookie from scripts.
    pub(crate) fn set(self, name: &str, value: &str, seconds: i64, http_only: bool) -> String {
        self.build(name, value, http_only).max_age(cookie::time::Duration::seconds(seconds)).build().to_string()
    }

    /// The `Set-Cookie` header of a new or renewed session.
    pub(crate) fn set_session(self, token: &Token) -> String {
        let seconds = i64::try_from(Accounts::cookie_seconds()).unwrap_or(i64::MAX);
        self.set(SESSION_COOKIE, &token.reveal(), seconds, true)
    }

    /// The `Set-Cookie` header of a device that signed in to an account.
    pub(crate) fn set_device(self, token: &Token) -> String {
        self.set(DEVICE_COOKIE, &token.reveal(), DEVICE_SECONDS, true)
    }

    /// The `Set-Cookie` header of a new visitor: a random token, without `Max-Age`.
    pub(crate) fn set_new_visitor(self) -> String {
        self.build(VISITOR_COOKIE, &Token::random().reveal(), true).build().to_string()
    }

    /// The `Set-Cookie` headers that remove the session cookie: of its name, and under HTTPS of its earlier name if the
    /// request has it.
    pub(crate) fn remove_session(self, headers: &HeaderMap) -> Vec<String> {
        let mut removed = vec![self.set(SESSION_COOKIE, "", 0, true)];
        removed.extend(self.remove_old_session(headers));
        removed
    }

    /// The `Set-Cookie` headers that remove a session cookie that the request has, without a session; none without one.
    pub(crate) fn remove_dead_session(self, headers: &HeaderMap) -> Vec<String> {
        let is_sent =
            all_cookies(headers).any(|(name, _)| name == SESSION_COOKIE.as_bytes() || is_host_name(name, SESSION_COOKIE));
        if is_sent { self.remove_session(headers) } else { vec![] }
    }

    /// The `Set-Cookie` header that removes the session cookie under the name that it has without HTTPS.
    pub(crate) fn remove_old_session(self, headers: &HeaderMap) -> Option<String> {
        let is_sent = self.is_https && all_cookies(headers).any(|(name, _)| name == SESSION_COOKIE.as_bytes());
        is_sent.then(|| Self { is_https: false, ..self }.set(SESSION_COOKIE, "", 0, true))
    }

    fn build<'a>(self, name: &str, value: &'a str, http_only: bool) -> CookieBuilder<'a> {
        let name = if self.is_https { format!("{HOST_PREFIX}{name}") } else { name.to_owned() };
        Cookie::build((name, value)).path("/").same_site(SameSite::Lax).secure(self.is_https).http_only(http_only)
    }
}

/// This site's cookies of one request, in its order.
pub(crate) struct Cookies<'a> {
    names: CookieNames,
    own: Vec<(&'a [u8], &'a str)>,
}

impl<'a> Cookies<'a> {
    /// Returns the values of the cookies called `name`, four at most. The name with `__Host-` comes first, then the name
    /// without it if this request may use that one, then an earlier version's.
    pub(crate) fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a str> + use<'a, 'b> {
        let CookieNames { is_https, reads_old } = self.names;
        let with_host = self.own.iter().filter(move |(found, _)| is_host_name(found, name));
        let without = self.called(Some(name).filter(|_| !is_https || reads_old));
        let old = OLD_NAMES.iter().find(|(new, _)| reads_old && *new == name).map(|(_, old)| *old);
        with_host.chain(without).chain(self.called(old)).map(|(_, value)| *value).take(MAX_VALUES)
    }

    /// Returns whether the request has a cookie of this site at all. Each page sets one, so a form without any comes from a
    /// browser that keeps none, or from a program.
    pub(crate) fn is_any(&self) -> bool {
        !self.own.is_empty()
    }

    /// Returns the first of [`Cookies::values`].
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// Returns the value of `name` if the request has it under an earlier name only.
    fn value_of_old_name(&self, name: &str) -> Option<&'a str> {
        let is_present = |found: &[u8]| if self.names.is_https { is_host_name(found, name) } else { found == name.as_bytes() };
        self.value(name).filter(|_| !self.own.iter().any(|(found, _)| is_present(found)))
    }

    fn called<'b>(&'b self, name: Option<&'b str>) -> impl Iterator<Item = &'b (&'a [u8], &'a str)> {
        self.own.iter().filter(move |(found, _)| name.is_some_and(|name| *found == name.as_bytes()))
    }
}

/// Returns whether a cookie's name is `name` with the prefix that it has under HTTPS.
fn is_host_name(found: &[u8], name: &str) -> bool {
    found.strip_prefix(HOST_PREFIX.as_bytes()) == Some(name.as_bytes())
}

/// The period in which the names of earlier versions are read: as long as the longest lived of those cookies.
#[derive(Clone, Debug)]
pub struct OldCookieNames {
    clock: Clock,
    since_ms: u64,
}

impl OldCookieNames {
    /// Key in the table `facts`: the time, in Unix milliseconds as text, at which this installation began to use the new names.
    const FACT: &str = "cookie_names_since";

    /// Reads the beginning of the period from the store, or begins it now. It is stored where clients can come over HTTPS, since
    /// only there do cookies get new names: an installation that is tried over HTTP first begins it anew at each start.
    ///
    /// # Errors
    /// A failed query.
    pub async fn load(store: &Store, clock: Clock, web: &WebSettings) -> Result<Self, StorageError> {
        let stored = store.fact(Self::FACT).await?.and_then(|value| String::from_utf8(value).ok()?.parse().ok());
        let since_ms = match stored {
            Some(since_ms) => since_ms,
            None => {
                let now = clock.now_ms();
                let has_https = web.public_url.starts_with("https://") || !web.trusted_proxies.is_empty();
                if has_https || !web.tls_cert.as_os_str().is_empty() {
                    store.set_fact(Self::FACT, now.to_string().as_bytes()).await?;
                }
                now
            }
        };
        Ok(Self { clock, since_ms })
    }

    /// Returns whether the old names are still read.
    pub(crate) fn are_read(&self) -> bool {
        self.clock.now_ms() < self.since_ms.saturating_add(Accounts::cookie_seconds() * 1000)
    }
}

/// Returns whether a cookie of this name, as a browser sends it, is one of this site's.
pub(crate) fn is_own_cookie(name: &[u8]) -> bool {
    let starts_with =
        |prefix: &str, name: &[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
    starts_with(PREFIX, name) || starts_with(HOST_PREFIX, name) && starts_with(PREFIX, &name[HOST_PREFIX.len()..])
}

/// Name and value of all cookies, in the order of the request, without quotes around values. A value that is not ASCII is left
/// out.
fn all_cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &str)> {
    let pairs = headers.get_all(header::COOKIE).into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        Some((name, std::str::from_utf8(value).ok().filter(|value| value.is_ascii())?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::StorageSettings;
    use axum::http::HeaderValue;

    const HTTPS: CookieNames = CookieNames { is_https: true, reads_old: false };
    const HTTPS_OLD: CookieNames = CookieNames { is_https: true, reads_old: true };
    const HTTP: CookieNames = CookieNames { is_https: false, reads_old: false };

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    fn check(names: CookieNames, lines: &[&[u8]], expected: &[&str]) {
        let values: Vec<_> = names.read(&headers(lines)).values(SESSION_COOKIE).map(str::to_owned).collect();
        assert_eq!(values, expected, "{names:?} {lines:?}");
    }

    #[test]
    fn f13_the_host_name_wins_and_the_old_name_is_read_for_a_while_only() {
        let both: &[&[u8]] = &[b"roomcast_session=planted; __Host-roomcast_session=own", b"roomcast_session=2"];
        check(HTTPS, both, &["own"]);
        check(HTTPS_OLD, both, &["own", "planted", "2"]);
        check(HTTP, both, &["own", "planted", "2"]);
        check(HTTPS, &[b"roomcast_session=planted"], &[]);
        check(
            HTTP,
            &[b"roomcast_session=1; roomcast_session=2; roomcast_session=3; roomcast_session=4; roomcast_session=5"],
            &["1", "2", "3", "4"],
        );
    }

    #[test]
    fn f13_one_malformed_cookie_hides_no_other() {
        check(HTTP, &[b"a=\xff\xfe; roomcast_session=x; b"], &["x"]);
        check(HTTP, &[b"\xe4=1;;=;  roomcast_session = \"x\" "], &["x"]);
        check(HTTP, &[b"a=\xff", b"roomcast_session=\xff; roomcast_session=x"], &["x"]);
        check(HTTP, &[b"xroomcast_session=1; roomcast_session2=2; roomcast_session"], &[]);
    }

    #[test]
    fn f13_cookies_are_host_cookies_under_https() {
        for name in [SESSION_COOKIE, RETURNED_COOKIE, VISITOR_COOKIE, DEVICE_COOKIE, LANG_COOKIE, THEME_COOKIE] {
            assert!(is_own_cookie(name.as_bytes()) && is_own_cookie(format!("__Host-{name}").as_bytes()), "{name}");
            let set = HTTPS.set(name, "v", 9, true);
            assert!(set.starts_with(&format!("__Host-{name}=v;")) && set.contains("Secure") && set.contains("Path=/;"), "{set}");
            assert!(!set.contains("Domain"), "{set}");
            assert!(HTTP.set(name, "v", 9, true).starts_with(&format!("{name}=v;")));
        }
        assert!(!is_own_cookie(b"lang") && !is_own_cookie(b"__Host-sid") && !is_own_cookie(b""));
        let visitor = HTTP.set_new_visitor();
        assert!(visitor.contains("HttpOnly") && visitor.contains("SameSite=Lax") && !visitor.contains("Max-Age"), "{visitor}");
        assert_eq!(HTTPS.remove_session(&headers(&[b"roomcast_session=x"])).len(), 2);
        assert_eq!(HTTPS.remove_session(&headers(&[b"__Host-roomcast_session=x"])).len(), 1);
    }

    #[test]
    fn preferences_are_read_under_their_old_names_too() {
        let sent = headers(&[b"lang=zh; theme=dark"]);
        assert_eq!(CookieNames { reads_old: true, ..HTTP }.value(&sent, LANG_COOKIE), Some("zh"));
        assert_eq!(HTTPS_OLD.value(&sent, THEME_COOKIE), Some("dark"));
        assert_eq!(HTTP.value(&sent, LANG_COOKIE), None);
    }

    #[tokio::test]
    async fn f13_the_period_of_the_old_names_is_thirty_days() {
        const DAY: u64 = 24 * 3600 * 1000;
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&StorageSettings { data_dir: folder.path().into(), ..StorageSettings::default() }).await.unwrap();
        let clock = Clock::manual(1_000 * DAY);
        let load = |web: WebSettings| {
            let (store, clock) = (store.clone(), clock.clone());
            async move { OldCookieNames::load(&store, clock, &web).await.unwrap() }
        };
        let over_https = || WebSettings { public_url: "https://chat.example".into(), ..WebSettings::default() };
        assert!(load(WebSettings::default()).await.are_read());
        clock.set(2_000 * DAY);
        assert!(load(over_https()).await.are_read(), "it begins with HTTPS");
        clock.set(2_029 * DAY);
        let later = load(over_https()).await;
        assert!(later.are_read(), "a restart does not begin it anew");
        clock.set(2_030 * DAY);
        assert!(!later.are_read() && !load(WebSettings::default()).await.are_read());
    }
}
