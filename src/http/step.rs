//! A step through the history: of a long document it changes a block or two, so whoever holds an answer is told only what differs
//! from it.

use std::iter::zip;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde::Serialize;

use super::{documents::content_of, versions::Answer};
use crate::{
    document::export::Form,
    history::{Answers, apart},
};

/// By this name the server may know the answer at the next step.
const TAG_HEADER: HeaderName = HeaderName::from_static("coscribe-tag");

/// The form of an answer that is told by another one.
const SPLICE: HeaderValue = HeaderValue::from_static("application/vnd.coscribe.splice+json");

/// Bytes that are looked at together; no more than 255 code units.
const CHUNK: usize = 240;

/// The answer to whoever asked for HTML. `holds` is the tag of the answer that they hold, empty for none; without it they get what
/// everybody gets, and no tag.
pub(super) async fn html(
    holds: Option<String>,
    write: impl FnOnce() -> String + Send + 'static,
    answers: Answers,
) -> Answer {
    let Some(holds) = holds else {
        return Ok(content_of(Form::Html, apart(write).await?));
    };
    let told = apart(move || {
        let html = write();
        let held = answers.get(&holds);
        let tag = answers.keep(&html);
        let splice = held.as_deref().and_then(|held| splice(held, &html));
        let splice = splice.map(|splice| serde_json::to_string(&splice));
        (html, splice, tag)
    });
    let (html, splice, tag) = told.await?;
    let mut response = match splice {
        Some(splice) => {
            let splice = splice.expect("numbers and text serialise");
            let mut response = content_of(Form::Json, splice);
            response.headers_mut().insert(header::CONTENT_TYPE, SPLICE);
            response
        }
        None => content_of(Form::Html, html),
    };
    let tag = HeaderValue::from_str(&tag).expect("a tag is of hexadecimal digits");
    response.headers_mut().insert(TAG_HEADER, tag);
    Ok(response)
}

/// An answer, told by one that is held. Lengths are in UTF-16 code units, as strings of a page have them.
#[derive(Debug, Serialize)]
struct Splice<'a> {
    /// What stays at the beginning of the held one.
    start: usize,
    /// What stands between.
    middle: &'a str,
    /// What stays at its end, all of it after `start`.
    end: usize,
}

/// What differs, cut between characters; nothing where the whole answer is about as short.
fn splice<'a>(held: &str, next: &'a str) -> Option<Splice<'a>> {
    let start = same_start(held.as_bytes(), next.as_bytes());
    // What is before is the same, so a character that goes on here does so in both; likewise at the end.
    let (before, next_rest) = next.split_at(next.floor_char_boundary(start));
    let held_rest = &held[before.len()..];
    let end = same_end(held_rest.as_bytes(), next_rest.as_bytes());
    let end = next_rest.ceil_char_boundary(next_rest.len() - end);
    let (middle, after) = next_rest.split_at(end);
    (2 * middle.len() <= next.len()).then(|| Splice {
        start: utf16_len(before),
        middle,
        end: utf16_len(after),
    })
}

/// How many bytes both begin with. Chunks are compared at once, which is ten times as fast.
fn same_start(held: &[u8], next: &[u8]) -> usize {
    let chunks = zip(held.chunks_exact(CHUNK), next.chunks_exact(CHUNK));
    let same = CHUNK * chunks.take_while(|(held, next)| held == next).count();
    let bytes = zip(&held[same..], &next[same..]);
    same + bytes.take_while(|(held, next)| held == next).count()
}

/// How many bytes both end with.
fn same_end(held: &[u8], next: &[u8]) -> usize {
    let chunks = zip(held.rchunks_exact(CHUNK), next.rchunks_exact(CHUNK));
    let same = CHUNK * chunks.take_while(|(held, next)| held == next).count();
    let bytes = zip(
        held[..held.len() - same].iter().rev(),
        next[..next.len() - same].iter().rev(),
    );
    same + bytes.take_while(|(held, next)| held == next).count()
}

