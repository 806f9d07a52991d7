//! A document, or the difference of two states of it, as HTML.
//!
//! One writer does both: a state is a difference in which everything is the same. All text is escaped, no style and no script is
//! written, and of addresses only those of the web and of mail become links, so the result is harmless under any policy.
//!
//! Of a difference, `data-change` says what became of an element (a value of [`Change`], or `left` for the place that a moved
//! block left), `data-author` by whom it was (as the caller names them), `data-at` when, `data-move` which move it is, `data-was` which node it was,
//! and `data-changed` which attributes it had before (JSON). The classes `change` and `change-…` are for style sheets. Text that
//! was added or removed is in `<ins>` or `<del>`; what was formatted has its former marks in `data-before`.
//!
//! `data-id` names a block as a restore takes it, client and clock with a dot between: in a state each block; in a difference
//! each that changed, as it was before, or, if it was added, as it is after. `data-beside` is with it where what stands
//! here now is another element, which stays when the former one comes back.

use std::{collections::BTreeMap, fmt::Write as _, mem, sync::Arc};

use serde_json::Value as Json;
use yrs::any::Number;

use super::{
    diff::{AttrChange, Block, Change, Content, Diff, Entry, Line, Marks, Same, unchanged},
    tree::Node,
};
use crate::timestamp::rfc3339;

/// The root that the editor writes to.
const BODY: &str = "default";
/// Where the title is, which is no part of the text.
const META: &str = "meta";

/// A document in pieces, each of which is whole: every block of the editor's root, and every other root with all that is in it.
pub type Blocks = Vec<Arc<str>>;

/// A state: what the editor's root holds, as it is; every other root but that of the title in an `<article>` that names it.
pub fn state(roots: &BTreeMap<String, Node>) -> String {
    state_in_blocks(roots).concat()
}

/// The same in pieces.
pub fn state_in_blocks(roots: &BTreeMap<String, Node>) -> Blocks {
    Writer::new(&[], true).document(&unchanged(roots))
}

/// A difference, in the same form. `authors` has the names for the numbers of authors.
pub fn difference(diff: &Diff, authors: &[String]) -> String {
    difference_in_blocks(diff, authors).concat()
}

/// The same in pieces.
pub fn difference_in_blocks(diff: &Diff, authors: &[String]) -> Blocks {
    Writer::new(authors, false).document(diff)
}

/// Text as it stands in HTML, also in attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            b'\r' => "&#13;",
            // Not allowed in HTML, and parsers read it in different ways.
            b'\0' => "\u{fffd}",
            _ => continue,
        };
        out.push_str(&text[done..at]);
        out.push_str(escaped);
        done = at + 1;
    }
    out.push_str(&text[done..]);
    out
}

/// An address that may stand in a link: of the web or of mail.
pub fn safe_href(href: &str) -> Option<&str> {
    let lower = href.to_ascii_lowercase();
    let known = ["https://", "http://", "mailto:"];
    let plain = !href.chars().any(|c| c.is_control() || c.is_whitespace());
    (plain && known.iter().any(|scheme| lower.starts_with(scheme))).then_some(href)
}

/// What an element stands in, and so which may stand there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    Flow,
    List,
    Line,
}

struct Writer<'a> {
    out: String,
    authors: &'a [String],
    /// Whether blocks have their ids that are the same before and after.
    names_same: bool,
}

impl<'a> Writer<'a> {
    fn new(authors: &'a [String], names_same: bool) -> Self {
        Self {
            out: String::new(),
            authors,
            names_same,
        }
    }

    fn document(mut self, diff: &Diff) -> Blocks {
        let mut blocks = Blocks::new();
        for (name, entry) in diff.roots.iter().filter(|(name, _)| *name != META) {
            match &entry.content {
                Content::Fragment { children } if name == BODY => {
                    children
                        .iter()
                        .for_each(|entry| self.blocks(entry, &mut blocks));
                    continue;
                }
                _ => {}
            }
            let root = format!(" data-root=\"{}\"{}", escape(name), self.fate(entry));
            self.tag("article", &root);
            match &entry.content {
                Content::Fragment { children } => self.all(children, Around::Flow),
                _ => self.entry(entry, Around::Flow),
            }
            self.end("article");
            self.out.push('\n');
            blocks.push(mem::take(&mut self.out).into());
        }
        blocks
    }

