//! Every format gives the documents that were put into it, and says where it is damaged.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use byteloom::chunk::Pieces;
use byteloom::count::{CountOptions, Counts, count_files};
use byteloom::encode::{AllowedSpecial, EncodeOptions, Encoder};
use byteloom::piece::Piece;
use byteloom::pretokenize::Pretokenizer;
use byteloom::source::{Format, Source};
use byteloom::special::SpecialTokens;
use byteloom::train::{TieBreak, TrainOptions, train};
use byteloom::{Error, ErrorKind, Monitor};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::basic::{Compression as Codec, ConvertedType, Encoding, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use proptest::prelude::*;

use crate::support::{config, count_text, file, nasty, special_tokens};

const SPECIAL: &[&str] = &["<|end|>", "'s", "\n\n"];

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}

/// `bytes` packed in two members or frames, and an empty one.
fn in_parts(bytes: &[u8], pack: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 3);
    [pack(first), pack(b""), pack(second)].concat()
}

/// JSON's escapes for all of a text, as if there were nothing but ASCII's letters.
fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// An object a line, among other keys and blank lines, with few escapes or nothing else.
pub fn json_lines(texts: &[String]) -> Vec<u8> {
    let mut lines = String::new();
    for (number, text) in texts.iter().enumerate() {
        let plain = serde_json::to_string(text).unwrap();
        lines += &match number % 3 {
            0 => format!("{{\"text\":{plain},\"id\":{number}}}\n"),
            1 => format!(" {{\"n\": {{\"text\": [1, {plain}]}} , \"text\" : {plain} }} \r\n\n"),
            _ => format!("{{\"\\u0074ext\": \"{}\", \"text \": null}}\n \t\n", escaped(text)),
        };
    }
    // The last line needs no end.
    lines.trim_end().into()
}

struct ParquetOptions {
    codec: Codec,
    version: WriterVersion,
    dictionary: bool,
    repetition: Repetition,
}

/// Rows of a number and a text, in row groups of three, two rows a page.
fn parquet(texts: &[Vec<u8>], options: &ParquetOptions) -> Vec<u8> {
    let number = Type::primitive_type_builder("id", Physical::INT64)
        .with_repetition(Repetition::REQUIRED)
        .build();
    let text = Type::primitive_type_builder("text", Physical::BYTE_ARRAY)
        .with_repetition(options.repetition)
        .with_converted_type(ConvertedType::UTF8)
        .build();
    let fields = vec![Arc::new(number.unwrap()), Arc::new(text.unwrap())];
    let schema = Type::group_type_builder("schema").with_fields(fields).build().unwrap();
    let properties = WriterProperties::builder()
        .set_compression(options.codec)
        .set_writer_version(options.version)
        .set_dictionary_enabled(options.dictionary)
        .set_write_batch_size(1)
        .set_data_page_row_count_limit(2)
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties)).unwrap();
    for texts in texts.chunks(3) {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let numbers: Vec<i64> = (0..).take(texts.len()).collect();
        column.typed::<Int64Type>().write_batch(&numbers, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = texts.iter().map(|text| text.clone().into()).collect();
        let levels = vec![1; values.len()];
        let levels = (options.repetition == Repetition::OPTIONAL).then_some(&levels[..]);
        column.typed::<ByteArrayType>().write_batch(&values, levels, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

pub fn plain_parquet(texts: &[Vec<u8>]) -> Vec<u8> {
    let codec = Codec::SNAPPY;
    let (version, repetition) = (WriterVersion::PARQUET_1_0, Repetition::OPTIONAL);
    parquet(texts, &ParquetOptions { codec, version, dictionary: true, repetition })
}

fn open(inputs: &[PathBuf], column: &str, piece_size: usize) -> Result<Pieces, Error> {
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let special = special_tokens(SPECIAL);
    Pieces::open(inputs, column, None, &gpt2, &special, piece_size, Monitor::new().stop())
}

/// The documents of inputs, put together again from pieces.
fn documents(inputs: &[PathBuf], column: &str, piece_size: usize) -> Result<Vec<Vec<u8>>, Error> {
    let pieces = open(inputs, column, piece_size)?;
    let (mut all, mut open) = (Vec::new(), Vec::new());
    let (mut piece, mut progress) = (Piece::default(), 0);
    while pieces.next(&mut piece)?.is_some() {
        assert_eq!(piece.parts().map(|part| part.text).collect::<Vec<_>>().concat(), piece.bytes());
        for part in piece.parts() {
            open.extend_from_slice(part.text);
            if part.ends {
                all.push(std::mem::take(&mut open));
            }
        }
        progress += piece.progress();
    }
    assert!(open.is_empty(), "the last document has no end");
    assert_eq!(pieces.total_bytes(), Some(progress), "progress is not the files' size");
    Ok(all)
}

fn counts(texts: &[Vec<u8>], special: &SpecialTokens) -> Counts {
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let mut counts = Counts::new();
    for text in texts {
        count_text(text, &gpt2, special, &mut counts);
    }
    counts
}

fn failure(name: &str, content: &[u8], column: &str) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let input = file(folder.path(), name, content);
    let error = documents(std::slice::from_ref(&input), column, 64).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().starts_with(&input.display().to_string()), "{error}");
    error
}

#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    for part in parts {
        assert!(error.to_string().contains(part), "{error}, but not {part:?}");
    }
}

