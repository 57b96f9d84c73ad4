//! Long calls: another thread works while the calling one shows progress and listens for Ctrl-C.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::{Error, ErrorKind, Monitor, Result};

/// How often a waiting call looks for Ctrl-C and reports progress.
const TICK: Duration = Duration::from_millis(100);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match (error.kind(), error.os_error()) {
            (ErrorKind::Cancelled, _) => PyKeyboardInterrupt::new_err(()),
            // OSError(number, message) becomes FileNotFoundError and its kin by itself.
            (ErrorKind::Io(_), Some(number)) => PyOSError::new_err((number, message)),
            (ErrorKind::Io(_), None) => PyOSError::new_err(message),
            (ErrorKind::Invalid, _) => PyValueError::new_err(message),
        }
    }
}

/// Runs `job` without the GIL on a thread of its own; meanwhile shows progress and hears Ctrl-C.
pub fn watch<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    job: impl FnOnce(&Monitor) -> Result<T> + Send,
) -> PyResult<T> {
    let progress = progress.map(|callback| callback.clone().unbind());
    let monitor = Monitor::new();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let monitor = &monitor;
            scope.spawn(move || {
                // The receiver waits for this very message: sending cannot fail.
                let _ = sender.send(job(monitor));
            });
            let mut stopped: Option<PyErr> = None;
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(result) => {
                        if let Some(error) = stopped {
                            return Err(error);
                        }
                        let value = result?;
                        Python::attach(|py| report(py, progress.as_ref(), monitor))?;
                        return Ok(value);
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(PyRuntimeError::new_err(
                            "the engine stopped; this is a bug in byteloom",
                        ));
                    }
                    Err(RecvTimeoutError::Timeout) if stopped.is_none() => {
                        stopped = Python::attach(|py| {
                            py.check_signals()
                                .and_then(|()| report(py, progress.as_ref(), monitor))
                                .err()
                        });
                        if stopped.is_some() {
                            monitor.cancel();
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    })
}

/// Calls the progress callback, if there is one and there is something to say.
fn report(py: Python<'_>, progress: Option<&Py<PyAny>>, monitor: &Monitor) -> PyResult<()> {
    let (done, total) = monitor.progress();
    match progress {
        Some(callback) if done > 0 || total > 0 => callback.call1(py, (done, total)).map(drop),
        _ => Ok(()),
    }
}
