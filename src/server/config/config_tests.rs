//! Tests of the order of sources and of the errors of the configuration.

use super::*;

fn load(text: &str, environment: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>();
    let flags = Flags { config: Some(file.path().into()), set: pairs(set), ..Flags::default() };
    Config::load(&flags, &pairs(environment).into_iter().collect())
}

#[test]
fn flags_override_environment_overrides_file_overrides_defaults() {
    let file = "[chat]\ncooldown_ms = 1\n";
    assert_eq!(load("", &[], &[]).unwrap().chat.cooldown_ms, 3000);
    assert_eq!(load(file, &[], &[]).unwrap().chat.cooldown_ms, 1);
    let environment = [("ROOMCAST_CHAT_COOLDOWN_MS", "2"), ("ROOMCAST_DATA_DIR", "/x"), ("ROOMCAST_LAN_ADDR", "127.0.0.9:7")];
    let config = load(file, &environment, &[]).unwrap();
    assert_eq!((config.chat.cooldown_ms, config.storage.data_dir), (2, "/x".into()));
    assert_eq!(config.gateway.lan_addr.to_string(), "127.0.0.9:7");
    assert_eq!(load(file, &environment, &[("chat.cooldown_ms", "3")]).unwrap().chat.cooldown_ms, 3);
    let lists = load("", &[("ROOMCAST_WEB_TRUSTED_PROXIES", "10.0.0.0/8, ::1/128")], &[]).unwrap().web.trusted_proxies;
    assert_eq!(lists.len(), 2);
}

#[test]
fn an_unknown_key_names_the_nearest_known_key() {
    for (file, unknown, nearest) in [
        ("[chat]\ncooldown = 1\n", "chat.cooldown", "chat.cooldown_ms"),
        ("[gatway]\nlan_addr = \"127.0.0.1:1\"\n", "gatway.lan_addr", "gateway.lan_addr"),
    ] {
        let error = load(file, &[], &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("`{unknown}`")) && error.contains(&format!("`{nearest}`")), "{error}");
    }
    assert!(load("[chat]\ncooldown_ms = \"soon\"\n", &[], &[]).is_err());
}

#[test]
fn only_a_scheme_and_a_host_are_an_origin() {
    for (key, value) in
        [("ALLOWED_ORIGINS", "*"), ("FRAME_ANCESTORS", "https://a.example; script-src *"), ("PUBLIC_URL", "chat.example")]
    {
        let variable = format!("ROOMCAST_WEB_{key}");
        assert!(matches!(load("", &[(&variable, value)], &[]), Err(ConfigError::InvalidOrigin(_))), "{key}");
    }
    assert!(load("", &[("ROOMCAST_WEB_ALLOWED_ORIGINS", "https://a.example,http://127.0.0.1:8080")], &[]).is_ok());
}

#[test]
fn b44b_origins_are_kept_in_one_spelling() {
    let environment = [
        ("ROOMCAST_WEB_PUBLIC_URL", "HTTPS://Chat.Example.com:443/"),
        ("ROOMCAST_WEB_ALLOWED_ORIGINS", "https://www.example.com:443/, http://b.example:80"),
        ("ROOMCAST_WEB_FRAME_ANCESTORS", "https://Bücher.example/"),
    ];
    let web = load("", &environment, &[]).unwrap().web;
    assert_eq!(web.public_url, "https://chat.example.com");
    assert_eq!(web.allowed_origins, ["https://www.example.com", "http://b.example"]);
    assert_eq!(web.frame_ancestors, ["https://xn--bcher-kva.example"]);
}

#[test]
fn b57_an_unknown_variable_is_a_warning_that_names_the_nearest_one() {
    let environment = [("ROOMCAST_CHAT_COLDOWN_MS", "1"), ("ROOMCAST_SUCCEEDS", "x"), ("ROOMCAST_API_KEY", "k"), ("PATH", "/")];
    let config = load("", &environment, &[]).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("ROOMCAST_CHAT_COLDOWN_MS sets nothing"), "{:?}", config.warnings);
    assert!(config.warnings[0].ends_with("ROOMCAST_CHAT_COOLDOWN_MS"), "{:?}", config.warnings);
    assert_eq!(config.chat.cooldown_ms, 3000);
}

#[test]
fn b57_an_address_without_a_prefix_is_a_network_of_one() {
    for (text, networks) in [
        ("127.0.0.1", &["127.0.0.1/32"][..]),
        ("::1, 10.0.0.0/8", &["::1/128", "10.0.0.0/8"]),
        (r#"["127.0.0.1", "10.1.0.0/16"]"#, &["127.0.0.1/32", "10.1.0.0/16"]),
    ] {
        let web = load("", &[("ROOMCAST_WEB_TRUSTED_PROXIES", text)], &[]).unwrap().web;
        assert_eq!(web.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), networks, "{text}");
    }
    assert_eq!(load("[web]\nmetrics_from = [\"10.0.0.7\"]\n", &[], &[]).unwrap().web.metrics_from[0].to_string(), "10.0.0.7/32");
    let wrong = load("", &[("ROOMCAST_WEB_TRUSTED_PROXIES", "127.0.0.1/33")], &[]).unwrap_err().to_string();
    assert!(wrong.contains("`127.0.0.1/33` is neither an IP address nor a network such as 10.0.0.0/8"), "{wrong}");
}

