//! Plain text, as a file, through a pipe and as standard input, written in parts of any size and read
//! in pieces of any size: one document, which is the text.

#![no_main]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use arbitrary::Arbitrary;
use byteloom_fuzz::documents::documents;
use byteloom_fuzz::files;
use byteloom_fuzz::input::Text;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum From {
    File,
    Pipe,
    StandardInput,
}

#[derive(Arbitrary, Debug)]
struct Input {
    from: From,
    piece_size: u16,
    /// Bytes that are written at a time; 0 writes all of them before anybody reads.
    written: u8,
    text: Text,
}

fuzz_target!(|input: Input| {
    let Input { from, text: Text(text), .. } = &input;
    let piece_size = usize::from(input.piece_size % 1024) + 1;
    let found = if matches!(from, From::File) {
        documents(&files::write("a.txt", text), "text", piece_size)
    } else {
        let (end, start) = rustix::pipe::pipe().expect("a pipe");
        let mut start = File::from(start);
        let path = if matches!(from, From::Pipe) {
            PathBuf::from(format!("/dev/fd/{}", end.as_raw_fd()))
        } else {
            rustix::stdio::dup2_stdin(&end).expect("a place for standard input");
            PathBuf::from("-")
        };
        std::thread::scope(|scope| {
            let part = usize::from(input.written);
            if part == 0 {
                // Less than a pipe holds.
                start.write_all(text).expect("the other end is open");
                drop(start);
            } else {
                scope.spawn(move || {
                    for part in text.chunks(part * 4) {
                        start.write_all(part).expect("the other end is open");
                    }
                });
            }
            documents(&path, "text", piece_size)
        })
    };
    assert_eq!(found.expect("nothing can be wrong with a text"), Some(vec![text.clone()]));
});
