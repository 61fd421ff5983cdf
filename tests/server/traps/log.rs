//! The audit log proves itself: `roomcast mod verify` names the first row that was changed, moved or taken out.

use super::{Room, act, say};
use crate::support::finished;

/// Ways to change the log of room 1, whose newest row is `last`: a name, the statements that do it and take it back, and the first
/// bad row.
fn tampers(last: i64) -> [(&'static str, String, String, i64); 5] {
    let n = last - 3;
    let (row, next, tail) = (format!("chain = '1' AND n = {n}"), n + 1, format!("chain = '1' AND n = {last}"));
    let kept = |which: &str| format!("CREATE TABLE {{}}kept AS SELECT * FROM {{}}actions WHERE {which}");
    let back = "INSERT INTO {}actions SELECT * FROM {}kept; DROP TABLE {}kept".to_owned();
    let body = |from: &str, to: &str| format!("UPDATE {{}}actions SET body = replace(body, '{from}', '{to}') WHERE {row}");
    let moved = |from: i64, to: i64| format!("UPDATE {{}}actions SET n = {to} WHERE chain = '1' AND n = {from}");
    let swap = [moved(n, 1_000_000), moved(next, n), moved(1_000_000, next)].join("; ");
    [
        (
            "a byte is flipped",
            body("\"verb\":\"remove\"", "\"verb\":\"renove\""),
            body("\"verb\":\"renove\"", "\"verb\":\"remove\""),
            n,
        ),
        (
            "a column is changed",
            format!("{}; UPDATE {{}}actions SET actor = 'somebody' WHERE {row}", kept(&row)),
            format!("DELETE FROM {{}}actions WHERE {row}; {back}"),
            n,
        ),
        ("the middle is dropped", format!("{}; DELETE FROM {{}}actions WHERE {row}", kept(&row)), back.clone(), n),
        ("two rows are swapped", swap.clone(), swap, n),
        ("the tail is dropped", format!("{}; DELETE FROM {{}}actions WHERE {tail}", kept(&tail)), back, last),
    ]
}

/// Trap 21.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_bad_row_of_a_changed_log_is_named() {
    let room = Room::start().await;
    let person = room.server.guest("一").await;
    for n in 0..8 {
        let seq = say(&person, &format!("line {n}")).await.to_string();
        act(&room.moderator, "remove", &[("seq", &seq), ("reason", "spam")]).await;
    }
    let server = &room.server;
    let both = async |statement: &str| server.sql_of_each(statement, statement).await;
    let last = server.count("SELECT max(n) FROM {}actions WHERE chain = '1'").await;
    assert!(last >= 8, "each act has a row: {last}");
    let refused = std::panic::AssertUnwindSafe(async {
        server.sql_of_each("UPDATE actions SET actor = 'x'", "UPDATE roomcast.actions SET actor = 'x'").await
    });
    let refused = futures_util::FutureExt::catch_unwind(refused).await;
    assert!(refused.is_err(), "the database refuses to change the log");
    let free = "DROP TRIGGER actions_are_not_changed";
    server.sql_of_each(free, "ALTER TABLE {}actions DISABLE TRIGGER ALL").await;
    server.sql_of_each("DROP TRIGGER actions_are_not_deleted", "SELECT '1'").await;
    let verified = async || {
        let mut command = server.command();
        command.args(["mod", "verify"]);
        let output = finished(command).await;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    };
    let whole = verified().await;
    assert!(whole.0, "{}", whole.1);
    for (name, tamper, undo, bad) in tampers(last) {
        both(&tamper).await;
        let (is_whole, text) = verified().await;
        assert!(!is_whole && text.contains(&format!("chain 1, row {bad},")), "{name}: {text}");
        both(&undo).await;
        let (is_whole, text) = verified().await;
        assert!(is_whole, "after {name} is taken back: {text}");
    }
}
