// The tokens of the microscope as buttons in one row: arrows walk, Enter locks, Escape shows the whole text again;
// hovering is enough for the mouse.
import { useRef } from "preact/hooks";
import type { Microscope } from "../api";
import { number, visible } from "../format";
import { heat } from "./tokens";

const EMPTY = "part of a character, or a word that the model's vocabulary lacks";

interface Props {
  seen: Microscope;
  values: number[];
  locked: number | null;
  onHover: (i: number) => void;
  onClear: () => void;
  onLock: (i: number | null) => void;
}

export function Strip({ seen, values, locked, onHover, onLock, onClear }: Props) {
  const strip = useRef<HTMLDivElement>(null);
  const most = Math.max(...values, 1e-9),
    last = seen.tokens.length - 1;
  const walk = (event: KeyboardEvent, i: number) => {
    const to = { ArrowRight: Math.min(last, i + 1), ArrowLeft: Math.max(0, i - 1), Home: 0, End: last }[event.key];
    if (event.key === "Escape") onClear();
    if (to === undefined) return;
    event.preventDefault();
    (strip.current!.children[to] as HTMLElement).focus();
    if (locked !== null) onLock(to);
  };
  return (
    <div class="strip" ref={strip} data-keys role="toolbar" aria-label="tokens of the text">
      {seen.tokens.map((token, i) => {
        const value = values[i] ?? 0;
        return (
          <button
            type="button"
            key={i}
            tabindex={i === (locked ?? 0) ? 0 : -1}
            aria-pressed={i === locked}
            aria-label={`token ${i}: ${visible(token)}${value > 0 ? `, ${number(value)}` : ""}`}
            class={`${value > 0 ? "on" : ""} ${seen.special[i] ? "special" : ""}`}
            style={{ "--heat": value > 0 ? heat(value, most) : "0" }}
            onPointerEnter={() => onHover(i)}
            onFocus={() => onHover(i)}
            onKeyDown={(e) => walk(e, i)}
            onClick={() => onLock(i === locked ? null : i)}
          >
            {token.replace(/\n/g, "↵") || <span data-tip={EMPTY}>∅</span>}
          </button>
        );
      })}
    </div>
  );
}
