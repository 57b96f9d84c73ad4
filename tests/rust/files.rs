use std::path::Path;

use byteloom::count::Counts;
use byteloom::files::{gpt2, huggingface, load, tiktoken};
use byteloom::pretokenize::{Pretokenizer, presets};
use byteloom::train::{TieBreak, TrainOptions, train};
use byteloom::vocab::Vocabulary;
use byteloom::{ErrorKind, Monitor};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{config, file, names, over};

type Bytes = Vec<u8>;

fn trained(words: &[Bytes], more: usize, special_tokens: &[&str]) -> Vocabulary {
    let mut counts = Counts::new();
    words.iter().for_each(|word| counts.add(word, 1));
    let special_tokens: Vec<_> = special_tokens.iter().map(|t| t.as_bytes().to_vec()).collect();
    let vocab_size = 256 + special_tokens.len() + more;
    let tie_break = TieBreak::HuggingFace;
    let options = TrainOptions { vocab_size, special_tokens, tie_break, min_frequency: 1 };
    train(&counts, &options, &Monitor::new()).unwrap()
}

/// Words of bytes that are written as others: spaces, controls, parts of characters.
fn example(special_tokens: &[&str]) -> Vocabulary {
    let words = ["low", " low", " lower", "日本語", "日本", "\n\n", "\u{a0}é", "\0\x7f\u{ad}"];
    let mut words: Vec<Bytes> = words.map(|word| word.as_bytes().to_vec()).into();
    words.push(b"\xff\xfe\xff\xfe".to_vec());
    trained(&words, 24, special_tokens)
}

fn vocabularies() -> impl Strategy<Value = Vocabulary> {
    let words = prop::collection::vec(over(b"abc \n\xc3\xa9\0", 1..10), 0..10);
    let special = prop::collection::hash_set("<[a-z| é🦀]{1,5}>", 0..3);
    (words, 0usize..30, special).prop_map(|(words, more, special)| {
        let special: Vec<&str> = special.iter().map(String::as_str).collect();
        trained(&words, more, &special)
    })
}

/// What a file may say of special tokens: in the order of the ids.
fn special(vocabulary: &Vocabulary) -> Vec<Bytes> {
    vocabulary.special_tokens().iter().map(|(token, _)| token.clone()).collect()
}

fn save_gpt2(vocabulary: &Vocabulary, folder: &Path) {
    gpt2::save(vocabulary, &folder.join("vocab.json"), &folder.join("merges.txt")).unwrap();
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn every_format_gives_back_what_was_saved(vocabulary in vocabularies()) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);

        let pretokenizer = Pretokenizer::new("gpt2").unwrap();
        huggingface::save(&vocabulary, &pretokenizer, &at("tokenizer.json")).unwrap();
        prop_assert_eq!(&load(&at("tokenizer.json"), &[]).unwrap().vocabulary, &vocabulary);
        prop_assert_eq!(&load(folder.path(), &[]).unwrap().vocabulary, &vocabulary);
        std::fs::remove_file(at("tokenizer.json")).unwrap();

        save_gpt2(&vocabulary, folder.path());
        let special = special(&vocabulary);
        let (vocab, merges) = (at("vocab.json"), at("merges.txt"));
        let loaded = gpt2::load(&vocab, &merges, Some(&special)).unwrap();
        prop_assert_eq!(&loaded, &vocabulary);
        prop_assert_eq!(gpt2::load(&vocab, &merges, None).unwrap(), vocabulary.clone());
        let loaded = load(folder.path(), &[]).unwrap();
        prop_assert_eq!((&loaded.vocabulary, loaded.pattern), (&vocabulary, None));

        // Ranks know no special tokens: they have to be told.
        tiktoken::save(&vocabulary, &at("ranks")).unwrap();
        let loaded = load(&at("ranks"), vocabulary.special_tokens()).unwrap();
        prop_assert_eq!((loaded.vocabulary, loaded.pattern), (vocabulary, None));
    }
}

mod tokenizer_json {
    use super::*;

