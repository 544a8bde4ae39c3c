// The frame of every page: which screen a path means, its title, and the keys that work everywhere.
import { useState } from "preact/hooks";
import { random } from "./api";
import { Empty } from "./load";
import { Browse } from "./pages/browse";
import { Feature } from "./pages/feature";
import { Home } from "./pages/home";
import { Microscope } from "./pages/microscope";
import { Search } from "./pages/search";
import { Steer } from "./pages/steer";
import { SuitePage } from "./pages/suite";
import { Header, switchTheme } from "./parts/header";
import { Help, useKeys } from "./parts/help";
import { Title } from "./parts/title";
import { go, href, pageOf, usePlace, type Place } from "./router";

export function App() {
  const place = usePlace();
  const [help, setHelp] = useState(false);
  const toRandom = () =>
    random(featureOf(place.path)?.source).then(
      ({ source, index }) => go(pageOf(source, index)),
      () => go("/"),
    );
  useKeys({
    "/": () => go("/search"),
    m: () => go("/microscope"),
    h: () => go("/"),
    r: toRandom,
    t: switchTheme,
    "?": () => setHelp(true),
  });
  if (place.query.get("embed") === "true")
    return (
      <main class="embed">
        <Screen place={place} />
      </main>
    );
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          document.querySelector("main")?.focus();
        }}
      >
        to the content
      </a>
      <Header path={place.path} onHelp={() => setHelp(true)} onRandom={toRandom} />
      <main id="main" tabindex={-1}>
        <Screen place={place} />
      </main>
      <Help open={help} onClose={() => setHelp(false)} />
    </>
  );
}

/** `/f/SOURCE/INDEX`, or Neuronpedia's `/MODEL/SOURCE/INDEX`. */
function featureOf(path: string): { source: string; index: number } | null {
  const found = path.match(/^\/[^/]+\/([^/]+)\/(\d+)\/?$/);
  return found ? { source: found[1]!, index: Number(found[2]) } : null;
}

function Screen({ place }: { place: Place }) {
  const { path, query } = place;
  const feature = featureOf(path),
    browsed = path.match(/^\/browse\/([^/]+)\/?$/)?.[1];
  if (feature) return <Feature {...feature} query={query} />;
  if (browsed) return <Browse source={browsed} query={query} />;
  switch (path.replace(/(?<=.)\/$/, "")) {
    case "/":
      return <Home />;
    case "/microscope":
      return <Microscope query={query} />;
    case "/search":
      return <Search query={query} />;
    case "/steer":
      return <Steer query={query} />;
    case "/suite":
      return <SuitePage />;
    default:
      return (
        <>
          <Title text="Nothing here" />
          <Empty title={`Nothing is at ${path}.`}>
            Go <a href={href("/")}>home</a>, or <a href={href("/search")}>search</a>.
          </Empty>
        </>
      );
  }
}
