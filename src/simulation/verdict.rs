//! What must hold after a crash and at the end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::MutexGuard,
};

use futures_util::FutureExt as _;
use serde_json::Value as Json;
use yrs::{ClientID, Doc, ReadTxn, Transact};

use super::{person::Person, reach::Reach, world::World};
use crate::{
    converge::token::{Token, tokens_of},
    document::{
        id::DocId, id_set::IdSet, replica::Replica, scan::ScanLimits, state_vector::StateVector,
        tree,
    },
    room::compaction::replay,
    store::{Loaded, Store, Stored, memory::MemoryStore},
};

/// Nothing that anybody is sure of may be missing from what the store loads now.
pub fn after_a_crash(world: &World) {
    let people: Vec<_> = lock_all(world);
    for (doc, loaded) in documents(world, &people) {
        let (stored, replica) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return world.fail(format!("{doc} does not load: {error}")),
        };
        let whole = Reach::of(&replica);
        for person in people.iter().filter(|person| person.doc == doc) {
            if let Some(lost) = whole.lacks_of(&person.certain()) {
                world.fail(format!(
                    "{} was sure of {lost}, which is lost",
                    person.number
                ));
            }
        }
        if let Some(stored) = stored
            && let Err(error) = compare_with_log(&world.disk.view(), &doc, &stored, &replica)
        {
            world.fail(error);
        }
    }
}

/// What is not equal yet, in words.
pub fn apart(world: &World) -> Option<String> {
    let people = lock_all(world);
    for person in &people {
        if person.line.is_none() {
            return Some(format!("{} is not connected", person.number));
        }
        let durable = world.disk.durable(&person.doc);
        let vector = person.replica.transact().state_vector();
        let behind = durable
            .structs
            .iter()
            .find(|range| vector.get(&ClientID::new(range.client)) < range.end);
        if let Some(range) = behind {
            return Some(format!("{} lacks {range:?}", person.number));
        }
        let own = reach_of_doc(&person.replica);
        if let Some(lacks) = own.lacks_of(&durable) {
            return Some(format!("{} lacks {lacks}", person.number));
        }
        if let Some(lacks) = durable.lacks_of(&own) {
            return Some(format!("the store lacks {lacks} of {}", person.number));
        }
    }
    None
}

/// Equal values everywhere, and every edit exactly once.
pub fn at_the_end(world: &World) {
    let people = lock_all(world);
    for (doc, loaded) in documents(world, &people) {
        let (stored, fresh) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return world.fail(format!("{doc} does not load: {error}")),
        };
        if let Some(stored) = stored
            && let Err(error) = compare_with_log(&world.disk.view(), &doc, &stored, &fresh)
        {
            world.fail(error);
        }
        let values = fresh.doc().map(tree::roots).unwrap_or_default();
        let whole = Reach::of(&fresh);
        let here = people.iter().filter(|person| person.doc == doc);
        for person in here.clone() {
            if values_of(Some(&person.replica)) != values_of(fresh.doc()) {
                world.fail(format!(
                    "{} sees other values than the store",
                    person.number
                ));
            }
            if person.has_gap() {
                world.fail(format!("{} waits for something", person.number));
            }
        }
        let mut counts: HashMap<Token, usize> = HashMap::new();
        for root in values.values() {
            let mut found = Vec::new();
            tokens_of(root, &mut found);
            for token in found {
                *counts.entry(token).or_default() += 1;
            }
        }
        for (token, ids) in here.flat_map(|person| &person.written) {
            let length = ids.end - ids.start;
            let deleted = (ids.start..ids.end)
                .filter(|clock| whole.deletes.contains(ids.client, *clock, 1))
                .count() as u64;
            let expected = match deleted {
                0 => 1,
                all if all == u64::from(length) => 0,
                _ => return world.fail(format!("{token} is deleted by halves")),
            };
            let count = counts.remove(token).unwrap_or(0);
            if count != expected {
                world.fail(format!("{token} is there {count} times, not {expected}"));
            }
        }
        if let Some(token) = counts.keys().next() {
            world.fail(format!("nobody wrote {token}"));
        }
    }
}

type Opened = Result<(Option<Stored>, Replica), String>;

/// What the next process would load.
fn documents(world: &World, people: &[MutexGuard<'_, Person>]) -> BTreeMap<DocId, Opened> {
    let view = world.disk.view();
    let names = people.iter().map(|person| person.doc.clone());
    names.map(|doc| (doc.clone(), open(&view, &doc))).collect()
}

fn open(view: &MemoryStore, doc: &DocId) -> Opened {
    match view.load(doc).now_or_never() {
        Some(Ok(Loaded::Absent)) => Ok((None, Replica::default())),
        Some(Ok(Loaded::Live(stored))) => {
            let replica =
                replay(&stored, &ScanLimits::default()).map_err(|error| error.to_string())?;
            Ok((Some(stored), replica))
        }
        other => Err(format!("{other:?}")),
    }
}

/// Snapshot and tail must say what the whole log says.
fn compare_with_log(
    view: &MemoryStore,
    doc: &DocId,
    stored: &Stored,
    replica: &Replica,
) -> Result<(), String> {
    if stored.snapshot.is_none() {
        return Ok(());
    }
    let rows = view.rows(doc, 1, stored.head_seq).now_or_never();
    let rows = rows.and_then(Result::ok).unwrap_or_default();
    let log = Replica::load(
        rows.iter().map(|row| &row.row.bytes),
        &ScanLimits::default(),
    )
    .map_err(|error| format!("the log of {doc} does not replay: {error}"))?;
    let (log, snapshot) = (Reach::of(&log), Reach::of(replica));
    if log != snapshot {
        let lacks = snapshot.lacks_of(&log);
        return Err(format!("the snapshot of {doc} is not its log: {lacks:?}"));
    }
    Ok(())
}

fn reach_of_doc(doc: &Doc) -> Reach {
    let (vector, deletes) = crate::converge::print::reach(doc);
    let mut reach = Reach {
        deletes,
        ..Reach::default()
    };
    reach.structs = reach_of_vector(&vector);
    reach
}

fn reach_of_vector(vector: &StateVector) -> IdSet {
    let mut structs = IdSet::new();
    for (client, clock) in vector.iter() {
        structs.insert(client, 0, clock);
    }
    structs
}

/// All values as JSON. A root type that holds nothing is there for some and not for others.
fn values_of(doc: Option<&Doc>) -> BTreeMap<String, Json> {
    let roots = doc.map(tree::roots).unwrap_or_default();
    let values = roots
        .iter()
        .map(|(name, root)| (name.clone(), tree::to_json(root)));
    values.filter(|(_, value)| !is_empty(value)).collect()
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.is_empty(),
        Json::Object(entries) => entries.is_empty(),
        Json::String(text) => text.is_empty(),
        _ => value.is_null(),
    }
}

fn lock_all(world: &World) -> Vec<MutexGuard<'_, Person>> {
    (0..world.everybody().len())
        .map(|number| world.person(number))
        .collect()
}
