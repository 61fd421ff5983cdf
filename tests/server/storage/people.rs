//! People, sessions, devices and API keys.

use super::{Opened, contract, put_session};
use roomcast::domain::id::Uid;
use roomcast::server::storage::{ApiKeyRow, NewPassword, NewPerson, NewSessionRow, StorageError, Store};

contract!(
    names_ignore_case_and_width,
    a_guest_becomes_an_account_once,
    accounts_are_listed_oldest_first,
    two_people_that_take_a_name_at_once_are_one_account,
    sessions_are_listed_extended_and_ended,
    a_session_is_of_a_person,
    ownership_is_claimed_once_and_includes_rooms_without_a_host,
    an_account_keeps_the_devices_used_last,
    a_changed_password_ends_other_sessions_and_devices,
    keys_have_names_of_their_own,
);

fn account<'a>(uid: &'a Uid, account: &'a str) -> NewPerson<'a> {
    NewPerson { uid, nickname: "n", account, password: "hash", created_at: 0 }
}

async fn names_ignore_case_and_width(Opened { store, .. }: &mut Opened) {
    let (uid, other) = ("u".parse().unwrap(), "v".parse().unwrap());
    store.put_account(account(&uid, "Ming")).await.unwrap();
    for taken in ["Ming", "ming", "ｍＩＮＧ"] {
        assert!(matches!(store.put_account(account(&other, taken)).await, Err(StorageError::NameTaken)), "{taken}");
    }
    for name in ["MING", " ming "] {
        let found = store.person_by_account(name).await.unwrap().unwrap();
        assert_eq!((&found.person.uid, found.person.account.as_deref()), (&uid, Some("Ming")));
        assert_eq!((found.password.as_deref(), found.is_owner), (Some("hash"), false));
    }
    assert!(store.person_by_account("Min").await.unwrap().is_none() && store.person_by_account("").await.unwrap().is_none());
    for name in ["ıstanbul", "ISTANBUL", "straße", "小鱼", "Ünï"] {
        let uid = format!("uid of {name}").parse().unwrap();
        store.put_account(account(&uid, name)).await.unwrap();
        assert_eq!(store.person_by_account(name).await.unwrap().unwrap().person.uid, uid, "{name}");
    }
}

async fn a_guest_becomes_an_account_once(Opened { store, .. }: &mut Opened) {
    let uid = "u".parse().unwrap();
    store.put_nickname(&uid, "guest", 5).await.unwrap();
    put_session(store, &[1; 32], "u", 10).await.unwrap();
    store.put_account(account(&uid, "first")).await.unwrap();
    let session = store.session(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((session.person.account.as_deref(), session.person.nickname.as_str()), (Some("first"), "n"));
    assert!(matches!(store.put_account(account(&uid, "second")).await, Err(StorageError::NameTaken)));
    assert!(store.person_by_account("second").await.unwrap().is_none());
    store.put_nickname(&uid, "renamed", 7).await.unwrap();
    assert_eq!(store.person_by_account("first").await.unwrap().unwrap().person.nickname, "renamed");
}

async fn accounts_are_listed_oldest_first(Opened { store, .. }: &mut Opened) {
    for (uid, created_at) in [("c", 3), ("a", 1), ("b", 2)] {
        let uid = uid.parse().unwrap();
        store.put_account(NewPerson { created_at, ..account(&uid, uid.as_str()) }).await.unwrap();
    }
    store.put_nickname(&"guest".parse().unwrap(), "n", 0).await.unwrap();
    let accounts = store.accounts().await.unwrap();
    assert_eq!(accounts.iter().map(|row| row.person.uid.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

async fn two_people_that_take_a_name_at_once_are_one_account(Opened { store, .. }: &mut Opened) {
    let taken = (0..10).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.put_account(account(&format!("u{n}").parse().unwrap(), "name")).await })
    });
    let taken = futures_util::future::join_all(taken).await;
    let (stored, refused): (Vec<_>, Vec<_>) = taken.into_iter().map(|one| one.unwrap()).partition(|one| one.is_ok());
    assert_eq!(stored.len(), 1);
    assert!(refused.iter().all(|one| matches!(one, Err(StorageError::NameTaken))), "{refused:?}");
    assert_eq!(store.accounts().await.unwrap().len(), 1);
}

