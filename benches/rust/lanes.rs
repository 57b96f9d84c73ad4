#![allow(clippy::all, missing_docs)]
use std::path::{Path, PathBuf};
use std::time::Instant;
use byteloom::{Monitor, files};
use byteloom::count::{CountOptions, count_files};
use byteloom::pretokenize::Pretokenizer;
use byteloom::special::SpecialTokens;
use byteloom::encode::lane::Lanes;
use byteloom::encode::table::MergeTable;
fn main() {
    let a: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let loaded = files::load(Path::new(&a[1]), &[]).unwrap();
    let table = MergeTable::new(&loaded.vocabulary);
    let special = SpecialTokens::new(&["<|endoftext|>"]).unwrap();
    let counts = count_files(&[PathBuf::from(&a[0])], &Pretokenizer::new("gpt2").unwrap(), &special, &CountOptions{num_threads: Some(1), ..Default::default()}, &Monitor::new()).unwrap();
    for (lo, hi) in [(1, 15), (16, 32)] {
        let mut words: Vec<Vec<u8>> = Vec::new();
        counts.for_each(|w, _| if w.len() >= lo && w.len() <= hi { words.push(w.to_vec()) });
        let flat: Vec<u8> = words.concat();
        let mut at = 0;
        let spans: Vec<(usize,usize)> = words.iter().map(|w| { let s = at; at += w.len(); (s, at) }).collect();
        let mut lanes = Lanes::default();
        for (name, n) in [("all", spans.len()), ("few", 1000.min(spans.len()))] {
            let mut best = f64::MAX; let mut ids = 0usize; let mut bytes = 0;
            for _ in 0..5 {
                let reps = spans.len() / n;
                let t = Instant::now(); ids = 0;
                for _ in 0..reps { lanes.merge(&table, spans[..n].iter().enumerate().map(|(i, &(s, e))| (i, &flat[s..e])), |_, x| ids += x.len()); }
                best = best.min(t.elapsed().as_secs_f64() / reps as f64); ids /= reps; bytes = spans[n-1].1;
            }
            println!("{lo}-{hi} {name}: {n} words, {:.0} ns a word, {} merges, {:.1} ns a merge", best * 1e9 / n as f64, bytes - ids, best * 1e9 / (bytes - ids) as f64);
        }
    }
}
