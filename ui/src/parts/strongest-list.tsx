// The features of one dictionary over a whole text, strongest or rarest first, with the words on which each fires.
import { useState } from "preact/hooks";
import type { Microscope } from "../api";
import { number, percent, visible } from "../format";
import { Empty } from "../load";
import { FeatureLink, shortSource } from "./feature-link";
import { Pick } from "./pick";
import { overText, type Named, type Rank } from "./seen";

const SHOWN = 24;

export function StrongestList({
  seen,
  rank,
  onLight,
}: {
  seen: Microscope;
  rank: Rank;
  onLight: (feature: Named | null) => void;
}) {
  const [chosen, setChosen] = useState(() => preferred(seen));
  const source = seen.sources.some((s) => s.source === chosen) ? chosen : preferred(seen);
  const list = overText(seen, source, rank);
  return (
    <section>
      <header class="row between">
        <h2>{rank === "strength" ? "Strongest" : "Rarest"} features of this text</h2>
        <Pick
          label="at"
          options={seen.sources.map((s) => [s.source, shortSource(s.source)] as const)}
          value={source}
          onChange={setChosen}
        />
      </header>
      {!list.length && <Empty title="Nothing fires here.">Choose another dictionary, or show denser features.</Empty>}
      <ol class="hits" onPointerLeave={() => onLight(null)}>
        {list.slice(0, SHOWN).map((f) => (
          <li key={f.index} onPointerEnter={() => onLight(f)} onFocusIn={() => onLight(f)}>
            <FeatureLink source={source} index={f.index} explanation={f.explanation} site={false} />
            <span class="where">
              {[...new Set(f.tokens.map((i) => visible(seen.tokens[i]).replace(/^·/, "")))].slice(0, 6).map((t) => (
                <code key={t}>{t}</code>
              ))}
            </span>
            <span class="figures quiet">
              <span data-tip="activation">{number(f.value)}</span> <span data-tip="density">{percent(f.density)}</span>
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** A residual stream in the middle says most about a text. */
function preferred(seen: Microscope): string {
  const residual = seen.sources.filter((s) => s.site.endsWith(".res"));
  return (residual[Math.floor(residual.length / 2)] ?? seen.sources[0])?.source ?? "";
}
