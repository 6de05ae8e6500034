/* Syncs that hang while the file HANG_WHILE is there, and fail while FAIL_WHILE is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int is_there(const char *variable) {
    const char *path = getenv(variable);
    return path && access(path, F_OK) == 0;
}

static int late(const char *name, int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    while (is_there("HANG_WHILE")) usleep(10000);
    if (is_there("FAIL_WHILE")) {
        errno = EIO;
        return -1;
    }
    return real(file);
}

int fsync(int file) { return late("fsync", file); }
int fdatasync(int file) { return late("fdatasync", file); }
