//! Steering, streamed: both continuations at once, token by token; or the points of a sweep. A client that goes away ends its own.

use super::neuronpedia::likely_rows;
use super::schema::{SteerRequest, SteeredFeature, SweepRequest};
use crate::app::{App, Live};
use crate::body::Input;
use crate::error::{Refusal, Said};
use crate::listen::Client;
use crate::work;
use axum::extract::{Extension, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use lapidary_lm::{Model, Sampling};
use lapidary_splice::sweep::Probe;
use lapidary_splice::{Asked, Intervention, Positions, SpliceError, Steering, candidates};
use lapidary_text::{TextStream, continuation};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A continuation to be written, checked.
pub(super) struct Plan {
    pub(super) prompt: Vec<u32>,
    pub(super) asked: Vec<Asked>,
    pub(super) positions: Positions,
    pub(super) keep_error: bool,
    pub(super) max_tokens: usize,
    pub(super) sampling: Sampling,
}

/// A continuation.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) tokens: Vec<u32>,
}

impl Plan {
    /// Checks everything that can be wrong with it, but the interventions.
    pub(super) fn of(app: &App, prompt: &str, request: &SteerRequest) -> Result<Plan, Refusal> {
        let (live, model) = app.live()?;
        let limits = app.limits();
        let most = |name: &str, most: usize, found: usize| {
            let error = format!("{name}: expected at most {most}, found {found}");
            if found > most { Err(Refusal::bad(error, "ask for less")) } else { Ok(()) }
        };
        if prompt.len() > limits.text_bytes {
            let error =
                format!("prompt: expected at most {} bytes, found {}", limits.text_bytes, prompt.len());
            return Err(Refusal::too_large(error, "shorten it"));
        }
        most("features", limits.interventions, request.features.len())?;
        most("max_tokens", limits.new_tokens, request.max_tokens)?;
        let mut tokens: Vec<u32> = model.spec.bos.into_iter().collect();
        tokens.extend(live.opened.tokenizer.encode(prompt)?);
        model.spec.check_tokens(&tokens).map_err(SpliceError::from)?;
        let sampling =
            Sampling { temperature: request.temperature, top_p: request.top_p, seed: request.seed };
        sampling.check().map_err(SpliceError::from)?;
        Ok(Plan {
            prompt: tokens,
            asked: request.features.iter().map(SteeredFeature::asked).collect::<Result<_, _>>()?,
            positions: request.positions.parse()?,
            keep_error: request.keep_error,
            max_tokens: request.max_tokens,
            sampling,
        })
    }

    /// The interventions in the model.
    pub(super) fn steering<'a>(
        &self,
        app: &App,
        live: &'a Live,
        model: &'a Model,
    ) -> Result<Steering<'a>, Refusal> {
        let of = |asked: &Asked| {
            let of = live.placed(app.atlas.dictionary(&asked.source)?);
            Ok(Intervention { of, feature: asked.feature, method: asked.method, strength: asked.strength })
        };
        let interventions = self.asked.iter().map(of).collect::<Result<Vec<_>, Refusal>>()?;
        Ok(Steering::new(model, interventions, self.positions, self.keep_error)?)
    }

    /// Writes one continuation; `each` is told what is added to the text, and may end it.
    pub(super) fn write(
        &self,
        live: &Live,
        model: &Model,
        steering: Option<&Steering<'_>>,
        each: &mut dyn FnMut(String) -> ControlFlow<()>,
    ) -> Result<Written, Refusal> {
        let mut stream = TextStream::new(&live.opened.tokenizer);
        stream.push(&self.prompt)?;
        let (mut whole, mut failed) = (String::new(), None);
        let mut token = |id: u32| match stream.push(&[id]) {
            Ok(text) => {
                whole += &text;
                each(text)
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        };
        let tokens = match steering {
            Some(steering) => steering.generate(&self.prompt, self.max_tokens, &self.sampling, &mut token)?,
            None => model
                .generate(&self.prompt, self.max_tokens, &self.sampling, &mut token)
                .map_err(SpliceError::from)?,
        };
        if let Some(error) = failed {
            return Err(error.into());
        }
        let rest = stream.finish()?;
        if !rest.is_empty() {
            let _ = each(rest.clone());
        }
        Ok(Written { text: whole + &rest, tokens })
    }
}

