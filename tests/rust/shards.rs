//! Shards hold the documents that they should, and an interrupted run ends with the same bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use byteloom::count::Counts;
use byteloom::encode::{AllowedSpecial, EncodeOptions, Encoder, ShardOptions, ShardStats};
use byteloom::pretokenize::Pretokenizer;
use byteloom::train::{TieBreak, TrainOptions, train};
use byteloom::{ErrorKind, Monitor, Result};
use proptest::prelude::*;
use serde_json::Value;

use crate::oracle::shards::{Shard, shards};
use crate::source::{gzip, json_lines, plain_parquet};
use crate::support::{config, file, names, nasty};

const END: &str = "<|endoftext|>";

fn encoder(pattern: &str) -> Encoder {
    let mut counts = Counts::new();
    [&b"the"[..], b" the", b"it's", b" words", b"aaaa"].iter().for_each(|word| counts.add(word, 2));
    let special_tokens = [END, "<|end|>"].map(|token| token.as_bytes().to_vec()).into();
    let tie_break = TieBreak::Bytes;
    let options = TrainOptions { vocab_size: 266, special_tokens, tie_break, min_frequency: 1 };
    let vocabulary = train(&counts, &options, &Monitor::new()).unwrap();
    Encoder::new(vocabulary, Pretokenizer::new(pattern).unwrap()).unwrap()
}

fn ids(encoder: &Encoder, text: &[u8]) -> Vec<u16> {
    encoder.encode(text, &AllowedSpecial::All, &Monitor::new()).unwrap().to_vec()
}

/// The documents of a plain text, each with the token that ends it.
fn documents(encoder: &Encoder, text: &[u8]) -> Vec<Vec<u16>> {
    let end =
        encoder.vocabulary().special_tokens().iter().find(|(token, _)| token == END.as_bytes());
    let end = u16::try_from(end.unwrap().1).unwrap();
    let ids = ids(encoder, text);
    let mut documents: Vec<Vec<u16>> =
        ids.split_inclusive(|&id| id == end).map(Into::into).collect();
    if documents.is_empty() {
        documents.push(Vec::new());
    }
    documents
}

fn options(num_threads: usize, piece_size: usize) -> EncodeOptions {
    EncodeOptions { num_threads: Some(num_threads), piece_size, ..EncodeOptions::default() }
}

fn of(tokens: u64) -> ShardOptions {
    ShardOptions { tokens, tokenizer: "one".into(), overwrite: false }
}

fn run(
    encoder: &Encoder,
    inputs: &[PathBuf],
    folder: &Path,
    tokens: u64,
    options: &EncodeOptions,
) -> Result<ShardStats> {
    encoder.encode_shards(inputs, folder, &of(tokens), options, &Monitor::new())
}

/// Every file of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| (name.clone(), std::fs::read(folder.join(name)).unwrap());
    names(folder).into_iter().map(read).collect()
}

