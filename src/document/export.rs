//! The forms in which a document leaves: what stands in each is decided here, once, for the present and for the past.

use bytes::Bytes;

use super::{
    html, markdown,
    replica::{EMPTY_UPDATE, Replica},
    tree,
};

/// A form that content can be had in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One Yjs v1 update that holds the whole state, without deleted content.
    Yjs,
    /// The shared types as JSON.
    Json,
    /// The text alone, UTF-8.
    Text,
    /// HTML, without a page around it.
    Html,
    /// Markdown: CommonMark with task lists and strikethrough.
    Markdown,
}

impl Form {
    /// By the name that the API gives it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "yjs" => Some(Self::Yjs),
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            "html" => Some(Self::Html),
            "markdown" => Some(Self::Markdown),
            _ => None,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Yjs => "application/octet-stream",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }
}

/// Names of [`Form::named`], for messages.
pub const FORMS: &str = "`yjs`, `json`, `text`, `html` or `markdown`";

/// The state of a replica in one form.
pub fn export(replica: &Replica, form: Form) -> Bytes {
    let roots = || replica.doc().map(tree::roots).unwrap_or_default();
    match form {
        Form::Yjs => {
            let state = replica.full_state();
            state.unwrap_or(Bytes::from_static(EMPTY_UPDATE))
        }
        Form::Json => {
            let roots = roots();
            let json: serde_json::Map<_, _> = roots
                .iter()
                .map(|(name, node)| (name.clone(), tree::to_json(node)))
                .collect();
            serde_json::Value::Object(json).to_string().into()
        }
        Form::Text => {
            // The title is in `meta`, and no text of the document.
            let roots = roots();
            let parts: Vec<String> = roots
                .iter()
                .filter(|(name, _)| *name != "meta")
                .map(|(_, node)| tree::to_text(node))
                .collect();
            parts.join("\n").into()
        }
        Form::Html => {
            let doc = replica.doc();
            let roots = doc.map(tree::roots_with_element_ids).unwrap_or_default();
            html::state(&roots).into()
        }
        Form::Markdown => {
            let mut roots = roots();
            roots.remove("meta");
            markdown::state(&roots).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use yrs::{Map as _, Text as _, Transact as _, XmlElementPrelim, XmlFragment as _};

    use super::*;
    use crate::document::{replica::doc_with, scan::ScanLimits};

    #[test]
    fn html_and_markdown_hold_the_text_without_the_title() {
        let doc = doc_with(7);
        let (meta, text) = (
            doc.get_or_insert_map("meta"),
            doc.get_or_insert_text("notes"),
        );
        let mut txn = doc.transact_mut();
        meta.insert(&mut txn, "title", yrs::TextPrelim::new("A & B"));
        text.insert(&mut txn, 0, "1 < 2");
        let update = Bytes::from(txn.encode_update_v1());
        drop(txn);
        let replica = Replica::load([&update], &ScanLimits::default()).unwrap();
        let form = Form::named("html").unwrap();
        assert_eq!(form.content_type(), "text/html; charset=utf-8");
        assert_eq!(
            export(&replica, form),
            "<article data-root=\"notes\"><pre>\n1 &lt; 2</pre></article>\n"
        );
        let form = Form::named("markdown").unwrap();
        assert_eq!(export(&replica, form), "1 \\< 2\n");
    }

    #[test]
    fn html_names_the_blocks_so_that_one_can_be_brought_back() {
        let doc = doc_with(7);
        let body = doc.get_or_insert_xml_fragment("default");
        let mut txn = doc.transact_mut();
        body.insert(&mut txn, 0, XmlElementPrelim::empty("paragraph"));
        body.insert(&mut txn, 1, XmlElementPrelim::empty("horizontalRule"));
        let update = Bytes::from(txn.encode_update_v1());
        drop(txn);
        let replica = Replica::load([&update], &ScanLimits::default()).unwrap();
        assert_eq!(
            export(&replica, Form::Html),
            "<p data-id=\"7.0\"></p><hr data-id=\"7.1\">"
        );
    }
}
