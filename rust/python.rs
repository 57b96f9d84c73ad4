//! The only file that names pyo3: Python's face of the core, module `byteloom._rust`.
//!
//! Every call that computes releases the GIL. Long ones run on a thread of their own while the
//! calling thread waits, shows progress, and listens for Ctrl-C ([`watch`]).
//! What each name promises is written in `python/byteloom/_rust.pyi`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::exceptions::{
    PyKeyboardInterrupt, PyOSError, PyOverflowError, PyRuntimeError, PyTypeError,
    PyUnicodeEncodeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::count::{CountOptions, Counts, CountsFile, count_files, count_text};
use crate::encode::{AllowedSpecial, Dtype, EncodeOptions, Encoder, TokenId};
use crate::pretokenize::{self, Pretokenizer};
use crate::special::{Segment, SpecialTokens};
use crate::train::{TieBreak, TrainOptions, train};
use crate::vocab::Vocabulary;
use crate::{Error, ErrorKind, Monitor, Result, chunk, files, threads};

/// How often a waiting call looks for Ctrl-C and reports progress.
const TICK: Duration = Duration::from_millis(100);

/// Texts from this size on are encoded by a watched thread, so that Ctrl-C can stop them.
const LONG_TEXT: usize = 1 << 22;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match (error.kind(), error.os_error()) {
            (ErrorKind::Cancelled, _) => PyKeyboardInterrupt::new_err(()),
            // OSError(number, message) becomes FileNotFoundError and its kin by itself.
            (ErrorKind::Io(_), Some(number)) => PyOSError::new_err((number, message)),
            (ErrorKind::Io(_), None) => PyOSError::new_err(message),
            (ErrorKind::Invalid, _) => PyValueError::new_err(message),
        }
    }
}

/// Runs `job` without the GIL on a thread of its own; meanwhile shows progress and hears Ctrl-C.
fn watch<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    job: impl FnOnce(&Monitor) -> Result<T> + Send,
) -> PyResult<T> {
    let progress = progress.map(|callback| callback.clone().unbind());
    let monitor = Monitor::new();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let monitor = &monitor;
            scope.spawn(move || {
                // The receiver waits for this very message: sending cannot fail.
                let _ = sender.send(job(monitor));
            });
            let mut stopped: Option<PyErr> = None;
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(result) => {
                        if let Some(error) = stopped {
                            return Err(error);
                        }
                        let value = result?;
                        Python::attach(|py| report(py, progress.as_ref(), monitor))?;
                        return Ok(value);
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(PyRuntimeError::new_err(
                            "the engine stopped; this is a bug in byteloom",
                        ));
                    }
                    Err(RecvTimeoutError::Timeout) if stopped.is_none() => {
                        stopped = Python::attach(|py| {
                            py.check_signals()
                                .and_then(|()| report(py, progress.as_ref(), monitor))
                                .err()
                        });
                        if stopped.is_some() {
                            monitor.cancel();
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    })
}

/// Calls the progress callback, if there is one and there is something to say.
fn report(py: Python<'_>, progress: Option<&Py<PyAny>>, monitor: &Monitor) -> PyResult<()> {
    let (done, total) = monitor.progress();
    match progress {
        Some(callback) if total > 0 => callback.call1(py, (done, total)).map(drop),
        _ => Ok(()),
    }
}

/// A `str` or `bytes` argument, borrowed; a `str` with lone surrogates is copied without them.
enum Text<'py> {
    Str(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Text<'py> {
    type Error = PyErr;
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            let text = text.to_owned();
            return match text.to_str() {
                Ok(_) => Ok(Self::Str(text)),
                Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(object.py()) => {
                    // As tiktoken does: pairs of surrogates join, lone ones become U+FFFD.
                    let wide = text.call_method1("encode", ("utf-16", "surrogatepass"))?;
                    let clean = wide.call_method1("decode", ("utf-16", "replace"))?;
                    Ok(Self::Str(clean.cast_into::<PyString>()?))
                }
                Err(error) => Err(error),
            };
        }
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes.to_owned())),
            Err(_) => Err(PyTypeError::new_err(format!(
                "text must be str or bytes, not {}",
                object.get_type().name()?
            ))),
        }
    }
}

