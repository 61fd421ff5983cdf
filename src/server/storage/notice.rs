//! Notices of opening a store: the caller logs them, since storage logs nothing.

use std::fmt;
use std::path::PathBuf;

/// A fact that the operator should know and that does not keep the store from opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpenNotice {
    /// Other users of the machine may enter the data folder.
    WideFolder {
        /// The data folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Files were readable by other users and no longer are.
    FilesNarrowed {
        /// The data folder.
        path: PathBuf,
        /// Number of files.
        files: usize,
    },
    /// The database was copied before its schema changed.
    Copied {
        /// The copy.
        path: PathBuf,
    },
    /// The database is an earlier copy of itself: every room began a new numbering, and pages start over.
    NewEpochs {
        /// Number of rooms.
        rooms: u64,
        /// Write batches that the database contains.
        commits: u64,
        /// Write batches that the file `high-water` has seen; `None` without the file.
        high_water: Option<u64>,
    },
    /// The database was restored from a dump: every room began a new numbering, and pages start over.
    Restored {
        /// Number of rooms.
        rooms: u64,
    },
}

impl fmt::Display for OpenNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WideFolder { path, mode } => {
                let path = path.display();
                write!(f, "data folder: {path} has mode {mode:o}, so other users may enter it: chmod 700 {path}")
            }
            Self::FilesNarrowed { path, files } => {
                write!(f, "data folder: {files} files of {} were readable by other users; their mode is 600 now", path.display())
            }
            Self::Copied { path } => write!(f, "database: copied to {} before its schema changed", path.display()),
            Self::NewEpochs { rooms, commits, high_water } => {
                write!(f, "database: a copy was put back ({commits} write batches; ")?;
                match high_water {
                    Some(seen) => write!(f, "the file high-water has seen {seen}")?,
                    None => write!(f, "there is no file high-water")?,
                }
                write!(f, "): {rooms} rooms begin a new epoch")
            }
            Self::Restored { rooms } => write!(f, "database: it was restored from a dump: {rooms} rooms begin a new epoch"),
        }
    }
}
