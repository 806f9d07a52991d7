//! The forms in which a document leaves: what stands in each is decided here, once, for the present and for the past.

use bytes::Bytes;

use super::{
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
}

impl Form {
    /// By the name that the API gives it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "yjs" => Some(Self::Yjs),
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            _ => None,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Yjs => "application/octet-stream",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// Names of [`Form::named`], for messages.
pub const FORMS: &str = "`yjs`, `json` or `text`";

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
    }
}
