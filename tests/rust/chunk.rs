use std::path::{Path, PathBuf};

use byteloom::chunk::{DEFAULT_PIECE_SIZE, Pieces};
use byteloom::count::{CountOptions, Counts, count_files};
use byteloom::piece::Piece;
use byteloom::pretokenize::Pretokenizer;
use byteloom::special::SpecialTokens;
use byteloom::{Error, ErrorKind, Monitor};
use proptest::prelude::*;

use crate::source::{gzip, json_lines, plain_parquet};
use crate::support::{all_presets, cancelled, config, count_text, file, nasty, special_tokens};

/// Texts in which places to cut are frequent, rare, and missing.
fn texts() -> Vec<Vec<u8>> {
    let prose =
        "It's a text, isn't it?  Twelve words\nand 12 numbers, don't you know.\r\n\n".repeat(3);
    let marked = "first<|end|> second<|end|><|end|>third\n\n<|end|>  'll<|en".repeat(4);
    let mut invalid = "naïve 日本語 \u{a0}\u{3000}x 🦀🦀\u{85}y".repeat(6).into_bytes();
    invalid.splice(20..22, *b"\xff\xfe \xe2\x82");
    vec![
        prose.into_bytes(),
        marked.into_bytes(),
        invalid,
        b"a".repeat(300),
        b" ".repeat(150),
        b"\n a".repeat(60),
        b"'s".repeat(70),
        Vec::new(),
        b"x".to_vec(),
    ]
}

fn pieces(
    inputs: &[PathBuf],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
    piece_size: usize,
) -> Vec<Vec<u8>> {
    let stop = Monitor::new().stop();
    let source =
        Pieces::open(inputs, "text", None, pretokenizer, special, piece_size, stop).unwrap();
    let (mut all, mut piece) = (Vec::new(), Piece::default());
    let mut index = 0;
    while let Some(found) = source.next(&mut piece).unwrap() {
        assert_eq!(found, index);
        index += 1;
        // Plain text ends with its file, and nowhere else. What has no bytes is an end and no more.
        let parts: Vec<_> = piece.parts().collect();
        if parts.is_empty() {
            assert_eq!(piece.progress(), 0, "a range that could not be cut off");
            continue;
        }
        assert_eq!(parts.len(), 1);
        assert!(parts[0].text == piece.bytes());
        if parts[0].text.is_empty() {
            assert!(parts[0].ends);
        } else {
            all.push(piece.bytes().to_vec());
        }
    }
    assert_eq!(source.next(&mut piece).unwrap(), None);
    all
}

fn counts<T: AsRef<[u8]>>(
    texts: &[T],
    pretokenizer: &Pretokenizer,
    special: &SpecialTokens,
) -> Counts {
    let mut counts = Counts::new();
    for text in texts {
        count_text(text.as_ref(), pretokenizer, special, &mut counts);
    }
    counts
}

fn open(inputs: &[PathBuf], piece_size: usize) -> Result<Pieces, Error> {
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let stop = Monitor::new().stop();
    Pieces::open(inputs, "text", None, &gpt2, &special_tokens(&[]), piece_size, stop)
}

#[test]
fn pieces_are_the_files_and_count_as_they_do() {
    let folder = tempfile::tempdir().unwrap();
    let texts = texts();
    let name = |(i, text): (usize, &Vec<u8>)| file(folder.path(), &i.to_string(), text);
    let inputs: Vec<_> = texts.iter().enumerate().map(name).collect();
    let special = special_tokens(&["<|end|>", "<|end|><|end|>"]);
    for pattern in ["gpt2", "cl100k", "o200k", "llama3", "qwen2", r"\w+|\W"] {
        let pretokenizer = Pretokenizer::new(pattern).unwrap();
        let expected = counts(&texts, &pretokenizer, &special).sorted();
        for piece_size in 1..=64 {
            let pieces = pieces(&inputs, &pretokenizer, &special, piece_size);
            assert_eq!(pieces.concat(), texts.concat(), "{pattern}, {piece_size}");
            let found = counts(&pieces, &pretokenizer, &special).sorted();
            assert_eq!(found, expected, "{pattern}, {piece_size}");
        }
    }
}

