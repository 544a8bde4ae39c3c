// A small form that names a second feature to put beside the first.
import { useState } from "preact/hooks";
import type { Feature } from "../api";
import { go, withQuery } from "../router";

export function CompareField({ of: f }: { of: Feature }) {
  const [open, setOpen] = useState(false);
  if (!open)
    return (
      <button type="button" class="small" onClick={() => setOpen(true)}>
        Compare…
      </button>
    );
  const near = f.neighbours.across[0] ?? f.neighbours.same[0];
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const other = (new FormData(event.currentTarget as HTMLFormElement).get("other") as string).trim();
    go(withQuery({ compare: /^\d+$/.test(other) ? `${f.source}/${other}` : other.split("/").slice(-2).join("/") }));
  };
  return (
    <form class="row compare-field" onSubmit={submit}>
      <label class="hidden" for="compare">
        index of this dictionary, or SOURCE/INDEX
      </label>
      <input
        id="compare"
        name="other"
        required
        ref={(e) => e?.focus()}
        pattern="(.+/)?\d+"
        placeholder="SOURCE/INDEX"
        value={near ? `${near.source}/${near.index}` : ""}
      />
      <button class="small primary">Compare</button>
    </form>
  );
}
