// The keys of the app, in a dialog, and the listener that obeys them.
import { useEffect, useRef } from "preact/hooks";

const KEYS = [
  ["/", "search"],
  ["m", "microscope"],
  ["h", "home"],
  ["r", "a random feature"],
  ["j or →", "next feature"],
  ["k or ←", "previous feature"],
  ["t", "light or dark"],
  ["?", "this list"],
  ["← →", "in the microscope: from token to token"],
  ["Enter", "in the microscope: lock the token"],
  ["Esc", "in the microscope: the whole text again"],
] as const;

export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      onClose={onClose}
      onClick={(e) => {
        if (e.target === dialog.current) onClose();
      }}
      aria-label="keys"
    >
      <div class="dialog">
        <h2>Keys</h2>
        <dl class="keys">
          {KEYS.map(([key, what]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </dialog>
  );
}

/** Single keys, except while somebody types or a widget wants them. */
export function useKeys(actions: Record<string, () => void>) {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const taken = (event.target as Element).closest?.("input, textarea, select, dialog, [data-keys]");
      const action = actions[event.key];
      if (taken || !action || event.metaKey || event.ctrlKey || event.altKey) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
}
