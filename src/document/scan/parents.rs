//! Which shared type each struct of an update lies in, as far as the update itself tells.
//!
//! A struct with origins does not name its parent: it lies where its left neighbour lies, or else its right one. An
//! update in which the two neighbours visibly lie in different places was made to confuse: Yjs and yrs place such a
//! struct differently, and a collecting yrs document frees memory that it still uses.

use super::{Kind, Parent, RunIndex, Scan, ScanError, StructView};
use crate::document::{Clock, ids::Id};

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
    /// For types: how deep, once known.
    depth: u32,
}

/// The depth of a type while it is being found out, so that a circle ends.
const UNDER_WAY: u32 = u32::MAX;

/// Refuses structs between different parents and structs in what is no type. Returns how deep types nest.
pub(super) fn check(bytes: &[u8], scan: &Scan) -> Result<u32, ScanError> {
    let mut table = Table::read(bytes, scan);
    table.link(bytes, scan)?;
    table.refuse_crossings(bytes, scan)?;
    Ok(table.depth(scan))
}

struct Table<'a> {
    index: RunIndex,
    /// Number of each run's first struct, and after the last the number of structs.
    firsts: Vec<u32>,
    entries: Vec<Entry>,
    places: Vec<Place<'a>>,
    /// Structs on the way to the one that tells; kept to save allocations.
    path: Vec<u32>,
}

impl<'a> Table<'a> {
    fn read(bytes: &'a [u8], scan: &Scan) -> Self {
        let mut firsts = Vec::with_capacity(scan.runs.len() + 1);
        let mut entries = Vec::with_capacity(scan.structs as usize);
        for run in &scan.runs {
            firsts.push(entries.len() as u32);
            entries.extend(scan.structs_of(bytes, run).map(|view| Entry {
                clock: view.clock,
                kind: view.kind,
                home: Home::Unknown,
                depth: 0,
            }));
        }
        firsts.push(entries.len() as u32);
        Self {
            index: scan.index(),
            firsts,
            entries,
            places: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Writes down for each struct its place, or whose place it shares.
    fn link(&mut self, bytes: &'a [u8], scan: &Scan) -> Result<(), ScanError> {
        let mut number = 0u32;
        for run in &scan.runs {
            for view in scan.structs_of(bytes, run) {
                let id = Id::new(run.client, view.clock);
                let home = self.home_of(scan, id, &view, number)?;
                if let Some(entry) = self.entries.get_mut(number as usize) {
                    entry.home = home;
                }
                number += 1;
            }
        }
        Ok(())
    }

    fn home_of(
        &mut self,
        scan: &Scan,
        id: Id,
        view: &StructView<'a>,
        number: u32,
    ) -> Result<Home, ScanError> {
        if let Some(neighbour) = view.origin.or(view.right_origin) {
            let shared = self.find(scan, neighbour, number);
            let known = shared.filter(|number| self.kind(*number) != Kind::Gc);
            return Ok(known.map_or(Home::Unknown, Home::With));
        }
        let Some(parent) = view.parent else {
            return Ok(Home::Unknown);
        };
        if let Parent::Item(item) = parent
            && let Some(made_by) = self.find(scan, item, number)
            && !matches!(self.kind(made_by), Kind::Type | Kind::Deleted | Kind::Gc)
        {
            return Err(ScanError::ParentIsNotAType { id });
        }
        self.places.push(Place {
            parent,
            key: view.parent_sub,
        });
        Ok(Home::Place(self.places.len() as u32 - 1))
    }

    fn refuse_crossings(&mut self, bytes: &'a [u8], scan: &Scan) -> Result<(), ScanError> {
        let mut number = 0u32;
        for run in &scan.runs {
            for view in scan.structs_of(bytes, run) {
                if let (Some(left), Some(right)) = (view.origin, view.right_origin)
                    && let Some(left) = self.find(scan, left, number)
                    && let Some(right) = self.find(scan, right, number)
                    && let (Some(left), Some(right)) = (self.place(left), self.place(right))
                    && left != right
                {
                    return Err(ScanError::CrossedParents {
                        id: Id::new(run.client, view.clock),
                    });
                }
                number += 1;
            }
        }
        Ok(())
    }

    /// The number of the struct that holds an id, if this update does.
    fn find(&self, scan: &Scan, id: Id, near: u32) -> Option<u32> {
        let run_number = self.index.find(&scan.runs, id.client)?;
        let run = scan.runs.get(run_number)?;
        if id.clock < run.start || id.clock >= run.end {
            return None;
        }
        let first = *self.firsts.get(run_number)?;
        let behind = *self.firsts.get(run_number + 1)?;
        let before = near.wrapping_sub(1);
        // Mostly it is the struct before `near`.
        let next_to = near > first
            && near < behind
            && (self.clock(before)..self.clock(near)).contains(&id.clock);
        let found = if next_to {
            before
        } else {
            let of_run = self.entries.get(first as usize..behind as usize)?;
            first
                + (of_run.partition_point(|entry| entry.clock <= id.clock) as u32).checked_sub(1)?
        };
        (self.kind(found) != Kind::Skip).then_some(found)
    }

    fn clock(&self, number: u32) -> Clock {
        self.entries
            .get(number as usize)
            .map_or(0, |entry| entry.clock)
    }

    fn kind(&self, number: u32) -> Kind {
        self.entries
            .get(number as usize)
            .map_or(Kind::Gc, |entry| entry.kind)
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

    fn depth(&mut self, scan: &Scan) -> u32 {
        let mut deepest = 0;
        for number in 0..self.entries.len() as u32 {
            if self.kind(number) == Kind::Type {
                deepest = deepest.max(self.depth_of(scan, number));
            }
        }
        deepest
    }

    /// How deep a type lies: one more than the type around it.
    fn depth_of(&mut self, scan: &Scan, number: u32) -> u32 {
        let mut inside_out = Vec::new();
        let mut at = Some(number);
        let mut depth = 0;
        while let Some(number) = at {
            let Some(entry) = self.entries.get_mut(number as usize) else {
                break;
            };
            if entry.depth > 0 {
                depth = if entry.depth == UNDER_WAY {
                    0
                } else {
                    entry.depth
                };
                break;
            }
            entry.depth = UNDER_WAY;
            inside_out.push(number);
            at = match self.place(number).map(|place| place.parent) {
                Some(Parent::Item(id)) => self.find(scan, id, number),
                _ => None,
            };
        }
        for number in inside_out.into_iter().rev() {
            depth += 1;
            if let Some(entry) = self.entries.get_mut(number as usize) {
                entry.depth = depth;
            }
        }
        depth
    }
}