    /// What stands directly in the editor's root.
    fn blocks(&mut self, entry: &Entry, blocks: &mut Blocks) {
        match &entry.content {
            Content::Replaced { before, after } => {
                self.blocks(before, blocks);
                self.blocks(after, blocks);
            }
            Content::Same(same) => blocks.push(self.same(same)),
            Content::Told(html) => blocks.push(html.clone()),
            _ => {
                self.entry(entry, Around::Flow);
                let html: Arc<str> = mem::take(&mut self.out).into();
                if let Some(Line { part, fate }) = &entry.line
                    && entry.is_settled()
                {
                    part.keep_told(fate.clone(), html.clone());
                }
                blocks.push(html);
            }
        }
    }

    /// A block that stands directly in a root and did not change. Not kept of every block in a block: that would be the document as
    /// often as it nests.
    fn same(&self, same: &Same) -> Arc<str> {
        same.part.html(self.names_same, || {
            let mut writer = Writer::new(&[], self.names_same);
            writer.entry(&same.entry(), Around::Flow);
            writer.out
        })
    }

    /// The attributes that name a block for a restore.
    fn identity(&self, entry: &Entry) -> String {
        let mut attributes = String::new();
        let is_named = self.names_same || entry.change != Change::Same;
        if let Some(Block { id, beside }) = entry.block.filter(|_| is_named) {
            let name = format!("{}.{}", id.client, id.clock);
            attribute(&mut attributes, "data-id", &name);
            if beside {
                attribute(&mut attributes, "data-beside", "true");
            }
        }
        attributes
    }

    /// The attributes that say what became of an entry.
    fn fate(&self, entry: &Entry) -> String {
        let mut attributes = String::new();
        let change = match (entry.change, &entry.content) {
            (Change::Same, _) => return attributes,
            (_, Content::Left) => "left",
            (Change::Added, _) => "added",
            (Change::Removed, _) => "removed",
            (Change::Moved, _) => "moved",
            (Change::Changed, _) => "changed",
            (Change::Formatted, _) => "formatted",
        };
        attribute(&mut attributes, "class", &format!("change change-{change}"));
        attribute(&mut attributes, "data-change", change);
        let author = entry
            .author
            .and_then(|author| self.authors.get(author as usize));
        if let Some(author) = author {
            attribute(&mut attributes, "data-author", author);
        }
        if let Some(at) = entry.at {
            attribute(&mut attributes, "data-at", &rfc3339(at));
        }
        if let Some(moved) = entry.moved {
            attribute(&mut attributes, "data-move", &moved.to_string());
        }
        attributes
    }

    fn tag(&mut self, name: &str, attributes: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push_str(attributes);
        self.out.push('>');
    }

    fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn all(&mut self, entries: &[Entry], around: Around) {
        entries.iter().for_each(|entry| self.entry(entry, around));
    }

    fn entry(&mut self, entry: &Entry, around: Around) {
        match &entry.content {
            Content::Run {
                text,
                marks,
                before,
            } => {
                let text = escape(text);
                self.inline(entry, marks, before.as_ref(), &text);
            }
            Content::Embed {
                value,
                marks,
                before,
            } => {
                let value = value_as_code(value);
                self.inline(entry, marks, before.as_ref(), &value);
            }
            Content::Element { .. } => self.element(entry, around),
            Content::Fragment { children } => {
                self.tag("div", &self.fate(entry));
                self.all(children, Around::Flow);
                self.end("div");
            }
            Content::Text { children } | Content::XmlText { children } => {
                self.tag("pre", &self.fate(entry));
                // A parser leaves out one line break here.
                self.out.push('\n');
                self.all(children, Around::Line);
                self.end("pre");
            }
            Content::Array { children } => {
                self.tag("ol", &self.fate(entry));
                for child in children {
                    self.tag("li", "");
                    self.entry(child, Around::Flow);
                    self.end("li");
                }
                self.end("ol");
            }
            Content::Map { entries } => {
                self.tag("dl", &self.fate(entry));
                for (key, value) in entries {
                    self.tag("dt", "");
                    self.out.push_str(&escape(key));
                    self.end("dt");
                    self.tag("dd", "");
                    self.entry(value, Around::Flow);
                    self.end("dd");
                }
                self.end("dl");
            }
            Content::Value { value } => {
                let value = value_as_code(value);
                self.inline(entry, &Marks::new(), None, &value);
            }
            Content::Replaced { before, after } => {
                self.entry(before, around);
                self.entry(after, around);
            }
            Content::Same(same) if around == Around::Flow && same.is_at_the_top() => {
                self.out.push_str(&self.same(same));
            }
            Content::Same(same) => self.entry(&same.entry(), around),
            Content::Told(html) => self.out.push_str(html),
            Content::Left => {
                let name = match around {
                    Around::Flow => "div",
                    Around::List => "li",
                    Around::Line => "span",
                };
                self.tag(name, &self.fate(entry));
                self.end(name);
            }
        }
    }

