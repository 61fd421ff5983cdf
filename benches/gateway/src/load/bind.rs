//! `bind` of Roomcast's chat: the position that a page sends, and its reading of the answer.

use crate::message::Message;
use serde_json::Value;

/// The position of a page in its room. Empty before its first answer.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Since {
    /// The highest seq below which no message is missing.
    pub newest: u64,
    /// The newest change.
    pub rev: u64,
    /// The epoch of both; empty before the first answer.
    pub epoch: String,
}

impl Since {
    /// Returns the form fields `since`, `rev` and `epoch`; nothing before the first answer.
    pub fn fields(&self) -> String {
        let Self { newest, rev, epoch } = self;
        if epoch.is_empty() { String::new() } else { format!("&since={newest}&rev={rev}&epoch={epoch}") }
    }
}

/// The answer of `bind`.
#[derive(PartialEq, Debug)]
pub struct Answer {
    /// The room as the server has it.
    pub now: Since,
    /// Whether messages are missing before the first one of the answer.
    pub gap: bool,
    /// The messages of the load client with their seqs, in their order.
    pub messages: Vec<(u64, Message)>,
}

impl Answer {
    /// Returns `None` for anything else than an answer of `bind`.
    pub fn read(body: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let number = |field: &str| answer[field].as_u64();
        let epoch = answer["epoch"].as_str()?.to_owned();
        let message = |one: &Value| Some((one["seq"].as_u64()?, Message::find(one["text"].as_str()?.as_bytes())?));
        Some(Self {
            now: Since { newest: number("seq")?, rev: number("rev")?, epoch },
            gap: answer["gap"].as_bool()?,
            messages: answer["messages"].as_array()?.iter().filter_map(message).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_messages_of_the_load_client() {
        let message = Message { epoch: 1, room: 0, seq: 7, due: 8 };
        let body = format!(
            r#"{{"epoch":"a.1","seq":12,"rev":3,"gap":false,"messages":[{{"seq":11,"text":"hello"}},{{"seq":12,"text":"{}"}}]}}"#,
            message.write(60)
        );
        let now = Since { newest: 12, rev: 3, epoch: "a.1".into() };
        assert_eq!(Answer::read(body.as_bytes()), Some(Answer { now: now.clone(), gap: false, messages: vec![(12, message)] }));
        assert_eq!(Answer::read(br#"{"status":false,"code":"busy"}"#), None);
        assert_eq!(now.fields(), "&since=12&rev=3&epoch=a.1");
        assert_eq!(Since::default().fields(), "");
    }
}
