//! Writes the seeds: `seeds FOLDER` makes FOLDER/TARGET for every target. Inputs from which the fuzzer
//! starts need not be good, only varied: it keeps what reaches new code.

use std::fs;
use std::io::Result;
use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use byteloom::Monitor;
use byteloom::count::{Counts, CountsFile};
use byteloom::files::{gpt2, huggingface, tiktoken};
use byteloom::pretokenize::{Pretokenizer, presets};
use byteloom::train::{TieBreak, TrainOptions, train};
use byteloom::vocab::Vocabulary;
use byteloom_fuzz::parquet::{Layout, Rows};

/// Texts in the language of `input::Text`: ASCII stands for itself, other bytes for fragments.
const TEXTS: &[&[u8]] = &[
    b"",
    b"It's what they'll say, isn't it? WE'VE 12 of 1234567 things.\n\n  And\tthen\r\n   some   ",
    b"def f(x):\n    return {'a': x ** 2, 'b': [1, 2, 3]}\n\n\n//\n/ /\n",
    b"<|a|><|a|>text<|a|> <|a <| |> the the",
    b" \xe8\x1f\xe9\x1fx\n\xea\x1f'\xeb\x1f's\xec\x1f1\xed\x1f",
    b"\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7",
    b"a\xa8b\xa9 \xaac\xab\xac \xad1\xae2\xaf\xb0'\xb1s\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xbb",
    b"aaaabbbb\xe8\x10abababab\xe9\x10 a b ab\xef\x1f",
    b"\xf8\xc3\xf8\xa9\xf8\xe2\xf8\x82 \xf8\xff\xf8\xfe\xf8\xf0\xf8\x9f\xf8\xa6\xf8\x80x",
];

/// What stands before the text in the targets that split: kinds of preset, pieces and special tokens.
const HEADS: &[&[u8]] = &[
    &[0, 0, 0, 0, 0, 0, 0, 0],
    &[1, 3, 0, 2, 9, 0, 1, 3, 4, 3, 5],
    &[2, 64, 0, 1, 1, 1, 2, 0, 1],
    &[3, 255, 1, 7, 3, 3, 2, 6, 7, 1, 8],
    &[4, 17, 0, 3, 2, 2, 4, 3, 5, 3, 4, 3, 3],
];

/// JSON lines, right and wrong.
const LINES: &[&[u8]] = &[
    b"{\"text\": \"a\", \"id\": 1}\n\n {\"n\": {\"text\": [1, null]}, \"text\": \"\\ud83d\\ude00\\ud800\"} \r\n",
    b"{\"text\": \"a\", \"text\": \"b\\n\\u0000\", \"\": -1.5e+3}",
    b"{\"text\": 5}\n{\"text\": \"a\"",
    b"\xe1\x00\x87abcdefg\xe3\x01\x00\x10\x47qrstuvw\x02\x05\x87zyxwvut",
    b"\x80a\x85\x86\x87\x81\xe2\x00\x8a\x80\x84\x83\x87\x92\x91\x90\x85\x86 \x10\x06\x13\x04",
    b"[1, 2]\n\"text\"\nnull",
];

