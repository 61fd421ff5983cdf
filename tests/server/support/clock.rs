//! The time of day of one process, which a test sets: a library in C, built by the test, shifts it.

use super::Place;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A process's clock. The file in the process's folder holds the shift.
pub struct Clock(PathBuf);

impl Clock {
    /// Gives the processes of a place a clock of their own, without a shift.
    pub fn of(place: &mut Place) -> Self {
        let this = Self(place.data.path().join("clock"));
        this.shift(0);
        for (name, path) in [("LD_PRELOAD", library()), ("TEST_CLOCK", &this.0)] {
            place.set(name, path.to_str().unwrap());
        }
        this
    }

    /// Sets the clock so many seconds ahead of the machine's.
    pub fn shift(&self, seconds: i64) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(&self.0).unwrap();
        file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

/// Builds the library, once for each test program.
fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/support/clock.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (building, library) = (folder.join(format!("clock-{}.so", std::process::id())), folder.join("clock.so"));
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&building).arg(source).output().unwrap();
        assert!(built.status.success(), "{built:?}");
        // At once: another test program may load it.
        std::fs::rename(building, &library).unwrap();
        library
    })
}
