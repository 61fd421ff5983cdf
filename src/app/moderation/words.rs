//! The staff's texts in both languages: for the pages, and for `public/mod.js`, which reads them from the page.

use crate::app::i18n::{lang, short_duration};
use crate::domain::{change::RestraintKind, lang::Lang, rank::Rank};
use crate::t;

crate::app::i18n::define_texts! {
    moderation: "管理", "Moderation";
    message: "消息", "Message";
    around: "前后的消息", "Around it";
    reply: "回复", "Reply";
    delete_own: "撤回这条消息", "Delete this message";
    report: "举报", "Report";
    report_hint: "房管会看到你的举报", "The moderators of this room read it";
    remove: "移除", "Remove";
    remove_message: "移除这条消息", "Remove this message";
    purge: "移除此人的消息", "Remove their messages";
    purge_hour: "最近一小时", "Last hour";
    purge_day: "最近一天", "Last day";
    purge_all: "全部", "All of them";
    warn: "警告", "Warn";
    warn_hint: "确认警告之前，对方不能发言", "They cannot send until they have acknowledged it";
    timeout: "禁言", "Timeout";
    how_long: "时长", "For how long";
    minute: "1 分钟", "1 min";
    ten_minutes: "10 分钟", "10 min";
    hour: "1 小时", "1 hour";
    day: "24 小时", "24 hours";
    week: "7 天", "7 days";
    fortnight: "14 天", "14 days";
    ban: "封禁", "Ban";
    ban_hint: "不能再在这个直播间发言，仍可以观看", "They can read on here, and send no more";
    lift: "解除", "Lift";
    pin: "置顶", "Pin";
    unpin: "取消置顶", "Unpin";
    undo: "撤销", "Undo";
    undo_removal: "恢复这条消息", "Restore this message";
    note: "备注", "Note";
    delete_note: "删除备注", "Delete the note";
    add_note: "添加备注", "Add a note";
    note_hint: "只有房管能看到", "Only the staff reads it";
    reason: "理由", "Reason";
    reason_required: "理由（对方会看到）", "Reason (they read it)";
    reason_optional: "理由（可不填，对方会看到）", "Reason (optional, they read it)";
    person: "资料", "Person";
    author: "发送者", "Author";
    go_to: "前往", "Go to";
    since_account: "注册于", "Account since";
    since_guest: "首次进入", "First visit";
    first_seen: "首次发言", "First message";
    last_seen: "最近发言", "Last message";
    nicknames: "用过的昵称", "Nicknames, 30 days";
    in_force: "生效中的限制", "In force";
    none_in_force: "没有生效中的限制", "Nothing in force";
    notes: "备注", "Notes";
    no_notes: "还没有备注", "No notes yet";
    last_messages: "最近的消息", "Last messages";
    no_messages: "没有消息", "No messages";
    shares_network: "与一位受限制的游客来自同一网络", "Same network as a restrained guest";
    may_not_act: "对方的身份与你相同或更高，无法操作", "Their rank is not below yours: you cannot act on them";
    text_gone: "原文已不再保留", "The text is not kept any more";
    removed_mark: "已移除", "Removed";
    reports: "举报", "Reports";
    no_reports: "没有待处理的举报", "No open reports";
    settle: "保留消息", "Keep the message";
    restraints: "生效中的限制", "Restraints in force";
    no_restraints: "没有人受限制", "Nobody is restrained";
    for_good: "无期限", "No end";
    until: "至", "until";
    until_acknowledged: "待对方确认", "until acknowledged";
    by: "执行人", "by";
    people: "房管与贵宾", "Staff and guests of honour";
    no_people: "还没有房管或贵宾", "No moderators or guests of honour yet";
    account_or_uid: "用户名或 uid", "Username or uid";
    account_hint: "对方的资料里有 uid；用户名只有对方知道。游客不能当房管", "The uid is on the person's card; the username they tell you. Guests have none";
    no_such_account: "没有这个账号；游客不能当房管", "There is no such account, and a guest cannot be a moderator";
    role: "身份", "Role";
    no_role: "无身份", "no role";
    slow_off: "慢速模式关闭", "slow mode off";
    already_reported: "你已经举报过了", "You have reported it already";
    only_live: "自动刷新时不显示表单", "The forms are left out while the page renews itself";
    grant: "任命", "Appoint";
    revoke: "撤销身份", "Revoke";
    modes: "发言设置", "Who can send, how often";
    everyone_sends: "游客和账号都能发言", "Guests and accounts can send";
    accounts_send: "只有账号能发言", "Only accounts can send";
    accounts_only: "只允许账号发言", "Accounts only";
    guests_too: "也允许游客发言", "Guests too";
    title: "标题", "Title";
    log: "操作记录", "Log";
    no_log: "还没有操作", "Nothing has been done yet";
    pushed: "站点后端的推送", "Pushed by back ends";
    pushed_hint: "直接推送到本直播间的页面，不是消息，也不在操作记录里", "Sent to the open pages of this room, beside the messages and the log";
    times: "次，最近", "times, last";
    older: "更早的记录", "Older";
    newest: "最新的记录", "Newest";
    refresh: "刷新", "Refresh";
    refresh_on: "每 20 秒自动刷新", "Refresh every 20 s";
    refresh_off: "停止自动刷新", "Stop refreshing";
    done: "已完成", "Done";
    undone: "已撤销", "Undone";
    cli: "命令行", "command line";
    badge_host: "主播", "Host";
    badge_moderator: "房管", "Mod";
    badge_vip: "贵宾", "VIP";
    badge_bot: "机器人", "Bot";
    spam: "广告或刷屏", "Spam";
    abuse: "辱骂或骚扰", "Abuse or harassment";
    sexual: "色情内容", "Sexual content";
    illegal: "违法内容", "Illegal content";
    other: "其他", "Something else";
    more: "更多操作", "More";
    cancel: "取消", "Cancel";
    close: "关闭", "Close";
    ask_ban: "封禁 {name}？", "Ban {name}?";
    ask_timeout: "禁言 {name} 多久？", "Time out {name} for how long?";
    ask_warn: "警告 {name}", "Warn {name}";
    ask_note: "给 {name} 写备注", "A note about {name}";
    ask_purge: "移除 {name} 的哪些消息？", "Remove which messages of {name}?";
    armed_ban: "按 Enter 封禁 {name}：不能再在这个直播间发言", "Enter bans {name}, who can then send no more here";
    armed_timeout: "禁言 {name}，按数字选时长：", "Time out {name}, press a number:";
    timeout_hint: "到时间之前不能在这个直播间发言", "They cannot send in this room until it ends";
    failed: "没有成功，请再试一次", "That did not work: try again";
    unreachable: "网络不通，操作可能没有完成", "No answer: the act may not be done";
    keys: "快捷键", "Keys";
    keys_hint: "选中一条消息后可用", "While a message has the focus";
    key_move: "上一条、下一条", "Up, down";
    key_timeout: "禁言，再按 1–6 选时长", "Timeout, then 1 to 6";
    key_ban: "封禁，再按 Enter", "Ban, then Enter";
    key_help: "这张表", "This list";
    page: "消息页面", "Page of the message";
    loading: "正在加载…", "Loading…";
}