fn numbers<const WIDTH: usize>(path: &Path) -> Vec<u64> {
    let bytes = std::fs::read(path).unwrap();
    let header = String::from_utf8_lossy(&bytes[10..128]);
    let numbers: Vec<u64> = bytes[128..]
        .chunks_exact(WIDTH)
        .map(|number| number.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
        .collect();
    assert!(header.contains(&format!("'<u{WIDTH}'")), "{header}");
    assert!(header.contains(&format!("({},)", numbers.len())), "{header}");
    numbers
}

/// What a folder holds, and that its manifest says so.
fn read(folder: &Path) -> Vec<Shard> {
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let listed = manifest["shards"].as_array().unwrap();
    let found: Vec<Shard> = listed
        .iter()
        .map(|shard| {
            let path = folder.join(shard["file"].as_str().unwrap());
            let ids = numbers::<2>(&path).into_iter().map(|id| id as u16).collect::<Vec<_>>();
            let index = numbers::<8>(&path.with_extension("documents.npy"));
            assert_eq!(shard["tokens"], ids.len());
            assert_eq!(shard["documents"], index.len() - 1);
            let crc = crc32fast::hash(&std::fs::read(&path).unwrap());
            assert_eq!(shard["crc32"], format!("{crc:08x}"));
            let continues = shard["continues"].as_bool().unwrap();
            Shard { ids, index, continues }
        })
        .collect();
    assert_eq!(manifest["tokens"], found.iter().map(|shard| shard.ids.len()).sum::<usize>());
    let parts: usize = found.iter().map(|shard| shard.index.len() - 1).sum();
    let rests = found.iter().filter(|shard| shard.continues).count();
    assert_eq!(manifest["documents"], parts - rests);
    // Nothing else is left.
    assert_eq!(names(folder).len(), 2 * found.len() + 1, "{:?}", names(folder));
    found
}

#[test]
fn the_oracle_by_hand() {
    let documents = [vec![1, 2], vec![], vec![3, 4], vec![5, 6, 7, 8, 9], vec![10], vec![]];
    let shard = |ids: &[u16], index: &[u64], continues| Shard {
        ids: ids.into(),
        index: index.into(),
        continues,
    };
    let expected = [
        shard(&[1, 2], &[0, 2, 2], false),
        shard(&[3, 4], &[0, 2], false),
        shard(&[5, 6, 7], &[0, 3], false),
        shard(&[8, 9, 10], &[0, 2, 3, 3], true),
    ];
    assert_eq!(shards(&documents, 3), expected);
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn shards_are_the_oracles(
        texts in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![nasty(0..12), Just(END.into()), Just(b"<|end".to_vec())], 0..8,
            ).prop_map(|parts| parts.concat()),
            1..4,
        ),
        limit in prop_oneof![1u64..6, 6u64..60, 60u64..200],
        sizes in prop::collection::vec((1usize..4, 1usize..60), 2),
    ) {
        let encoder = encoder("gpt2");
        let folder = tempfile::tempdir().unwrap();
        let mut inputs = Vec::new();
        let mut expected = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            inputs.push(file(folder.path(), &format!("{number}.txt"), text));
            expected.extend(documents(&encoder, text));
        }
        // A record is a document, whatever is in it.
        inputs.push(file(folder.path(), "z.parquet", &plain_parquet(&texts)));
        expected.extend(texts.iter().map(|text| ids(&encoder, text)));
        for (number, (threads, piece_size)) in sizes.into_iter().enumerate() {
            let output = folder.path().join(format!("out{number}"));
            let options = options(threads, piece_size);
            let stats = run(&encoder, &inputs, &output, limit, &options).unwrap();
            prop_assert_eq!(read(&output), shards(&expected, limit as usize));
            prop_assert_eq!(stats.tokens, expected.concat().len() as u64);
            prop_assert_eq!(stats.documents, expected.len() as u64);
            prop_assert_eq!(stats.bytes, 2 * texts.concat().len() as u64);

            // One file, with an index, is a shard without a limit.
            let (one, options) = (folder.path().join("one.npy"), EncodeOptions { documents: true, ..options });
            let stats = encoder.encode_files(&inputs, &one, &options, &Monitor::new()).unwrap();
            let all = &shards(&expected, usize::MAX)[0];
            prop_assert_eq!(numbers::<8>(&one.with_extension("documents.npy")), &all.index[..]);
            let found: Vec<u16> = numbers::<2>(&one).into_iter().map(|id| id as u16).collect();
            prop_assert_eq!(&found, &all.ids);
            prop_assert_eq!(stats.documents, Some(expected.len() as u64));
        }
    }
}

/// Inputs of every kind, in a folder.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let text = format!("the words that it's made of, {END} aaaa\n\n{END}{END} the rest").repeat(6);
    let texts: Vec<String> =
        ["the words", "", &text, "", "it's", &"words ".repeat(60)].map(String::from).into();
    let rows: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
    vec![
        file(folder, "a.txt", text.as_bytes()),
        file(folder, "b.jsonl", &json_lines(&texts)),
        file(folder, "c.txt", b""),
        file(folder, "d.gz", &gzip(format!("{text}{END}").as_bytes())),
        file(folder, "e.parquet", &plain_parquet(&rows)),
        file(folder, "f.jsonl.gz", &gzip(&json_lines(&texts))),
        file(folder, "g.txt", format!("{text}{END}").as_bytes()),
    ]
}

