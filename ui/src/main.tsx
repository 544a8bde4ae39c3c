// Where the app begins.
import { render } from "preact";
import { App } from "./app";
import { installTips } from "./parts/tip";
import "./styles/theme.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";

render(<App />, document.getElementById("app")!);
installTips();
