// What a feature's direction does to the next word, by the unembedding alone: the ten words it favours, the ten it
// holds back, and all of them.
import { useState } from "preact/hooks";
import type { Feature, LogitEffect } from "../api";
import { HistogramChart } from "../charts/histogram";
import { signed, visible } from "../format";
import { Bar } from "./bar";
import { Choice } from "./choice";

const GAINS = [
  ["with", "gain"],
  ["without", "no gain"],
] as const;
type Gain = (typeof GAINS)[number][0];

export function LogitEffects({ of: f, brief = false }: { of: Feature; brief?: boolean }) {
  const [gain, setGain] = useState<Gain>("with");
  if (!f.logits) return null;
  const { histogram, note } = f.logits,
    { top, bottom } = gain === "with" ? f.logits : f.logits.without_gain;
  const most = Math.max(...[...top, ...bottom].map((e) => Math.abs(e.value)), 1e-9),
    n = brief ? 5 : 10;
  return (
    <section>
      <header class="row between">
        <h2>Effect on the next word</h2>
        {!brief && <Choice label="the final norm's gain" options={GAINS} value={gain} onChange={setGain} />}
      </header>
      <div class="effects">
        <EffectList label="favoured" effects={top.slice(0, n)} most={most} tone="plus" />
        <EffectList label="held back" effects={bottom.slice(0, n)} most={most} tone="minus" />
      </div>
      {!brief && gain === "with" && (
        <HistogramChart of={histogram} xLabel="logit effect, all words" yLabel="words" signed />
      )}
      <p class="quiet small-print">
        {gain === "with" ? note : "without the final norm's gain, as other tools show it"}
      </p>
    </section>
  );
}

function EffectList({
  label,
  effects,
  most,
  tone,
}: {
  label: string;
  effects: LogitEffect[];
  most: number;
  tone: "plus" | "minus";
}) {
  return (
    <div>
      <h3>{label}</h3>
      <ol class="bars">
        {effects.map((e) => (
          <li key={e.id}>
            <code>{visible(e.token)}</code>
            <Bar value={e.value} max={most} text={signed(e.value)} tone={tone} />
          </li>
        ))}
      </ol>
    </div>
  );
}
