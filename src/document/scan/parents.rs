//! Which shared type each struct of an update lies in, as far as the update itself tells.
//!
//! A struct with origins does not name its parent: it lies where its left neighbour lies, or else its right one. An
//! update in which the two neighbours visibly lie in different places was made to confuse: Yjs and yrs place such a
//! struct differently, and a collecting yrs document frees memory that it still uses.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::ops::Range;

use super::{Kind, Parent, Run, RunIndex, Scan, ScanError, StructView};
use crate::document::{Clock, ids::Id};

/// Refuses structs between different parents and structs in what is no type. Returns how deep types nest.
pub(super) fn check(bytes: &[u8], scan: &Scan) -> Result<u32, ScanError> {
    let mut table = Table::new(scan, Confusing::Refused);
    table.read(bytes)?;
    table.refuse_crossings()?;
    Ok(table.depth_of_types())
}

/// How deep types nest, whatever lies where it should not.
pub(super) fn depth(bytes: &[u8], scan: &Scan) -> Result<u32, ScanError> {
    let mut table = Table::new(scan, Confusing::Passed);
    table.read(bytes)?;
    Ok(table.depth_of_types())
}

/// What becomes of a struct that lies in what is no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confusing {
    Refused,
    /// It lies nowhere.
    Passed,
}

/// Where a struct lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// Told outside of this update, or nowhere (collected).
    Unknown,
    /// In the place with this number.
    Place(u32),
    /// Where the struct with this number lies.
    With(u32),
}

/// A parent, and the key there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place<'a> {
    parent: Parent<'a>,
    key: Option<&'a [u8]>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    clock: Clock,
    kind: Kind,
    home: Home,
    /// The struct on the right, of those that name neighbours on both sides.
    right: u32,
}

const NO_STRUCT: u32 = u32::MAX;

/// Which reference of a struct is meant.
#[derive(Debug, Clone, Copy)]
enum Role {
    Neighbour,
    Right,
    Parent,
}

/// Finds the struct that holds a clock: the stretch of a run's clocks is cut into about as many even pieces as there
/// are structs, and of each piece the struct that holds its first clock is known.
#[derive(Debug)]
struct Pieces {
    first_struct: u32,
    /// Where the run's pieces lie in [`Table::pieces`].
    at: usize,
    /// Binary logarithm of the clocks in a piece.
    width: u32,
}

struct Table<'a> {
    scan: &'a Scan,
    confusing: Confusing,
    index: RunIndex,
    runs: Vec<Pieces>,
    pieces: Vec<u32>,
    entries: Vec<Entry>,
    places: Vec<Place<'a>>,
    /// References to runs that were not read yet.
    unsettled: Vec<(u32, Role, Id)>,
    /// The right origin of the struct before, of the same run.
    right_before: Option<Id>,
    /// Structs on the way to the one that tells; kept to save allocations.
    path: Vec<u32>,
}

impl<'a> Table<'a> {
    fn new(scan: &'a Scan, confusing: Confusing) -> Self {
        let structs = scan.structs as usize;
        Self {
            scan,
            confusing,
            index: scan.index(),
            runs: Vec::with_capacity(scan.runs.len()),
            pieces: Vec::with_capacity(structs + 2 * scan.runs.len()),
            entries: Vec::with_capacity(structs),
            places: Vec::new(),
            unsettled: Vec::new(),
            right_before: None,
            path: Vec::new(),
        }
    }

    fn read(&mut self, bytes: &'a [u8]) -> Result<(), ScanError> {
        for (run_number, run) in self.scan.runs.iter().enumerate() {
            self.begin_run(run);
            for view in self.scan.structs_of(bytes, run) {
                self.push(run_number, &view)?;
            }
        }
        self.settle()
    }

    fn depth_of_types(&mut self) -> u32 {
        if self.scan.new_types > 0 {
            self.depth()
        } else {
            0
        }
    }

    fn begin_run(&mut self, run: &Run) {
        let clocks = run.end - run.start;
        let width = (clocks / run.structs.max(1)).max(1).ilog2();
        self.runs.push(Pieces {
            first_struct: self.entries.len() as u32,
            at: self.pieces.len(),
            width,
        });
    }

