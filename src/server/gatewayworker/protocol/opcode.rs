//! The commands of the inner protocol by number (protocol.md, 6), and the events (protocol.md, 7).

/// Event: a client connected.
pub(crate) const ON_CONNECT: u8 = 1;
/// Event: a client sent a message.
pub(crate) const ON_MESSAGE: u8 = 3;
/// Event: a client disconnected.
pub(crate) const ON_CLOSE: u8 = 4;
/// Sends a message to one client.
pub(crate) const SEND_TO_ONE: u8 = 5;
/// Sends a message to all clients, or to a list of them.
pub(crate) const SEND_TO_ALL: u8 = 6;
/// Sends a last message to a client, and closes its connection.
pub(crate) const KICK: u8 = 7;
/// Closes a client's connection at once.
pub(crate) const DESTROY: u8 = 8;
/// Merges an array into a session.
pub(crate) const UPDATE_SESSION: u8 = 9;
/// Query: the sessions of all clients.
pub(crate) const GET_ALL_CLIENT_SESSIONS: u8 = 10;
/// Query: whether a client is connected.
pub(crate) const IS_ONLINE: u8 = 11;
/// Binds a client to a uid.
pub(crate) const BIND_UID: u8 = 12;
/// Unbinds a client from its uid.
pub(crate) const UNBIND_UID: u8 = 13;
/// Sends a message to the clients of uids.
pub(crate) const SEND_TO_UID: u8 = 14;
/// Query: the clients of a uid.
pub(crate) const GET_CLIENT_ID_BY_UID: u8 = 15;
/// Query: the clients of several uids.
pub(crate) const BATCH_GET_CLIENT_ID_BY_UID: u8 = 16;
/// Adds a client to a group.
pub(crate) const JOIN_GROUP: u8 = 20;
/// Removes a client from a group.
pub(crate) const LEAVE_GROUP: u8 = 21;
/// Sends a message to the clients of groups.
pub(crate) const SEND_TO_GROUP: u8 = 22;
/// Query: the sessions of a group's clients.
pub(crate) const GET_CLIENT_SESSIONS_BY_GROUP: u8 = 23;
/// Query: the number of a group's clients.
pub(crate) const GET_CLIENT_COUNT_BY_GROUP: u8 = 24;
/// Query: fields of the clients that match filters.
pub(crate) const SELECT: u8 = 25;
/// Query: the names of all groups.
pub(crate) const GET_GROUP_ID_LIST: u8 = 26;
/// Removes all clients from a group.
pub(crate) const UNGROUP: u8 = 27;
/// Query: the numbers of several groups' clients.
pub(crate) const BATCH_GET_CLIENT_COUNT_BY_GROUP: u8 = 28;
/// Presents the key, and connects a BusinessWorker.
pub(crate) const WORKER_CONNECT: u8 = 200;
/// Keeps a worker's connection alive.
pub(crate) const PING: u8 = 201;
/// Presents the key.
pub(crate) const GATEWAY_CLIENT_CONNECT: u8 = 202;
/// Query: the session of a client.
pub(crate) const GET_SESSION_BY_CLIENT_ID: u8 = 203;
/// Replaces a session.
pub(crate) const SET_SESSION: u8 = 204;
/// Event: the HTTP request of a client's handshake.
pub(crate) const ON_WEBSOCKET_CONNECT: u8 = 205;

/// Returns true for a command that has a reply.
pub(crate) fn is_query(command: u8) -> bool {
    is_list(command)
        || [IS_ONLINE, GET_CLIENT_ID_BY_UID, GET_CLIENT_COUNT_BY_GROUP, BATCH_GET_CLIENT_COUNT_BY_GROUP, GET_SESSION_BY_CLIENT_ID]
            .contains(&command)
}

/// Returns true for a command whose `ext_data` is JSON with names of connections, uids or groups.
pub(crate) fn takes_names(command: u8) -> bool {
    [SEND_TO_ALL, SEND_TO_UID, SEND_TO_GROUP, SELECT, BATCH_GET_CLIENT_ID_BY_UID, BATCH_GET_CLIENT_COUNT_BY_GROUP]
        .contains(&command)
}

/// Returns true for a query whose reply grows with the number of clients.
pub(crate) fn is_list(command: u8) -> bool {
    let lists = [GET_ALL_CLIENT_SESSIONS, GET_CLIENT_SESSIONS_BY_GROUP, SELECT, GET_GROUP_ID_LIST, BATCH_GET_CLIENT_ID_BY_UID];
    lists.contains(&command)
}

/// Returns the label of a command's metric; `None` for a number that is not a command to a gateway.
pub(crate) fn name(command: u8) -> Option<&'static str> {
    Some(match command {
        SEND_TO_ONE => "send_to_one",
        SEND_TO_ALL => "send_to_all",
        KICK => "kick",
        DESTROY => "destroy",
        UPDATE_SESSION => "update_session",
        GET_ALL_CLIENT_SESSIONS => "get_all_client_sessions",
        IS_ONLINE => "is_online",
        BIND_UID => "bind_uid",
        UNBIND_UID => "unbind_uid",
        SEND_TO_UID => "send_to_uid",
        GET_CLIENT_ID_BY_UID => "get_client_id_by_uid",
        BATCH_GET_CLIENT_ID_BY_UID => "batch_get_client_id_by_uid",
        JOIN_GROUP => "join_group",
        LEAVE_GROUP => "leave_group",
        SEND_TO_GROUP => "send_to_group",
        GET_CLIENT_SESSIONS_BY_GROUP => "get_client_sessions_by_group",
        GET_CLIENT_COUNT_BY_GROUP => "get_client_count_by_group",
        SELECT => "select",
        GET_GROUP_ID_LIST => "get_group_id_list",
        UNGROUP => "ungroup",
        BATCH_GET_CLIENT_COUNT_BY_GROUP => "batch_get_client_count_by_group",
        WORKER_CONNECT => "worker_connect",
        GATEWAY_CLIENT_CONNECT => "gateway_client_connect",
        GET_SESSION_BY_CLIENT_ID => "get_session_by_client_id",
        SET_SESSION => "set_session",
        _ => return None,
    })
}
