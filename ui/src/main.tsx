// Where the app begins.
import { render } from "preact";
import { App } from "./app";
import { installTips } from "./parts/tip";
import "./styles/theme.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/text.css";
import "./styles/charts.css";
import "./styles/lists.css";
import "./styles/pages.css";
import "./styles/lab.css";

render(<App />, document.getElementById("app")!);
installTips();
