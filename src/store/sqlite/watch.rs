//! Notices that the database was removed, moved or replaced while it is open.
//!
//! SQLite goes on writing to a file that has no name any more; everything would be acknowledged, and be gone with the
//! process. So the files under the names are compared with those that were opened, before each transaction (two
//! `stat` calls: about 1 µs each in a busy server, 10 to 15 in one that has little to do).

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// The database and its write-ahead log, as they were when opened.
#[derive(Debug)]
pub(super) struct FileWatch {
    files: Vec<(PathBuf, FileId)>,
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileWatch {
    /// Takes note of the database at `path` and its log, both of which exist.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let files = [path.to_path_buf(), wal_of(path)]
            .into_iter()
            .map(|path| file_id(&path).map(|id| (path, id)))
            .collect::<io::Result<_>>()?;
        Ok(Self { files })
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (path, opened) in &self.files {
            let name = || {
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            };
            match file_id(path) {
                Ok(now) if now == *opened => {}
                Ok(_) => {
                    let text = format!(
                        "{} was replaced while the server runs; stop the server first",
                        name()
                    );
                    return Err(StoreError::Other(text.into()));
                }
                Err(error) => {
                    let text = format!(
                        "{} is gone or not readable ({error}) while the server runs",
                        name()
                    );
                    return Err(StoreError::Other(text.into()));
                }
            }
        }
        Ok(())
    }
}

/// The write-ahead log of a database.
pub(super) fn wal_of(database: &Path) -> PathBuf {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

#[cfg(unix)]
fn file_id(path: &Path) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path)?;
    Ok(FileId {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// Elsewhere an open file cannot be removed; that it exists is enough.
#[cfg(not(unix))]
fn file_id(path: &Path) -> io::Result<FileId> {
    std::fs::metadata(path)?;
    Ok(FileId {
        device: 0,
        inode: 0,
    })
}
