//! Files that appear under their name complete, or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A temporary file beside `path` that gets that name when it is complete, or goes when it is dropped.
#[derive(Debug)]
pub struct PartFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl PartFile {
    /// How the names of temporary files begin and end. A process that is killed leaves them behind.
    const NAME: (&str, &str) = (".byteloom-", ".part");

    /// Creates a temporary file beside `path`.
    ///
    /// # Errors
    /// The operating system refuses; the message names `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(Self::NAME.0).suffix(Self::NAME.1);
        // Temporary files are private; this one becomes an ordinary file, under the user's umask.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder(path)).map_err(|e| cannot_write(path, &e))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// The file, open for reading and writing.
    #[must_use]
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// What an error in writing it means.
    #[must_use]
    pub fn explain(&self, error: &io::Error) -> Error {
        cannot_write(&self.path, error)
    }

    /// Gives the file its name, once it is on the disk.
    ///
    /// # Errors
    /// The operating system refuses; the message names the path.
    pub fn commit(self) -> Result<()> {
        let Self { file, path } = self;
        file.as_file().sync_all().map_err(|e| cannot_write(&path, &e))?;
        file.persist(&path).map_err(|refused| cannot_write(&path, &refused.error))?;
        // The name is on the disk only when the folder is; some systems cannot be asked for that.
        #[cfg(unix)]
        if let Ok(folder) = File::open(folder(&path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Removes what has the file's name so far.
    ///
    /// # Errors
    /// The operating system refuses; the message names the path.
    pub fn remove_old(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.explain(&error)),
            _ => Ok(()),
        }
    }

    /// Whether a file of this name is a temporary one, which a killed process may have left.
    #[must_use]
    pub fn is_name_of_one(name: &str) -> bool {
        name.starts_with(Self::NAME.0) && name.ends_with(Self::NAME.1)
    }
}

/// Lets `write` fill a temporary file beside `path`, and gives it that name once it is on the disk.
/// If anything fails, or the process is killed, what was there before is still there; on failure the
/// temporary file is removed.
///
/// # Errors
/// The operating system refuses; the message names `path`.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let mut part = PartFile::create(path)?;
    write(part.file.as_file_mut()).map_err(|e| cannot_write(path, &e))?;
    part.commit()
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::io(path, "cannot write", error)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes to a place in a file, wherever others write meanwhile.
///
/// # Errors
/// The operating system refuses.
pub fn write_all_at(file: &File, place: u64, bytes: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, place);
    #[cfg(windows)]
    {
        use std::os::windows::fs::FileExt;
        let mut done = 0;
        while done < bytes.len() {
            match file.seek_write(&bytes[done..], place + done as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => done += written,
            }
        }
        Ok(())
    }
}

/// Tells the system to begin to put a part of a file on the disk, and does not wait for it: less is left
/// to wait for in the end. Only a hint, which only Linux takes.
pub fn begin_writing_out(file: &File, offset: u64, length: u64) {
    #[cfg(target_os = "linux")]
    if let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor is open while `file` is borrowed, and no memory is handed over.
        unsafe {
            libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, length);
}
