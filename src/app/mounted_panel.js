(script, wasm) => {
  let panel = document.querySelector("[data-panel]");
  const bars = document.querySelectorAll(".crash-bar");
  let isLive = false;
  let hasCrashed = false;
  let isComposing = false;
  addEventListener("compositionstart", () => { isComposing = true; });
  addEventListener("compositionend", () => { isComposing = false; });
  const mark = (value) => {
    try {
      if (value !== undefined) sessionStorage.setItem("crash", value);
      return sessionStorage.getItem("crash");
    } catch { return null; }
  };
  const replacePanel = (next) => {
    for (const node of panel.querySelectorAll("textarea,input,button,a,.list__scroller")) {
      const by = node.name ? "[name=" + CSS.escape(node.name) + "]" : "." + CSS.escape(node.classList[0] ?? "-");
      const twin = next.querySelector(by);
      if (!twin) continue;
      if (node.defaultValue !== undefined && node.value !== node.defaultValue) twin.value = node.value;
      if (node === document.activeElement) {
        twin.focus({ preventScroll: true });
        if (node.selectionStart != null) twin.setSelectionRange(node.selectionStart, node.selectionEnd, node.selectionDirection);
      }
      twin.scrollTop = node.scrollTop;
    }
    panel.remove();
    panel = next;
  };
  const crashed = () => {
    if (hasCrashed) return;
    hasCrashed = true;
    if (isLive) {
      const copy = panel.cloneNode(true);
      panel.after(copy);
      replacePanel(copy);
    }
    const isSecond = Date.now() - mark() < 60000;
    mark(isSecond ? "plain" : Date.now());
    bars[isSecond ? 1 : 0].hidden = false;
  };
  const look = (error) => {
    if (error instanceof WebAssembly.RuntimeError || /wasm/.test(error?.stack)) crashed();
  };
  addEventListener("error", (event) => look(event.error));
  addEventListener("unhandledrejection", (event) => look(event.reason));
  bars[1].querySelector("a").addEventListener("click", () => mark(""));
  if (mark() === "plain") {
    bars[1].hidden = false;
    return;
  }
  const load = async () => {
    const module = await import(script);
    await module.default({ module_or_path: wasm });
    return module;
  };
  const start = async (module) => {
    if (isComposing) {
      await new Promise((ended) => {
        addEventListener("compositionend", ended);
        setTimeout(ended, 5000);
      });
    }
    const next = panel.cloneNode();
    panel.after(next);
    try {
      if (!module.mount(next)) throw new SyntaxError();
    } catch (error) {
      next.remove();
      throw error;
    }
    replacePanel(next);
    isLive = true;
  };
  load().then(
    (module) => start(module).catch(crashed),
    (error) => {
      if (error instanceof TypeError || error instanceof DOMException) bars[0].hidden = false;
      else crashed();
    },
  );
}
