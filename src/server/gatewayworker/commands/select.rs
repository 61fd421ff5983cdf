//! `SELECT`: the requested fields of the clients that match any of the filters (protocol.md, 6).

use super::args::{Filters, MAX_FIELDS, MAX_NAME_BYTES, Scalar, SelectArgs, Values, groups, read_object, uids};
use super::outcome::{CommandError, CommandOutcome};
use super::queries::{reply_list, write_session};
use crate::domain::id::ClientId;
use crate::server::gateway::{ClientSession, ConnectionView, Gateway, Group, Selection, Uid};
use crate::server::php::{Key, Serializer};
use indexmap::IndexSet;
use std::collections::HashSet;

/// Replies the selected clients by connection number. Malformed or empty arguments select no client.
pub(super) async fn select(
    gateway: &Gateway,
    ext: &[u8],
    client_id: impl Fn(u32) -> ClientId,
) -> Result<CommandOutcome, CommandError> {
    let Some(SelectArgs { fields, filters }) = read_object(ext).ok().filter(|_| ext.trim_ascii() != b"{}") else {
        return Ok(CommandOutcome::Reply(b"a:0:{}".to_vec()));
    };
    // The fields of a client are an array, which holds each key once.
    let fields: IndexSet<Field> = fields.map(Values::into_vec).unwrap_or_default().iter().map(Field::from_name).collect();
    if fields.len() > MAX_FIELDS {
        return Err(CommandError::TooManyFields);
    }
    // Each name is written into each row.
    if let Some(long) = fields.iter().map(|field| field.name().len()).find(|length| *length > MAX_NAME_BYTES) {
        return Err(CommandError::NameTooLong(long));
    }
    let fields = Vec::from_iter(fields);
    let selections: Vec<Selection> = match filters {
        Filters::None => vec![Selection::All],
        Filters::Unnamed(list) if list.is_empty() => vec![Selection::All],
        Filters::By(filters) if filters.is_empty() => vec![Selection::All],
        Filters::Unnamed(_) => vec![],
        Filters::By(filters) => {
            filters.into_iter().filter_map(|(by, wanted)| selection(&by, wanted.into_vec(), &client_id)).collect()
        }
    };
    let row_fields = fields.clone();
    let row = move |id: ClientId, member: ConnectionView<'_>| ClientRow {
        connection: id.connection,
        fields: row_fields.iter().map(|field| field.of(id, member)).collect(),
    };
    let of_all = matches!(selections[..], [Selection::All]);
    let (mut rows, mut seen) = (Vec::new(), HashSet::new());
    for selection in selections {
        rows.extend(gateway.select(selection, row.clone()).await.into_iter().filter(|row| seen.insert(row.connection)));
    }
    if of_all && fields.contains(&Field::Groups) {
        // GatewayClient stops reading at the first client that lacks one of these (protocol.md, 6, the hint).
        rows.sort_by_key(|row| !row.is_whole(&fields));
    }
    reply_list(rows.len(), move |out| {
        out.array(rows.len());
        for row in &rows {
            out.int(row.connection.into());
            out.array(fields.len());
            for (field, value) in fields.iter().zip(&row.fields) {
                out.key(Key::of(field.name()));
                value.write(out);
            }
            out.end();
        }
        out.end();
    })
    .await
}

/// Returns the clients that match one filter; `None` for an unknown field.
fn selection(by: &str, wanted: Vec<Scalar>, client_id: impl Fn(u32) -> ClientId) -> Option<Selection> {
    match by {
        "groups" => Some(Selection::Groups(groups(&wanted))),
        "uid" => Some(Selection::Uids(uids(&wanted))),
        "connection_id" => Some(Selection::Clients(wanted.iter().filter_map(Scalar::connection).map(client_id).collect())),
        _ => None,
    }
}

/// A field that can be requested.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Field {
    Uid,
    Groups,
    Session,
    Id,
    /// Any other name: null. GatewayWorker replies the property of its connection object.
    Other(Vec<u8>),
}

/// The value of a field. Names and sessions are shared with the registry, not copied.
enum FieldValue {
    Null,
    Int(i64),
    Uid(Uid),
    Session(Option<ClientSession>),
    Names(Vec<Group>),
}

/// The requested fields of one client, in the order of the request.
struct ClientRow {
    connection: u32,
    fields: Vec<FieldValue>,
}

impl Field {
    fn from_name(scalar: &Scalar) -> Self {
        match &scalar.name()[..] {
            b"uid" => Self::Uid,
            b"groups" => Self::Groups,
            b"session" => Self::Session,
            b"id" => Self::Id,
            other => Self::Other(other.to_vec()),
        }
    }

    fn name(&self) -> &[u8] {
        match self {
            Self::Uid => b"uid",
            Self::Groups => b"groups",
            Self::Session => b"session",
            Self::Id => b"id",
            Self::Other(name) => name,
        }
    }

    fn of(&self, id: ClientId, member: ConnectionView<'_>) -> FieldValue {
        match self {
            Self::Uid => member.uid().cloned().map_or(FieldValue::Null, FieldValue::Uid),
            Self::Groups if member.has_joined() => FieldValue::Names(member.groups().cloned().collect()),
            Self::Session => FieldValue::Session(member.session().cloned()),
            Self::Id => FieldValue::Int(id.connection.into()),
            Self::Groups | Self::Other(_) => FieldValue::Null,
        }
    }
}

impl ClientRow {
    /// Returns true if the client has the uid and the groups, as far as they are requested.
    fn is_whole(&self, fields: &[Field]) -> bool {
        let mut wanted = fields.iter().zip(&self.fields).filter(|(field, _)| matches!(field, Field::Uid | Field::Groups));
        wanted.all(|(_, value)| match value {
            FieldValue::Names(groups) => !groups.is_empty(),
            value => !matches!(value, FieldValue::Null),
        })
    }
}

impl FieldValue {
    fn write(&self, out: &mut Serializer) {
        match self {
            Self::Null => out.null(),
            Self::Int(value) => out.int(*value),
            Self::Uid(uid) => out.text(uid.as_bytes()),
            Self::Session(session) => write_session(session.as_ref(), out),
            Self::Names(groups) => {
                out.array(groups.len());
                for group in groups {
                    out.key(Key::of(group.as_bytes()));
                    out.text(group.as_bytes());
                }
                out.end();
            }
        }
    }
}
