//! The queries of the inner protocol, and their replies as PHP serializes them (protocol.md, 6).

use super::args::{Scalar, Values, groups, uids};
use super::outcome::{CommandError, CommandOutcome};
use crate::domain::id::ClientId;
use crate::server::gateway::{ClientSession, Gateway, Group, Selection, Uid};
use crate::server::php::{Key, Serializer};
use indexmap::IndexMap;

/// Bytes of a reply. Its connection is closed when it would be longer.
pub(crate) const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;
/// Rows from which a reply is written on a thread of its own: all connections to the inner port share one task.
const LONG_LIST: usize = 32;

/// Builds a reply of one serialized value. Returns an error if it is longer than [`MAX_REPLY_BYTES`].
pub(super) fn reply(write: impl FnOnce(&mut Serializer)) -> Result<CommandOutcome, CommandError> {
    let mut out = Serializer::bounded(MAX_REPLY_BYTES);
    write(&mut out);
    out.finish().map(CommandOutcome::Reply).ok_or(CommandError::ReplyTooLong)
}

/// Builds a reply of `rows` rows. The commands of other connections do not wait for a long one.
pub(super) async fn reply_list(
    rows: usize,
    write: impl FnOnce(&mut Serializer) + Send + 'static,
) -> Result<CommandOutcome, CommandError> {
    if rows < LONG_LIST {
        return reply(write);
    }
    // A panic while writing is logged by its hook, and closes this connection only.
    tokio::task::spawn_blocking(|| reply(write)).await.unwrap_or(Err(CommandError::ReplyTooLong))
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
pub(super) async fn is_online(gateway: &Gateway, client: ClientId) -> Result<CommandOutcome, CommandError> {
    let online = gateway.is_online(client).await;
    reply(|out| out.int(online.into()))
}

/// Replies the session of a client: an empty array if it was never set, null if the client is not connected.
pub(super) async fn session(gateway: &Gateway, client: ClientId) -> Result<CommandOutcome, CommandError> {
    let kept = gateway.inspect(client, |member| member.session().map(|session| session.to_serialized().into_owned())).await;
    Ok(CommandOutcome::Reply(match kept {
        Some(Some(session)) => session,
        Some(None) => b"a:0:{}".to_vec(),
        None => b"N;".to_vec(),
    }))
}

/// Replies the sessions of a group's clients, or of all clients, by connection number.
pub(super) async fn sessions(gateway: &Gateway, group: Option<Group>) -> Result<CommandOutcome, CommandError> {
    let selection = group.map_or(Selection::All, |group| Selection::Groups(vec![group]));
    let rows = gateway.select(selection, |id, member| (id.connection, member.session().cloned())).await;
    reply_list(rows.len(), move |out| {
        out.array(rows.len());
        for (connection, session) in &rows {
            out.int((*connection).into());
            write_session(session.as_ref(), out);
        }
        out.end();
    })
    .await
}

/// Replies the connection numbers of the clients with a uid.
pub(super) async fn clients_of_uid(gateway: &Gateway, uid: Uid) -> Result<CommandOutcome, CommandError> {
    let clients = gateway.client_ids(Selection::Uids(vec![uid])).await;
    reply(|out| out.list(clients.iter().map(|client| client.connection.into())))
}

/// Replies the connection numbers of the clients by uid.
pub(super) async fn clients_of_uids(gateway: &Gateway, names: Vec<Scalar>) -> Result<CommandOutcome, CommandError> {
    let found = gateway.client_ids_by_uid(uids(&names)).await;
    reply_list(found.len(), move |out| {
        out.array(found.len());
        for (uid, clients) in &found {
            out.key(Key::of(uid.as_bytes()));
            out.list(clients.iter().map(|client| client.connection.into()));
        }
        out.end();
    })
    .await
}

/// Replies the number of clients in a group, or of all clients if `group` is empty.
pub(super) async fn client_count(gateway: &Gateway, group: &[u8]) -> Result<CommandOutcome, CommandError> {
    let selection = if group.is_empty() { Selection::All } else { Selection::Groups(vec![Group::new(group)]) };
    let count = gateway.client_count(selection).await;
    reply(|out| out.int(count as i64))
}

/// Replies the number of clients by group.
pub(super) async fn client_counts(gateway: &Gateway, names: Vec<Scalar>) -> Result<CommandOutcome, CommandError> {
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
pub(super) async fn group_names(gateway: &Gateway) -> Result<CommandOutcome, CommandError> {
    let groups = gateway.groups().await;
    reply_list(groups.len(), move |out| {
        out.array(groups.len());
        for (place, group) in groups.keys().enumerate() {
            out.int(place as i64);
            out.key(Key::of(group.as_bytes()));
        }
        out.end();
    })
    .await
}

/// Writes a session as a text, as PHP serializes it; empty if it was never set.
pub(super) fn write_session(session: Option<&ClientSession>, out: &mut Serializer) {
    // A JSON session is short; a serialized one is not copied.
    out.text(&session.map(ClientSession::to_serialized).unwrap_or_default());
}