fn main() -> Result<()> {
    let folder =
        std::env::args_os().nth(1).ok_or_else(|| std::io::Error::other("usage: seeds FOLDER"))?;
    let folder = Path::new(&folder);
    let write = |target: &str, number: usize, bytes: &[u8]| {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(format!("seed-{number}")), bytes)
    };
    let structured = [
        "scanner",
        "pattern",
        "counter",
        "trainer",
        "encoder",
        "tokenizer_json",
        "vocab_merges",
        "tiktoken_ranks",
        "counts_file",
    ];
    let pairs = HEADS.iter().flat_map(|head| TEXTS.iter().map(move |text| [*head, *text].concat()));
    for (number, bytes) in pairs.enumerate() {
        for target in structured {
            // The readers read a first even number as: a good file with damage.
            write(target, number, &bytes)?;
        }
    }
    // Three ways to hand over a text.
    for (way, top) in [0, 0x60, 0xc0].into_iter().enumerate() {
        for (number, text) in TEXTS.iter().enumerate() {
            let head = [0, 0, 0, top, 9, 0, number as u8];
            write("plain", 100 * way + number, &[&head, *text].concat())?;
        }
    }
    for (number, lines) in LINES.iter().enumerate() {
        write("jsonl", number, &[&[0, 7, 0], *lines].concat())?;
        // By gzip and zstd, as text and as JSON lines, with and without damage.
        for kind in 0..8 {
            let packing = [kind & 1, 7, 0, 0, 0, 0, (kind & 2) << 6, 0];
            let parts = [kind >> 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, number as u8];
            let edits = [2, 0, 20, 3, 1, 4, 0, 9, 1, 5];
            let head = [&packing[..], &parts, &edits, &[0; 24]].concat();
            write("compressed", 8 * number + usize::from(kind), &[&head, *lines].concat())?;
        }
    }
    // Parquet in every codec and encoding.
    let rows = b"\x03low\x00\xe0\x05lower\xe2\xc8\x10\x06newest\xe4\xe1\xe0\x0banother row";
    for codec in 0..7 {
        for encoding in 0..3 {
            for flags in [0, 0x13, 0x2d, 0xf6] {
                let number = usize::from(codec * 12 + encoding * 4 + flags % 4);
                let layout = [codec, encoding, flags, 5, 2];
                let head = [&[0, 7, 0, 99, 0], &layout[..], &[0; 48]].concat();
                write("parquet", number, &[&head, &rows[..]].concat())?;
                let mut all = Unstructured::new(rows);
                let made = Layout::arbitrary(&mut Unstructured::new(&layout))
                    .and_then(|layout| Ok((layout, Rows::arbitrary(&mut all)?)))
                    .map_err(std::io::Error::other)?;
                let file = made.0.write(&made.1.0).map_err(std::io::Error::other)?;
                write("parquet", 100 + number, &[&[1, 7, 0, 99, 0], file.as_slice()].concat())?;
            }
        }
    }
    // Files in order, which an odd first number hands to the readers as they are.
    let raw = |bytes: Vec<u8>| [&[1], bytes.as_slice()].concat();
    let (counts, vocabulary) = example();
    let made = tempfile::tempdir()?;
    let at = |name: &str| made.path().join(name);
    let save = |result: byteloom::Result<()>| result.map_err(std::io::Error::other);
    for (number, preset) in presets().enumerate() {
        let pretokenizer = Pretokenizer::new(preset).map_err(std::io::Error::other)?;
        save(huggingface::save(&vocabulary, &pretokenizer, &at("tokenizer.json")))?;
        write("tokenizer_json", 100 + number, &raw(fs::read(at("tokenizer.json"))?))?;
    }
    save(gpt2::save(&vocabulary, &at("vocab.json"), &at("merges.txt")))?;
    let both = [fs::read(at("vocab.json"))?, vec![0], fs::read(at("merges.txt"))?].concat();
    write("vocab_merges", 100, &raw(both))?;
    save(tiktoken::save(&vocabulary, &at("ranks")))?;
    write("tiktoken_ranks", 100, &raw(fs::read(at("ranks"))?))?;
    let content =
        CountsFile { pattern: "gpt2".into(), special_tokens: vec!["<|é|>".into()], counts };
    save(content.save(&at("counts")))?;
    write("counts_file", 100, &raw(fs::read(at("counts"))?))
}

fn example() -> (Counts, Vocabulary) {
    let mut counts = Counts::new();
    for (count, word) in
        (1..).zip(["low", " low", " lower", "newest", "日本語", "\n\n", "a long pretoken of bytes"])
    {
        counts.add(word.as_bytes(), count << (8 * (count % 5)));
    }
    let options = TrainOptions {
        vocab_size: 290,
        special_tokens: Vec::new(),
        tie_break: TieBreak::Bytes,
        min_frequency: 1,
    };
    let vocabulary = train(&counts, &options, &Monitor::new()).expect("options in order");
    (counts, vocabulary)
}
