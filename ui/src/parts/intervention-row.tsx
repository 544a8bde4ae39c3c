// One feature that is pushed: what it stands for, by which method, how strongly.
import { METHODS, feature, type Intervention, type Method } from "../api";
import { number } from "../format";
import { useLoad } from "../load";
import { headline } from "./explanations";
import { FeatureLink } from "./feature-link";
import { METHOD_SAYS, firstStrength, span } from "./setup";

interface Props {
  of: Intervention;
  onChange: (changed: Intervention) => void;
  onRemove: () => void;
}

export function InterventionRow({ of: f, onChange, onRemove }: Props) {
  const known = useLoad(() => feature(f.source, f.index), [f.source, f.index]);
  const max = known.value?.max ?? 0,
    [low, high] = span(f.method, max);
  const strength = (event: Event) => {
    const v = (event.currentTarget as HTMLInputElement).value;
    if (v !== "" && Number.isFinite(Number(v))) onChange({ ...f, strength: Number(v) });
  };
  const method = (event: Event) => {
    const chosen = (event.currentTarget as HTMLSelectElement).value as Method;
    onChange({ ...f, method: chosen, strength: firstStrength(chosen, max) });
  };
  return (
    <div class="intervention">
      <div class="row between">
        <FeatureLink
          source={f.source}
          index={f.index}
          explanation={known.value ? headline(known.value) : known.error ? known.error.message : "…"}
        />
        <button type="button" class="small icon" onClick={onRemove} aria-label={`remove ${f.source} ${f.index}`}>
          ×
        </button>
      </div>
      <div class="row">
        <select aria-label="method" value={f.method} onChange={method}>
          {METHODS.map((m) => (
            <option key={m} value={m}>
              {m}
            </option>
          ))}
        </select>
        {f.method !== "ablate" && (
          <>
            <input
              type="range"
              aria-label="strength"
              min={Math.min(low, f.strength)}
              max={Math.max(high, f.strength)}
              step={(high - low) / 200}
              value={f.strength}
              onInput={strength}
            />
            <input type="number" aria-label="strength as a number" step="any" value={f.strength} onChange={strength} />
          </>
        )}
      </div>
      <p class="quiet small-print">
        {METHOD_SAYS[f.method]}
        {known.value &&
          !known.value.dead &&
          f.method !== "ablate" &&
          `; by itself it reaches ${number(known.value.max)}`}
      </p>
    </div>
  );
}