impl Text<'_> {
    fn bytes(&self) -> PyResult<&[u8]> {
        match self {
            Self::Str(text) => Ok(text.to_str()?.as_bytes()),
            Self::Bytes(bytes) => Ok(bytes.as_bytes()),
        }
    }
}

/// What Python may give as token ids: an integer array of any type, or any sequence of integers.
fn extract_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    macro_rules! array {
        ($($type:ty),*) => {$(
            if let Ok(array) = ids.extract::<PyReadonlyArray1<'_, $type>>() {
                return array
                    .as_array()
                    .iter()
                    .enumerate()
                    .map(|(at, &id)| u32::try_from(id).map_err(|_| no_id(at, id)))
                    .collect();
            }
        )*};
    }
    array!(u16, u32, i64, i32, u64);
    let mut out = Vec::with_capacity(ids.len().unwrap_or(0));
    for (at, id) in ids.try_iter()?.enumerate() {
        let id = id?;
        out.push(id.extract::<u32>().map_err(|error| {
            if error.is_instance_of::<PyOverflowError>(id.py()) { no_id(at, &id) } else { error }
        })?);
    }
    Ok(out)
}

fn no_id(at: usize, id: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!(
        "id {id} at position {at} is no token id: it must be 0 .. 2**32 - 1"
    ))
}

/// Special tokens came in as `str` and are kept as bytes: this is the way back.
fn special_to_str(token: &[u8]) -> String {
    String::from_utf8_lossy(token).into_owned()
}

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
                    pieces.push(PyBytes::new(py, piece))
                })?;
            }
            Segment::Special(index) => pieces.push(PyBytes::new(py, &special.tokens()[index])),
        }
    }
    Ok(pieces)
}

/// The pattern, special tokens and counts of a text.
#[pyclass(module = "byteloom._rust", frozen)]
struct PretokenCounts {
    pretokenizer: Pretokenizer,
    special: SpecialTokens,
    counts: Mutex<Counts>,
}

impl PretokenCounts {
    fn lock(&self) -> MutexGuard<'_, Counts> {
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

    #[pyo3(signature = (inputs, num_threads = None, piece_size = None, progress = None))]
    fn count_files(
        &self,
        py: Python<'_>,
        inputs: Vec<PathBuf>,
        num_threads: Option<usize>,
        piece_size: Option<usize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let piece_size = piece_size.unwrap_or(chunk::DEFAULT_PIECE_SIZE);
        let options = CountOptions { num_threads, piece_size };
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
        Ok(Tokenizer { encoder })
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

/// A vocabulary and a pattern, ready to encode and decode.
#[pyclass(module = "byteloom._rust", frozen)]
struct Tokenizer {
    encoder: Encoder,
}

impl Tokenizer {
    fn with_pattern(vocabulary: Vocabulary, pattern: &str) -> PyResult<Self> {
        Ok(Self { encoder: Encoder::new(vocabulary, Pretokenizer::new(pattern)?)? })
    }

    fn from_loaded(loaded: files::Loaded, pattern: Option<&str>) -> PyResult<Self> {
        let pattern = pattern.or(loaded.pattern.as_deref()).unwrap_or("gpt2").to_owned();
        Self::with_pattern(loaded.vocabulary, &pattern)
    }

    fn vocabulary(&self) -> &Vocabulary {
        self.encoder.vocabulary()
    }

    fn allowed(&self, tokens: Option<Vec<String>>) -> Result<AllowedSpecial> {
        tokens.map_or(Ok(AllowedSpecial::All), |tokens| self.encoder.allow(&tokens))
    }

    /// The ids of a text, in the type asked for.
    fn ids<T: TokenId>(
        &self,
        py: Python<'_>,
        text: &Text<'_>,
        allowed: &AllowedSpecial,
    ) -> PyResult<Vec<T>> {
        let text = text.bytes()?;
        let encode = |monitor: &Monitor| {
            let mut ids = Vec::new();
            self.encoder.encode(text, allowed, monitor, &mut ids)?;
            Ok(ids)
        };
        if text.len() < LONG_TEXT {
            return Ok(py.detach(|| encode(&Monitor::new()))?);
        }
        watch(py, None, encode)
    }

    fn is_wide(&self) -> bool {
        self.vocabulary().len() as u64 > u16::LIMIT
    }

    fn batch<T: TokenId>(
        &self,
        texts: &[&[u8]],
        allowed: &AllowedSpecial,
        threads: usize,
        monitor: &Monitor,
    ) -> Result<Vec<Vec<T>>> {
        let next = AtomicUsize::new(0);
        let parts = threads::run(threads.min(texts.len()).max(1), |failed| {
            let mut done = Vec::new();
            while !failed()
                && let index = next.fetch_add(1, Relaxed)
                && let Some(text) = texts.get(index)
            {
                let mut ids = Vec::new();
                self.encoder.encode(text, allowed, monitor, &mut ids)?;
                done.push((index, ids));
            }
            Ok(done)
        })?;
        let mut all: Vec<(usize, Vec<T>)> = parts.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, ids)| ids).collect())
    }
}

