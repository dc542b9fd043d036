-- One session. Times are nanoseconds since the epoch; execution 0 means "outside any execution";
-- JSON columns hold what the messages held. docs/FORMAT.md describes each column.
CREATE TABLE session (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, kernel TEXT NOT NULL, display_name TEXT NOT NULL,
  language TEXT NOT NULL, argv TEXT NOT NULL, interrupt_mode TEXT NOT NULL, kernel_env TEXT NOT NULL,
  cwd BLOB NOT NULL, notebook BLOB, notebook_source TEXT, user TEXT NOT NULL, uid INTEGER NOT NULL,
  gid INTEGER NOT NULL, home BLOB NOT NULL, host TEXT NOT NULL, nbpack_version TEXT NOT NULL,
  coverage TEXT NOT NULL, exit_status INTEGER, parent TEXT
) STRICT;
CREATE TABLE execution (
  id INTEGER PRIMARY KEY, msg_id TEXT NOT NULL UNIQUE, cell_id TEXT, code TEXT NOT NULL, request TEXT NOT NULL,
  silent INTEGER NOT NULL, is_magic INTEGER NOT NULL, execution_count INTEGER, sent INTEGER NOT NULL,
  busy INTEGER, reply INTEGER, idle INTEGER, status TEXT, ename TEXT, evalue TEXT, interrupted INTEGER NOT NULL,
  client TEXT NOT NULL, username TEXT NOT NULL, user_expressions TEXT NOT NULL, clear_pending INTEGER NOT NULL
) STRICT;
CREATE TABLE output (
  execution INTEGER NOT NULL, ord INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT, display_id TEXT,
  body TEXT, digest TEXT, bytes INTEGER NOT NULL, PRIMARY KEY (execution, ord)
) STRICT, WITHOUT ROWID;
CREATE INDEX output_display ON output (display_id) WHERE display_id IS NOT NULL;
CREATE TABLE stdin (
  id INTEGER PRIMARY KEY, execution INTEGER NOT NULL, prompt TEXT NOT NULL, masked INTEGER NOT NULL, value TEXT,
  asked INTEGER NOT NULL, answered INTEGER NOT NULL
) STRICT;
CREATE TABLE comm (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, msg_type TEXT NOT NULL, comm_id TEXT NOT NULL, content TEXT NOT NULL,
  after INTEGER
) STRICT;
CREATE TABLE comm_buffer (
  comm INTEGER NOT NULL, ord INTEGER NOT NULL, body BLOB, digest TEXT, PRIMARY KEY (comm, ord)
) STRICT, WITHOUT ROWID;
CREATE TABLE process (
  id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, ppid INTEGER NOT NULL, started INTEGER NOT NULL, exe BLOB NOT NULL,
  argv TEXT NOT NULL, execution INTEGER NOT NULL
) STRICT;
CREATE TABLE path (id INTEGER PRIMARY KEY, path BLOB NOT NULL) STRICT;
CREATE TABLE file_use (
  path INTEGER NOT NULL, execution INTEGER NOT NULL, usage TEXT NOT NULL, pid INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, created_here INTEGER NOT NULL,
  dev INTEGER, ino INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, PRIMARY KEY (path, execution, usage)
) STRICT, WITHOUT ROWID;
CREATE TABLE file_version (
  path INTEGER NOT NULL, execution INTEGER NOT NULL, role TEXT NOT NULL, digest TEXT, dev INTEGER NOT NULL,
  ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
  mode INTEGER NOT NULL, kept INTEGER NOT NULL, unstable INTEGER NOT NULL, seen INTEGER NOT NULL, note TEXT,
  PRIMARY KEY (path, execution, role)
) STRICT, WITHOUT ROWID;
CREATE TABLE connection (
  address TEXT NOT NULL, execution INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (address, execution)
) STRICT, WITHOUT ROWID;
CREATE TABLE environment (name TEXT PRIMARY KEY, value TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE gap (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, count INTEGER NOT NULL
) STRICT;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
