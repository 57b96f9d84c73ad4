//! Pipes and terminals, which may give nothing for a long time: they are waited for only as long as
//! nobody asks to stop.

use std::fs::File;
use std::io::{self, Read};

use crate::monitor::Stop;

/// Standard input.
pub(super) fn stdin(stop: &Stop) -> io::Result<Box<dyn Read + Send>> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        // Not through `io::stdin`: what waits in its buffer would not be seen when waiting here.
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(self::file(file, stop))
    }
    #[cfg(not(unix))]
    {
        let _ = stop;
        Ok(Box::new(io::stdin()))
    }
}

/// A file that is no regular one.
pub(super) fn file(file: File, stop: &Stop) -> Box<dyn Read + Send> {
    Box::new(Patient { file, stop: stop.clone() })
}

struct Patient {
    file: File,
    stop: Stop,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        while !is_ready(&self.file)? {
            if self.stop.is_wanted() {
                return Err(io::Error::other("interrupted"));
            }
        }
        self.file.read(buffer)
    }
}

/// Waits until a read would not have to, but not for long.
#[cfg(unix)]
fn is_ready(file: &File) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&PATIENCE)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