#[test]
fn b57_a_list_in_the_environment_may_be_json() {
    for list in ["https://a.example,https://b.example", r#"["https://a.example", "https://b.example"]"#] {
        let web = load("", &[("ROOMCAST_WEB_ALLOWED_ORIGINS", list)], &[]).unwrap().web;
        assert_eq!(web.allowed_origins, ["https://a.example", "https://b.example"]);
    }
}

#[test]
fn contradictory_and_unsafe_settings_are_errors() {
    assert!(matches!(load("", &[("ROOMCAST_WEB_TLS_KEY", "key.pem")], &[]), Err(ConfigError::IncompleteTlsPair)));
    assert!(matches!(load("", &[("ROOMCAST_GATEWAY_PING_EVERY_MS", "0")], &[]), Err(ConfigError::IntervalTooShort)));
    for addr in ["ROOMCAST_LAN_ADDR", "ROOMCAST_REGISTER_ADDR", "ROOMCAST_GATEWAY_LAN_LISTEN"] {
        let public = (addr, "0.0.0.0:7000");
        assert!(matches!(load("", &[public], &[]), Err(ConfigError::SecretKeyRequired(_))), "{addr}");
        assert!(load("", &[public, ("ROOMCAST_SECRET_KEY", "key")], &[]).is_ok(), "{addr}");
        assert!(load("", &[public, ("ROOMCAST_GATEWAY_PHP", "off")], &[]).is_ok(), "{addr}");
    }
    assert!(matches!(load("", &[("ROOMCAST_SECRET_KEY", "a\"b")], &[]), Err(ConfigError::UnsupportedSecretKey)));
    let public = load("", &[("ROOMCAST_LIMITS_PER_IP", "off")], &[]).unwrap().check_address("0.0.0.0:80".parse().unwrap());
    assert!(matches!(public, Err(ConfigError::LimitsOffInPublic(_))), "an inherited listener");
}

#[test]
fn the_database_is_sqlite_or_postgresql_and_its_password_is_not_shown() {
    let url = "postgres://room:s3cret%40@db.example/chat";
    let config = load("", &[("ROOMCAST_STORAGE_URL", url)], &[]).unwrap();
    assert_eq!(config.storage.url.as_str(), url);
    assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
    assert!(load("", &[], &[("storage.url", "postgresql:///chat?host=/run/postgresql")]).is_ok());
    assert!(load("[storage]\nurl = \"\"\n", &[], &[]).unwrap().storage.url.is_empty());
    for other in ["mysql://room:s3cret@db.example/chat", "sqlite:s3cret", "postgres://room:s3cret@db.example:x/chat", "s3cret"] {
        let error = load("", &[("ROOMCAST_STORAGE_URL", other)], &[]).unwrap_err();
        let typed = matches!(error, ConfigError::UnsupportedDatabase(_) | ConfigError::InvalidDatabaseUrl(_));
        assert!(typed && !error.to_string().contains("s3cret"), "{error}");
    }
    for incomplete in [
        "postgres:room:s3cret@db.example/chat",
        "postgres:/room:s3cret@db.example/chat",
        "postgres:///room:s3cret@db.example/chat",
        "postgres:///chat",
        "postgres://room:12/s3cret@db.example/chat",
        "postgres://room:12#s3cret@db.example/chat",
    ] {
        let error = load("", &[("ROOMCAST_STORAGE_URL", incomplete)], &[]).unwrap_err();
        assert!(matches!(error, ConfigError::IncompleteDatabaseUrl) && !error.to_string().contains("s3cret"), "{error}");
    }
    assert!(load("", &[], &[("storage.url", "postgres://%2Frun%2Fpostgresql/chat")]).is_ok());
}

#[test]
fn per_address_limits_cannot_be_lifted_on_a_public_address() {
    let off = [("ROOMCAST_LIMITS_PER_IP", "off")];
    assert_eq!(load("", &off, &[]).unwrap().limits.per_ip, Switch::Off);
    let public = "[package.metadata.leptos]\noutput-name = \"roomcast\"\nsite-addr = \"0.0.0.0:3000\"\n";
    assert!(matches!(load(public, &off, &[]), Err(ConfigError::LimitsOffInPublic(_))));
}

#[test]
fn the_shipped_file_states_the_defaults_and_shares_its_keys_with_cargo_toml() {
    let shipped = load(BUILT_IN, &[], &[]).unwrap();
    let defaults = load("", &[], &[]).unwrap();
    assert_eq!(format!("{shipped:?}"), format!("{defaults:?}"));
    let toml = |text: &str| Layers::builder().add_source(File::from_str(text, FileFormat::Toml)).build().unwrap();
    let built = toml(include_str!("../../../Cargo.toml"));
    let run = toml(BUILT_IN).get_table("package.metadata.leptos").unwrap();
    for (key, value) in run {
        let built = built.get_string(&format!("package.metadata.leptos.{key}")).unwrap();
        assert_eq!(built, value.to_string(), "{key}");
    }
}
