"""Machines whose clocks differ: a library that is loaded into a process before any other moves its clock."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

#: The wall clock alone: what measures how long something takes is not touched.
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long skew(void) {
    static long seconds;
    static int known;
    if (!known) { const char *text = getenv("CHAOS_SKEW_SECONDS"); seconds = text ? atol(text) : 0; known = 1; }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, at);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += skew();
    return result;
}

int gettimeofday(struct timeval *at, void *zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(at, zone);
    if (!result) at->tv_sec += skew();
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def build(folder: Path) -> Path:
    """The library, compiled."""
    source, library = folder / "skew.c", folder / "skew.so"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def skewed(library: Path, seconds: Mapping[str, int]) -> dict[str, dict[str, str]]:
    """Role → its environment; ``seconds``: role → how far its clock is ahead."""
    return {name: {"LD_PRELOAD": str(library), "CHAOS_SKEW_SECONDS": str(ahead)} for name, ahead in seconds.items()}
