//! What came of a slice of checking.

use sluice_transfer::record::ManifestRef;

/// What came of checking a transfer within a slice.
pub(crate) enum Checked {
    All {
        /// The manifest's root.
        manifest: ManifestRef,
    },
    More,
    Busy(u64),
}
