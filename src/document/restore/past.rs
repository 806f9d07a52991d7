//! The ids of what stands under keys in the wanted document, which yrs does not tell. They are gathered when one is asked for.

use std::cell::OnceCell;

use rustc_hash::FxHashMap;
use yrs::{ReadTxn as _, StateVector, TransactionMut};

use crate::document::{
    id_set::IdSet, ids::Id, keys::Holder, provenance::Provenance, scan::outline,
};

/// The wanted document, as it was read.
pub(super) struct Past<'t> {
    txn: TransactionMut<'t>,
    /// What stands under keys.
    values: OnceCell<FxHashMap<Holder, FxHashMap<String, Id>>>,
}

impl<'t> Past<'t> {
    pub(super) fn new(txn: TransactionMut<'t>) -> Self {
        Self {
            txn,
            values: OnceCell::new(),
        }
    }

    pub(super) fn txn(&mut self) -> &mut TransactionMut<'t> {
        &mut self.txn
    }

    /// The id of what stands under a key. Of what was brought back, the holder is the original.
    pub(super) fn value(&self, holder: &Holder, key: &str, provenance: &Provenance) -> Option<Id> {
        let values = self.values.get_or_init(|| self.values(provenance));
        values.get(holder)?.get(key).copied()
    }

    fn values(&self, provenance: &Provenance) -> FxHashMap<Holder, FxHashMap<String, Id>> {
        let mut values: FxHashMap<Holder, FxHashMap<String, Id>> = FxHashMap::default();
        let all = self.txn.encode_state_as_update_v1(&StateVector::default());
        // yrs wrote it.
        let Ok(scan) = outline(&all) else {
            return values;
        };
        let deleted: IdSet = scan.delete_ranges(&all).collect();
        for run in &scan.runs {
            for view in scan.structs_of(&all, run) {
                let id = Id::new(run.client, view.clock);
                if !deleted.holds(id).0
                    && let Some((holder, key)) = provenance.key_of(id)
                {
                    let keys = values.entry(holder).or_default();
                    keys.insert(key.to_string(), id);
                }
            }
        }
        values
    }
}
