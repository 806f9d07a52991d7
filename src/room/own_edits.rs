//! Edits that the server makes itself: a title that was changed through the API, a version that is restored.
//!
//! They are updates like those of a client, merge like them and are committed like them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    batch::OwnEdit,
    event::{EditError, Now, RenameError},
    intake::Intake,
    state::State,
};
use crate::document::{ClientId, ready::split_with, scan::scan};

impl State {
    /// Renames the document as the server's own edit.
    pub(super) fn rename(
        &mut self,
        title: &str,
        author: &Arc<str>,
        client: u32,
        reply: oneshot::Sender<Result<(), RenameError>>,
        now: Now,
    ) {
        match self.write_title(title, author, client, now) {
            // Whoever asked may have gone away meanwhile.
            Ok(true) => self.pending.renames.push(reply),
            Ok(false) => drop(reply.send(Ok(()))),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn write_title(
        &mut self,
        title: &str,
        author: &Arc<str>,
        client: u32,
        now: Now,
    ) -> Result<bool, RenameError> {
        if self.is_ending() {
            return Err(RenameError::NotWritable);
        }
        if self.replica.title() == title {
            return Ok(false);
        }
        let update = self
            .replica
            .rename(title, client)
            .ok_or(RenameError::Failed)?;
        self.take_own(&update, author, u64::from(client), now)
            .map_err(|_| RenameError::Failed)
    }

    /// Applies an edit that the server made.
    pub(super) fn edit(&mut self, update: &Bytes, author: &Arc<str>, edit: OwnEdit, now: Now) {
        let refused = if self.is_ending() || self.broken {
            Some(EditError::NotWritable)
        } else {
            // It would wait for as long as storing fails, and nobody would know.
            self.storing.clone().map(EditError::NotStoring)
        };
        let taken = match refused {
            Some(error) => Err(error),
            None => self.take_own(update, author, edit.client_id, now),
        };
        match taken {
            Ok(true) => self.pending.edits.push(edit),
            // Whoever asked may have gone away meanwhile.
            Ok(false) => drop(edit.reply.send(Ok(self.head_seq))),
            Err(error) => drop(edit.reply.send(Err(error))),
        }
    }

    /// Takes in an update that no peer sent, all or nothing of it. Answers whether it changed anything.
    fn take_own(
        &mut self,
        update: &Bytes,
        author: &Arc<str>,
        client: ClientId,
        now: Now,
    ) -> Result<bool, EditError> {
        let refused = |error: &dyn std::fmt::Display| EditError::Refused(error.to_string());
        let scan = scan(update, &self.limits.scan).map_err(|error| refused(&error))?;
        let split = split_with(
            &scan,
            update,
            self.replica.known(),
            self.replica.deleted(),
            &|_| true,
        );
        if split.rest {
            return Err(EditError::NotReady);
        }
        match self.apply(&scan, update, &split) {
            Ok(Some(applied)) => {
                self.metrics
                    .uncommitted_bytes
                    .inc_by(applied.bytes.len() as i64);
                self.pending.add(author, client, now.wall, &scan, applied);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(Intake::Refused { reason, .. } | Intake::NotNow { reason }) => {
                Err(EditError::Refused(reason))
            }
            Err(_) => Err(EditError::NotWritable),
        }
    }
}
