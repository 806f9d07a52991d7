//! The heads of the WebSocket frames in a stream of bytes that a client sends (RFC 6455 §5.2).
//!
//! Frames are followed as their bytes pass, however these are cut, without being kept: so a frame that is too large, and
//! the end of the conversation, are known before anything has been collected.

use smallvec::SmallVec;

const OPCODE: u8 = 0x0f;
const OPCODE_CLOSE: u8 = 8;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// Follows the frames of one connection.
#[derive(Debug)]
pub struct FrameHeads {
    /// Largest payload of a frame, in bytes.
    largest: u64,
    /// The part of the current frame's head that has arrived: 14 bytes at most.
    head: SmallVec<[u8; 14]>,
    /// Bytes of the current frame that are still to come.
    left: u64,
    /// The current frame is a close.
    closes: bool,
    too_large: bool,
    closed: bool,
}

impl FrameHeads {
    /// At the beginning of a connection whose frames may carry `largest` bytes each.
    pub fn new(largest: u64) -> Self {
        Self {
            largest,
            head: SmallVec::new(),
            left: 0,
            closes: false,
            too_large: false,
            closed: false,
        }
    }

    /// Whether the head of a frame above the limit has passed.
    pub fn too_large(&self) -> bool {
        self.too_large
    }

    /// Whether a whole close frame has passed.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Goes over the next bytes. A frame that is too large is followed like every other.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped =
                usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            bytes = &bytes[skipped..];
            self.left -= skipped as u64;
            if self.left == 0 && std::mem::take(&mut self.closes) {
                self.closed = true;
            }
            let Some((first, rest)) = bytes.split_first() else {
                return;
            };
            bytes = rest;
            self.head.push(*first);
            if let Some(length) = self.whole_head() {
                self.closes = self.head[0] & OPCODE == OPCODE_CLOSE;
                self.left = length;
                self.too_large |= length > self.largest;
                self.head.clear();
            }
        }
    }

    /// The length that the head gives, once all of it is there.
    fn whole_head(&self) -> Option<u64> {
        let second = *self.head.get(1)?;
        let mask = if second & MASKED == 0 { 0 } else { 4 };
        let (extended, length) = match second & LENGTH {
            126 => (2, None),
            127 => (8, None),
            short => (0, Some(u64::from(short))),
        };
        if self.head.len() < 2 + extended + mask {
            return None;
        }
        Some(length.unwrap_or_else(|| {
            self.head[2..2 + extended]
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a masked frame.
    fn head(opcode: u8, length: u64) -> Vec<u8> {
        let mut head = vec![0x80 | opcode];
        match length {
            0..126 => head.push(MASKED | length as u8),
            126..65_536 => {
                head.push(MASKED | 126);
                head.extend((length as u16).to_be_bytes());
            }
            _ => {
                head.push(MASKED | 127);
                head.extend(length.to_be_bytes());
            }
        }
        head.extend([0; 4]);
        head
    }

    fn whole(opcode: u8, length: usize) -> Vec<u8> {
        let mut bytes = head(opcode, length as u64);
        bytes.resize(bytes.len() + length, 0xff);
        bytes
    }

    #[test]
    fn frames_are_followed_however_the_bytes_are_cut() {
        let bytes = [
            whole(2, 0),
            whole(2, 125),
            whole(9, 3),
            whole(2, 200),
            whole(8, 2),
        ]
        .concat();
        for size in [1, 2, 3, 7, 64, bytes.len()] {
            let mut heads = FrameHeads::new(200);
            let mut chunks = bytes.chunks(size);
            let last = chunks.next_back().unwrap();
            chunks.for_each(|chunk| heads.pass(chunk));
            assert!(!heads.closed(), "{size}");
            heads.pass(last);
            assert!(heads.closed() && !heads.too_large(), "{size}");
        }
    }

    #[test]
    fn a_large_frame_is_known_by_its_head_and_what_follows_it_is_found() {
        for length in [201, 70_000, u64::MAX] {
            let mut heads = FrameHeads::new(200);
            heads.pass(&head(2, length));
            assert!(heads.too_large());
        }
        let bytes = [whole(2, 70_000), whole(8, 0)].concat();
        for size in [1_000, bytes.len()] {
            let mut heads = FrameHeads::new(200);
            bytes.chunks(size).for_each(|chunk| heads.pass(chunk));
            assert!(heads.too_large() && heads.closed(), "{size}");
        }
    }
}
