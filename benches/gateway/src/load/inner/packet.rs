//! A request: a header of 28 bytes, the command's argument (`ext`), and the message. Numbers are big-endian.

const HEADER: usize = 28;
/// Flag: the body is a plain string, not in PHP's `serialize` format.
const PLAIN: u8 = 1;

#[derive(Clone, Copy)]
pub enum Command {
    GetAllClientSessions = 10,
    IsOnline = 11,
    JoinGroup = 20,
    LeaveGroup = 21,
    SendToGroup = 22,
    CountByGroup = 24,
    GetGroupIdList = 26,
    Ungroup = 27,
    BatchCountByGroup = 28,
    SetSession = 204,
}

pub struct Packet<'a> {
    pub command: Command,
    /// Connection id of the client; 0 if the command has none.
    pub connection: u32,
    pub ext: &'a str,
    pub body: &'a str,
}

impl<'a> Packet<'a> {
    /// Returns a packet without a message.
    pub fn new(command: Command, connection: u32, ext: &'a str) -> Self {
        Self { command, connection, ext, body: "" }
    }

    pub fn write(&self, to: &mut Vec<u8>) {
        let length = HEADER + self.ext.len() + self.body.len();
        to.extend_from_slice(&(length as u32).to_be_bytes());
        to.push(self.command as u8);
        // Addresses and ports of both ends, used only towards workers.
        to.extend_from_slice(&[0; 12]);
        to.extend_from_slice(&self.connection.to_be_bytes());
        to.push(PLAIN);
        // The public port, used only towards workers.
        to.extend_from_slice(&[0; 2]);
        to.extend_from_slice(&(self.ext.len() as u32).to_be_bytes());
        to.extend_from_slice(self.ext.as_bytes());
        to.extend_from_slice(self.body.as_bytes());
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![];
        self.write(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_offsets_of_the_protocol() {
        let bytes = Packet { body: "hey", ..Packet::new(Command::SendToGroup, 0x0102_0304, "ab") }.bytes();
        assert_eq!(bytes.len(), 33);
        assert_eq!(bytes[..5], [0, 0, 0, 33, 22]);
        assert_eq!(bytes[5..17], [0; 12]);
        assert_eq!(bytes[17..28], [1, 2, 3, 4, 1, 0, 0, 0, 0, 0, 2]);
        assert_eq!(&bytes[28..], b"abhey");
    }
}
