//! The two states that a difference holds, as [`crate::document::tree::to_json`] writes them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json, json};

use super::{Change, Content, Diff, Entry, Marks};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Before,
    After,
}

/// The roots of one state. Neighbouring runs of the same marks are one.
pub(super) fn project(diff: &Diff, which: Which) -> BTreeMap<String, Json> {
    let diff = expanded(diff);
    let mut moved = HashMap::new();
    for entry in diff.roots.values() {
        collect(entry, &mut moved);
    }
    let view = View { which, moved };
    let roots = diff.roots.iter();
    roots
        .filter_map(|(name, entry)| Some((name.clone(), view.node(view.here(entry)?))))
        .collect()
}

/// The difference in which also what is the same is looked into.
pub(super) fn expanded(diff: &Diff) -> Diff {
    fn expand(entry: &mut Entry) {
        if let Content::Same(same) = &entry.content {
            *entry = same.entry();
        }
        entry.content.parts_mut().into_iter().for_each(expand);
    }
    let mut diff = diff.clone();
    diff.roots.values_mut().for_each(expand);
    diff
}

fn collect<'d>(entry: &'d Entry, moved: &mut HashMap<u32, &'d Entry>) {
    if let (Some(number), false) = (entry.moved, matches!(entry.content, Content::Left)) {
        assert!(moved.insert(number, entry).is_none(), "moved twice");
    }
    for part in entry.content.parts() {
        collect(part, moved);
    }
}

struct View<'d> {
    which: Which,
    moved: HashMap<u32, &'d Entry>,
}

impl<'d> View<'d> {
    /// What stands at this place in this state.
    fn here(&self, entry: &'d Entry) -> Option<&'d Entry> {
        let before = self.which == Which::Before;
        match (&entry.content, entry.change) {
            (Content::Left, _) => before.then(|| self.moved[&entry.moved.unwrap()]),
            (_, Change::Moved | Change::Added) => (!before).then_some(entry),
            (_, Change::Removed) => before.then_some(entry),
            _ => Some(entry),
        }
    }

    fn node(&self, entry: &'d Entry) -> Json {
        let before = self.which == Which::Before;
        match &entry.content {
            Content::Text { children } => {
                let here = children.iter().filter_map(|child| self.here(child));
                let texts = here.filter_map(|entry| match &entry.content {
                    Content::Run { text, .. } => Some(text.as_str()),
                    _ => None,
                });
                texts.collect::<String>().into()
            }
            Content::XmlText { children }
            | Content::Fragment { children }
            | Content::Array { children } => self.list(children),
            Content::Map { entries } => entries
                .iter()
                .filter_map(|(key, entry)| Some((key.clone(), self.node(self.here(entry)?))))
                .collect(),
            Content::Value { value } => value.clone(),
            Content::Replaced { before: old, after } => self.node(if before { old } else { after }),
            Content::Run {
                text,
                marks,
                before: was,
            } => {
                let json = json!({ "type": "text", "text": text });
                self.marked(json, marks, was.as_ref())
            }
            Content::Embed {
                value,
                marks,
                before: was,
            } => {
                let json = json!({ "type": "embed", "value": value });
                self.marked(json, marks, was.as_ref())
            }
            Content::Element {
                name,
                was,
                attrs,
                changed,
                children,
            } => {
                let mut attrs = attrs.clone();
                if before {
                    for (key, change) in changed {
                        match &change.before {
                            Some(value) => attrs.insert(key.clone(), value.clone()),
                            None => attrs.remove(key),
                        };
                    }
                }
                let name = was.as_ref().filter(|_| before).unwrap_or(name);
                let mut node = Map::new();
                node.insert("type".into(), name.clone().into());
                if !attrs.is_empty() {
                    node.insert("attrs".into(), Json::from_iter(attrs));
                }
                let children = self.list(children);
                if children != json!([]) {
                    node.insert("content".into(), children);
                }
                Json::Object(node)
            }
            Content::Left | Content::Told(_) | Content::Same(_) => {
                panic!("stands nowhere by itself")
            }
        }
    }

    fn marked(&self, mut json: Json, marks: &Marks, was: Option<&Marks>) -> Json {
        let marks = was.filter(|_| self.which == Which::Before).unwrap_or(marks);
        if !marks.is_empty() {
            let marks = marks
                .iter()
                .map(|(name, attrs)| json!({ "type": name, "attrs": attrs }));
            json["marks"] = marks.collect();
        }
        json
    }

    fn list(&self, children: &'d [Entry]) -> Json {
        let here = children.iter().filter_map(|child| self.here(child));
        joined(here.map(|entry| self.node(entry)).collect())
    }
}

/// Text nodes of the same marks that follow each other made one, throughout, and no `content` where there is none.
pub(super) fn joined(json: Json) -> Json {
    match json {
        Json::Array(items) => {
            let mut all: Vec<Json> = Vec::new();
            for item in items.into_iter().map(joined) {
                if item["type"] == "text"
                    && let Some(last) = all.last_mut()
                    && last["type"] == "text"
                    && last["marks"] == item["marks"]
                    && let (Some(one), Some(next)) = (last["text"].as_str(), item["text"].as_str())
                {
                    last["text"] = format!("{one}{next}").into();
                    continue;
                }
                all.push(item);
            }
            Json::Array(all)
        }
        Json::Object(entries) => {
            let entries = entries.into_iter();
            entries
                .filter(|(key, value)| !(key == "content" && *value == json!([])))
                .map(|(key, value)| (key, joined(value)))
                .collect()
        }
        other => other,
    }
}