#[pymethods]
impl Tokenizer {
    #[new]
    fn new(
        vocab: Vec<(i64, Vec<u8>)>,
        merges: Vec<(Vec<u8>, Vec<u8>)>,
        special_tokens: Vec<String>,
        pattern: &str,
    ) -> PyResult<Self> {
        let id = |id: i64| {
            u32::try_from(id).map_err(|_| {
                PyValueError::new_err(format!("id {id} in the vocabulary: ids are 0 .. n-1"))
            })
        };
        let tokens =
            vocab.into_iter().map(|(i, token)| Ok((id(i)?, token))).collect::<PyResult<_>>()?;
        let special: Vec<_> = special_tokens.into_iter().map(String::into_bytes).collect();
        Self::with_pattern(Vocabulary::new(tokens, merges, &special)?, pattern)
    }

    #[staticmethod]
    #[pyo3(signature = (path, pattern = None))]
    fn load(py: Python<'_>, path: PathBuf, pattern: Option<&str>) -> PyResult<Self> {
        Self::from_loaded(py.detach(|| files::load(&path))?, pattern)
    }

    #[staticmethod]
    fn from_vocab_merges(
        vocab_path: PathBuf,
        merges_path: PathBuf,
        special_tokens: Vec<String>,
        pattern: &str,
    ) -> PyResult<Self> {
        let special: Vec<_> = special_tokens.into_iter().map(String::into_bytes).collect();
        let vocabulary = files::gpt2::load(&vocab_path, &merges_path, Some(&special))?;
        Self::with_pattern(vocabulary, pattern)
    }

    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        Self::from_loaded(files::huggingface::parse(text, "tokenizer.json")?, None)
    }

    #[staticmethod]
    fn from_ranks(
        ranks: Vec<(Vec<u8>, u32)>,
        special_tokens: Vec<(String, u32)>,
        pattern: &str,
    ) -> PyResult<Self> {
        let special = special_tokens.into_iter().map(|(token, id)| (token.into_bytes(), id));
        Self::with_pattern(Vocabulary::from_ranks(ranks, special.collect())?, pattern)
    }

    fn to_json(&self) -> PyResult<String> {
        Ok(files::huggingface::to_json(self.vocabulary(), self.encoder.pretokenizer())?)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let pretokenizer = self.encoder.pretokenizer();
        Ok(py.detach(|| files::huggingface::save(self.vocabulary(), pretokenizer, &path))?)
    }

    fn save_vocab_merges(&self, vocab_path: PathBuf, merges_path: PathBuf) -> PyResult<()> {
        Ok(files::gpt2::save(self.vocabulary(), &vocab_path, &merges_path)?)
    }

    fn save_tiktoken(&self, path: PathBuf) -> PyResult<()> {
        Ok(files::tiktoken::save(self.vocabulary(), &path)?)
    }

    #[getter]
    fn vocab<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let vocab = PyDict::new(py);
        for (id, token) in self.vocabulary().tokens().iter().enumerate() {
            vocab.set_item(id, PyBytes::new(py, token))?;
        }
        Ok(vocab)
    }

    #[getter]
    fn merges<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let bytes = |token: &[u8]| PyBytes::new(py, token);
        self.vocabulary().merges().iter().map(|(a, b)| (bytes(a), bytes(b))).collect()
    }

    #[getter]
    fn special_tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let special = PyDict::new(py);
        for (token, id) in self.vocabulary().special_tokens() {
            special.set_item(special_to_str(token), id)?;
        }
        Ok(special)
    }

    #[getter]
    fn pattern(&self) -> &str {
        self.encoder.pretokenizer().pattern()
    }

    #[getter]
    fn preset(&self) -> Option<&str> {
        self.encoder.pretokenizer().preset()
    }

    #[getter]
    fn vocab_size(&self) -> usize {
        self.vocabulary().len()
    }

    #[pyo3(signature = (text, allowed_special = None))]
    fn encode(
        &self,
        py: Python<'_>,
        text: Text<'_>,
        allowed_special: Option<Vec<String>>,
    ) -> PyResult<Vec<u32>> {
        self.ids(py, &text, &self.allowed(allowed_special)?)
    }

    #[pyo3(signature = (text, allowed_special = None))]
    fn encode_array<'py>(
        &self,
        py: Python<'py>,
        text: Text<'py>,
        allowed_special: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let allowed = self.allowed(allowed_special)?;
        Ok(if self.is_wide() {
            self.ids::<u32>(py, &text, &allowed)?.into_pyarray(py).into_any()
        } else {
            self.ids::<u16>(py, &text, &allowed)?.into_pyarray(py).into_any()
        })
    }

    #[pyo3(signature = (texts, allowed_special = None, num_threads = None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<Text<'py>>,
        allowed_special: Option<Vec<String>>,
        num_threads: Option<usize>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let allowed = self.allowed(allowed_special)?;
        let threads = threads::resolve(num_threads)?;
        let texts = texts.iter().map(Text::bytes).collect::<PyResult<Vec<_>>>()?;
        Ok(if self.is_wide() {
            let ids = watch(py, None, |m| self.batch::<u32>(&texts, &allowed, threads, m))?;
            ids.into_iter().map(|ids| ids.into_pyarray(py).into_any()).collect()
        } else {
            let ids = watch(py, None, |m| self.batch::<u16>(&texts, &allowed, threads, m))?;
            ids.into_iter().map(|ids| ids.into_pyarray(py).into_any()).collect()
        })
    }

    #[pyo3(signature = (inputs, output, dtype = "auto", num_threads = None, piece_size = None, progress = None))]
    fn encode_files(
        &self,
        py: Python<'_>,
        inputs: Vec<PathBuf>,
        output: PathBuf,
        dtype: &str,
        num_threads: Option<usize>,
        piece_size: Option<usize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<(u64, u64, &'static str)> {
        let dtype = match dtype {
            "auto" => Dtype::Auto,
            "uint16" => Dtype::U16,
            "uint32" => Dtype::U32,
            other => {
                return Err(PyValueError::new_err(format!(
                    "dtype is {other:?}; it must be \"auto\", \"uint16\" or \"uint32\""
                )));
            }
        };
        let piece_size = piece_size.unwrap_or(chunk::DEFAULT_PIECE_SIZE);
        let options = EncodeOptions { dtype, num_threads, piece_size };
        let stats = watch(py, progress.as_ref(), |monitor| {
            self.encoder.encode_files(&inputs, &output, &options, monitor)
        })?;
        let dtype = if stats.dtype == Dtype::U16 { "uint16" } else { "uint32" };
        Ok((stats.tokens, stats.bytes, dtype))
    }

    fn count_tokens(&self, py: Python<'_>, counts: &Bound<'_, PretokenCounts>) -> PyResult<u64> {
        let counts = counts.get();
        watch(py, None, |monitor| self.encoder.count_tokens(&counts.lock(), monitor))
    }

    fn decode_bytes<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let ids = extract_ids(ids)?;
        let bytes = py.detach(|| {
            let mut bytes = Vec::new();
            self.encoder.decode(&ids, &mut bytes).map(|()| bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }
}

/// The module `byteloom._rust`.
#[pymodule]
fn _rust(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PRESETS", pretokenize::presets().collect::<Vec<_>>())?;
    module.add_function(wrap_pyfunction!(resolve_pattern, module)?)?;
    module.add_function(wrap_pyfunction!(pretokenize_text, module)?)?;
    module.add_class::<PretokenCounts>()?;
    module.add_class::<Tokenizer>()
}
