"""What a test leaves behind when it is killed itself: a process of its own that waits for its end, then ends the processes and undoes
the links and mounts it has been told of. Nothing is left to do after a run that ends in good order."""
import contextlib
import os
import signal
import subprocess
import sys


class Aftermath:
    def __init__(self):
        self.waiting = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, text=True, start_new_session=True)

    def tell(self, *words):
        with contextlib.suppress(BrokenPipeError):
            self.waiting.stdin.write("\0".join(map(str, words)) + "\n")
            self.waiting.stdin.flush()

    def started(self, pid):
        """A process that leads a group of its own."""
        self.tell("started", pid)

    def ended(self, pid):
        self.tell("ended", pid)

    def undo(self, *command):
        """The commands are run in reverse order."""
        self.tell("undo", *command)

    def close(self):
        """All is undone already."""
        self.tell("close")
        self.waiting.stdin.close()
        self.waiting.wait()


def wait():
    groups, commands = set(), []
    for line in sys.stdin:
        verb, *rest = line.rstrip("\n").split("\0")
        if verb == "started":
            groups.add(int(rest[0]))
        elif verb == "ended":
            groups.discard(int(rest[0]))
        elif verb == "undo":
            commands.append(rest)
        else:
            return
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for command in reversed(commands):
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    wait()
