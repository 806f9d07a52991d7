//! A copy of the database, and the way back.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sqlx::{Connection, SqliteConnection};

use super::{InspectError, Progress, Step, file_problems, open_read_only};
use crate::store::sqlite::{
    DATABASE_FILE, OpenError,
    error::failed,
    open::{create_private_dir, lock_data_dir, private_file, sync_dir},
};

/// Copies the database to `file`, as it is at one moment, beside a running server or at rest. The copy has a name of
/// its own until it is complete, verified and on disk, so a `file` that exists is a whole backup.
pub async fn backup(
    data_dir: &Path,
    file: &Path,
    overwrite: bool,
    mut progress: impl FnMut(Progress),
) -> Result<(), InspectError> {
    refuse_existing(file, overwrite)?;
    let mut conn = open_read_only(&data_dir.join(DATABASE_FILE)).await?;
    let partial = Partial::beside(file)?;
    progress(Step::Copying.begins());
    copy_into(&mut conn, &partial.0).await?;
    conn.close().await.map_err(failed)?;
    progress(Step::Verifying.begins());
    verify(&partial.0).await?;
    refuse_existing(file, overwrite)?;
    partial.become_whole(file)
}

/// Brings a backup back as the database of a data directory that has none. The backup is verified first, and stays.
pub async fn restore_backup(
    file: &Path,
    data_dir: &Path,
    mut progress: impl FnMut(Progress),
) -> Result<(), InspectError> {
    progress(Step::Verifying.begins());
    verify(file).await?;
    let in_dir = |source| OpenError::DataDir {
        path: data_dir.to_path_buf(),
        source,
    };
    create_private_dir(data_dir).map_err(in_dir)?;
    let _lock = lock_data_dir(data_dir)?;
    let database = data_dir.join(DATABASE_FILE);
    refuse_database(&database)?;
    progress(Step::Copying.begins());
    let partial = Partial::beside(&database)?;
    copy_file(file, &partial.0).map_err(|source| InspectError::File {
        path: partial.0.clone(),
        source,
    })?;
    partial.become_whole(&database)
}

async fn copy_into(conn: &mut SqliteConnection, target: &Path) -> Result<(), InspectError> {
    let name = target.to_str().ok_or_else(|| {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "the path is not valid UTF-8");
        InspectError::File {
            path: target.to_path_buf(),
            source,
        }
    })?;
    sqlx::query("VACUUM INTO ?")
        .bind(name.to_owned())
        .execute(conn)
        .await
        .map_err(failed)?;
    Ok(())
}

/// That the file is a coscribe database of a version we know, without damage.
async fn verify(file: &Path) -> Result<(), InspectError> {
    let mut conn = open_read_only(file).await?;
    let problems = file_problems(&mut conn).await?;
    conn.close().await.map_err(failed)?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(InspectError::Damaged {
            path: file.to_path_buf(),
            problems,
        })
    }
}

fn refuse_existing(file: &Path, overwrite: bool) -> Result<(), InspectError> {
    if !overwrite && file.exists() {
        return Err(InspectError::Exists {
            path: file.to_path_buf(),
        });
    }
    Ok(())
}

/// A leftover log would be played into the restored database; so it counts as one, too.
fn refuse_database(database: &Path) -> Result<(), InspectError> {
    for suffix in ["", "-wal"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
            return Err(InspectError::DataDirInUse {
                path: PathBuf::from(path),
            });
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut target = private_file().write(true).open(to)?;
    io::copy(&mut File::open(from)?, &mut target).map(drop)
}

/// A file that is not whole yet, under a name of its own in the folder of its target; it goes away if it never gets so.
struct Partial(PathBuf);

impl Partial {
    fn beside(target: &Path) -> Result<Self, InspectError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:016x}.partial", rand::random::<u64>()));
        let path = target.with_file_name(name);
        match private_file().write(true).create_new(true).open(&path) {
            Ok(_) => Ok(Self(path)),
            Err(source) => Err(InspectError::File { path, source }),
        }
    }

    /// Syncs, takes the target's name, and syncs that.
    fn become_whole(self, target: &Path) -> Result<(), InspectError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| InspectError::File { path, source }
        };
        File::open(&self.0)
            .and_then(|file| file.sync_all())
            .map_err(at(&self.0))?;
        fs::rename(&self.0, target).map_err(at(target))?;
        sync_dir(target.parent().unwrap_or(Path::new("."))).map_err(at(target))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "A partial copy could not be removed");
        }
    }
}
