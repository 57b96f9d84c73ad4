//! `PretokenCounts`: counting and training.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::convert::{Text, special_to_str};
use super::tokenizer::Tokenizer;
use super::watch::watch;
use crate::count::{CountOptions, Counts, CountsFile, count_files, count_text};
use crate::encode::Encoder;
use crate::pretokenize::Pretokenizer;
use crate::special::SpecialTokens;
use crate::train::{TieBreak, TrainOptions, train};

/// The pattern, special tokens and counts of a text.
#[pyclass(module = "byteloom._rust", frozen)]
pub struct PretokenCounts {
    pretokenizer: Pretokenizer,
    special: SpecialTokens,
    counts: Mutex<Counts>,
}

impl PretokenCounts {
    pub fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn special_strings(&self) -> Vec<String> {
        self.special.tokens().iter().map(|token| special_to_str(token)).collect()
    }
}

#[pymethods]
impl PretokenCounts {
    #[new]
    fn new(special_tokens: Vec<String>, pattern: &str) -> PyResult<Self> {
        Ok(Self {
            pretokenizer: Pretokenizer::new(pattern)?,
            special: SpecialTokens::new(&special_tokens)?,
            counts: Mutex::new(Counts::new()),
        })
    }

    #[pyo3(signature = (inputs, num_threads = None, piece_size = None, progress = None, column = None))]
    fn count_files(
        &self,
        py: Python<'_>,
        inputs: Vec<PathBuf>,
        num_threads: Option<usize>,
        piece_size: Option<usize>,
        progress: Option<Bound<'_, PyAny>>,
        column: Option<String>,
    ) -> PyResult<()> {
        let default = CountOptions::default();
        let options = CountOptions {
            num_threads,
            piece_size: piece_size.unwrap_or(default.piece_size),
            column: column.unwrap_or(default.column),
        };
        let fresh = watch(py, progress.as_ref(), |monitor| {
            count_files(&inputs, &self.pretokenizer, &self.special, &options, monitor)
        })?;
        py.detach(|| self.lock().merge(&fresh));
        Ok(())
    }

    fn count_texts(&self, py: Python<'_>, texts: Vec<Text<'_>>) -> PyResult<()> {
        let texts = texts.iter().map(Text::bytes).collect::<PyResult<Vec<_>>>()?;
        watch(py, None, |monitor| {
            // Not into the counts themselves: when interrupted, they stay as they were.
            let mut fresh = Counts::new();
            for text in texts {
                count_text(text, &self.pretokenizer, &self.special, &mut fresh, monitor)?;
            }
            self.lock().merge(&fresh);
            Ok(())
        })
    }

    fn add(&self, pretoken: &[u8], count: u64) {
        self.lock().add(pretoken, count);
    }

    fn merge(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<()> {
        let other = other.get();
        if self.pretokenizer.pattern() != other.pretokenizer.pattern() {
            return Err(PyValueError::new_err(format!(
                "counts of different patterns cannot be added: {:?} and {:?}",
                self.pretokenizer.pattern(),
                other.pretokenizer.pattern()
            )));
        }
        if self.special.tokens() != other.special.tokens() {
            return Err(PyValueError::new_err(format!(
                "counts of different special tokens cannot be added: {:?} and {:?}",
                self.special_strings(),
                other.special_strings()
            )));
        }
        // A copy: `other` may be `self`.
        py.detach(|| {
            let other = other.lock().clone();
            self.lock().merge(&other);
        });
        Ok(())
    }

    fn get(&self, pretoken: &[u8]) -> u64 {
        self.lock().get(pretoken)
    }

    fn items<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, u64)> {
        with_bytes(py, py.detach(|| self.lock().sorted()))
    }

    fn most_common<'py>(&self, py: Python<'py>, n: usize) -> Vec<(Bound<'py, PyBytes>, u64)> {
        let top = py.detach(|| {
            let mut all = self.lock().sorted();
            // Stable: equal counts stay in the order of their bytes.
            all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            all.truncate(n);
            all
        });
        with_bytes(py, top)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let file = CountsFile {
            pattern: self.pretokenizer.pattern().to_owned(),
            special_tokens: self.special_strings(),
            counts: py.detach(|| self.lock().clone()),
        };
        Ok(py.detach(|| file.save(&path))?)
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let file = py.detach(|| CountsFile::load(&path))?;
        Ok(Self {
            pretokenizer: Pretokenizer::new(&file.pattern)?,
            special: SpecialTokens::new(&file.special_tokens)?,
            counts: Mutex::new(file.counts),
        })
    }

    #[pyo3(signature = (vocab_size, special_tokens, tie_break, min_frequency = 1, progress = None))]
    fn train(
        &self,
        py: Python<'_>,
        vocab_size: i64,
        special_tokens: Vec<String>,
        tie_break: &str,
        min_frequency: u64,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Tokenizer> {
        let tie_break = match tie_break {
            "bytes" => TieBreak::Bytes,
            "huggingface" => TieBreak::HuggingFace,
            other => {
                return Err(PyValueError::new_err(format!(
                    "tie_break is {other:?}; it must be \"bytes\" or \"huggingface\""
                )));
            }
        };
        let options = TrainOptions {
            // A negative size is too small, as 0 is.
            vocab_size: usize::try_from(vocab_size).unwrap_or(0),
            special_tokens: special_tokens.into_iter().map(String::into_bytes).collect(),
            tie_break,
            min_frequency,
        };
        let encoder = watch(py, progress.as_ref(), |monitor| {
            let vocabulary = train(&self.lock(), &options, monitor)?;
            Encoder::new(vocabulary, self.pretokenizer.clone())
        })?;
        Ok(Tokenizer::new_from(encoder))
    }

    fn __len__(&self) -> usize {
        self.lock().len()
    }

    #[getter]
    fn total(&self) -> u64 {
        self.lock().total()
    }

    #[getter]
    fn total_bytes(&self) -> u64 {
        self.lock().total_bytes()
    }

    #[getter]
    fn pattern(&self) -> &str {
        self.pretokenizer.pattern()
    }

    #[getter]
    fn special_tokens(&self) -> Vec<String> {
        self.special_strings()
    }
}

fn with_bytes(py: Python<'_>, items: Vec<(Vec<u8>, u64)>) -> Vec<(Bound<'_, PyBytes>, u64)> {
    items.into_iter().map(|(bytes, count)| (PyBytes::new(py, &bytes), count)).collect()
}
