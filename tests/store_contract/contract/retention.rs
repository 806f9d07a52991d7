//! Rows in the place of others, and what is left of the list of versions then.

use std::sync::Arc;

use coscribe::store::{
    LogRow, MarkKind, NewMark, Rewrite, Seq, Store, StoreError,
    sessions::{Grain, PAUSE},
};

use super::{
    compaction,
    history::{sessions, written},
};
use crate::fixture::{Typing, add, doc, entry, live};

const TEXT: &str = "abcdefghijk";

/// Eleven letters in four sessions, the first nine of them folded.
async fn folded(store: &dyn Store) {
    let rows = written(TEXT);
    let now = rows.last().unwrap().at;
    store.append(&[entry("a", None, rows)], now).await.unwrap();
    let state = Typing::of(&TEXT[..9]).state();
    assert!(store.compact(compaction("a", 1, 9, state)).await.unwrap());
}

/// Rows 4 to 6 with all of their text in the last.
async fn merged(store: &dyn Store) -> Rewrite {
    let mut rows = store.rows(&doc("a"), 4, 6).await.unwrap();
    let updates: Vec<&[u8]> = rows.iter().map(|row| &row.row.bytes[..]).collect();
    let joined = coscribe::document::splice::splice(&updates).unwrap();
    for row in &mut rows[..2] {
        row.row.bytes = vec![0, 0].into();
        row.hidden = true;
    }
    rows[2].row.bytes = joined.into();
    Rewrite {
        doc: doc("a"),
        epoch: 1,
        rows,
        grains: vec![(4, Grain::Minutes)],
        purge: None,
    }
}

async fn all(store: &dyn Store) -> Vec<LogRow> {
    store.rows(&doc("a"), 1, Seq::MAX).await.unwrap()
}

fn mark(kind: MarkKind, source_seq: Option<Seq>) -> NewMark {
    NewMark {
        kind,
        label: String::new(),
        author: "ada".into(),
        at: 7,
        source_seq,
        origins: Vec::new().into(),
    }
}

pub async fn rows_take_the_place_of_folded_ones(store: Arc<dyn Store>) {
    folded(&*store).await;
    let before = all(&*store).await;
    let rewrite = merged(&*store).await;
    assert!(store.rewrite(rewrite.clone()).await.unwrap());
    let after = all(&*store).await;
    assert_eq!(after[3..6], rewrite.rows);
    assert_eq!((&after[..3], &after[6..]), (&before[..3], &before[6..]));
    assert_eq!(
        Typing::text_of(after.iter().map(|row| &row.row.bytes[..])),
        TEXT
    );
    assert_eq!(store.rows(&doc("a"), 5, 5).await.unwrap(), after[4..5]);
    // Folding goes on over them.
    let state = Typing::of(TEXT).state();
    assert!(store.compact(compaction("a", 1, 11, state)).await.unwrap());
    assert_eq!(all(&*store).await, after);
    assert_eq!(live(&*store, "a").await.head_seq, 11);
}

pub async fn what_does_not_fit_changes_nothing(store: Arc<dyn Store>) {
    folded(&*store).await;
    let before = all(&*store).await;
    let fitting = merged(&*store).await;
    let not_folded = store.rows(&doc("a"), 8, 10).await.unwrap();
    let nobody = doc("nobody");
    for other in [
        Rewrite {
            epoch: 2,
            ..fitting.clone()
        },
        Rewrite {
            doc: nobody,
            ..fitting.clone()
        },
        Rewrite {
            rows: not_folded,
            ..fitting.clone()
        },
        Rewrite {
            rows: Vec::new(),
            ..fitting.clone()
        },
    ] {
        assert!(!store.rewrite(other.clone()).await.unwrap(), "{other:?}");
    }
    let mut foreign = fitting.clone();
    foreign.rows[1].row.author = "eve".into();
    assert!(matches!(
        store.rewrite(foreign).await,
        Err(StoreError::Other(_))
    ));
    store.trash(&doc("a"), 9).await.unwrap();
    assert!(!store.rewrite(fitting.clone()).await.unwrap());
    store.restore(&doc("a"), 9).await.unwrap();
    assert_eq!(all(&*store).await, before);
    assert_eq!(sessions(&*store, 7, 1).await[0].grain, Grain::All);
    assert!(store.rewrite(fitting).await.unwrap());
}

