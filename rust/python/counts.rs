//! `PretokenCounts`: counting and training.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::convert::{Text, special_to_str};
use super::tokenizer::Tokenizer;
use super::watch::watch;
use crate::count::{CountOptions, Counts, CountsFile, Pruned, add_files, count_files, count_texts};
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

    /// Other counts, of a text that was split as this one was.
    fn with(&self, counts: Counts) -> Self {
        let (pretokenizer, special) = (self.pretokenizer.clone(), self.special.clone());
        Self { pretokenizer, special, counts: Mutex::new(counts) }
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

    #[pyo3(signature = (inputs, num_threads = None, piece_size = None, progress = None, column = None, memory_limit = None, format = None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn count_files(
        &self,
        py: Python<'_>,
        inputs: Vec<PathBuf>,
        num_threads: Option<usize>,
        piece_size: Option<usize>,
        progress: Option<Bound<'_, PyAny>>,
        column: Option<String>,
        memory_limit: Option<usize>,
        format: Option<&str>,
    ) -> PyResult<()> {
        let default = CountOptions::default();
        let options = CountOptions {
            num_threads,
            piece_size: piece_size.unwrap_or(default.piece_size),
            column: column.unwrap_or(default.column),
            format: format.map(str::parse).transpose()?,
            memory_limit,
        };
        let fresh = watch(py, progress.as_ref(), |monitor| {
            count_files(&inputs, &self.pretokenizer, &self.special, &options, monitor)
        })?;
        py.detach(|| self.lock().absorb(fresh));
        Ok(())
    }

    #[pyo3(signature = (texts, num_threads = None))]
    fn count_texts(
        &self,
        py: Python<'_>,
        texts: Vec<Text<'_>>,
        num_threads: Option<usize>,
    ) -> PyResult<()> {
        let texts = texts.iter().map(Text::bytes).collect::<PyResult<Vec<_>>>()?;
        // Not into the counts themselves: when interrupted, they stay as they were.
        let fresh = watch(py, None, |monitor| {
            count_texts(&texts, &self.pretokenizer, &self.special, num_threads, monitor)
        })?;
        py.detach(|| self.lock().absorb(fresh));
        Ok(())
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
        with_bytes(py, py.detach(|| self.lock().most_common(n)))
    }

    fn at_least(&self, py: Python<'_>, count: u64) -> Self {
        let counts = py.detach(|| self.lock().filtered(|_, its| its >= count));
        self.with(counts)
    }

    fn top(&self, py: Python<'_>, n: usize) -> Self {
        let counts = py.detach(|| self.lock().top(n));
        self.with(counts)
    }

    fn filtered(&self, py: Python<'_>, keep: &Bound<'_, PyAny>) -> PyResult<Self> {
        // A copy: `keep` may look into these counts.
        let all = py.detach(|| self.lock().clone());
        let mut failure = None;
        let counts = all.filtered(|pretoken, count| {
            if failure.is_some() {
                return false;
            }
            let kept =
                keep.call1((PyBytes::new(py, pretoken), count)).and_then(|it| it.is_truthy());
            kept.unwrap_or_else(|error| {
                failure = Some(error);
                false
            })
        });
        failure.map_or_else(|| Ok(self.with(counts)), Err)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let pattern = self.pretokenizer.pattern();
        let special = self.special_strings();
        Ok(py.detach(|| self.lock().save(pattern, &special, &path))?)
    }

    #[staticmethod]
    #[pyo3(signature = (paths, memory_limit = None))]
    fn load(py: Python<'_>, paths: Vec<PathBuf>, memory_limit: Option<usize>) -> PyResult<Self> {
        let file = watch(py, None, |m| CountsFile::load_sum(&paths, memory_limit, m))?;
        Ok(Self {
            pretokenizer: Pretokenizer::new(&file.pattern)?,
            special: SpecialTokens::new(&file.special_tokens)?,
            counts: Mutex::new(file.counts),
        })
    }

    #[staticmethod]
    fn add_files(py: Python<'_>, inputs: Vec<PathBuf>, output: PathBuf) -> PyResult<(u64, u64)> {
        let sums = watch(py, None, |monitor| add_files(&inputs, &output, monitor))?;
        Ok((sums.pretokens, sums.occurrences))
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
            "ids" => TieBreak::Ids,
            other => {
                return Err(PyValueError::new_err(format!(
                    "tie_break is {other:?}; it must be \"bytes\", \"huggingface\" or \"ids\""
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
    fn memory(&self) -> usize {
        self.lock().memory()
    }

    /// Pretokens and occurrences left out for lack of memory, and the count that they are below.
    #[getter]
    fn pruned(&self) -> Option<(u64, u64, u64)> {
        let Pruned { pretokens, occurrences, below } = self.lock().pruned()?;
        Some((pretokens, occurrences, below))
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
