/** What is known of one notebook's kernel, asked for when something may have changed. */
import { NotebookPanel } from '@jupyterlab/notebook';
import { Kernel } from '@jupyterlab/services';
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IInputs, IStanding, IStandings, IStatus, IFinding } from './answers';
import { ask, kindOf, Refusal } from './comm';

/** After the kernel became idle or the notebook changed, nothing is asked for so long. */
const SETTLE = 400;
const EDITED = 1500;
/** While a cell runs. */
const WHILE_BUSY = 5000;

export type Kind = 'recording' | 'restored' | null;

/** Follows the kernel of a notebook. */
export class Watch implements IDisposable {
  constructor(readonly notebook: NotebookPanel) {
    const context = notebook.sessionContext;
    context.kernelChanged.connect(this._onKernel, this);
    context.statusChanged.connect(this._onStatus, this);
    notebook.context.saveState.connect(this._onSave, this);
    notebook.model?.cells.changed.connect(this._onEdit, this);
    notebook.model?.contentChanged.connect(this._onEdit, this);
    notebook.disposed.connect(this.dispose, this);
    void context.ready.then(() => this._onKernel());
  }

  kind: Kind = null;
  status: IStatus | null = null;
  standings: IStanding[] = [];
  secrets: IFinding[] | null = null;
  inputs: IInputs | null = null;
  /** What went wrong when it was last asked. */
  trouble: string | null = null;
  /** The panel shows the inputs. */
  wantsInputs = false;

  /** Something of it has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get kernel(): Kernel.IKernelConnection | null {
    return this.notebook.isDisposed ? null : (this.notebook.sessionContext.session?.kernel ?? null);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    window.clearTimeout(this._timer);
    window.clearInterval(this._poll);
    Signal.clearData(this);
  }

  /** The cells whose output is out of date. */
  get outdated(): IStanding[] {
    return this.standings.filter(standing => standing.reasons.length > 0);
  }