    /// Something in a line, with its marks around it.
    fn inline(&mut self, entry: &Entry, marks: &Marks, before: Option<&Marks>, html: &str) {
        let mut around = Vec::new();
        match entry.change {
            Change::Added => around.push(("ins", self.fate(entry))),
            Change::Removed => around.push(("del", self.fate(entry))),
            Change::Same => {}
            Change::Moved | Change::Changed | Change::Formatted => {
                let mut attributes = self.fate(entry);
                if let Some(before) = before {
                    let names: Vec<_> = before.keys().map(String::as_str).collect();
                    attribute(&mut attributes, "data-before", &names.join(" "));
                }
                around.push(("span", attributes));
            }
        }
        // A link goes around all other marks, so that it stays one link over them.
        let link = marks.get_key_value("link");
        let others = marks.iter().filter(|(name, _)| *name != "link");
        around.extend(
            link.into_iter()
                .chain(others)
                .map(|(name, attrs)| mark(name, attrs)),
        );
        for (name, attributes) in &around {
            self.tag(name, attributes);
        }
        self.out.push_str(html);
        for (name, _) in around.iter().rev() {
            self.end(name);
        }
    }

    fn element(&mut self, entry: &Entry, around: Around) {
        let Content::Element {
            name,
            was,
            attrs,
            changed,
            children,
        } = &entry.content
        else {
            return;
        };
        let mut attributes = self.fate(entry);
        // A node in a line of text is no block.
        if around != Around::Line {
            attributes.push_str(&self.identity(entry));
        }
        if let Some(was) = was {
            attribute(&mut attributes, "data-was", was);
        }
        if !changed.is_empty() {
            attribute(&mut attributes, "data-changed", &former(changed));
        }
        let heading;
        let (tag, inside) = match name.as_str() {
            "paragraph" => ("p", Around::Line),
            "heading" => {
                let level = attrs.get("level").and_then(Json::as_f64);
                heading = format!("h{}", level.unwrap_or(1.0).clamp(1.0, 6.0) as u8);
                (heading.as_str(), Around::Line)
            }
            "bulletList" => ("ul", Around::List),
            "orderedList" => {
                let start = attrs.get("start").and_then(Json::as_f64);
                if let Some(start) = start.filter(|start| *start != 1.0) {
                    attribute(&mut attributes, "start", &(start as i32).to_string());
                }
                ("ol", Around::List)
            }
            "taskList" => {
                attribute(&mut attributes, "data-node", name);
                ("ul", Around::List)
            }
            "listItem" => ("li", Around::Flow),
            "taskItem" => return self.task(&mut attributes, attrs, children),
            "blockquote" => ("blockquote", Around::Flow),
            "codeBlock" => return self.code(&attributes, attrs, children),
            "horizontalRule" => return self.tag("hr", &attributes),
            "hardBreak" => return self.inline(entry, &Marks::new(), None, "<br>"),
            // Not one that the editor has: what is in it is shown.
            _ => {
                attribute(&mut attributes, "data-node", name);
                match around {
                    Around::Line => ("span", Around::Line),
                    Around::List => ("li", Around::Flow),
                    Around::Flow => ("div", Around::Flow),
                }
            }
        };
        self.tag(tag, &attributes);
        self.all(children, inside);
        self.end(tag);
    }

    fn task(
        &mut self,
        attributes: &mut String,
        attrs: &BTreeMap<String, Json>,
        children: &[Entry],
    ) {
        let checked = attrs.get("checked") == Some(&Json::Bool(true));
        attribute(attributes, "data-node", "taskItem");
        attribute(
            attributes,
            "data-checked",
            if checked { "true" } else { "false" },
        );
        self.tag("li", attributes);
        let checked = if checked { " checked" } else { "" };
        self.tag("input", &format!(" type=\"checkbox\" disabled{checked}"));
        self.all(children, Around::Flow);
        self.end("li");
    }

