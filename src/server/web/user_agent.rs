//! The kind of browser and system of a request, in words for the list of one's sessions.

/// Words in `User-Agent` and the names of their browsers. The first that fits counts: most browsers also name others.
const BROWSERS: [(&str, &str); 11] = [
    ("MicroMessenger/", "WeChat"),
    ("QQBrowser/", "QQ Browser"),
    ("EdgA/", "Edge"),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
/// The same for systems.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// Returns a coarse label such as `Firefox · Android`; empty if neither is known. Nothing of the header itself is kept.
pub(super) fn label(user_agent: &str) -> String {
    let name = |names: &[(&str, &'static str)]| names.iter().find(|(word, _)| user_agent.contains(word)).map(|(_, name)| *name);
    [name(&BROWSERS), name(&SYSTEMS)].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn a_label_names_family_and_system_only() {
        let android = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36";
        assert_eq!(label(android), "Chrome · Android");
        assert_eq!(label("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"), "Firefox · Linux");
        assert_eq!(label("Mozilla/5.0 (Windows NT 10.0) Chrome/131.0 Safari/537.36 Edg/131.0"), "Edge · Windows");
        assert_eq!(label("curl/8.0 <script>"), "");
    }
}
