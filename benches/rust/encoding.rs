//! Encoding by itself: a file to a token file, cold and on one thread, with a tokenizer that was made
//! before. `cargo bench --bench encoding -- TEXT TOKENIZER.json [RUNS]`; to see where the time goes, run
//! it under a profiler.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use byteloom::encode::{EncodeOptions, Encoder};
use byteloom::pretokenize::Pretokenizer;
use byteloom::{Monitor, files};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(text), Some(tokenizer)) = (arguments.next(), arguments.next()) else {
        println!("usage: cargo bench --bench encoding -- TEXT TOKENIZER.json [RUNS]");
        return;
    };
    let runs = arguments.next().map_or(5, |runs| runs.parse().unwrap());
    let inputs = [PathBuf::from(text)];
    let loaded = files::load(Path::new(&tokenizer), &[]).unwrap();
    let pretokenizer = Pretokenizer::new(loaded.pattern.as_deref().unwrap_or("gpt2")).unwrap();
    let encoder = Encoder::new(loaded.vocabulary, pretokenizer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("tokens.npy");
    let options = EncodeOptions { num_threads: Some(1), ..EncodeOptions::default() };
    let mut times: Vec<_> = (0..runs)
        .map(|_| {
            let begin = Instant::now();
            let stats = encoder.encode_files(&inputs, &output, &options, &Monitor::new()).unwrap();
            (begin.elapsed().as_secs_f64() * 1e3, stats)
        })
        .collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, stats) = times[times.len() / 2];
    println!(
        "best {:.1} ms, median {median:.1} ms, {:.0} MB/s, {} ids",
        times[0].0,
        stats.bytes as f64 / median / 1e3,
        stats.tokens
    );
}
