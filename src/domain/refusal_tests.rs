//! Every refusal has its wire form, and pages read those of later versions.

use super::*;
use crate::domain::lang::Lang;

#[test]
fn t1_an_unknown_code_is_a_final_refusal_with_the_servers_sentence() {
    for (wire, code, sentence) in [
        (
            r#"{"status":false,"code":"muted","message":"禁言至 12:00","until":5,"reason":"spam","case":"no uuid","later":[1]}"#,
            "muted",
            "禁言至 12:00",
        ),
        (r#"{"code":"room_mode","mode":"links","message":"No links here"}"#, "room_mode", "No links here"),
        (r#"{"code":"of_tomorrow"}"#, "of_tomorrow", "of_tomorrow"),
    ] {
        let refusal: Refusal = serde_json::from_str(wire).unwrap();
        assert!(matches!(&refusal, Refusal::Other { code: kept, .. } if kept == code), "{refusal:?}");
        assert_eq!(refusal.message(Lang::En), sentence);
    }
}

fn restraint(kind: RestraintKind, until: Option<u64>) -> Restraint {
    Restraint { kind, until, reason: "刷屏".into(), case: uuid::Uuid::from_u128(5) }
}

#[test]
fn every_refusal_has_its_wire_form() {
    let field = || Cow::Borrowed("room");
    let refusals = [
        Refusal::NotSignedIn,
        Refusal::NotYours,
        Refusal::NotAllowed,
        Refusal::room_closed(),
        Refusal::accounts_only(),
        restraint(RestraintKind::Ban, None).into(),
        restraint(RestraintKind::Timeout, Some(1_700_000_600_000)).into(),
        restraint(RestraintKind::Warning, None).into(),
        Refusal::AlreadyDecided,
        Refusal::TooLate,
        Refusal::NoSuchRoom,
        Refusal::NoSuchClient,
        Refusal::NoSuchMethod,
        Refusal::NoCookies,
        Refusal::NameTaken,
        Refusal::TooLong { max: 140 },
        Refusal::Blank { field: field() },
        Refusal::Malformed { field: field() },
        Refusal::TooFast { retry_after_ms: 2990 },
        Refusal::Busy,
        Refusal::Uncertain,
        Refusal::Internal { incident: "i".into() },
        Refusal::Unreachable,
    ];
    insta::assert_json_snapshot!(refusals);
    for refusal in refusals {
        assert_eq!(serde_json::from_str::<Refusal>(&serde_json::to_string(&refusal).unwrap()).unwrap(), refusal);
    }
}
