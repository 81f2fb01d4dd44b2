// The panel of the plan: what the operation in the editor will ask of the services, wave by wave, without running it.

const { createElement: h, useState } = React;
const { useEditorContext } = GraphiQL.React;
const TITLE = "Plan";

/** `ask({ query, variables, operationName })` gives the gateway's answer to the request to explain. */
export function explainPlugin(ask) {
  return {
    title: TITLE,
    icon: () =>
      h(
        "svg",
        { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.5, strokeLinejoin: "round" },
        h("path", { d: "M4 5h6M4 12h10M4 19h6M14 5h6M18 12h2M14 19h6" }),
      ),
    content: () => h(Panel, { ask }),
  };
}

function Panel({ ask }) {
  const { queryEditor, variableEditor } = useEditorContext({ nonNull: true });
  const [text, setText] = useState("");
  const explain = async () => {
    setText("…");
    setText(await told(ask, queryEditor?.getValue() ?? "", variableEditor?.getValue() ?? "", queryEditor?.operationName));
  };
  return h(
    "section",
    { className: "plan", "aria-label": TITLE },
    h("h2", null, TITLE),
    h("p", null, "What the operation in the editor will ask of the services. Nothing is run."),
    h("button", { type: "button", onClick: explain }, "Explain"),
    h("pre", { role: "status" }, text),
  );
}

async function told(ask, query, variablesText, operationName) {
  let variables;
  try {
    variables = variablesText.trim() === "" ? undefined : JSON.parse(variablesText);
  } catch {
    return "The variables are no JSON.";
  }
  try {
    const { errors, extensions } = await ask({ query, variables, operationName });
    return extensions?.explain?.text ?? errors?.map(({ message }) => message).join("\n") ?? "The gateway said nothing of it.";
  } catch {
    return "The gateway gave no answer.";
  }
}
