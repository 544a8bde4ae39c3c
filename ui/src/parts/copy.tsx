// A button that puts a text on the clipboard and says so.
import { useState } from "preact/hooks";

export function Copy({ text, children, tip }: { text: string; children: string; tip?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await write(text);
    setDone(true);
    setTimeout(() => setDone(false), 1400);
  };
  return (
    <button type="button" class="small" onClick={copy} data-tip={tip}>
      <span aria-live="polite">{done ? "copied" : children}</span>
    </button>
  );
}

/** The clipboard is closed to pages without https or localhost; there the old way still works. */
async function write(text: string) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.body.appendChild(Object.assign(document.createElement("textarea"), { value: text }));
  area.select();
  document.execCommand("copy");
  area.remove();
}
