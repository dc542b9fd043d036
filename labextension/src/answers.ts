/** What the proxy answers (`src/record/panel.rs`, `src/cli/panel.rs`). */

/** A cell, or an execution that no cell stands for. */
export interface ICellRef {
  cell: string | null;
  count: number | null;
}

/** `status` */
export interface IStatus {
  recording: boolean;
  contained: boolean;
  session?: string;
  coverage?: string;
  executions?: number;
  bytes?: number;
  inputs_kept?: number;
  secrets?: number | null;
  gaps?: { reason: string; detail: string }[];
  /** What the person at the terminal was warned of. */
  warnings?: string[];
}

/** Why an output is out of date. */
export interface IReason {
  kind: 'file' | 'library' | 'rerun' | 'edited' | 'deleted' | 'upstream';
  text: string;
  cell?: string;
}

/** A cell that ran. */
export interface IStanding {
  cell: string;
  execution: number;
  count: number | null;
  running: boolean;
  reasons: IReason[];
}

/** Something that looks like a secret. */
export interface IFinding {
  rule: string;
  place: string;
  masked: string;
}

/** `cells` */
export interface IStandings {
  cells: IStanding[];
  /** Where they were asked for. */
  secrets?: IFinding[];
  files_compared: boolean;
}

/** A library that was loaded. */
export interface ILibrary {
  name: string;
  version: string;
  kind: string;
  declared: string | null;
  modified: number;
  cells: ICellRef[];
}

/** A file that was read or written. */
export interface IFile {
  path: string;
  shown: string;
  role: 'read' | 'written' | 'both';
  class: string | null;
  size: number;
  digest: string | null;
  note: string | null;
  read_by: ICellRef[];
  written_by: ICellRef[];
}

/** What is seen in part only. */
export interface IRemark {
  kind: string;
  text: string;
  cells?: ICellRef[];
}

/** `inputs` */
export interface IInputs {
  libraries: ILibrary[];
  installed: number;
  files: IFile[];
  more_files: number;
  partly: IRemark[];
}

/** `plan` */
export interface IPlan {
  layers: { title: string; bytes: number; entries: number; reused: boolean }[];
  findings: (IFinding & { label: string; in_file: boolean })[];
  warnings: string[];
  left_out: { path: string; why: string }[];
}

/** `export` */
export interface IExported {
  output: string;
  shown: string;
  manifest: string;
  layers: number;
  bytes: number;
  new_bytes: number;
  reused_layers: number;
  warnings: string[];
  said: string[];
}

/** `open` */
export interface IOpened {
  name: string;
  manifest: string;
  signed_by: string[];
  /** The notebook as seen from the directory of who asked. */
  beside: string | null;
  kernel_name: string | null;
}