/// A text in the language of the page: `w!(remove)`.
macro_rules! w {
    ($text:ident) => {
        $crate::app::moderation::words::texts::$text($crate::app::i18n::lang())
    };
}
pub(super) use w;

/// The timeouts that pages offer, in seconds, with their names. `public/mod.js` numbers them from 1.
pub(super) fn timeouts() -> [(u64, &'static str); 6] {
    [
        (60, w!(minute)),
        (600, w!(ten_minutes)),
        (3600, w!(hour)),
        (86_400, w!(day)),
        (604_800, w!(week)),
        (1_209_600, w!(fortnight)),
    ]
}

/// How far back a purge goes, in seconds, with its name; 0 is everything.
pub(super) fn purges() -> [(u64, &'static str); 3] {
    [(3600, w!(purge_hour)), (86_400, w!(purge_day)), (0, w!(purge_all))]
}

/// Returns the name of a report's reason. `public/message.js` has the same ones.
pub(super) fn report_reason(word: &str) -> &'static str {
    match word {
        "spam" => w!(spam),
        "abuse" => w!(abuse),
        "sexual" => w!(sexual),
        "illegal" => w!(illegal),
        _ => w!(other),
    }
}

/// Returns the name of a restraint's kind.
pub(super) fn restraint_name(kind: RestraintKind) -> &'static str {
    match kind {
        RestraintKind::Ban => w!(ban),
        RestraintKind::Timeout => w!(timeout),
        RestraintKind::Warning => w!(warn),
    }
}

/// Returns the name of an actor of the log: `nickname`, or else the command line or a program. A uid is no name.
pub(super) fn actor_name(actor: &str, nickname: Option<String>) -> Option<String> {
    nickname.or_else(|| match actor {
        "cli" => Some(w!(cli).to_owned()),
        "php" => Some("PHP".to_owned()),
        _ => actor.starts_with("bot:").then(|| actor.to_owned()),
    })
}

/// Returns the name of a rank.
pub(super) fn rank_name(rank: Rank) -> &'static str {
    match (lang(), rank) {
        (Lang::Zh, Rank::Guest) => "游客",
        (Lang::Zh, Rank::Viewer) => "账号",
        (Lang::Zh, Rank::Vip) => "贵宾",
        (Lang::Zh, Rank::Moderator) => "房管",
        (Lang::Zh, Rank::Host) => "主播",
        (Lang::Zh, Rank::Owner) => "站长",
        (Lang::En, Rank::Guest) => "Guest",
        (Lang::En, Rank::Viewer) => "Account",
        (Lang::En, Rank::Vip) => "VIP",
        (Lang::En, Rank::Moderator) => "Moderator",
        (Lang::En, Rank::Host) => "Host",
        (Lang::En, Rank::Owner) => "Owner",
    }
}

