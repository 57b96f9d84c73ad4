//! Where the engine's time goes: splitting, counting, merging and encoding, each by itself, for every
//! kind of scanner that this processor has. `cargo bench -- TEXT [VOCABULARY SIZE] [THREADS] [RUNS]`.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::PathBuf;
use std::time::Instant;

use byteloom::Monitor;
use byteloom::count::{CountOptions, count_files};
use byteloom::encode::{EncodeOptions, Encoder};
use byteloom::pretokenize::Pretokenizer;
use byteloom::pretokenize::simd::Simd;
use byteloom::special::{Segment, SpecialTokens};
use byteloom::train::{TieBreak, TrainOptions, train};

/// Runs the work several times, of which the best counts.
fn measure<T>(runs: usize, name: &str, bytes: usize, mut work: impl FnMut() -> T) -> T {
    let mut best = f64::INFINITY;
    let mut result = None;
    for _ in 0..runs {
        let begin = Instant::now();
        result = Some(work());
        best = best.min(begin.elapsed().as_secs_f64());
    }
    println!("{name:<24}{:>9.1} ms{:>9.0} MB/s", best * 1e3, bytes as f64 / 1e6 / best);
    result.unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(path) = arguments.next() else {
        println!("usage: cargo bench -- TEXT [VOCABULARY SIZE] [THREADS] [RUNS]");
        return;
    };
    let vocab_size = arguments.next().map_or(32_000, |size| size.parse().unwrap());
    let threads = arguments.next().map_or(1, |threads| threads.parse().unwrap());
    let runs = arguments.next().map_or(3, |runs| runs.parse().unwrap());
    let (path, monitor) = (PathBuf::from(path), Monitor::new());
    let text = std::fs::read(&path).unwrap();
    let special = SpecialTokens::new(&["<|endoftext|>"]).unwrap();
    let pretokenizer = Pretokenizer::new("gpt2").unwrap();

    measure(runs, "special tokens", text.len(), || special.split(&text).count());
    for simd in Simd::available() {
        measure(runs, &format!("split, {}", simd.name()), text.len(), || {
            let mut pretokens = 0;
            for segment in special.split(&text) {
                if let Segment::Text(text) = segment {
                    let count = |_, ends: &[usize]| pretokens += ends.len();
                    pretokenizer.for_each_batch_by(simd, text, &monitor, count).unwrap();
                }
            }
            pretokens
        });
    }
    let options = CountOptions { num_threads: Some(threads), ..CountOptions::default() };
    let inputs = [path];
    let counts = measure(runs, "count", text.len(), || {
        count_files(&inputs, &pretokenizer, &special, &options, &monitor).unwrap()
    });
    println!("{:<24}{:>9} distinct pretokens", "", counts.len());
    let options = TrainOptions {
        vocab_size,
        special_tokens: special.tokens().to_vec(),
        tie_break: TieBreak::Bytes,
        min_frequency: 1,
    };
    let vocabulary =
        measure(runs, "train", text.len(), || train(&counts, &options, &monitor).unwrap());
    println!("{:<24}{:>9} tokens", "", vocabulary.len());
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("tokens.npy");
    let options = EncodeOptions { num_threads: Some(threads), ..EncodeOptions::default() };
    let encoder = Encoder::new(vocabulary, pretokenizer).unwrap();
    let stats = measure(runs, "encode", text.len(), || {
        encoder.encode_files(&inputs, &output, &options, &monitor).unwrap()
    });
    println!("{:<24}{:>9} ids", "", stats.tokens);
}
