//! Differences of documents that were really edited, and of trees made by hand.

use std::{collections::HashSet, time::Duration};

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use yrs::{
    Any, Array as _, Doc, GetString as _, Map as _, MapPrelim, MapRef, Out, ReadTxn as _,
    StateVector, Text as _, Transact as _, Xml as _, XmlElementPrelim, XmlElementRef,
    XmlFragment as _, XmlFragmentRef, XmlOut, XmlTextPrelim, types::Attrs,
    updates::decoder::Decode as _,
};

use super::{
    projection::{Which, expanded, joined, project},
    *,
};
use crate::clock::UnixMillis;
use crate::document::{
    formatting::Formatting,
    html,
    ids::Id,
    moment,
    print::MAX_DEPTH,
    provenance::{ONE_GO, Provenance, Row},
    replica::doc_with,
    scan::ScanLimits,
    tree::{Chunk, Part, parts, to_json},
};

type Roots = BTreeMap<String, Node>;

/// The tree of a document, read from a copy of it.
fn tree(doc: &Doc) -> Roots {
    let state = doc
        .transact()
        .encode_state_as_update_v1(&StateVector::default());
    moment::tree(&[&state], &ScanLimits::default()).unwrap()
}

fn wanted(roots: &Roots) -> BTreeMap<String, Json> {
    let filled = roots.iter().filter(|(_, node)| !is_empty(node));
    filled
        .map(|(name, node)| (name.clone(), joined(to_json(node))))
        .collect()
}

/// The difference, after it was seen to hold both states.
fn checked(before: &Roots, after: &Roots) -> Diff {
    let diff = diff(before, after);
    assert_eq!(
        project(&diff, Which::Before),
        wanted(before),
        "before {diff:#?}"
    );
    assert_eq!(
        project(&diff, Which::After),
        wanted(after),
        "after {diff:#?}"
    );
    let all = expanded(&diff);
    assert_eq!(
        serde_json::to_value(&diff).unwrap(),
        serde_json::to_value(&all).unwrap()
    );
    all
}

fn text(text: &str) -> Node {
    let chunks = [(text, &[][..])];
    rich(&chunks)
}

fn rich(runs: &[(&str, &[&str])]) -> Node {
    let chunk = |(text, marks): &(&str, &[&str])| Chunk {
        insert: Node::Value(Any::from(*text)),
        marks: marks
            .iter()
            .map(|name| ((*name).to_owned(), Any::Bool(true)))
            .collect(),
        id: None,
    };
    Node::XmlText(runs.iter().map(chunk).collect())
}

fn element(name: &str, children: Vec<Node>) -> Node {
    Node::Element {
        name: name.into(),
        attrs: BTreeMap::new(),
        children: parts(children),
        id: None,
    }
}

fn with(node: Node, key: &str, value: impl Into<Any>) -> Node {
    match node {
        Node::Element {
            name,
            mut attrs,
            children,
            id,
        } => {
            attrs.insert(key.into(), Node::Value(value.into()));
            Node::Element {
                name,
                attrs,
                children,
                id,
            }
        }
        other => panic!("{other:?}"),
    }
}

fn p(words: &str) -> Node {
    element("paragraph", vec![text(words)])
}

fn body(blocks: Vec<Node>) -> Roots {
    Roots::from([("default".into(), Node::Fragment(parts(blocks)))])
}

/// A difference in short: the change of each block, with its runs between brackets.
fn told(diff: &Diff) -> String {
    fn tell(entry: &Entry, out: &mut String) {
        let sign = match entry.change {
            Change::Same => "=",
            Change::Added => "+",
            Change::Removed => "-",
            Change::Moved => "~",
            Change::Changed => "*",
            Change::Formatted => "^",
        };
        out.push_str(sign);
        match &entry.content {
            Content::Run { text, .. } => out.push_str(text),
            Content::Value { value } | Content::Embed { value, .. } => {
                out.push_str(&value.to_string());
            }
            Content::Left => out.push('<'),
            content => {
                if let Content::Element { name, was, .. } = content {
                    if let Some(was) = was {
                        out.push_str(was);
                        out.push('>');
                    }
                    out.push_str(name);
                }
                out.push('[');
                for (at, part) in content.parts().into_iter().enumerate() {
                    out.push_str(if at > 0 { "|" } else { "" });
                    tell(part, out);
                }
                out.push(']');
            }
        }
    }
    let mut out = String::new();
    for entry in diff.roots.values() {
        tell(entry, &mut out);
    }
    out
}

fn told_between(before: Vec<Node>, after: Vec<Node>) -> String {
    told(&checked(&body(before), &body(after)))
}

#[test]
fn words_are_added_removed_and_put_for_others() {
    let between = |one: &str, other: &str| {
        let all = told_between(vec![p(one)], vec![p(other)]);
        let inner = all.split_once("*paragraph[").map(|(_, rest)| rest);
        let inner = inner
            .and_then(|rest| rest.strip_suffix("]]"))
            .unwrap_or(&all);
        inner.to_owned()
    };
    assert_eq!(between("a cat sat", "a fat cat sat"), "=a |+fat |=cat sat");
    assert_eq!(between("a fat cat sat", "a cat sat"), "=a |-fat |=cat sat");
    assert_eq!(
        between("the cat sat", "the dog sat"),
        "=the |-cat|+dog|= sat"
    );
    assert_eq!(
        between("the colour red", "the color red"),
        "=the colo|-u|=r red"
    );
    assert_eq!(
        between("one two three", "uno dos tres"),
        "-one two three|+uno dos tres"
    );
    assert_eq!(
        between("I am 👩‍👩‍👧 here", "I am 👩‍👩‍👦 here"),
        "=I am |-👩‍👩‍👧|+👩‍👩‍👦|= here"
    );
    assert_eq!(
        between("na\u{ef}ve e\u{301}", "na\u{ef}ve e"),
        "=naïve |-e\u{301}|+e"
    );
    assert_eq!(between("我爱北京", "我爱上海京"), "=我爱|-北|+上海|=京");
}