    /// Writes down one struct: its place, or whose place it shares.
    fn push(&mut self, run_number: usize, view: &StructView<'a>) -> Result<(), ScanError> {
        let number = self.entries.len() as u32;
        if let (Some(run), Some(pieces)) = (self.scan.runs.get(run_number), self.runs.last()) {
            let known = self.pieces.len() - pieces.at;
            let needed = ((view.end() - 1 - run.start) >> pieces.width) as usize + 1;
            self.pieces
                .extend(std::iter::repeat_n(number, needed.saturating_sub(known)));
        }
        self.entries.push(Entry {
            clock: view.clock,
            kind: view.kind,
            home: Home::Unknown,
            right: NO_STRUCT,
        });
        if let Some(parent) = view.parent {
            self.set_home(number, Home::Place(self.places.len() as u32));
            self.places.push(Place {
                parent,
                key: view.parent_sub,
            });
            if let Parent::Item(item) = parent {
                self.refer(run_number, number, Role::Parent, item)?;
            }
        } else if self.continues(run_number, view) {
            self.settle_one(number, Role::Neighbour, Some(number - 1))?;
            if view.right_origin != self.right_before
                && let Some(right) = view.right_origin
            {
                self.refer(run_number, number, Role::Right, right)?;
            }
        } else if let Some(neighbour) = view.origin.or(view.right_origin) {
            self.refer(run_number, number, Role::Neighbour, neighbour)?;
            if let (Some(_), Some(right)) = (view.origin, view.right_origin) {
                self.refer(run_number, number, Role::Right, right)?;
            }
        }
        self.right_before = view.right_origin;
        Ok(())
    }

    /// Whether a struct was inserted right after the one before it in the run, as most are; then there is nothing to
    /// look for.
    fn continues(&self, run_number: usize, view: &StructView<'_>) -> bool {
        let Some(run) = self
            .scan
            .runs
            .get(run_number)
            .filter(|run| run.start < view.clock)
        else {
            return false;
        };
        let before = self.entries.len().saturating_sub(2) as u32;
        view.origin == Some(Id::new(run.client, view.clock - 1)) && self.kind(before) != Kind::Skip
    }

    fn refer(
        &mut self,
        run_number: usize,
        number: u32,
        role: Role,
        id: Id,
    ) -> Result<(), ScanError> {
        let own = self
            .scan
            .runs
            .get(run_number)
            .is_some_and(|run| run.client == id.client);
        let target = if own {
            Some(run_number)
        } else {
            self.index.find(&self.scan.runs, id.client)
        };
        match target {
            None => Ok(()),
            Some(target) if target > run_number => {
                self.unsettled.push((number, role, id));
                Ok(())
            }
            Some(target) => self.settle_one(number, role, self.find_in(target, id.clock)),
        }
    }

    /// Settles the references to runs that came later.
    fn settle(&mut self) -> Result<(), ScanError> {
        for (number, role, id) in std::mem::take(&mut self.unsettled) {
            let target = self.find(id);
            self.settle_one(number, role, target)?;
        }
        Ok(())
    }

    fn settle_one(
        &mut self,
        number: u32,
        role: Role,
        target: Option<u32>,
    ) -> Result<(), ScanError> {
        let Some(target) = target else { return Ok(()) };
        match role {
            Role::Neighbour if self.kind(target) == Kind::Gc => {}
            Role::Neighbour => self.set_home(number, Home::With(target)),
            Role::Right => {
                if let Some(entry) = self.entries.get_mut(number as usize) {
                    entry.right = target;
                }
            }
            Role::Parent if matches!(self.kind(target), Kind::Type | Kind::Deleted | Kind::Gc) => {}
            Role::Parent if self.confusing == Confusing::Passed => {}
            Role::Parent => {
                return Err(ScanError::ParentIsNotAType {
                    id: self.id(number),
                });
            }
        }
        Ok(())
    }

    /// A struct lies where its left neighbour lies; so that of the right one must be the same.
    fn refuse_crossings(&mut self) -> Result<(), ScanError> {
        for number in 0..self.entries.len() as u32 {
            let right = self
                .entries
                .get(number as usize)
                .map_or(NO_STRUCT, |entry| entry.right);
            if right != NO_STRUCT
                && let (Some(own), Some(right)) = (self.place(number), self.place(right))
                && own != right
            {
                return Err(ScanError::CrossedParents {
                    id: self.id(number),
                });
            }
        }
        Ok(())
    }

