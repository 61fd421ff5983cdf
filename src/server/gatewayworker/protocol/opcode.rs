//! The inner protocol's commands by their numbers (protocol.md, 6).

pub const ON_CONNECT: u8 = 1;
pub const ON_MESSAGE: u8 = 3;
pub const ON_CLOSE: u8 = 4;
pub const SEND_TO_ONE: u8 = 5;
pub const SEND_TO_ALL: u8 = 6;
pub const KICK: u8 = 7;
pub const DESTROY: u8 = 8;
pub const UPDATE_SESSION: u8 = 9;
pub const GET_ALL_CLIENT_SESSIONS: u8 = 10;
pub const IS_ONLINE: u8 = 11;
pub const BIND_UID: u8 = 12;
pub const UNBIND_UID: u8 = 13;
pub const SEND_TO_UID: u8 = 14;
pub const GET_CLIENT_ID_BY_UID: u8 = 15;
pub const BATCH_GET_CLIENT_ID_BY_UID: u8 = 16;
pub const JOIN_GROUP: u8 = 20;
pub const LEAVE_GROUP: u8 = 21;
pub const SEND_TO_GROUP: u8 = 22;
pub const GET_CLIENT_SESSIONS_BY_GROUP: u8 = 23;
pub const GET_CLIENT_COUNT_BY_GROUP: u8 = 24;
pub const SELECT: u8 = 25;
pub const GET_GROUP_ID_LIST: u8 = 26;
pub const UNGROUP: u8 = 27;
pub const BATCH_GET_CLIENT_COUNT_BY_GROUP: u8 = 28;
pub const WORKER_CONNECT: u8 = 200;
pub const PING: u8 = 201;
pub const GATEWAY_CLIENT_CONNECT: u8 = 202;
pub const GET_SESSION_BY_CLIENT_ID: u8 = 203;
pub const SET_SESSION: u8 = 204;
pub const ON_WEBSOCKET_CONNECT: u8 = 205;

/// It has an answer, always one.
pub fn is_query(command: u8) -> bool {
    is_list(command)
        || [IS_ONLINE, GET_CLIENT_ID_BY_UID, GET_CLIENT_COUNT_BY_GROUP, BATCH_GET_CLIENT_COUNT_BY_GROUP, GET_SESSION_BY_CLIENT_ID]
            .contains(&command)
}

/// Its `ext_data` is JSON that names connections, people or groups.
pub fn takes_names(command: u8) -> bool {
    [SEND_TO_ALL, SEND_TO_UID, SEND_TO_GROUP, SELECT, BATCH_GET_CLIENT_ID_BY_UID, BATCH_GET_CLIENT_COUNT_BY_GROUP]
        .contains(&command)
}

/// Its answer grows with who is here.
pub fn is_list(command: u8) -> bool {
    let lists = [GET_ALL_CLIENT_SESSIONS, GET_CLIENT_SESSIONS_BY_GROUP, SELECT, GET_GROUP_ID_LIST, BATCH_GET_CLIENT_ID_BY_UID];
    lists.contains(&command)
}

/// As it is called in the figures. `None`: no request to a gateway.
pub fn name(command: u8) -> Option<&'static str> {
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