#[test]
fn blocks_are_added_removed_moved_and_changed() {
    assert_eq!(
        told_between(vec![p("one"), p("two")], vec![p("one"), p("new"), p("two")]),
        "*[=paragraph[=one]|+paragraph[+new]|=paragraph[=two]]"
    );
    assert_eq!(
        told_between(vec![p("one"), p("two")], vec![p("two")]),
        "*[-paragraph[-one]|=paragraph[=two]]"
    );
    assert_eq!(
        told_between(
            vec![p("one"), p("two"), p("three")],
            vec![p("two"), p("three"), p("one")]
        ),
        "*[~<|=paragraph[=two]|=paragraph[=three]|~paragraph[=one]]"
    );
    // Into a list, which is new around it.
    let list = element("bulletList", vec![element("listItem", vec![p("one")])]);
    assert_eq!(
        told_between(vec![p("one"), p("two")], vec![list, p("two")]),
        "*[~<|+bulletList[+listItem[~paragraph[=one]]]|=paragraph[=two]]"
    );
    // Nothing is seen in an empty paragraph that went and one that came.
    assert_eq!(
        told_between(
            vec![element("paragraph", vec![]), p("two")],
            vec![p("two"), element("paragraph", vec![])]
        ),
        "*[-paragraph[]|=paragraph[=two]|+paragraph[]]"
    );
    // A long list in which every block has one other word.
    let many = |word: &str| -> Vec<Node> {
        let line = |n| p(&format!("line {n} has {word} and nothing else"));
        (0..200).map(line).collect()
    };
    let all = told_between(many("this"), many("that"));
    assert_eq!(all.matches("*paragraph").count(), 200, "{all}");
    assert_eq!(all.matches("-this|+that").count(), 200, "{all}");
}

#[test]
fn names_attributes_and_marks_are_told_with_what_they_were() {
    let heading = |level: f64, words| with(element("heading", vec![text(words)]), "level", level);
    let diff = checked(
        &body(vec![
            heading(2.0, "Title"),
            p("a long plain text"),
            p("end"),
        ]),
        &body(vec![
            heading(1.0, "Title"),
            heading(3.0, "a long plain text"),
            element("paragraph", vec![rich(&[("e", &["bold"]), ("nd", &[])])]),
        ]),
    );
    assert_eq!(
        told(&diff),
        "*[*heading[=Title]|*paragraph>heading[=a long plain text]|*paragraph[^e|=nd]]"
    );
    let json = serde_json::to_value(&diff).unwrap();
    let children = &json["roots"]["default"]["children"];
    assert_eq!(
        children[0],
        json!({
            "change": "changed", "kind": "element", "name": "heading", "attrs": {"level": 1.0},
            "changed": {"level": {"before": 2.0, "after": 1.0}},
            "children": [{"change": "same", "kind": "run", "text": "Title"}],
        })
    );
    assert_eq!(children[1]["was"], "paragraph");
    assert_eq!(children[1]["changed"], json!({"level": {"after": 3.0}}));
    assert_eq!(
        children[2]["children"][0],
        json!({"change": "formatted", "kind": "run", "text": "e", "marks": {"bold": true}, "before": {}})
    );
}

#[test]
fn a_line_break_in_the_middle_of_a_line_leaves_the_rest_alone() {
    let broken = element(
        "paragraph",
        vec![text("one"), element("hardBreak", vec![]), text("two")],
    );
    assert_eq!(
        told_between(vec![p("onetwo")], vec![broken.clone()]),
        "*[*paragraph[=one|+hardBreak[]|=two]]"
    );
    let other = element(
        "paragraph",
        vec![text("one"), element("hardBreak", vec![]), text("2")],
    );
    assert_eq!(
        told_between(vec![broken], vec![other]),
        "*[*paragraph[=one|=hardBreak[]|-two|+2]]"
    );
}

#[test]
fn maps_lists_and_texts_have_differences_too() {
    let number = |n: f64| Node::Value(Any::from(n));
    let map = |entries: Vec<(&str, Node)>| {
        Node::Map(
            entries
                .into_iter()
                .map(|(key, node)| (key.to_owned(), node.into()))
                .collect(),
        )
    };
    let y_text = |words: &str| match text(words) {
        Node::XmlText(chunks) => Node::Text(chunks),
        other => other,
    };
    let before = Roots::from([
        (
            "list".into(),
            Node::Array(parts(vec![
                number(1.0),
                number(2.0),
                map(vec![("a", number(1.0))]),
            ])),
        ),
        (
            "map".into(),
            map(vec![
                ("gone", number(1.0)),
                ("set", number(1.0)),
                ("text", y_text("a b")),
            ]),
        ),
        ("old".into(), number(1.0)),
        ("text".into(), y_text("some words")),
    ]);
    let after = Roots::from([
        (
            "list".into(),
            Node::Array(parts(vec![
                number(2.0),
                number(3.0),
                map(vec![("a", number(2.0))]),
            ])),
        ),
        (
            "map".into(),
            map(vec![
                ("new", number(1.0)),
                ("set", number(2.0)),
                ("text", y_text("a c b")),
            ]),
        ),
        ("new".into(), y_text("x")),
        ("text".into(), y_text("some more words")),
    ]);
    assert_eq!(
        told(&checked(&before, &after)),
        "*[-1.0|=2.0|-[=1.0]|+3.0|+[=2.0]]\
         *[-1.0|+1.0|*[-1.0|+2.0]|*[=a |+c |=b]]+[+x]-1.0*[=some |+more |=words]"
            .replace("-[=1.0]|+3.0|+[=2.0]", "+3.0|*[*[-1.0|+2.0]]")
    );
}

#[test]
fn a_change_of_kind_is_a_replacement() {
    let one = Roots::from([(
        "r".into(),
        Node::Array(parts(vec![Node::Value(Any::from(1.0))])),
    )]);
    let other = Roots::from([(
        "r".into(),
        Node::Map(BTreeMap::from([("k".into(), Node::TooDeep.into())])),
    )]);
    assert_eq!(told(&checked(&one, &other)), "*[-[-1.0]|+[+null]]");
    assert_eq!(told(&checked(&one, &Roots::new())), "-[-1.0]");
    assert_eq!(told(&checked(&Roots::new(), &other)), "+[+null]");
    let empty = Roots::from([("r".into(), Node::Text(Vec::new()))]);
    assert_eq!(told(&checked(&empty, &empty)), "");
    assert_eq!(told(&checked(&empty, &one)), "+[+1.0]");
}

