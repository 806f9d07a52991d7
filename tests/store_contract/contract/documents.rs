//! Documents: their life, their list, their names.

use std::sync::Arc;

use coscribe::store::{
    Append, Appended, DocState, FIRST_EPOCH, ListQuery, Loaded, Store, StoreError,
};

use super::compaction;
use crate::fixture::{Typing, add, doc, entry, live};

fn of(state: DocState) -> ListQuery {
    ListQuery {
        state,
        search: None,
        after: None,
        limit: 100,
    }
}

pub async fn a_document_is_made_by_its_first_row_and_not_by_a_look(store: Arc<dyn Store>) {
    assert_eq!(store.load(&doc("a")).await.unwrap(), Loaded::Absent);
    assert!(store.get(&doc("a")).await.unwrap().is_none());
    assert!(matches!(
        store.rows(&doc("a"), 1, 9).await,
        Err(StoreError::NotFound)
    ));
    assert!(store.list(&of(DocState::Live)).await.unwrap().is_empty());

    add(&*store, "a", Typing::of("x").updates.remove(0)).await;
    let record = store.get(&doc("a")).await.unwrap().unwrap();
    assert_eq!(
        (record.state, record.head_seq, record.epoch),
        (DocState::Live, 1, FIRST_EPOCH)
    );
    assert_eq!((record.created_at, record.edited_at), (2_000, 2_000));
}

pub async fn titles_follow_the_rows_that_change_them(store: Arc<dyn Store>) {
    let rows = Typing::of("abc").updates;
    let titled = |n: usize, title: Option<&str>| Append {
        title: title.map(Into::into),
        ..entry("a", None, vec![rows[n].clone()])
    };
    store.append(&[titled(0, Some("First"))], 5).await.unwrap();
    assert_eq!(live(&*store, "a").await.title, "First");
    store.append(&[titled(1, None)], 6).await.unwrap();
    assert_eq!(store.get(&doc("a")).await.unwrap().unwrap().title, "First");
    store
        .append(&[titled(2, Some("Second ü"))], 7)
        .await
        .unwrap();
    let record = store.get(&doc("a")).await.unwrap().unwrap();
    assert_eq!(
        (record.title.as_str(), record.edited_at, record.created_at),
        ("Second ü", 7, 5)
    );
}

pub async fn trash_restore_and_delete_follow_each_other(store: Arc<dyn Store>) {
    let a = doc("a");
    assert!(matches!(
        store.trash(&a, 1).await,
        Err(StoreError::NotFound)
    ));
    let typing = Typing::of("abc");
    store
        .append(&[entry("a", None, typing.updates.clone())], 5)
        .await
        .unwrap();
    let live_is_wrong = |outcome| {
        assert!(matches!(
            outcome,
            Err(StoreError::WrongState(DocState::Live))
        ));
    };
    live_is_wrong(store.restore(&a, 6).await.map(drop));
    live_is_wrong(store.delete(&a, 6).await);
    live_is_wrong(store.create(&a, 6).await.map(drop));

    let trashed = store.trash(&a, 7).await.unwrap();
    assert_eq!(
        (trashed.state, trashed.trashed_at, trashed.head_seq),
        (DocState::Trashed, Some(7), 3)
    );
    assert_eq!(store.load(&a).await.unwrap(), Loaded::Trashed);
    assert!(matches!(
        store.trash(&a, 8).await,
        Err(StoreError::WrongState(DocState::Trashed))
    ));
    assert_eq!(store.rows(&a, 1, 9).await.unwrap().len(), 3);

    let restored = store.restore(&a, 9).await.unwrap();
    assert_eq!(
        (restored.state, restored.trashed_at, restored.edited_at),
        (DocState::Live, None, 5)
    );
    assert_eq!(live(&*store, "a").await.tail.len(), 3);

    store.trash(&a, 10).await.unwrap();
    store.delete(&a, 11).await.unwrap();
    assert_eq!(store.load(&a).await.unwrap(), Loaded::Deleted);
    assert!(matches!(
        store.rows(&a, 1, 9).await,
        Err(StoreError::NotFound)
    ));
    assert!(matches!(
        store.restore(&a, 12).await,
        Err(StoreError::WrongState(DocState::Deleted))
    ));
    assert!(matches!(
        store.quarantine(&a, "x").await,
        Err(StoreError::WrongState(DocState::Deleted))
    ));
    let tombstone = store.get(&a).await.unwrap().unwrap();
    assert_eq!(
        (tombstone.state, tombstone.size, tombstone.title.as_str()),
        (DocState::Deleted, 0, "")
    );
}

