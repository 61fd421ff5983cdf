//! Files of JSON Lines that a command writes: new ones, which only their owner reads.

use serde::Serialize;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Creates a file with the mode 0600. Fails if there is one of this name.
pub(super) fn private_file(path: &Path) -> Result<BufWriter<File>, Box<dyn Error>> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    Ok(BufWriter::new(file.map_err(|error| format!("{}: {error}", path.display()))?))
}

/// Writes a value as one line.
pub(super) fn write_line(output: &mut impl Write, value: &impl Serialize) -> Result<(), Box<dyn Error>> {
    serde_json::to_writer(&mut *output, value)?;
    Ok(output.write_all(b"\n")?)
}

/// Writes the rest, and waits until it is on the disk.
pub(super) fn finish_file(output: BufWriter<File>) -> Result<(), Box<dyn Error>> {
    Ok(output.into_inner().map_err(|error| error.into_error())?.sync_all()?)
}