#[test]
fn a_run_that_fails_at_a_shard_goes_on_to_the_same_bytes() {
    for (pattern, separator, limit) in
        [("gpt2", None, 50), ("gpt2", Some("<|end|>"), 37), (r"\w+|\W", None, 211)]
    {
        let encoder = encoder(pattern);
        let folder = tempfile::tempdir().unwrap();
        let inputs = inputs(folder.path());
        let separator = separator.map(|token| token.as_bytes().to_vec());
        let options = |threads, size| EncodeOptions {
            separator: separator.clone(),
            ..options(threads, size)
        };
        let whole = folder.path().join("whole");
        let wanted = run(&encoder, &inputs, &whole, limit, &options(1, 1 << 20)).unwrap();
        read(&whole);
        let step = 1 + wanted.shards as usize / 8;
        for failing in (0..wanted.shards).step_by(step) {
            // A folder has the name that the shard, or its index, is to get.
            let output = folder.path().join(format!("{failing}"));
            let ending = if failing % 2 == 0 { "npy" } else { "documents.npy" };
            let obstacle = output.join(format!("shard-{failing:05}.{ending}"));
            std::fs::create_dir_all(&obstacle).unwrap();
            std::fs::write(obstacle.join("file"), "").unwrap();
            std::fs::write(
                output.join("progress.json"),
                r#"{"version": 1, "shards": [], "next":
                {"input": 0, "offset": 0, "ids": 0, "ends": 0, "bytes": 0, "in_document": false,
                "after_token": false}}"#,
            )
            .unwrap();
            let error = run(&encoder, &inputs, &output, limit, &options(2, 30)).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error}");
            assert!(!output.join("manifest.json").exists());
            std::fs::remove_dir_all(&obstacle).unwrap();
            // Other threads and pieces than before, and than those of the whole.
            let monitor = Monitor::new();
            let size = 1 + (failing as usize * 13) % 97;
            let found =
                encoder.encode_shards(&inputs, &output, &of(limit), &options(3, size), &monitor);
            assert_eq!(found.unwrap(), ShardStats { kept: failing, ..wanted });
            assert!(contents(&output) == contents(&whole), "{pattern}, shard {failing}");
            let (done, total) = monitor.progress();
            assert_eq!(done, total, "{pattern}, shard {failing}");
        }
    }
}

#[test]
fn a_run_that_was_stopped_before_its_manifest_was_written_needs_nothing_but_that() {
    let encoder = encoder("gpt2");
    let folder = tempfile::tempdir().unwrap();
    let (inputs, output) = (inputs(folder.path()), folder.path().join("out"));
    let whole = folder.path().join("whole");
    let wanted = run(&encoder, &inputs, &whole, 100, &options(1, 64)).unwrap();
    // Its last shard's progress, as it is before the manifest: from a run with an input more that fails.
    let more = [&inputs[..], &[file(folder.path(), "h.gz", &gzip(b"more")[..12])]].concat();
    assert!(run(&encoder, &more, &output, 100, &options(2, 64)).is_err());
    let error = run(&encoder, &inputs, &output, 100, &options(2, 64)).unwrap_err();
    assert!(error.to_string().contains("begun with 8 inputs, not 7"), "{error}");
    let mut progress: Value =
        serde_json::from_slice(&std::fs::read(output.join("progress.json")).unwrap()).unwrap();
    progress["inputs"].as_array_mut().unwrap().pop();
    std::fs::write(output.join("progress.json"), progress.to_string()).unwrap();
    let found = run(&encoder, &inputs, &output, 100, &options(2, 64)).unwrap();
    assert!(found.kept > 0 && found.kept < wanted.shards);
    assert!(contents(&output) == contents(&whole));
}

