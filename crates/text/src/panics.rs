//! A door to a library that panics on some files: its panics become errors, and say nothing on stderr.
//!
//! The `tokenizers` crate panics while it reads some broken files and while it runs some that it has read. A panic would be
//! printed by the process's panic hook before it can be caught, so the first call through the door puts a hook before that one,
//! which is silent on a thread while it is behind the door and hands on everything else.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static BEHIND_THE_DOOR: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns, or the message with which it panicked. `work` must not be used again after a panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    silence();
    let before = BEHIND_THE_DOOR.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    BEHIND_THE_DOOR.set(before);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
        text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_string())
    })
}

fn silence() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !BEHIND_THE_DOOR.get() {
                others(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_messages() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(|| -> u8 { panic!("at {}", 7) }), Err("at 7".to_string()));
        assert_eq!(caught(|| -> u8 { panic!("plain") }), Err("plain".to_string()));
        assert!(!BEHIND_THE_DOOR.get());
    }
}