    fn document(vocabulary: &Vocabulary, pattern: &str) -> Value {
        let pretokenizer = Pretokenizer::new(pattern).unwrap();
        let text = huggingface::to_json(vocabulary, &pretokenizer).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn parse(document: &Value) -> Result<byteloom::files::Loaded, String> {
        let loaded = huggingface::parse(&document.to_string(), "my.json");
        loaded.map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let message = error.to_string();
            let (source, what) = message.split_once(": ").unwrap();
            assert_eq!(source, "my.json");
            what.to_owned()
        })
    }

    /// The refusal of a good file in which one value was changed.
    fn refusal(pointer: &str, value: Value) -> String {
        let mut document = document(&example(&["<|e|>"]), "gpt2");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(array) => array[key.parse::<usize>().unwrap()] = value,
            _ => parent[key] = value,
        }
        parse(&document).unwrap_err()
    }

    #[test]
    fn every_pattern_comes_back() {
        let vocabulary = example(&[]);
        for pattern in presets().chain([r"\w+|\W", "(?i:a)|\"\\\\"]) {
            let loaded = parse(&document(&vocabulary, pattern)).unwrap();
            let loaded = Pretokenizer::new(&loaded.pattern.unwrap()).unwrap();
            let saved = Pretokenizer::new(pattern).unwrap();
            assert_eq!((loaded.preset(), loaded.pattern()), (saved.preset(), saved.pattern()));
        }
    }

    #[test]
    fn merges_in_either_form() {
        let vocabulary = example(&["<|e|>"]);
        let mut document = document(&vocabulary, "gpt2");
        let merges = document["model"]["merges"].as_array_mut().unwrap();
        for merge in merges {
            let text = format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap());
            *merge = text.into();
        }
        assert_eq!(parse(&document).unwrap().vocabulary, vocabulary);
    }

    #[test]
    fn old_files_leave_keys_out() {
        let vocabulary = example(&["<|e|>"]);
        let mut document = document(&vocabulary, "gpt2");
        let remove = |object: &mut Value, key: &str| {
            assert!(object.as_object_mut().unwrap().remove(key).is_some(), "no {key}");
        };
        for key in ["type", "dropout", "byte_fallback", "ignore_merges", "end_of_word_suffix"] {
            remove(&mut document["model"], key);
        }
        remove(&mut document["pre_tokenizer"], "use_regex");
        remove(&mut document["added_tokens"][0], "single_word");
        remove(&mut document, "normalizer");
        remove(&mut document, "post_processor");
        let loaded = parse(&document).unwrap();
        assert_eq!((loaded.vocabulary, loaded.pattern), (vocabulary, Some("gpt2".into())));
    }

    #[test]
    fn special_tokens_need_not_be_in_the_model() {
        let vocabulary = example(&[]);
        let mut document = document(&vocabulary, "gpt2");
        let id = vocabulary.len();
        document["added_tokens"] = json!([{ "id": id, "content": "<|é e|>" }]);
        let loaded = parse(&document).unwrap().vocabulary;
        assert_eq!(loaded.special_tokens(), [("<|é e|>".into(), id as u32)]);
        assert_eq!(loaded.merges(), vocabulary.merges());
    }

    #[test]
    fn a_special_token_may_not_be_written_as_another_token_is() {
        // The byte E9 is written as "é", and " low" as "Ġlow": a special token of that text would be
        // the same entry of the table.
        let vocabulary = example(&[]);
        let document = document(&vocabulary, "gpt2");
        for (content, token) in [("é", "0xe9"), ("Ġlow", "\" low\"")] {
            let mut document = document.clone();
            let id = document["model"]["vocab"][content].clone();
            document["added_tokens"] = json!([{ "id": id, "content": content }]);
            let message = parse(&document).unwrap_err();
            let said = format!(
                "special token {content:?} is written as the token {token} is, and would share its id {id}"
            );
            assert!(message.contains(&said), "{message}");
        }
        // One that is the token itself has its id.
        let mut document = document;
        let id = document["model"]["vocab"]["low"].clone();
        document["added_tokens"] = json!([{ "id": id, "content": "low" }]);
        let special = parse(&document).unwrap().vocabulary.special_tokens().to_vec();
        assert_eq!(special, [(b"low".to_vec(), id.as_u64().unwrap() as u32)]);
    }

    #[test]
    fn post_processors_that_add_nothing() {
        let vocabulary = example(&["<|e|>"]);
        let mut document = document(&vocabulary, "gpt2");
        for harmless in [
            json!({ "type": "ByteLevel", "trim_offsets": false }),
            json!({
                "type": "TemplateProcessing",
                "single": [{ "Sequence": { "id": "A", "type_id": 0 } }],
            }),
        ] {
            document["post_processor"] = harmless;
            assert_eq!(parse(&document).unwrap().vocabulary, vocabulary);
        }
        let template = json!({
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<|e|>", "type_id": 0 } }, { "Sequence": {} }],
        });
        let message = refusal("/post_processor", template);
        assert_eq!(message, "post_processor, TemplateProcessing, adds tokens; byteloom adds none");
        let message = refusal("/post_processor", json!({ "type": "BertProcessing" }));
        assert!(message.contains("BertProcessing"), "{message}");
    }

    #[test]
    fn refuses_by_key_what_would_change_the_ids() {
        let byte_level = |more: Value| {
            let mut step = json!({ "type": "ByteLevel", "use_regex": false });
            step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            step
        };
        let sequence = |split: Value| json!({ "pretokenizers": [split, byte_level(json!({}))] });
        let split = |behavior: &str| json!({ "type": "Split", "pattern": { "Regex": "x" }, "behavior": behavior });
        for (pointer, value, said) in [
            ("/model/type", json!("WordPiece"), "model.type is \"WordPiece\"; byteloom reads BPE"),
            ("/model", json!([]), "model.type is null"),
            ("/model/dropout", json!(0.1), "model.dropout is 0.1"),
            ("/model/byte_fallback", json!(true), "model.byte_fallback is true"),
            ("/model/ignore_merges", json!(true), "model.ignore_merges is true"),
            ("/model/end_of_word_suffix", json!("</w>"), "model.end_of_word_suffix is \"</w>\""),
            ("/model/continuing_subword_prefix", json!("##"), "model.continuing_subword_prefix"),
            ("/model/vocab", json!(null), "model.vocab is missing"),
            ("/model/merges", json!(null), "model.merges is missing"),
            ("/model/merges/1", json!("ab"), "model.merges[1] is \"ab\", which is no"),
            ("/model/merges/2", json!(["a", "b", "c"]), "model.merges[2] is"),
            ("/model/merges/0", json!(["日", "b"]), "model.merges[0] is"),
            ("/model/vocab/low", json!("7"), "model.vocab: token \"low\" has \"7\" for an id"),
            ("/model/vocab/low", json!(-1), "model.vocab: token \"low\" has -1 for an id"),
            ("/model/vocab/strange", json!(281), "token \"strange\" is neither a byte, nor made"),
            ("/truncation", json!({ "max_length": 8 }), "truncation is {\"max_length\":8}"),
            ("/padding", json!({}), "padding is {}; byteloom does not"),
            ("/decoder/type", json!("WordPiece"), "decodes ByteLevel"),
            ("/normalizer", json!({ "type": "NFC" }), "normalizer is {\"type\":\"NFC\"}"),
            ("/pre_tokenizer", json!(null), "pre_tokenizer is null; byteloom reads ByteLevel"),
            ("/pre_tokenizer/type", json!("Whitespace"), "pre_tokenizer is \"Whitespace\""),
            ("/pre_tokenizer/add_prefix_space", json!(true), "add_prefix_space is true"),
            ("/pre_tokenizer/use_regex", json!(false), "pre_tokenizer.use_regex is false"),
            ("/pre_tokenizer", sequence(split("Removed")), "no Split that isolates"),
            ("/pre_tokenizer", sequence(json!({ "type": "Digits" })), "no Split that isolates"),
            ("/pre_tokenizer", json!({ "pretokenizers": [] }), "not one Split and ByteLevel"),
            ("/added_tokens/0/single_word", json!(true), "added_tokens[0].single_word is true"),
            ("/added_tokens/0/lstrip", json!(true), "added_tokens[0].lstrip is true"),
            ("/added_tokens/0/rstrip", json!(true), "added_tokens[0].rstrip is true"),
            ("/added_tokens/0/content", json!(1), "added_tokens[0].content is missing"),
            ("/added_tokens/0/id", json!(9), "added_tokens[0].id is 9, but model.vocab has"),
        ] {
            let message = refusal(pointer, value);
            assert!(message.contains(said), "{pointer}: {message}");
        }
        let mut pattern = split("Isolated");
        pattern["pattern"] = json!({ "String": " " });
        let message = refusal("/pre_tokenizer", sequence(pattern));
        assert!(message.contains("pretokenizers[0] has no Regex"), "{message}");
    }

    #[test]
    fn two_ids_of_the_same_text_cannot_be_written() {
        // A special token of one byte, and the byte.
        let vocabulary = trained(&[b"ab".to_vec()], 1, &["a"]);
        let pretokenizer = Pretokenizer::new("gpt2").unwrap();
        let error = huggingface::to_json(&vocabulary, &pretokenizer).unwrap_err().to_string();
        assert!(error.contains("ids 0 and 98 would both be written as \"a\""), "{error}");
        let folder = tempfile::tempdir().unwrap();
        assert!(huggingface::save(&vocabulary, &pretokenizer, &folder.path().join("t")).is_err());
        let (vocab, merges) = (folder.path().join("v"), folder.path().join("m"));
        assert!(gpt2::save(&vocabulary, &vocab, &merges).is_err());
        assert!(names(folder.path()).is_empty());
    }
}

