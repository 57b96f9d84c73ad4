//! Files to hand to the engine, in memory where the system has such a folder.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

/// The path of `name` in a folder of this process. Inputs come one after the other, so the same names
/// serve all of them; the folder goes when the system cleans up, for a fuzzer never ends in order.
pub fn path(name: &str) -> PathBuf {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let shared = Path::new("/dev/shm");
        let builder = || tempfile::Builder::new();
        let made = if shared.is_dir() {
            builder().prefix("byteloom-fuzz-").tempdir_in(shared)
        } else {
            builder().prefix("byteloom-fuzz-").tempdir()
        };
        made.expect("a folder for temporary files")
    });
    FOLDER.path().join(name)
}

/// Writes a file and returns its path.
pub fn write(name: &str, content: &[u8]) -> PathBuf {
    let path = path(name);
    std::fs::write(&path, content).expect("a file in the folder");
    path
}
