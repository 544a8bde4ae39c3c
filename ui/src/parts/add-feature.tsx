// A field that finds a feature to push: by words of its explanation, or by SOURCE/INDEX.
import { useState } from "preact/hooks";
import { feature, search, type Intervention } from "../api";
import { Loaded, useLoad } from "../load";
import { shortSource } from "./feature-link";
import { useRested } from "./own-text";
import { firstStrength } from "./setup";

const SHOWN = 8;

export function AddFeature({ onAdd }: { onAdd: (added: Intervention) => void }) {
  const [typed, setTyped] = useState("");
  const wanted = useRested(typed.trim());
  const loaded = useLoad(() => (wanted ? find(wanted) : null), [wanted]);
  const add = (found: Found) => {
    setTyped("");
    onAdd({ source: found.source, index: found.index, method: "add", strength: firstStrength("add", found.max) });
  };
  return (
    <div class="add-feature">
      <label class="hidden" for="add">
        add a feature
      </label>
      <input
        id="add"
        type="search"
        value={typed}
        onInput={(e) => setTyped(e.currentTarget.value)}
        placeholder="Add one: a word, or SOURCE/INDEX"
        autocomplete="off"
      />
      {typed.trim() && wanted && (
        <Loaded of={loaded} lines={2}>
          {(found) => (
            <ul class="options">
              {found.map((f) => (
                <li key={`${f.source} ${f.index}`}>
                  <button type="button" onClick={() => add(f)}>
                    <span class="id">
                      {shortSource(f.source)} #{f.index}
                    </span>{" "}
                    {f.explanation ?? "no explanation"}
                  </button>
                </li>
              ))}
              {!found.length && <li class="quiet">Nothing is called so.</li>}
            </ul>
          )}
        </Loaded>
      )}
    </div>
  );
}

interface Found {
  source: string;
  index: number;
  max: number;
  explanation: string | null;
}

async function find(wanted: string): Promise<Found[]> {
  const named = wanted.match(/([^/\s]+)\/(\d+)$/);
  if (!named) return (await search({ q: wanted, limit: SHOWN })).results;
  const f = await feature(named[1]!, Number(named[2]));
  return [{ ...f, explanation: f.explanations[0]?.text ?? null }];
}
