// The API browser: draws the OpenAPI document and sends calls with the present session.
// It holds no words (they stand in templates/api_docs.html) and never uses innerHTML.
(() => {
  "use strict";
  const root = document.getElementById("api");
  const METHODS = ["get", "post", "put", "patch", "delete"];
  const DEEPEST = 6;
  let spec;

  const copy = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);
  const part = (node, name) => node.querySelector(`[data-is="${name}"]`);
  const write = (node, name, text) => {
    part(node, name).textContent = text ?? "";
  };
  const shown = (value) => JSON.stringify(value, null, 2);

  /** The schema behind `$ref`, and the first that is not null of an `anyOf`. */
  function resolve(schema) {
    if (!schema) return {};
    if (schema.$ref) {
      const steps = schema.$ref.replace("#/", "").split("/");
      return resolve(steps.reduce((at, step) => at[step], spec));
    }
    const choices = schema.anyOf || schema.oneOf || schema.allOf;
    return choices ? resolve(choices.find((one) => one.type !== "null") || choices[0]) : schema;
  }

  /** A value of the right shape, to start typing from. */
  function example(given, depth = 0) {
    if (given && "default" in given) return given.default;
    const schema = resolve(given);
    if ("default" in schema) return schema.default;
    if (schema.enum) return schema.enum[0];
    if (schema.type === "array") return depth < DEEPEST ? [example(schema.items, depth + 1)] : [];
    if (schema.properties && depth < DEEPEST) {
      const pairs = Object.entries(schema.properties);
      return Object.fromEntries(pairs.map(([name, inner]) => [name, example(inner, depth + 1)]));
    }
    if (schema.type === "boolean") return false;
    if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? 0;
    return schema.type === "string" ? "" : {};
  }

  const jsonSchema = (content) => content?.["application/json"]?.schema;

  function answersOf(call) {
    const pairs = Object.entries(call.responses || {});
    return pairs
      .map(([status, one]) => {
        const schema = jsonSchema(one.content);
        return `${status} ${one.description || ""}${schema ? `\n${shown(example(schema))}` : ""}`;
      })
      .join("\n\n");
  }

  function noteOf(parameter) {
    const schema = resolve(parameter.schema);
    const limits = [schema.minimum, schema.maximum].every((one) => one !== undefined)
      ? `${schema.minimum}–${schema.maximum}`
      : "";
    const words = [parameter.in, schema.type, limits, (schema.enum || []).join(" | ")];
    return words.filter(Boolean).join(" · ");
  }

  function fieldOf(parameter) {
    const node = copy("api-field");
    write(node, "name", parameter.name);
    write(node, "note", noteOf(parameter));
    const input = node.querySelector("input");
    input.name = parameter.name;
    input.dataset.in = parameter.in;
    input.required = Boolean(parameter.required);
    input.placeholder = parameter.schema?.default ?? "";
    return node;
  }

  function bodyOf(call) {
    const schema = jsonSchema(call.requestBody?.content);
    if (!schema) return null;
    const node = copy("api-body");
    node.querySelector("textarea").value = shown(example(schema));
    return node;
  }

  function addressOf(path, form) {
    const query = new URLSearchParams();
    let address = path;
    for (const input of form.querySelectorAll("input")) {
      if (input.dataset.in === "path") {
        const raw = encodeURIComponent(input.value).replaceAll("%2F", "/");
        address = address.replace(`{${input.name}}`, raw);
      } else if (input.value !== "") {
        query.append(input.name, input.value);
      }
    }
    return query.size ? `${address}?${query}` : address;
  }

  async function send(method, path, form) {
    const body = form.querySelector("textarea")?.value;
    const headers = { "X-CSRFToken": root.dataset.csrf, Accept: "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    const output = part(form, "answer");
    output.hidden = false;
    try {
      const answer = await fetch(addressOf(path, form), { method, headers, body: body || undefined });
      write(form, "status", `${answer.status} ${answer.statusText}`);
      const text = await answer.text();
      try {
        output.textContent = shown(JSON.parse(text));
      } catch {
        output.textContent = text;
      }
    } catch (error) {
      write(form, "status", String(error));
    }
  }

  function draw(method, path, call) {
    const node = copy("api-call");
    write(node, "method", method.toUpperCase());
    write(node, "path", path);
    write(node, "summary", call.summary);
    write(node, "description", call.description);
    write(node, "answers", answersOf(call));
    part(node, "fields").append(...(call.parameters || []).map(fieldOf));
    const body = bodyOf(call);
    if (body) part(node, "fields").append(body);
    node.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      send(method.toUpperCase(), path, event.currentTarget);
    });
    return node;
  }

  function sectionOf(tag) {
    const known = root.querySelector(`[data-tag="${CSS.escape(tag)}"]`);
    if (known) return known;
    const node = copy("api-tag");
    node.dataset.tag = tag;
    node.querySelector("h2").textContent = tag;
    root.append(node);
    return node;
  }

  async function start() {
    const answer = await fetch(root.dataset.openapi, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    spec = await answer.json();
    for (const [path, calls] of Object.entries(spec.paths)) {
      for (const method of METHODS.filter((one) => calls[one])) {
        const call = calls[method];
        const section = sectionOf((call.tags || ["api"])[0]);
        section.querySelector(".calls").append(draw(method, path, call));
      }
    }
  }

  start()
    .catch((error) => {
      console.error(error);
      document.getElementById("api-failed").hidden = false;
    })
    .finally(() => root.setAttribute("aria-busy", "false"));
})();
