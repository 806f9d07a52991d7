//! The heads of WebSocket frames.

use coscribe::protocol::frame_heads::FrameHeads;

const LARGEST: u64 = 300;

/// However the bytes are cut, what is found is what lies in them when they are read as a whole.
pub fn heads(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else {
        return;
    };
    let wanted = read(bytes);
    for size in [1, usize::from(size).max(1), bytes.len().max(1)] {
        let mut heads = FrameHeads::new(LARGEST);
        for chunk in bytes.chunks(size) {
            heads.pass(chunk);
        }
        assert_eq!((heads.too_large(), heads.closed()), wanted, "by {size}");
    }
}

/// Whether a frame above the limit begins, and whether a whole close lies in the bytes.
fn read(mut bytes: &[u8]) -> (bool, bool) {
    let (mut too_large, mut closed) = (false, false);
    while let [first, second, rest @ ..] = bytes {
        let mask = usize::from(second >> 7) * 4;
        let (length, rest) = match (second & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest)
            }
            (126 | 127, _) => break,
            (short, rest) => (u64::from(short), rest),
        };
        let Some(payload) = rest.get(mask..) else {
            break;
        };
        too_large |= length > LARGEST;
        let Some(rest) = usize::try_from(length)
            .ok()
            .and_then(|len| payload.get(len..))
        else {
            break;
        };
        closed |= first & 0x0f == 8;
        bytes = rest;
    }
    (too_large, closed)
}
