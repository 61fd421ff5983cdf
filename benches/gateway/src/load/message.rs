//! The published text: room, sequence number and due time. It is found inside any envelope of a server.
//!
//! `zqx` EPOCH(4) ROOM(5) SEQ(9) DUE(16), padded with `x` to the requested size. Letters and digits, which no format escapes.

const MARK: &[u8] = b"zqx";
pub const SHORTEST: usize = MARK.len() + 4 + 5 + 9 + 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// Step of the run; messages of earlier steps are not counted.
    pub epoch: u32,
    pub room: u32,
    /// Counts from 0 in its room and epoch.
    pub seq: u32,
    /// Scheduled publish time, in ns of the clock.
    pub due: u64,
}

impl Message {
    pub fn write(&self, size: usize) -> String {
        let Self { epoch, room, seq, due } = self;
        format!("{:x<size$}", format!("zqx{epoch:04}{room:05}{seq:09}{due:016}"))
    }

    /// Returns the message in `payload`, if any. A mark without digits after it belongs to some other text.
    pub fn find(payload: &[u8]) -> Option<Self> {
        // Without an envelope it is found at offset 0.
        payload.windows(SHORTEST).filter(|part| part.starts_with(MARK)).find_map(|part| {
            let digits = &part[MARK.len()..];
            Some(Self {
                epoch: number(&digits[..4])? as u32,
                room: number(&digits[4..9])? as u32,
                seq: number(&digits[9..18])? as u32,
                due: number(&digits[18..])?,
            })
        })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_in_any_envelope() {
        let message = Message { epoch: 3, room: 199, seq: 1_234, due: 987_654_321 };
        let text = message.write(100);
        assert_eq!(text.len(), 100);
        assert_eq!(Message::find(text.as_bytes()), Some(message));
        assert_eq!(Message::find(format!(r#"{{"type":"message","message":"{text}"}}"#).as_bytes()), Some(message));
        assert_eq!(Message::find(br#"0{"sid":"KkGiTvq65nwqUzqxAAKk","upgrades":[],"pingInterval":25000}"#), None);
        assert_eq!(Message::find(format!("zqx zqx{text}").as_bytes()), Some(message));
    }
}
