//! Keys of `config.json` that never change what a model computes: transformers' own code of the families that are read here
//! does not read them, or reads them in training, sampling, saving and labelling only. (Read there: versions 4.28 to 5.24.)
//!
//! A key is harmless whatever its value. Dropout too: it acts in training alone, so `attn_pdrop: 0.1` says nothing about
//! what comes out here.

/// Is this key, at the top of a config, known to leave the maths alone?
pub(crate) fn is_harmless(key: &str) -> bool {
    // Names that begin with `_` are transformers' own notes; ids but BOS, EOS and padding mean something to tokenizers only.
    key.starts_with('_') || key.ends_with("_token_id") || is_dropout(key) || KEYS.contains(&key)
}

/// `attn_pdrop`, `hidden_dropout`, `attention_probs_dropout_prob`, `summary_first_dropout`, …
fn is_dropout(key: &str) -> bool {
    ["_pdrop", "dropout", "_dropout_prob"].iter().any(|end| key.ends_with(end))
}

const KEYS: &[&str] = &[
    // What a file says about itself and about how it is stored and run.
    "architectures",
    "attn_implementation",
    "auto_map",
    "dtype",
    "experts_implementation",
    "is_decoder",
    "is_llama_config",
    "model_type",
    "name_or_path",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "xla_device",
    // Lengths that tokenizers and trainers kept; the model's own is `max_position_embeddings`.
    "max_seq_len",
    "max_seq_length",
    "max_sequence_length",
    "model_max_length",
    // Training.
    "chunk_size_feed_forward",
    "gradient_checkpointing",
    "initializer_range",
    "pretraining_tp",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "use_reentrant",
    // Heads for classifying, which a language model does not have.
    "finetuning_task",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "task_specific_params",
    // Sampling, which old files keep here and new ones in generation_config.json.
    "bad_words_ids",
    "begin_suppress_tokens",
    "cache_implementation",
    "constraints",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "force_words_ids",
    "forced_decoder_ids",
    "guidance_scale",
    "length_penalty",
    "low_memory",
    "max_length",
    "max_new_tokens",
    "max_time",
    "min_length",
    "min_new_tokens",
    "min_p",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_logits",
    "output_scores",
    "penalty_alpha",
    "prefix",
    "remove_invalid_values",
    "renormalize_logits",
    "repetition_penalty",
    "return_dict_in_generate",
    "sequence_bias",
    "stop_strings",
    "suppress_tokens",
    "temperature",
    "token_healing",
    "top_k",
    "top_p",
    "typical_p",
];