/// A vocabulary with some merges and the special tokens.
fn encoder() -> Encoder {
    let text = b"the text that the tokenizer is trained on, the'll'll  a a\n".to_vec();
    let options = TrainOptions {
        vocab_size: 280,
        special_tokens: SPECIAL.iter().map(|token| token.as_bytes().to_vec()).collect(),
        tie_break: TieBreak::Bytes,
        min_frequency: 1,
    };
    let vocabulary =
        train(&counts(&[text], &special_tokens(SPECIAL)), &options, &Monitor::new()).unwrap();
    Encoder::new(vocabulary, Pretokenizer::new("gpt2").unwrap()).unwrap()
}

/// Counts and ids of inputs must be those of texts, each taken for itself.
fn same_as_texts(inputs: &[PathBuf], texts: &[Vec<u8>], threads: usize, piece_size: usize) {
    let special = special_tokens(SPECIAL);
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let num_threads = Some(threads);
    let options = CountOptions { num_threads, piece_size, ..CountOptions::default() };
    let found = count_files(inputs, &gpt2, &special, &options, &Monitor::new()).unwrap();
    assert_eq!(found.sorted(), counts(texts, &special).sorted());

    let encoder = encoder();
    let separator = encoder.vocabulary().special_tokens()[0].clone();
    let mut expected = Vec::<u16>::new();
    for text in texts {
        let ids = encoder.encode(text, &AllowedSpecial::All, &Monitor::new()).unwrap();
        expected.extend_from_slice(&ids);
        expected.push(separator.1.try_into().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("ids.bin");
    let separator = Some(separator.0);
    let options = EncodeOptions { num_threads, piece_size, separator, ..EncodeOptions::default() };
    let stats = encoder.encode_files(inputs, &output, &options, &Monitor::new()).unwrap();
    let written = std::fs::read(&output).unwrap();
    let written: Vec<u16> =
        written.chunks_exact(2).map(|id| u16::from_le_bytes([id[0], id[1]])).collect();
    assert_eq!(written, expected);
    assert_eq!(stats.tokens, expected.len() as u64);
    assert_eq!(stats.bytes, texts.concat().len() as u64);
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn records_are_documents(
        texts in prop::collection::vec(nasty(0..12), 0..9),
        piece_size in 1usize..40,
        threads in 1usize..=4,
    ) {
        let strings: Vec<String> =
            texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let valid: Vec<Vec<u8>> = strings.iter().map(|text| text.clone().into_bytes()).collect();
        let lines = json_lines(&strings);
        let folder = tempfile::tempdir().unwrap();
        for (name, content, expected) in [
            ("a.jsonl", lines.clone(), &valid),
            ("a.jsonl.gz", in_parts(&lines, gzip), &valid),
            ("A.JSONL.ZST", in_parts(&lines, zstd), &valid),
            ("a.parquet", plain_parquet(&texts), &texts),
        ] {
            let inputs = [file(folder.path(), name, &content)];
            prop_assert_eq!(&documents(&inputs, "text", piece_size).unwrap(), expected, "{}", name);
            same_as_texts(&inputs, expected, threads, piece_size);
        }
    }

    #[test]
    fn packed_text_is_the_text(
        texts in prop::collection::vec(nasty(0..40), 1..3),
        piece_size in 1usize..60,
        threads in 1usize..=4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        for (ending, pack) in [("gz", gzip as fn(&[u8]) -> _), ("zst", zstd), ("txt", <[u8]>::to_vec)] {
            let write = |(i, text): (usize, &Vec<u8>)| {
                file(folder.path(), &format!("{i}.{ending}"), &in_parts(text, pack))
            };
            let inputs: Vec<_> = texts.iter().enumerate().map(write).collect();
            prop_assert_eq!(&documents(&inputs, "text", piece_size).unwrap(), &texts);
            same_as_texts(&inputs, &texts, threads, piece_size);
        }
    }

    #[test]
    fn every_kind_of_parquet(
        texts in prop::collection::vec(nasty(0..6), 0..12),
        codec in prop::sample::select(vec![
            Codec::UNCOMPRESSED, Codec::SNAPPY, Codec::LZ4_RAW,
            Codec::GZIP(Default::default()), Codec::ZSTD(Default::default()),
            Codec::BROTLI(Default::default()),
        ]),
        version in prop::sample::select(vec![WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]),
        dictionary: bool,
        repetition in prop::sample::select(vec![Repetition::REQUIRED, Repetition::OPTIONAL]),
    ) {
        let options = ParquetOptions { codec, version, dictionary, repetition };
        let folder = tempfile::tempdir().unwrap();
        let inputs = [file(folder.path(), "a.parquet", &parquet(&texts, &options))];
        prop_assert_eq!(&documents(&inputs, "text", 16).unwrap(), &texts);
    }

    #[test]
    fn a_damaged_file_is_an_error_or_read_but_never_a_panic(
        texts in prop::collection::vec(nasty(1..6), 1..8),
        at: prop::sample::Index,
        flip in 1u8..,
        cut: bool,
    ) {
        let strings: Vec<String> =
            texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let lines = json_lines(&strings);
        let folder = tempfile::tempdir().unwrap();
        for (name, mut content) in [
            ("a.jsonl", lines.clone()),
            ("a.gz", gzip(&lines)),
            ("a.zst", zstd(&lines)),
            ("a.parquet", plain_parquet(&texts)),
        ] {
            let at = at.index(content.len());
            if cut {
                content.truncate(at);
            } else {
                content[at] ^= flip;
            }
            let input = file(folder.path(), name, &content);
            let mut piece = Piece::default();
            let error = match open(&[input], "text", 16) {
                Err(error) => Some(error),
                Ok(pieces) => loop {
                    match pieces.next(&mut piece) {
                        Ok(Some(_)) => (),
                        Ok(None) => break None,
                        Err(error) => {
                            prop_assert_eq!(pieces.next(&mut piece).unwrap(), None);
                            break Some(error);
                        }
                    }
                },
            };
            if let Some(error) = &error {
                prop_assert_eq!(error.kind(), ErrorKind::Invalid, "{}", error);
                prop_assert!(error.to_string().contains(name), "{}", error);
            }
            // Lines may be cut between two of them; everything else tells when it is cut short.
            prop_assert!(error.is_some() || !cut || name == "a.jsonl", "{} cut at {}", name, at);
        }
    }
}

#[test]
fn a_special_token_is_not_put_together_from_two_documents() {
    let texts = [b"one <|en".to_vec(), b"d|> two".to_vec(), b"\n".to_vec(), b"\n".to_vec()];
    let folder = tempfile::tempdir().unwrap();
    let inputs = [file(folder.path(), "a.parquet", &plain_parquet(&texts))];
    let special = special_tokens(SPECIAL);
    let joined = counts(&[texts.concat()], &special);
    assert_ne!(joined.sorted(), counts(&texts, &special).sorted(), "nothing to see here");
    for piece_size in 1..64 {
        same_as_texts(&inputs, &texts, 1, piece_size);
    }
}

#[test]
fn a_document_longer_than_a_piece_comes_in_several() {
    let long = b"some words of text, ".repeat(50);
    let texts = [b"a".to_vec(), long.clone(), Vec::new(), long, b"z".to_vec()];
    let folder = tempfile::tempdir().unwrap();
    let inputs = [file(folder.path(), "a.parquet", &plain_parquet(&texts))];
    let (pieces, mut piece) = (open(&inputs, "text", 64).unwrap(), Piece::default());
    while pieces.next(&mut piece).unwrap().is_some() {
        assert!(piece.bytes().len() <= 64 + 8, "{}", piece.bytes().len());
    }
    assert_eq!(documents(&inputs, "text", 64).unwrap(), texts);
}

#[test]
fn pieces_of_nothing_but_empty_documents_are_bounded_too() {
    let texts = vec![Vec::new(); 1000];
    let folder = tempfile::tempdir().unwrap();
    let inputs = [file(folder.path(), "a.parquet", &plain_parquet(&texts))];
    let (pieces, mut piece) = (open(&inputs, "text", 64).unwrap(), Piece::default());
    while pieces.next(&mut piece).unwrap().is_some() {
        assert!(piece.parts().count() <= 64 + 8, "{}", piece.parts().count());
    }
    assert_eq!(documents(&inputs, "text", 64).unwrap().len(), 1000);
}

#[test]
fn a_source_knows_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| Source::new(&file(folder.path(), name, b"text"), None).unwrap();
    assert!(of("a.txt").is_plain_file() && of("jsonl").is_plain_file() && of("a").is_plain_file());
    for name in ["a.gz", "a.zst", "a.jsonl", "a.jsonl.gz", "a.parquet", "A.GZ"] {
        assert!(!of(name).is_plain_file(), "{name}");
        assert_eq!(of(name).size(), Some(4));
    }
    let stdin = Source::new(Path::new("-"), None).unwrap();
    assert!(stdin.is_stdin() && !stdin.is_plain_file() && stdin.size().is_none());
    assert!(!of("-").is_stdin(), "a file is one whatever its name");
}

#[test]
fn damaged_archives_are_named_with_the_byte() {
    let text = (0..1000u32).flat_map(|n| (n * n * 7).to_le_bytes()).collect::<Vec<_>>();
    for (name, pack) in [("t.gz", gzip as fn(&[u8]) -> _), ("t.zst", zstd)] {
        let packed = pack(&text);
        let half = packed.len() / 2;
        says(&failure(name, &packed[..half], "text"), &["cut short", &format!("byte {half}:")]);
        says(&failure(name, &[&packed[..], b"junk junk"].concat(), "text"), &["damaged", "byte"]);
        says(&failure(name, &[&packed[..], &packed[..half]].concat(), "text"), &["cut short"]);
        says(&failure(name, b"a text like any other", "text"), &["damaged"]);
        says(&failure(name, b"", "text"), &["cut short at byte 0"]);
    }
    let mut packed = gzip(&text);
    let sum = packed.len() - 8;
    packed[sum] ^= 1;
    says(&failure("t.gz", &packed, "text"), &["checksum"]);
}

#[test]
fn lines_that_are_no_records_are_named_with_their_number() {
    for (line, parts) in [
        (&b"nonsense"[..], &["column 2", "no JSON object"][..]),
        (b"{\"text\": \"a\"", &["column 12", "EOF"]),
        (b"{\"text\": \"a\"} x", &["column 15", "trailing"]),
        (b"[1, 2]", &["sequence, expected an object"]),
        (b"\"text\"", &["string \"text\", expected an object"]),
        (b"{\"text\": 5}", &["integer `5`, expected a string under \"text\""]),
        (b"{\"text\": null}", &["null, expected a string under \"text\""]),
        (b"{\"text\": [\"a\"]}", &["sequence, expected a string"]),
        (b"{\"text\": {\"text\": 1}}", &["map, expected a string"]),
        (b"{\"body\": \"a\", \"id\": 1}", &["no key \"text\"", "\"body\", \"id\""]),
        (b"{}", &["no key \"text\""]),
    ] {
        let lines = [b"{\"text\": \"good\"}\n\n", line, b"\n{\"text\": \"good\"}"].concat();
        says(&failure("t.jsonl", &lines, "text"), &["t.jsonl, line 3"]);
        says(&failure("t.jsonl.gz", &gzip(&lines), "text"), &[&["line 3"], parts].concat());
    }
    says(&failure("t.jsonl", b"{\"text\": \"a\"}", "body"), &["no key \"body\"", "\"text\""]);
}

#[test]
fn json_that_is_no_unicode_is_text_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        &b"{\"text\": \"a\\ud83e\\udd80b\"}"[..],
        b"{\"text\": \"a\\ud83eb\"}",
        b"{\"text\": \"\\udd80\\ud83e\\n\"}",
        b"{\"text\": \"\\ud83e\\ud83e\\udd80\"}",
        b"{\"text\": \"\xff\xed\x9f\xbf\"}",
        b"{\"text\": \"first\", \"text\": \"last\"}",
    ];
    let inputs = [file(folder.path(), "t.jsonl", &lines.join(&b'\n'))];
    let expected = [
        "a🦀b".as_bytes(),
        "a\u{fffd}b".as_bytes(),
        "\u{fffd}\u{fffd}\n".as_bytes(),
        "\u{fffd}🦀".as_bytes(),
        b"\xff\xed\x9f\xbf",
        b"last",
    ];
    assert_eq!(documents(&inputs, "text", 64).unwrap(), expected);
}

