//! `tokenizer.json`, the file of Hugging Face's tokenizers.
//!
//! Of all that such a file can say, byte-level BPE is what byteloom does. Whatever would change the ids
//! and is not done here is refused by its key, never passed over.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::alphabet::Alphabet;
use super::{Loaded, gpt2};
use crate::atomic::write_atomic;
use crate::pretokenize::Pretokenizer;
use crate::vocab::{Merge, Vocabulary};
use crate::{Error, Result};

/// The text of a `tokenizer.json`.
///
/// # Errors
/// The format cannot express the vocabulary: two ids with the same bytes.
pub fn to_json(vocabulary: &Vocabulary, pretokenizer: &Pretokenizer) -> Result<String> {
    let alphabet = Alphabet::new();
    let merges: Vec<Value> = vocabulary
        .merges()
        .iter()
        .map(|(left, right)| json!([alphabet.encode(left), alphabet.encode(right)]))
        .collect();
    let added: Vec<Value> = vocabulary
        .special_tokens()
        .iter()
        .map(|(token, id)| {
            json!({
                "id": id,
                "content": String::from_utf8_lossy(token),
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": true,
            })
        })
        .collect();
    let byte_level = |use_regex: bool| {
        json!({
            "type": "ByteLevel",
            "add_prefix_space": false,
            "trim_offsets": true,
            "use_regex": use_regex,
        })
    };
    let pre_tokenizer = if pretokenizer.preset() == Some("gpt2") {
        byte_level(true)
    } else {
        let split = json!({
            "type": "Split",
            "pattern": { "Regex": pretokenizer.huggingface_pattern() },
            "behavior": "Isolated",
            "invert": false,
        });
        json!({ "type": "Sequence", "pretokenizers": [split, byte_level(false)] })
    };
    let document = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": byte_level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": gpt2::table(vocabulary)?,
            "merges": merges,
        },
    });
    Ok(format!("{document:#}"))
}

/// Writes a `tokenizer.json`, whole or not at all.
///
/// # Errors
/// As [`to_json`], or the operating system refuses.
pub fn save(vocabulary: &Vocabulary, pretokenizer: &Pretokenizer, path: &Path) -> Result<()> {
    let text = to_json(vocabulary, pretokenizer)?;
    write_atomic(path, |mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
}

/// Reads the text of a `tokenizer.json`; `source` names it in errors.
///
/// # Errors
/// It is no such file, is damaged, or says what byteloom does not do; the message names the key.
pub fn parse(text: &str, source: &str) -> Result<Loaded> {
    read(text).map_err(|what| Error::invalid(format!("{source}: {what}")))
}

fn read(text: &str) -> Result<Loaded, String> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| format!("not a tokenizer.json: {error}"))?;
    let model = &document["model"];
    // Old files leave the type out.
    if !model.is_object() || !matches!(model["type"].as_str(), Some("BPE") | None) {
        return Err(format!("model.type is {}; byteloom reads BPE", model["type"]));
    }
    for key in ["normalizer", "truncation", "padding"] {
        refuse_unless(&document, key, &[Value::Null])?;
    }
    if !matches!(document["decoder"]["type"].as_str(), Some("ByteLevel") | None) {
        return Err(format!("decoder is {}; byteloom decodes ByteLevel", document["decoder"]));
    }
    let empty = Value::from("");
    for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
        refuse_unless(model, key, &[Value::Null, empty.clone()])
            .map_err(|what| format!("model.{what}"))?;
    }
    for key in ["byte_fallback", "ignore_merges"] {
        refuse_unless(model, key, &[Value::Null, Value::Bool(false)])
            .map_err(|what| format!("model.{what}"))?;
    }
    refuse_added_tokens(&document["post_processor"])?;
    let pattern = read_pattern(&document["pre_tokenizer"])?;
    let merges = read_merges(&model["merges"])?;
    let mut table = model["vocab"].as_object().ok_or("model.vocab is missing")?.clone();
    let special = read_added(&document["added_tokens"], &mut table)?;
    let vocabulary = gpt2::from_tables(&table, merges, Some(&special), "model.vocab");
    let vocabulary = vocabulary.map_err(|error| error.to_string())?;
    Ok(Loaded { vocabulary, pattern: Some(pattern) })
}