/// Returns the counts of a person's card: `12 messages, 3 removed, 1 restraint`. From 10,000 on it is `10000+`.
pub(super) fn counts(messages: u64, removed: u64, restraints: u64) -> String {
    let capped = |count: u64| if count >= 10_000 { "10000+".to_owned() } else { count.to_string() };
    let many = |count: u64, word: &str| format!("{} {word}{}", capped(count), if count == 1 { "" } else { "s" });
    match lang() {
        Lang::Zh => format!("{} 条消息，移除 {} 条，受限 {} 次", capped(messages), capped(removed), restraints),
        Lang::En => {
            format!("{}, {} removed, {}", many(messages, "message"), capped(removed), many(restraints, "restraint"))
        }
    }
}

/// Returns the same with `{m}`, `{r}` and `{x}` in the place of the numbers, for the script.
pub(super) fn counts_template() -> &'static str {
    match lang() {
        Lang::Zh => "{m} 条消息，移除 {r} 条，受限 {x} 次",
        Lang::En => "Messages: {m}, removed: {r}, restraints: {x}",
    }
}

/// Returns the words above a reported message: `Reported by 3: Spam, Abuse`.
pub(super) fn reported_by(count: u64, reasons: &[String]) -> String {
    let mut names: Vec<_> = reasons.iter().map(|word| report_reason(word)).collect();
    names.dedup();
    match lang() {
        Lang::Zh => format!("{count} 人举报：{}", names.join("、")),
        Lang::En => format!("Reported by {count}: {}", names.join(", ")),
    }
}

/// Returns the act of a row of the log: `removed #41 of`. The person's name follows it.
pub(super) fn act_name(verb: &str) -> &'static str {
    let (zh, en) = match verb {
        "remove" => ("移除消息", "removed a message"),
        "purge" => ("移除全部消息", "removed all messages"),
        "retract" => ("撤回消息", "deleted an own message"),
        "undo" => ("撤销操作", "took an act back"),
        "warn" => ("警告", "warned"),
        "timeout" => ("禁言", "timed out"),
        "ban" => ("封禁", "banned"),
        "ban_site" => ("全站封禁", "banned on the whole site"),
        "lift" => ("解除限制", "lifted a restraint"),
        "note" => ("写了备注", "wrote a note"),
        "pin" => ("置顶", "pinned a message"),
        "unpin" => ("取消置顶", "removed the pin"),
        "mode" => ("修改发言设置", "changed the modes"),
        "title" => ("修改标题", "changed the title"),
        "role" => ("修改身份", "changed a role"),
        "host" => ("更换主播", "changed the host"),
        "log" => ("导出记录", "exported the log"),
        "erase" => ("销毁原文", "destroyed a text"),
        "report" => ("举报", "reported a message"),
        "settle" => ("处理举报", "settled reports"),
        "acknowledge" => ("确认警告", "acknowledged a warning"),
        _ => ("操作", "acted"),
    };
    match lang() {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// Returns the value that an act set, of a row of the log: a role, modes, a title, the number of the row that was taken back.
pub(super) fn act_value(verb: &str, detail: &str) -> Option<String> {
    Some(match (verb, detail) {
        ("role", "moderator") => w!(badge_moderator).to_owned(),
        ("role", "vip") => w!(badge_vip).to_owned(),
        ("role", _) => w!(no_role).to_owned(),
        ("title", title) => title.to_owned(),
        ("undo", number) if lang() == Lang::Zh => format!("（第 {number} 条）"),
        ("undo", number) => format!("(row {number})"),
        ("mode", modes) => {
            let names: Vec<_> = modes.split(' ').filter_map(|mode| mode_name(mode.split_once('=')?)).collect();
            names.join(if lang() == Lang::Zh { "、" } else { ", " })
        }
        _ => return None,
    })
}

/// The name of a mode with its value.
fn mode_name(mode: (&str, &str)) -> Option<String> {
    Some(match mode {
        ("slow_ms", "0") => w!(slow_off).to_owned(),
        ("slow_ms", ms) => format!("{} {}", t!(slow_mode), short_duration(lang(), ms.parse().ok()?)),
        ("accounts", "true") => w!(accounts_only).to_owned(),
        ("accounts", _) => w!(guests_too).to_owned(),
        ("closed", "true") => t!(close_room).to_owned(),
        ("closed", _) => t!(reopen_room).to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::staff::REPORT_REASONS;

    #[test]
    fn viewers_and_staff_read_the_same_reasons_of_reports() {
        let script = include_str!("../../../public/message.js");
        for (word, (zh, en)) in REPORT_REASONS.iter().zip([
            (texts::spam(Lang::Zh), texts::spam(Lang::En)),
            (texts::abuse(Lang::Zh), texts::abuse(Lang::En)),
            (texts::sexual(Lang::Zh), texts::sexual(Lang::En)),
            (texts::illegal(Lang::Zh), texts::illegal(Lang::En)),
            (texts::other(Lang::Zh), texts::other(Lang::En)),
        ]) {
            assert!(script.contains(&format!("['{word}', '{zh}', '{en}']")), "{word}");
        }
    }
}