    /// The number of the struct that holds an id, if this update does.
    fn find(&self, id: Id) -> Option<u32> {
        self.find_in(self.index.find(&self.scan.runs, id.client)?, id.clock)
    }

    /// The same in a certain run, of which `clock` must have been read.
    fn find_in(&self, run_number: usize, clock: Clock) -> Option<u32> {
        let run = self
            .scan
            .runs
            .get(run_number)
            .filter(|run| (run.start..run.end).contains(&clock))?;
        let pieces = self.runs.get(run_number)?;
        let piece = pieces.at + ((clock - run.start) >> pieces.width) as usize;
        let from = *self.pieces.get(piece)?;
        // Up to the struct that holds the next piece's first clock, or to the run's last.
        let (pieces_end, structs_end) = match self.runs.get(run_number + 1) {
            Some(next) => (next.at, next.first_struct as usize),
            None => (self.pieces.len(), self.entries.len()),
        };
        let next_piece = self
            .pieces
            .get(piece + 1)
            .filter(|_| piece + 1 < pieces_end);
        let among: Range<usize> =
            from as usize..next_piece.map_or(structs_end, |next| *next as usize + 1);
        let before = self
            .entries
            .get(among)?
            .partition_point(|entry| entry.clock <= clock);
        let found = from + (before as u32).checked_sub(1)?;
        (self.kind(found) != Kind::Skip).then_some(found)
    }

    fn kind(&self, number: u32) -> Kind {
        self.entries
            .get(number as usize)
            .map_or(Kind::Gc, |entry| entry.kind)
    }

    fn set_home(&mut self, number: u32, home: Home) {
        if let Some(entry) = self.entries.get_mut(number as usize) {
            entry.home = home;
        }
    }

    /// For error messages.
    fn id(&self, number: u32) -> Id {
        let run = self
            .runs
            .partition_point(|run| run.first_struct <= number)
            .saturating_sub(1);
        let client = self.scan.runs.get(run).map_or(0, |run| run.client);
        Id::new(
            client,
            self.entries
                .get(number as usize)
                .map_or(0, |entry| entry.clock),
        )
    }

    /// Where a struct lies. What is found is written back along the way, so that all look-ups together are linear;
    /// structs that share their places in a circle lie nowhere.
    fn place(&mut self, number: u32) -> Option<Place<'a>> {
        let mut at = number;
        let home = loop {
            let Some(entry) = self.entries.get_mut(at as usize) else {
                break Home::Unknown;
            };
            let Home::With(next) = entry.home else {
                break entry.home;
            };
            entry.home = Home::Unknown;
            self.path.push(at);
            at = next;
        };
        for passed in self.path.drain(..) {
            if let Some(entry) = self.entries.get_mut(passed as usize) {
                entry.home = home;
            }
        }
        match home {
            Home::Place(place) => self.places.get(place as usize).copied(),
            Home::Unknown | Home::With(_) => None,
        }
    }

    /// How deep the deepest type lies.
    fn depth(&mut self) -> u32 {
        let mut depths = vec![0; self.entries.len()];
        let types =
            (0..self.entries.len() as u32).filter(|number| self.kind(*number) == Kind::Type);
        let types: Vec<u32> = types.collect();
        types
            .into_iter()
            .map(|number| self.depth_of(&mut depths, number))
            .max()
            .unwrap_or(0)
    }

    /// How deep a type lies: one more than the type around it.
    fn depth_of(&mut self, depths: &mut [u32], number: u32) -> u32 {
        /// While it is being found out, so that a circle ends.
        const UNDER_WAY: u32 = u32::MAX;

        let mut inside_out = Vec::new();
        let mut at = Some(number);
        let mut depth = 0;
        while let Some(number) = at {
            match depths.get_mut(number as usize) {
                None | Some(&mut UNDER_WAY) => break,
                Some(unknown @ 0) => *unknown = UNDER_WAY,
                Some(known) => {
                    depth = *known;
                    break;
                }
            }
            inside_out.push(number);
            at = match self.place(number).map(|place| place.parent) {
                Some(Parent::Item(id)) => self.find(id),
                _ => None,
            };
        }
        for number in inside_out.into_iter().rev() {
            depth += 1;
            if let Some(slot) = depths.get_mut(number as usize) {
                *slot = depth;
            }
        }
        depth
    }
}