mod vocab_json_and_merges_txt {
    use super::*;

    fn load(vocab: &str, merges: &str, special: Option<&[Bytes]>) -> Result<Vocabulary, String> {
        let folder = tempfile::tempdir().unwrap();
        let vocab = file(folder.path(), "vocab.json", vocab.as_bytes());
        let merges = file(folder.path(), "merges.txt", merges.as_bytes());
        gpt2::load(&vocab, &merges, special).map_err(|error| error.to_string())
    }

    /// The two files of [`example`].
    fn saved(special_tokens: &[&str]) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        save_gpt2(&example(special_tokens), folder.path());
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        (read("vocab.json"), read("merges.txt"))
    }

    #[test]
    fn are_written_in_the_byte_level_alphabet() {
        let (vocab, merges) = saved(&["<|e|>"]);
        assert!(merges.starts_with("#version: 0.2\n"), "{merges}");
        assert!(merges.lines().any(|line| line == "Ġ low"), "{merges}");
        assert!(merges.lines().any(|line| line == "Ċ Ċ"), "{merges}");
        let vocab: Value = serde_json::from_str(&vocab).unwrap();
        assert_eq!((&vocab["<|e|>"], &vocab["!"], &vocab["Ā"]), (&json!(0), &json!(34), &json!(1)));
    }

    #[test]
    fn the_line_of_the_version_may_be_missing() {
        let (vocab, merges) = saved(&["<|e|>"]);
        let (_, without) = merges.split_once('\n').unwrap();
        assert_eq!(load(&vocab, without, None).unwrap(), example(&["<|e|>"]));
        let windows = merges.replace('\n', "\r\n");
        assert_eq!(load(&vocab, &windows, None).unwrap(), example(&["<|e|>"]));
    }

    #[test]
    fn a_special_token_must_be_named_or_guessed() {
        let (vocab, merges) = saved(&["<|e|>", "a b", "é日"]);
        let expected = example(&["<|e|>", "a b", "é日"]);
        assert_eq!(load(&vocab, &merges, None).unwrap(), expected);
        assert_eq!(load(&vocab, &merges, Some(&special(&expected))).unwrap(), expected);
        let error = load(&vocab, &merges, Some(&[b"<|e|>".to_vec()])).unwrap_err();
        assert!(error.contains("token \"a b\" is neither a byte, nor made by a merge"), "{error}");
        let more = [special(&expected), vec![b"<new>".to_vec()]].concat();
        let loaded = load(&vocab, &merges, Some(&more)).unwrap();
        let last = (b"<new>".to_vec(), expected.len() as u32);
        assert_eq!(loaded.special_tokens().last(), Some(&last));
    }

    #[test]
    fn refusals_name_file_and_line() {
        let (vocab, merges) = saved(&[]);
        let error = load("[1]", &merges, None).unwrap_err();
        assert!(error.contains("vocab.json: not a JSON object of tokens and ids"), "{error}");
        for (line, wrong) in
            [(1, "ab"), (1, "a "), (1, " b"), (1, "a b c"), (3, "日 b"), (2, "a\u{a0}b")]
        {
            let mut lines: Vec<&str> = merges.lines().collect();
            lines.insert(line, wrong);
            let error = load(&vocab, &lines.join("\n"), None).unwrap_err();
            let place = format!("merges.txt:{}: {wrong:?} is no merge", line + 1);
            assert!(error.contains(&place), "{error}");
        }
        let error = load(&vocab, &format!("{merges}x y\n"), None).unwrap_err();
        assert!(error.contains("vocab.json with "), "{error}");
        assert!(error.contains("their product \"xy\" is not in the vocabulary"), "{error}");
        let error = load(&vocab.replace(":0,", ":0.5,"), &merges, None).unwrap_err();
        assert!(error.contains("has 0.5 for an id"), "{error}");
    }
}

