/** Open bundle: restores it beside a notebook and opens what comes out with its kernel. */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { Kernel, ServiceManager } from '@jupyterlab/services';
import { CommandRegistry } from '@lumino/commands';
import { UUID } from '@lumino/coreutils';
import { Widget } from '@lumino/widgets';

import { IOpened } from './answers';
import { ask, kindOf, Refusal } from './comm';
import { h } from './dom';
import { waitFor } from './waiting';

interface IWanted {
  path: string;
  notebook: string;
}

/** Somebody who can be asked: a kernel and the directory it lies in, as the server names it. */
export interface IAsker {
  kernel: Kernel.IKernelConnection;
  directory: string;
  done(): Promise<void>;
}

/** Asks for the bundle where none is given; `directory` is where it is looked for and where the notebook goes. */
export async function openBundle(
  given: string | null,
  directory: string,
  asker: () => Promise<IAsker>,
  manager: ServiceManager.IManager,
  commands: CommandRegistry
): Promise<void> {
  const body = new Where(given ?? '', directory);
  const chosen = await showDialog<IWanted>({
    title: 'Open a bundle',
    body,
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Restore and open' })],
    focusNodeSelector: '.nbp-Bundle'
  });
  if (!chosen.button.accept || !chosen.value?.path) {
    return;
  }
  const { path, notebook } = chosen.value;
  const who = await asker();
  let opened: IOpened | null;
  try {
    let show: (text: string, part: number | null) => void = () => undefined;
    const request = { ask: 'open', path, ...(notebook ? { notebook } : {}) };
    const question = ask<IOpened>(who.kernel, request, progress => show(progress.text ?? '', null), 0);
    opened = await waitFor('Open a bundle', 'Checking and restoring…', question, by => (show = by));
  } finally {
    await who.done();
  }
  if (!opened) {
    return;
  }
  await manager.kernelspecs.refreshSpecs();
  if (!opened.beside || opened.beside.startsWith('/')) {
    throw new Refusal(
      `${opened.name} was restored, and its kernel is there, but its notebook lies outside of what this server shows`,
      opened.beside ? `it is ${opened.beside}` : null
    );
  }
  const file = PathExt.join(who.directory, opened.beside);
  if (opened.kernel_name) {
    // The notebook names the kernel that it was written with; a session that is there already goes before that.
    await manager.sessions.startNew({
      path: file,
      type: 'notebook',
      name: PathExt.basename(file),
      kernel: { name: opened.kernel_name }
    });
  }
  await commands.execute('docmanager:open', { path: file, factory: 'Notebook' });
}

class Where extends Widget implements Dialog.IBodyWidget<IWanted> {
  constructor(given: string, directory: string) {
    super({ node: h('div', { class: 'nbp-Dialog' }) });
    const place = directory ? `“${directory}”` : 'the server’s directory';
    this._path = h('input', { type: 'text', class: 'jp-mod-styled nbp-Bundle', id: 'nbp-bundle', value: given, spellcheck: 'false' });
    this._notebook = h('input', { type: 'text', class: 'jp-mod-styled', id: 'nbp-notebook', spellcheck: 'false', 'aria-describedby': 'nbp-notebook-help' });
    this.node.append(
      h('p', {}, h('label', { for: 'nbp-bundle' }, `Bundle, as seen from ${place}, or its whole path`), this._path),
      h('p', {}, h('label', { for: 'nbp-notebook' }, 'Name for its notebook'), this._notebook),
      h('p', { class: 'nbp-Faint', id: 'nbp-notebook-help' }, 'Left empty, it gets the name it had.')
    );
  }

  getValue(): IWanted {
    return { path: this._path.value.trim(), notebook: this._notebook.value.trim() };
  }

  private _path: HTMLInputElement;
  private _notebook: HTMLInputElement;
}

/** Starts a recording kernel in that directory for as long as something is asked. */
export async function startAsker(manager: ServiceManager.IManager, directory: string): Promise<IAsker> {
  await manager.kernelspecs.ready;
  const specs = Object.values(manager.kernelspecs.specs?.kernelspecs ?? {});
  const spec = specs.find(spec => kindOf(spec as unknown as { argv?: string[] }) === 'recording');
  if (!spec) {
    throw new Refusal('no recording kernel is installed', 'run `nbpack install` in a terminal');
  }
  const session = await manager.sessions.startNew({
    path: PathExt.join(directory, `nbpack-${UUID.uuid4()}`),
    type: 'console',
    name: 'nbpack',
    kernel: { name: spec.name }
  });
  const kernel = session.kernel;
  if (!kernel) {
    throw new Refusal('the recording kernel did not start');
  }
  await kernel.info;
  return { kernel, directory, done: () => session.shutdown().catch(() => undefined) };
}
