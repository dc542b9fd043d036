/** A dialog that stays while something is done, with its progress and a button that stops it. */
import { Dialog } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';

import { IQuestion, Refusal } from './comm';
import { h } from './dom';

type Show = (text: string, part: number | null) => void;

/** The answer; `null` when the person stopped it. What went wrong is thrown. */
export async function waitFor<T>(
  title: string,
  first: string,
  question: IQuestion<T>,
  use: (show: Show) => void
): Promise<T | null> {
  const text = h('p', { class: 'nbp-Waiting-text', role: 'status', 'aria-live': 'polite' }, first);
  const bar = h('progress', { max: 1, 'aria-label': 'Progress' });
  const dialog = new Dialog<unknown>({
    title,
    body: new Widget({ node: h('div', { class: 'nbp-Dialog nbp-Waiting' }, text, bar) }),
    buttons: [Dialog.cancelButton({ label: 'Stop' })]
  });
  use((now, part) => {
    if (now) {
      text.textContent = now;
    }
    if (part === null) {
      bar.removeAttribute('value');
    } else {
      bar.value = part;
    }
  });
  let stopped = false;
  let over = false;
  void dialog.launch().then(
    () => {
      if (!over) {
        stopped = true;
        question.cancel();
      }
    },
    // Disposed below.
    () => undefined
  );
  try {
    return await question.answer;
  } catch (error) {
    if (stopped && error instanceof Refusal) {
      return null;
    }
    throw error;
  } finally {
    over = true;
    dialog.dispose();
  }
}
