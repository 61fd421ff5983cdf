//! Every text of the pages in both languages. The table is typed, so a missing text does not compile.

use crate::domain::lang::Lang;
use crate::domain::preferences::{Preferences, Theme};
use leptos::prelude::use_context;

/// Defines one function per text, so that the linker drops the texts that the wasm does not use.
macro_rules! texts {
    ($($name:ident: $zh:literal, $en:literal;)*) => {
        /// One function per text; each returns the text in a language.
        pub mod texts {
            use crate::domain::lang::Lang;
            $(
                #[doc = concat!("Returns `", $en, "` or its Chinese form.")]
                pub fn $name(lang: Lang) -> &'static str {
                    match lang {
                        Lang::Zh => $zh,
                        Lang::En => $en,
                    }
                }
            )*
        }
    };
}

// Other modules define tables of their own with it, under this name.
pub(crate) use texts as define_texts;

texts! {
    lobby: "直播间", "Rooms";
    tagline: "选一个直播间，进去聊聊", "Pick a room and say hello";
    description: "直播间聊天室：无需注册，取个昵称就能聊", "Live chat rooms: read along at once, join in with a nickname";
    open_room: "创建直播间", "Create a room";
    open_room_hint: "标题和慢速模式之后可以在直播间里修改", "Its title and slow mode can be changed later, in the room";
    room_title: "直播间标题", "Room title";
    open: "创建", "Create";
    account_to_open: "注册账号后就可以创建自己的直播间", "Register an account to create a room of your own";
    no_rooms: "还没有直播间", "There are no rooms yet";
    search: "搜索", "Search";
    search_rooms: "搜索直播间或主播", "Search rooms and hosts";
    nothing_found: "没有找到相符的直播间", "No room matches";
    all_rooms: "全部直播间", "All rooms";
    previous: "上一页", "Previous";
    next_page: "下一页", "Next";
    pages: "翻页", "Pages";
    live: "直播中", "Live";
    host: "主播", "Host";
    no_host: "暂无主播", "No host yet";
    slow_mode: "慢速模式", "Slow mode";
    off: "关闭", "Off";
    save: "保存", "Save";
    sign_in: "登录", "Sign in";
    sign_out: "退出登录", "Sign out";
    guest: "游客进入", "Continue as guest";
    tab_guest: "游客", "Guest";
    tab_register: "注册", "Register";
    ways_to_sign_in: "登录方式", "Ways to sign in";
    change_nickname: "更换昵称", "Change nickname";
    rename_hint: "新昵称从下一条消息起生效", "New messages carry the new nickname";
    menu: "菜单", "Menu";
    change: "更换", "Change";
    forget_me: "清除身份", "Forget me";
    forget_warning: "清除后无法恢复：这个昵称不再是你的，以后的发言也不再接着现在的身份。", "This cannot be undone: nothing brings this nickname and its messages back to you.";
    forget_now: "确认清除", "Forget me now";
    show_times: "显示时间", "Show times";
    room_settings: "房间设置", "Room settings";
    room_is_open: "观众可以发言", "Viewers can send messages";
    room_is_closed: "房间已关闭，没有人能发言", "The room is closed: nobody can send";
    close_room: "关闭房间", "Close the room";
    reopen_room: "重新开放", "Open it again";
    share_link: "直播间链接", "Link to this room";
    embed_code: "嵌入代码", "Code for a frame";
    embed_hint: "如果框架里是空白，请联系站长", "If the frame stays empty, ask the operator of this site";
    copy: "复制", "Copy";
    copied: "已复制", "Copied";
    new_room: "房间已就绪，把链接发给观众吧", "Your room is ready: share the link";
    new_room_hint: "标题、慢速模式和关闭房间都在右上角的菜单里", "Title, slow mode and closing are in the menu at the top";
    guest_hint: "只要一个昵称，马上就能聊", "A nickname is all it takes";
    nickname: "昵称", "Nickname";
    nickname_rule: "1–32 个字符，不能与主播或系统混淆", "1 to 32 characters, not to be mistaken for a host or the system";
    enter: "进入", "Join";
    register: "注册账号", "Register";
    register_hint: "保留昵称，换设备也能用", "Keep your nickname, on every device";
    register_as_guest_hint: "保留你的昵称和发言，换设备也能用", "Keep your nickname and your messages, on every device";
    owner_hint: "这个账号将成为本站的站长，并主持第一个直播间", "This account will own the site and host its first room";
    account: "账号", "Account";
    change_password: "修改密码", "Change password";
    current_password: "当前密码", "Current password";
    password_changed: "密码已修改，其他设备已退出登录", "The password is changed, and all other sessions have ended";
    sessions: "已登录的设备", "Signed-in sessions";
    this_session: "当前设备", "This one";
    unknown_browser: "未知浏览器", "Unknown browser";
    end_session: "退出登录", "End";
    end_other_sessions: "退出其他所有设备", "End all others";
    wrong_login: "用户名或密码不正确", "Wrong username or password";
    name: "用户名", "Username";
    name_rule: "2–32 个字，可用文字、数字和 _ - .，不能有空格", "2 to 32 letters or digits, also _ - . and no spaces";
    password: "密码", "Password";
    new_password: "新密码", "New password";
    password_rule: "至少 8 个字符，不要用常见的密码", "8 characters or more, and not a common one";
    nickname_optional: "昵称（可不填）", "Nickname (optional)";
    switch_language: "English", "中文";
    theme: "主题", "Theme";
    not_found: "这个页面不存在", "Page not found";
    back: "返回大厅", "Back to the lobby";
    chat: "聊天", "Chat";
    placeholder: "输入聊天内容...", "Type a message...";
    send: "发送", "Send";
    sending: "发送中", "Sending";
    sent: "已发送", "Sent";
    you: "你", "You";
    more: "展开", "More";
    less: "收起", "Less";
    removed: "消息已移除", "Message removed";
    reload_for_new: "刷新页面可以看到新消息", "Reload the page to see new messages";
    unsent: "未发送", "Not sent";
    retry: "重试", "Try again";
    delete: "删除", "Delete";
    held: "等待房管审核", "Waiting for a moderator";
    cancel: "取消", "Cancel";
    signed_out: "您已退出登录", "You have been signed out";
    expired: "身份已过期，重新取个昵称即可继续", "Your guest name has expired: pick one to go on";
    no_answer: "网络不通，请再试一次", "No answer from the server: try again";
    join_again: "重新加入", "Join again";
    system: "系统提示", "System";
    pick_nickname: "取个昵称，加入聊天", "Pick a nickname to join in";
    have_account: "已有账号？登录", "Have an account? Sign in";
    no_messages: "还没有人说话", "Nobody has said anything yet";
    loading: "正在加载更早的消息…", "Loading older messages…";
    fetch_missing: "加载", "Load";
    latest: "回到最新", "Jump to latest";
    beginning: "没有更早的消息了", "Start of the chat";
    reconnecting: "连接断开，正在重新连接…", "Connection lost, reconnecting…";
    polling: "无法实时连接，每隔几秒更新一次", "No live connection: updated every few seconds";
    ended: "连接已结束，请刷新页面", "The connection has ended: please reload";
    crashed: "页面出错了", "Something went wrong on this page";
    reload: "刷新", "Reload";
    not_live: "本页暂时不会自动更新，刷新可看新消息", "This page does not update by itself: reload to see new messages";
    live_again: "重新开启", "Try again";
    role_moderator: "房管", "Mod";
    role_vip: "贵宾", "VIP";
    role_bot: "机器人", "Bot";
    mentions_you: "提到了你", "Mentions you";
    removed_by_moderator: "消息已被房管移除", "Removed by a moderator";
    withdrawn: "消息已被发送者撤回", "Withdrawn by its author";
    pinned: "置顶", "Pinned";
    until: "至", "until";
    reason: "理由：", "Reason: ";
    case: "编号", "Case";
    understood: "我知道了", "I have read it";
}

