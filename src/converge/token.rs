//! Tokens: the unique marks that edits write, by which loss, duplication and disorder can be proved.
//!
//! A token looks like `[2.17.0]`: who wrote it, in which step, which part of that step. Nothing is ever written inside
//! of one and none is deleted by halves, so each is found whole or not at all.

use yrs::{
    Any,
    encoding::read::{Cursor, Read as _},
};

use crate::document::{
    ClientId, Clock,
    id_set::IdRange,
    scan::{Kind, ScanLimits, scan},
    tree::Node,
    varint::Reader,
};

/// One mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    pub client: u16,
    pub step: u32,
    pub part: u8,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}.{}.{}]", self.client, self.step, self.part)
    }
}

impl serde::Serialize for Token {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The tokens in a text, each with its offset and length in bytes.
pub fn find(text: &str) -> Vec<(usize, usize, Token)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(open) = text.get(from..).and_then(|rest| rest.find('[')) {
        let start = from + open;
        from = start + 1;
        let Some(length) = text.get(from..).and_then(|rest| rest.find(']')) else {
            break;
        };
        if let Some(token) = text.get(from..from + length).and_then(parse) {
            found.push((start, length + 2, token));
            from += length + 1;
        }
    }
    found
}

fn parse(inner: &str) -> Option<Token> {
    let mut numbers = inner.split('.');
    let token = Token {
        client: numbers.next()?.parse().ok()?,
        step: numbers.next()?.parse().ok()?,
        part: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some(token)
}

/// The tokens below a node, in the order of the document.
pub fn tokens_of(node: &Node, out: &mut Vec<Token>) {
    match node {
        Node::Text(chunks) | Node::XmlText(chunks) => {
            // A mark may begin anywhere: a text is read in one piece.
            let mut text = String::new();
            for chunk in chunks {
                match &chunk.insert {
                    Node::Value(yrs::Any::String(part)) => text.push_str(part),
                    other => {
                        tokens_in(&std::mem::take(&mut text), out);
                        tokens_of(other, out);
                    }
                }
            }
            tokens_in(&text, out);
        }
        Node::Map(entries) => entries.values().for_each(|entry| tokens_of(entry, out)),
        Node::Array(items) | Node::Fragment(items) => {
            items.iter().for_each(|item| tokens_of(item, out));
        }
        Node::Element {
            attrs, children, ..
        } => {
            attrs.values().for_each(|value| tokens_of(value, out));
            children.iter().for_each(|child| tokens_of(child, out));
        }
        Node::Value(yrs::Any::String(text)) => tokens_in(text, out),
        Node::Value(_) | Node::Subdocument(_) | Node::TooDeep => {}
    }
}

fn tokens_in(text: &str, out: &mut Vec<Token>) {
    out.extend(find(text).into_iter().map(|(_, _, token)| token));
}

/// What an update brings.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Every struct, deleted or not.
    pub structs: Vec<IdRange>,
    pub deletes: Vec<IdRange>,
    /// The tokens in its content, with the ids that they are made of.
    pub tokens: Vec<(Token, IdRange)>,
}

/// Reads an update without applying it. `Err` says why it is none.
pub fn contents(update: &[u8], with_tokens: bool) -> Result<Contents, String> {
    let limits = ScanLimits {
        max_structs: usize::MAX,
        max_deletes: usize::MAX,
        ..ScanLimits::default()
    };
    let scan = scan(update, &limits).map_err(|error| error.to_string())?;
    let mut contents = Contents {
        deletes: scan.delete_ranges(update).collect(),
        ..Contents::default()
    };
    for run in &scan.runs {
        for view in scan.structs_of(update, run) {
            if view.kind == Kind::Skip {
                continue;
            }
            contents.structs.push(IdRange {
                client: run.client,
                start: view.clock,
                end: view.end(),
            });
            if with_tokens {
                let content = view.content_at..view.bytes.end;
                let content = update.get(content).unwrap_or_default();
                tokens_of_struct(
                    view.kind,
                    content,
                    run.client,
                    view.clock,
                    &mut contents.tokens,
                );
            }
        }
    }
    Ok(contents)
}

/// In a string each UTF-16 unit has an id.
fn tokens_of_struct(
    kind: Kind,
    content: &[u8],
    client: ClientId,
    clock: Clock,
    out: &mut Vec<(Token, IdRange)>,
) {
    match kind {
        Kind::String => {
            let text = Reader::new(content).var_str().unwrap_or_default();
            for (start, length, token) in find(text) {
                let before = text.get(..start).unwrap_or_default();
                let start = clock + before.encode_utf16().count() as Clock;
                let end = start + length as Clock;
                out.push((token, IdRange { client, start, end }));
            }
        }
        Kind::Any => out.extend(tokens_of_values(content, client, clock)),
        _ => {}
    }
}

/// Each value has an id. Values that were written one by one may be copied as one struct by an undo.
fn tokens_of_values(content: &[u8], client: ClientId, clock: Clock) -> Vec<(Token, IdRange)> {
    let mut cursor = Cursor::new(content);
    let count: u32 = cursor.read_var().unwrap_or(0);
    let mut found = Vec::new();
    for start in (clock..).take(count as usize) {
        let end = start + 1;
        match Any::decode(&mut cursor) {
            Ok(Any::String(text)) => {
                let ids = IdRange { client, start, end };
                found.extend(find(&text).into_iter().map(|(_, _, token)| (token, ids)));
            }
            Ok(_) => {}
            // The scan has accepted it, so this is not reached.
            Err(_) => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_among_other_brackets() {
        let text = "[[2.17.0]é [x] [1.2.3";
        let found = find(text);
        let token = Token {
            client: 2,
            step: 17,
            part: 0,
        };
        assert_eq!(found, [(1, token.to_string().len(), token)]);
    }

    #[test]
    fn each_of_several_values_in_one_struct_has_its_id() {
        use yrs::{Array as _, Transact as _};
        let doc = crate::document::replica::doc_with(5);
        let array = doc.get_or_insert_array("array");
        let mut txn = doc.transact_mut();
        let values = [Any::from("[0.1.0]"), Any::from(7), Any::from("[0.1.2]")];
        array.insert_range(&mut txn, 0, values);
        let contents = contents(&txn.encode_update_v1(), true).unwrap();
        let found: Vec<_> = contents
            .tokens
            .iter()
            .map(|(token, ids)| (token.part, ids.start, ids.end))
            .collect();
        assert_eq!(contents.structs.len(), 1);
        assert_eq!(found, [(0, 0, 1), (2, 2, 3)]);
    }
}
