/** The side panel: libraries, files with the cells that touched them, what is seen in part only. */
import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { ICellRef, IFile, ILibrary, IRemark, IStanding } from './answers';
import { goTo } from './badges';
import { bytes, count, h, place } from './dom';
import { nbpackIcon } from './icon';
import { summary, Watch } from './watch';

/** What the buttons do. */
export interface IActions {
  export(): void;
  open(): void;
}

/** Kinds of packages that the system brings. */
const SYSTEM = ['deb', 'rpm', 'apk', 'alpm', 'generic'];
/** Libraries of the languages that come as packages of the system. */
const PACKAGED = /^(r-(cran|bioc|base|recommended)|python3?)-|^R-/;

interface ISection {
  key: string;
  title: string;
  rows: Node[];
  empty: string;
}

/** Follows the notebook that has the focus. */
export class SidePanel extends Widget {
  constructor(private readonly _actions: IActions) {
    super();
    this.id = 'nbpack-panel';
    this.addClass('nbp-Panel');
    this.title.icon = nbpackIcon;
    this.title.caption = 'nbpack: what this notebook is made of';
    this.title.label = '';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'nbpack');
    this.node.tabIndex = -1;
    this._status = h('p', { class: 'nbp-Panel-status', role: 'status', 'aria-live': 'polite' });
    this._facts = h('dl', { class: 'nbp-Panel-facts' });
    const button = (label: string, act: () => void, more = '') =>
      h('button', { type: 'button', class: `jp-Button jp-mod-styled nbp-Button ${more}`, onclick: act }, label);
    this._export = button('Export…', () => this._actions.export(), 'jp-mod-accept');
    this._refresh = button('Refresh', () => void this._watch?.again(), 'jp-mod-reject');
    const open = button('Open bundle…', () => this._actions.open(), 'jp-mod-reject');
    this._body = h('div', { class: 'nbp-Panel-body' });
    this.node.append(
      h(
        'div',
        { class: 'nbp-Panel-head' },
        h('h2', {}, 'nbpack'),
        this._status,
        this._facts,
        h('div', { class: 'nbp-Panel-buttons' }, this._export, open, this._refresh)
      ),
      this._body
    );
    this._show();
  }

  /** Follows this notebook. */
  follow(watch: Watch | null): void {
    if (this._watch === watch) {
      return;
    }
    if (this._watch) {
      this._watch.changed.disconnect(this._show, this);
      this._watch.wantsInputs = false;
    }
    this._watch = watch;
    watch?.changed.connect(this._show, this);
    this._wake();
    this._show();
  }

  /** Shows why cells are out of date. */
  explain(): void {
    this._closed.delete('outdated');
    this._explains = true;
    this._drawn = '';
    this._show();
  }

  protected onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._wake();
    this._show();
  }

  protected onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    if (this._watch) {
      this._watch.wantsInputs = false;
    }
  }

  protected onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    const reasons = this._body.querySelector<HTMLElement>('details[data-key=outdated] > summary');
    (this._explains && reasons ? reasons : this.node).focus();
    this._explains = false;
  }

  private _wake(): void {
    if (this._watch && this.isVisible && !this._watch.wantsInputs) {
      this._watch.wantsInputs = true;
      this._watch.later(0);
    }
  }

  private _show(): void {
    const watch = this._watch;
    if (!this.isVisible && this._drawn) {
      return;
    }
    if (!watch || !watch.kind) {
      const text = watch
        ? 'This notebook’s kernel is not recorded by nbpack. Choose a kernel with “(nbpack)” in its name.'
        : 'Open a notebook with a recording kernel to see what it is made of.';
      this._write(text, [], [], false);
      return;
    }
    const status = watch.status;
    const facts: [string, string][] = [];
    if (status?.recording) {
      const coverage = status.coverage ?? 'not known';
      facts.push(['Session', status.session ?? '']);
      facts.push(['Coverage', coverage.replace(/^full-with-gaps: /, 'with gaps: ')]);
      facts.push(['Executions', String(status.executions ?? 0)]);
      facts.push(['Size so far', `${bytes(status.bytes ?? 0)}, ${count(status.inputs_kept ?? 0, 'input')} kept`]);
      const secrets = watch.secrets?.length ?? status.secrets;
      const found = secrets === null || secrets === undefined ? 'not looked for yet' : String(secrets);
      facts.push(['Secrets found', found]);
    }
    this._write(summary(watch).text.replace(/^nbpack: /, ''), facts, this._sections(watch), !!status?.recording);
  }

  private _sections(watch: Watch): ISection[] {
    const inputs = watch.inputs;
    const wait = 'looking…';
    const outdated = watch.outdated;
    const files = inputs?.files ?? [];
    const read = files.filter(file => file.role !== 'written');
    const written = files.filter(file => file.role !== 'read');
    const isSystem = ({ kind, name }: ILibrary) => SYSTEM.includes(kind) && !PACKAGED.test(name);
    const libraries = (inputs?.libraries ?? []).filter(library => !isSystem(library));
    const system = (inputs?.libraries ?? []).filter(isSystem);
    const more = inputs?.more_files ? [h('li', {}, `${inputs.more_files} more files`)] : [];
    const warnings = watch.status?.warnings ?? [];
    const sections: ISection[] = [];
    if (warnings.length) {
      sections.push({
        key: 'warnings',
        title: `Attention (${warnings.length})`,
        rows: warnings.map(warning => h('li', {}, warning)),
        empty: ''
      });
    }
    sections.push(
      {
        key: 'outdated',
        title: `Out of date (${outdated.length})`,
        rows: outdated.map(standing => this._outdated(standing)),
        empty: watch.status ? 'no cell’s output is known to be out of date' : wait
      }
    );
    if (watch.secrets?.length) {
      sections.push({
        key: 'secrets',
        title: `Secrets found (${watch.secrets.length})`,
        rows: watch.secrets.map(finding =>
          h('li', {}, h('span', { class: 'nbp-Name' }, finding.rule), ` in ${place(finding.place)} `, h('code', {}, finding.masked))
        ),
        empty: ''
      });
    }
    sections.push(
      {
        key: 'libraries',
        title: inputs ? `Libraries loaded (${libraries.length})` : 'Libraries loaded',
        rows: libraries.map(library => this._library(library)),
        empty: inputs ? 'none was loaded' : wait
      },
      {
        key: 'system',
        title: inputs ? `System packages used (${system.length})` : 'System packages used',
        rows: system.map(library => this._library(library)),
        empty: inputs ? 'none was used' : wait
      },
      {
        key: 'read',
        title: inputs ? `Files read (${read.length})` : 'Files read',
        rows: [...read.map(file => this._file(file, file.read_by)), ...more],
        empty: inputs ? 'none was read' : wait
      },
      {
        key: 'written',
        title: inputs ? `Files written (${written.length})` : 'Files written',
        rows: written.map(file => this._file(file, file.written_by)),
        empty: inputs ? 'none was written' : wait
      },
      {
        key: 'partly',
        title: inputs ? `Seen in part (${inputs.partly.length})` : 'Seen in part',
        rows: (inputs?.partly ?? []).map(remark => this._remark(remark)),
        empty: inputs ? 'nothing is known to be missing' : wait
      }
    );
    return sections;
  }

  private _outdated(standing: IStanding): Node {
    const reasons = standing.reasons.map(reason => h('li', {}, reason.text));
    return h('li', {}, this._cells([standing]), h('ul', { class: 'nbp-Reasons' }, ...reasons));
  }

  private _library(library: ILibrary): Node {
    const notes = [library.kind];
    if (library.declared) {
      notes.push(`declared as ${library.declared}`);
    }
    if (library.modified) {
      notes.push(`${count(library.modified, 'file')} changed since installed`);
    }
    return h(
      'li',
      {},
      h('span', { class: 'nbp-Name' }, library.name),
      ` ${library.version} `,
      h('span', { class: 'nbp-Faint' }, notes.join(', ')),
      ' ',
      this._cells(library.cells)
    );
  }

  private _file(file: IFile, by: ICellRef[]): Node {
    const digest = file.digest ? file.digest.replace(/^sha256:/, '').slice(0, 12) : 'not hashed';
    return h(
      'li',
      {},
      h('span', { class: 'nbp-Name nbp-Path', title: file.path }, file.shown),
      ' ',
      h('span', { class: 'nbp-Faint' }, [bytes(file.size), file.class].filter(Boolean).join(', ')),
      ' ',
      h('code', { class: 'nbp-Digest', title: file.digest ?? '' }, digest),
      ' ',
      this._cells(by),
      file.note && h('div', { class: 'nbp-Note' }, file.note)
    );
  }

  private _remark(remark: IRemark): Node {
    return h('li', {}, remark.text, ' ', this._cells(remark.cells ?? []));
  }

  /** Buttons that go to the cells. */
  private _cells(cells: ICellRef[]): Node {
    const list = h('span', { class: 'nbp-Cells' });
    for (const { cell, count } of cells) {
      const text = `[${count ?? ' '}]`;
      const panel = this._watch?.notebook;
      if (!cell || !panel) {
        list.append(h('span', { class: 'nbp-Faint' }, text));
        continue;
      }
      list.append(
        h(
          'button',
          {
            type: 'button',
            class: 'nbp-Cell',
            'aria-label': `Go to cell ${count ?? 'without a number'}`,
            onclick: (event: Event) => {
              if (!goTo(panel, cell)) {
                const button = event.currentTarget as HTMLButtonElement;
                button.disabled = true;
                button.title = 'this cell is not in the notebook any more';
              }
            }
          },
          text
        )
      );
    }
    return list;
  }

  /** Writes what has changed, and leaves the focus where it is. */
  private _write(text: string, facts: [string, string][], sections: ISection[], canExport: boolean): void {
    this._export.disabled = !canExport;
    this._refresh.disabled = !sections.length;
    if (this._status.textContent !== text) {
      this._status.textContent = text;
    }
    this._facts.replaceChildren(...facts.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
    const body = h('div');
    for (const { key, title, rows, empty } of sections) {
      const list = rows.length ? h('ul', {}, ...rows) : h('p', { class: 'nbp-Faint' }, empty);
      const details = h('details', { 'data-key': key, open: !this._closed.has(key) }, h('summary', {}, title), list);
      details.addEventListener('toggle', () => {
        details.open ? this._closed.delete(key) : this._closed.add(key);
      });
      body.append(details);
    }
    if (body.innerHTML === this._drawn) {
      return;
    }
    this._drawn = body.innerHTML;
    const focused = focusPath(this._body);
    this._body.replaceChildren(...Array.from(body.childNodes));
    restoreFocus(this._body, focused);
  }

  private _watch: Watch | null = null;
  private _status: HTMLElement;
  private _facts: HTMLElement;
  private _body: HTMLElement;
  private _export: HTMLButtonElement;
  private _refresh: HTMLButtonElement;
  private _drawn = '';
  private _explains = false;
  private _closed = new Set<string>(['system']);
}

/** Which of the focusable elements below `root` has the focus: its section and place in it. */
function focusPath(root: HTMLElement): [string, number] | null {
  const active = document.activeElement;
  const section = active?.closest<HTMLElement>('details[data-key]');
  if (!active || !section || !root.contains(section)) {
    return null;
  }
  return [section.dataset.key ?? '', Array.from(section.querySelectorAll('summary, button')).indexOf(active)];
}

function restoreFocus(root: HTMLElement, path: [string, number] | null): void {
  if (path) {
    const section = root.querySelector(`details[data-key="${path[0]}"]`);
    const all = section?.querySelectorAll<HTMLElement>('summary, button');
    (all?.[path[1]] ?? all?.[0])?.focus();
  }
}