pub async fn a_thinned_session_says_so_and_is_over(store: Arc<dyn Store>) {
    folded(&*store).await;
    let grains = || async {
        let sessions = sessions(&*store, Seq::MAX, 9).await;
        let grains = sessions.iter().map(|of| (of.from_seq, of.to_seq, of.grain));
        grains.collect::<Vec<_>>()
    };
    let mut rewrite = merged(&*store).await;
    assert!(store.rewrite(rewrite.clone()).await.unwrap());
    let all = Grain::All;
    let expected = [
        (10, 11, all),
        (7, 9, all),
        (4, 6, Grain::Minutes),
        (1, 3, all),
    ];
    assert_eq!(grains().await, expected);
    // Never finer again.
    rewrite.grains = vec![(4, Grain::Seconds), (1, Grain::Named)];
    assert!(store.rewrite(rewrite.clone()).await.unwrap());
    assert_eq!(
        grains().await[2..],
        [(4, 6, Grain::Minutes), (1, 3, Grain::Named)]
    );

    let thinnable = |grain, before| {
        let store = store.clone();
        async move { store.thinnable(grain, before, None, 9).await.unwrap() }
    };
    let last_letter = written(TEXT)[5].at;
    assert_eq!(thinnable(Grain::Minutes, last_letter + 1).await, []);
    assert_eq!(thinnable(Grain::Sessions, last_letter).await, []);
    assert_eq!(
        thinnable(Grain::Sessions, last_letter + 1).await,
        [doc("a")]
    );
    let (first, before) = (doc("a"), last_letter + 1);
    let after = store.thinnable(Grain::Sessions, before, Some(&first), 9);
    assert_eq!(after.await.unwrap(), []);
    store.trash(&doc("a"), 9).await.unwrap();
    assert_eq!(thinnable(Grain::Named, i64::MAX).await, []);
    store.restore(&doc("a"), 9).await.unwrap();

    // What is written right after a thinned session begins the next.
    let state = Typing::of(TEXT).state();
    assert!(store.compact(compaction("a", 1, 11, state)).await.unwrap());
    rewrite.rows = store.rows(&doc("a"), 10, 11).await.unwrap();
    rewrite.grains = vec![(10, Grain::Sessions)];
    assert!(store.rewrite(rewrite).await.unwrap());
    let mut next = written("abcdefghijkl").pop().unwrap();
    next.at -= PAUSE;
    add(&*store, "a", next).await;
    let expected = [(12, 12, all), (10, 11, Grain::Sessions)];
    assert_eq!(grains().await[..2], expected);
}

pub async fn a_purge_takes_the_names_of_its_moments(store: Arc<dyn Store>) {
    folded(&*store).await;
    for seq in [3, 4, 5, 6] {
        let named = mark(MarkKind::Named, None);
        store.mark(&doc("a"), Some(seq), named).await.unwrap();
    }
    let restore = mark(MarkKind::Restore, Some(1));
    let kept = store.mark(&doc("a"), Some(5), restore).await.unwrap();
    let part = NewMark {
        label: "of what is gone".into(),
        ..mark(MarkKind::RestorePart, Some(4))
    };
    let told = store.mark(&doc("a"), Some(6), part.clone()).await.unwrap();
    let purge = mark(MarkKind::Purge, Some(4));
    let mut rewrite = merged(&*store).await;
    rewrite.grains = Vec::new();
    rewrite.purge = Some((5, purge.clone()));
    assert!(store.rewrite(rewrite).await.unwrap());
    let marks = store.marks(&doc("a")).await.unwrap();
    let what: Vec<_> = marks.iter().map(|of| (of.seq, of.mark.kind)).collect();
    let (named, restored) = (MarkKind::Named, MarkKind::Restore);
    let expected = [
        (3, named),
        (5, restored),
        (5, MarkKind::Purge),
        (6, named),
        (6, MarkKind::RestorePart),
    ];
    assert_eq!(what, expected);
    assert_eq!((&marks[1], &marks[2].mark), (&kept, &purge));
    // What it brought back is gone, and so is its name.
    let nameless = NewMark {
        label: String::new(),
        ..part
    };
    assert_eq!((marks[4].id, &marks[4].mark), (told.id, &nameless));
}
