//! The same against the real Yjs: its documents are restored, and it takes the restores.

use coscribe::converge::random::Random;
use serde::Deserialize;
use serde_json::{Value, json};
use yrs::{ReadTxn as _, Transact as _};

use super::{
    Wanted,
    blocking::{BlockingDriver, Print},
    document,
    driver::unhex,
    people::{self, History, apply},
    restored, seeds,
};

#[derive(Deserialize)]
struct Session {
    updates: Vec<String>,
}

/// The content, with text of the same formatting in one piece, however it was written.
fn joined(print: &Print) -> Value {
    let mut content = serde_json::from_str(&print.content).unwrap();
    join(&mut content);
    content
}

fn join(value: &mut Value) {
    match value {
        Value::Object(entries) => entries.values_mut().for_each(join),
        Value::Array(items) => {
            items.iter_mut().for_each(join);
            items.dedup_by(|after, before| {
                let same = before.get("attributes") == after.get("attributes");
                match (before.get_mut("insert"), after.get("insert")) {
                    (Some(Value::String(text)), Some(Value::String(more))) if same => {
                        text.push_str(more);
                        true
                    }
                    _ => false,
                }
            });
        }
        _ => {}
    }
}

#[test]
fn yjs_and_yrs_agree_after_a_restore_with_edits_meanwhile() {
    let Some(mut yjs) = BlockingDriver::start("peer.mjs") else {
        return;
    };
    for seed in seeds(40) {
        println!("seed {seed}");
        let mut history = History::new(seed, 3);
        history.write(50);
        history.meet();
        let version = history.random.index(history.rows.len() + 1);
        let wanted = Wanted::Version(version as u64);
        let update = restored(&history, wanted, 1).update.to_vec();
        let meanwhile: Vec<Vec<u8>> = (history.people.iter())
            .map(|person| people::edit(&person.doc, &mut history.random))
            .collect();
        for gc in [true, false] {
            let expected = yjs.load(&history.rows[..version], gc);
            let rows = [&history.rows[..], std::slice::from_ref(&update)].concat();
            let exact = yjs.load(&rows, gc);
            assert!(!exact.pending);
            assert_eq!(joined(&exact), joined(&expected), "gc {gc}");

            let early = yjs.load(&[&rows[..], &meanwhile].concat(), gc);
            let late = [&history.rows[..], &meanwhile, std::slice::from_ref(&update)].concat();
            assert_eq!(yjs.load(&late, gc), early, "gc {gc}");
            let doc = document(&rows);
            meanwhile.iter().for_each(|edit| apply(&doc, edit));
            let state = doc.transact().encode_diff_v1(&yrs::StateVector::default());
            assert_eq!(joined(&yjs.load(&[state], gc)), joined(&early), "gc {gc}");
        }
    }
}

#[test]
fn documents_of_yjs_are_restored() {
    let Some(mut yjs) = BlockingDriver::start("peer.mjs") else {
        return;
    };
    for seed in seeds(60) {
        println!("seed {seed}");
        let ask = json!({ "ask": "session", "seed": seed, "edits": 60, "lossy": true, "late": 4 });
        let session: Session = yjs.ask(&ask);
        let mut history = History::new(seed, 0);
        for update in &session.updates {
            history.push(unhex(update), 0);
        }
        let mut random = Random::new(seed);
        for client in 1..4 {
            let version = random.index(history.rows.len() + 1);
            let expected = joined(&yjs.load(&history.rows[..version], false));
            let restored = restored(&history, Wanted::Version(version as u64), client);
            assert!(restored.exact, "version {version}");
            history.push(restored.update.to_vec(), 0);
            history.provenance.add_origins(&restored.origins);
            for gc in [true, false] {
                let print = yjs.load(&history.rows, gc);
                assert_eq!(joined(&print), expected, "version {version}, gc {gc}");
            }
        }
    }
}
