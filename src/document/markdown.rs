//! A document as Markdown: CommonMark, with the task lists and the strikethrough of GitHub.
//!
//! Text comes back as it was: whatever Markdown would read as its own is escaped. Where the signs of a mark would not be
//! read as such (inside a word, beside another mark), the mark is written as an HTML tag, as is underlining always. What
//! Markdown has no form for (empty paragraphs, marks and nodes it does not know) is left out; the text inside stays.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

use yrs::Any;

use super::{
    html::safe_href,
    tree::{self, Chunk, Node, Part, is_inline},
};

/// A state, with an empty line between its roots.
pub fn state(roots: &BTreeMap<String, Node>) -> String {
    let mut blocks = Vec::new();
    for root in roots.values() {
        root_blocks(root, &mut blocks);
    }
    let mut out = blocks.join("\n\n");
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn root_blocks(root: &Node, out: &mut Vec<String>) {
    match root {
        Node::Fragment(children) => out.extend(blocks(children)),
        Node::Text(chunks) | Node::XmlText(chunks) => {
            let mut line = Line::default();
            line.chunks(chunks);
            out.extend(line.written());
        }
        node => out.push(fenced("json", &tree::to_json(node).to_string())),
    }
}

/// Each block by itself, without a line break at the end.
fn blocks(children: &[Part]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    // Lists of one kind beside each other would be read as one; the next one gets another sign.
    let mut last_list: Option<(bool, bool)> = None;
    let mut at = 0;
    while let Some(child) = children.get(at) {
        at += 1;
        let Node::Element {
            name,
            attrs,
            children: inner,
            ..
        } = &**child
        else {
            // Text that stands in no block makes a paragraph, with all that follows in its line.
            let mut line = Line::default();
            line.node(child);
            while let Some(Node::XmlText(_)) = children.get(at).map(|part| &**part) {
                line.node(&children[at]);
                at += 1;
            }
            last_list = None;
            out.extend(line.written());
            continue;
        };
        let list = match name.as_str() {
            "bulletList" | "taskList" => Some(false),
            "orderedList" => Some(true),
            _ => None,
        };
        if let Some(ordered) = list {
            let other = last_list.is_some_and(|(kind, other)| kind == ordered && !other);
            last_list = Some((ordered, other));
            let start = number(attrs, "start").unwrap_or(1);
            out.extend(items(inner, ordered.then_some(start), other));
            continue;
        }
        let block = element(name, attrs, inner);
        if !block.is_empty() {
            last_list = None;
        }
        out.extend(block);
    }
    out
}

fn element(name: &str, attrs: &BTreeMap<String, Node>, inner: &[Part]) -> Vec<String> {
    match name {
        "heading" => {
            let level = number(attrs, "level").unwrap_or(1).clamp(1, 6) as usize;
            let line = Line::of(inner).written();
            // A heading is one line.
            let line = line.map(|line| line.replace("\\\n", "<br>"));
            vec![format!(
                "{} {}",
                "#".repeat(level),
                line.unwrap_or_default()
            )]
        }
        "codeBlock" => {
            let language = match attrs.get("language") {
                Some(Node::Value(Any::String(language))) => language.as_ref(),
                _ => "",
            };
            let is_name = |c: char| c.is_ascii_alphanumeric() || "+-#._".contains(c);
            let language = if language.chars().all(is_name) {
                language
            } else {
                ""
            };
            let text: String = inner.iter().map(|part| tree::to_text(part)).collect();
            vec![fenced(language, &text)]
        }
        "horizontalRule" => vec!["***".into()],
        "blockquote" => {
            let text = blocks(inner).join("\n\n");
            let quoted = text.split('\n').map(|line| format!("> {line}"));
            let quoted = quoted.map(|line| line.trim_end().to_owned());
            vec![quoted.collect::<Vec<_>>().join("\n")]
        }
        _ if is_inline(inner) => Line::of(inner).written().into_iter().collect(),
        _ => blocks(inner),
    }
}

/// A list: one block, its items without empty lines between them unless one of them holds several blocks.
fn items(inner: &[Part], start: Option<i64>, other: bool) -> Option<String> {
    let mut items = Vec::new();
    for (at, item) in inner.iter().enumerate() {
        let (attrs, children) = match &**item {
            Node::Element {
                attrs, children, ..
            } => (attrs, children.as_slice()),
            _ => (&BTreeMap::new(), std::slice::from_ref(item)),
        };
        let sign = match (start, other) {
            (None, false) => "-".to_owned(),
            (None, true) => "*".to_owned(),
            (Some(start), other) => {
                let number = start.clamp(0, 1_000_000) + at as i64;
                format!("{number}{}", if other { ')' } else { '.' })
            }
        };
        let task = match attrs.get("checked") {
            Some(Node::Value(Any::Bool(true))) => "[x] ",
            Some(Node::Value(Any::Bool(false))) => "[ ] ",
            _ => "",
        };
        let indent = " ".repeat(sign.len() + 1);
        let text = blocks(children).join("\n\n");
        let text = text.split('\n').enumerate().map(|(at, line)| match at {
            0 => format!("{sign} {task}{line}"),
            _ if line.is_empty() => String::new(),
            _ => format!("{indent}{line}"),
        });
        items.push(text.collect::<Vec<_>>().join("\n"));
    }
    let loose = items.iter().any(|item| item.contains("\n\n"));
    (!items.is_empty()).then(|| items.join(if loose { "\n\n" } else { "\n" }))
}

fn fenced(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{fence}{language}\n{text}{end}{fence}")
}

/// How many backticks follow each other at most.
fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

fn number(attrs: &BTreeMap<String, Node>, key: &str) -> Option<i64> {
    match attrs.get(key) {
        Some(node @ Node::Value(_)) => tree::to_json(node).as_f64().map(|number| number as i64),
        _ => None,
    }
}

/// The runs of a paragraph; `None` is a line break.
#[derive(Default)]
struct Line<'t> {
    runs: Vec<Option<Run<'t>>>,
}

