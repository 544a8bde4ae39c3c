// A box to try a feature on one's own text: the tokens are shaded as soon as one stops typing.
import { useEffect, useState } from "preact/hooks";
import { test, type Feature } from "../api";
import { number } from "../format";
import { Loaded, useLoad } from "../load";
import { Tokens } from "./tokens";

const PAUSE = 250;

/** A value that follows another once it has rested. */
export function useRested<T>(value: T, pause = PAUSE): T {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), pause);
    return () => clearTimeout(timer);
  }, [value]);
  return rested;
}

export function OwnText({ of: f, initial = "", field = true }: { of: Feature; initial?: string; field?: boolean }) {
  const [text, setText] = useState(initial);
  const rested = useRested(text);
  const loaded = useLoad(
    (signal) => (rested.trim() ? test(rested, f.source, f.index, signal) : null),
    [rested, f.source, f.index],
  );
  return (
    <section class="own-text">
      {field && (
        <>
          <label for="own-text">
            <h2>Try your own text</h2>
          </label>
          <textarea
            id="own-text"
            rows={2}
            value={text}
            onInput={(e) => setText(e.currentTarget.value)}
            placeholder="Type a sentence to see where this feature fires."
          />
        </>
      )}
      {rested.trim() && (
        <Loaded of={loaded} lines={2}>
          {(t) => <Result of={t} max={f.max} />}
        </Loaded>
      )}
    </section>
  );
}

function Result({ of: t, max }: { of: { tokens: string[]; values: number[]; special: boolean[] }; max: number }) {
  const most = Math.max(0, ...t.values);
  return (
    <div class="result" aria-live="polite">
      <p dir="auto">
        <Tokens tokens={t.tokens} values={t.values} special={t.special} max={max} peak={t.values.indexOf(most)} />
      </p>
      <p class="quiet small-print">
        {most > 0 ? `strongest here ${number(most)}, in the atlas ${number(max)}` : "it does not fire on this text"}
      </p>
    </div>
  );
}
