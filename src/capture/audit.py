"""nbpack's last way to see which files a notebook uses, where Linux lets it watch nothing: an audit hook (PEP 578).

Python imports this as `sitecustomize`. It takes itself away again, so that the user's own `sitecustomize` is imported and
`sys.path` is what it would be, and says into a pipe what Python code opens. It never raises, and never waits for long.
"""


def hook(directory):
    import posix
    import sys

    if not hasattr(sys, "addaudithook"):
        return
    import os
    from _thread import _local, get_native_id
    from time import time_ns

    # Tests that replace these functions mean their own files.
    p_open, p_close, p_write, p_read = posix.open, posix.close, posix.write, posix.read
    getpid, getppid, getcwd, stat, readlink = posix.getpid, posix.getppid, posix.getcwdb, posix.stat, posix.readlink
    mkfifo, unlink, set_blocking, environ = posix.mkfifo, posix.unlink, posix.set_blocking, os.environ
    fsencode = os.fsencode
    here = fsencode(directory)
    pipe = here + b"/said"
    here_threads = _local()
    writes = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
    fresh = os.O_CREAT | os.O_EXCL
    # Linux writes so much at once or nothing; what is longer is not said.
    most = 4096
    # How long a change may be held while its old content is put aside.
    longest = 60

    def ours(error):
        # A signal's handler may raise such an error too, and then it is not for us to swallow.
        return error.errno is not None

    def say(kind, value=0, path=b"", other=b"", reply=b""):
        numbers = [b"%d" % n for n in (time_ns(), getpid(), get_native_id(), getppid(), value)]
        said = b"\0".join([kind, *numbers, reply, path, other])
        if len(said) + 4 > most:
            said = b"\0".join([kind, *numbers, reply, path, b""])
        if len(said) + 4 > most:
            return False
        frame = b"%04x" % len(said) + said
        # Opened for every word: a descriptor that stayed open could be closed by the program, and mean another file.
        fd = p_open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            try:
                p_write(fd, frame)
            except BlockingIOError:
                set_blocking(fd, True)
                p_write(fd, frame)
        finally:
            p_close(fd)
        return True

    def say_and_wait(kind, value, path, other=b""):
        """Says it, and waits until the old content is safe."""
        from select import poll

        name = b"%d-%d" % (getpid(), get_native_id())
        answer = here + b"/" + name
        mkfifo(answer, 0o600)
        fd = p_open(answer, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if say(kind, value, path, other, name):
                waiting = poll()
                waiting.register(fd)
                for _ in range(longest):
                    if waiting.poll(1000):
                        break
                    # Fails when nobody is there any more.
                    p_close(p_open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        finally:
            p_close(fd)
            unlink(answer)

    def absolute(path, fd=-1):
        if isinstance(path, str):
            path = fsencode(path)
        if not isinstance(path, bytes) or b"\0" in path:
            return None
        if path[:1] == b"/":
            return path
        base = getcwd() if fd is None or fd < 0 else readlink(b"/proc/self/fd/%d" % fd)
        return base + b"/" + path

    def exists(path):
        try:
            stat(path)
        except OSError as error:
            if not ours(error):
                raise
            return False
        return True

    def change(kind, value, path, other=b""):
        pseudo = path.startswith((b"/dev/", b"/proc/", b"/sys/")) and not path.startswith(b"/dev/shm/")
        there = exists(path)
        if kind in (b"r", b"u") and not there:
            # It fails: somebody only looked.
            say(b"o", 0, path)
        elif not pseudo and (there or other and exists(other)):
            say_and_wait(kind, value, path, other)
        else:
            say(kind, value, path, other)

    def opened(path, mode, flags):
        if path := absolute(path):
            if flags & writes and flags & fresh != fresh:
                change(b"o", flags, path)
            else:
                say(b"o", flags, path)

    def listed(path=None):
        if path := absolute("." if path is None else path):
            say(b"o", os.O_DIRECTORY, path)

    def renamed(source, target, source_fd=-1, target_fd=-1):
        source, target = absolute(source, source_fd), absolute(target, target_fd)
        if source and target:
            change(b"r", 0, source, target)

    def linked(source, target, source_fd=-1, target_fd=-1):
        source, target = absolute(source, source_fd), absolute(target, target_fd)
        if source and target:
            say(b"l", 0, source, target)

    def symlinked(text, path, fd=-1):
        text = fsencode(text) if isinstance(text, str) else text
        if isinstance(text, bytes) and (path := absolute(path, fd)):
            say(b"s", 0, path, text)

    def removed(path, fd=-1):
        if path := absolute(path, fd):
            change(b"u", 0, path)

    def removed_directory(path, fd=-1):
        if path := absolute(path, fd):
            say(b"u", 1, path)

    def truncated(path, length):
        if path := absolute(path):
            change(b"t", 0, path)

    def database(name):
        if isinstance(name, (str, bytes)) and name and (name[:1] not in (":", b":") and name[:5] not in ("file:", b"file:")):
            opened(name, None, os.O_RDWR | os.O_CREAT)

    def library(name):
        if isinstance(name, (str, bytes)) and ("/" in name if isinstance(name, str) else b"/" in name):
            opened(name, None, 0)

    def imported(module, filename, *_):
        if filename:
            library(filename)

    def arguments(given):
        if isinstance(given, (str, bytes)):
            given = [given]
        words = [fsencode(word) for word in given if isinstance(word, (str, bytes))]
        return b"".join(word + b"\0" for word in words)

    def started(program, args=(), directory=None, env=None):
        if isinstance(program, str):
            program = fsencode(program)
        if not isinstance(program, bytes):
            return
        given = arguments(args or ())
        if b"/" not in program:
            places = fsencode(environ.get("PATH", "/usr/bin:/bin")).split(b":")
            program = next((path for path in (place + b"/" + program for place in places) if exists(path)), None)
        if program and (program := absolute(program)):
            say(b"x", 0, program, given)

    def shell(command):
        started("/bin/sh", ["sh", "-c", command])

    def connected(socket, address):
        if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[0], str) and isinstance(address[1], int):
            host = "[%s]" % address[0] if ":" in address[0] else address[0]
            say(b"c", 0, fsencode("tcp:%s:%d" % (host, address[1])))
        elif isinstance(address, (str, bytes)):
            name = fsencode(address)
            say(b"c", 0, b"unix:@" + name[1:] if name[:1] == b"\0" else b"unix:" + name)

    told_of = {
        "open": opened,
        "os.listdir": listed,
        "os.scandir": listed,
        "os.rename": renamed,
        "os.link": linked,
        "os.symlink": symlinked,
        "os.remove": removed,
        "os.rmdir": removed_directory,
        "os.truncate": truncated,
        "sqlite3.connect": database,
        "ctypes.dlopen": library,
        "import": imported,
        "subprocess.Popen": started,
        "os.posix_spawn": lambda path, args, env=None: started(path, args),
        "os.exec": lambda path, args, env=None: started(path, args),
        "os.system": shell,
        "socket.connect": connected,
    }

    def audit(event, args):
        tell = told_of.get(event)
        if tell is None or getattr(here_threads, "busy", False):
            return
        here_threads.busy = True
        try:
            tell(*args)
        except OSError as error:
            if not ours(error):
                raise
        except (TypeError, ValueError):
            # Arguments of a Python that we do not know.
            pass
        finally:
            here_threads.busy = False

    here_threads.busy = True
    try:
        say(b"h")
    except OSError:
        # Nobody listens: a program that outlived the session.
        return
    finally:
        here_threads.busy = False
    sys.addaudithook(audit)


def step_aside():
    import sys

    directory = __file__.rpartition("/")[0]
    try:
        hook(directory)
    finally:
        sys.path[:] = [path for path in sys.path if path != directory]
        sys.path_importer_cache.pop(directory, None)
        sys.modules.pop("sitecustomize", None)


step_aside()
# The user's own; that there is none is said as it would have been.
import sitecustomize  # noqa: E402