  /** Asks for everything after a pause; a later call begins the pause anew. */
  later(pause = SETTLE): void {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => void this.refresh(), pause);
  }

  /** Asks for everything now, what is known already included. */
  again(): Promise<void> {
    this._searched = this._listed = -1;
    return this.refresh();
  }

  /** Asks for what may have changed now. */
  async refresh(): Promise<void> {
    const kernel = this.kernel;
    if (!kernel || !this.kind) {
      return;
    }
    if (this._asking) {
      // One at a time; what changed meanwhile is asked for afterwards.
      this._again = true;
      return;
    }
    this._asking = true;
    try {
      this.status = await ask<IStatus>(kernel, { ask: 'status' }).answer;
      this.trouble = null;
      this._changed.emit();
      if (this.status.recording) {
        await this._details(kernel);
      }
    } catch (error) {
      if (kernel === this.kernel && !this._isDisposed) {
        this.trouble = error instanceof Refusal ? error.message : String(error);
      }
    } finally {
      this._asking = false;
      if (!this._isDisposed) {
        this._changed.emit();
        if (this._again) {
          this._again = false;
          this.later();
        }
      }
    }
  }

  private async _details(kernel: Kernel.IKernelConnection): Promise<void> {
    const cells = this._cells();
    // Executions that were looked through have no new secrets.
    const executions = kernel.status === 'idle' ? (this.status?.executions ?? 0) : -2;
    const secrets = executions !== this._searched;
    const standings = await ask<IStandings>(kernel, { ask: 'cells', cells, secrets }, undefined, 120_000).answer;
    this.standings = standings.cells;
    if (standings.secrets) {
      this.secrets = standings.secrets;
      this._searched = executions;
    }
    this._changed.emit();
    if (this.wantsInputs && executions !== this._listed) {
      const now = performance.now();
      const rest = this._listAgain - now;
      if (rest > 0 && this._listed !== -1) {
        this.later(rest);
        return;
      }
      this.inputs = await ask<IInputs>(kernel, { ask: 'inputs' }, undefined, 120_000).answer;
      this._listed = executions;
      // It looks through the whole environment: a fifth of the time at most.
      this._listAgain = performance.now() + 4 * (performance.now() - now);
    }
  }

  /** Ids and code of the cells. */
  private _cells(): [string, string][] {
    const found: [string, string][] = [];
    for (const cell of this.notebook.model?.cells ?? []) {
      if (cell.type === 'code') {
        found.push([cell.id, cell.sharedModel.getSource()]);
      }
    }
    return found;
  }

  private _onKernel(): void {
    this.kind = null;
    this.status = this.inputs = this.secrets = this.trouble = null;
    this.standings = [];
    this._searched = this._listed = -1;
    this._changed.emit();
    const kernel = this.kernel;
    void kernel?.spec.then(spec => {
      if (kernel === this.kernel) {
        this.kind = kindOf(spec as { argv?: readonly string[] } | undefined);
        this._changed.emit();
        this.later(0);
      }
    });
  }

  private _onStatus(_: unknown, status: Kernel.Status): void {
    window.clearInterval(this._poll);
    if (status === 'restarting' || status === 'autorestarting') {
      // A new session begins: nothing has run in it.
      this.status = this.inputs = this.secrets = null;
      this.standings = [];
      this._searched = this._listed = -1;
      this._changed.emit();
    } else if (status === 'idle') {
      this.later();
    } else if (status === 'busy') {
      this._poll = window.setInterval(() => void this._quick(), WHILE_BUSY);
    }
  }

  /** While a cell runs only the status is asked for, which costs the kernel nothing. */
  private async _quick(): Promise<void> {
    const kernel = this.kernel;
    if (kernel && this.kind && !this._asking) {
      try {
        this.status = await ask<IStatus>(kernel, { ask: 'status' }).answer;
        this._changed.emit();
      } catch {
        // The next time tells.
      }
    }
  }

  private _onSave(_: unknown, state: string): void {
    if (state === 'completed') {
      this.later();
    }
  }

  private _onEdit(): void {
    // While the kernel works it says when there is something new.
    if (this.notebook.sessionContext.session?.kernel?.status === 'idle') {
      this.later(EDITED);
    }
  }

  /** With so many executions secrets were looked for last. */
  private _searched = -1;
  /** With so many executions the inputs were listed last. */
  private _listed = -1;
  private _listAgain = 0;
  private _asking = false;
  private _again = false;
  private _isDisposed = false;
  private _timer: number | undefined;
  private _poll: number | undefined;
  private _changed = new Signal<this, void>(this);
}

/** One line on how the recording stands, and a longer one for the tooltip. */
export function summary(watch: Watch): { text: string; long: string; mood: 'on' | 'partly' | 'off' } {
  const status = watch.status;
  if (!status) {
    const text = watch.trouble ? 'nbpack: no answer' : 'nbpack: …';
    return { text, long: watch.trouble ?? 'asking nbpack', mood: 'off' };
  }
  if (!status.recording) {
    return { text: 'nbpack: not recording', long: 'this session is not recorded', mood: 'off' };
  }
  const warnings = status.warnings ?? [];
  const coverage = status.coverage ?? 'not known';
  const seen =
    coverage === 'full'
      ? 'all files seen'
      : coverage === 'none'
        ? 'no files seen'
        : coverage === 'not known'
          ? 'how much is seen is not known'
          : 'files seen in part';
  const secrets = watch.secrets?.length ?? status.secrets ?? 0;
  const outdated = watch.outdated.length;
  const parts = ['nbpack: recording', seen];
  if (warnings.length) {
    parts.push('attention');
  }
  if (secrets) {
    parts.push(`${secrets} ${secrets === 1 ? 'secret' : 'secrets'}`);
  }
  if (outdated) {
    parts.push(`${outdated} out of date`);
  }
  return {
    text: parts.join(' · '),
    long: [`nbpack records this session ${status.session}. Coverage: ${coverage}.`, ...warnings].join('\n'),
    mood: coverage === 'full' && !warnings.length ? 'on' : 'partly'
  };
}
