/** The status item: a button that says how the recording stands and shows the panel. */
import { Widget } from '@lumino/widgets';

import { h } from './dom';
import { summary, Watch } from './watch';

/** Stands in the status bar, or in the toolbar of a notebook where there is no status bar. */
export class StatusItem extends Widget {
  constructor(show: () => void) {
    const mark = h('span', { class: 'nbp-Status-mark', 'aria-hidden': 'true' });
    const text = h('span', { class: 'nbp-Status-text' });
    const button = h('button', { type: 'button', class: 'nbp-Status', onclick: show }, mark, text);
    super({ node: h('div', { class: 'nbp-StatusItem' }, button) });
    this._button = button;
    this._text = text;
    this.hide();
  }

  /** Follows this notebook; none: nothing is shown. */
  follow(watch: Watch | null): void {
    if (this._watch === watch) {
      return;
    }
    this._watch?.changed.disconnect(this._show, this);
    this._watch = watch;
    watch?.changed.connect(this._show, this);
    this._show();
  }

  dispose(): void {
    this.follow(null);
    super.dispose();
  }

  private _show(): void {
    const watch = this._watch;
    if (this.isDisposed) {
      return;
    }
    if (!watch?.kind) {
      this.hide();
      return;
    }
    const { text, long, mood } = summary(watch);
    if (this._text.textContent !== text) {
      this._text.textContent = text;
    }
    this._button.dataset.mood = mood;
    this._button.title = long;
    this._button.setAttribute('aria-label', `${text}. Show the nbpack panel`);
    this.show();
  }

  private _watch: Watch | null = null;
  private _button: HTMLButtonElement;
  private _text: HTMLElement;
}
