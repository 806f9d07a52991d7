//! Other rows in the place of folded ones: what thinning and purging leave.
//!
//! What is replaced is overwritten with zeros in the database, and the WAL that held it is cut to nothing soon after
//! (`keeper`), so that no file of the data directory has it.

use sqlx::{SqliteConnection, SqlitePool};

use super::{
    SqliteStore,
    compact::{packed, pages_of, reach, replace_segments, unpacked},
    error::{Columns as _, failed},
    load::{self, Record},
    marks, sessions,
};
use crate::{
    clock::UnixMillis,
    document::id::DocId,
    store::{DocState, Rewrite, Seq, StoreError, history_segment::Segment, sessions::Grain},
};

/// Live documents with a session that is to be thinned, or with old rows that are in no session that is stored.
const SELECT_THINNABLE: &str = "
    SELECT d.name FROM documents d JOIN heads h ON h.doc = d.id
    WHERE d.state = 'live' AND (?1 IS NULL OR d.name > ?1) AND (
        EXISTS (
            SELECT 1 FROM sessions s
            WHERE s.key BETWEEN d.id << 32 AND d.id << 32 | 0xffffffff AND s.grain < ?2 AND s.to_at < ?3
        )
        OR h.edited_at < ?3 AND EXISTS (
            SELECT 1 FROM updates u WHERE u.key BETWEEN d.id << 32 AND d.id << 32 | 0xffffffff
        )
    )
    ORDER BY d.name LIMIT ?4";

/// The segments that take the place of those from one row to another.
struct Rewritten {
    from: Seq,
    to: Seq,
    segments: Vec<Segment>,
}

/// See `Store::rewrite`.
pub(super) async fn rewrite(store: &SqliteStore, rewrite: Rewrite) -> Result<bool, StoreError> {
    let _alone = store.compacting.lock().await;
    let Some(rewritten) = read(store, &rewrite).await? else {
        return Ok(false);
    };
    let mut writer = store.writer().await?;
    writer.overwrites(true).await?;
    writer.begin().await?;
    let outcome = write(&mut writer.conn, &rewrite, &rewritten).await;
    let stored = writer.end(outcome).await;
    writer.overwrites(false).await?;
    drop(writer);
    if stored? {
        store.keeper.wrote(pages_of(&rewritten.segments));
        store.keeper.scrub();
        return Ok(true);
    }
    Ok(false)
}

/// `None` when the rewrite does not fit what is stored. Rows that are folded only change here and in a compaction, and both hold
/// the same lock.
async fn read(store: &SqliteStore, rewrite: &Rewrite) -> Result<Option<Rewritten>, StoreError> {
    let (Some(first), Some(last)) = (rewrite.rows.first(), rewrite.rows.last()) else {
        return Ok(None);
    };
    let mut read = store.readers.begin().await.map_err(failed)?;
    let Some(record) = load::record(&mut read, &rewrite.doc).await? else {
        return Ok(None);
    };
    if !fits(&record, rewrite) || reach(&mut read, &record).await?.history < last.seq {
        return Ok(None);
    }
    load::gapless(&rewrite.rows, first.seq, last.seq)?;
    let segments = load::segments(&mut read, &record, first.seq, last.seq).await?;
    read.commit().await.map_err(failed)?;
    let new = rewrite.rows.clone();
    let made = tokio::task::spawn_blocking(move || {
        let mut rows = unpacked(&segments)?;
        let from = rows.first().map_or(0, |row| row.seq);
        let place = new.first().and_then(|new| new.seq.checked_sub(from));
        let place = place.and_then(|place| {
            let place = usize::try_from(place).ok()?;
            rows.get_mut(place..place.checked_add(new.len())?)
        });
        let place = place.ok_or_else(|| StoreError::Damaged("history has a gap".into()))?;
        let same = |(old, new): (&crate::store::LogRow, &crate::store::LogRow)| {
            old.seq == new.seq
                && old.row.author == new.row.author
                && old.row.client_id == new.row.client_id
        };
        if !place.iter().zip(&new).all(same) {
            return Err(StoreError::Other(
                "rows can not take the place of others".into(),
            ));
        }
        place.clone_from_slice(&new);
        let to = rows.last().map_or(0, |row| row.seq);
        load::gapless(&rows, from, to)?;
        Ok(Rewritten {
            from,
            to,
            segments: packed(&rows)?,
        })
    });
    let made = made
        .await
        .map_err(|error| StoreError::Other(error.into()))?;
    made.map(Some)
}

fn fits(record: &Record, rewrite: &Rewrite) -> bool {
    record.epoch == rewrite.epoch && record.state == DocState::Live
}

async fn write(
    conn: &mut SqliteConnection,
    rewrite: &Rewrite,
    rewritten: &Rewritten,
) -> Result<bool, StoreError> {
    let record = load::record(conn, &rewrite.doc).await?;
    let Some(record) = record.filter(|record| fits(record, rewrite)) else {
        return Ok(false);
    };
    let Rewritten { from, to, segments } = rewritten;
    replace_segments(conn, &record, *from, *to, segments).await?;
    sessions::thinned(conn, record.key, &rewrite.grains).await?;
    if let Some((to, mark)) = &rewrite.purge {
        let from = mark.source_seq.unwrap_or(*to);
        marks::unname(conn, record.key, from, *to).await?;
        marks::insert(conn, record.key, *to, mark).await?;
    }
    Ok(true)
}

/// See `Store::thinnable`.
pub(super) async fn thinnable(
    readers: &SqlitePool,
    grain: Grain,
    before: UnixMillis,
    after: Option<&DocId>,
    limit: u32,
) -> Result<Vec<DocId>, StoreError> {
    let rows = sqlx::query(SELECT_THINNABLE)
        .bind(after.map(|doc| doc.as_str().to_owned()))
        .bind(grain as i64)
        .bind(before)
        .bind(limit)
        .fetch_all(readers)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let name: &str = row.column(0)?;
            DocId::parse(name).map_err(|error| StoreError::Damaged(error.to_string()))
        })
        .collect()
}
