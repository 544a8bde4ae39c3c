//! What `lapidary steer` prints: the two continuations, or the table of a sweep.

use crate::global::Global;
use crate::terminal;
use lapidary_report::table::{Align, text};
use lapidary_splice::sweep::{Point, Reading};
use lapidary_text::{TextError, Tokenizer, continuation};
use serde_json::{Value, json};

/// A strength, where it was swept, and what came of it.
type Row = (Option<f32>, Point);

pub fn tell(
    tokenizer: &Tokenizer,
    prompt: &str,
    tokens: &[u32],
    default: &Reading,
    points: &[Row],
    global: &Global,
) -> anyhow::Result<()> {
    let said = |reading: &Reading| continuation(tokenizer, tokens, &reading.tokens);
    let texts =
        points.iter().map(|(_, point)| said(&point.reading)).collect::<Result<Vec<_>, TextError>>()?;
    if global.json {
        let rows = points.iter().zip(&texts).map(|((strength, point), text)| {
            json!({ "strength": strength, "text": text, "effect": point.reading.effect,
                    "delta_loss": point.delta_loss(default), "kl": point.kl, "tokens": point.reading.tokens })
        });
        let default = json!({ "text": said(default)?, "effect": default.effect, "loss": default.loss, "tokens": default.tokens });
        let json = json!({ "prompt": prompt, "default": default, "steered": rows.collect::<Vec<Value>>() });
        return terminal::line(format_args!("{json:#}"));
    }
    terminal::line(format_args!("default: {prompt}{}", said(default)?))?;
    if let [(None, point)] = points {
        terminal::line(format_args!("steered: {prompt}{}", texts[0]))?;
        let [effect, loss, kl] = numbers(point, default);
        return terminal::line(format_args!(
            "effect {effect} (default {}), Δloss {loss}, KL {kl}",
            number(default.effect)
        ));
    }
    let numbers_of = |strength: String, [effect, loss, kl]: [String; 3], text: &str| {
        vec![strength, effect, loss, kl, one_line(text)]
    };
    let zero = || number(Some(0.0));
    let mut rows =
        vec![numbers_of("default".into(), [number(default.effect), zero(), zero()], &said(default)?)];
    rows.extend(points.iter().zip(&texts).map(|((strength, point), text)| {
        numbers_of(strength.map_or_else(String::new, |s| s.to_string()), numbers(point, default), text)
    }));
    let right = |name| (name, Align::Right);
    let columns = [right("strength"), right("effect"), right("Δloss"), right("KL"), ("text", Align::Left)];
    terminal::print(text(&columns, &rows))
}

fn numbers(point: &Point, default: &Reading) -> [String; 3] {
    [number(point.reading.effect), number(point.delta_loss(default)), number(point.kl)]
}

fn number(x: Option<f64>) -> String {
    x.map_or_else(|| "–".into(), |x| format!("{x:.3}"))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(72).collect()
}