fn refuse_unless(object: &Value, key: &str, allowed: &[Value]) -> Result<(), String> {
    if allowed.contains(&object[key]) {
        return Ok(());
    }
    Err(format!("{key} is {}; byteloom does not do that", object[key]))
}

/// A post-processor may only do what leaves the ids alone.
fn refuse_added_tokens(post_processor: &Value) -> Result<(), String> {
    let is_sequence = |step: &Value| step.get("Sequence").is_some();
    match post_processor["type"].as_str() {
        None | Some("ByteLevel") => Ok(()),
        Some("TemplateProcessing")
            if post_processor["single"].as_array().is_some_and(|s| s.iter().all(is_sequence)) =>
        {
            Ok(())
        }
        Some(other) => Err(format!("post_processor, {other}, adds tokens; byteloom adds none")),
    }
}

/// The pattern that a pre-tokenizer splits by.
fn read_pattern(pre_tokenizer: &Value) -> Result<String, String> {
    let byte_level = |value: &Value, use_regex: bool| {
        if value["type"] != "ByteLevel" {
            return Err(format!("pre_tokenizer is {}; byteloom reads ByteLevel", value["type"]));
        }
        if value["add_prefix_space"] == true {
            return Err("pre_tokenizer.add_prefix_space is true; byteloom adds no space".to_owned());
        }
        // Files from before the key existed mean true.
        if value["use_regex"].as_bool().unwrap_or(true) != use_regex {
            return Err(format!(
                "pre_tokenizer.use_regex is {}; not as expected",
                value["use_regex"]
            ));
        }
        Ok(())
    };
    let Some(steps) = pre_tokenizer["pretokenizers"].as_array() else {
        byte_level(pre_tokenizer, true)?;
        return Ok("gpt2".into());
    };
    let [split, last] = steps.as_slice() else {
        return Err("pre_tokenizer is not one Split and ByteLevel; byteloom reads that only".into());
    };
    byte_level(last, false)?;
    if split["type"] != "Split" || split["behavior"] != "Isolated" || split["invert"] == true {
        return Err("pre_tokenizer.pretokenizers[0] is no Split that isolates what matches".into());
    }
    let pattern = split["pattern"]["Regex"].as_str();
    pattern.map(str::to_owned).ok_or("pre_tokenizer.pretokenizers[0] has no Regex".into())
}

/// Merges are written "a b" by old versions and ["a", "b"] by new ones.
fn read_merges(merges: &Value) -> Result<Vec<Merge>, String> {
    let alphabet = Alphabet::new();
    let merges = merges.as_array().ok_or("model.merges is missing")?;
    let read = |(index, merge): (usize, &Value)| {
        let parts = match merge {
            Value::String(text) => text.split_once(' '),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(left), Value::String(right)] => {
                    Some((left.as_str(), right.as_str()))
                }
                _ => None,
            },
            _ => None,
        };
        let decode = |text| alphabet.decode(text).ok();
        parts.and_then(|(left, right)| Some((decode(left)?, decode(right)?))).ok_or_else(|| {
            format!("model.merges[{index}] is {merge}, which is no byte-level merge")
        })
    };
    merges.iter().enumerate().map(read).collect()
}

/// The added tokens; those that the model does not have get their place in its table.
fn read_added(added: &Value, table: &mut Map<String, Value>) -> Result<Vec<Vec<u8>>, String> {
    let mut special = Vec::new();
    for (index, token) in added.as_array().into_iter().flatten().enumerate() {
        let wrong = |what: &str| format!("added_tokens[{index}].{what}");
        let content = token["content"].as_str().ok_or_else(|| wrong("content is missing"))?;
        for key in ["single_word", "lstrip", "rstrip"] {
            refuse_unless(token, key, &[Value::Null, Value::Bool(false)])
                .map_err(|what| wrong(&what))?;
        }
        let id = &token["id"];
        if *table.entry(content).or_insert_with(|| id.clone()) != *id {
            return Err(wrong(&format!("id is {id}, but model.vocab has another for {content:?}")));
        }
        special.push(content.as_bytes().to_vec());
    }
    Ok(special)
}
