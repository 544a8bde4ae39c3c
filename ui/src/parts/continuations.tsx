// The two continuations as they are written, with the ways to have them again: an address to share and a command line.
import { useEffect } from "preact/hooks";
import { Failure } from "../load";
import { absolute, go } from "../router";
import { Copy } from "./copy";
import { address, type Setup } from "./setup";
import { useStream } from "./use-stream";

interface Written {
  setup: Setup;
  default: string;
  steered: string;
  command: string | null;
}

function extended(written: Written, event: string, data: unknown): Written {
  if (event === "token") {
    const { which, text } = data as { which: "default" | "steered"; text: string };
    return { ...written, [which]: written[which] + text };
  }
  if (event === "done") {
    const d = data as { default: { text: string }; steered: { text: string }; command: string };
    return { ...written, default: d.default.text, steered: d.steered.text, command: d.command };
  }
  return written;
}

export function Continuations({ setup, startNow }: { setup: Setup; startNow: boolean }) {
  const { state: run, start: begin, stop } = useStream("/api/v1/steer", extended);
  const start = () => {
    go(address(setup), true);
    return begin({ ...setup, keep_error: true }, { setup, default: "", steered: "", command: null });
  };
  useEffect(() => {
    if (startNow) start();
  }, []);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && setup.prompt.trim()) start();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
  const changed = run !== null && address(run.value.setup) !== address(setup);
  return (
    <section>
      <div class="row between">
        <h2>Continuations</h2>
        <div class="row">
          {changed && !run.running && <span class="quiet">the settings have changed</span>}
          {run?.running ? (
            <button type="button" onClick={stop}>
              Stop
            </button>
          ) : (
            <button
              type="button"
              class="primary"
              disabled={!setup.prompt.trim()}
              onClick={start}
              data-tip="Ctrl + Enter"
            >
              Continue the text
            </button>
          )}
        </div>
      </div>
      {run?.error && <Failure error={run.error} />}
      <div class="pair continuations">
        <Pane
          title="As the model is"
          prompt={run?.value.setup.prompt}
          text={run?.value.default}
          running={run?.running}
        />
        <Pane
          title="Steered"
          prompt={run?.value.setup.prompt}
          text={run?.value.steered}
          running={run?.running}
          steered
        />
      </div>
      {run && !run.running && run.value.command && (
        <div class="again">
          <div class="row">
            <Copy text={absolute(address(run.value.setup))}>Copy share link</Copy>
            <Copy text={run.value.command}>Copy command</Copy>
          </div>
          <pre tabindex={0}>
            <code>{run.value.command}</code>
          </pre>
        </div>
      )}
    </section>
  );
}

interface PaneProps {
  title: string;
  prompt: string | undefined;
  text: string | undefined;
  running: boolean | undefined;
  steered?: boolean;
}

function Pane({ title, prompt, text, running, steered = false }: PaneProps) {
  return (
    <div class={`pane ${steered ? "steered" : ""}`}>
      <h3>{title}</h3>
      <p class="text" dir="auto" aria-busy={running}>
        {text === undefined ? (
          <span class="quiet">Type a prompt{steered && ", add a feature"}, and continue the text.</span>
        ) : (
          <>
            <span class="quiet">{prompt}</span>
            {text}
            {running && <span class="caret" aria-hidden="true" />}
          </>
        )}
      </p>
    </div>
  );
}