    fn code(&mut self, attributes: &str, attrs: &BTreeMap<String, Json>, children: &[Entry]) {
        self.tag("pre", attributes);
        let language = attrs.get("language").and_then(Json::as_str);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "+-#._".contains(c);
        let language = language.filter(|name| !name.is_empty() && name.chars().all(is_name));
        let class = language.map(|name| format!(" class=\"language-{name}\""));
        self.tag("code", &class.unwrap_or_default());
        self.all(children, Around::Line);
        self.end("code");
        self.end("pre");
    }
}

/// JSON with whole numbers as JavaScript writes them, without a fraction; −0 stays what it is.
fn as_javascript(value: &Json) -> Json {
    match value {
        Json::Number(number) => match number.as_f64().map(Number::try_i64) {
            Some(Number::Int(0)) if number.as_f64().is_some_and(f64::is_sign_negative) => {
                value.clone()
            }
            Some(Number::Int(whole)) => whole.into(),
            _ => value.clone(),
        },
        Json::Array(items) => items.iter().map(as_javascript).collect(),
        Json::Object(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(key, value)| (key.clone(), as_javascript(value)));
            entries.collect()
        }
        _ => value.clone(),
    }
}

fn value_as_code(value: &Json) -> String {
    let json = as_javascript(value).to_string();
    format!("<code>{}</code>", escape(&json))
}

/// The attributes before, as JSON; null where one was not set.
fn former(changed: &BTreeMap<String, AttrChange>) -> String {
    let former = changed.iter();
    let former = former.map(|(key, change)| (key.clone(), change.before.clone()));
    let former = former.map(|(key, before)| (key, before.unwrap_or(Json::Null)));
    Json::from_iter(former).to_string()
}

fn attribute(attributes: &mut String, name: &str, value: &str) {
    write!(attributes, " {name}=\"{}\"", escape(value)).expect("writing to a string does not fail");
}

