//! Documents, windows, tokenizer, split.
