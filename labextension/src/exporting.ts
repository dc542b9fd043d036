/** Export: the plan, a decision on each finding of the secret scan, progress, and what was written. */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { Kernel } from '@jupyterlab/services';
import { Widget } from '@lumino/widgets';

import { IExported, IPlan } from './answers';
import { ask, Refusal } from './comm';
import { bytes, count, h, place } from './dom';
import { waitFor } from './waiting';

/** What a person decides. */
interface IDecision {
  output: string;
  redact: boolean;
  allow: string[];
  exclude: string[];
}

/**
 * Asks for the plan, shows it, and exports as decided. `refer` puts the digest of the bundle's manifest into the notebook;
 * it is called only where the person says so when all is written.
 */
export async function exportBundle(
  kernel: Kernel.IKernelConnection,
  name: string,
  canName: boolean,
  refer: (manifest: string) => void
): Promise<void> {
  const planned = ask<IPlan>(kernel, { ask: 'plan' }, undefined, 0);
  const plan = await waitFor('Export with nbpack', 'Looking for what this notebook needs…', planned, () => undefined);
  if (!plan) {
    return;
  }
  const body = new Plan(plan, name, canName);
  const chosen = await showDialog<IDecision>({
    title: 'Export with nbpack',
    body,
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Export' })],
    focusNodeSelector: canName ? '.nbp-Output' : undefined
  });
  if (!chosen.button.accept || !chosen.value) {
    return;
  }
  const { output, redact, allow, exclude } = chosen.value;
  const request = { ask: 'export', redact, allow, exclude, ...(canName && output ? { output } : {}) };
  let show: (text: string, part: number | null) => void = () => undefined;
  const written = ask<IExported>(
    kernel,
    request,
    progress => {
      const { text, done, total } = progress;
      show(text ?? '', total ? (done ?? 0) / total : null);
    },
    0
  );
  const result = await waitFor('Export with nbpack', 'Packing…', written, by => (show = by));
  if (result) {
    const seen = await showDialog({
      title: 'Exported',
      body: new Widget({ node: report(result) }),
      checkbox: {
        label: 'Write this digest into the notebook’s metadata',
        caption: 'So that whoever has the notebook can tell which bundle belongs to it. No path and no value is written.',
        checked: false
      },
      buttons: [Dialog.okButton({ label: 'Close' })]
    });
    if (seen.isChecked) {
      refer(result.manifest);
    }
  }
}

function report(done: IExported): HTMLElement {
  const said = done.said.filter(line => !line.includes(done.manifest.slice(7, 19)));
  return h(
    'div',
    { class: 'nbp-Dialog' },
    h('p', {}, 'Wrote ', h('strong', {}, done.shown), `: ${bytes(done.bytes)} in ${count(done.layers, 'layer')}.`),
    done.reused_layers > 0 && h('p', {}, `${done.reused_layers} of them were made before.`),
    h('p', {}, h('code', {}, done.manifest)),
    said.length > 0 && h('ul', { class: 'nbp-Notes' }, ...said.map(line => h('li', {}, line)))
  );
}

/** The plan, with a choice for each finding. */
class Plan extends Widget implements Dialog.IBodyWidget<IDecision> {
  constructor(
    private readonly _plan: IPlan,
    name: string,
    canName: boolean
  ) {
    super({ node: h('div', { class: 'nbp-Dialog' }) });
    const total = _plan.layers.reduce((sum, layer) => sum + layer.bytes, 0);
    const fresh = _plan.layers.filter(layer => !layer.reused);
    const size = fresh.reduce((sum, layer) => sum + layer.bytes, 0);
    this._output = h('input', { type: 'text', class: 'jp-mod-styled nbp-Output', id: 'nbp-output', value: name, spellcheck: 'false' });
    this.node.append(
      canName
        ? h('p', {}, h('label', { for: 'nbp-output' }, 'File, as seen from the notebook’s directory'), this._output)
        : h('p', {}, `The bundle is written beside the notebook, as ${name}.`),
      this._findings(),
      h('p', {}, `${count(_plan.layers.length, 'layer')}, ${bytes(total)} before compression; ${bytes(size)} in ${count(fresh.length, 'layer')} are new.`),
      h(
        'details',
        {},
        h('summary', {}, 'Layers'),
        h(
          'div',
          { class: 'nbp-Scroll', tabindex: 0, role: 'region', 'aria-label': 'Layers' },
          h(
            'table',
            { class: 'nbp-Table' },
            h('thead', {}, h('tr', {}, ...['Layer', 'Size', 'Files', 'Here'].map(text => h('th', { scope: 'col' }, text)))),
            h(
              'tbody',
              {},
              ..._plan.layers.map(layer =>
                h(
                  'tr',
                  {},
                  h('th', { scope: 'row' }, layer.title),
                  h('td', {}, bytes(layer.bytes)),
                  h('td', {}, String(layer.entries)),
                  h('td', {}, layer.reused ? 'yes' : 'new')
                )
              )
            )
          )
        )
      )
    );
    const notes = [..._plan.warnings, ..._plan.left_out.map(file => `${file.path} is not in: ${file.why}`)];
    if (notes.length) {
      this.node.append(
        h('details', {}, h('summary', {}, count(notes.length, 'note')), h('ul', { class: 'nbp-Notes' }, ...notes.map(note => h('li', {}, note))))
      );
    }
  }

  getValue(): IDecision {
    const chosen = this._choices.map(choice => choice.value);
    const allow: string[] = [];
    const exclude: string[] = [];
    this._plan.findings.forEach((finding, index) => {
      if (chosen[index] === 'allow') {
        allow.push(finding.label);
      } else if (chosen[index] === 'exclude') {
        exclude.push(finding.place.replace(/^file:/, ''));
      }
    });
    return { output: this._output.value.trim(), redact: chosen.includes('redact'), allow, exclude };
  }

  private _findings(): HTMLElement {
    const findings = this._plan.findings;
    if (!findings.length) {
      return h('p', {}, 'The secret scan found nothing.');
    }
    const rows = findings.map((finding, index) => {
      const option = (value: string, text: string) => h('option', { value }, text);
      const id = `nbp-finding-${index}`;
      const choice = h(
        'select',
        { class: 'jp-mod-styled nbp-Choice', 'aria-labelledby': id },
        option('redact', 'Replace it'),
        option('allow', 'Let it pass'),
        finding.in_file && option('exclude', 'Leave the file out')
      );
      this._choices.push(choice);
      return h(
        'li',
        {},
        h('span', { id }, h('span', { class: 'nbp-Name' }, finding.rule), ` in ${place(finding.place)} `, h('code', {}, finding.masked)),
        choice
      );
    });
    return h(
      'fieldset',
      { class: 'nbp-Findings' },
      h('legend', {}, `${count(findings.length, 'secret')} would leave with this bundle`),
      h('ul', {}, ...rows)
    );
  }

  private _output: HTMLInputElement;
  private _choices: HTMLSelectElement[] = [];
}

/** An error with its hint, in a dialog. */
export async function showRefusal(title: string, error: unknown): Promise<void> {
  const hint = error instanceof Refusal ? error.hint : null;
  const message = error instanceof Error ? error.message : String(error);
  await showDialog({
    title,
    body: new Widget({
      node: h('div', { class: 'nbp-Dialog', role: 'alert' }, h('p', { class: 'nbp-Error' }, message), hint && h('p', {}, `Hint: ${hint}`))
    }),
    buttons: [Dialog.okButton({ label: 'Close' })]
  });
}
