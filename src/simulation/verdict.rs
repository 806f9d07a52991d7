//! What must hold after a crash and at the end.

use std::{collections::BTreeMap, sync::MutexGuard};

use futures_util::FutureExt as _;
use yrs::{ClientID, ReadTxn, Transact};

use super::{person::Person, reach::Reach, world::World};
use crate::{
    converge::print::Print,
    document::{
        id::DocId,
        id_set::IdRange,
        replica::{Replica, doc_with},
        scan::ScanLimits,
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
            if let Some(lost) = whole.lacks(&person.certain()) {
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
        let own = Reach::of_doc(&person.replica);
        if let Some(lacks) = own.lacks(&durable) {
            return Some(format!("{} lacks {lacks}", person.number));
        }
        if let Some(lacks) = durable.lacks(&own) {
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
        let nothing = doc_with(1);
        let store = Print::of("the store", fresh.doc().unwrap_or(&nothing));
        let here = people.iter().filter(|person| person.doc == doc);
        for person in here.clone() {
            let own = Print::of(person.number.to_string(), &person.replica);
            if let Some(finding) = own.difference(&store) {
                world.fail(finding.what);
            }
            if person.has_gap() {
                world.fail(format!("{} waits for something", person.number));
            }
        }
        let mut counts = store.counts();
        for (token, ids) in here.flat_map(|person| &person.written) {
            let left: Vec<IdRange> = store.deletes.missing_from(*ids).collect();
            let expected = match left[..] {
                [] => 0,
                [whole] if whole == *ids => 1,
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
        let lacks = snapshot.lacks(&log);
        return Err(format!("the snapshot of {doc} is not its log: {lacks:?}"));
    }
    Ok(())
}

fn lock_all(world: &World) -> Vec<MutexGuard<'_, Person>> {
    (0..world.everybody().len())
        .map(|number| world.person(number))
        .collect()
}
