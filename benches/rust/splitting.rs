//! Splitting text by each preset's scanner, beside the regex engine with the same pattern.
//!
//! `cargo bench --bench splitting -- FILE...` compares the two document by document (documents end
//! with `<|endoftext|>`) and prints megabytes a second on one core, the scanner's the median of five
//! runs. It fails if one pretoken differs.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use byteloom::Monitor;
use byteloom::pretokenize::pattern::Pattern;
use byteloom::pretokenize::{Pretokenizer, presets};
use byteloom::special::{Segment, SpecialTokens};

type Error = Box<dyn std::error::Error>;

const END_OF_TEXT: &str = "<|endoftext|>";
const RUNS: usize = 5;

/// Where a document's pretokens end.
type Ends = Vec<usize>;

fn main() -> Result<ExitCode, Error> {
    // Cargo itself passes options.
    let files: Vec<_> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if files.is_empty() {
        eprintln!("usage: cargo bench --bench splitting -- FILE...");
        return Ok(ExitCode::from(2));
    }
    let mut equal = true;
    for file in files {
        let text = std::fs::read(&file)?;
        println!("\n{file}, {:.1} MB\n", text.len() as f64 / 1e6);
        println!("| preset | pretokens | scanner MB/s | engine MB/s | ratio | |");
        println!("|---|---|---|---|---|---|");
        for preset in presets() {
            equal &= compare(preset, &text)?;
        }
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a row of the table, and says whether all pretokens are the same.
fn compare(preset: &str, text: &[u8]) -> Result<bool, Error> {
    let scanner = Pretokenizer::new(preset)?;
    let engine = Pattern::new(scanner.pattern())?;
    let monitor = Monitor::new();
    let special = SpecialTokens::new(&[END_OF_TEXT])?;
    let segments = special.split(text).filter_map(|segment| match segment {
        Segment::Text(text) => Some(text),
        Segment::Special(_) => None,
    });
    let documents: Vec<&[u8]> = segments.collect();

    let (mut seconds, mut total) = (Vec::new(), 0);
    for _ in 0..RUNS {
        let begin = Instant::now();
        total = 0;
        for document in &documents {
            scanner.for_each(document, &monitor, |pretoken| {
                black_box(pretoken);
                total += 1;
            })?;
        }
        seconds.push(begin.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let ours = seconds[RUNS / 2];

    let (mut theirs, mut different) = (0.0, 0);
    for document in &documents {
        let (mut found, mut expected) = (Ends::new(), Ends::new());
        let mut end = 0;
        scanner.for_each(document, &monitor, |pretoken| {
            end += pretoken.len();
            found.push(end);
        })?;
        let begin = Instant::now();
        let mut end = 0;
        engine.for_each(document, &monitor, |pretoken| {
            end += pretoken.len();
            expected.push(end);
        })?;
        theirs += begin.elapsed().as_secs_f64();
        different += usize::from(found != expected);
    }
    let megabytes = text.len() as f64 / 1e6;
    let verdict = match different {
        0 => format!("{} documents are equal", documents.len()),
        _ => format!("WRONG: {different} of {} documents differ", documents.len()),
    };
    println!(
        "| {preset} | {total} | {:.0} | {:.1} | {:.0} | {verdict} |",
        megabytes / ours,
        megabytes / theirs,
        theirs / ours
    );
    Ok(different == 0)
}
