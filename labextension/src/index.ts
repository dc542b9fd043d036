/**
 * What nbpack records of a notebook, shown in JupyterLab 4 and Notebook 7.
 *
 * Nothing here writes into a notebook but the digest of a bundle, where a person asks for it. Everything that is shown
 * comes from the proxy kernel (`comm.ts`).
 */
import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, ToolbarButton } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';

import { Badges } from './badges';
import { exportBundle, showRefusal } from './exporting';
import { nbpackIcon } from './icon';
import { IAsker, openBundle, startAsker } from './opening';
import { SidePanel } from './panel';
import { StatusItem } from './status';
import { Watch } from './watch';

const SHOW = 'nbpack:show-panel';
const EXPORT = 'nbpack:export';
const OPEN = 'nbpack:open-bundle';
const OPEN_SELECTED = 'nbpack:open-selected-bundle';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'nbpack:panel',
  description: 'What nbpack records of a notebook: status, inputs, outputs out of date, export, open bundle.',
  autoStart: true,
  optional: [INotebookTracker, IStatusBar, ICommandPalette, IDefaultFileBrowser],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker | null,
    statusBar: IStatusBar | null,
    palette: ICommandPalette | null,
    browser: IDefaultFileBrowser | null
  ) => {
    const { commands, shell, serviceManager } = app;
    const watches = new Map<NotebookPanel, Watch>();
    const current = () => (tracker?.currentWidget && watches.get(tracker.currentWidget)) ?? null;

    const open = async (given: string | null, directory: string | null) => {
      const watch = current();
      const kernel = watch?.kind === 'recording' && watch.kernel;
      const beside = watch ? PathExt.dirname(watch.notebook.context.localPath) : '';
      const place = directory ?? (watch ? beside : (browser?.model.path ?? ''));
      const asker = async (): Promise<IAsker> =>
        kernel && place === beside
          ? { kernel, directory: place, done: () => Promise.resolve() }
          : startAsker(serviceManager, place);
      try {
        await openBundle(given, place, asker, serviceManager, commands);
      } catch (error) {
        await showRefusal('The bundle could not be opened', error);
      }
    };

    commands.addCommand(OPEN, {
      label: 'Open nbpack Bundle…',
      caption: 'Restore a bundle and open its notebook with its kernel',
      icon: nbpackIcon,
      execute: () => open(null, null)
    });
    commands.addCommand(EXPORT, {
      label: 'Export with nbpack…',
      caption: 'Pack what has run so far as one file',
      icon: nbpackIcon,
      isEnabled: () => !!current()?.kind,
      execute: async () => {
        const watch = current();
        const kernel = watch?.kernel;
        if (!watch || !kernel) {
          return;
        }
        const stem = PathExt.basename(watch.notebook.context.localPath, '.ipynb');
        try {
          await exportBundle(kernel, `${stem}.nbpack`, watch.kind === 'recording', manifest =>
            watch.notebook.model?.setMetadata('nbpack', { manifest })
          );
        } catch (error) {
          await showRefusal('The notebook could not be exported', error);
        }
        watch.later(0);
      }
    });
    app.docRegistry.addFileType({
      name: 'nbpack',
      displayName: 'nbpack Bundle',
      extensions: ['.nbpack'],
      mimeTypes: ['application/x-tar'],
      fileFormat: 'base64',
      icon: nbpackIcon
    });
    if (browser) {
      commands.addCommand(OPEN_SELECTED, {
        label: 'Restore and Open with nbpack…',
        icon: nbpackIcon,
        execute: () => {
          const item = browser.selectedItems().next().value;
          return item ? open(PathExt.basename(item.path), PathExt.dirname(item.path)) : undefined;
        }
      });
      app.contextMenu.addItem({
        command: OPEN_SELECTED,
        selector: '.jp-DirListing-item[data-file-type="nbpack"]',
        rank: 0
      });
    }
    palette?.addItem({ command: OPEN, category: 'nbpack' });
    if (!tracker) {
      return;
    }

    const panel = new SidePanel({
      export: () => void commands.execute(EXPORT),
      open: () => void commands.execute(OPEN)
    });
    shell.add(panel, 'right', { rank: 900, type: 'nbpack' });
    const show = () => shell.activateById(panel.id);
    commands.addCommand(SHOW, {
      label: 'Show nbpack Panel',
      caption: 'Libraries, files and what is seen in part only',
      icon: nbpackIcon,
      execute: show
    });
    palette?.addItem({ command: SHOW, category: 'nbpack' });
    palette?.addItem({ command: EXPORT, category: 'nbpack' });

    const item = new StatusItem(show);
    statusBar?.registerStatusItem('nbpack:status', { item, align: 'left', rank: 3, isActive: () => !!current()?.kind });
    const follow = () => {
      panel.follow(current());
      item.follow(current());
      commands.notifyCommandChanged(EXPORT);
    };

    const add = (notebook: NotebookPanel) => {
      const watch = new Watch(notebook);
      watches.set(notebook, watch);
      new Badges(watch, () => {
        panel.explain();
        show();
      });
      const button = new ToolbarButton({
        icon: nbpackIcon,
        tooltip: 'Export with nbpack…',
        onClick: () => void commands.execute(EXPORT)
      });
      button.addClass('nbp-ToolbarButton');
      notebook.toolbar.insertBefore('spacer', 'nbpack:export', button) || notebook.toolbar.addItem('nbpack:export', button);
      let own: StatusItem | null = null;
      if (!statusBar) {
        own = new StatusItem(show);
        own.follow(watch);
        notebook.toolbar.addItem('nbpack:status', own);
      }
      const tell = () => {
        button.setHidden(!watch.kind);
        if (watch === current()) {
          commands.notifyCommandChanged(EXPORT);
        }
      };
      tell();
      watch.changed.connect(tell);
      notebook.disposed.connect(() => {
        watches.delete(notebook);
        follow();
      });
      follow();
    };
    tracker.forEach(add);
    tracker.widgetAdded.connect((_, notebook) => void notebook.context.ready.then(() => notebook.isDisposed || add(notebook)));
    tracker.currentChanged.connect(follow);
  }
};

export default plugin;
