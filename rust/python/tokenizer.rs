//! `Tokenizer`: encoding and decoding, and the files and tables of tokenizers.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use numpy::{IntoPyArray, ToPyArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList};

use super::convert::{Text, extract_ids, special_to_str};
use super::counts::PretokenCounts;
use super::watch::watch;
use crate::encode::{
    AllowedSpecial, Dtype, EncodeOptions, Encoded, Encoder, ShardOptions, TokenId,
};
use crate::pretokenize::Pretokenizer;
use crate::vocab::{Merge, Vocabulary};
use crate::{Monitor, Result, files, threads};

/// Texts from this size on are encoded by a watched thread, so that Ctrl-C can stop them.
const LONG_TEXT: usize = 1 << 22;

/// A vocabulary and a pattern, ready to encode and decode.
#[pyclass(module = "byteloom._rust", frozen)]
pub struct Tokenizer {
    encoder: Encoder,
    /// Watches short calls, which nobody stops.
    idle: Monitor,
    /// Made for the first list.
    integers: PyOnceLock<Box<[Py<PyInt>]>>,
}

impl Tokenizer {
    pub fn new_from(encoder: Encoder) -> Self {
        Self { encoder, idle: Monitor::new(), integers: PyOnceLock::new() }
    }

    fn with_pattern(vocabulary: Vocabulary, pattern: &str) -> PyResult<Self> {
        Ok(Self::new_from(Encoder::new(vocabulary, Pretokenizer::new(pattern)?)?))
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
    ) -> PyResult<Encoded<'_, T>> {
        let text = text.bytes()?;
        if text.len() < LONG_TEXT {
            return Ok(py.detach(|| self.encoder.encode(text, allowed, &self.idle))?);
        }
        watch(py, None, |monitor| self.encoder.encode(text, allowed, monitor))
    }

    /// The ids as Python's integers, of which there is one for each token.
    fn list<'py, T: TokenId>(&self, py: Python<'py>, ids: &[T]) -> PyResult<Bound<'py, PyList>> {
        let integers = self.integers.get_or_init(py, || {
            let size = self.vocabulary().len() as u32;
            (0..size).map(|id| PyInt::new(py, id).unbind()).collect()
        });
        PyList::new(py, ids.iter().map(|id| &integers[id.id() as usize]))
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
                let ids = self.encoder.encode(text, allowed, monitor)?;
                done.push((index, ids.to_vec()));
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
        merges: Vec<Merge>,
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
    #[pyo3(signature = (path, special_tokens = Vec::new(), pattern = None))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        special_tokens: Vec<(String, u32)>,
        pattern: Option<&str>,
    ) -> PyResult<Self> {
        let special: Vec<_> =
            special_tokens.into_iter().map(|(token, id)| (token.into_bytes(), id)).collect();
        Self::from_loaded(py.detach(|| files::load(&path, &special))?, pattern)
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

    fn ranks<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyBytes>, u32)>> {
        let ranks = files::tiktoken::ranks(self.vocabulary())?;
        Ok(ranks.into_iter().map(|(token, rank)| (PyBytes::new(py, &token), rank)).collect())
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
    fn encode<'py>(
        &self,
        py: Python<'py>,
        text: Text<'py>,
        allowed_special: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let allowed = self.allowed(allowed_special)?;
        if self.encoder.is_wide() {
            self.list(py, &self.ids::<u32>(py, &text, &allowed)?)
        } else {
            self.list(py, &self.ids::<u16>(py, &text, &allowed)?)
        }
    }

    #[pyo3(signature = (text, allowed_special = None))]
    fn encode_array<'py>(
        &self,
        py: Python<'py>,
        text: Text<'py>,
        allowed_special: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let allowed = self.allowed(allowed_special)?;
        Ok(if self.encoder.is_wide() {
            self.ids::<u32>(py, &text, &allowed)?.to_pyarray(py).into_any()
        } else {
            self.ids::<u16>(py, &text, &allowed)?.to_pyarray(py).into_any()
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
        Ok(if self.encoder.is_wide() {
            let ids = watch(py, None, |m| self.batch::<u32>(&texts, &allowed, threads, m))?;
            ids.into_iter().map(|ids| ids.into_pyarray(py).into_any()).collect()
        } else {
            let ids = watch(py, None, |m| self.batch::<u16>(&texts, &allowed, threads, m))?;
            ids.into_iter().map(|ids| ids.into_pyarray(py).into_any()).collect()
        })
    }

    #[pyo3(signature = (inputs, output, *, progress = None, **options))]
    fn encode_files(
        &self,
        py: Python<'_>,
        inputs: Vec<PathBuf>,
        output: PathBuf,
        progress: Option<Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(u64, u64, &'static str, Option<u64>)> {
        let options = encode_options(options)?;
        let stats = watch(py, progress.as_ref(), |monitor| {
            self.encoder.encode_files(&inputs, &output, &options, monitor)
        })?;
        Ok((stats.tokens, stats.bytes, stats.dtype.name(), stats.documents))
    }

    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    #[pyo3(signature = (
        inputs, folder, shard_tokens, fingerprint, *, overwrite = false, progress = None, **options
    ))]
    fn encode_shards(
        &self,
        py: Python<'_>,
        inputs: Vec<PathBuf>,
        folder: PathBuf,
        shard_tokens: u64,
        fingerprint: String,
        overwrite: bool,
        progress: Option<Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(u64, u64, &'static str, u64, u64, u64)> {
        let options = encode_options(options)?;
        let shards = ShardOptions { tokens: shard_tokens, tokenizer: fingerprint, overwrite };
        let stats = watch(py, progress.as_ref(), |monitor| {
            self.encoder.encode_shards(&inputs, &folder, &shards, &options, monitor)
        })?;
        let dtype = stats.dtype.name();
        Ok((stats.tokens, stats.bytes, dtype, stats.documents, stats.shards, stats.kept))
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

/// The options that encoding files and shards have in common, by name.
fn encode_options(given: Option<&Bound<'_, PyDict>>) -> PyResult<EncodeOptions> {
    let mut options = EncodeOptions::default();
    for (name, value) in given.into_iter().flatten() {
        match name.extract::<&str>()? {
            "dtype" => options.dtype = dtype_named(value.extract()?)?,
            "num_threads" => options.num_threads = value.extract()?,
            "piece_size" => {
                options.piece_size = value.extract::<Option<_>>()?.unwrap_or(options.piece_size);
            }
            "column" => options.column = value.extract()?,
            "format" => {
                let format = value.extract::<Option<String>>()?;
                options.format = format.map(|format| format.parse()).transpose()?;
            }
            "separator" => options.separator = token(&value)?,
            "documents" => options.documents = value.extract()?,
            "document_end" => options.document_end = token(&value)?,
            other => return Err(PyTypeError::new_err(format!("no option {other:?}"))),
        }
    }
    Ok(options)
}

fn token(value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    Ok(value.extract::<Option<String>>()?.map(String::into_bytes))
}

fn dtype_named(name: &str) -> PyResult<Dtype> {
    let mut all = [Dtype::Auto, Dtype::U16, Dtype::U32].into_iter();
    all.find(|dtype| dtype.name() == name).ok_or_else(|| {
        PyValueError::new_err(format!(
            "dtype is {name:?}; it must be \"auto\", \"uint16\" or \"uint32\""
        ))
    })
}
