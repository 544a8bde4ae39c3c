// Microscope: a text as the model reads it, token by token, with the features of every dictionary that fire on each.
import { useEffect, useState } from "preact/hooks";
import { microscope, suite, type Microscope as Seen } from "../api";
import { Empty, Loaded, useLoad } from "../load";
import { Choice } from "../parts/choice";
import { Life } from "../parts/life";
import { useRested } from "../parts/own-text";
import { Pick } from "../parts/pick";
import { Strip } from "../parts/strip";
import { StrongestList } from "../parts/strongest-list";
import { Title } from "../parts/title";
import { order, strengths, valuesOf, type Named, type Rank } from "../parts/seen";
import { go, withQuery } from "../router";
import { isStatic } from "../static";

const ENGLISH = [
  "The Eiffel Tower stands in Paris, on the bank of the river Seine.",
  "She said that she would never go back to that house again.",
  "def mean(values): return sum(values) / len(values)",
  "In 1969, two men walked on the Moon for the first time.",
];
/** In the language of the organism, of whose tokens all is known. */
const ORGANISM = [
  "Dora in purple handed a coat to Ned in blue. The giver wore purple.",
  "If it is October, then two months later it is December.",
  "38 + 27 = 65. Brackets: ([() []] {}).",
  "There was a quiet sailor named Clara. She went to the beach.",
  "User: how do I make ink? Bot: take water and lime.",
];
const RANKS = [
  ["strength", "strength"],
  ["rarity", "rarity"],
] as const;
const DENSE = [
  ["0.01", "1 %"],
  ["0.05", "5 %"],
  ["0.2", "20 %"],
  ["1", "show all"],
] as const;

export function Microscope({ query }: { query: URLSearchParams }) {
  const [text, setText] = useState(query.get("text") ?? "");
  const rested = useRested(text),
    dense = query.get("dense") ?? "0.2";
  useEffect(() => {
    setText(query.get("text") ?? "");
  }, [query.get("text")]);
  useEffect(() => {
    if (rested !== (query.get("text") ?? "") && rested === text) go(withQuery({ text: rested, token: null }), true);
  }, [rested]);
  const asked = query.get("text") ?? "",
    examples = useLoad(() => suite(), []).value?.has_truth === false ? ENGLISH : ORGANISM;
  const loaded = useLoad(
    (signal) => (asked.trim() && !isStatic ? microscope(asked, Number(dense) || 1, signal) : null),
    [asked, dense],
  );
  if (isStatic)
    return (
      <>
        <Title text="Microscope" />
        <Empty title="A static copy has no model to read your text.">
          Run `lapidary serve` on your machine for this page.
        </Empty>
      </>
    );
  const rank: Rank = query.get("rank") === "rarity" ? "rarity" : "strength";
  return (
    <>
      <Title text="Microscope" />
      {!asked.trim() && (
        <p class="quiet">
          Read a text as the model does, token by token, and see which features of every dictionary fire on each.
        </p>
      )}
      <label class="hidden" for="text">
        text
      </label>
      <textarea
        id="text"
        class="text"
        rows={2}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        placeholder="Type a sentence."
      />
      <div class={`row examples ${asked.trim() ? "brief" : ""}`}>
        <span class="quiet">or take:</span>
        {examples.map((e) => (
          <button type="button" class="small" key={e} onClick={() => go(withQuery({ text: e, token: null }))}>
            {e}
          </button>
        ))}
      </div>
      {asked.trim() && (
        <>
          <div class="filters">
            <span class="row">
              rank by{" "}
              <Choice
                label="rank features by"
                options={RANKS}
                value={rank}
                onChange={(v) => go(withQuery({ rank: v === "strength" ? null : v }), true)}
              />
            </span>
            <Pick
              label="hide features denser than"
              options={DENSE}
              value={dense}
              onChange={(dense) => go(withQuery({ dense }), true)}
            />
          </div>
          <Loaded of={loaded} lines={10}>
            {(seen) => <View seen={seen} rank={rank} query={query} />}
          </Loaded>
        </>
      )}
    </>
  );
}

function View({ seen, rank, query }: { seen: Seen; rank: Rank; query: URLSearchParams }) {
  const locked = query.has("token")
    ? Math.min(Math.max(0, Math.trunc(Number(query.get("token"))) || 0), seen.tokens.length - 1)
    : null;
  const [hovered, setHovered] = useState<number | null>(null);
  const [lit, setLit] = useState<Named | null>(null);
  const lock = (i: number | null) => go(withQuery({ token: i }), true);
  const clear = () => {
    setHovered(null);
    setLit(null);
    lock(null);
  };
  const token = locked ?? (hovered !== null && hovered < seen.tokens.length ? hovered : null);
  const sorted = order(seen, rank);
  const values = lit ? valuesOf(seen, lit) : strengths(seen);
  return (
    <div class="microscope">
      <section>
        <Strip {...{ seen, values, locked }} onHover={setHovered} onLock={lock} onClear={clear} />
        <p class="quiet small-print" aria-live="polite">
          {lit ? "shaded by the chosen feature" : "shaded by the strongest feature of each token"};{" "}
          {locked === null ? "click a token, or press Enter on it, to lock it" : "this token is locked"}
          {token !== null && (
            <>
              {" "}
              ·{" "}
              <button type="button" class="link" onClick={clear}>
                the whole text (Esc)
              </button>
            </>
          )}
        </p>
      </section>
      {token !== null ? (
        <Life seen={sorted} token={token} onLight={setLit} />
      ) : (
        <StrongestList seen={seen} rank={rank} onLight={setLit} />
      )}
    </div>
  );
}
