// Steer: a prompt continued twice, as the model is and with features pushed, side by side as the tokens come; and a
// sweep over strengths.
import { useEffect, useState } from "preact/hooks";
import { suite } from "../api";
import { Empty, useLoad } from "../load";
import { AddFeature } from "../parts/add-feature";
import { Continuations } from "../parts/continuations";
import { InterventionRow } from "../parts/intervention-row";
import { useRested } from "../parts/own-text";
import { Pick } from "../parts/pick";
import { POSITIONS, address, parse, type Setup } from "../parts/setup";
import { Sweep } from "../parts/sweep";
import { Title } from "../parts/title";
import { go } from "../router";
import { isStatic } from "../static";

export function Steer({ query }: { query: URLSearchParams }) {
  const [setup, setSetup] = useState(() => parse(query));
  const rested = useRested(setup);
  const loaded = useLoad(() => suite(), []).value?.model.loaded;
  useEffect(() => {
    if (address(parse(query)) !== address(setup)) setSetup(parse(query));
  }, [query.toString()]);
  useEffect(() => {
    if (rested === setup) go(address(setup), true);
  }, [rested]);
  if (isStatic)
    return (
      <>
        <Title text="Steer" />
        <Empty title="A static copy has no model to steer.">Run `lapidary serve` on your machine for this page.</Empty>
      </>
    );
  return (
    <>
      <Title text="Steer" />
      <p class="quiet">
        Push a feature while the model writes, and see beside each other what it would have written and what it writes
        now.
      </p>
      {loaded === false && (
        <Empty title="The server runs without a model.">
          Start `lapidary serve` with --model to steer; everything else works.
        </Empty>
      )}
      <div class="steer">
        <Form setup={setup} onChange={setSetup} />
        <div>
          <Continuations setup={setup} startNow={setup.prompt !== "" && setup.features.length > 0} />
          <Sweep setup={setup} />
        </div>
      </div>
    </>
  );
}

function Form({ setup, onChange }: { setup: Setup; onChange: (setup: Setup) => void }) {
  const set = (part: Partial<Setup>) => onChange({ ...setup, ...part });
  const numeric = (
    key: "max_tokens" | "temperature" | "top_p" | "seed",
    label: string,
    min: number,
    max: number,
    step: number | "any",
  ) => (
    <label>
      {label}{" "}
      <input
        type="number"
        {...{ min, max, step }}
        value={setup[key]}
        onChange={(e) => {
          if (e.currentTarget.value !== "" && e.currentTarget.checkValidity())
            set({ [key]: Number(e.currentTarget.value) });
        }}
      />
    </label>
  );
  return (
    <form class="setup" onSubmit={(e) => e.preventDefault()}>
      <label for="prompt">
        <h2>Prompt</h2>
      </label>
      <textarea
        id="prompt"
        rows={3}
        value={setup.prompt}
        onInput={(e) => set({ prompt: e.currentTarget.value })}
        placeholder="How the text begins, such as: Dora in purple handed a coat to Ned in blue."
      />
      <h2>Features</h2>
      {setup.features.map((f, i) => (
        <InterventionRow
          key={`${f.source}/${f.index}`}
          of={f}
          onChange={(changed) => set({ features: setup.features.with(i, changed) })}
          onRemove={() => set({ features: setup.features.toSpliced(i, 1) })}
        />
      ))}
      <AddFeature
        onAdd={(f) =>
          set({ features: [...setup.features.filter((g) => g.source !== f.source || g.index !== f.index), f] })
        }
      />
      <details>
        <summary>Where and how</summary>
        <div class="settings">
          <Pick
            label="applied"
            options={POSITIONS}
            value={setup.positions}
            onChange={(positions) => set({ positions })}
          />
          {numeric("max_tokens", "new tokens", 1, 256, 1)}
          {numeric("temperature", "temperature", 0, 2, "any")}
          {numeric("top_p", "top p", 0.01, 1, "any")}
          {numeric("seed", "seed", 0, 2 ** 32, 1)}
        </div>
      </details>
    </form>
  );
}
