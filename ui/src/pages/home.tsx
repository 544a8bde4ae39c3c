// Home: the model as a column of layers × sites, each cell a dictionary shaded by a score, with the Pareto plot beside
// it.
import { useState } from "preact/hooks";
import { suite, type Suite } from "../api";
import { count } from "../format";
import { Loaded, useLoad } from "../load";
import { Pareto } from "../parts/pareto";
import { Column } from "../parts/column";
import { Pick } from "../parts/pick";
import { useTitle } from "../parts/title";
import { go, href } from "../router";
import { isStatic } from "../static";

export function Home() {
  useTitle("");
  const loaded = useLoad(() => suite(), []);
  return (
    <Loaded of={loaded} lines={12}>
      {(suite) => <Opened suite={suite} />}
    </Loaded>
  );
}

function Opened({ suite }: { suite: Suite }) {
  const measured = suite.scores.filter((s) => suite.dictionaries.some((d) => d.scores[s.key] != null));
  const [key, setKey] = useState((measured.find((s) => s.better !== "none") ?? measured[0])?.key ?? "l0");
  const score = measured.find((s) => s.key === key);
  return (
    <>
      <section class="hero">
        <div>
          <h1>{suite.name}</h1>
          <p class="lede">
            A language model turns every word it reads into a few hundred numbers, none of which means anything by
            itself. A <em>sparse autoencoder</em> rewrites those numbers as a short list of <em>features</em>, each of
            which tends to stand for one thing: a colour, a month, the end of a quotation. Every cell below is such a
            dictionary at one place of the model: open one to see its features
            {isStatic ? "." : ", or type a sentence and watch them light up."}
          </p>
        </div>
        <Doors />
      </section>
      <div class="home">
        <section>
          <header class="row between">
            <h2>The model</h2>
            <Pick
              label="shaded by"
              options={measured.map((s) => [s.key, s.label] as const)}
              value={key}
              onChange={setKey}
            />
          </header>
          <Column suite={suite} score={score} />
          <p class="quiet">{suite.description}</p>
        </section>
        <section>
          <Pareto suite={suite} />
        </section>
      </div>
      <p class="facts quiet">
        {suite.model.name}: {suite.model.layers} layers, width {count(suite.model.width)}, {suite.model.heads} heads,{" "}
        {count(suite.model.vocab)} tokens in its vocabulary. Read over {count(suite.text.tokens)} tokens of{" "}
        {suite.text.name}. <a href={href("/suite")}>All scores</a>
      </p>
    </>
  );
}

/** The ways in: a sentence to type, a word to look for. */
function Doors() {
  const submit = (to: string, name: string) => (event: SubmitEvent) => {
    event.preventDefault();
    const text = new FormData(event.currentTarget as HTMLFormElement).get(name) as string;
    go(`${to}${encodeURIComponent(text)}`);
  };
  return (
    <div class="doors">
      {!isStatic && (
        <form onSubmit={submit("/microscope?text=", "text")}>
          <label for="door-text">Type a sentence</label>
          <div class="field">
            <input id="door-text" name="text" required placeholder="The giver wore purple." autocomplete="off" />
            <button class="primary">Look</button>
          </div>
        </form>
      )}
      <form onSubmit={submit("/search?q=", "q")}>
        <label for="door-search">Look for a feature</label>
        <div class="field">
          <input id="door-search" name="q" required placeholder="colour" autocomplete="off" />
          <button>Search</button>
        </div>
      </form>
    </div>
  );
}