pub async fn a_name_that_is_created_again_starts_anew_with_the_next_epoch(store: Arc<dyn Store>) {
    let a = doc("a");
    let made = store.create(&a, 1).await.unwrap();
    assert_eq!(
        (made.epoch, made.head_seq, made.state),
        (1, 0, DocState::Live)
    );
    let empty = live(&*store, "a").await;
    assert_eq!(
        (
            empty.epoch,
            empty.head_seq,
            empty.snapshot,
            empty.tail.len()
        ),
        (1, 0, None, 0)
    );
    // A room that opened before it was made writes to it.
    assert_eq!(
        add(&*store, "a", Typing::of("x").updates.remove(0)).await,
        1
    );
    for epoch in 2..5 {
        store.trash(&a, 2).await.unwrap();
        store.delete(&a, 3).await.unwrap();
        assert_eq!(store.create(&a, 4).await.unwrap().epoch, epoch);
        let rows = Typing::of("yz").updates;
        let answers = store
            .append(&[entry("a", Some(epoch), rows.clone())], 5)
            .await
            .unwrap();
        assert_eq!(answers, [Appended::Committed { epoch, head_seq: 2 }]);
        assert!(
            store
                .compact(compaction("a", epoch, 1, Typing::of("y").state()))
                .await
                .unwrap()
        );
        let stored = live(&*store, "a").await;
        assert_eq!((stored.epoch, stored.tail.len()), (epoch, 1));
    }
}

pub async fn a_quarantined_document_keeps_its_rows(store: Arc<dyn Store>) {
    let typing = Typing::of("abc");
    store
        .append(&[entry("a", None, typing.updates.clone())], 5)
        .await
        .unwrap();
    store
        .quarantine(&doc("a"), "it crashed the loader")
        .await
        .unwrap();
    let reason = "it crashed the loader".to_owned();
    assert_eq!(
        store.load(&doc("a")).await.unwrap(),
        Loaded::Quarantined { reason }
    );
    assert_eq!(store.rows(&doc("a"), 1, 3).await.unwrap().len(), 3);
    assert!(
        !store
            .compact(compaction("a", 1, 3, typing.state()))
            .await
            .unwrap()
    );
    assert_eq!(
        store.list(&of(DocState::Quarantined)).await.unwrap().len(),
        1
    );
    assert!(matches!(
        store.quarantine(&doc("nobody"), "x").await,
        Err(StoreError::NotFound)
    ));
}

pub async fn the_list_is_paged_newest_first(store: Arc<dyn Store>) {
    // Several share a time, so that the name decides.
    for n in 0..25i64 {
        let batch = [entry(&format!("doc {n:02}"), None, Typing::of("x").updates)];
        store.append(&batch, 100 + n / 3).await.unwrap();
    }
    store.trash(&doc("doc 07"), 200).await.unwrap();
    let all = store.list(&of(DocState::Live)).await.unwrap();
    assert_eq!(all.len(), 24);
    let in_order = |a: &coscribe::store::DocRecord, b: &coscribe::store::DocRecord| {
        (b.edited_at, &a.doc) < (a.edited_at, &b.doc)
    };
    assert!(all.is_sorted_by(in_order));

    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let query = ListQuery {
            after: after.clone(),
            limit: 7,
            ..of(DocState::Live)
        };
        let page = store.list(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.edited_at, last.doc.clone()));
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let trashed = store.list(&of(DocState::Trashed)).await.unwrap();
    assert_eq!(
        trashed
            .iter()
            .map(|record| record.doc.as_str())
            .collect::<Vec<_>>(),
        ["doc 07"]
    );
}

pub async fn search_finds_literal_text_in_any_case(store: Arc<dyn Store>) {
    let titles = [
        ("1", "Äpfel und 100% Birnen"),
        ("2", "under_score"),
        ("3", "UNDERxSCORE"),
        ("plan-B", ""),
    ];
    for (name, title) in titles {
        let titled = Append {
            title: Some(title.into()),
            ..entry(name, None, Typing::of("x").updates)
        };
        store.append(&[titled], 5).await.unwrap();
    }
    for (text, found) in [
        ("äPFEL", &["1"][..]),
        ("0%", &["1"]),
        ("%", &["1"]),
        ("r_s", &["2"]),
        ("under", &["2", "3"]),
        ("PLAN-b", &["plan-B"]),
        ("'", &[]),
        ("", &["1", "2", "3", "plan-B"]),
    ] {
        let query = ListQuery {
            search: Some(text.into()),
            ..of(DocState::Live)
        };
        let mut names: Vec<_> = store
            .list(&query)
            .await
            .unwrap()
            .iter()
            .map(|record| record.doc.as_str().to_owned())
            .collect();
        names.sort();
        assert_eq!(names, found, "{text}");
    }
}

pub async fn the_probe_says_that_all_is_well(store: Arc<dyn Store>) {
    store.probe().await.unwrap();
    add(&*store, "a", Typing::of("x").updates.remove(0)).await;
    store.probe().await.unwrap();
}
