//! Files to hand to the engine.

use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;

/// The path of `name` in a folder of this process. Inputs come one after the other, so the same names
/// serve all of them. A fuzzer never ends in order: `run.sh` says where the folder is, and removes it.
pub fn path(name: &str) -> PathBuf {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        tempfile::Builder::new().prefix("byteloom-fuzz-").tempdir().expect("a temporary folder")
    });
    FOLDER.path().join(name)
}

/// Writes a file and returns its path.
pub fn write(name: &str, content: &[u8]) -> PathBuf {
    let path = path(name);
    std::fs::write(&path, content).expect("a file in the folder");
    path
}