/// Where events go.
#[derive(Clone)]
struct Voice {
    app: Arc<App>,
    to: UnboundedSender<(&'static str, Value)>,
}

impl Voice {
    /// Sends an event, unless nobody listens any more.
    fn say(&self, event: &'static str, data: Value) -> ControlFlow<()> {
        match self.app.is_stopped() || self.to.send((event, data)).is_err() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Goes on only while somebody listens.
    fn listened(&self) -> ControlFlow<()> {
        if self.app.is_stopped() || self.to.is_closed() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Takes a place, and streams what `work` says until it ends.
async fn stream(
    app: Arc<App>,
    client: IpAddr,
    work: impl FnOnce(&Voice) -> Result<(), Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    let (held, place) = (app.work.stream(client)?, app.work.place().await?);
    let (to, from) = unbounded_channel();
    tokio::task::spawn_blocking(move || {
        let voice = Voice { app, to };
        if let Err(refusal) = work(&voice) {
            let _ = voice.say("error", json!(refusal.said));
        }
        drop((held, place));
    });
    let events = futures_util::stream::unfold(from, |mut from| async {
        let (name, data) = from.recv().await?;
        let event = if name.is_empty() { Event::default() } else { Event::default().event(name) };
        Some((Ok::<_, Infallible>(event.data(data.to_string())), from))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// Who asks, where that is known.
pub(super) fn client(of: Option<Extension<Client>>) -> IpAddr {
    of.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |Extension(Client(address))| address)
}

/// Default and steered continuation, streamed
///
/// Events: `token` {which: "default" or "steered", text}; `done` {default: {text}, steered: {text}, command, share}; `error` {error,
/// hint}.
#[utoipa::path(post, path = "/api/v1/steer", request_body = SteerRequest,
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 400, body = Said),
              (status = 409, body = Said), (status = 429, body = Said), (status = 503, body = Said)))]
pub(super) async fn steer(
    State(app): State<Arc<App>>,
    of: Option<Extension<Client>>,
    Input(request): Input<SteerRequest>,
) -> Result<Response, Refusal> {
    let (plan, app) = work::run(move || {
        let plan = Plan::of(&app, &request.prompt, &request)?;
        let (live, model) = app.live()?;
        plan.steering(&app, live, model)?; // what is wrong is said before the stream begins
        let done = json!({ "command": command(&app, &request), "share": share(&request) });
        Ok(((plan, done), app.clone()))
    })
    .await?;
    stream(app, client(of), move |voice| both(voice, &plan.0, plan.1)).await
}

/// Writes both continuations at once.
fn both(voice: &Voice, plan: &Plan, mut done: Value) -> Result<(), Refusal> {
    let (live, model) = voice.app.live()?;
    let steering = plan.steering(&voice.app, live, model)?;
    let write = |which: &str, steering: Option<&Steering<'_>>| {
        let mut each = |text: String| voice.say("token", json!({ "which": which, "text": text }));
        plan.write(live, model, steering, &mut each)
    };
    let (default, steered) = std::thread::scope(|scope| {
        let default = scope.spawn(|| write("default", None));
        let steered = write("steered", Some(&steering));
        (default.join(), steered)
    });
    let failed = |_| Refusal::bad("the continuation failed", "try another prompt");
    done["default"] = json!({ "text": default.map_err(failed)??.text });
    done["steered"] = json!({ "text": steered?.text });
    let _ = voice.say("done", done);
    Ok(())
}

/// What is written of one kind of continuation by now.
pub(super) struct Piece {
    /// STEERED or DEFAULT.
    pub(super) kind: String,
    /// The prompt included; nothing before it has begun.
    pub(super) text: String,
    /// Of every token, once it has ended and if they were asked for.
    pub(super) logprobs: Value,
}

/// Continuations of these kinds, STEERED or DEFAULT, one after the other. Each event is what `wrap` makes of all that is written of
/// each by then: Neuronpedia's app shows the last event, and adds nothing together. With `logprobs`, one more event at the end of each
/// has so many of the likeliest tokens at every place.
pub(super) async fn growing(
    app: Arc<App>,
    client: IpAddr,
    asked: SteerRequest,
    (normal, logprobs): (bool, usize),
    kinds: Vec<String>,
    wrap: fn(&[Piece]) -> Value,
) -> Result<Response, Refusal> {
    let prompt = asked.prompt.clone();
    let (plan, app) = work::run(move || {
        let plan = Plan::of(&app, &asked.prompt, &asked)?;
        let (live, model) = app.live()?;
        plan.steering(&app, live, model)?;
        Ok((plan, app.clone()))
    })
    .await?;
    stream(app, client, move |voice| {
        let (live, model) = voice.app.live()?;
        let steering = plan.steering(&voice.app, live, model)?;
        let steering = if normal { steering.of_unit_directions() } else { steering };
        let piece = |kind| Piece { kind, text: String::new(), logprobs: Value::Null };
        let mut written: Vec<Piece> = kinds.into_iter().map(piece).collect();
        for n in 0..written.len() {
            let steering = (written[n].kind == "STEERED").then_some(&steering);
            written[n].text.clone_from(&prompt);
            let whole = plan.write(live, model, steering, &mut |text| {
                written[n].text += &text;
                voice.say("", wrap(&written))
            })?;
            if logprobs > 0 {
                let likely = candidates(model, steering, (&plan.prompt, &whole.tokens), logprobs)?;
                written[n].logprobs = likely_rows(&voice.app, &likely)?;
                let _ = voice.say("", wrap(&written));
            }
        }
        Ok(())
    })
    .await
}

/// One feature at several strengths: effect against fluency, streamed
///
/// Events: `point` {strength, effect, delta_loss, kl, text}; `done` {default: {effect, text}, command}; `error` {error, hint}.
#[utoipa::path(post, path = "/api/v1/steer/sweep", request_body = SweepRequest,
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 400, body = Said),
              (status = 409, body = Said), (status = 429, body = Said), (status = 503, body = Said)))]
