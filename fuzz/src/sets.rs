//! State vectors and sets of ids, as bytes and against plain sets of the standard library.

use std::collections::{BTreeMap, BTreeSet};

use coscribe::document::{
    id_set::{IdRange, IdSet},
    state_vector::StateVector,
};

use super::inputs::Choices;

/// Bytes that are a state vector say the same when written again, and the operations do what a map of clocks would.
pub fn state_vector(data: &[u8]) {
    if let Ok(vector) = StateVector::decode(data, data.len()) {
        let bytes = vector.encode();
        assert!(bytes.len() <= data.len(), "the shortest form is longer");
        let again = StateVector::decode(&bytes, vector.len()).expect("our own form");
        assert_eq!(again, vector);
        assert_eq!(again.encode(), bytes);
        assert!(vector.is_empty() || StateVector::decode(&bytes, vector.len() - 1).is_err());
    }
    let mut choices = Choices::of(data);
    let (mut vector, mut model) = (StateVector::new(), BTreeMap::<u64, u32>::new());
    while !choices.is_empty() {
        let (client, clock) = (choices.below(9) as u64, choices.below(50) as u32);
        match choices.byte() % 3 {
            0 => {
                vector.advance(client, clock);
                model.insert(client, clock.max(model.get(&client).copied().unwrap_or(0)));
            }
            1 => {
                vector.lower(client, clock);
                model
                    .entry(client)
                    .and_modify(|known| *known = clock.min(*known));
            }
            _ => {
                let ends = [
                    (client, clock),
                    (client + 1, clock / 2),
                    (client, clock / 3),
                ];
                vector.advance_all(ends);
                for (client, clock) in ends {
                    model.insert(client, clock.max(model.get(&client).copied().unwrap_or(0)));
                }
            }
        }
        model.retain(|_, clock| *clock > 0);
    }
    let expected: Vec<(u64, u32)> = model.into_iter().collect();
    assert_eq!(vector.iter().collect::<Vec<_>>(), expected);
}

/// Bytes that are a delete set say the same when written again, and the operations do what a set of single ids would.
pub fn id_set(data: &[u8]) {
    if let Ok(set) = IdSet::decode(data, data.len()) {
        let bytes = set.encode();
        let again = IdSet::decode(&bytes, set.len()).expect("our own form");
        assert_eq!(again, set);
        let ranges: Vec<IdRange> = set.iter().collect();
        for pair in ranges.windows(2) {
            let apart = pair[0].client < pair[1].client || pair[0].end < pair[1].start;
            assert!(apart, "ranges touch: {pair:?}");
        }
        let mut both = set.clone();
        both.union(&again);
        assert_eq!(both, set);
    }
    let mut choices = Choices::of(data);
    let (mut set, mut model) = (IdSet::new(), BTreeSet::<(u64, u32)>::new());
    while !choices.is_empty() {
        let client = choices.below(2) as u64;
        let (start, len) = (choices.below(60) as u32, 1 + choices.below(12) as u32);
        let ids = || (start..start + len).map(move |clock| (client, clock));
        let range = IdRange {
            client,
            start,
            end: start + len,
        };
        let missing: Vec<(u64, u32)> = set
            .missing_from(range)
            .flat_map(|range| (range.start..range.end).map(move |clock| (client, clock)))
            .collect();
        let expected: Vec<(u64, u32)> = ids().filter(|id| !model.contains(id)).collect();
        assert_eq!(missing, expected);
        assert_eq!(set.contains(range), expected.is_empty());
        let touched = set.overlapping(client, start, start + len).count() > 0;
        assert_eq!(touched, expected.len() < len as usize);
        set.insert(client, start, len);
        model.extend(ids());
    }
    let held: usize = set
        .iter()
        .map(|range| (range.end - range.start) as usize)
        .sum();
    assert_eq!(held, model.len());
}
