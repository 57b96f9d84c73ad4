//! One opaque error for the whole crate; `python.rs` maps its kind to a Python exception once.

use std::fmt;
use std::io;
use std::path::Path;

/// What sort of mistake or misfortune an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument or the content of a file is wrong (Python: `ValueError`).
    Invalid,
    /// The operating system refused (Python: `OSError` and its subclasses).
    Io(io::ErrorKind),
    /// The caller asked to stop through [`crate::Monitor::cancel`] (Python: `KeyboardInterrupt`).
    Cancelled,
}

/// Says what was wrong, where, and what would be right.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// The operating system's error number, so that Python can raise the exact `OSError`.
    os_error: Option<i32>,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A mistake in what the caller gave.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Invalid, message: message.into(), os_error: None }
    }

    /// A failed operation of the operating system on `path`.
    pub fn io(path: &Path, doing: &str, source: &io::Error) -> Self {
        Self {
            kind: ErrorKind::Io(source.kind()),
            message: format!("{doing} {}: {source}", path.display()),
            os_error: source.raw_os_error(),
        }
    }

    /// The caller asked to stop.
    pub fn cancelled() -> Self {
        Self { kind: ErrorKind::Cancelled, message: "interrupted".into(), os_error: None }
    }

    /// What sort of error this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The operating system's error number, where there is one.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        self.os_error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