pub(super) async fn sweep(
    State(app): State<Arc<App>>,
    of: Option<Extension<Client>>,
    Input(request): Input<SweepRequest>,
) -> Result<Response, Refusal> {
    let most = app.limits().strengths;
    if request.strengths.is_empty() || request.strengths.len() > most {
        let error = format!("strengths: expected 1 to {most}, found {}", request.strengths.len());
        return Err(Refusal::bad(error, "choose fewer strengths"));
    }
    let (plans, app) = work::run(move || {
        let (live, model) = app.live()?;
        let plans = request.strengths.iter().map(|&strength| {
            let plan = Plan::of(&app, &request.prompt, &request.at(strength))?;
            plan.steering(&app, live, model)?;
            Ok(plan)
        });
        let plans = plans.collect::<Result<Vec<_>, Refusal>>()?;
        Ok(((plans, sweep_command(&app, &request)), app.clone()))
    })
    .await?;
    stream(app, client(of), move |voice| points(voice, &plans.0, &plans.1)).await
}

impl SweepRequest {
    /// One of its points as a request of its own.
    fn at(&self, strength: f32) -> SteerRequest {
        SteerRequest {
            prompt: self.prompt.clone(),
            features: vec![SteeredFeature { strength, ..self.feature.clone() }],
            positions: self.positions.clone(),
            keep_error: true,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: 1.0,
            seed: self.seed,
        }
    }
}

fn points(voice: &Voice, plans: &[Plan], command: &str) -> Result<(), Refusal> {
    let (live, model) = voice.app.live()?;
    let first = &plans[0];
    let of = live.placed(voice.app.atlas.dictionary(&first.asked[0].source)?);
    let (feature, sampling) = (first.asked[0].feature, first.sampling);
    let probe = Probe { model, of, feature, prompt: &first.prompt, max_tokens: first.max_tokens, sampling };
    let mut listened = |_| voice.listened();
    let text = |tokens: &[u32]| continuation(&live.opened.tokenizer, &first.prompt, tokens);
    let default = probe.default(&mut listened)?;
    for plan in plans {
        let point = probe.point(&plan.steering(&voice.app, live, model)?, &mut listened)?;
        let said = json!({
            "strength": plan.asked[0].strength, "effect": point.reading.effect.unwrap_or(0.0),
            "delta_loss": point.delta_loss(&default), "kl": point.kl, "text": text(&point.reading.tokens)?,
        });
        if voice.say("point", said).is_break() {
            return Ok(());
        }
    }
    let default = json!({ "effect": default.effect.unwrap_or(0.0), "text": text(&default.tokens)? });
    let _ = voice.say("done", json!({ "default": default, "command": command }));
    Ok(())
}

/// The same on a command line.
fn command(app: &App, request: &SteerRequest) -> String {
    let features = request.features.iter().filter_map(|feature| feature.asked().ok());
    let features: String =
        features.map(|asked| format!(" --feature {}", quoted(&asked.to_string()))).collect();
    let error = if request.keep_error { "" } else { " --drop-error" };
    format!(
        "lapidary steer{}{features} --prompt {} --positions {}{error} --max-tokens {} --temperature {} --top-p {} --seed {}",
        app.settings.command,
        quoted(&request.prompt),
        request.positions,
        request.max_tokens,
        request.temperature,
        request.top_p,
        request.seed
    )
}

fn sweep_command(app: &App, request: &SweepRequest) -> String {
    let strengths: Vec<String> = request.strengths.iter().map(f32::to_string).collect();
    format!("{} --sweep={}", command(app, &request.at(request.strengths[0])), strengths.join(","))
}

/// A word that a shell takes as it is.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// The address of the same setup in the app.
fn share(request: &SteerRequest) -> String {
    let mut query = vec![format!("prompt={}", escaped(&request.prompt))];
    query.extend(request.features.iter().map(|f| {
        let one = format!("{}/{}/{}/{}", f.source, f.index, f.method, f.strength);
        format!("f={}", escaped(&one))
    }));
    let SteerRequest { positions, max_tokens, temperature, top_p, seed, .. } = request;
    query.push(format!(
        "positions={}&max_tokens={max_tokens}&temperature={temperature}&top_p={top_p}&seed={seed}",
        escaped(positions)
    ));
    format!("/steer?{}", query.join("&"))
}

/// A value of a query string.
fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_and_addresses_take_any_text() {
        assert_eq!(quoted("2-res/1:add:4"), "2-res/1:add:4");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
        assert_eq!(escaped("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