/// Returns the number of people online: `3 online`.
pub fn online(lang: Lang, count: u32) -> String {
    match lang {
        Lang::Zh => format!("{count} 人在线"),
        Lang::En => format!("{count} online"),
    }
}

/// Returns the days of a session: `Signed in 2026-01-31, last used 2026-02-14`. Times are unix milliseconds.
pub fn session_days(lang: Lang, created_at: u64, used_at: u64) -> String {
    let day = |at| crate::domain::calendar::iso(at).chars().take(10).collect::<String>();
    match lang {
        Lang::Zh => format!("{} 登录，最近使用 {}", day(created_at), day(used_at)),
        Lang::En => format!("Signed in {}, last used {}", day(created_at), day(used_at)),
    }
}

/// Returns a duration in its largest whole unit: `30 s`, `2 min`, `6 h`.
pub fn duration(lang: Lang, seconds: u64) -> String {
    let unit = [3600, 60].into_iter().find(|unit| seconds >= *unit && seconds.is_multiple_of(*unit)).unwrap_or(1);
    let (zh, en) = match unit {
        3600 => ("小时", "h"),
        60 => ("分钟", "min"),
        _ => ("秒", "s"),
    };
    match lang {
        Lang::Zh => format!("{} {zh}", seconds / unit),
        Lang::En => format!("{} {en}", seconds / unit),
    }
}

