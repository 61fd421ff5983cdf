//! The inner protocol's questions, and their answers as PHP serializes them (protocol.md, 6).

use super::args::{Scalar, Values, groups, uids};
use super::outcome::Outcome;
use crate::domain::id::ClientId;
use crate::server::gateway::{ClientSession, Gateway, Group, Member, Selection, Uid};
use crate::server::php::{Key, Writer};
use indexmap::IndexMap;

/// One serialized value.
pub fn reply(write: impl FnOnce(&mut Writer)) -> Outcome {
    let mut out = Writer::default();
    write(&mut out);
    Outcome::Reply(out.into_bytes())
}

/// Text that is no JSON at all asks for nothing, as in the original; arrays in the place of names are an error, where the
/// original ended.
pub fn parse_names(ext: &[u8]) -> Result<Vec<Scalar>, serde_json::Error> {
    match serde_json::from_slice::<Values>(ext) {
        Ok(names) => Ok(names.into_vec()),
        Err(error) => match serde_json::from_slice(ext) {
            Ok(serde_json::Value::Array(_) | serde_json::Value::Object(_)) => Err(error),
            _ => Ok(Vec::new()),
        },
    }
}

pub async fn is_online(gateway: &Gateway, client: ClientId) -> Outcome {
    let online = gateway.is_online(client).await;
    reply(|out| out.int(online.into()))
}

/// Never set is an empty array, offline is null.
pub async fn session(gateway: &Gateway, client: ClientId) -> Outcome {
    let kept = gateway.look(client, |member| member.session().map(|session| session.to_php().into_owned())).await;
    Outcome::Reply(match kept {
        Some(Some(session)) => session,
        Some(None) => b"a:0:{}".to_vec(),
        None => b"N;".to_vec(),
    })
}

pub async fn sessions(gateway: &Gateway, group: Option<Group>) -> Outcome {
    let selection = group.map_or(Selection::All, |group| Selection::Groups(vec![group]));
    let rows = gateway.select(selection, |id, member| (id.connection, serialized_session(member))).await;
    reply(|out| {
        out.array(rows.len());
        for (connection, session) in &rows {
            out.int((*connection).into());
            out.text(session);
        }
        out.end();
    })
}

pub async fn clients_of_uid(gateway: &Gateway, uid: Uid) -> Outcome {
    let clients = gateway.client_ids(Selection::Uids(vec![uid])).await;
    reply(|out| out.list(clients.iter().map(|client| client.connection.into())))
}

pub async fn clients_of_uids(gateway: &Gateway, names: Vec<Scalar>) -> Outcome {
    let found = gateway.client_ids_by_uid(uids(&names)).await;
    reply(|out| {
        out.array(found.len());
        for (uid, clients) in &found {
            out.key(Key::of(uid.as_bytes()));
            out.list(clients.iter().map(|client| client.connection.into()));
        }
        out.end();
    })
}

/// Of a group; of all, if none is named.
pub async fn client_count(gateway: &Gateway, group: &[u8]) -> Outcome {
    let selection = if group.is_empty() { Selection::All } else { Selection::Groups(vec![Group::new(group)]) };
    let count = gateway.client_count(selection).await;
    reply(|out| out.int(count as i64))
}

pub async fn client_counts(gateway: &Gateway, names: Vec<Scalar>) -> Outcome {
    let counts: IndexMap<Group, usize> = gateway.client_count_by_group(groups(&names)).await.into_iter().collect();
    reply(|out| {
        out.array(counts.len());
        for (group, count) in &counts {
            out.key(Key::of(group.as_bytes()));
            out.int(*count as i64);
        }
        out.end();
    })
}

pub async fn group_names(gateway: &Gateway) -> Outcome {
    let groups = gateway.groups().await;
    reply(|out| {
        out.array(groups.len());
        for (place, group) in groups.keys().enumerate() {
            out.int(place as i64);
            out.key(Key::of(group.as_bytes()));
        }
        out.end();
    })
}

/// As PHP serializes it; empty if it was never set.
pub fn serialized_session(member: Member<'_>) -> Vec<u8> {
    member.session().map(ClientSession::to_php).unwrap_or_default().into_owned()
}
