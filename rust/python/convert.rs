//! What Python hands over, as the core takes it.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// A `str` or `bytes` argument, borrowed; a `str` with lone surrogates is copied without them.
pub enum Text<'py> {
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
    pub fn bytes(&self) -> PyResult<&[u8]> {
        match self {
            Self::Str(text) => Ok(text.to_str()?.as_bytes()),
            Self::Bytes(bytes) => Ok(bytes.as_bytes()),
        }
    }
}

/// What Python may give as token ids: an integer array of any type, or any sequence of integers.
pub fn extract_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
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
pub fn special_to_str(token: &[u8]) -> String {
    String::from_utf8_lossy(token).into_owned()
}
