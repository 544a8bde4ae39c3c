// A sweep over strengths of one feature: what it does against what it costs in fluency, drawn as the points arrive.
import { useState } from "preact/hooks";
import type { Intervention, SweepEnd, SweepPoint } from "../api";
import { Curve } from "../charts/curve";
import { number } from "../format";
import { Failure } from "../load";
import { Copy } from "./copy";
import { shortSource } from "./feature-link";
import { Pick } from "./pick";
import type { Setup } from "./setup";
import { useStream } from "./use-stream";

const STEPS = 11;
const TOKENS = 24;

/** Even steps as far as twice the strength that is set: through zero, but where a negative one means nothing. */
export function strengthsFor(f: Intervention): number[] {
  const most = Number((2 * Math.abs(f.strength) || 5).toPrecision(2)),
    low = f.method === "cap" || f.method === "clamp" ? 0 : -most;
  return Array.from({ length: STEPS }, (_, i) => Number((low + ((most - low) * i) / (STEPS - 1)).toPrecision(4)));
}

interface Swept {
  feature: Intervention;
  points: SweepPoint[];
  end: SweepEnd | null;
}
const taken = (s: Swept, event: string, data: unknown): Swept =>
  event === "point"
    ? { ...s, points: [...s.points, data as SweepPoint] }
    : event === "done"
      ? { ...s, end: data as SweepEnd }
      : s;

export function Sweep({ setup }: { setup: Setup }) {
  const { state: swept, start: begin } = useStream("/api/v1/steer/sweep", taken);
  const [chosen, setChosen] = useState(0);
  const able = setup.features.filter((f) => f.method !== "ablate"),
    feature = able[chosen] ?? able[0];
  const start = (feature: Intervention) => {
    const { source, index, method } = feature,
      { prompt, positions, temperature, seed } = setup;
    begin(
      {
        prompt,
        feature: { source, index, method },
        strengths: strengthsFor(feature),
        positions,
        max_tokens: TOKENS,
        temperature,
        seed,
      },
      { feature, points: [], end: null },
    );
  };
  return (
    <section>
      <div class="row between">
        <h2>Sweep of strengths</h2>
        <div class="row">
          {able.length > 1 && (
            <Pick
              label="feature"
              options={able.map((f, i) => [String(i), `${shortSource(f.source)} #${f.index}`] as const)}
              value={String(able.indexOf(feature!))}
              onChange={(i) => setChosen(Number(i))}
            />
          )}
          <button
            type="button"
            disabled={!feature || !setup.prompt.trim() || swept?.running}
            onClick={() => feature && start(feature)}
          >
            {swept?.running ? `${swept.value.points.length} of ${STEPS}` : "Sweep"}
          </button>
        </div>
      </div>
      {!swept && (
        <p class="quiet">
          Runs {STEPS} strengths of one feature and draws what each does against what it costs in fluency.
        </p>
      )}
      {swept?.error && <Failure error={swept.error} />}
      {swept && swept.value.points.length > 0 && <Drawn of={swept.value} />}
    </section>
  );
}

function Drawn({ of: { feature, points, end } }: { of: Swept }) {
  const all = strengthsFor(feature),
    domain: [number, number] = [all[0]!, all[all.length - 1]!];
  const tip = (p: SweepPoint) =>
    `strength ${number(p.strength)}\neffect ${number(p.effect)}\nΔloss ${number(p.delta_loss)}\nKL ${number(p.kl)}`;
  const drawn = (x: (p: SweepPoint) => number | null, y: (p: SweepPoint) => number | null) =>
    points.flatMap((p) => {
      const [a, b] = [x(p), y(p)];
      return a === null || b === null ? [] : [{ x: a, y: b, tip: tip(p) }];
    });
  return (
    <>
      <div class="trio">
        <Curve
          points={drawn(
            (p) => p.strength,
            (p) => p.effect,
          )}
          xLabel="strength"
          yLabel="effect"
          xDomain={domain}
          tone="plus"
        />
        <Curve
          points={drawn(
            (p) => p.strength,
            (p) => p.delta_loss,
          )}
          xLabel="strength"
          yLabel="Δloss, nats/token ↓"
          xDomain={domain}
          tone="minus"
        />
        <Curve
          points={drawn(
            (p) => p.strength,
            (p) => p.kl,
          )}
          xLabel="strength"
          yLabel="KL, nats/token ↓"
          xDomain={domain}
          tone="minus"
        />
        <Curve
          points={drawn(
            (p) => p.delta_loss,
            (p) => p.effect,
          )}
          xLabel="Δloss"
          yLabel="effect against fluency"
          xDomain={null}
          tone="bar"
          joined={false}
        />
      </div>
      <p class="quiet small-print">
        effect: mean activation of the feature when the model as it is reads what was written
        {end && `; ${number(end.default.effect)} without steering`}. Δloss: how much less likely it finds that text than
        its own. KL: from the steered model's next words to its own.
      </p>
      {end?.command && (
        <p class="small-print">
          <Copy text={end.command}>Copy command</Copy>
        </p>
      )}
      <details>
        <summary>What it wrote at each strength</summary>
        <dl class="swept">
          {end && (
            <div>
              <dt>as it is</dt>
              <dd dir="auto">{end.default.text}</dd>
            </div>
          )}
          {points.map((p) => (
            <div key={p.strength}>
              <dt class="num">{number(p.strength)}</dt>
              <dd dir="auto">{p.text}</dd>
            </div>
          ))}
        </dl>
      </details>
    </>
  );
}
