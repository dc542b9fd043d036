/** Badges on cells whose output is out of date. They are on the page only: nothing is written into the notebook. */
import { NotebookPanel } from '@jupyterlab/notebook';

import { h } from './dom';
import { IStanding } from './answers';
import { Watch } from './watch';

const MARK = 'nbp-mod-outdated';

/** Keeps the badges of a notebook as `watch` says. */
export class Badges {
  constructor(
    private readonly _watch: Watch,
    private readonly _explain: () => void
  ) {
    _watch.changed.connect(this._show, this);
    _watch.notebook.model?.cells.changed.connect(this._show, this);
  }

  private _show(): void {
    const panel = this._watch.notebook;
    if (panel.isDisposed) {
      return;
    }
    const outdated = new Map(this._watch.outdated.map(standing => [standing.cell, standing]));
    for (const cell of panel.content.widgets) {
      const standing = outdated.get(cell.model.id);
      const there = cell.node.querySelector<HTMLElement>(':scope > .nbp-Badge');
      cell.node.classList.toggle(MARK, !!standing);
      if (!standing) {
        there?.remove();
        continue;
      }
      const reasons = words(standing);
      if (there?.title === reasons) {
        continue;
      }
      there?.remove();
      const label = `Out of date: ${standing.reasons.map(reason => reason.text).join('; ')}`;
      cell.node.append(
        h(
          'button',
          {
            type: 'button',
            class: 'nbp-Badge',
            title: reasons,
            'aria-label': label,
            onclick: () => this._explain(),
            // Not a click into the cell.
            onmousedown: (event: Event) => event.stopPropagation()
          },
          'out of date'
        )
      );
    }
  }
}

function words(standing: IStanding): string {
  return ['This output is out of date:', ...standing.reasons.map(reason => `• ${reason.text}`)].join('\n');
}

/** Shows a cell and puts the focus on it; whether it is there. */
export function goTo(panel: NotebookPanel, id: string): boolean {
  const index = panel.content.widgets.findIndex(cell => cell.model.id === id);
  if (index < 0) {
    return false;
  }
  panel.content.deselectAll();
  panel.content.activeCellIndex = index;
  panel.content.mode = 'command';
  void panel.content.scrollToItem(index, 'smart');
  panel.content.node.focus();
  return true;
}
