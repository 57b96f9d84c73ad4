//! What a folder of shards says about itself: `manifest.json` when it is complete, before that
//! `progress.json`, from which an interrupted run goes on.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value, json};

use super::documents::Point;
use crate::atomic::write_atomic;
use crate::piece::Place;
use crate::{Error, Result};

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const PROGRESS: &str = "progress.json";

/// Of both files. A reader refuses a later one.
const VERSION: u64 = 1;

/// A finished shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub file: String,
    pub tokens: u64,
    /// Documents, or parts of them.
    pub documents: u64,
    /// Whether the first of those began in the shard before.
    pub continues: bool,
    /// Of the file.
    pub crc32: u32,
}

impl Shard {
    fn to_json(&self) -> Value {
        json!({
            "file": self.file,
            "tokens": self.tokens,
            "documents": self.documents,
            "continues": self.continues,
            "crc32": format!("{:08x}", self.crc32),
        })
    }

    fn from_json(json: &Value) -> Option<Self> {
        Some(Self {
            file: json["file"].as_str()?.to_owned(),
            tokens: json["tokens"].as_u64()?,
            documents: json["documents"].as_u64()?,
            continues: json["continues"].as_bool()?,
            crc32: u32::from_str_radix(json["crc32"].as_str()?, 16).ok()?,
        })
    }
}

/// How many ids and documents some shards hold.
pub(super) fn totals(shards: &[Shard]) -> (u64, u64) {
    let tokens = shards.iter().map(|shard| shard.tokens).sum();
    let documents = shards.iter().map(|shard| shard.documents - u64::from(shard.continues)).sum();
    (tokens, documents)
}

/// All that decides what is in the shards.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    /// Which tokenizer, what type of ids.
    pub tokenizer: String,
    pub dtype: &'static str,
    pub options: Value,
    /// With their sizes, and when they were last modified.
    pub inputs: Vec<Value>,
}

/// What is known of an input without reading it: nothing of one that is no regular file.
pub(super) fn describe_input(path: &Path) -> Value {
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file);
    let metadata = metadata.filter(|_| path != Path::new("-"));
    let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    json!({
        "path": path.to_string_lossy(),
        "bytes": metadata.as_ref().map(std::fs::Metadata::len),
        "modified": modified.map(|time| format!("{}.{:09}", time.as_secs(), time.subsec_nanos())),
    })
}

impl Job {
    fn to_json(&self) -> Map<String, Value> {
        let mut json = Map::new();
        json.insert("version".into(), VERSION.into());
        json.insert("tokenizer".into(), self.tokenizer.as_str().into());
        json.insert("dtype".into(), self.dtype.into());
        json.insert("options".into(), self.options.clone());
        json.insert("inputs".into(), self.inputs.clone().into());
        json
    }

    /// What was other about the job that is written down; `None` if it is the same.
    fn difference(&self, json: &Value) -> Option<String> {
        let its = self.to_json();
        for (key, difference) in [
            ("tokenizer", "another tokenizer".to_owned()),
            ("dtype", format!("ids of {}", json["dtype"])),
            ("options", format!("other options, {},", json["options"])),
        ] {
            if its[key] != json[key] {
                return Some(difference);
            }
        }
        let before = json["inputs"].as_array().map_or(&[][..], Vec::as_slice);
        if before.len() != self.inputs.len() {
            return Some(format!("{} inputs, not {},", before.len(), self.inputs.len()));
        }
        let (now, before) = self.inputs.iter().zip(before).find(|(now, before)| now != before)?;
        Some(if now["path"] == before["path"] {
            format!("another version of {}", now["path"])
        } else {
            format!("{} where {} is now", before["path"], now["path"])
        })
    }
}

/// Writes what is finished, and where the next shard begins.
pub(super) fn write_progress(
    folder: &Path,
    job: &Job,
    shards: &[Shard],
    next: Point,
) -> Result<()> {
    let mut json = job.to_json();
    json.insert("shards".into(), shards.iter().map(Shard::to_json).collect());
    let next = json!({
        "input": next.place.input,
        "offset": next.place.offset,
        "ids": next.ids,
        "ends": next.ends,
        "bytes": next.bytes,
        "in_document": next.in_document,
        "after_token": next.after_token,
    });
    json.insert("next".into(), next);
    write(&folder.join(PROGRESS), json)
}

/// What an interrupted run of the same job has finished, and where it is to go on.
///
/// # Errors
/// The file is damaged; or it was another job, and a shard is finished.
pub(super) fn read_progress(folder: &Path, job: &Job) -> Result<Option<(Vec<Shard>, Point)>> {
    let path = folder.join(PROGRESS);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(&path, "cannot read", &error)),
    };
    let json: Value = serde_json::from_slice(&text).map_err(|_| damaged(&path))?;
    if json["version"].as_u64().is_some_and(|version| version > VERSION) {
        return Err(Error::invalid(format!("{}: of a later version of byteloom", path.display())));
    }
    let shards = json["shards"].as_array().ok_or_else(|| damaged(&path))?;
    let shards: Option<Vec<_>> = shards.iter().map(Shard::from_json).collect();
    let (Some(shards), Some(next)) = (shards, point(&json["next"])) else {
        return Err(damaged(&path));
    };
    if shards.is_empty() {
        return Ok(None);
    }
    if let Some(difference) = job.difference(&json) {
        return Err(Error::invalid(format!(
            "{}: begun with {difference} and not finished: give the same arguments as then to go on, \
             or say that it is to be overwritten",
            folder.display()
        )));
    }
    Ok(Some((shards, next)))
}

fn point(json: &Value) -> Option<Point> {
    Some(Point {
        place: Place {
            input: usize::try_from(json["input"].as_u64()?).ok()?,
            offset: json["offset"].as_u64()?,
        },
        ids: json["ids"].as_u64()?,
        ends: json["ends"].as_u64()?,
        bytes: json["bytes"].as_u64()?,
        in_document: json["in_document"].as_bool()?,
        after_token: json["after_token"].as_bool()?,
    })
}

fn damaged(path: &Path) -> Error {
    Error::invalid(format!(
        "{}: damaged: name another folder, or say that this one is to be overwritten",
        path.display()
    ))
}

/// Writes what the finished folder holds.
pub(super) fn write_manifest(folder: &Path, job: &Job, shards: &[Shard], bytes: u64) -> Result<()> {
    let mut json = job.to_json();
    // How old a copy of the inputs is says nothing about the shards.
    if let Some(inputs) = json.get_mut("inputs").and_then(Value::as_array_mut) {
        inputs.iter_mut().filter_map(Value::as_object_mut).for_each(|input| {
            input.remove("modified");
        });
    }
    let (tokens, documents) = totals(shards);
    json.insert("tokens".into(), tokens.into());
    json.insert("documents".into(), documents.into());
    json.insert("bytes".into(), bytes.into());
    json.insert("shards".into(), shards.iter().map(Shard::to_json).collect());
    write(&folder.join(MANIFEST), json)
}

fn write(path: &Path, json: Map<String, Value>) -> Result<()> {
    let text = format!("{:#}\n", Value::Object(json));
    write_atomic(path, |file| std::io::Write::write_all(file, text.as_bytes()))
}

/// The path of a shard.
pub(super) fn shard_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("shard-{number:05}.npy"))
}
