//! The queries of the inner protocol, and their replies as PHP serializes them (protocol.md, 6).

use super::args::{Scalar, Values, groups, uids};
use super::outcome::CommandOutcome;
use crate::domain::id::ClientId;
use crate::server::gateway::{ClientSession, ConnectionView, Gateway, Group, Selection, Uid};
use crate::server::php::{Key, Serializer};
use indexmap::IndexMap;

/// Builds a reply of one serialized value.
pub(super) fn reply(write: impl FnOnce(&mut Serializer)) -> CommandOutcome {
    let mut out = Serializer::default();
    write(&mut out);
    CommandOutcome::Reply(out.into_bytes())
}

/// Parses the names of a batch query. Text that is not JSON yields no names, as in GatewayWorker. An array as a name is an
/// error; a GatewayWorker process ends at it.
pub(super) fn parse_names(ext: &[u8]) -> Result<Vec<Scalar>, serde_json::Error> {
    match serde_json::from_slice::<Values>(ext) {
        Ok(names) => Ok(names.into_vec()),
        Err(error) => match serde_json::from_slice(ext) {
            Ok(serde_json::Value::Array(_) | serde_json::Value::Object(_)) => Err(error),
            _ => Ok(Vec::new()),
        },
    }
}

/// Replies 1 or 0.
pub(super) async fn is_online(gateway: &Gateway, client: ClientId) -> CommandOutcome {
    let online = gateway.is_online(client).await;
    reply(|out| out.int(online.into()))
}

/// Replies the session of a client: an empty array if it was never set, null if the client is not connected.
pub(super) async fn session(gateway: &Gateway, client: ClientId) -> CommandOutcome {
    let kept = gateway.inspect(client, |member| member.session().map(|session| session.to_serialized().into_owned())).await;
    CommandOutcome::Reply(match kept {
        Some(Some(session)) => session,
        Some(None) => b"a:0:{}".to_vec(),
        None => b"N;".to_vec(),
    })
}

/// Replies the sessions of a group's clients, or of all clients, by connection number.
pub(super) async fn sessions(gateway: &Gateway, group: Option<Group>) -> CommandOutcome {
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

/// Replies the connection numbers of the clients with a uid.
pub(super) async fn clients_of_uid(gateway: &Gateway, uid: Uid) -> CommandOutcome {
    let clients = gateway.client_ids(Selection::Uids(vec![uid])).await;
    reply(|out| out.list(clients.iter().map(|client| client.connection.into())))
}

/// Replies the connection numbers of the clients by uid.
pub(super) async fn clients_of_uids(gateway: &Gateway, names: Vec<Scalar>) -> CommandOutcome {
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

/// Replies the number of clients in a group, or of all clients if `group` is empty.
pub(super) async fn client_count(gateway: &Gateway, group: &[u8]) -> CommandOutcome {
    let selection = if group.is_empty() { Selection::All } else { Selection::Groups(vec![Group::new(group)]) };
    let count = gateway.client_count(selection).await;
    reply(|out| out.int(count as i64))
}

/// Replies the number of clients by group.
pub(super) async fn client_counts(gateway: &Gateway, names: Vec<Scalar>) -> CommandOutcome {
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

/// Replies the names of all groups.
pub(super) async fn group_names(gateway: &Gateway) -> CommandOutcome {
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

/// Returns a session as PHP serializes it; empty if it was never set.
pub(super) fn serialized_session(member: ConnectionView<'_>) -> Vec<u8> {
    member.session().map(ClientSession::to_serialized).unwrap_or_default().into_owned()
}