#[test]
fn threads_and_pieces_do_not_change_the_counts() {
    let folder = tempfile::tempdir().unwrap();
    let texts = texts();
    let name = |(i, text): (usize, &Vec<u8>)| file(folder.path(), &i.to_string(), text);
    let inputs: Vec<_> = texts.iter().enumerate().map(name).collect();
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let special = special_tokens(&["<|end|>"]);
    let expected = counts(&texts, &gpt2, &special).sorted();
    for num_threads in 1..=8 {
        for piece_size in [1, 7, 64, 1 << 20] {
            let num_threads = Some(num_threads);
            let options = CountOptions { num_threads, piece_size, ..CountOptions::default() };
            let monitor = Monitor::new();
            let found = count_files(&inputs, &gpt2, &special, &options, &monitor).unwrap();
            assert_eq!(found.sorted(), expected, "{num_threads:?} threads, {piece_size}");
            let bytes = texts.concat().len() as u64;
            assert_eq!(monitor.progress(), (bytes, bytes));
        }
    }
}

#[test]
fn memory_follows_the_piece_where_the_text_can_be_cut() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(folder.path(), "text", &b"some words of text\n".repeat(1000));
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    for piece in pieces(&[input], &gpt2, &special_tokens(&[]), 64) {
        assert!(piece.len() <= 64 + 8, "{}", piece.len());
    }
}

#[test]
fn a_text_that_cannot_be_cut_is_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    let text = b"a".repeat(1 << 20);
    let input = file(folder.path(), "text", &text);
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let found = pieces(&[input], &gpt2, &special_tokens(&["<|end|>"]), 1);
    assert!(found.len() == 1 && found[0] == text);
}

#[test]
fn two_files_are_two_texts() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = [file(folder.path(), "a", b"one wo"), file(folder.path(), "b", b"rd")];
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let found = pieces(&inputs, &gpt2, &special_tokens(&[]), DEFAULT_PIECE_SIZE);
    assert_eq!(found, [&b"one wo"[..], b"rd"]);
}

#[test]
fn the_same_file_may_be_read_twice() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(folder.path(), "a", b"one");
    let source = open(&[input.clone(), input], 4).unwrap();
    assert_eq!(source.total_bytes(), Some(6));
}

#[test]
fn refuses_inputs_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "good", b"text");
    let missing = folder.path().join("missing");
    let error = open(&[good.clone(), missing.clone()], 64).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io(std::io::ErrorKind::NotFound));
    assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    assert!(error.os_error().is_some());

    let error = open(&[folder.path().to_path_buf()], 64).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io(std::io::ErrorKind::IsADirectory));
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");

    let error = open(&["-".into(), good.clone(), "-".into()], 64).unwrap_err();
    assert!(error.to_string().contains("given twice"), "{error}");
    let error = open(&[], 64).unwrap_err();
    assert_eq!(error.to_string(), "no input files");
    let error = open(&[good], 0).unwrap_err();
    assert_eq!(error.to_string(), "the piece size is 0; it must be at least 1 byte");
}

