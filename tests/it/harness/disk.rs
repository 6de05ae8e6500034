//! Disks that fail: a library that makes the disk and the clock of the program fail, and a disk that is soon full.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::directory::Directory;
use super::outside::skip;

/// A library for `LD_PRELOAD` that makes the disk and the clock of a program fail. See `disk.c`.
pub(crate) fn failing_disk(directory: &Directory) -> Option<PathBuf> {
    let (source, library) = (directory.file("disk.c"), directory.file("disk.so"));
    fs::write(&source, include_str!("disk.c")).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    match compiled {
        Ok(status) if status.success() => Some(library),
        outcome => {
            skip(&format!("a failing disk needs a C compiler ({outcome:?})"));
            None
        }
    }
}

/// A disk of 4 MiB in memory.
#[derive(Debug)]
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(directory: &Directory) -> Option<Self> {
        let place = directory.file("disk");
        fs::create_dir(&place).unwrap();
        match Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&place).status() {
            Ok(status) if status.success() => Some(Self(place)),
            outcome => {
                skip(&format!("a small disk needs the right to mount one ({outcome:?})"));
                None
            }
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Fills it up, until the file that this returns is deleted.
    pub(crate) fn fill(&self) -> PathBuf {
        let filler = self.file("filler");
        let mut bytes = vec![0; 8 << 20];
        while fs::write(&filler, &bytes).is_err() {
            bytes.truncate(bytes.len() - 4096);
        }
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
