//! The version of the document schema that this bundle knows. Sent when connecting, so that the server can tell an
//! older page to reload instead of letting it harm a document.

export const SCHEMA_VERSION = 1
