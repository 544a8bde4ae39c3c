//! Where two values differ, key by key: what a refusal shows of two plans, instead of their hashes.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Longest value that is shown whole, characters.
const SHOWN: usize = 100;

/// `training.recipe.lr: expected 0.001, found 0.002` for every key that is not the same in both, however deep. Lists of
/// named things are compared by name, other lists by place.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut out = Vec::new();
    compare("", Some(expected), Some(found), &mut out);
    out
}

fn compare(path: &str, expected: Option<&Value>, found: Option<&Value>, out: &mut Vec<String>) {
    if expected == found {
        return;
    }
    if let (Some(a), Some(b)) = (expected.and_then(members), found.and_then(members)) {
        let keys: Vec<&String> = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).collect();
        let dot = if path.is_empty() { "" } else { "." };
        let before = out.len();
        keys.iter().for_each(|key| compare(&format!("{path}{dot}{key}"), a.get(*key), b.get(*key), out));
        if out.len() > before {
            return;
        }
    }
    out.push(format!("{path}: expected {}, found {}", shown(expected), shown(found)));
}

/// What has parts, with names for them.
fn members(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map.clone()),
        Value::Array(list) => {
            let named: Vec<String> =
                list.iter().filter_map(|x| x["name"].as_str()).map(str::to_string).collect();
            let unique = named.iter().collect::<BTreeSet<_>>().len() == list.len();
            let keys: Vec<String> =
                if unique { named } else { (0..list.len()).map(|i| i.to_string()).collect() };
            Some(keys.into_iter().zip(list.iter().cloned()).collect())
        }
        _ => None,
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "none".into() };
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_key_is_shown_with_both_values() {
        let a = json!({ "seed": 1, "same": [1, 2], "recipe": { "lr": 0.5, "preset": "short" },
                        "dictionaries": [{ "name": "a", "d": 3, "k": { "of": 1 } }, { "name": "b" }] });
        let b = json!({ "same": [1, 2], "recipe": { "lr": 0.25, "preset": "short", "new": null },
                        "dictionaries": [{ "name": "c" }, { "name": "a", "d": 3, "k": { "of": 2 } }] });
        let mut found = differences(&a, &b);
        found.sort();
        let expected = [
            "dictionaries.a.k.of: expected 1, found 2",
            "dictionaries.b: expected {\"name\":\"b\"}, found none",
            "dictionaries.c: expected none, found {\"name\":\"c\"}",
            "recipe.lr: expected 0.5, found 0.25",
            "recipe.new: expected none, found null",
            "seed: expected 1, found none",
        ];
        assert_eq!(found, expected);
        assert!(differences(&a, &a).is_empty());
    }

    #[test]
    fn lists_by_place_and_what_is_of_another_kind_whole() {
        assert_eq!(
            differences(&json!([1, 2, 3]), &json!([1, 5])),
            ["1: expected 2, found 5", "2: expected 3, found none"]
        );
        assert_eq!(differences(&json!({ "a": {} }), &json!({ "a": [] })), ["a: expected {}, found []"]);
        assert_eq!(differences(&json!({ "a": 1 }), &json!({ "a": [1] })), ["a: expected 1, found [1]"]);
        let order = (json!([{ "name": "a" }, { "name": "b" }]), json!([{ "name": "b" }, { "name": "a" }]));
        assert_eq!(differences(&order.0, &order.1).len(), 1, "the same things in another order");
        let long = differences(&json!({ "a": "x".repeat(500) }), &json!({}));
        assert!(long[0].len() < 200, "{long:?}");
    }
}
