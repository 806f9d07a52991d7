//! What the list of versions is made of: sessions and marks.

use std::sync::Arc;

use coscribe::store::{
    DocState, Mark, MarkKind, NewMark, NewRow, Seq, Store, StoreError,
    sessions::{PAUSE, Session},
};

use super::compaction;
use crate::fixture::{Typing, add, doc, entry};

/// Letters of two people who pause after every third one.
pub(crate) fn written(text: &str) -> Vec<NewRow> {
    let mut rows = Typing::of(text).updates;
    for (n, row) in rows.iter_mut().enumerate() {
        row.author = ["ada", "ben"][n % 2].into();
        row.at = 1_000 * n as i64 + n as i64 / 3 * (PAUSE + 1);
    }
    rows
}

pub(crate) async fn sessions(store: &dyn Store, before: Seq, limit: u32) -> Vec<Session> {
    store.sessions(&doc("a"), before, limit).await.unwrap()
}

fn spans(sessions: &[Session]) -> Vec<(Seq, Seq)> {
    sessions.iter().map(|s| (s.from_seq, s.to_seq)).collect()
}

pub async fn sessions_are_the_same_before_and_after_folding(store: Arc<dyn Store>) {
    let rows = written("abcdefghijk");
    store.append(&[entry("a", None, rows)], 5).await.unwrap();
    let before = sessions(&*store, Seq::MAX, 100).await;
    assert_eq!(spans(&before), [(10, 11), (7, 9), (4, 6), (1, 3)]);
    assert_eq!(before[3].authors, ["ada".into(), "ben".into()]);
    assert_eq!((before[3].from_at, before[3].to_at), (0, 2_000));
    // In the middle of sessions, at the end of one, and to the head.
    for (seq, text) in [(2, "ab"), (5, "abcde"), (6, "abcdef"), (11, "abcdefghijk")] {
        let state = Typing::of(text).state();
        assert!(store.compact(compaction("a", 1, seq, state)).await.unwrap());
        assert_eq!(sessions(&*store, Seq::MAX, 100).await, before, "{seq}");
        assert_eq!(sessions(&*store, 10, 2).await, before[1..3], "{seq}");
        assert_eq!(sessions(&*store, 4, 100).await, before[3..], "{seq}");
        assert_eq!(sessions(&*store, 1, 100).await, [], "{seq}");
        assert_eq!(sessions(&*store, Seq::MAX, 1).await, before[..1], "{seq}");
    }
    // The last one goes on, or the next begins.
    let mut more = written("abcdefghijklm");
    let (later, next) = (more.pop().unwrap(), more.pop().unwrap());
    add(&*store, "a", next).await;
    let grown = sessions(&*store, Seq::MAX, 2).await;
    assert_eq!(spans(&grown), [(10, 12), (7, 9)]);
    add(&*store, "a", later).await;
    let grown = sessions(&*store, Seq::MAX, 2).await;
    assert_eq!(spans(&grown), [(13, 13), (10, 12)]);
    let missing = store.sessions(&doc("nobody"), Seq::MAX, 9).await;
    assert!(matches!(missing, Err(StoreError::NotFound)));
}

fn named(label: &str) -> NewMark {
    NewMark {
        kind: MarkKind::Named,
        label: label.to_owned(),
        author: "ada".into(),
        at: 77,
        source_seq: None,
        origins: Vec::new().into(),
    }
}

fn restored() -> NewMark {
    NewMark {
        kind: MarkKind::Restore,
        source_seq: Some(1),
        origins: vec![1, 2, 0, 255].into(),
        ..named("the version of yesterday")
    }
}

pub async fn the_present_is_named_renamed_and_unnamed(store: Arc<dyn Store>) {
    let nobody = store.mark(&doc("a"), None, named("one")).await;
    assert!(matches!(nobody, Err(StoreError::NotFound)));
    let rows = Typing::of("abc").updates;
    add(&*store, "a", rows[0].clone()).await;
    let one = store.mark(&doc("a"), None, named("one")).await.unwrap();
    assert_eq!((one.seq, &one.mark), (1, &named("one")));
    add(&*store, "a", rows[1].clone()).await;
    let two = store.mark(&doc("a"), None, named("two")).await.unwrap();
    let again = store
        .mark(&doc("a"), None, named("the same"))
        .await
        .unwrap();
    assert_eq!((two.seq, again.seq), (2, 2));
    let marks = || async { store.marks(&doc("a")).await.unwrap() };
    assert_eq!(marks().await, [one.clone(), two.clone(), again.clone()]);
    let renamed = store.relabel(&doc("a"), one.id, "'; --é").await.unwrap();
    assert_eq!(renamed.mark, named("'; --é"));
    store.unmark(&doc("a"), two.id).await.unwrap();
    assert_eq!(marks().await, [renamed, again.clone()]);
    // Of another document, or gone.
    add(&*store, "b", rows[0].clone()).await;
    for (of, id) in [("b", again.id), ("a", two.id), ("nobody", again.id)] {
        let relabelled = store.relabel(&doc(of), id, "x").await;
        assert!(matches!(relabelled, Err(StoreError::NotFound)), "{of}");
        let unmarked = store.unmark(&doc(of), id).await;
        assert!(matches!(unmarked, Err(StoreError::NotFound)), "{of}");
    }
    assert_eq!(store.marks(&doc("nobody")).await.unwrap(), []);
    store.trash(&doc("a"), 9).await.unwrap();
    let trashed = store.mark(&doc("a"), None, named("three")).await;
    assert!(matches!(
        trashed,
        Err(StoreError::WrongState(DocState::Trashed))
    ));
    assert_eq!(marks().await.len(), 2);
    store.delete(&doc("a"), 9).await.unwrap();
    assert_eq!(marks().await, []);
    // A number is never given twice.
    let other = store.mark(&doc("b"), None, named("b")).await.unwrap();
    assert!(other.id > again.id);
}

pub async fn a_mark_of_an_append_is_there_when_its_row_is(store: Arc<dyn Store>) {
    let rows = Typing::of("abcd").updates;
    let marked = |epoch, rows: &[NewRow]| {
        let mut append = entry("a", epoch, rows.to_vec());
        append.marks = vec![(1, restored())];
        append
    };
    store.append(&[marked(None, &rows[..2])], 5).await.unwrap();
    let wrong_epoch = [marked(Some(7), &rows[2..])];
    store.append(&wrong_epoch, 5).await.unwrap();
    store
        .append(&[marked(Some(1), &rows[2..])], 5)
        .await
        .unwrap();
    let marks: Vec<Mark> = store.marks(&doc("a")).await.unwrap();
    let seqs: Vec<_> = marks.iter().map(|mark| mark.seq).collect();
    assert_eq!(seqs, [2, 4]);
    assert!(marks.iter().all(|mark| mark.mark == restored()));
}