/// The element of a mark.
fn mark(name: &str, attrs: &Json) -> (&'static str, String) {
    let plain = |tag| (tag, String::new());
    match name {
        "bold" => plain("strong"),
        "italic" => plain("em"),
        "underline" => plain("u"),
        "strike" => plain("s"),
        "code" => plain("code"),
        "link" => {
            let mut attributes = String::new();
            let Some(href) = attrs.get("href").and_then(Json::as_str).and_then(safe_href) else {
                return plain("span");
            };
            attribute(&mut attributes, "href", href);
            attribute(&mut attributes, "rel", "noopener noreferrer nofollow");
            ("a", attributes)
        }
        other => {
            let mut attributes = String::new();
            attribute(&mut attributes, "data-mark", other);
            ("span", attributes)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use yrs::Any;

    use super::*;
    use crate::document::{
        diff::diff,
        ids::Id,
        tree::{Chunk, parts},
    };

    fn rich(runs: &[(&str, &[(&str, Any)])]) -> Node {
        let chunk = |(text, marks): &(&str, &[(&str, Any)])| Chunk {
            insert: Node::Value(Any::from(*text)),
            marks: marks
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
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

    fn body(blocks: Vec<Node>) -> BTreeMap<String, Node> {
        BTreeMap::from([("default".into(), Node::Fragment(parts(blocks)))])
    }

    fn link(href: &str) -> Any {
        Any::from_json(&serde_json::json!({ "href": href, "target": null }).to_string()).unwrap()
    }

    #[test]
    fn every_node_of_the_editor_has_its_element() {
        let item = |name, attrs: &[(&str, Any)], text| element(name, attrs, vec![p(text)]);
        let blocks = vec![
            element(
                "heading",
                &[("level", Any::from(2.0))],
                vec![rich(&[("Title", &[])])],
            ),
            element("bulletList", &[], vec![item("listItem", &[], "one")]),
            element(
                "orderedList",
                &[("start", Any::from(3.0))],
                vec![item("listItem", &[], "two")],
            ),
            element(
                "taskList",
                &[],
                vec![item("taskItem", &[("checked", true.into())], "done")],
            ),
            element("blockquote", &[], vec![p("said")]),
            element(
                "codeBlock",
                &[("language", Any::from("rust"))],
                vec![rich(&[("a < b", &[])])],
            ),
            element("horizontalRule", &[], vec![]),
            element(
                "paragraph",
                &[],
                vec![
                    rich(&[("a", &[])]),
                    element("hardBreak", &[], vec![]),
                    rich(&[("b", &[])]),
                ],
            ),
            element("video", &[("src", Any::from("x"))], vec![p("inside")]),
        ];
        assert_eq!(
            (state(&body(blocks))),
            "<h2>Title</h2><ul><li><p>one</p></li></ul><ol start=\"3\"><li><p>two</p></li></ol>\
             <ul data-node=\"taskList\"><li data-node=\"taskItem\" data-checked=\"true\">\
             <input type=\"checkbox\" disabled checked><p>done</p></li></ul><blockquote><p>said</p></blockquote>\
             <pre><code class=\"language-rust\">a &lt; b</code></pre><hr><p>a<br>b</p>\
             <div data-node=\"video\"><p>inside</p></div>"
        );
    }

    #[test]
    fn every_mark_has_its_element_and_only_harmless_addresses_are_links() {
        let on = || Any::Map(std::sync::Arc::default());
        let marks = [
            ("bold", on()),
            ("italic", on()),
            ("link", link("https://example.org/?a&b")),
        ];
        let other = [
            ("code", on()),
            ("comment", on()),
            ("strike", on()),
            ("underline", on()),
        ];
        let line = rich(&[
            ("x", &marks),
            ("y", &other),
            ("z", &[("link", link("javascript:alert(1)"))]),
        ]);
        assert_eq!(
            (state(&body(vec![element("paragraph", &[], vec![line])]))),
            "<p><a href=\"https://example.org/?a&amp;b\" rel=\"noopener noreferrer nofollow\">\
             <strong><em>x</em></strong></a>\
             <code><span data-mark=\"comment\"><s><u>y</u></s></span></code><span>z</span></p>"
        );
        for href in ["HTTPS://x", "http://x", "mailto:a@b"] {
            assert_eq!(safe_href(href), Some(href));
        }
        for href in [
            "javascript:x",
            "data:text/html,x",
            "//x",
            "java\nscript:x",
            " https://x",
            "vbscript:x",
            "",
        ] {
            assert_eq!(safe_href(href), None, "{href:?}");
        }
    }

    #[test]
    fn a_difference_says_what_became_of_what() {
        let task = |checked: bool| {
            let item = element("taskItem", &[("checked", checked.into())], vec![p("do it")]);
            element("taskList", &[], vec![item])
        };
        let before = body(vec![
            p("one gone word"),
            p("out"),
            p("to the end"),
            task(false),
            p("kept"),
            p("kept, too"),
        ]);
        let bold = [("bold", Any::from(true))];
        let last = element(
            "paragraph",
            &[],
            vec![rich(&[("to the", &bold), (" end", &[])])],
        );
        let rule = element("horizontalRule", &[], vec![]);
        let after = body(vec![
            p("one word"),
            last,
            rule,
            task(true),
            p("kept"),
            p("kept, too"),
            p("out"),
        ]);
        let mut diff = diff(&before, &after);
        if let Some(Entry {
            content: Content::Fragment { children },
            ..
        }) = diff.roots.get_mut("default")
        {
            children[0].author = Some(4);
        }
        assert_eq!(
            difference(
                &diff,
                &["".into(), "".into(), "".into(), "".into(), "a&b".into()]
            ),
            "<p class=\"change change-changed\" data-change=\"changed\" data-author=\"a&amp;b\">one \
             <del class=\"change change-removed\" data-change=\"removed\">gone </del>word</p>\
             <div class=\"change change-left\" data-change=\"left\" data-move=\"0\"></div>\
             <p class=\"change change-changed\" data-change=\"changed\">\
             <span class=\"change change-formatted\" data-change=\"formatted\" data-before=\"\"><strong>to the</strong></span> end</p>\
             <hr class=\"change change-added\" data-change=\"added\">\
             <ul class=\"change change-changed\" data-change=\"changed\" data-node=\"taskList\">\
             <li class=\"change change-changed\" data-change=\"changed\" data-changed=\"{&quot;checked&quot;:false}\" \
             data-node=\"taskItem\" data-checked=\"true\"><input type=\"checkbox\" disabled checked><p>do it</p></li></ul>\
             <p>kept</p><p>kept, too</p>\
             <p class=\"change change-moved\" data-change=\"moved\" data-move=\"0\">out</p>"
        );
    }

    fn with_id(node: Node, clock: u32) -> Node {
        let Node::Element {
            name,
            attrs,
            children,
            ..
        } = node
        else {
            return node;
        };
        Node::Element {
            name,
            attrs,
            children,
            id: Some(Id::new(7, clock)),
        }
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        let values = [
            (Any::from(3), "3"),
            (Any::from(-0.5), "-0.5"),
            (Any::from(-0.0), "-0.0"),
            (Any::from(9_007_199_254_740_993_i64), "9007199254740993"),
            (Any::from(1e300), "1e+300"),
            (Any::from(f64::NAN), "null"),
            (
                Any::Array(vec![Any::from(1.0), Any::Null].into()),
                "[1,null]",
            ),
            (
                Any::from(std::collections::HashMap::from([(
                    "a".to_owned(),
                    Any::from(2),
                )])),
                "{&quot;a&quot;:2}",
            ),
        ];
        for (value, wanted) in values {
            let root = Node::Map(BTreeMap::from([("k".into(), Node::Value(value).into())]));
            let html = state(&BTreeMap::from([("m".to_owned(), root)]));
            let code = format!("<dd><code>{wanted}</code></dd>");
            assert!(html.contains(&code), "{html}");
        }
    }

    #[test]
    fn a_state_names_every_block_that_has_an_id() {
        let item = with_id(element("listItem", &[], vec![with_id(p("one"), 3)]), 2);
        let line_break = with_id(element("hardBreak", &[], vec![]), 6);
        let inline = with_id(element("mention", &[], vec![]), 8);
        let line = element(
            "paragraph",
            &[],
            vec![rich(&[("a", &[])]), line_break, inline],
        );
        let rule = with_id(element("horizontalRule", &[], vec![]), 9);
        let list = with_id(element("bulletList", &[], vec![item]), 1);
        assert_eq!(
            state(&body(vec![list, with_id(line, 5), rule, p("b")])),
            "<ul data-id=\"7.1\"><li data-id=\"7.2\"><p data-id=\"7.3\">one</p></li></ul>\
             <p data-id=\"7.5\">a<br><span data-node=\"mention\"></span></p><hr data-id=\"7.9\"><p>b</p>"
        );
    }

    /// For each block with an id in the difference: its change, the id, and whether it would come back beside another.
    fn named(before: Vec<Node>, after: Vec<Node>) -> Vec<(String, String, bool)> {
        let html = difference(&diff(&body(before), &body(after)), &[]);
        read(&html);
        let value = |tag: &str, name: &str| {
            let from = tag.split_once(&format!(" {name}=\""))?.1;
            Some(from.split('"').next()?.to_owned())
        };
        html.split('<')
            .filter_map(|tag| {
                let beside = value(tag, "data-beside").is_some();
                Some((value(tag, "data-change")?, value(tag, "data-id")?, beside))
            })
            .collect()
    }

    fn says(change: &str, id: &str, beside: bool) -> (String, String, bool) {
        (change.to_owned(), id.to_owned(), beside)
    }

    #[test]
    fn a_difference_names_what_was_before_and_what_is_new() {
        let before = vec![
            with_id(p("the first block has many words"), 1),
            with_id(p("kept"), 2),
            with_id(p("gone"), 3),
        ];
        let after = vec![
            with_id(p("entirely new, and elsewhere"), 4),
            with_id(p("the first block has some words"), 1),
            with_id(p("kept"), 2),
        ];
        assert_eq!(
            named(before, after),
            [
                says("added", "7.4", false),
                says("changed", "7.1", false),
                says("removed", "7.3", false),
            ]
        );
    }

    #[test]
    fn a_block_that_another_element_took_the_place_of_comes_back_beside_it() {
        // A paragraph that became a heading is another element, and so is one that was moved.
        let heading = element(
            "heading",
            &[("level", Any::from(2.0))],
            vec![rich(&[("one of two words", &[])])],
        );
        let kept = || with_id(p("between the two of them"), 2);
        let before = vec![
            with_id(p("one of two words"), 1),
            with_id(p("goes down below"), 5),
            kept(),
        ];
        let after = vec![
            with_id(heading, 3),
            kept(),
            with_id(p("goes down below"), 6),
        ];
        assert_eq!(
            named(before, after),
            [says("changed", "7.1", true), says("moved", "7.5", true)]
        );
    }

    #[test]
    fn a_block_whose_element_holds_another_one_now_is_not_named() {
        // An editor may write one block's text into another's element: to bring it back would overwrite that.
        let before = vec![
            with_id(p("all about the marsh and its tides"), 1),
            with_id(p("nothing but gauges, read every hour"), 2),
        ];
        let after = vec![with_id(p("nothing but gauges, read every hour"), 1)];
        assert_eq!(named(before, after), []);
    }

    /// The text of HTML that this module wrote, after every tag was seen to be one of those that it may write.
    fn read(html: &str) -> String {
        const TAGS: &[&str] = &[
            "a",
            "article",
            "blockquote",
            "br",
            "code",
            "dd",
            "del",
            "div",
            "dl",
            "dt",
            "em",
            "h1",
            "h2",
            "h3",
            "hr",
            "input",
            "ins",
            "li",
            "ol",
            "p",
            "pre",
            "s",
            "span",
            "strong",
            "u",
            "ul",
        ];
        const ATTRIBUTES: &[&str] = &[
            "class",
            "data-author",
            "data-before",
            "data-change",
            "data-beside",
            "data-changed",
            "data-checked",
            "data-id",
            "data-mark",
            "data-move",
            "data-node",
            "data-root",
            "data-was",
            "href",
            "rel",
            "start",
            "type",
        ];
        let mut open = Vec::new();
        let mut text = String::new();
        let mut rest = html;
        while let Some((before, after)) = rest.split_once('<') {
            assert!(!before.contains(['>', '"', '\'']), "{before}");
            text.push_str(before);
            let (tag, after) = after.split_once('>').unwrap();
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{html}");
                continue;
            }
            let mut parts = tag.split('"');
            let head = parts.next().unwrap();
            let name = head.split(' ').next().unwrap();
            assert!(TAGS.contains(&name), "{name}");
            if !["br", "hr", "input"].contains(&name) {
                open.push(name);
            }
            let mut head = head[name.len()..].to_owned();
            while let Some(value) = parts.next() {
                let attribute = head.trim().strip_suffix('=').unwrap();
                assert!(ATTRIBUTES.contains(&attribute), "{attribute}");
                let harmless = ["https://", "http://", "mailto:"]
                    .iter()
                    .any(|s| value.starts_with(s));
                assert!(attribute != "href" || harmless, "{value}");
                assert!(!value.contains(['<', '>', '\'']));
                head = parts.next().unwrap().to_owned();
            }
            assert!(
                ["", " disabled", " disabled checked"].contains(&head.as_str()),
                "{head}"
            );
        }
        text.push_str(rest);
        assert!(open.is_empty(), "{open:?}");
        let entities = [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&#39;", "'"),
            ("&#13;", "\r"),
            ("&amp;", "&"),
        ];
        entities
            .iter()
            .fold(text, |text, (entity, c)| text.replace(entity, c))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_that_somebody_wrote_becomes_markup(
            words in prop::collection::vec("[<>&\"'a /=;#!\\-\r\u{0}ü]{1,8}", 9),
            hrefs in prop::collection::vec("(https://|javascript:|http:|data:|mailto:)[<>&\"' a:/]{0,6}", 2),
            name in "[<>\"' a=]{1,6}|paragraph|codeBlock|heading|taskItem|orderedList|bulletList",
        ) {
            let block = |words: &[String], href: &str| {
                let marks = [("link", link(href)), (words[0].as_str(), Any::from(words[1].as_str()))];
                let attrs = [
                    ("language", Any::from(words[2].as_str())),
                    ("checked", Any::from(words[1].as_str())),
                    (words[0].as_str(), Any::from(words[2].as_str())),
                ];
                element(&name, &attrs, vec![rich(&[(&words[0], &marks), (&words[1], &[])])])
            };
            let of = |words: &[String], href| {
                BTreeMap::from([
                    (words[0].clone(), Node::Fragment(parts(vec![block(words, href), element(&words[2], &[], vec![])]))),
                    ("map".into(), Node::Map(BTreeMap::from([(words[1].clone(), Node::Value(Any::from(words[2].as_str())).into())]))),
                ])
            };
            let (before, after) = (of(&words[..3], &hrefs[0]), of(&words[3..6], &hrefs[1]));
            let one = format!("{}{}", words[0], words[1]).replace('\0', "\u{fffd}");
            prop_assert!(read(&state(&before)).contains(&one));
            read(&difference(&diff(&before, &after), &[]));
            let same_root = of(&[words[0].clone(), words[7].clone(), words[8].clone()], &hrefs[1]);
            read(&difference(&diff(&before, &same_root), &[]));
        }
    }
}
