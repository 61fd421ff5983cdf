//! Parcels of which not all parts are there. Parts come in their order: a missing one ends its parcel, whose sender or receiver waits
//! until its deadline.

use super::wire::{MAX_PARCEL, ParcelId, Part};
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Parcels in parts, and their bytes. Beyond one of them the oldest is dropped.
const PARCELS: usize = 256;
const BYTES: usize = 2 * MAX_PARCEL;
/// Time between two parts.
const NEXT_WITHIN: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Parcels {
    open: HashMap<ParcelId, Open>,
    bytes: usize,
}

struct Open {
    parts: u32,
    bytes: BytesMut,
    at: Instant,
}

impl Parcels {
    /// Adds a part. Returns the whole with its last one.
    pub(super) fn add(&mut self, part: Part, now: Instant) -> Option<(ParcelId, Bytes)> {
        let Part { id, number, is_last, bytes } = part;
        if number == 0 {
            self.forget(&id);
            if is_last {
                return Some((id, bytes));
            }
            self.open.insert(id, Open { parts: 0, bytes: BytesMut::new(), at: now });
        }
        self.make_room(now);
        let open = self.open.get_mut(&id)?;
        if open.parts != number || open.bytes.len() + bytes.len() > MAX_PARCEL + 4 {
            self.forget(&id);
            return None;
        }
        (open.parts, open.at) = (number + 1, now);
        open.bytes.extend_from_slice(&bytes);
        self.bytes += bytes.len();
        is_last.then(|| self.forget(&id)).flatten().map(|whole| (id, whole.freeze()))
    }

    /// Drops a parcel, and returns its bytes.
    fn forget(&mut self, id: &ParcelId) -> Option<BytesMut> {
        let open = self.open.remove(id)?;
        self.bytes -= open.bytes.len();
        Some(open.bytes)
    }

    fn make_room(&mut self, now: Instant) {
        let late: Vec<_> = self.open.iter().filter(|(_, open)| now >= open.at + NEXT_WITHIN).map(|(id, _)| *id).collect();
        late.iter().for_each(|id| _ = self.forget(id));
        while self.open.len() > PARCELS || self.bytes > BYTES {
            let Some(oldest) = self.open.iter().min_by_key(|(_, open)| open.at).map(|(id, _)| *id) else { return };
            self.forget(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::cluster::wire::{Answer, decode, encode};
    use crate::server::cluster::{Incarnation, NodeName};
    use std::net::SocketAddrV4;

    fn id(number: u64) -> ParcelId {
        let from = NodeName::from("10.0.0.1:2900".parse::<SocketAddrV4>().unwrap());
        ParcelId { from, incarnation: Incarnation(5), number }
    }

    fn parts(number: u64, bytes: usize) -> Vec<Part> {
        let messages = encode(id(number), &Answer::Done, &vec![7; bytes].into()).unwrap();
        messages.into_iter().map(|message| Part::decode(message).unwrap()).collect()
    }

    #[test]
    fn parcels_come_back_whole_also_between_each_other() {
        let (mut parcels, now) = (Parcels::default(), Instant::now());
        for bytes in [0, 1, 200 * 1024, 1_000_000] {
            let (mut one, mut two) = (parts(1, bytes).into_iter(), parts(2, bytes).into_iter());
            let mut whole = Vec::new();
            while let Some((a, b)) = one.next().zip(two.next()) {
                whole.extend([a, b].into_iter().filter_map(|part| parcels.add(part, now)));
            }
            assert_eq!(whole.iter().map(|(id, _)| id.number).collect::<Vec<_>>(), [1, 2]);
            for (_, bytes_of) in whole {
                let (answer, body) = decode::<Answer>(bytes_of).unwrap();
                assert_eq!((answer, body.len()), (Answer::Done, bytes));
            }
            assert_eq!((parcels.open.len(), parcels.bytes), (0, 0));
        }
    }

    #[test]
    fn a_lost_part_ends_its_parcel_and_a_doubled_one_too() {
        let now = Instant::now();
        for wrong in [vec![0, 2, 3], vec![0, 1, 1, 2, 3], vec![1, 2, 3], vec![0, 2, 1, 3]] {
            let (mut parcels, parts) = (Parcels::default(), parts(1, 700_000));
            assert_eq!(parts.len(), 4);
            assert!(wrong.iter().all(|at| parcels.add(parts[*at].clone(), now).is_none()), "{wrong:?}");
            assert_eq!(parcels.bytes, parcels.open.values().map(|open| open.bytes.len()).sum::<usize>());
        }
    }

    #[test]
    fn parcels_that_grow_at_the_same_time_are_bounded() {
        let (mut parcels, now, bytes) = (Parcels::default(), Instant::now(), Bytes::from(vec![7; 200 * 1024]));
        for number in 0..200 {
            for parcel in 0..10 {
                let part = Part { id: id(parcel), number, is_last: false, bytes: bytes.clone() };
                assert!(parcels.add(part, now + Duration::from_millis(number.into())).is_none());
                assert!(parcels.bytes <= BYTES + bytes.len(), "part {number} of parcel {parcel}: {}", parcels.bytes);
            }
        }
        assert!(parcels.bytes > BYTES / 2, "the bound was never near");
    }

    #[test]
    fn open_parcels_are_bounded() {
        let (mut parcels, now) = (Parcels::default(), Instant::now());
        for number in 0..2_000 {
            let first = parts(number, 300_000).into_iter().next().unwrap();
            assert!(parcels.add(first, now + Duration::from_millis(number)).is_none());
        }
        assert!(parcels.open.len() <= PARCELS && parcels.bytes <= BYTES + 200 * 1024);
        assert!(encode(id(1), &Answer::Done, &vec![0; MAX_PARCEL].into()).is_none());
        assert!(Part::decode(Bytes::from_static(b"\x02nothing of this version of the wire")).is_none());
        assert!(decode::<Answer>(Bytes::from_static(&[0, 0, 1, 0])).is_none());
    }
}