#[test]
fn what_nests_deeper_than_anybody_looks_is_compared_as_a_whole() {
    let nested = |words: &str| {
        let deep = |inner, _| element("blockquote", vec![inner]);
        body(vec![(0..200).fold(p(words), deep)])
    };
    let all = told(&checked(&nested("one"), &nested("two")));
    assert_eq!(all.matches("blockquote[").count(), MAX_DEPTH as usize - 1);
    assert_eq!(
        told(&checked(&nested("one"), &nested("one")))
            .matches(['*', '+', '-'])
            .count(),
        0
    );
}

/// Two people who write in turns, with all that a test asks of their document.
struct Pen {
    doc: Doc,
    log: Provenance,
    rows: u64,
    /// What its clock says, and said at each row.
    now: UnixMillis,
    times: Vec<UnixMillis>,
}

impl Pen {
    fn new() -> Self {
        Self {
            doc: doc_with(7),
            log: Provenance::default(),
            rows: 0,
            now: 0,
            times: Vec::new(),
        }
    }

    /// Edits as a client; the update is the next row of the log.
    fn write(&mut self, client: u64, edit: impl FnOnce(&mut yrs::TransactionMut<'_>)) {
        let own = doc_with(client);
        self.show(&own);
        self.write_in(&own, edit);
    }

    /// Gives a replica everything that there is.
    fn show(&self, own: &Doc) {
        let state = self
            .doc
            .transact()
            .encode_state_as_update_v1(&StateVector::default());
        own.transact_mut()
            .apply_update(yrs::Update::decode_v1(&state).unwrap())
            .unwrap();
    }

    /// Edits in a replica that need not know all the rows.
    fn write_in(&mut self, own: &Doc, edit: impl FnOnce(&mut yrs::TransactionMut<'_>)) {
        own.get_or_insert_xml_fragment("default");
        own.get_or_insert_text("text");
        own.get_or_insert_array("list");
        own.get_or_insert_map("map");
        let mut txn = own.transact_mut();
        edit(&mut txn);
        let update = txn.encode_update_v1();
        drop(txn);
        self.rows += 1;
        let author = self.rows.to_string().into();
        self.times.push(self.now);
        let by = (&author, self.now);
        self.log.add(self.rows, by, &update).unwrap();
        let update = yrs::Update::decode_v1(&update).unwrap();
        self.doc.transact_mut().apply_update(update).unwrap();
    }

    /// Says who made a difference from the state after a row to the present one.
    fn colour(&self, diff: &mut Diff, from: Row, author: impl FnMut(Row) -> Option<u32>) {
        let rows = from + 1..=self.rows;
        let (runs, keys) = diff.formatted();
        let markings = self.log.markings(self.rows, |key| keys.contains(key));
        let look = |look: &mut dyn FnMut(&Doc)| {
            look(&self.doc);
            Ok::<_, ()>(())
        };
        let writers = Writers {
            provenance: &self.log,
            rows: rows.clone(),
            formatting: &Formatting::of(rows, markings, &runs, look).unwrap(),
            at: &|row| self.times.get(usize::try_from(row).unwrap() - 1).copied(),
            sole: &|| None,
        };
        diff.colour(&writers, author);
    }
}

fn fragment(txn: &yrs::TransactionMut<'_>) -> XmlFragmentRef {
    txn.get_xml_fragment("default").unwrap()
}

fn block(txn: &yrs::TransactionMut<'_>, at: u32) -> XmlElementRef {
    match fragment(txn).get(txn, at) {
        Some(XmlOut::Element(element)) => element,
        other => panic!("{other:?}"),
    }
}

fn line(txn: &yrs::TransactionMut<'_>, at: u32) -> yrs::XmlTextRef {
    match block(txn, at).get(txn, 0) {
        Some(XmlOut::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn add_block(txn: &mut yrs::TransactionMut<'_>, at: u32, name: &str, words: &str) {
    let element = fragment(txn).insert(txn, at, XmlElementPrelim::empty(name));
    element.insert(txn, 0, XmlTextPrelim::new(words));
}

#[test]
fn ids_say_which_of_equal_letters_is_new_and_whose_it_is() {
    let mut pen = Pen::new();
    pen.write(1, |txn| add_block(txn, 0, "paragraph", "aa the end"));
    let before = tree(&pen.doc);
    pen.write(2, |txn| line(txn, 0).insert(txn, 0, "a"));
    pen.write(3, |txn| line(txn, 0).insert(txn, 1, "bc"));
    pen.write(2, |txn| line(txn, 0).insert(txn, 3, "d"));
    pen.write(3, |txn| line(txn, 0).remove_range(txn, 6, 4));
    let mut diff = checked(&before, &tree(&pen.doc));
    assert_eq!(told(&diff), "*[*paragraph[+a|+bc|+d|=aa|- the|= end]]");
    // Rows 2 and 4 are of person 0, rows 3 and 5 of person 1.
    pen.colour(&mut diff, 0, |row| Some((row % 2) as u32));
    let blocks = diff.roots["default"].content.parts();
    let runs = blocks[0].content.parts();
    let seen: Vec<_> = runs.iter().map(|run| (run.row, run.author)).collect();
    let by = |row| (Some(row), Some((row % 2) as u32));
    assert_eq!(
        seen,
        [by(2), by(3), by(4), (None, None), by(5), (None, None)]
    );
    // As one person all three are one run.
    pen.colour(&mut diff, 0, |_| Some(0));
    assert_eq!(told(&diff), "*[*paragraph[+abcd|=aa|- the|= end]]");
}

#[test]
fn a_run_is_cut_where_its_writer_paused() {
    let mut pen = Pen::new();
    pen.write(1, |txn| add_block(txn, 0, "paragraph", ""));
    let before = tree(&pen.doc);
    // The last letter comes first in the text, and is nearer to the one after it than to the last.
    for (at, word, now) in [
        (0, "one", 0),
        (3, " two", ONE_GO),
        (7, " three", ONE_GO + 1),
        (13, " four", 3 * ONE_GO),
        (0, "and ", 4 * ONE_GO),
    ] {
        pen.now = now;
        pen.write(2, |txn| line(txn, 0).insert(txn, at, word));
    }
    let mut diff = checked(&before, &tree(&pen.doc));
    pen.colour(&mut diff, 1, |_| Some(0));
    assert_eq!(told(&diff), "*[*paragraph[+and |+one two|+ three|+ four]]");
    let runs = diff.roots["default"].content.parts()[0].content.parts();
    let times: Vec<_> = runs.iter().map(|run| run.at).collect();
    let expected = [4 * ONE_GO, 0, ONE_GO + 1, 3 * ONE_GO];
    assert_eq!(times, expected.map(Some));
    let json = serde_json::to_value(runs[2]).unwrap();
    assert_eq!(json["at"], "1970-01-01T00:05:00.001Z");
}

#[test]
fn a_run_is_cut_where_the_writer_changes() {
    let mut pen = Pen::new();
    pen.write(1, |txn| add_block(txn, 0, "paragraph", "x"));
    let before = tree(&pen.doc);
    // One client whose letters came in three rows; the middle one is another author's (the log says so).
    for words in ["one", "🦀🦀", "end"] {
        pen.write(2, |txn| {
            let len = line(txn, 0).len(txn);
            line(txn, 0).insert(txn, len, words);
        });
    }
    let mut diff = checked(&before, &tree(&pen.doc));
    assert_eq!(told(&diff), "*[*paragraph[=x|+one🦀🦀end]]");
    pen.colour(&mut diff, 0, |row| Some(u32::from(row == 3)));
    assert_eq!(told(&diff), "*[*paragraph[=x|+one|+🦀🦀|+end]]");
    checked(&before, &tree(&pen.doc));
}

fn mark(
    txn: &mut yrs::TransactionMut<'_>,
    (at, len): (u32, u32),
    key: &str,
    value: impl Into<Any>,
) {
    line(txn, 0).format(txn, at, len, [(key.into(), value.into())].into());
}

/// The runs of the first block that are not what they were, each with the row that did it.
fn rows_of_runs(diff: &Diff) -> Vec<(String, Option<Row>)> {
    let blocks = diff.roots["default"].content.parts();
    let runs = blocks[0].content.parts().into_iter();
    let runs = runs.filter(|run| run.change != Change::Same);
    let told = runs.map(|run| match &run.content {
        Content::Run { text, .. } => (text.clone(), run.row),
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn formatting_is_by_who_gave_a_mark_or_took_it() {
    let mut pen = Pen::new();
    pen.write(1, |txn| {
        add_block(txn, 0, "paragraph", "one two three four five six");
    });
    pen.write(1, |txn| mark(txn, (14, 4), "bold", true));
    pen.write(1, |txn| mark(txn, (24, 3), "link", "old"));
    let before = tree(&pen.doc);
    pen.write(2, |txn| mark(txn, (0, 3), "bold", true));
    pen.write(3, |txn| mark(txn, (14, 4), "bold", Any::Null));
    pen.write(4, |txn| mark(txn, (3, 4), "bold", true));
    pen.write(5, |txn| mark(txn, (4, 3), "italic", true));
    pen.write(6, |txn| mark(txn, (24, 3), "link", "new"));
    // Given and taken again: nothing of it is left.
    pen.write(7, |txn| mark(txn, (8, 5), "bold", true));
    pen.write(8, |txn| mark(txn, (8, 5), "bold", Any::Null));
    pen.write(9, |txn| line(txn, 0).insert(txn, 0, "0 "));
    let mut diff = checked(&before, &tree(&pen.doc));
    pen.colour(&mut diff, 3, |row| Some(row as u32));
    let row = |text: &str, row| (text.to_owned(), Some(row));
    assert_eq!(
        rows_of_runs(&diff),
        [
            row("0 ", 11),
            row("one", 4),
            row(" ", 6),
            row("two", 7),
            row("four", 5),
            row("six", 8)
        ]
    );
    // All by one: a run is cut only where the marks are others.
    pen.colour(&mut diff, 3, |_| Some(0));
    let blocks = diff.roots["default"].content.parts();
    let runs = blocks[0].content.parts();
    let bold = runs.iter().find(|run| run.change == Change::Formatted);
    assert!(matches!(&bold.unwrap().content, Content::Run { text, .. } if text == "one "));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn who_formatted_a_letter_is_who_changed_it_last(
        acts in prop::collection::vec(
            (prop::option::weighted(0.85, any::<bool>()), any::<bool>(), 0..20u32, 1..12u32), 2..24),
        known in 0..8usize,
    ) {
        let mut pen = Pen::new();
        let mut letters: Vec<char> = ('a'..='p').collect();
        let mut fresh = 'A'..='Z';
        let words: String = letters.iter().collect();
        pen.write(1, |txn| add_block(txn, 0, "paragraph", &words));
        // What each letter has, with the row that gave it.
        let mut model: BTreeMap<(char, &str), (bool, Row)> = BTreeMap::new();
        let mut before = None;
        for (act, (is_bold, is_on, at, len)) in acts.into_iter().enumerate() {
            if act == known {
                before = Some((tree(&pen.doc), pen.rows));
            }
            let at = at % letters.len() as u32;
            let len = len.min(letters.len() as u32 - at);
            let client = 2 + u64::from(at + len) % 3;
            let Some(is_bold) = is_bold else {
                let letter = fresh.next().unwrap();
                pen.write(client, |txn| line(txn, 0).insert(txn, at, &letter.to_string()));
                letters.insert(at as usize, letter);
                continue;
            };
            let key = if is_bold { "bold" } else { "italic" };
            let value = if is_on { Any::from(true) } else { Any::Null };
            pen.write(client, |txn| mark(txn, (at, len), key, value));
            for letter in &letters[at as usize..(at + len) as usize] {
                let has = model.entry((*letter, key)).or_default();
                if has.0 != is_on {
                    *has = (is_on, pen.rows);
                }
            }
        }
        let Some((before, from)) = before else {
            return Ok(());
        };
        let mut diff = checked(&before, &tree(&pen.doc));
        pen.colour(&mut diff, from, |row| Some(row as u32));
        let blocks = diff.roots["default"].content.parts();
        for run in blocks.iter().flat_map(|block| block.content.parts()) {
            let Content::Run { text, marks, before: Some(before) } = &run.content else {
                continue;
            };
            let changed = ["bold", "italic"].into_iter();
            let changed: Vec<_> = changed.filter(|key| before.get(*key) != marks.get(*key)).collect();
            // Those that came later began with what their neighbours had.
            for letter in text.chars().filter(char::is_ascii_lowercase) {
                let rows = changed.iter().map(|key| model[&(letter, *key)].1);
                prop_assert_eq!(run.row, rows.max(), "{} of {}", letter, text);
            }
        }
    }
}

#[test]
fn a_single_row_formatted_whatever_there_is() {
    let mut pen = Pen::new();
    pen.write(1, |txn| add_block(txn, 0, "paragraph", "one two three"));
    let before = tree(&pen.doc);
    pen.write(2, |txn| mark(txn, (4, 3), "bold", true));
    let mut diff = checked(&before, &tree(&pen.doc));
    let writers = Writers {
        provenance: &pen.log,
        rows: 2..=2,
        formatting: &Formatting::of(
            2..=2,
            pen.log.markings(2, |_| true),
            &diff.formatted().0,
            |_| Err("the document is not needed"),
        )
        .unwrap(),
        at: &|_| None,
        sole: &|| None,
    };
    diff.colour(&writers, |row| Some(row as u32));
    assert_eq!(rows_of_runs(&diff), [("two".to_owned(), Some(2))]);
}

#[test]
fn an_attribute_is_by_who_set_it_last() {
    let mut pen = Pen::new();
    pen.write(1, |txn| {
        add_block(txn, 0, "heading", "one");
        add_block(txn, 1, "heading", "two");
        add_block(txn, 2, "heading", "three");
        block(txn, 0).insert_attribute(txn, "level", 1);
        block(txn, 1).insert_attribute(txn, "level", 1);
    });
    let before = tree(&pen.doc);
    pen.write(2, |txn| {
        block(txn, 0).insert_attribute(txn, "level", 2);
    });
    pen.write(3, |txn| {
        block(txn, 0).insert_attribute(txn, "level", 3);
    });
    pen.write(4, |txn| block(txn, 1).remove_attribute(txn, &"level"));
    pen.write(5, |txn| {
        block(txn, 2).insert_attribute(txn, "level", 2);
    });
    pen.write(6, |txn| line(txn, 0).insert(txn, 0, "the "));
    let mut diff = checked(&before, &tree(&pen.doc));
    pen.colour(&mut diff, 1, |row| Some(row as u32));
    let blocks = diff.roots["default"].content.parts();
    let rows: Vec<_> = blocks.iter().map(|block| block.row).collect();
    assert_eq!(rows, [Some(3), Some(4), Some(5)]);
}

/// The map that is the root, or the one in it.
fn map(txn: &yrs::TransactionMut<'_>, is_inner: bool) -> MapRef {
    let root = txn.get_map("map").unwrap();
    match root.get(txn, "in") {
        Some(Out::YMap(inner)) if is_inner => inner,
        _ => root,
    }
}

/// The parts of a map that are not what they were, with the row and the author of each.
fn set_by(entry: &Entry) -> BTreeMap<&str, (Option<Row>, Option<u32>)> {
    let Content::Map { entries } = &entry.content else {
        panic!("{entry:?}");
    };
    let changed = entries.iter().filter(|(key, _)| *key != "in");
    let changed = changed.filter(|(_, value)| value.change != Change::Same);
    changed
        .map(|(key, value)| (key.as_str(), (value.row, value.author)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    /// Also when they do not know of each other, and one value gives way to another that was there first.
    #[test]
    fn a_value_in_a_map_is_by_who_made_it_what_it_is(
        acts in prop::collection::vec((0..3usize, any::<bool>(), 0..3usize, 0..4u32), 2..40),
        known in 0..12usize,
    ) {
        let mut pen = Pen::new();
        pen.write(1, |txn| {
            map(txn, false).insert(txn, "in", MapPrelim::default());
        });
        let replicas = [11, 12, 13].map(doc_with);
        replicas.iter().for_each(|own| pen.show(own));
        let read = |pen: &Pen| [false, true].map(|is_inner| {
            let txn = pen.doc.transact_mut();
            let map = map(&txn, is_inner);
            ["a", "b", "c"].map(|key| map.get(&txn, key).map(|value| value.to_string(&txn)))
        });
        let mut seen = read(&pen);
        let mut model: BTreeMap<(bool, usize), Row> = BTreeMap::new();
        let mut before = None;
        for (act, (who, is_inner, key, what)) in acts.into_iter().enumerate() {
            if act == known {
                before = Some((tree(&pen.doc), pen.rows, seen.clone()));
            }
            let (own, name) = (&replicas[who], ["a", "b", "c"][key]);
            match what {
                0 => pen.show(own),
                1 => pen.write_in(own, |txn| drop(map(txn, is_inner).remove(txn, name))),
                _ => pen.write_in(own, |txn| {
                    map(txn, is_inner).insert(txn, name, act as f64);
                }),
            }
            let now = read(&pen);
            for is_inner in [false, true] {
                for key in 0..3 {
                    if now[usize::from(is_inner)][key] != seen[usize::from(is_inner)][key] {
                        model.insert((is_inner, key), pen.rows);
                    }
                }
            }
            seen = now;
        }
        let Some((before, from, was)) = before else {
            return Ok(());
        };
        let mut diff = checked(&before, &tree(&pen.doc));
        pen.colour(&mut diff, from, |row| Some(row as u32));
        let root = &diff.roots["map"];
        let nothing = Entry::new(Change::Same, Content::Map { entries: BTreeMap::new() });
        let inner = match &root.content {
            Content::Map { entries } if entries["in"].change != Change::Same => &entries["in"],
            _ => &nothing,
        };
        let root = if root.change == Change::Same { &nothing } else { root };
        for (is_inner, entry) in [(false, root), (true, inner)] {
            let at = usize::from(is_inner);
            let changed = (0..3).filter(|key| seen[at][*key] != was[at][*key]);
            let wanted: BTreeMap<_, _> = changed
                .map(|key| {
                    let row = model[&(is_inner, key)];
                    (["a", "b", "c"][key], (Some(row), Some(row as u32)))
                })
                .collect();
            prop_assert_eq!(set_by(entry), wanted);
        }
    }
}

#[test]
fn a_map_in_a_list_is_itself_whatever_is_in_it_now() {
    let mut pen = Pen::new();
    let list = |txn: &yrs::TransactionMut<'_>| txn.get_array("list").unwrap();
    let task = |words: &str| MapPrelim::from([("text", words)]);
    pen.write(1, |txn| {
        list(txn).insert(txn, 0, task("buy milk"));
        list(txn).insert(txn, 1, task("call Ben"));
        list(txn).insert(txn, 2, task("sleep"));
    });
    let before = tree(&pen.doc);
    pen.write(2, |txn| {
        for (at, words) in [(1, "write a letter"), (2, "get up")] {
            let Some(Out::YMap(task)) = list(txn).get(txn, at) else {
                panic!("no map");
            };
            task.insert(txn, "text", words);
        }
        list(txn).remove(txn, 0);
    });
    let diff = checked(&before, &tree(&pen.doc));
    let tasks = diff.roots["list"].content.parts();
    let fates: Vec<_> = tasks.iter().map(|task| task.change).collect();
    assert_eq!(fates, [Change::Removed, Change::Changed, Change::Changed]);
}

#[test]
fn what_has_no_id_of_its_own_is_by_who_wrote_all_the_rows() {
    let mut pen = Pen::new();
    let list = |txn: &yrs::TransactionMut<'_>| txn.get_array("list").unwrap();
    let text = |txn: &yrs::TransactionMut<'_>| txn.get_text("text").unwrap();
    pen.write(1, |txn| {
        list(txn).insert_range(txn, 0, [1, 2, 3]);
        text(txn).insert(txn, 0, "an embed: ");
    });
    let before = tree(&pen.doc);
    pen.write(2, |txn| {
        list(txn).remove(txn, 0);
        text(txn).insert_embed(txn, 10, Any::from(5));
    });
    pen.write(2, |txn| {
        list(txn).insert(txn, 2, 4);
    });
    let formatting = Formatting::of(2..=3, Vec::new(), &HashSet::new(), |_| Ok::<_, ()>(()));
    let authors = |sole: Option<Row>| {
        let mut diff = checked(&before, &tree(&pen.doc));
        let writers = Writers {
            provenance: &pen.log,
            rows: 2..=3,
            formatting: formatting.as_ref().unwrap(),
            at: &|_| None,
            sole: &|| sole,
        };
        diff.colour(&writers, |row| Some(row as u32));
        let parts = ["list", "text"].map(|root| diff.roots[root].content.parts());
        let parts = parts.iter().flatten().map(|part| part.author);
        parts.collect::<Vec<_>>()
    };
    let by = Some(2);
    assert_eq!(authors(Some(2)), [by, None, None, by, None, by]);
    assert_eq!(authors(None), [None; 6]);
}

#[test]
fn what_came_back_with_new_ids_counts_as_the_same() {
    let mut pen = Pen::new();
    pen.write(1, |txn| {
        add_block(txn, 0, "paragraph", "one is here");
        add_block(txn, 1, "paragraph", "two is here");
    });
    let before = tree(&pen.doc);
    pen.write(2, |txn| {
        line(txn, 0).remove_range(txn, 4, 7);
        fragment(txn).remove_range(txn, 1, 1);
    });
    pen.write(2, |txn| {
        line(txn, 0).insert(txn, 4, "is here");
        add_block(txn, 1, "paragraph", "two is here");
    });
    assert_eq!(
        told(&checked(&before, &tree(&pen.doc))),
        "=[=paragraph[=one is here]|=paragraph[=two is here]]"
    );
}

#[test]
fn an_edited_block_is_itself_though_a_copy_of_it_stands_beside_it() {
    let mut pen = Pen::new();
    pen.write(1, |txn| add_block(txn, 0, "paragraph", "hello big world"));
    let before = tree(&pen.doc);
    pen.write(2, |txn| {
        line(txn, 0).insert(txn, 15, "s");
        add_block(txn, 1, "paragraph", "hello big world");
    });
    assert_eq!(
        told(&checked(&before, &tree(&pen.doc))),
        "*[*paragraph[=hello big world|+s]|+paragraph[+hello big world]]"
    );
}

#[test]
fn a_block_whose_text_went_into_anothers_element_is_known_by_its_text() {
    let mut pen = Pen::new();
    pen.write(1, |txn| {
        add_block(txn, 0, "paragraph", "one");
        add_block(txn, 1, "paragraph", "two");
    });
    let before = tree(&pen.doc);
    // As the editor's binding may write it when the blocks change places.
    pen.write(2, |txn| {
        line(txn, 0).remove_range(txn, 0, 3);
        line(txn, 0).insert(txn, 0, "two");
        fragment(txn).remove_range(txn, 1, 1);
        add_block(txn, 1, "paragraph", "one");
    });
    assert_eq!(
        told(&checked(&before, &tree(&pen.doc))),
        "*[~<|=paragraph[=two]|~paragraph[=one]]"
    );
}

#[test]
fn a_moved_block_is_by_who_moved_it() {
    let mut pen = Pen::new();
    pen.write(1, |txn| {
        for (at, words) in ["one", "two", "three"].into_iter().enumerate() {
            add_block(txn, at as u32, "paragraph", words);
        }
    });
    let before = tree(&pen.doc);
    pen.write(2, |txn| {
        fragment(txn).remove_range(txn, 0, 1);
        add_block(txn, 2, "paragraph", "one");
    });
    let mut diff = checked(&before, &tree(&pen.doc));
    pen.colour(&mut diff, 0, |row| Some(row as u32));
    let parts = diff.roots["default"].content.parts();
    assert_eq!((parts[3].change, parts[3].row), (Change::Moved, Some(2)));
    assert_eq!((parts[0].moved, parts[3].moved), (Some(0), Some(0)));
}

/// One random edit. Positions are taken modulo what there is.
fn edit(txn: &mut yrs::TransactionMut<'_>, (kind, a, b): (u8, u32, u32)) {
    const WORDS: [&str; 6] = ["one ", "two", " three", "é🦀", "\u{301}", "x y"];
    let word = WORDS[(a + b) as usize % WORDS.len()];
    let body = fragment(txn);
    let blocks = body.len(txn);
    let bold = |on: bool| Attrs::from([("bold".into(), if on { true.into() } else { Any::Null })]);
    if blocks == 0 && kind < 8 {
        return add_block(txn, 0, "paragraph", word);
    }
    let at = a % blocks.max(1);
    match kind {
        0 => add_block(
            txn,
            b % (blocks + 1),
            ["paragraph", "heading"][(a % 2) as usize],
            word,
        ),
        1 => body.remove_range(txn, at, 1),
        2 => {
            // Moves a block as an editor does: with new ids.
            let block = block(txn, at);
            let name = block.tag().clone();
            let words = match block.get(txn, 0) {
                Some(XmlOut::Text(text)) => text.get_string(txn),
                _ => String::new(),
            };
            body.remove_range(txn, at, 1);
            add_block(txn, b % blocks, &name, &words);
        }
        3 => drop(block(txn, at).insert_attribute(
            txn,
            ["level", "checked"][(b % 2) as usize],
            f64::from(b),
        )),
        4 => block(txn, at).remove_attribute(txn, &"level"),
        5 => {
            let inner = block(txn, at).push_back(txn, XmlElementPrelim::empty("hardBreak"));
            inner.insert_attribute(txn, "n", f64::from(b));
        }
        6 => drop(block(txn, at).push_back(txn, XmlTextPrelim::new(word))),
        7..=14 => {
            let Some(XmlOut::Text(text)) =
                (blocks > 0).then(|| block(txn, at).get(txn, 0)).flatten()
            else {
                return;
            };
            let len = text.len(txn);
            let from = b % (len + 1);
            match kind {
                7 => text.remove_range(txn, from, (len - from).min(1 + a % 5)),
                8 => text.format(txn, from, (len - from).min(1 + a % 5), bold(a % 3 > 0)),
                _ => text.insert(txn, from, word),
            }
        }
        15 => {
            let text = txn.get_text("text").unwrap();
            let from = b % (text.len(txn) + 1);
            text.insert(txn, from, word);
        }
        16 => {
            let text = txn.get_text("text").unwrap();
            let len = text.len(txn);
            text.remove_range(txn, b % (len + 1), u32::from(b % (len + 1) < len));
        }
        17 => {
            let list = txn.get_array("list").unwrap();
            let from = b % (list.len(txn) + 1);
            list.insert(
                txn,
                from,
                if a % 2 == 0 {
                    Any::from(f64::from(a % 4))
                } else {
                    Any::from(word)
                },
            );
        }
        18 => {
            let list = txn.get_array("list").unwrap();
            if list.len(txn) > 0 {
                list.remove(txn, b % list.len(txn));
            }
        }
        _ => {
            let map = txn.get_map("map").unwrap();
            let key = ["k", "l"][(a % 2) as usize];
            match b % 3 {
                0 => drop(map.remove(txn, key)),
                1 => drop(map.insert(txn, key, yrs::TextPrelim::new(word))),
                _ => drop(map.insert(txn, key, f64::from(b))),
            }
        }
    }
}

/// The tree without its ids.
fn bare(roots: &Roots) -> Roots {
    fn strip(node: &mut Node) {
        match node {
            Node::Text(chunks) | Node::XmlText(chunks) => {
                chunks.iter_mut().for_each(|chunk| {
                    chunk.id = None;
                    strip(&mut chunk.insert);
                });
            }
            Node::Map(entries) => entries.values_mut().for_each(strip_part),
            Node::Array(items) | Node::Fragment(items) => items.iter_mut().for_each(strip_part),
            Node::Element { children, id, .. } => {
                *id = None;
                children.iter_mut().for_each(strip_part);
            }
            _ => {}
        }
    }
    fn strip_part(part: &mut Part) {
        let mut node = Node::clone(part);
        strip(&mut node);
        *part = node.into();
    }
    let mut roots = roots.clone();
    roots.values_mut().for_each(strip);
    roots
}

fn is_all_same(entry: &Entry) -> bool {
    entry.change == Change::Same && entry.content.parts().into_iter().all(is_all_same)
}

/// What has an id was written, and removed elements were deleted. (Of two blocks with the same text the one that stayed may
/// be taken for the other, so that letters count as removed that are still there.)
fn ids_are_known(entry: &Entry, log: &Provenance) {
    if let Some(id) = entry.id {
        let is_element = matches!(entry.content, Content::Element { .. });
        let deleted = log.deleted(id).is_some();
        assert!(log.written(id).is_some(), "{entry:?}");
        assert!(
            !is_element || deleted == (entry.change == Change::Removed),
            "{entry:?}"
        );
        assert!(!deleted || entry.change == Change::Removed, "{entry:?}");
    }
    let parts = entry.content.parts();
    parts.into_iter().for_each(|part| ids_are_known(part, log));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_difference_holds_both_states_of_any_history(
        edits in prop::collection::vec((1_u64..4, (0_u8..20, 0_u32..40, 0_u32..40)), 1..60),
        moments in (0_usize..60, 0_usize..60),
    ) {
        let mut pen = Pen::new();
        let mut states = vec![tree(&pen.doc)];
        for (client, op) in edits {
            pen.write(client, |txn| edit(txn, op));
            states.push(tree(&pen.doc));
        }
        let at = |moment: usize| &states[moment % states.len()];
        let (one, other, last) = (at(moments.0), at(moments.1), &states[states.len() - 1]);
        for (before, after) in [(one, last), (one, other), (last, one)] {
            let mut with_ids = checked(before, after);
            checked(&bare(before), &bare(after));
            pen.colour(&mut with_ids, 0, |row| Some((row % 3) as u32));
            prop_assert_eq!(project(&with_ids, Which::Before), wanted(before));
            prop_assert_eq!(project(&with_ids, Which::After), wanted(after));
        }
        for entry in diff(one, last).roots.values() {
            ids_are_known(entry, &pen.log);
        }
        let same = diff(last, last);
        prop_assert!(same.roots.values().all(is_all_same));
        prop_assert_eq!(same, unchanged(last));
    }

    #[test]
    fn any_two_lines_of_text_have_a_difference(
        before in prop::collection::vec(("[ab é🦀\u{301}]{0,6}", 0_usize..3), 0..8),
        after in prop::collection::vec(("[ab é🦀\u{301}]{0,6}", 0_usize..3), 0..8),
    ) {
        const MARKS: [&[&str]; 3] = [&[], &["bold"], &["bold", "italic"]];
        let line = |runs: &[(String, usize)]| {
            let runs: Vec<_> = runs
                .iter()
                .filter(|(text, _)| !text.is_empty())
                .map(|(text, marks)| (text.as_str(), MARKS[*marks]))
                .collect();
            body(vec![element("paragraph", vec![rich(&runs)])])
        };
        checked(&line(&before), &line(&after));
    }
}

/// What this thread has worked so far: others on the machine do not count.
pub(super) fn cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).expect("it does not go back")
}

#[test]
fn large_documents_in_which_everything_changed_take_bounded_time() {
    let mut seed = 1_u32;
    let mut next = |n: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % n
    };
    let mut words = |count: usize, kinds: u32, label: &str| -> String {
        (0..count)
            .map(|_| format!("{label}{} ", next(kinds)))
            .collect()
    };
    let mut cases = Vec::new();
    // One paragraph of 100,000 words, and 2,000 of 50: all words other ones, or the same in another order.
    for (kinds, other) in [(40_000, "o"), (500, "w"), (2, "w")] {
        let (one, two) = (words(100_000, kinds, "w"), words(100_000, kinds, other));
        cases.push((
            format!("1 × {kinds}"),
            body(vec![p(&one)]),
            body(vec![p(&two)]),
        ));
        let mut blocks = |label| (0..2_000).map(|_| p(&words(50, kinds, label))).collect();
        let (one, two) = (blocks("w"), blocks(other));
        cases.push((format!("2,000 × {kinds}"), body(one), body(two)));
    }
    let repeated = |n: usize| body((0..n).map(|_| p("the same")).collect());
    cases.push(("copies".into(), repeated(20_000), repeated(30_000)));
    for (name, before, after) in &cases {
        let start = cpu_time();
        let found = diff(before, after);
        let took = cpu_time() - start;
        // Up to 7 s without optimisation, less than one in a release build, and minutes where work grows with the square of the sizes.
        assert!(took.as_secs() < 30, "{name}: {took:?}");
        assert_eq!(project(&found, Which::Before), wanted(before), "{name}");
        assert_eq!(project(&found, Which::After), wanted(after), "{name}");
    }
}

#[test]
fn ids_of_other_documents_do_no_harm() {
    let mut docs = ["ab cd", "cd ab"].map(|words| {
        let mut pen = Pen::new();
        pen.write(1, |txn| add_block(txn, 0, "paragraph", words));
        tree(&pen.doc)
    });
    checked(&docs[0], &docs[1]);
    // The same ids in another order, as no document has them.
    if let Some(Node::Fragment(blocks)) = docs[1].get_mut("default") {
        let mut other = p("zz");
        if let Node::Element { id, .. } = &mut other {
            *id = Some(Id::new(1, 0));
        }
        blocks.push(other.into());
    }
    checked(&docs[0], &docs[1]);
    checked(&docs[1], &docs[0]);
}

/// A line with an id.
fn known(clock: u32, words: &str) -> Part {
    let mut line = p(words);
    if let Node::Element { id, .. } = &mut line {
        *id = Some(Id::new(7, clock));
    }
    line.into()
}

fn lines(lines: &[&Part]) -> Roots {
    let lines = lines.iter().copied().cloned().collect();
    BTreeMap::from([("default".into(), Node::Fragment(lines))])
}

/// A difference as HTML in which an author did everything, in a row that is known or not.
fn written(mut diff: Diff, author: &str, row: Option<Row>) -> String {
    fn sign(entry: &mut Entry, row: Option<Row>) {
        if matches!(entry.change, Change::Added | Change::Removed) {
            (entry.row, entry.author) = (row, Some(0));
        }
        let parts = entry.content.parts_mut().into_iter();
        parts.for_each(|part| sign(part, row));
    }
    diff.roots.values_mut().for_each(|entry| sign(entry, row));
    html::difference(&diff, &[author.to_owned()])
}

#[test]
fn a_line_that_was_written_before_is_not_written_again_unless_something_else_became_of_it() {
    let fresh = |before: &Roots, after: &Roots| {
        written(diff_with(before, after, Copies::default()), "ada", Some(1))
    };
    let told = |before: &Roots, after: &Roots, author: &str| {
        let diff = diff_to_write(before, after, Copies::default());
        written(diff, author, Some(1))
    };
    let (one, two, gone) = (
        known(1, "one two three"),
        known(2, "and some more"),
        known(3, "no words of these"),
    );
    let after = lines(&[&two, &one]);
    let befores = [
        lines(&[]),
        lines(&[&gone]),
        // In the place of its element stood another line.
        lines(&[&known(1, "other letters"), &two]),
        // It stood elsewhere.
        lines(&[&known(9, "one two three"), &two]),
        lines(&[&two, &known(1, "one two")]),
        lines(&[&two, &known(1, "two three")]),
        lines(&[&two, &one]),
    ];
    for before in befores.iter().chain(befores.iter().rev()) {
        for [before, after] in [[before, &after], [&after, before]] {
            let expected = fresh(before, after);
            assert_eq!(told(before, after, "ada"), expected);
        }
    }
    // Who it is by now does not show, as nobody asked.
    let others = [
        (&befores[0], "added"),
        (&befores[1], "removed"),
        (&befores[4], "changed"),
    ];
    for (before, change) in others {
        let expected = fresh(before, &after);
        assert!(expected.contains(change), "{expected}");
        assert_eq!(told(before, &after, "ada"), expected);
        assert_eq!(told(before, &after, "ben"), expected);
    }
}

#[test]
fn a_line_by_nobody_who_is_known_is_written_again() {
    let (before, after) = (lines(&[]), lines(&[&known(1, "one")]));
    let by = |author| {
        written(
            diff_to_write(&before, &after, Copies::default()),
            author,
            None,
        )
    };
    for author in ["ada", "ben"] {
        let html = by(author);
        assert!(
            html.contains(&format!("data-author=\"{author}\"")),
            "{html}"
        );
    }
}