struct Run<'t> {
    text: String,
    marks: &'t BTreeMap<String, Any>,
}

impl<'t> Line<'t> {
    fn of(children: &'t [Part]) -> Self {
        let mut line = Self::default();
        children.iter().for_each(|child| line.node(child));
        line
    }

    fn node(&mut self, node: &'t Node) {
        static PLAIN: BTreeMap<String, Any> = BTreeMap::new();
        match node {
            Node::XmlText(chunks) => self.chunks(chunks),
            Node::Element { name, .. } if name == "hardBreak" => self.runs.push(None),
            node => self.push(tree::to_text(node), &PLAIN),
        }
    }

    fn chunks(&mut self, chunks: &'t [Chunk]) {
        for chunk in chunks {
            let text = match &chunk.insert {
                Node::Value(Any::String(text)) => text.to_string(),
                other => tree::to_text(other),
            };
            self.push(text, &chunk.marks);
        }
    }

    /// Text of the same marks is one run, however it was typed.
    fn push(&mut self, text: String, marks: &'t BTreeMap<String, Any>) {
        match self.runs.last_mut() {
            _ if text.is_empty() => {}
            Some(Some(last)) if last.marks == marks => last.text.push_str(&text),
            _ => self.runs.push(Some(Run { text, marks })),
        }
    }

