//! What a document shows, in one line that does not depend on how its text was written.

use std::fmt::Write;

use coscribe::document::tree::{self, Chunk, Node};
use yrs::{Any, Doc};

pub fn view(doc: &Doc) -> String {
    let mut out = String::new();
    for (name, root) in tree::roots(doc) {
        let mut shown = String::new();
        show(&root, &mut shown);
        // What a root without anything in it is can not be told.
        if !["\"\"", "[]", "{}", "<>"].contains(&&*shown) {
            writeln!(out, "{name}: {shown}").unwrap();
        }
    }
    out
}

/// A part of a document in the same way.
pub fn node(node: &Node) -> String {
    let mut out = String::new();
    show(node, &mut out);
    out
}

fn show(node: &Node, out: &mut String) {
    match node {
        Node::Text(chunks) | Node::XmlText(chunks) => chunks_of(chunks, out),
        Node::Map(entries) => {
            out.push('{');
            for (key, value) in entries {
                write!(out, "{key}=").unwrap();
                show(value, out);
                out.push(' ');
            }
            out.push('}');
        }
        Node::Array(items) => {
            out.push('[');
            items.iter().for_each(|item| show(item, out));
            out.push(']');
        }
        Node::Fragment(items) => {
            out.push('<');
            items.iter().for_each(|item| show(item, out));
            out.push('>');
        }
        Node::Element {
            name,
            attrs,
            children,
            ..
        } => {
            write!(out, "<{name}").unwrap();
            for (key, value) in attrs {
                write!(out, " {key}=").unwrap();
                show(value, out);
            }
            out.push('>');
            children.iter().for_each(|child| show(child, out));
            out.push_str("</>");
        }
        Node::Value(any) => write!(out, "({})", json(any)).unwrap(),
        other => write!(out, "{other:?}").unwrap(),
    }
}

fn json(any: &Any) -> serde_json::Value {
    let mut text = String::new();
    any.to_json(&mut text);
    serde_json::from_str(&text).unwrap()
}

fn chunks_of(chunks: &[Chunk], out: &mut String) {
    out.push('"');
    let mut marks = None;
    for chunk in chunks {
        if marks != Some(&chunk.marks) && !(marks.is_none() && chunk.marks.is_empty()) {
            write!(out, "|{:?}|", chunk.marks).unwrap();
        }
        marks = Some(&chunk.marks);
        match &chunk.insert {
            Node::Value(Any::String(text)) => out.push_str(text),
            embed => show(embed, out),
        }
    }
    out.push('"');
}
