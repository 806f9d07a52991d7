//! Awareness: who is here.

use coscribe::document::awareness::{Awareness, entries};

const LIMIT: usize = 1 << 10;

/// What is taken is told to others in a form that they take, and says the same.
pub fn awareness(data: &[u8]) {
    let Ok(found) = entries(data) else { return };
    assert!(found.len() <= data.len(), "entries out of nothing");
    let mut here = Awareness::default();
    for (now, entry) in found.iter().enumerate() {
        // What is refused, and what is old news, changes nothing.
        here.apply(entry, LIMIT, now as u64).ok();
    }
    let everyone = here.encode_all();
    assert_eq!(everyone.is_some(), here.present() > 0);
    let Some(everyone) = everyone else { return };
    let again = entries(&everyone).expect("what we encode can be read");
    assert_eq!(again.len(), here.present());
    let mut there = Awareness::default();
    for entry in &again {
        assert!(entry.state.is_some_and(|state| state.len() <= LIMIT));
        there
            .apply(entry, LIMIT, 0)
            .expect("what was taken once is taken again");
    }
    let states = |of: &Awareness| -> Vec<(u64, Vec<u8>)> {
        let mut states: Vec<_> = of
            .states()
            .map(|(id, state)| (id, state.to_vec()))
            .collect();
        states.sort_unstable();
        states
    };
    assert_eq!(states(&here), states(&there));
    // Everybody is gone in time, and nobody is told twice.
    let ended = here.expire(u64::MAX / 2);
    assert_eq!(ended.len(), there.present());
    assert_eq!((here.present(), here.expire(u64::MAX / 2).len()), (0, 0));
}
