//! A difference as lines of plain text: one for each block that differs.

use serde_json::Value;

/// Blocks that differ, one a line: `+` added, `-` removed, `>` moved here, `<` moved away, `~` changed, with
/// `[-what went-]` and `{+what came+}` inside.
pub(super) fn lines(diff: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for root in diff["roots"].as_object().into_iter().flatten() {
        walk(root.1, root.0, &mut lines);
    }
    lines
}

fn walk(entry: &Value, place: &str, lines: &mut Vec<String>) {
    let change = entry["change"].as_str().unwrap_or_default();
    if change == "same" {
        return;
    }
    let name = entry["name"].as_str().unwrap_or(place);
    if entry["kind"] == "left" {
        lines.push(format!("< {name}"));
        return;
    }
    let children: Vec<&Value> = entry["children"].as_array().into_iter().flatten().collect();
    let entries: Vec<_> = entry["entries"].as_object().into_iter().flatten().collect();
    let has_text = children
        .iter()
        .any(|child| child["kind"] == "run" || child["kind"] == "embed");
    let has_own_line =
        has_text || entries.is_empty() && !children.iter().any(|child| is_part(child));
    if has_own_line {
        let text: String = match children.is_empty() {
            true => own_words(entry),
            false => children.iter().map(|child| words(child)).collect(),
        };
        lines.push(
            format!("{} {name}: {text}", sign(change))
                .trim_end()
                .to_owned(),
        );
        return;
    }
    for child in children {
        walk(child, name, lines);
    }
    for (key, child) in entries {
        walk(child, key, lines);
    }
}

fn is_part(child: &Value) -> bool {
    child["change"] != "same"
}

fn sign(change: &str) -> char {
    match change {
        "added" => '+',
        "removed" => '-',
        "moved" => '>',
        _ => '~',
    }
}

/// What stands in a block beside text.
fn own_words(entry: &Value) -> String {
    match entry["kind"].as_str() {
        Some("value") => entry["value"].to_string(),
        Some("replaced") => {
            let (before, after) = (&entry["before"], &entry["after"]);
            format!("[-{}-]{{+{}+}}", own_words(before), own_words(after))
        }
        _ => String::new(),
    }
}

fn words(run: &Value) -> String {
    let text = run["text"]
        .as_str()
        .map_or_else(|| run["value"].to_string(), ToOwned::to_owned);
    match run["change"].as_str() {
        Some("added" | "moved") => format!("{{+{text}+}}"),
        Some("removed") => format!("[-{text}-]"),
        Some("formatted") => format!("{{~{text}~}}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_that_differ_are_lines() {
        let run = |change: &str, text: &str| json!({"kind": "run", "change": change, "text": text});
        let diff = json!({"roots": {
            "default": {"kind": "fragment", "change": "changed", "children": [
                {"kind": "element", "name": "paragraph", "change": "same", "children": [run("same", "a")]},
                {"kind": "element", "name": "paragraph", "change": "changed", "children": [
                    run("same", "one "), run("removed", "old"), run("added", "new"), run("formatted", " x")]},
                {"kind": "element", "name": "horizontalRule", "change": "added", "children": []},
                {"kind": "left", "change": "moved"},
                {"kind": "element", "name": "bulletList", "change": "changed", "children": [
                    {"kind": "element", "name": "listItem", "change": "removed", "children": [
                        {"kind": "element", "name": "paragraph", "change": "removed", "children": [
                            run("removed", "gone")]}]}]},
            ]},
            "meta": {"kind": "map", "change": "changed", "entries": {
                "n": {"kind": "replaced", "change": "changed",
                      "before": {"kind": "value", "value": 1}, "after": {"kind": "value", "value": 2}}}},
        }});
        assert_eq!(
            lines(&diff),
            [
                "~ paragraph: one [-old-]{+new+}{~ x~}",
                "+ horizontalRule:",
                "< default",
                "- paragraph: [-gone-]",
                "~ n: [-1-]{+2+}",
            ]
        );
    }
}
