//! What yrs itself shows of a replica, in the JSON that `tests/yjs/document.mjs` makes of a Yjs document.
//!
//! It does not suffice to compare encoded states: these list the structs with their origins, and whoever reads them
//! puts them in order again. Only reading the replica shows the order in which yrs has put them.

use serde_json::{Map as JsonMap, Number, Value, json};
use yrs::{
    Any, Array as _, ArrayRef, Doc, Map as _, MapRef, Out, Text as _, TextRef, Transact as _,
    Transaction, Xml as _, XmlElementRef, XmlFragment as _, XmlFragmentRef, XmlOut, XmlTextRef,
    types::text::{Diff, YChange},
};

/// The roots that people edit.
pub fn content(doc: &Doc) -> Value {
    let text = doc.get_or_insert_text("text");
    let map = doc.get_or_insert_map("map");
    let array = doc.get_or_insert_array("array");
    let xml = doc.get_or_insert_xml_fragment("xml");
    let prosemirror = doc.get_or_insert_xml_fragment("prosemirror");
    let txn = &doc.transact();
    let Value::Object(mut delta) = of_text(&text, txn) else {
        unreachable!()
    };
    json!({
        "text": delta.remove("text"),
        "map": of_map(&map, txn),
        "array": of_array(&array, txn),
        "xml": of_fragment(&xml, txn),
        "prosemirror": of_fragment(&prosemirror, txn),
    })
}

/// Makes of equal content equal JSON: neighbours in a text with the same marks become one, and all numbers floats.
pub fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            Number::from_f64(number.as_f64().unwrap()).map_or(Value::Null, Value::Number)
        }
        Value::Array(items) => {
            let mut out: Vec<Value> = Vec::new();
            for item in items.into_iter().map(normal) {
                if let Some(last) = out.last_mut()
                    && let (Some(before), Some(after)) = (words(last), words(&item))
                    && last["attributes"] == item["attributes"]
                {
                    last["insert"] = Value::String(before + &after);
                } else {
                    out.push(item);
                }
            }
            Value::Array(out)
        }
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, normal(value)))
            .collect(),
        other => other,
    }
}

/// The words of a piece of text.
fn words(piece: &Value) -> Option<String> {
    piece.get("attributes")?;
    Some(piece.get("insert")?.as_str()?.to_owned())
}

fn of_text<'t>(text: &impl AsTextDiff, txn: &Transaction<'t>) -> Value {
    let pieces = text.pieces(txn).into_iter().map(|piece| {
        let attributes = piece.attributes.map(|attributes| {
            attributes
                .iter()
                .map(|(key, value)| (key.to_string(), of_any(value)))
                .collect::<JsonMap<_, _>>()
        });
        json!({ "insert": of_out(piece.insert, txn), "attributes": attributes.unwrap_or_default() })
    });
    json!({ "text": pieces.collect::<Vec<_>>() })
}

/// Both kinds of text.
trait AsTextDiff {
    fn pieces(&self, txn: &Transaction<'_>) -> Vec<Diff<YChange>>;
}

impl AsTextDiff for TextRef {
    fn pieces(&self, txn: &Transaction<'_>) -> Vec<Diff<YChange>> {
        self.diff(txn, YChange::identity)
    }
}

impl AsTextDiff for XmlTextRef {
    fn pieces(&self, txn: &Transaction<'_>) -> Vec<Diff<YChange>> {
        self.diff(txn, YChange::identity)
    }
}

fn of_map(map: &MapRef, txn: &Transaction<'_>) -> Value {
    map.iter(txn)
        .map(|(key, value)| (key.to_owned(), of_out(value, txn)))
        .collect()
}

fn of_array(array: &ArrayRef, txn: &Transaction<'_>) -> Value {
    array.iter(txn).map(|item| of_out(item, txn)).collect()
}

fn of_fragment(fragment: &XmlFragmentRef, txn: &Transaction<'_>) -> Value {
    fragment
        .children(txn)
        .map(|child| of_xml(child, txn))
        .collect()
}

fn of_element(element: &XmlElementRef, txn: &Transaction<'_>) -> Value {
    let attributes: Value = element
        .attributes(txn)
        .map(|(key, value)| (key.to_owned(), of_out(value, txn)))
        .collect();
    let children: Vec<Value> = element
        .children(txn)
        .map(|child| of_xml(child, txn))
        .collect();
    json!({ "name": element.tag().to_string(), "attributes": attributes, "children": children })
}

fn of_xml(node: XmlOut, txn: &Transaction<'_>) -> Value {
    match node {
        XmlOut::Element(element) => of_element(&element, txn),
        XmlOut::Fragment(fragment) => of_fragment(&fragment, txn),
        XmlOut::Text(text) => of_text(&text, txn),
    }
}

fn of_out(value: Out, txn: &Transaction<'_>) -> Value {
    match value {
        Out::Any(any) => of_any(&any),
        Out::YText(text) => of_text(&text, txn),
        Out::YArray(array) => of_array(&array, txn),
        Out::YMap(map) => of_map(&map, txn),
        Out::YXmlElement(element) => of_element(&element, txn),
        Out::YXmlFragment(fragment) => of_fragment(&fragment, txn),
        Out::YXmlText(text) => of_text(&text, txn),
        Out::YDoc(doc) => json!({ "guid": doc.guid().to_string() }),
        Out::UndefinedRef(_) => json!("of unknown kind"),
    }
}

fn of_any(any: &Any) -> Value {
    match any {
        Any::Null => Value::Null,
        Any::Undefined => json!("undefined"),
        Any::Bool(value) => json!(value),
        Any::Number(number) => serde_json::to_value(number).unwrap(),
        Any::String(text) => json!(text.to_string()),
        Any::Buffer(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(format!("bytes {hex}"))
        }
        Any::Array(items) => items.iter().map(of_any).collect(),
        Any::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), of_any(value)))
            .collect(),
    }
}
