//! A log file that is renamed at a size, with a bounded number of older files: `security.log.1` is the newest of them.
//!
//! Two processes may append to it during a reload, and commands at any time: each line is one write with `O_APPEND`. The file's
//! lock orders renames, and every process opens the new file when the name belongs to another one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

/// The open file, and the bounds of its size and number.
pub(super) struct RotatedFile {
    path: PathBuf,
    file: File,
    max_bytes: u64,
    max_files: usize,
}

impl RotatedFile {
    /// Opens or creates the file for appending, readable by its owner only. `max_files` counts the current one.
    pub(super) fn open(path: PathBuf, max_bytes: u64, max_files: usize) -> io::Result<Self> {
        let file = open(&path)?;
        Ok(Self { path, file, max_bytes, max_files: max_files.max(1) })
    }

    /// Appends a line. A file that would exceed the limit is renamed first.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if !self.is_current()? {
            self.file = open(&self.path)?;
        }
        let size = self.file.metadata()?.size();
        if size > 0 && size + line.len() as u64 > self.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(line)
    }

    /// Returns false if another process renamed or removed the file.
    fn is_current(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.lock()?;
        // Another process may have renamed it while this one waited for the lock. The lock ends with the file.
        if self.is_current()? {
            for number in (1..self.max_files).rev() {
                let from = if number == 1 { self.path.clone() } else { self.numbered(number - 1) };
                match std::fs::rename(from, self.numbered(number)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            if self.max_files == 1 {
                std::fs::remove_file(&self.path)?;
            }
        }
        self.file = open(&self.path)?;
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    // A command that root runs must not leave a file that the server cannot write: it gets the folder's owner.
    if let Some(folder) = path.parent()
        && let (Ok(folder), Ok(own)) = (std::fs::metadata(folder), file.metadata())
        && own.uid() == 0
        && folder.uid() != 0
    {
        chown(path, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    #[test]
    fn the_size_and_number_of_files_are_bounded_and_only_the_owner_reads_them() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("security.log");
        let mut log = RotatedFile::open(path.clone(), 100, 3).unwrap();
        for n in 0..100 {
            log.append(format!("line {n:02} of some length\n").as_bytes()).unwrap();
        }
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap()).collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        assert_eq!(files.len(), 3);
        for file in &files {
            let metadata = file.metadata().unwrap();
            assert!(metadata.len() <= 100);
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
        assert!(std::fs::read_to_string(&path).unwrap().contains("line 99"));
        assert!(!std::fs::read_to_string(files[2].path()).unwrap().contains("line 99"));
    }

    #[test]
    fn two_writers_lose_no_line_and_one_rename_serves_both() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("security.log");
        let writers = ["a", "b"].map(|name| {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut log = RotatedFile::open(path, 2_000, 50).unwrap();
                (0..500).for_each(|n| log.append(format!("{name}{n}\n").as_bytes()).unwrap());
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        let lines: Vec<String> = files
            .flat_map(|file| std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let distinct: std::collections::BTreeSet<_> = lines.iter().collect();
        assert_eq!((lines.len(), distinct.len()), (1_000, 1_000));
    }
}
