"""The seccomp filter: the system calls a judging child may make, and nothing else.

A list of what is allowed, since the kernel grows new ways out faster than a list of what is forbidden could follow
(io_uring opens sockets, memfd_create holds memory nobody counts). What is not listed fails with EPERM; what is newer
than this table, and clone3, with ENOSYS, on which libc falls back to the older call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from jiebang.sandbox.kernel import MACHINE, PR_SET_SECCOMP, prctl

# Name, number on x86_64, number on aarch64 (asm-generic); "-" where the architecture never had the call.
_ALLOWED = """
# memory and files, the calls made most
read 0 63; write 1 64; close 3 57; fstat 5 80; newfstatat 262 79; lseek 8 62; mmap 9 222; mprotect 10 226
munmap 11 215; brk 12 214; madvise 28 233; mremap 25 216; futex 202 98; pread64 17 67; pwrite64 18 68; readv 19 65
writev 20 66; openat 257 56
# finding files
stat 4 -; lstat 6 -; open 2 -; access 21 -; faccessat 269 48; faccessat2 439 439; statx 332 291; fcntl 72 25
getdents 78 -; getdents64 217 61; getcwd 79 17; chdir 80 49; fchdir 81 50; readlink 89 -; readlinkat 267 78
statfs 137 43; fstatfs 138 44
# changing files: Landlock says which
flock 73 32; fsync 74 82; fdatasync 75 83; sync_file_range 277 84; truncate 76 45; ftruncate 77 46; fallocate 285 47
fadvise64 221 223; copy_file_range 326 285; sendfile 40 71; msync 26 227; mincore 27 232; rename 82 -
renameat 264 38; renameat2 316 276; mkdir 83 -; mkdirat 258 34; rmdir 84 -; unlink 87 -; unlinkat 263 35
utimensat 280 88; umask 95 166; close_range 436 436; preadv 295 69; pwritev 296 70; preadv2 327 286; pwritev2 328 287
# threads, signals to itself, waiting
rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139; rt_sigpending 127 136; rt_sigsuspend 130 133
rt_sigtimedwait 128 137; sigaltstack 131 132; restart_syscall 219 128; set_tid_address 218 96; set_robust_list 273 99
get_robust_list 274 100; arch_prctl 158 -; sched_yield 24 124; sched_getaffinity 204 123; sched_setaffinity 203 122
sched_getparam 143 121; sched_getscheduler 145 120; getcpu 309 168; membarrier 324 283; rseq 334 293
get_mempolicy 239 236; wait4 61 260; waitid 247 95; exit 60 93; exit_group 231 94; pipe2 293 59; dup 32 23; dup2 33 -
dup3 292 24; select 23 -; pselect6 270 72; poll 7 -; ppoll 271 73; epoll_create1 291 20; epoll_ctl 233 21
epoll_wait 232 -; epoll_pwait 281 22; eventfd2 290 19
# time and who am I
nanosleep 35 101; clock_nanosleep 230 115; clock_gettime 228 113; clock_getres 229 114; gettimeofday 96 169
time 201 -; getitimer 36 102; setitimer 38 103; times 100 153; getrusage 98 165; sysinfo 99 179; uname 63 160
getrandom 318 278; getpid 39 172; getppid 110 173; gettid 186 178; getpgrp 111 -; getuid 102 174; geteuid 107 175
getgid 104 176; getegid 108 177; getresuid 118 148; getresgid 120 150; getgroups 115 158; getrlimit 97 163
"""
# Allowed for some arguments only, below.
_CONDITIONAL = {
    "x86_64": {"clone": 56, "kill": 62, "tgkill": 234, "ioctl": 16, "prctl": 157, "prlimit64": 302},
    "aarch64": {"clone": 220, "kill": 129, "tgkill": 131, "ioctl": 29, "prctl": 167, "prlimit64": 261},
}
_CLONE3 = 435
_NEWER_THAN_THE_TABLE = 452
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_CLONE_THREAD = 0x00010000
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_NEW_NAMESPACES = 0x7E020000
# Is it a terminal? (every open() of Python asks); set close-on-exec, non-blocking. No TIOCSTI, no device controls.
_IOCTLS = (0x5401, 0x5413, 0x5450, 0x5451, 0x5421)
# Naming a thread, naming memory for people who read maps.
_PRCTLS = (15, 16, 0x53564D41)

_RET_KILL_PROCESS = 0x80000000
_RET_ERRNO = 0x00050000
_RET_ALLOW = 0x7FFF0000

# struct seccomp_data: nr, arch, instruction pointer, six 64-bit arguments; both architectures are little-endian.
_NR, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24

_SECCOMP_MODE_FILTER = 2

Instruction = tuple[int, int, int, int]


def _load(offset: int) -> Instruction:
    return (0x20, 0, 0, offset)


def _answer(action: int) -> Instruction:
    return (0x06, 0, 0, action)


def _if_equal(value: int, then: int, otherwise: int) -> Instruction:
    return (0x15, then, otherwise, value)


def _if_at_least(value: int, then: int, otherwise: int) -> Instruction:
    return (0x35, then, otherwise, value)


def _if_any_bit(bits: int, then: int, otherwise: int) -> Instruction:
    return (0x45, then, otherwise, bits)


_REFUSE = _answer(_RET_ERRNO | errno.EPERM)
_UNKNOWN = _answer(_RET_ERRNO | errno.ENOSYS)
_ALLOW = _answer(_RET_ALLOW)


def allowed_calls(machine: str = MACHINE) -> dict[str, int]:
    """The calls that are allowed whatever their arguments, by name."""
    calls = {}
    for line in _ALLOWED.splitlines():
        if line and not line.startswith("#"):
            for entry in line.split("; "):
                name, x86_64, aarch64 = entry.split()
                number = {"x86_64": x86_64, "aarch64": aarch64}[machine]
                if number != "-":
                    calls[name] = int(number)
    return calls


def _one_of(offset: int, values: tuple[int, ...], refusal: Instruction) -> list[Instruction]:
    """Allow when the low word of an argument is one of `values`."""
    block = [_load(offset)]
    for value in values:
        block += [_if_equal(value, 0, 1), _ALLOW]
    return [*block, refusal]


def program(pid: int, machine: str = MACHINE) -> list[Instruction]:
    """The filter for the process `pid`, which may send signals to itself alone, as classic BPF."""
    calls = _CONDITIONAL[machine]
    not_a_terminal = _answer(_RET_ERRNO | errno.ENOTTY)
    conditions = {
        calls["clone"]: [
            _load(_ARG0),
            _if_any_bit(_NEW_NAMESPACES, 1, 0),
            _if_any_bit(_CLONE_THREAD, 1, 0),
            _REFUSE,
            _ALLOW,
        ],
        calls["kill"]: _one_of(_ARG0, (pid,), _REFUSE),
        calls["tgkill"]: _one_of(_ARG0, (pid,), _REFUSE),
        calls["ioctl"]: _one_of(_ARG1, _IOCTLS, not_a_terminal),
        calls["prctl"]: _one_of(_ARG0, _PRCTLS, _REFUSE),
        calls["prlimit64"]: _one_of(_ARG0, (0, pid), _REFUSE),
        _CLONE3: [_UNKNOWN],
    }
    code = [
        _load(_ARCH),
        _if_equal(_AUDIT_ARCH[machine], 1, 0),
        _answer(_RET_KILL_PROCESS),
        _load(_NR),
        _if_at_least(_X32_BIT, 0, 1),
        _answer(_RET_KILL_PROCESS),
        _if_at_least(_NEWER_THAN_THE_TABLE, 0, 1),
        _UNKNOWN,
    ]
    for number in allowed_calls(machine).values():
        code += [_if_equal(number, 0, 1), _ALLOW]
    for number, block in conditions.items():
        code += [_if_equal(number, 0, len(block)), *block]
    return [*code, _REFUSE]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def restrict() -> None:
    """Put the filter on the calling thread and every thread it starts later; needs no-new-privileges."""
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in program(os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    prctl(
        PR_SET_SECCOMP,
        _SECCOMP_MODE_FILTER,
        ctypes.byref(_Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))),
    )
