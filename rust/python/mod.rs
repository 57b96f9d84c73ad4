//! Python's face of the core, module `byteloom._rust`: the only folder that names pyo3.
//!
//! Every call that computes releases the GIL. What each name promises is written in
//! `python/byteloom/_rust.pyi`.

mod convert;
mod counts;
mod tokenizer;
mod watch;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::Monitor;
use crate::pretokenize::simd::Simd;
use crate::pretokenize::{self, Pretokenizer};
use crate::special::{Segment, SpecialTokens};
use convert::Text;
use counts::PretokenCounts;
use tokenizer::Tokenizer;

#[pyfunction]
fn resolve_pattern(pattern: &str) -> PyResult<(Option<String>, String)> {
    let pretokenizer = Pretokenizer::new(pattern)?;
    Ok((pretokenizer.preset().map(str::to_owned), pretokenizer.pattern().to_owned()))
}

#[pyfunction(name = "pretokenize")]
#[pyo3(signature = (text, pattern, special_tokens = Vec::new()))]
fn pretokenize_text<'py>(
    py: Python<'py>,
    text: Text<'py>,
    pattern: &str,
    special_tokens: Vec<String>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let pretokenizer = Pretokenizer::new(pattern)?;
    let special = SpecialTokens::new(&special_tokens)?;
    let mut pieces = Vec::new();
    for segment in special.split(text.bytes()?) {
        match segment {
            Segment::Text(text) => {
                pretokenizer.for_each(text, &Monitor::new(), |piece| {
                    pieces.push(PyBytes::new(py, piece));
                })?;
            }
            Segment::Special(index) => pieces.push(PyBytes::new(py, &special.tokens()[index])),
        }
    }
    Ok(pieces)
}

#[pyfunction]
fn simd() -> &'static str {
    Simd::get().name()
}

/// The module `byteloom._rust`.
#[pymodule]
fn _rust(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PRESETS", pretokenize::presets().collect::<Vec<_>>())?;
    module.add_function(wrap_pyfunction!(resolve_pattern, module)?)?;
    module.add_function(wrap_pyfunction!(pretokenize_text, module)?)?;
    module.add_function(wrap_pyfunction!(simd, module)?)?;
    module.add_class::<PretokenCounts>()?;
    module.add_class::<Tokenizer>()
}