/// Each character begins with one byte, and what takes two code units with a large one. The units of a chunk fit in a byte, so
/// many are counted at once.
fn utf16_len(text: &str) -> usize {
    let units = |byte: &u8| u8::from(byte & 0xc0 != 0x80) + u8::from(*byte >= 0xf0);
    let chunks = text.as_bytes().chunks(CHUNK);
    chunks
        .map(|chunk| usize::from(chunk.iter().map(units).sum::<u8>()))
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a page makes of it.
    fn applied(held: &str, splice: &Splice<'_>) -> String {
        let held: Vec<u16> = held.encode_utf16().collect();
        assert!(splice.start + splice.end <= held.len(), "{splice:?}");
        let text = |units| String::from_utf16(units).expect("cut inside of a character");
        let start = text(&held[..splice.start]);
        start + splice.middle + &text(&held[held.len() - splice.end..])
    }

    fn told(held: &str, next: &str) -> (usize, String, usize) {
        let splice = splice(held, next).unwrap();
        assert_eq!(applied(held, &splice), next);
        (splice.start, splice.middle.to_owned(), splice.end)
    }

    #[test]
    fn what_differs_is_cut_between_characters_and_overlaps_nowhere() {
        let cases = [
            ("", "", (0, "", 0)),
            ("aaa", "aaa", (3, "", 0)),
            ("aaa", "aaaa", (3, "a", 0)),
            ("aaaa", "aaa", (3, "", 0)),
            ("abab", "ababab", (4, "ab", 0)),
            ("abcd", "ab", (2, "", 0)),
            ("abcd", "cd", (0, "", 2)),
            // Characters that share their first byte, their last ones, and a surrogate.
            ("a日é日b", "a日è日b", (2, "è", 2)),
            ("a日é日b", "a日ũ日b", (2, "ũ", 2)),
            ("aa😀aa", "aa😁aa", (2, "😁", 2)),
            ("aa😀aa", "aa🤀aa", (2, "🤀", 2)),
            ("aa😀😀😀", "aa😀😀😀😀", (8, "😀", 0)),
        ];
        for (held, next, (start, middle, end)) in cases {
            let expected = (start, middle.to_owned(), end);
            assert_eq!(told(held, next), expected, "{held} → {next}");
        }
    }

    #[test]
    fn long_texts_are_told_like_short_ones() {
        for held in ["a", "é", "日", "😀"].map(|letter| letter.repeat(2 * CHUNK)) {
            for (cut, _) in held.char_indices() {
                let (before, after) = held.split_at(cut);
                let next = format!("{before}x{after}");
                let units = held.encode_utf16().count();
                let (start, middle, end) = told(&held, &next);
                assert_eq!((middle.as_str(), start + end), ("x", units));
                told(&next, &held);
            }
        }
    }

    #[test]
    fn an_answer_that_differs_in_more_than_half_is_given_whole() {
        assert!(splice("", "a").is_none());
        assert!(splice("abcd", "aefd").is_some());
        assert!(splice("abcde", "axyze").is_none());
    }

    fn few_letters() -> impl Strategy<Value = String> {
        // They share bytes of their UTF-8, and halves of their UTF-16.
        let letter = prop::sample::select(vec!['a', 'é', 'è', 'ũ', '日', '旦', '😀', '😁', '🤀']);
        let letters = prop::collection::vec(letter, 0..12);
        letters.prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn a_splice_makes_the_whole_answer(
            parts in [few_letters(), few_letters(), few_letters(), few_letters()],
        ) {
            let [before, removed, added, after] = parts;
            let (held, next) = (
                format!("{before}{removed}{after}"),
                format!("{before}{added}{after}"),
            );
            if let Some(splice) = splice(&held, &next) {
                prop_assert_eq!(applied(&held, &splice), next.clone());
                prop_assert!(splice.middle.len() <= added.len(), "{:?}", splice);
            } else {
                prop_assert!(2 * added.len() > next.len());
            }
            prop_assert_eq!(utf16_len(&next), next.encode_utf16().count());
        }

        #[test]
        fn any_two_texts_make_a_splice_or_none(held in any::<String>(), next in any::<String>()) {
            if let Some(splice) = splice(&held, &next) {
                prop_assert_eq!(applied(&held, &splice), next);
            }
        }
    }
}