#[test]
fn parquet_without_a_column_of_texts_names_those_there_are() {
    let good = plain_parquet(&[b"a".to_vec(), b"b".to_vec()]);
    says(&failure("t.parquet", &good, "body"), &["no column \"body\"", "[\"text\"]"]);
    says(&failure("t.parquet", &good, "id"), &["column \"id\" holds INT64"]);
    says(&failure("t.parquet", &good[..good.len() - 9], "text"), &["damaged or no Parquet"]);
    says(&failure("t.parquet", b"a text like any other", "text"), &["damaged or no Parquet"]);
    says(&failure("t.parquet", b"", "text"), &["damaged or no Parquet"]);
    says(&failure("t.parquet.gz", &gzip(&good), "text"), &["not compressed as a whole"]);
}

/// A file of one column, row group and page, and the place of a page's header.
fn one_page(texts: &[Vec<u8>], codec: Codec, encoding: Encoding) -> (Vec<u8>, usize) {
    let text = Type::primitive_type_builder("text", Physical::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .build();
    let fields = vec![Arc::new(text.unwrap())];
    let schema = Type::group_type_builder("schema").with_fields(fields).build().unwrap();
    let dictionary = encoding == Encoding::RLE_DICTIONARY;
    let mut properties = WriterProperties::builder()
        .set_compression(codec)
        .set_dictionary_enabled(dictionary)
        .set_statistics_enabled(EnabledStatistics::None);
    if !dictionary {
        properties = properties.set_encoding(encoding);
    }
    let mut bytes = Vec::new();
    let properties = Arc::new(properties.build());
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = texts.iter().map(|text| text.clone().into()).collect();
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let metadata = writer.close().unwrap();
    let start = metadata.row_group(0).column(0).byte_range().0;
    (bytes, start.try_into().unwrap())
}

/// Writes another number over one at a place, in as many bytes, and gives the place behind it.
fn forge(bytes: &mut [u8], place: usize, mut number: u64) -> usize {
    let size = bytes[place..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    for byte in &mut bytes[place..place + size] {
        *byte = *byte & 0x80 | (number & 0x7f) as u8;
        number >>= 7;
    }
    assert_eq!(number, 0, "another number of bytes");
    place + size
}

/// The place behind a number.
fn behind(bytes: &[u8], place: usize) -> usize {
    place + bytes[place..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1
}

#[test]
fn a_page_of_parquet_gets_no_more_memory_than_it_can_fill() {
    let text = vec![vec![b'a'; 1 << 20]];
    for (codec, reason) in [
        (Codec::SNAPPY, "more than SNAPPY can pack"),
        (Codec::LZ4, "more than LZ4 can pack"),
        (Codec::LZ4_RAW, "more than LZ4_RAW can pack"),
        (Codec::GZIP(Default::default()), "more than GZIP"),
        (Codec::ZSTD(Default::default()), "more than ZSTD"),
        (Codec::BROTLI(Default::default()), "all pages of the column claim 10"),
    ] {
        let (mut bytes, page) = one_page(&text, codec, Encoding::PLAIN);
        let folder = tempfile::tempdir().unwrap();
        let inputs = [file(folder.path(), "t.parquet", &bytes)];
        assert_eq!(documents(&inputs, "text", 1 << 20).unwrap(), text, "{codec}");
        // The second field, doubled as numbers with a sign are.
        assert_eq!(bytes[page + 2], 0x15);
        forge(&mut bytes, page + 3, 240 << 20);
        says(&failure("t.parquet", &bytes, "text"), &["claims 125829120 ", reason]);
    }
}

#[test]
fn a_page_of_parquet_gets_no_more_lengths_than_it_has_rows() {
    let texts: Vec<Vec<u8>> = (0..200).map(|i| format!("text {i}").into_bytes()).collect();
    for (encoding, streams) in
        [(Encoding::DELTA_LENGTH_BYTE_ARRAY, 1), (Encoding::DELTA_BYTE_ARRAY, 2)]
    {
        let (good, page) = one_page(&texts, Codec::UNCOMPRESSED, encoding);
        // Lengths begin with the size of a block, 128, of 4 parts, and how many they are, 200.
        let head = [0x80, 1, 4, 0xc8, 1];
        let places: Vec<usize> =
            (page..good.len() - 5).filter(|&place| good[place..place + 5] == head).collect();
        assert_eq!(places.len(), streams, "{encoding}");
        for place in places {
            let mut bytes = good.clone();
            forge(&mut bytes, place + 3, 16_000);
            let parts = ["lengths of 16000 texts", "at most 200"];
            says(&failure("t.parquet", &bytes, "text"), &parts);
            // A block of that size is enough for as many.
            bytes[place..place + 9].copy_from_slice(&[0x80, 0x80, 0x80, 0x80, 8, 1, 0xff, 0x7f, 0]);
            says(&failure("t.parquet", &bytes, "text"), &["lengths of 16383 texts"]);
            bytes[place..place + 5].copy_from_slice(&[0x80, 1, 5, 0xc8, 1]);
            says(&failure("t.parquet", &bytes, "text"), &["blocks of 128 in 5 parts"]);
        }
    }
}

#[test]
fn a_page_of_parquet_claims_no_more_values_than_it_has_room_for() {
    let texts: Vec<Vec<u8>> = (0..200).map(|i| format!("text {i}").into_bytes()).collect();
    let (mut bytes, page) = one_page(&texts, Codec::UNCOMPRESSED, Encoding::RLE_DICTIONARY);
    let mut place = behind(&bytes, behind(&bytes, page + 3) + 1);
    // The seventh field is the dictionary's header, whose first is the number of values.
    assert_eq!(bytes[place..place + 2], [0x4c, 0x15]);
    forge(&mut bytes, place + 2, 2 * 8000);
    says(&failure("t.parquet", &bytes, "text"), &["dictionary claims 8000 values"]);

    let (mut bytes, page) = one_page(&texts, Codec::UNCOMPRESSED, Encoding::PLAIN);
    place = behind(&bytes, behind(&bytes, page + 3) + 1);
    assert_eq!(bytes[place..place + 2], [0x2c, 0x15]);
    forge(&mut bytes, place + 2, 2 * 8000);
    says(&failure("t.parquet", &bytes, "text"), &["page claims 8000 rows", "has 200 left"]);
    place = behind(&bytes, page + 3);
    forge(&mut bytes, place + 1, 2 * 8000);
    says(&failure("t.parquet", &bytes, "text"), &["page claims 8000 bytes", "but the file has"]);
}

#[test]
fn a_missing_column_is_found_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let good = [b"a".to_vec()];
    let texts = ["a".to_owned(), "b".to_owned()];
    let first = file(folder.path(), "a.jsonl", b"{\"body\": \"a\"}");
    for (name, content) in [
        ("b.parquet", plain_parquet(&good)),
        ("b.jsonl", json_lines(&texts)),
        ("b.jsonl.gz", gzip(&json_lines(&texts))),
    ] {
        let inputs = [first.clone(), file(folder.path(), name, &content)];
        says(&open(&inputs, "body", 64).unwrap_err(), &[name, "no ", "\"body\"", "\"text\""]);
    }
    // A file without records has no keys to be wrong.
    open(&[first, file(folder.path(), "c.jsonl", b"\n")], "body", 64).unwrap();
}

#[test]
fn a_format_that_is_said_stands_for_the_name() {
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let texts = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
    let lines = json_lines(&texts);
    let documents = |name: &str, content: &[u8], format: &str| {
        let inputs = [file(folder.path(), name, content)];
        let (special, stop) = (special_tokens(SPECIAL), Monitor::new().stop());
        let format = Some(format.parse().unwrap());
        let pieces = Pieces::open(&inputs, "text", format, &gpt2, &special, 1000, stop).unwrap();
        let mut piece = Piece::default();
        assert_eq!(pieces.next(&mut piece).unwrap(), Some(0));
        piece.parts().map(|part| String::from_utf8(part.text.into()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(documents("a.txt", &lines, "jsonl"), texts);
    assert_eq!(documents("a", &gzip(&lines), "jsonl.gz"), texts);
    assert_eq!(documents("a.zst", &zstd(&lines), "jsonl"), texts);
    let rows = plain_parquet(&texts.clone().map(String::into_bytes));
    assert_eq!(documents("a.bin", &rows, "parquet"), texts);
    assert_eq!(documents("a.jsonl", b"{", "text"), ["{"]);
    for wrong in ["", "csv", "gz", "parquet.gz", "jsonl.bz2", "JSONL"] {
        says(&wrong.parse::<Format>().unwrap_err(), &[&format!("{wrong:?}"), "jsonl or parquet"]);
    }
    for right in ["text", "jsonl", "parquet", "text.gz", "jsonl.zst"] {
        assert_eq!(right.parse::<Format>().unwrap().to_string(), right);
    }
    let error = Source::new(Path::new("-"), Some("parquet".parse().unwrap())).unwrap_err();
    says(&error, &["standard input: Parquet is read from its end"]);
}

#[test]
fn a_separator_must_be_a_special_token() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = [file(folder.path(), "a.txt", b"text")];
    let separator = Some(b"<|none|>".to_vec());
    let options = EncodeOptions { separator, ..EncodeOptions::default() };
    let output = folder.path().join("ids.bin");
    let error = encoder().encode_files(&inputs, &output, &options, &Monitor::new()).unwrap_err();
    says(&error, &["\"<|none|>\" is no special token"]);
    assert!(!output.exists());
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_to_its_end_and_left_when_told_to() {
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
    assert!(!Source::new(&path, None).unwrap().is_plain_file());
    let gpt2 = Pretokenizer::new("gpt2").unwrap();
    let special = special_tokens(&[]);
    let count = |monitor: &Monitor| {
        let inputs = std::slice::from_ref(&path);
        count_files(inputs, &gpt2, &special, &CountOptions::default(), monitor)
    };
    writer.write_all(b"one two one").unwrap();
    let monitor = Monitor::new();
    std::thread::scope(|scope| {
        let counting = scope.spawn(|| count(&monitor));
        // It waits, since the pipe is open; nothing but this can end it.
        monitor.cancel();
        let error = counting.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    });
    writer.write_all(b" three").unwrap();
    drop(writer);
    let monitor = Monitor::new();
    let counts = count(&monitor).unwrap();
    assert_eq!(counts.get(b" three"), 1);
    assert_eq!(monitor.progress().1, 0, "the total is unknown");
}
