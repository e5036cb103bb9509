/* Small manners of every page: live updates, times, toasts, shortcuts, dialogs.
   Everything works without this file; it holds no words, texts come from the page.
   The socket brings hints: after every (re)connect the page fetches its rows again. */
(() => {
  "use strict";
  const { body } = document;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => root.querySelectorAll(selector);
  const on = (name, handler, target = document, capture = false) => target.addEventListener(name, handler, capture);
  const lang = document.documentElement.lang || "en";

  /* Relative times */
  const words = new Intl.RelativeTimeFormat(lang, { style: "narrow" });
  const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const show = (time, text) => { if (time.textContent !== text) time.textContent = text; };
  const showTimes = (root) => {
    for (const time of $$("time[data-ago]", root)) {
      const past = Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000);
      const [unit, size] = steps.find((step) => past >= step[1]) || steps[3];
      show(time, words.format(-Math.floor(past / size), unit));
    }
  };
  /* Clocks down to a moment, or up from one: 4:12, 1:02:03, 0:00 */
  const two = (number) => String(number).padStart(2, "0");
  const showClocks = (root) => {
    for (const time of $$("time[data-until], time[data-since]", root)) {
      const ahead = Math.round((Date.parse(time.dateTime) - Date.now()) / 1000);
      const left = Math.max(0, time.matches("[data-since]") ? -ahead : ahead);
      const hours = Math.floor(left / 3600), minutes = Math.floor(left / 60) % 60;
      show(time, `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(left % 60)}`);
    }
  };
  const tick = (root) => { showTimes(root); showClocks(root); };
  setInterval(() => {
    if (document.hidden) return;
    tick(document);
    refresh("[data-often]");
  }, 1000);

  /* Toasts leave after 6 s; errors stay, so does one being read */
  const seen = new WeakSet();
  const startToasts = () => {
    for (const toast of $$(".toast")) {
      if (seen.has(toast)) continue;
      seen.add(toast);
      if (toast.hasAttribute("data-stay")) continue;
      const timer = setInterval(() => {
        if (toast.matches(":hover, :focus-within")) return;
        clearInterval(timer);
        toast.remove();
      }, 6000);
    }
  };
  const addToast = (id) => {
    const template = $("#" + id), toasts = $("#toasts");
    if (!template || !toasts || $("[data-from=" + id + "]")) return;
    toasts.append(template.content.cloneNode(true));
    toasts.lastElementChild.dataset.from = id;
  };

  /* The spoken line: data-announce, when that text changes */
  const spoken = new Map();
  const announce = (element, aloud) => {
    for (const node of [element, ...$$("[data-announce]", element)]) {
      const text = node.dataset?.announce, before = spoken.get(node.id);
      if (!text || text === before) continue;
      spoken.set(node.id, text);
      if (aloud) $("dialog[open] [role=status], #live-status").textContent = text;
    }
  };

  /* A log follows its end until one scrolls up */
  const scrolled = new Map();
  on("scroll", ({ target }) => {
    if (!target.matches?.("[data-follow]")) return;
    const atEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 8;
    scrolled.set(target.id, atEnd ? Infinity : target.scrollTop);
  }, document, true);
  const follow = (root) => {
    for (const log of $$("[data-follow]", root)) log.scrollTop = Math.min(scrolled.get(log.id) ?? Infinity, log.scrollHeight);
  };

  /* An open menu stays open over a swap */
  let openMenu = "";
  ["htmx:beforeSwap", "htmx:oobBeforeSwap"].forEach((name) => on(name, () => {
    openMenu = $("details.menu[open]")?.id;
  }));
  on("submit", ({ target }) => {
    const menu = target.closest("details.menu");
    if (!menu) return;
    menu.open = false;
    $("summary", menu).focus();
  });
  ["htmx:afterSwap", "htmx:oobAfterSwap"].forEach((name) => on(name, () => {
    const menu = openMenu && document.getElementById(openMenu);
    if (menu) menu.open = true;
  }));

  /* A red dot on the tab while a banner stands */
  const showIcon = () => {
    const tab = $("link[rel=icon]"), { icon } = $("#alerts")?.dataset || {};
    if (icon && tab.getAttribute("href") !== icon) tab.href = icon;
  };

  on("htmx:afterSwap", ({ target }) => target.closest("dialog:not([open])")?.showModal());
  on("htmx:load", ({ detail: { elt } }) => {
    tick(elt);
    showIcon();
    startToasts();
    follow(elt);
    announce(elt, elt !== body);
  });

  /* Answers: an error is shown only where the server told us to put it */
  on("htmx:beforeSwap", ({ detail }) => {
    const { xhr, requestConfig } = detail, live = requestConfig.elt.matches("[data-live]");
    const refused = xhr.status >= 400 && xhr.status !== 422;
    if (live && xhr.responseURL.includes(body.dataset.signIn)) {
      detail.shouldSwap = false;
      signedOut();
    }
    if (live && (isBusy() || requestConfig.began <= acted)) { detail.shouldSwap = false; late = true; }
    if (xhr.getResponseHeader("HX-Retarget")) detail.shouldSwap = true;
    else if (refused && !live) addToast("toast-failed");
  });
  on("htmx:sendError", ({ detail }) => detail.elt.matches("[data-live]") || addToast("toast-failed"));

  /* Live updates */
  const pill = $("#live"), topics = body.dataset.topics;
  let tries = 0, lostAt = 0, ended = false, polling = 0;
  const setPill = (state) => pill && (pill.dataset.state = state);
  const refresh = (parts = "[data-live]") => $$(parts).forEach((part) => htmx.trigger(part, "venom:refresh"));
  const poll = () => {
    clearTimeout(polling);
    if (ended || !lostAt) return;
    setPill("lost");
    refresh();
    polling = setTimeout(poll, document.hidden ? 30000 : 5000);
  };
  const signedOut = () => {
    ended = true;
    setPill("out");
    const banner = $("#signed-out");
    if (banner) banner.hidden = false;
  };

  // A click is lost when its row is swapped between press and release, a refusal when
  // its row is gone: updates wait. A refetch may be older than an answer: it is made again.
  let held = 0, acted = 0, late = false, waiting = [];
  const isBusy = () => (held && Date.now() - held < 3000) || $("form.htmx-request");
  const press = () => { held = Date.now(); };
  const release = () => { held = 0; setTimeout(flush); };
  const flush = () => {
    if (isBusy() || $("[data-live].htmx-request")) return;
    const messages = waiting, refetch = late;
    waiting = [];
    late = false;
    messages.forEach(swap);
    if (refetch) refresh();
  };
  on("htmx:configRequest", ({ detail }) => { detail.began = Date.now(); });
  on("htmx:afterRequest", ({ detail: { requestConfig } }) => {
    if (requestConfig.verb !== "get") acted = Date.now();
    setTimeout(flush);
  });
  ["pointerdown", "keydown"].forEach((name) => on(name, press, window));
  ["pointerup", "pointercancel", "keyup", "blur"].forEach((name) => on(name, release, window));

  // An element this page lacks: a list that may hold it is fetched again, once per state.
  const states = new Map();
  const missing = (element) => {
    const state = element.dataset.version || element.dataset.status || "";
    if (states.get(element.id) === state) return;
    states.set(element.id, state);
    for (const part of $$("[data-adds]")) {
      if (part.dataset.adds.split(" ").some((prefix) => element.id.startsWith(prefix))) {
        clearTimeout(part.due);
        part.due = setTimeout(() => part.isConnected && htmx.trigger(part, "venom:refresh"), 300);
      }
    }
  };
  // Without the parts this page lacks: htmx calls each of them an error.
  const fitting = (html, without) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    for (const element of $$("[hx-swap-oob]", template.content)) {
      if (document.getElementById(element.id)) { states.delete(element.id); continue; }
      without?.(element);
      element.remove();
    }
    return template.innerHTML;
  };
  const swap = (html) => {
    const shown = fitting(html, missing);
    if (shown.trim()) htmx.swap(body, shown, { swapStyle: "none" });
  };
  on("htmx:beforeSwap", ({ detail }) => {
    if (!detail.serverResponse.includes("hx-swap-oob=")) return;
    detail.serverResponse = fitting(detail.serverResponse);
    if (detail.requestConfig.elt.isConnected) return;
    detail.shouldSwap = false; // htmx looks for the parts beside the form, and it is nowhere
    htmx.swap(body, detail.serverResponse, { swapStyle: "none" });
  });

  const connect = () => {
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/ui/?topics=${encodeURIComponent(topics)}`);
    on("open", () => {
      tries = lostAt = 0;
      clearTimeout(polling);
      setPill("live");
      refresh(); // what changed while nobody told us
    }, socket);
    on("message", ({ data }) => { waiting.push(data); flush(); }, socket);
    on("close", ({ code }) => {
      if (code === 4401) return signedOut();
      const delay = code === 1012 ? 200 : Math.min(15000, 500 * 2 ** tries);
      tries += 1;
      setTimeout(connect, delay * (0.5 + Math.random() / 2));
      if (lostAt) return;
      lostAt = Date.now();
      polling = setTimeout(poll, 5000);
    }, socket);
  };
  on("visibilitychange", () => { if (!document.hidden && lostAt && Date.now() - lostAt > 5000) poll(); });
  if (topics && pill) on("DOMContentLoaded", connect);

  /* Dialogs, menus, toasts: a link with data-dialog is a page where there is no dialog */
  on("click", (event) => {
    const { target } = event;
    const copy = target.closest("[data-copy]");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => { copy.textContent = copy.dataset.done; });
    const dialog = target.closest("[data-dialog]");
    const box = dialog && document.getElementById(dialog.dataset.dialog);
    if (box?.showModal) { event.preventDefault(); box.showModal(); }
    const closing = target.closest("[data-close]")?.closest("dialog, .toast");
    if (closing?.close) closing.close();
    else closing?.remove();
    for (const menu of $$("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
  });

  /* Shortcuts: Ctrl K jump, / filter, g then a letter, ? help */
  let leader = 0;
  const typing = (element) => element.matches("input, textarea, select, [contenteditable]");
  const go = (key) => $(`a[data-key="${CSS.escape(key)}"]`)?.click();
  on("keydown", (event) => {
    const { key } = event, find = $("[data-filter]") || $("#jump");
    if (key === "Escape") {
      const menu = $("details.menu[open]");
      if (menu) { menu.open = false; $("summary", menu).focus(); }
    }
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "k") {
      event.preventDefault();
      $("#jump")?.focus();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || body.dataset.keys === "off") return;
    if (Date.now() - leader < 1500) { leader = 0; go(key); }
    else if (key === "g") leader = Date.now();
    else if (key === "?") go("?");
    else if (key === "/" && find) { event.preventDefault(); find.focus(); find.select?.(); }
  });
})();
