//! A step through the history: of a long document it changes a block or two, so whoever holds an answer is told only what differs
//! from it.

use std::{collections::HashMap, iter::zip, sync::Arc};

use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde::Serialize;

use super::{documents::content_of, versions::Answer};
use crate::{
    document::{export::Form, html::Blocks},
    history::{Answers, apart},
};

/// By this name the server may know the answer at the next step.
const TAG_HEADER: HeaderName = HeaderName::from_static("coscribe-tag");

/// The form of an answer to whoever may hold another one.
const IN_BLOCKS: HeaderValue = HeaderValue::from_static("application/vnd.coscribe.blocks+json");

/// Bytes that are looked at together; no more than 255 code units.
const CHUNK: usize = 240;

/// The answer to whoever asked for HTML. `holds` is the tag of the answer that they hold, empty for none: they are told in blocks,
/// and the tag of this one. Without it they get what everybody gets.
pub(super) async fn html(
    holds: Option<String>,
    write: impl FnOnce() -> Blocks + Send + 'static,
    answers: Answers,
) -> Answer {
    let Some(holds) = holds else {
        let html = apart(move || write().concat()).await?;
        return Ok(content_of(Form::Html, html));
    };
    let told = apart(move || {
        let blocks = Arc::new(write());
        let held = answers.get(&holds).unwrap_or_default();
        let told = serde_json::to_string(&by_held(&held, &blocks));
        (told, answers.keep(blocks))
    });
    let (told, tag) = told.await?;
    let told = told.expect("numbers and text serialise");
    let mut response = content_of(Form::Json, told);
    let tag = HeaderValue::from_str(&tag).expect("a tag is of hexadecimal digits");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, IN_BLOCKS);
    headers.insert(TAG_HEADER, tag);
    Ok(response)
}

/// Blocks of an answer that follow on each other.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told<'a> {
    /// One that is not held.
    New(&'a str),
    /// As many as are held from one on.
    Held { from: usize, count: usize },
    /// One that is told by one that is held.
    Changed {
        of: usize,
        #[serde(flatten)]
        splice: Splice<'a>,
    },
}

/// A block, told by one that is held. Lengths are in UTF-16 code units, as strings of a page have them.
#[derive(Debug, Serialize)]
struct Splice<'a> {
    /// What stays at the beginning of the held one.
    start: usize,
    /// What stands between.
    middle: &'a str,
    /// What stays at its end, all of it after `start`.
    end: usize,
}

/// An answer, told by the one that is held.
fn by_held<'a>(held: &[Arc<str>], next: &'a [Arc<str>]) -> Vec<Told<'a>> {
    let mut told = Vec::new();
    let mut places: Option<HashMap<&str, usize>> = None;
    // Where what is held goes on.
    let mut at = 0;
    for block in next {
        let is_same = |held: &Arc<str>| Arc::ptr_eq(held, block) || held == block;
        let place = if held.get(at).is_some_and(is_same) {
            Some(at)
        } else {
            let all = || zip(held.iter().map(AsRef::as_ref), 0..).collect();
            places.get_or_insert_with(all).get(&**block).copied()
        };
        if let Some(place) = place {
            at = place + 1;
            match told.last_mut() {
                Some(Told::Held { from, count }) if *from + *count == place => *count += 1,
                _ => told.push(Told::Held {
                    from: place,
                    count: 1,
                }),
            }
        } else if let Some(splice) = held.get(at).and_then(|held| splice(held, block)) {
            told.push(Told::Changed { of: at, splice });
            at += 1;
        } else {
            told.push(Told::New(block));
        }
    }
    told
}

/// What differs, cut between characters; nothing where the whole block is about as short.
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
    fn a_block_that_differs_in_more_than_half_is_given_whole() {
        assert!(splice("", "a").is_none());
        assert!(splice("abcd", "aefd").is_some());
        assert!(splice("abcde", "axyze").is_none());
    }

    /// Blocks of which some have much in common.
    fn some_blocks() -> impl Strategy<Value = Vec<Arc<str>>> {
        let block = (0..4_usize, few_letters());
        let block = block.prop_map(|(long, end)| Arc::from("<p>日</p>".repeat(long) + &end));
        prop::collection::vec(block, 0..12)
    }

    /// What a page makes of it.
    fn all(held: &[Arc<str>], told: &[Told<'_>]) -> Vec<String> {
        let blocks = told.iter().flat_map(|told| match told {
            Told::New(html) => vec![(*html).to_owned()],
            Told::Held { from, count } => {
                let held = held[*from..from + count].iter();
                held.map(|block| (**block).to_owned()).collect()
            }
            Told::Changed { of, splice } => vec![applied(&held[*of], splice)],
        });
        blocks.collect()
    }

    fn blocks(blocks: &[&str]) -> Vec<Arc<str>> {
        blocks.iter().map(|block| Arc::from(*block)).collect()
    }

    #[test]
    fn an_answer_is_told_by_the_blocks_that_are_held() {
        let cases = [
            (
                &["one", "two"][..],
                &["one", "two"][..],
                r#"[{"from":0,"count":2}]"#,
            ),
            (&[], &["one", "two"], r#"["one","two"]"#),
            (&["one"], &[], "[]"),
            (
                &["one", "two", "three"],
                &["one", "twos", "three"],
                r#"[{"from":0,"count":1},{"of":1,"start":3,"middle":"s","end":0},{"from":2,"count":1}]"#,
            ),
            // What follows on a new block, or on none, is found again.
            (
                &["one", "two", "three"],
                &["new", "one", "three"],
                r#"["new",{"from":0,"count":1},{"from":2,"count":1}]"#,
            ),
            (
                &["a word", "b word", "c word"],
                &["d word", "a word", "b word", "c word"],
                r#"[{"of":0,"start":0,"middle":"d","end":5},{"from":0,"count":3}]"#,
            ),
            // In another order.
            (
                &["one", "two", "three"],
                &["three", "one", "two"],
                r#"[{"from":2,"count":1},{"from":0,"count":2}]"#,
            ),
            (
                &["", "one"],
                &["one", "", ""],
                r#"[{"from":1,"count":1},{"from":0,"count":1},{"from":0,"count":1}]"#,
            ),
        ];
        for (held, next, expected) in cases {
            let (held, next) = (blocks(held), blocks(next));
            assert_eq!(
                serde_json::to_string(&by_held(&held, &next)).unwrap(),
                expected
            );
        }
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
        fn what_is_told_makes_the_whole_answer(held in some_blocks(), next in some_blocks()) {
            prop_assert_eq!(all(&held, &by_held(&held, &next)), Vec::from_iter(next.iter().map(|block| block.to_string())));
        }

        #[test]
        fn any_two_texts_make_a_splice_or_none(held in any::<String>(), next in any::<String>()) {
            if let Some(splice) = splice(&held, &next) {
                prop_assert_eq!(applied(&held, &splice), next);
            }
        }
    }
}
