//! Every string of the pages in both languages: a typed table, so that a missing one does not compile.

use crate::domain::lang::Lang;
use crate::domain::preferences::{Preferences, Theme};
use leptos::prelude::use_context;

pub struct Texts {
    pub lobby: &'static str,
    pub tagline: &'static str,
    pub open_room: &'static str,
    pub room_title: &'static str,
    pub open: &'static str,
    pub account_to_open: &'static str,
    pub no_rooms: &'static str,
    pub host: &'static str,
    pub no_host: &'static str,
    pub sign_in: &'static str,
    pub sign_out: &'static str,
    pub guest: &'static str,
    pub guest_hint: &'static str,
    pub nickname: &'static str,
    pub enter: &'static str,
    pub log_in: &'static str,
    pub register: &'static str,
    pub register_hint: &'static str,
    pub register_as_guest_hint: &'static str,
    pub owner_hint: &'static str,
    pub wrong_login: &'static str,
    pub name: &'static str,
    pub password: &'static str,
    pub new_password: &'static str,
    pub nickname_optional: &'static str,
    pub switch_language: &'static str,
    pub theme: &'static str,
    pub not_found: &'static str,
    pub back: &'static str,
    pub chat: &'static str,
    pub placeholder: &'static str,
    pub send: &'static str,
    pub sending: &'static str,
    pub badge: &'static str,
    pub system: &'static str,
    pub pick_nickname: &'static str,
    pub have_account: &'static str,
    pub silence: &'static str,
    pub loading: &'static str,
    pub fetch_missing: &'static str,
    pub latest: &'static str,
    pub beginning: &'static str,
    pub reconnecting: &'static str,
    pub ended: &'static str,
    pub crashed: &'static str,
    pub reload: &'static str,
}

const ZH: Texts = Texts {
    lobby: "直播间",
    tagline: "选一个房间，进去聊聊",
    open_room: "开一个房间",
    room_title: "房间标题",
    open: "开房间",
    account_to_open: "注册账号后就可以开自己的房间",
    no_rooms: "还没有房间",
    host: "主播",
    no_host: "暂无主播",
    sign_in: "登录",
    sign_out: "退出",
    guest: "游客进入",
    guest_hint: "只要一个昵称，马上就能聊",
    nickname: "昵称",
    enter: "进入",
    log_in: "账号登录",
    register: "注册账号",
    register_hint: "保留昵称，还可以开房间",
    register_as_guest_hint: "保留您现在的身份，还可以开房间",
    owner_hint: "这个账号将成为本站的站长，并主持第一个房间",
    wrong_login: "用户名或密码不正确",
    name: "用户名",
    password: "密码",
    new_password: "密码（至少 8 位）",
    nickname_optional: "昵称（可不填）",
    switch_language: "English",
    theme: "主题",
    not_found: "这里什么都没有",
    back: "返回大厅",
    chat: "聊天",
    placeholder: "输入聊天内容...",
    send: "发送",
    sending: "发送中",
    badge: "[主播]",
    system: "系统提示",
    pick_nickname: "取个昵称，加入聊天",
    have_account: "已有账号？登录",
    silence: "还没有人说话，来打个招呼吧",
    loading: "正在加载更早的消息…",
    fetch_missing: "点击补上",
    latest: "回到最新",
    beginning: "没有更早的消息了",
    reconnecting: "连接断开，正在重新连接…",
    ended: "连接已结束，请刷新页面",
    crashed: "页面出错了",
    reload: "刷新",
};

const EN: Texts = Texts {
    lobby: "Live rooms",
    tagline: "Pick a room and say hello",
    open_room: "Open a room",
    room_title: "Room title",
    open: "Open",
    account_to_open: "Register an account to open a room of your own",
    no_rooms: "There are no rooms yet",
    host: "Host",
    no_host: "No host yet",
    sign_in: "Sign in",
    sign_out: "Sign out",
    guest: "Come in as a guest",
    guest_hint: "A nickname is all it takes",
    nickname: "Nickname",
    enter: "Enter",
    log_in: "Log in",
    register: "Register",
    register_hint: "Keep your nickname and open rooms",
    register_as_guest_hint: "Stay who you are now, and open rooms",
    owner_hint: "This account will own the site and host its first room",
    wrong_login: "Wrong name or password",
    name: "Name",
    password: "Password",
    new_password: "Password (8 characters or more)",
    nickname_optional: "Nickname (optional)",
    switch_language: "中文",
    theme: "Theme",
    not_found: "There is nothing here",
    back: "Back to the lobby",
    chat: "Chat",
    placeholder: "Type a message...",
    send: "Send",
    sending: "Sending",
    badge: "[Host]",
    system: "System",
    pick_nickname: "Pick a nickname to join in",
    have_account: "Have an account? Sign in",
    silence: "Nobody has said anything yet. Say hello!",
    loading: "Loading older messages…",
    fetch_missing: "tap to fetch",
    latest: "Jump to latest",
    beginning: "This is where it began",
    reconnecting: "Connection lost, reconnecting…",
    ended: "The connection has ended: please reload",
    crashed: "Something went wrong on this page",
    reload: "Reload",
};

impl Texts {
    pub fn of(lang: Lang) -> &'static Self {
        match lang {
            Lang::Zh => &ZH,
            Lang::En => &EN,
        }
    }
}

pub fn online(lang: Lang, count: u32) -> String {
    match lang {
        Lang::Zh => format!("{count} 人在线"),
        Lang::En => format!("{count} online"),
    }
}

pub fn new_messages(lang: Lang, count: u32) -> String {
    match (lang, count) {
        (Lang::Zh, count) => format!("{count} 条新消息"),
        (Lang::En, 1) => "1 new message".into(),
        (Lang::En, count) => format!("{count} new messages"),
    }
}

pub fn missing(lang: Lang, count: u64) -> String {
    match (lang, count) {
        (Lang::Zh, count) => format!("缺少 {count} 条消息"),
        (Lang::En, 1) => "1 message is missing".into(),
        (Lang::En, count) => format!("{count} messages are missing"),
    }
}

pub fn theme_name(lang: Lang, theme: Theme) -> &'static str {
    match (lang, theme) {
        (Lang::Zh, Theme::System) => "跟随系统",
        (Lang::Zh, Theme::Light) => "浅色",
        (Lang::Zh, Theme::Dark) => "深色",
        (Lang::En, Theme::System) => "System",
        (Lang::En, Theme::Light) => "Light",
        (Lang::En, Theme::Dark) => "Dark",
    }
}

/// The language of the page under way. It does not change under a page: the switch loads it again.
pub fn lang() -> Lang {
    use_context::<Preferences>().unwrap_or_default().lang
}

/// `t!(send)`: one text of the catalogue, in the page's language.
#[macro_export]
macro_rules! t {
    ($text:ident) => {
        $crate::app::i18n::Texts::of($crate::app::i18n::lang()).$text
    };
}