async fn sessions_are_listed_extended_and_ended(Opened { store, .. }: &mut Opened) {
    let (uid, other) = ("u".parse().unwrap(), "v".parse().unwrap());
    store.put_nickname(&uid, "阿明", 0).await.unwrap();
    let session = |token_hash, expires_at| NewSessionRow { token_hash, uid: &uid, label: "Firefox", created_at: 0, expires_at };
    for (token_hash, expires_at) in [(&[1; 32], 10), (&[2; 32], 20), (&[3; 32], u64::MAX)] {
        store.put_session(session(token_hash, expires_at)).await.unwrap();
    }
    assert_eq!(store.session(&[1; 32]).await.unwrap().unwrap().expires_at, 10);
    store.extend_session(&[1; 32], 5, 15).await.unwrap();
    let extended = store.session(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((extended.used_at, extended.expires_at, extended.token_hash), (5, 15, [1; 32]));
    store.extend_session(&[9; 32], 5, 15).await.unwrap();
    assert_eq!(store.end_expired_sessions(15, 10).await.unwrap(), 1);
    assert!(store.session(&[1; 32]).await.unwrap().is_none());
    let listed = store.sessions_of(&uid, 9).await.unwrap();
    assert!(listed.iter().all(|row| (row.label.as_str(), row.created_at, row.used_at) == ("Firefox", 0, 0)) && listed.len() == 2);
    assert_eq!(store.end_sessions_of(&uid, Some(&[3; 32])).await.unwrap(), [[2; 32]]);
    assert_eq!(store.end_sessions_of(&uid, None).await.unwrap(), [[3; 32]]);
    for n in 1..=5_u8 {
        let new = NewSessionRow { token_hash: &[n; 32], uid: &uid, label: "", created_at: u64::from(n), expires_at: 99 };
        store.put_session(new).await.unwrap();
    }
    let newest = store.sessions_of(&uid, 2).await.unwrap();
    assert_eq!(newest.iter().map(|row| row.created_at).collect::<Vec<_>>(), [5, 4]);
    let mut ended = store.end_oldest_sessions(&uid, 3).await.unwrap();
    ended.sort_unstable();
    assert_eq!(ended, [[1; 32], [2; 32]]);
    assert!(store.end_oldest_sessions(&other, 3).await.unwrap().is_empty());
    store.end_session(&[5; 32]).await.unwrap();
    assert!(store.session(&[5; 32]).await.unwrap().is_none() && store.session(&[4; 32]).await.unwrap().is_some());
}

async fn a_session_is_of_a_person(Opened { store, .. }: &mut Opened) {
    assert!(matches!(put_session(store, &[1; 32], "nobody", 10).await, Err(StorageError::Failed(_))));
    store.put_nickname(&"u".parse().unwrap(), "n", 0).await.unwrap();
    put_session(store, &[1; 32], "u", 10).await.unwrap();
    assert!(matches!(put_session(store, &[1; 32], "u", 10).await, Err(StorageError::Failed(_))), "a token is used once");
}

async fn ownership_is_claimed_once_and_includes_rooms_without_a_host(Opened { store, .. }: &mut Opened) {
    let (uid, other) = ("u".parse().unwrap(), "v".parse().unwrap());
    for uid in [&uid, &other] {
        store.put_nickname(uid, "n", 0).await.unwrap();
    }
    let (free, taken) =
        (store.open_room("free", None, 0).await.unwrap(), store.open_room("taken", Some(&other), 0).await.unwrap());
    store.set_fact("owner_link", &[7; 32]).await.unwrap();
    assert!(!store.claim_ownership(&uid, &[8; 32]).await.unwrap() && !store.has_owner().await.unwrap());
    assert!(store.claim_ownership(&uid, &[7; 32]).await.unwrap() && store.has_owner().await.unwrap());
    assert!(store.is_owner(&uid).await.unwrap() && !store.is_owner(&other).await.unwrap());
    assert!(!store.claim_ownership(&other, &[7; 32]).await.unwrap(), "once");
    assert_eq!(store.room(&free).await.unwrap().unwrap().host, Some(uid));
    assert_eq!(store.room(&taken).await.unwrap().unwrap().host, Some(other));
}

async fn put_accounts(store: &Store) -> (Uid, Uid) {
    let (uid, other) = ("u".parse().unwrap(), "v".parse().unwrap());
    for uid in [&uid, &other] {
        store.put_account(account(uid, uid.as_str())).await.unwrap();
    }
    (uid, other)
}

async fn an_account_keeps_the_devices_used_last(Opened { store, .. }: &mut Opened) {
    let (uid, other) = put_accounts(store).await;
    for n in 0..4_u8 {
        store.put_device(&uid, &[n; 32], "hash", u64::from(n), 3).await.unwrap();
    }
    store.put_device(&uid, &[1; 32], "hash", 9, 3).await.unwrap();
    store.put_device(&uid, &[7; 32], "hash", 10, 3).await.unwrap();
    for (n, known) in [(0, false), (1, true), (2, false), (3, true), (7, true)] {
        assert_eq!(store.is_device_of(&uid, &[n; 32]).await.unwrap(), known, "{n}");
        assert!(!store.is_device_of(&other, &[n; 32]).await.unwrap());
    }
    store.set_password(&uid, "another hash").await.unwrap();
    assert!(!store.is_device_of(&uid, &[7; 32]).await.unwrap(), "another password forgets the devices");
    assert!(!store.put_device(&uid, &[8; 32], "hash", 11, 3).await.unwrap(), "of the password before");
    assert!(!store.is_device_of(&uid, &[8; 32]).await.unwrap());
}

async fn a_changed_password_ends_other_sessions_and_devices(Opened { store, .. }: &mut Opened) {
    let (uid, _) = put_accounts(store).await;
    for n in 1..=3 {
        put_session(store, &[n; 32], "u", 99).await.unwrap();
        assert!(store.put_device(&uid, &[n; 32], "hash", 1, 9).await.unwrap());
    }
    put_session(store, &[4; 32], "v", 99).await.unwrap();
    let change = |replaced| NewPassword { uid: &uid, replaced, password: "new", kept_device: &[1; 32], kept_session: &[2; 32] };
    assert_eq!(store.change_password(change("another")).await.unwrap(), None);
    assert_eq!(store.sessions_of(&uid, 9).await.unwrap().len(), 3);
    let mut ended = store.change_password(change("hash")).await.unwrap().unwrap();
    ended.sort_unstable();
    assert_eq!(ended, [[1; 32], [3; 32]]);
    assert!(store.session(&[2; 32]).await.unwrap().is_some() && store.session(&[4; 32]).await.unwrap().is_some());
    for (n, known) in [(1, true), (2, false), (3, false)] {
        assert_eq!(store.is_device_of(&uid, &[n; 32]).await.unwrap(), known, "{n}");
    }
    assert_eq!(store.person_by_account("u").await.unwrap().unwrap().password.as_deref(), Some("new"));
}

async fn keys_have_names_of_their_own(Opened { store, .. }: &mut Opened) {
    let key =
        |name: &str, expires_at| ApiKeyRow { name: name.into(), scopes: "push,query".into(), rooms: "1,2".into(), expires_at };
    store.put_api_key(&key("shop", None), &[1; 32], 5).await.unwrap();
    for (name, hash) in [("shop", [2; 32]), ("Shop", [2; 32]), ("other", [1; 32])] {
        assert!(matches!(store.put_api_key(&key(name, None), &hash, 5).await, Err(StorageError::NameTaken)), "{name}");
    }
    for (name, hash) in [("bot", [3; 32]), ("a-b", [4; 32]), ("a", [5; 32])] {
        store.put_api_key(&key(name, Some(9)), &hash, 5).await.unwrap();
    }
    let listed = store.api_keys().await.unwrap();
    assert_eq!(listed.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a", "a-b", "bot", "shop"]);
    let found = store.api_key(&[3; 32]).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.scopes.as_str(), found.expires_at), ("bot", "push,query", Some(9)));
    assert_eq!(found.rooms, "1,2");
    assert_eq!(store.api_key(&[1; 32]).await.unwrap().unwrap().expires_at, None);
    assert!(store.api_key(&[9; 32]).await.unwrap().is_none());
    assert!(store.remove_api_key("BOT").await.unwrap() && !store.remove_api_key("bot").await.unwrap());
    assert!(store.api_key(&[3; 32]).await.unwrap().is_none());
}
