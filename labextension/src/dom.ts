/** Makes elements. Text goes in as text, whatever it holds. */

type Child = Node | string | null | undefined | false;

/** An element with attributes (`onclick` and the like are listeners) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | EventListener | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      node.addEventListener(name.replace(/^on/, ''), value);
    } else if (value === true) {
      node.setAttribute(name, '');
    } else if (value !== false && value !== undefined) {
      node.setAttribute(name, String(value));
    }
  }
  for (const child of children) {
    if (child) {
      node.append(child);
    }
  }
  return node;
}

/** A number of bytes as the program writes it: `12.3 MB`. */
export function bytes(n: number): string {
  let value = n;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (value < 999.5) {
      return unit === 'B' ? `${n} B` : `${value.toFixed(1)} ${unit}`;
    }
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

/** `1 cell`, `2 cells`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** Where a secret was found, `output:3`, as a person reads it. */
export function place(text: string): string {
  const [kind, rest] = [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)];
  const words: Record<string, string> = {
    cell: `the code of execution ${rest}`,
    output: `the output of execution ${rest}`,
    stdin: `an answer typed into execution ${rest}`,
    env: `the variable ${rest}`,
    file: `the file ${rest}`
  };
  return words[kind] ?? text;
}
