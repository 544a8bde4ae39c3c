// Where a feature fires: its strongest contexts, then samples of each band of strength; as snippets, in full, or
// stacked on the firing token.
import { useState } from "preact/hooks";
import type { Context, Feature } from "../api";
import { number, percent, visible } from "../format";
import { Choice } from "./choice";
import { Tokens } from "./tokens";

const VIEWS = [
  ["snippet", "Snippet"],
  ["full", "Full"],
  ["stacked", "Stacked"],
] as const;
type View = (typeof VIEWS)[number][0];
/** Strongest contexts before one asks for more. */
const FIRST = 8;
const REACH = { snippet: 16, stacked: 8 };

export function Contexts({ of, compact = false }: { of: Feature; compact?: boolean }) {
  const [view, setView] = useState<View>("snippet");
  const [breaks, setBreaks] = useState(false);
  const [all, setAll] = useState(false);
  const group = (contexts: Context[]) => <ContextList {...{ contexts, view, breaks, max: of.max }} />;
  return (
    <section class="contexts">
      <header class="row between">
        <h2>Where it fires</h2>
        <div class="row">
          {view === "full" && (
            <label class="check">
              <input type="checkbox" checked={breaks} onChange={() => setBreaks(!breaks)} /> line breaks
            </label>
          )}
          <Choice label="how contexts are shown" options={VIEWS} value={view} onChange={setView} />
        </div>
      </header>
      <h3>Strongest</h3>
      {group(all ? of.contexts.top : of.contexts.top.slice(0, FIRST))}
      {of.contexts.top.length > FIRST && !all && (
        <button type="button" class="small more" onClick={() => setAll(true)}>
          all {of.contexts.top.length}
        </button>
      )}
      {!compact &&
        of.contexts.quantiles.map((q) => (
          <div key={q.low}>
            <h3>
              From {number(q.low)} to {number(q.high)} <span class="quiet">{percent(q.share)} of firings</span>
            </h3>
            {group(q.contexts)}
          </div>
        ))}
    </section>
  );
}

interface ListProps {
  contexts: Context[];
  view: View;
  breaks: boolean;
  max: number;
}

function ContextList({ contexts, view, breaks, max }: ListProps) {
  if (!contexts.length) return <p class="quiet">No sample lies in this band.</p>;
  if (view === "stacked") return <Stacked contexts={contexts} max={max} />;
  return (
    <ol class="context-list">
      {contexts.map((c) => (
        <li key={`${c.document} ${c.start} ${c.peak}`}>
          <span class="value" data-tip={`document ${c.document}, tokens from ${c.start}`}>
            {number(c.max)}
          </span>
          <p dir="auto">
            <Snippet context={c} max={max} whole={view === "full"} breaks={breaks} />
          </p>
        </li>
      ))}
    </ol>
  );
}

function Snippet({
  context: c,
  max,
  whole,
  breaks,
}: {
  context: Context;
  max: number;
  whole: boolean;
  breaks: boolean;
}) {
  const from = whole ? 0 : Math.max(0, c.peak - REACH.snippet),
    to = whole ? c.tokens.length : Math.min(c.tokens.length, c.peak + REACH.snippet + 1);
  return (
    <>
      {from > 0 && <span class="cut">…</span>}
      <Tokens
        tokens={c.tokens}
        values={c.values}
        max={max}
        truth={c.truth}
        from={from}
        to={to}
        peak={c.peak}
        breaks={breaks}
      />
      {to < c.tokens.length && <span class="cut">{"\u00a0…"}</span>}
    </>
  );
}

function Stacked({ contexts, max }: { contexts: Context[]; max: number }) {
  return (
    <div class="stacked" role="table" aria-label="contexts aligned at the firing token">
      {contexts.map((c) => {
        const shared = { tokens: c.tokens, values: c.values, max, truth: c.truth };
        return (
          <div role="row" key={`${c.document} ${c.start} ${c.peak}`}>
            <span role="cell" class="before">
              <bdi>
                <Tokens {...shared} from={Math.max(0, c.peak - REACH.stacked)} to={c.peak} />
              </bdi>
            </span>
            <span role="cell" class="at" data-tip={`${visible(c.tokens[c.peak])}  ${number(c.max)}`}>
              <Tokens {...shared} from={c.peak} to={c.peak + 1} peak={c.peak} />
            </span>
            <span role="cell" class="after">
              <Tokens {...shared} from={c.peak + 1} to={Math.min(c.tokens.length, c.peak + 1 + REACH.stacked)} />
            </span>
          </div>
        );
      })}
    </div>
  );
}
