//! Files that appear under their name complete, or not at all.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::{Error, Result};

/// Lets `write` fill a temporary file beside `path`, and gives it that name once it is on the disk.
/// If anything fails, or the process is killed, what was there before is still there; on failure the
/// temporary file is removed.
///
/// # Errors
/// The operating system refuses; the message names `path`.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let wrap = |error: io::Error| Error::io(path, "cannot write", &error);
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".byteloom-").suffix(".part");
    // Temporary files are private; this one becomes an ordinary file, under the user's umask.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(wrap)?;
    write(file.as_file_mut()).map_err(wrap)?;
    file.as_file().sync_all().map_err(wrap)?;
    file.persist(path).map_err(|refused| wrap(refused.error))?;
    // The name is on the disk only when the folder is; some systems cannot be asked for that.
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
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
