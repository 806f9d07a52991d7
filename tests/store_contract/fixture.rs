//! What the store tests share: rows, names and a data directory.

use std::path::{Path, PathBuf};

use coscribe::{
    document::id::DocId,
    store::{
        Append, Appended, Durability, Epoch, Loaded, NewRow, Seq, Store, Stored,
        sqlite::{DATABASE_FILE, OpenError, SqliteOptions, SqliteStore},
    },
};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use yrs::{Doc, GetString, ReadTxn, Text, Transact, updates::decoder::Decode};

pub fn doc(name: &str) -> DocId {
    DocId::parse(name).unwrap()
}

pub fn entry(name: &str, epoch: Option<Epoch>, rows: Vec<NewRow>) -> Append {
    Append {
        doc: doc(name),
        epoch,
        rows,
        title: None,
        marks: Vec::new(),
        people: Vec::new(),
    }
}

/// Appends one row that must be taken, and answers its number.
pub async fn add(store: &dyn Store, name: &str, new: NewRow) -> Seq {
    let answers = store
        .append(&[entry(name, None, vec![new])], 2_000)
        .await
        .unwrap();
    match answers[..] {
        [Appended::Committed { head_seq, .. }] => head_seq,
        ref other => panic!("not committed: {other:?}"),
    }
}

pub async fn live(store: &dyn Store, name: &str) -> Stored {
    match store.load(&doc(name)).await.unwrap() {
        Loaded::Live(stored) => stored,
        other => panic!("not live: {other:?}"),
    }
}

/// What somebody types, one Yjs update per letter, with the state after them.
pub struct Typing {
    doc: Doc,
    pub updates: Vec<NewRow>,
}

impl Typing {
    pub fn of(text: &str) -> Self {
        let doc = Doc::with_options(yrs::Options {
            client_id: yrs::block::ClientID::new(77),
            skip_gc: true,
            ..yrs::Options::default()
        });
        let body = doc.get_or_insert_text("body");
        let mut updates = Vec::new();
        for (at, letter) in text.chars().enumerate() {
            let mut txn = doc.transact_mut();
            body.insert(&mut txn, at as u32, &letter.to_string());
            updates.push(NewRow {
                bytes: txn.encode_update_v1().into(),
                author: "client:77".into(),
                client_id: 77,
                at: 1_000 + at as i64,
            });
        }
        Self { doc, updates }
    }

    pub fn state(&self) -> Vec<u8> {
        self.doc
            .transact()
            .encode_state_as_update_v1(&yrs::StateVector::default())
    }

    /// The text that a document shows when it is built from these updates.
    pub fn text_of<'a>(updates: impl IntoIterator<Item = &'a [u8]>) -> String {
        let doc = Doc::with_options(yrs::Options {
            skip_gc: true,
            ..yrs::Options::default()
        });
        let body = doc.get_or_insert_text("body");
        for update in updates {
            doc.transact_mut()
                .apply_update(yrs::Update::decode_v1(update).unwrap())
                .unwrap();
        }
        body.get_string(&doc.transact())
    }
}

/// A data directory that goes away with the test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn database(&self) -> PathBuf {
        self.data_dir().join(DATABASE_FILE)
    }

    pub async fn try_open(&self) -> Result<SqliteStore, OpenError> {
        open_at(&self.data_dir()).await
    }

    pub async fn open(&self) -> SqliteStore {
        self.try_open().await.unwrap()
    }

    /// A connection beside the store, for looking and for damage.
    pub async fn meddle(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.database())
            .connect()
            .await
            .unwrap()
    }

    /// What the disk holds after `kill -9` now: the files as they are, without the lock.
    pub fn after_a_crash(&self) -> Self {
        let copy = Self::new();
        std::fs::create_dir(copy.data_dir()).unwrap();
        for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
            let from = self.data_dir().join(&name);
            if from.exists() {
                std::fs::copy(from, copy.data_dir().join(&name)).unwrap();
            }
        }
        copy
    }
}

pub async fn open_at(data_dir: &Path) -> Result<SqliteStore, OpenError> {
    // Most tests are about what is stored, not about power cuts.
    SqliteStore::open(SqliteOptions {
        data_dir: data_dir.to_path_buf(),
        durability: Durability::Process,
    })
    .await
}