    /// The paragraph, if there is anything in it.
    fn written(&self) -> Option<String> {
        let mut out = String::new();
        for (at, run) in self.runs.iter().enumerate() {
            let beside = |at: Option<usize>| at.and_then(|at| self.runs.get(at)?.as_ref());
            match run {
                Some(run) => {
                    let before = beside(at.checked_sub(1));
                    run.write(before, beside(Some(at + 1)), &mut out);
                }
                // One at the end of a paragraph would be read as a backslash.
                None if at + 1 < self.runs.len() => out.push_str("\\\n"),
                None => out.push_str("<br>"),
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

impl Run<'_> {
    fn write(&self, before: Option<&Run<'_>>, after: Option<&Run<'_>>, out: &mut String) {
        // Signs of marks do not count beside a space: it goes out of them.
        let core = self.text.trim();
        let marked = |run: &Run<'_>| !run.marks.is_empty();
        if core.is_empty() || !marked(self) {
            return escape(&self.text, before.is_none(), after.is_none(), out);
        }
        let (head, tail) = self.text.split_at(self.text.find(core).unwrap_or(0));
        let tail = &tail[core.len()..];
        escape(head, before.is_none(), false, out);
        let outer = |run: Option<&Run<'_>>, space: &str, edge: fn(&str) -> Option<char>| match run {
            _ if !space.is_empty() => Some(' '),
            Some(run) if marked(run) => None,
            Some(run) => Some(edge(&run.text).unwrap_or(' ')),
            None => Some(' '),
        };
        let outer = [
            outer(before, head, |text| text.chars().next_back()),
            outer(after, tail, |text| text.chars().next()),
        ];
        self.core(core, outer, out);
        escape(tail, false, after.is_none(), out);
    }

    /// `outer`: the characters on both sides; none where another mark ends or begins there.
    fn core(&self, core: &str, outer: [Option<char>; 2], out: &mut String) {
        let code = self.marks.contains_key("code");
        let link = self.marks.get("link").and_then(href);
        let signs: Vec<_> = MARKS
            .iter()
            .filter(|(name, ..)| self.marks.contains_key(*name))
            .collect();
        let inner = [core.chars().next(), core.chars().next_back()];
        let plain = signs.len() < 2 && !code && link.is_none();
        let read = outer.iter().zip(inner).all(|(outer, inner)| {
            let letter = inner.is_some_and(char::is_alphanumeric);
            outer.is_some_and(|outer| {
                outer.is_whitespace() || (plain && letter && outer.is_alphanumeric())
            })
        });
        if link.is_some() {
            out.push('[');
        }
        for (_, sign, tag) in &signs {
            match sign {
                Some(sign) if read => out.push_str(sign),
                _ => out.push_str(&format!("<{tag}>")),
            }
        }
        // In a link at the start of a paragraph such a span would be read as the definition of a reference.
        if code && link.is_some() && core.contains("]:") {
            out.push_str("<code>");
            escape(core, false, false, out);
            out.push_str("</code>");
        } else if code {
            code_span(core, out);
        } else {
            escape(core, false, false, out);
        }
        for (_, sign, tag) in signs.iter().rev() {
            match sign {
                Some(sign) if read => out.push_str(sign),
                _ => out.push_str(&format!("</{tag}>")),
            }
        }
        if let Some(href) = link {
            let href = href
                .replace('\\', "\\\\")
                .replace('<', "\\<")
                .replace('>', "\\>");
            out.push_str(&format!("](<{}>)", href.replace('&', "&amp;")));
        }
    }
}

/// Marks with their signs and tags, from the outside in.
const MARKS: [(&str, Option<&str>, &str); 4] = [
    ("underline", None, "u"),
    ("bold", Some("**"), "strong"),
    ("italic", Some("*"), "em"),
    ("strike", Some("~~"), "del"),
];

fn href(link: &Any) -> Option<&str> {
    match link {
        Any::Map(attrs) => match attrs.get("href") {
            Some(Any::String(href)) => safe_href(href),
            _ => None,
        },
        _ => None,
    }
}

fn code_span(text: &str, out: &mut String) {
    let fence = "`".repeat(longest_run(text) + 1);
    // One space on each side is not part of the code, and keeps backticks apart.
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    let text = text.replace(['\n', '\r'], " ");
    out.push_str(&format!("{fence}{pad}{text}{pad}{fence}"));
}

/// Text as Markdown. `starts` and `ends` say whether a line does before and after it.
fn escape(text: &str, starts: bool, ends: bool, out: &mut String) {
    let mut chars = text.chars().peekable();
    // Whether only what could be the number of a list stands before.
    let mut at_start = starts;
    let mut first = starts;
    while let Some(c) = chars.next() {
        let last = ends && chars.peek().is_none();
        match c {
            '\0' => out.push('\u{fffd}'),
            c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => reference(c, out),
            c if c.is_whitespace() && (first || last || next_is_control(&mut chars)) => {
                reference(c, out);
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '&' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '#' | '+' | '-' | '>' | '=' | '|' | ':' if first => {
                out.push('\\');
                out.push(c);
            }
            '.' | ')' if at_start && !first => {
                out.push('\\');
                out.push(c);
            }
            // What would close a heading.
            '#' if last => out.push_str("\\#"),
            c => out.push(c),
        }
        at_start = at_start && c.is_ascii_digit();
        first = false;
    }
}

fn next_is_control(chars: &mut Peekable<Chars<'_>>) -> bool {
    chars.peek().is_some_and(|c| c.is_control())
}

fn reference(c: char, out: &mut String) {
    out.push_str(&format!("&#{};", u32::from(c)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    use std::collections::BTreeSet;

    use super::*;
    use crate::document::tree::parts;

    fn rich(runs: &[(&str, &[&str])]) -> Node {
        let value = |name: &str| match name {
            "link" => Any::from_json("{\"href\":\"https://example.org/a_b?c&d\"}").unwrap(),
            _ => Any::from(true),
        };
        let chunk = |(text, marks): &(&str, &[&str])| Chunk {
            insert: Node::Value(Any::from(*text)),
            marks: marks
                .iter()
                .map(|name| ((*name).to_owned(), value(name)))
                .collect(),
            id: None,
        };
        Node::XmlText(runs.iter().map(chunk).collect())
    }

    fn element(name: &str, attrs: &[(&str, Any)], children: Vec<Node>) -> Node {
        let attrs = attrs.iter();
        Node::Element {
            name: name.into(),
            attrs: attrs
                .map(|(key, value)| ((*key).to_owned(), Node::Value(value.clone())))
                .collect(),
            children: parts(children),
            id: None,
        }
    }

    fn p(text: &str) -> Node {
        element("paragraph", &[], vec![rich(&[(text, &[])])])
    }

    fn written(blocks: Vec<Node>) -> String {
        state(&BTreeMap::from([(
            "default".into(),
            Node::Fragment(parts(blocks)),
        )]))
    }

    #[test]
    fn every_node_of_the_editor_has_its_form() {
        let item = |name, attrs: &[(&str, Any)], children| element(name, attrs, children);
        let blocks = vec![
            element(
                "heading",
                &[("level", Any::from(2.0))],
                vec![rich(&[("Title #", &[])])],
            ),
            element(
                "bulletList",
                &[],
                vec![
                    item("listItem", &[], vec![p("one")]),
                    item(
                        "listItem",
                        &[],
                        vec![
                            p("two"),
                            element(
                                "bulletList",
                                &[],
                                vec![item("listItem", &[], vec![p("in")])],
                            ),
                        ],
                    ),
                ],
            ),
            element(
                "taskList",
                &[],
                vec![
                    item("taskItem", &[("checked", true.into())], vec![p("done")]),
                    item("taskItem", &[("checked", false.into())], vec![p("open")]),
                ],
            ),
            element(
                "orderedList",
                &[("start", Any::from(3.0))],
                vec![item("listItem", &[], vec![p("three")])],
            ),
            element("blockquote", &[], vec![p("said"), p("more")]),
            element(
                "codeBlock",
                &[("language", Any::from("rust"))],
                vec![rich(&[("a\n```\nb", &[])])],
            ),
            element("horizontalRule", &[], vec![]),
            element(
                "paragraph",
                &[],
                vec![
                    rich(&[("1. a", &[])]),
                    element("hardBreak", &[], vec![]),
                    rich(&[("- b*", &[])]),
                ],
            ),
            element("video", &[], vec![p("inside")]),
        ];
        assert_eq!(
            written(blocks),
            "## Title \\#\n\n- one\n\n- two\n\n  - in\n\n* [x] done\n* [ ] open\n\n3. three\n\n> said\n>\n> more\n\n\
             ````rust\na\n```\nb\n````\n\n***\n\n1\\. a\\\n\\- b\\*\n\ninside\n"
        );
    }

    #[test]
    fn marks_are_signs_where_these_are_read_and_tags_elsewhere() {
        let line = |runs: &[(&str, &[&str])]| {
            let text = written(vec![element("paragraph", &[], vec![rich(runs)])]);
            text.trim_end().to_owned()
        };
        assert_eq!(
            line(&[("a ", &[]), ("bold ", &["bold"]), ("word", &[])]),
            "a **bold** word"
        );
        assert_eq!(
            line(&[("in", &[]), ("the", &["italic"]), ("middle", &[])]),
            "in*the*middle"
        );
        assert_eq!(
            line(&[("a", &[]), ("\"b\"", &["bold"])]),
            "a<strong>\"b\"</strong>"
        );
        assert_eq!(
            line(&[("a", &["bold"]), ("b", &["bold", "italic"])]),
            "<strong>a</strong><strong><em>b</em></strong>"
        );
        assert_eq!(line(&[("x", &["bold", "italic", "strike"])]), "***~~x~~***");
        assert_eq!(line(&[("x", &["underline"])]), "<u>x</u>");
        assert_eq!(line(&[("a`b", &["code"])]), "``a`b``");
        assert_eq!(
            line(&[("x]", &["link"])]),
            "[x\\]](<https://example.org/a_b?c&amp;d>)"
        );
        assert_eq!(
            line(&[("]:", &["code", "link"])]),
            "[<code>\\]:</code>](<https://example.org/a_b?c&amp;d>)"
        );
    }

    /// Each character with its marks, as a reader of Markdown sees it, and how many blocks there are.
    fn read(markdown: &str) -> (Vec<(char, BTreeSet<String>)>, usize) {
        let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
        let (mut marks, mut chars, mut blocks) = (Vec::<String>::new(), Vec::new(), 0);
        let mut push = |text: &str, marks: &[String], more: Option<&str>| {
            let marks: BTreeSet<String> = marks
                .iter()
                .cloned()
                .chain(more.map(str::to_owned))
                .collect();
            chars.extend(text.chars().map(|c| (c, marks.clone())));
        };
        for event in Parser::new_ext(markdown, options) {
            match event {
                Event::Start(Tag::Paragraph) => blocks += 1,
                Event::Start(Tag::Strong) => marks.push("bold".into()),
                Event::Start(Tag::Emphasis) => marks.push("italic".into()),
                Event::Start(Tag::Strikethrough) => marks.push("strike".into()),
                Event::Start(Tag::Link { dest_url, .. }) => {
                    assert_eq!(&*dest_url, "https://example.org/a_b?c&d");
                    marks.push("link".into());
                }
                Event::End(TagEnd::Paragraph) => {}
                Event::End(
                    TagEnd::Strong | TagEnd::Emphasis | TagEnd::Strikethrough | TagEnd::Link,
                ) => drop(marks.pop()),
                Event::Text(text) => push(&text, &marks, None),
                Event::Code(text) => push(&text, &marks, Some("code")),
                Event::InlineHtml(tag) => match &*tag {
                    "<strong>" => marks.push("bold".into()),
                    "<em>" => marks.push("italic".into()),
                    "<del>" => marks.push("strike".into()),
                    "<u>" => marks.push("underline".into()),
                    "<code>" => marks.push("code".into()),
                    "</strong>" | "</em>" | "</del>" | "</u>" | "</code>" => drop(marks.pop()),
                    other => panic!("{other} in {markdown:?}"),
                },
                other => panic!("{other:?} in {markdown:?}"),
            }
        }
        (chars, blocks)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn a_line_comes_back_as_it_was(
            runs in prop::collection::vec(
                ("[a1 .#*_`~<>&;|=+\\-()\\[\\]!\\\\\n:/é]{1,6}", prop::sample::subsequence(
                    vec!["bold", "code", "italic", "link", "strike", "underline"], 0..4)),
                1..5,
            ),
        ) {
            let parts: Vec<_> = runs.iter().map(|(text, marks)| (text.as_str(), marks.as_slice())).collect();
            let markdown = written(vec![element("paragraph", &[], vec![rich(&parts)])]);
            let visible = |c: char| !c.is_whitespace();
            let wanted: Vec<(char, BTreeSet<String>)> = runs
                .iter()
                .flat_map(|(text, marks)| {
                    let marks: BTreeSet<String> = marks.iter().map(|&name| name.to_owned()).collect();
                    text.chars().filter(move |c| visible(*c)).map(move |c| (c, marks.clone()))
                })
                .collect();
            let (all, blocks) = read(&markdown);
            let seen: Vec<_> = all.iter().filter(|(c, _)| visible(*c)).cloned().collect();
            prop_assert_eq!(seen, wanted, "{:?}", markdown);
            prop_assert_eq!(blocks, 1);
            // Spaces have lost the marks at the ends of a run, and no more; line breaks in code are spaces.
            let flat = |c: char| if c == '\n' { ' ' } else { c };
            let text: String = all.iter().map(|(c, _)| flat(*c)).collect();
            let whole: String = runs.iter().flat_map(|(text, _)| text.chars().map(flat)).collect();
            prop_assert_eq!(text, whole, "{:?}", markdown);
        }
    }
}
