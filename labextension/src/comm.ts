/**
 * Asks the proxy of a recording kernel over the comm target `nbpack`.
 *
 * Each question has a comm of its own: opened, asked, answered, closed. So nothing has to be remembered over restarts,
 * and closing it gives the question up. The messages are made here rather than by `createComm`, which would have the
 * kernel start a subshell for them; the kernel never sees these.
 */
import { Kernel, KernelMessage } from '@jupyterlab/services';
import { JSONObject, UUID } from '@lumino/coreutils';

const TARGET = 'nbpack';
/** A question that is answered from what is at hand. */
const QUICK = 20_000;

/** What the proxy says went wrong, and what helps. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly hint?: string | null
  ) {
    super(message);
  }
}

/** How far something is. */
export interface IProgress {
  text?: string;
  done?: number;
  total?: number;
}

/** A question under way. */
export interface IQuestion<T> {
  answer: Promise<T>;
  /** Gives it up: what runs for it is stopped. */
  cancel(): void;
}

interface ISaid {
  progress?: IProgress;
  result?: unknown;
  error?: { message: string; hint?: string | null };
}

/** Whether a kernelspec starts the proxy; `restored` when what it wraps is a container. */
export function kindOf(
  spec: { argv?: readonly string[] } | undefined
): 'recording' | 'restored' | null {
  const argv = ((spec && spec.argv) || []) as readonly string[];
  if (argv[1] !== 'kernel') {
    return null;
  }
  return argv.includes('--wrap') ? 'recording' : argv.includes('--restored') ? 'restored' : null;
}

/** Asks; `limit` is how long the answer may take, in milliseconds, 0 for as long as it takes. */
export function ask<T>(
  kernel: Kernel.IKernelConnection,
  request: JSONObject,
  onProgress?: (progress: IProgress) => void,
  limit = QUICK
): IQuestion<T> {
  const commId = UUID.uuid4();
  const options = { channel: 'shell' as const, username: kernel.username, session: kernel.clientId };
  let finish: (act: () => void) => void = () => undefined;
  let fail: (reason: Error) => void = () => undefined;
  const answer = new Promise<T>((resolve, reject) => {
    fail = reject;
    const opened = kernel.sendShellMessage(
      KernelMessage.createMessage<KernelMessage.ICommOpenMsg<'shell'>>({
        ...options,
        msgType: 'comm_open',
        content: { comm_id: commId, target_name: TARGET, data: {} }
      }),
      false
    );
    const asked = kernel.sendShellMessage(
      KernelMessage.createMessage<KernelMessage.ICommMsgMsg<'shell'>>({
        ...options,
        msgType: 'comm_msg',
        content: { comm_id: commId, data: request }
      }),
      false
    );
    const ended = (_: unknown, status: Kernel.Status) => {
      if (['restarting', 'autorestarting', 'dead', 'terminating'].includes(status)) {
        finish(() => reject(new Refusal('the kernel has ended')));
      }
    };
    const timer =
      limit > 0
        ? window.setTimeout(() => finish(() => reject(new Refusal('nbpack did not answer'))), limit)
        : undefined;
    let over = false;
    finish = act => {
      if (over) {
        return;
      }
      over = true;
      window.clearTimeout(timer);
      kernel.statusChanged.disconnect(ended);
      opened.dispose();
      asked.dispose();
      if (!kernel.isDisposed && kernel.status !== 'dead') {
        kernel
          .sendShellMessage(
            KernelMessage.createMessage<KernelMessage.ICommCloseMsg<'shell'>>({
              ...options,
              msgType: 'comm_close',
              content: { comm_id: commId, data: {} }
            }),
            false
          )
          .dispose();
      }
      act();
    };
    kernel.statusChanged.connect(ended);
    opened.onIOPub = msg => {
      // The kernel itself answers: a proxy that knows nothing of panels stands before it.
      if (msg.header.msg_type === 'comm_close') {
        finish(() => reject(new Refusal('this kernel’s nbpack is too old for the panel', 'update nbpack')));
      }
    };
    asked.onIOPub = msg => {
      if (msg.header.msg_type !== 'comm_msg') {
        return;
      }
      const said = (msg as KernelMessage.ICommMsgMsg<'iopub'>).content.data as ISaid;
      if (said.progress) {
        onProgress?.(said.progress);
      } else if (said.error) {
        const { message, hint } = said.error;
        finish(() => reject(new Refusal(message, hint)));
      } else {
        finish(() => resolve(said.result as T));
      }
    };
  });
  return { answer, cancel: () => finish(() => fail(new Refusal('cancelled'))) };
}