#[test]
fn a_file_that_goes_or_shrinks_after_it_was_looked_at_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let going = file(folder.path(), "going", b"text");
    let source = open(std::slice::from_ref(&going), 64).unwrap();
    std::fs::remove_file(&going).unwrap();
    let error = source.next(&mut Piece::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io(std::io::ErrorKind::NotFound));

    let shrinking = file(folder.path(), "shrinking", &b"text ".repeat(100));
    let source = open(std::slice::from_ref(&shrinking), 10).unwrap();
    let mut piece = Piece::default();
    assert_eq!(source.next(&mut piece).unwrap(), Some(0));
    std::fs::write(&shrinking, b"text text text text text text").unwrap();
    let error = loop {
        match source.next(&mut piece) {
            Ok(Some(_)) => (),
            Ok(None) => panic!("nothing was noticed"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("became shorter while it was read"), "{error}");
    assert!(error.to_string().contains("471 bytes are missing"), "{error}");
    assert_eq!(source.next(&mut piece).unwrap(), None, "an error is the end");
}

#[cfg(unix)]
#[test]
fn a_device_has_no_length_beforehand() {
    let source = open(&[Path::new("/dev/null").into()], 64).unwrap();
    assert_eq!(source.total_bytes(), None);
    let mut piece = Piece::default();
    assert_eq!(source.next(&mut piece).unwrap(), Some(0));
    assert!(piece.bytes().is_empty());
    assert_eq!(source.next(&mut piece).unwrap(), None);
}

#[test]
fn counting_stops_when_it_is_told_to_and_passes_errors_on() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(folder.path(), "text", &b"some text ".repeat(100));
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let special = special_tokens(&[]);
    for num_threads in [1, 3] {
        let num_threads = Some(num_threads);
        let options = CountOptions { num_threads, piece_size: 16, ..CountOptions::default() };
        let inputs = std::slice::from_ref(&input);
        let error = count_files(inputs, &gpt2, &special, &options, &cancelled()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
    let options = CountOptions { num_threads: Some(0), ..CountOptions::default() };
    let error = count_files(&[input], &gpt2, &special, &options, &Monitor::new()).unwrap_err();
    assert!(error.to_string().contains("num_threads is 0"), "{error}");
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn nasty_texts(text in nasty(0..80), piece_size in 1usize..40) {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [file(folder.path(), "text", &text)];
        let special = special_tokens(&["'s", "a'", "\u{a0}1", "\n\n", "s '", "🦀 and more of it"]);
        for (name, preset) in all_presets() {
            let pieces = pieces(&inputs, preset, &special, piece_size);
            prop_assert_eq!(&pieces.concat(), &text);
            let whole = counts(&[&text], preset, &special);
            let found = counts(&pieces, preset, &special);
            prop_assert_eq!(found.sorted(), whole.sorted(), "{}", name);
        }
    }
}

/// From every place where a piece began, the rest is what it was, whatever the size of pieces.
#[test]
fn reading_goes_on_from_any_piece() {
    let folder = tempfile::tempdir().unwrap();
    let text = "It's <|end|>some text,  of words\n\nand 123 'more <|end|>".repeat(4);
    let texts: Vec<String> = ["a b c", "", "some words", "", &text, "z"].map(String::from).into();
    let lines = json_lines(&texts);
    let inputs = [
        file(folder.path(), "a.txt", text.as_bytes()),
        file(folder.path(), "b.jsonl", &lines),
        file(folder.path(), "empty", b""),
        file(folder.path(), "c.gz", &gzip(text.as_bytes())),
        file(folder.path(), "d.jsonl.gz", &gzip(&lines)),
        file(
            folder.path(),
            "e.parquet",
            &plain_parquet(&texts.iter().map(|t| t.clone().into_bytes()).collect::<Vec<_>>()),
        ),
        file(folder.path(), "f.txt", text.as_bytes()),
    ];
    let special = special_tokens(&["<|end|>"]);
    for pattern in ["gpt2", "cl100k", r"\w+|\W"] {
        let pretokenizer = Pretokenizer::new(pattern).unwrap();
        let open = |size| {
            let stop = Monitor::new().stop();
            Pieces::open(&inputs, "text", None, &pretokenizer, &special, size, stop).unwrap()
        };
        // All that is left: which input, the bytes and where documents end in them.
        let rest = |pieces: &Pieces| {
            let (mut rest, mut piece, mut progress) = (Vec::new(), Piece::default(), 0);
            while pieces.next(&mut piece).unwrap().is_some() {
                progress += piece.progress();
                for part in piece.parts() {
                    rest.extend(part.text.iter().map(|&byte| (piece.place().input, Some(byte))));
                    rest.extend(part.ends.then_some((piece.place().input, None)));
                }
            }
            (rest, progress)
        };
        let (whole, total) = rest(&open(1 << 20));
        let (pieces, mut piece, mut passed) = (open(13), Piece::default(), 0);
        while pieces.next(&mut piece).unwrap().is_some() {
            if piece.parts().count() > 0 {
                let later = open(7);
                let skipped = later.begin_at(piece.place());
                let (rest, progress) = rest(&later);
                assert_eq!(rest, whole[passed..], "{pattern}, {:?}", piece.place());
                assert_eq!(skipped + progress, total, "{pattern}, {:?}", piece.place());
            }
            passed +=
                piece.parts().map(|part| part.text.len() + usize::from(part.ends)).sum::<usize>();
        }
        assert_eq!(passed, whole.len());
    }
}
