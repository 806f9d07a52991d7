//! The contract of `store::Store`: one suite that every adapter passes, and what is special about SQLite.

#![allow(
    clippy::unwrap_used,
    reason = "what the tests share is outside of a test function, where the lint does not see that it is one"
)]

mod contract;
mod fixture;
mod sqlite_damage;
mod sqlite_disk;
mod sqlite_files;
mod sqlite_inspect;

/// Runs each clause over each adapter.
macro_rules! clauses {
    ($($clause:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $clause() {
                crate::contract::$clause(std::sync::Arc::new(coscribe::store::memory::MemoryStore::new())).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $clause() {
                let folder = crate::fixture::Folder::new();
                let store = std::sync::Arc::new(folder.open().await);
                crate::contract::$clause(store.clone()).await;
                coscribe::store::Store::close(&*store).await.unwrap();
                // Whatever a clause did, what it left behind is sound.
                crate::sqlite_inspect::assert_sound(&folder).await;
            })*
        }
    };
}

clauses!(
    all_rows_of_a_batch_are_there_in_order,
    numbers_start_at_one_and_have_no_gaps_under_interleaving,
    a_document_is_made_by_its_first_row_and_not_by_a_look,
    an_entry_without_rows_makes_no_document,
    one_batch_may_hold_the_same_document_twice,
    a_refused_entry_does_not_disturb_the_others,
    a_room_of_another_epoch_writes_nothing,
    bytes_come_back_as_they_went_in,
    titles_follow_the_rows_that_change_them,
    load_after_compaction_is_snapshot_and_tail,
    compaction_may_be_repeated_and_never_goes_back,
    compaction_of_another_epoch_changes_nothing,
    rows_are_found_across_history_and_log,
    trash_restore_and_delete_follow_each_other,
    a_name_that_is_created_again_starts_anew_with_the_next_epoch,
    a_quarantined_document_keeps_its_rows,
    the_list_is_paged_newest_first,
    search_finds_literal_text_in_any_case,
    appends_and_compactions_at_once_lose_nothing,
    the_probe_says_that_all_is_well,
    sessions_are_the_same_before_and_after_folding,
    the_present_is_named_renamed_and_unnamed,
    a_mark_of_an_append_is_there_when_its_row_is,
    rows_take_the_place_of_folded_ones,
    what_does_not_fit_changes_nothing,
    a_thinned_session_says_so_and_is_over,
    a_purge_takes_the_names_of_its_moments,
);
