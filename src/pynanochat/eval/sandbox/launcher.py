"""The launcher: runs as a script in a process of its own, locks itself in for good, and becomes the program.

Called as: python -I -S -B launcher.py SETTINGS, a JSON object with program, python, readable, parent, memory_bytes,
cpu_seconds, files and status, a pipe that says "locked" just before the program starts, or why it does not. It imports
nothing of this package, fails closed, and all of it holds across execve.
Source: Linux uapi/linux/landlock.h, uapi/linux/seccomp.h, uapi/linux/bpf_common.h, arch/*/include/uapi/asm/unistd.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import resource
import struct
import sys

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same numbers on every architecture
EXECUTE, READ_FILE, READ_DIR = 1, 4, 8
FS_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))  # from this version on so many bits, all of which are taken away
NO_NEW_PRIVS, SET_SECCOMP, FILTER, DEATH_SIGNAL, BOUNDING_DROP = 38, 22, 2, 1, 24
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, ALU|AND|K, JMP|JEQ|K, JMP|JGE|K, RET
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

# What a Python program needs to start, compute and print, besides the calls that only certain arguments make harmless.
NAMES = (
    "read write readv writev pread64 close fstat lseek newfstatat statx readlinkat faccessat faccessat2 getcwd "
    "getdents64 dup dup3 mmap mprotect munmap mremap madvise brk rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack "
    "getpid gettid getppid getuid geteuid getgid getegid futex set_robust_list set_tid_address rseq getrandom uname "
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday sched_yield sched_getaffinity getrusage times "
    "sysinfo exit exit_group execve restart_syscall ppoll pselect6 getrlimit setitimer getitimer")
NUMBERS = {
    "x86_64": (0xC000003E, NAMES + " stat lstat access readlink arch_prctl dup2 poll select time getpgrp alarm", {
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
        "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
        "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "readv": 19, "writev": 20, "access": 21, "select": 23,
        "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "dup2": 33, "nanosleep": 35, "getitimer": 36,
        "alarm": 37, "setitimer": 38, "getpid": 39, "execve": 59, "exit": 60, "kill": 62, "uname": 63, "fcntl": 72,
        "getcwd": 79, "readlink": 89, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99,
        "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "getpgrp": 111,
        "sigaltstack": 131, "arch_prctl": 158, "gettid": 186, "tkill": 200, "time": 201, "futex": 202,
        "sched_getaffinity": 204, "getdents64": 217, "set_tid_address": 218, "restart_syscall": 219,
        "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234,
        "openat": 257, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "pselect6": 270, "ppoll": 271,
        "set_robust_list": 273, "dup3": 292, "prlimit64": 302, "getrandom": 318, "statx": 332, "rseq": 334,
        "faccessat2": 439}),
    "aarch64": (0xC00000B7, NAMES, {
        "getcwd": 17, "dup": 23, "dup3": 24, "fcntl": 25, "ioctl": 29, "faccessat": 48, "openat": 56, "close": 57,
        "getdents64": 61, "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67,
        "pselect6": 72, "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94,
        "set_tid_address": 96, "futex": 98, "set_robust_list": 99, "nanosleep": 101, "getitimer": 102,
        "setitimer": 103, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
        "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128, "kill": 129, "tkill": 130,
        "tgkill": 131, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
        "times": 153, "uname": 160, "getrlimit": 163, "getrusage": 165, "gettimeofday": 169, "getpid": 172,
        "getppid": 173, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179,
        "brk": 214, "munmap": 215, "mremap": 216, "execve": 221, "mmap": 222, "mprotect": 226, "madvise": 233,
        "prlimit64": 261, "getrandom": 278, "statx": 291, "rseq": 293, "faccessat2": 439}),
}
TCGETS, FIOCLEX, FIONCLEX = 0x5401, 0x5451, 0x5450
DUP_AND_FLAGS = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC; not F_SETOWN, which signals
ALL, WRITES = 0xFFFFFFFF, 0o1103  # O_ACCMODE, O_CREAT, O_TRUNC: before its third version Landlock lets O_TRUNC pass


def call(name: str, *arguments: object) -> int:
    """The result of a function of libc; OSError where it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = getattr(libc, name)(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return int(result)


def landlock_version() -> int:
    """Of the running kernel; 0 without Landlock."""
    try:
        return call("syscall", LANDLOCK_CREATE, None, 0, 1)
    except OSError:
        return 0


def lock_files(readable: list[str]) -> None:
    """From now on only these files, and those below these folders, can be opened, only to be read or run.

    Where the kernel's version has it, no TCP port can be bound or connected and no process outside signalled, too.
    """
    version = landlock_version()
    if not version:
        raise OSError("this kernel has no Landlock, or it is switched off")
    rights = (1 << max(bits for since, bits in FS_RIGHTS if since <= version)) - 1
    attributes = struct.pack("=QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = call("syscall", LANDLOCK_CREATE, attributes, size, 0)
    for path in readable:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        allowed = EXECUTE | READ_FILE | (READ_DIR if os.path.isdir(path) else 0)
        call("syscall", LANDLOCK_ADD, rules, 1, struct.pack("=Qi", allowed, opened), 0)
        os.close(opened)
    call("syscall", LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def program_of(machine: str, process: int) -> bytes:
    """The filter as classic BPF: allowed calls pass, some with certain arguments only, all others get EPERM."""
    architecture, names, numbers = NUMBERS[machine]
    code = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    if machine == "x86_64":  # the x32 calls have the same architecture and numbers of their own
        code += [(AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, REFUSE)]
    for name in names.split():
        code += [(EQUAL, 0, 1, numbers[name]), (RETURN, 0, 0, ALLOW)]
    only = [  # call, which argument, the bits of it that count, their allowed values; all are ints to the kernel
        ("openat", 2, WRITES, (0,)), ("ioctl", 1, ALL, (TCGETS, FIOCLEX, FIONCLEX)),
        ("fcntl", 1, ALL, DUP_AND_FLAGS), ("prlimit64", 0, ALL, (0, process)), ("kill", 0, ALL, (process,)),
        ("tgkill", 0, ALL, (process,)), ("tkill", 0, ALL, (process,))]
    if machine == "x86_64":
        only.append(("open", 1, WRITES, (0,)))
    for name, place, bits, values in only:
        checks = [(LOAD, 0, 0, ARGUMENTS + 8 * place), (AND, 0, 0, bits)]
        for value in values:
            checks += [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
        checks.append((RETURN, 0, 0, REFUSE))
        code += [(EQUAL, 0, len(checks), numbers[name]), *checks]
    code.append((RETURN, 0, 0, REFUSE))
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def lock_calls() -> None:
    """From now on the kernel refuses every call but those above."""
    code = ctypes.create_string_buffer(program_of(platform.machine(), os.getpid()))
    head = struct.pack("@HP", len(code.raw) // 8, ctypes.addressof(code))
    call("prctl", SET_SECCOMP, FILTER, head, 0, 0)


def drop_rights() -> None:
    """No program that this one becomes has more rights than it; root keeps none of root's."""
    call("prctl", DEATH_SIGNAL, 9, 0, 0, 0)
    call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # at the first that the kernel does not know, or not ours to drop
            for capability in range(64):
                call("prctl", BOUNDING_DROP, capability, 0, 0, 0)
    call("capset", struct.pack("=Ii", 0x20080522, 0), bytes(24))


def limit(settings: dict[str, int]) -> None:
    """Bounds of memory, processor time and open files; no core dump, no file written."""
    cpu = settings["cpu_seconds"]
    for what, value in ((resource.RLIMIT_AS, settings["memory_bytes"]), (resource.RLIMIT_CPU, cpu),
                        (resource.RLIMIT_NOFILE, settings["files"]), (resource.RLIMIT_FSIZE, 0),
                        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_MEMLOCK, 0)):
        resource.setrlimit(what, (value, value))


def main() -> None:
    """Lock everything, say so, and become the program."""
    settings = json.loads(sys.argv[1])
    status = settings["status"]
    try:
        os.set_inheritable(status, False)
        os.setsid()
        drop_rights()
        if os.getppid() != settings["parent"]:
            os._exit(99)  # whoever would end the program is gone already
        lock_files(settings["readable"])
        limit(settings)
        lock_calls()
        os.write(status, b"locked")
        python = settings["python"]
        os.execve(python, [python, "-I", "-S", "-B", settings["program"]], {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"})
    except BaseException as error:
        os.write(status, f" but {error}".encode())
        os._exit(99)


if __name__ == "__main__":
    main()