#[test]
fn what_is_not_the_same_is_not_gone_on_with() {
    let encoder = encoder("gpt2");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let mut inputs = inputs(folder.path());
    let good = inputs.clone();
    inputs.push(file(folder.path(), "h.gz", &gzip(b"more")[..12]));
    let fails = |inputs: &[PathBuf], shards: &ShardOptions, options: &EncodeOptions| {
        let result = encoder.encode_shards(inputs, &output, shards, options, &Monitor::new());
        let error = result.unwrap_err();
        error.to_string()
    };
    let plain = options(2, 100);
    assert!(fails(&inputs, &of(50), &plain).contains("h.gz: damaged"));
    let before = contents(&output);
    let says = |error: String, what: &str| {
        assert!(error.contains(what) && error.contains("to be overwritten"), "{error}");
        assert!(contents(&output) == before, "something was changed");
    };
    let other = ShardOptions { tokenizer: "two".into(), ..of(50) };
    says(fails(&inputs, &other, &plain), "begun with another tokenizer");
    says(fails(&inputs, &of(51), &plain), "begun with other options, {");
    let separator = Some(b"<|end|>".to_vec());
    let separated = EncodeOptions { separator, ..plain.clone() };
    says(fails(&inputs, &of(50), &separated), "begun with other options, {");
    says(fails(&good, &of(50), &plain), "begun with 8 inputs, not 7");
    let mut swapped = inputs.clone();
    swapped.swap(0, 1);
    says(fails(&swapped, &of(50), &plain), "where");
    let text = std::fs::read(&inputs[6]).unwrap();
    std::fs::write(&inputs[6], [&text[..], b"."].concat()).unwrap();
    says(fails(&inputs, &of(50), &plain), "begun with another version of");
    std::fs::write(output.join("shard-00001.npy"), "short").unwrap();
    assert!(fails(&inputs, &of(50), &plain).contains("begun with another version of"));

    // To begin anew, it is enough to say so.
    let anew = ShardOptions { overwrite: true, ..of(50) };
    let stats = encoder.encode_shards(&good, &output, &anew, &plain, &Monitor::new()).unwrap();
    assert_eq!(stats.kept, 0);
    read(&output);
    assert!(fails(&good, &of(50), &plain).contains("holds finished shards"));
    std::fs::remove_file(output.join("manifest.json")).unwrap();
    assert!(fails(&good, &of(50), &plain).contains("holds shards, but nothing says of what"));
    assert!(fails(&good, &of(0), &plain).contains("a shard of 0 tokens"));
    let missing = folder.path().join("missing/out");
    let error = run(&encoder, &good, &missing, 50, &plain).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io(std::io::ErrorKind::NotFound));
}

#[test]
fn a_finished_shard_that_is_damaged_is_not_gone_on_with() {
    let encoder = encoder("gpt2");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let mut inputs = inputs(folder.path());
    inputs.push(file(folder.path(), "h.gz", &gzip(b"more")[..12]));
    run(&encoder, &inputs, &output, 50, &options(1, 100)).unwrap_err();
    for name in ["shard-00001.npy", "shard-00000.documents.npy"] {
        let path = output.join(name);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[1..]).unwrap();
        let error = run(&encoder, &inputs, &output, 50, &options(1, 100)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("when it was finished"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = run(&encoder, &inputs, &output, 50, &options(1, 100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io(std::io::ErrorKind::NotFound));
        std::fs::write(&path, &good).unwrap();
    }
    std::fs::write(output.join("progress.json"), "{").unwrap();
    let error = run(&encoder, &inputs, &output, 50, &options(1, 100)).unwrap_err().to_string();
    assert!(error.contains("progress.json: damaged"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_encoded_but_not_gone_on_with() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let encoder = encoder("gpt2");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let bad = file(folder.path(), "h.gz", &gzip(b"more")[..12]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all("the words ".repeat(100).as_bytes()).unwrap();
    drop(writer);
    let pipe = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
    // The end of the pipe and of its last shard is not known to be one before the next text begins.
    let inputs = [pipe, bad];
    run(&encoder, &inputs, &output, 50, &options(1, 100)).unwrap_err();
    let error = run(&encoder, &inputs, &output, 50, &options(1, 100)).unwrap_err().to_string();
    assert!(error.contains("cannot be read again"), "{error}");
}