mod rank_files {
    use super::*;

    #[test]
    fn are_lines_of_base64_and_a_rank() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ranks");
        tiktoken::save(&trained(&[b"ab".to_vec()], 1, &[]), &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 257);
        assert_eq!(text.lines().next(), Some("AA== 0"));
        assert!(text.ends_with("/w== 255\nYWI= 256\n"), "{text}");
        assert!(tiktoken::parse(&text.replace('\n', "\r\n"), &[], "ranks").is_ok());
    }

    #[test]
    fn special_tokens_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ranks");
        let vocabulary = trained(&[b"ab".to_vec()], 1, &["<|e|>"]);
        tiktoken::save(&vocabulary, &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!((text.lines().count(), text.lines().next()), (257, Some("AA== 1")));
        let error = load(&path, &[]).unwrap_err().to_string();
        assert!(error.contains("there is id 257 and no id 0"), "{error}");
        assert!(error.contains("lacks the special tokens: give those it was made with"), "{error}");
        let loaded = load(&path, vocabulary.special_tokens()).unwrap();
        assert_eq!(loaded.vocabulary, vocabulary);
    }

    #[test]
    fn what_ranks_cannot_say_is_refused() {
        let tokens = |more: [&str; 2]| {
            let bytes = (0..=255).map(|byte| vec![byte]);
            let more = more.map(|token| token.as_bytes().to_vec());
            (0..).zip(bytes.chain(more)).collect::<Vec<_>>()
        };
        let merge = |left: &str, right: &str| (left.into(), right.into());
        let merges = vec![merge("a", "b"), merge("c", "d")];
        let in_order = Vocabulary::new(tokens(["ab", "cd"]), merges.clone(), &[]).unwrap();
        let ranks = tiktoken::ranks(&in_order).unwrap();
        assert_eq!(ranks[256..], [(b"ab".to_vec(), 256), (b"cd".to_vec(), 257)]);
        let backwards = Vocabulary::new(tokens(["cd", "ab"]), merges, &[]).unwrap();
        let error = tiktoken::ranks(&backwards).unwrap_err().to_string();
        assert!(error.contains("tiktoken cannot express this tokenizer"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        assert!(tiktoken::save(&backwards, &folder.path().join("ranks")).is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn refusals_name_file_and_line() {
        let message = |text: &str| tiktoken::parse(text, &[], "ranks").unwrap_err().to_string();
        for wrong in ["AA==", "AA== x", "A 0", "!! 0", "AA== -1", "AA== 4294967296", "AA==  0"] {
            let text = format!("AA== 0\n{wrong}\n");
            let error = message(&text);
            assert!(error.contains("ranks:2: not a tokenizer: a line of a tiktoken"), "{error}");
        }
        assert_eq!(message(""), "ranks: not a tokenizer: there is nothing in it");
        assert!(message("AA== 0\n").contains("ranks: the vocabulary lacks the single byte 1"));
    }
}

mod paths {
    use super::*;

    #[test]
    fn what_is_no_tokenizer_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(folder.path(), &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let name = folder.path().display().to_string();
        assert!(error.to_string().contains(&name), "{error}");
        assert!(error.to_string().contains("holds neither tokenizer.json nor vocab.json"));
        let error = load(&folder.path().join("missing"), &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io(std::io::ErrorKind::NotFound));
        let error = load(&file(folder.path(), "binary", b"{\xff"), &[]).unwrap_err();
        assert!(error.to_string().contains("binary: not a tokenizer: byte 1 is not"), "{error}");
        let error = load(&file(folder.path(), "broken.json", b"{\"model\": "), &[]).unwrap_err();
        assert!(error.to_string().contains("broken.json: not a tokenizer.json"), "{error}");
        let error = load(&file(folder.path(), "prose", b"once upon a time"), &[]).unwrap_err();
        assert!(error.to_string().contains("prose:1: not a tokenizer"), "{error}");
    }
}