/// Returns milliseconds as seconds: `30 s`.
pub fn short_duration(lang: Lang, ms: u64) -> String {
    let unit = if lang == Lang::Zh { " 秒" } else { " s" };
    [&ms.div_ceil(1000).to_string(), unit].concat()
}

/// Returns the name of the send button during the cooldown: `Send, in 3 seconds`.
pub fn send_in(lang: Lang, seconds: u64) -> String {
    let seconds = seconds.to_string();
    match lang {
        Lang::Zh => ["发送（", &seconds, " 秒后可用）"].concat(),
        Lang::En => ["Send, in ", &seconds, if seconds == "1" { " second" } else { " seconds" }].concat(),
    }
}

/// Returns the words beside a text that is sent by itself: `Sends in 3 s`; with 0 seconds, after the message before it.
pub fn sends_in(lang: Lang, seconds: u64) -> String {
    match (lang, seconds) {
        (Lang::Zh, 0) => "上一条送达后发送".to_owned(),
        (Lang::En, 0) => "Sends after the one before".to_owned(),
        (Lang::Zh, seconds) => [&seconds.to_string(), " 秒后发送"].concat(),
        (Lang::En, seconds) => ["Sends in ", &seconds.to_string(), " s"].concat(),
    }
}

/// Returns the notice of a running cooldown: `Too fast: you can send again in 3 s`.
pub fn too_fast(lang: Lang, seconds: u64) -> String {
    match lang {
        Lang::Zh => ["发言太快，", &seconds.to_string(), " 秒后可再发"].concat(),
        Lang::En => ["Too fast: you can send again in ", &seconds.to_string(), " s"].concat(),
    }
}

/// Returns the rest of a timeout: `4:32 left`, from a day on `6 d 23:59:59 left`.
pub fn time_left(lang: Lang, seconds: u64) -> String {
    let two = |number: u64| [if number < 10 { "0" } else { "" }, &number.to_string()].concat();
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let days = match (days, lang) {
        (0, _) => String::new(),
        (days, Lang::Zh) => [&days.to_string(), " 天 "].concat(),
        (days, Lang::En) => [&days.to_string(), " d "].concat(),
    };
    let clock = match (hours, days.is_empty()) {
        (0, true) => [minutes.to_string(), two(seconds)].join(":"),
        (hours, true) => [hours.to_string(), two(minutes), two(seconds)].join(":"),
        (hours, false) => [two(hours), two(minutes), two(seconds)].join(":"),
    };
    match lang {
        Lang::Zh => ["还剩 ", &days, &clock].concat(),
        Lang::En => [&days, &clock, " left"].concat(),
    }
}

/// Returns the counter of a text that is `count` characters too long.
pub fn over_limit(lang: Lang, count: i64) -> String {
    match lang {
        Lang::Zh => ["超出 ", &count.to_string(), " 字"].concat(),
        Lang::En => [&count.to_string(), " over"].concat(),
    }
}

/// Returns the text of the pill: `2 new messages`, `99+ new messages`.
pub fn new_messages(lang: Lang, count: u32) -> String {
    match (lang, count) {
        (Lang::Zh, count) => [&capped(count.into()), " 条新消息"].concat(),
        (Lang::En, 1) => "1 new message".into(),
        (Lang::En, count) => [&capped(count.into()), " new messages"].concat(),
    }
}

/// Returns the end of a digest: `and 4 more`.
pub fn and_more(lang: Lang, count: u32) -> String {
    let count = count.to_string();
    match lang {
        Lang::Zh => ["还有 ", &count, " 条"].concat(),
        Lang::En => ["and ", &count, " more"].concat(),
    }
}

/// Returns a number as badges show it: `99+` above 99.
pub fn capped(count: u64) -> String {
    if count > 99 { "99+".into() } else { count.to_string() }
}

/// Returns the text of a gap: `2 messages not loaded`.
pub fn missing(lang: Lang, count: u64) -> String {
    match (lang, count) {
        (Lang::Zh, count) => format!("{count} 条消息未加载"),
        (Lang::En, 1) => "1 message not loaded".into(),
        (Lang::En, count) => format!("{count} messages not loaded"),
    }
}

/// Returns the name of a theme.
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

/// Returns the language of the page that is being rendered. It never changes within a page: the switch loads the page again.
pub fn lang() -> Lang {
    use_context::<Preferences>().unwrap_or_default().lang
}

/// Returns a text in the language of the page: `t!(send)`.
#[macro_export]
macro_rules! t {
    ($text:ident) => {
        $crate::app::i18n::texts::$text($crate::app::i18n::lang())
    };
}
