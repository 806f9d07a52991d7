//! IndexedDB for the tests: happy-dom has none.
import 'fake-indexeddb/auto'
