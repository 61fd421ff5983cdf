//! Origins as browsers compare them: scheme, host and port (RFC 6454), in one spelling.

use url::Url;

/// Returns the origin as a browser writes it in an `Origin` header: lower case, IDNA, without default port and trailing slash.
/// `None`: `text` is not an `http` or `https` URL, or has a path, a query, a fragment or a user. The result is safe in response
/// headers.
pub fn normalized_origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !text.contains("://") || !matches!(url.scheme(), "http" | "https") || !is_bare || has_user {
        return None;
    }
    let origin = url.origin().ascii_serialization();
    origin.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.-_:[]".contains(&b)).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b44b_one_origin_has_one_spelling() {
        for (text, origin) in [
            ("https://chat.example.com", "https://chat.example.com"),
            ("https://chat.example.com:443", "https://chat.example.com"),
            ("https://chat.example.com/", "https://chat.example.com"),
            ("HTTPS://Chat.Example.COM:443/", "https://chat.example.com"),
            ("http://chat.example.com:80", "http://chat.example.com"),
            ("http://chat.example.com:443", "http://chat.example.com:443"),
            ("https://chat.example.com:8443/", "https://chat.example.com:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
            ("http://my_service:3000", "http://my_service:3000"),
        ] {
            assert_eq!(normalized_origin(text).as_deref(), Some(origin), "{text}");
        }
        for text in [
            "*",
            "null",
            "chat.example.com",
            "https:chat.example.com",
            "https://*.example.com",
            "https://a.example; script-src *",
            "https://a.example/chat",
            "https://a.example/?x",
            "https://a.example#x",
            "https://user@a.example",
            "ftp://a.example",
            "https://",
        ] {
            assert_eq!(normalized_origin(text), None, "{text}");
        }
    }
}
