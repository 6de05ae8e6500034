/* A disk, a clock and a program that fail, put before the system's.
 *
 * DISK        a directory with what would be left of each file after a power cut: what was written before a sync that worked.
 *             Of what was written before a sync that failed, nothing is, although it can be read (as on Linux).
 * FAIL_WHILE  while this file is there, syncs fail.
 * HANG_WHILE  while this file is there, syncs hang.
 * STOP_AT     the program ends at the write, sync, renaming or removal with this number.
 * AHEAD_BY    a file with the seconds by which the clock is ahead; where there is none, it is right.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...) type (*real)(__VA_ARGS__) = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { char path[512]; off_t at; size_t length; } *dirty;
static size_t dirty_count, dirty_room;
static long steps;
/* A renaming that is not on the disk yet. */
static char renamed[512], renamed_to[512];

static int is_there(const char *variable) {
    const char *path = getenv(variable);
    return path && access(path, F_OK) == 0;
}

/* Whether `file` is an inbox or a file beside one; its path. */
static int path_of(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, 511);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "inbox.db") != NULL;
}

static void image_of(const char *path, char *image) {
    snprintf(image, 1024, "%s/%s", getenv("DISK"), strrchr(path, '/') + 1);
}

static void step(void) {
    const char *stop = getenv("STOP_AT");
    if (stop && __sync_add_and_fetch(&steps, 1) == atol(stop)) _exit(9);
}

static void note(int file, off_t at, size_t length) {
    char path[512];
    if (!getenv("DISK") || !path_of(file, path)) return;
    pthread_mutex_lock(&lock);
    if (dirty_count == dirty_room) dirty = realloc(dirty, (dirty_room = dirty_room * 2 + 64) * sizeof *dirty);
    strcpy(dirty[dirty_count].path, path);
    dirty[dirty_count].at = at;
    dirty[dirty_count++].length = length;
    pthread_mutex_unlock(&lock);
}

/* What was written to `file` is clean now; with `kept`, also on the disk. */
static void clean(int file, int kept) {
    char path[512], image[1024];
    if (!getenv("DISK") || !path_of(file, path)) return;
    image_of(path, image);
    pthread_mutex_lock(&lock);
    /* By `file` itself: the locks of SQLite on a file go when any other descriptor of it is closed. */
    int to = kept ? open(image, O_RDWR | O_CREAT, 0600) : -1;
    size_t left = 0;
    for (size_t each = 0; each < dirty_count; each++) {
        if (strcmp(dirty[each].path, path) != 0) {
            dirty[left++] = dirty[each];
        } else if (kept) {
            char *bytes = malloc(dirty[each].length);
            ssize_t read = pread(file, bytes, dirty[each].length, dirty[each].at);
            REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
            if (read > 0) real(to, bytes, read, dirty[each].at);
            free(bytes);
        }
    }
    dirty_count = left;
    struct stat status;
    if (kept && fstat(file, &status) == 0) {
        REAL(int, "ftruncate", int, off_t);
        real(to, status.st_size);
    }
    if (kept) close(to);
    pthread_mutex_unlock(&lock);
}

/* The renaming and the removals in the directory `file` are on the disk. */
static void clean_directory(int file) {
    char link[64], directory[400] = "", path[512], image[1024];
    const char *names[] = {"inbox.db", "inbox.db-journal", "inbox.db-wal"};
    struct stat status;
    if (!getenv("DISK") || fstat(file, &status) || !S_ISDIR(status.st_mode)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, directory, sizeof directory - 1) < 0) return;
    if (*renamed) {
        char to[1024];
        REAL(int, "rename", const char *, const char *);
        image_of(renamed, image);
        image_of(renamed_to, to);
        real(image, to);
        *renamed = 0;
    }
    for (int each = 0; each < 3; each++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[each]);
        image_of(path, image);
        REAL(int, "unlink", const char *);
        if (access(path, F_OK)) real(image);
    }
}

static int sync_by(const char *name, int file) {
    char path[512];
    REAL(int, name, int);
    if (path_of(file, path)) step();
    while (is_there("HANG_WHILE")) usleep(10000);
    int fails = is_there("FAIL_WHILE");
    clean(file, !fails);
    if (!fails) clean_directory(file);
    if (fails) {
        errno = EIO;
        return -1;
    }
    return getenv("DISK") ? 0 : real(file);
}

int fsync(int file) { return sync_by("fsync", file); }
int fdatasync(int file) { return sync_by("fdatasync", file); }

ssize_t write(int file, const void *bytes, size_t length) {
    char path[512];
    REAL(ssize_t, "write", int, const void *, size_t);
    if (file <= 2 || !path_of(file, path)) return real(file, bytes, length);
    step();
    note(file, lseek(file, 0, SEEK_CUR), length);
    return real(file, bytes, length);
}

static ssize_t write_at(const char *name, int file, const void *bytes, size_t length, off_t at) {
    char path[512];
    REAL(ssize_t, name, int, const void *, size_t, off_t);
    if (path_of(file, path)) step();
    note(file, at, length);
    return real(file, bytes, length, at);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return write_at("pwrite", file, bytes, length, at); }
ssize_t pwrite64(int file, const void *bytes, size_t length, off_t at) { return write_at("pwrite64", file, bytes, length, at); }

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (strstr(path, "inbox.db")) step();
    return real(path);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (strstr(from, "inbox.db")) {
        step();
        strcpy(renamed, from);
        strcpy(renamed_to, to);
    }
    return real(from, to);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int result = real(clock, time);
    const char *path = getenv("AHEAD_BY");
    FILE *file = clock == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long seconds;
    if (file && fscanf(file, "%ld", &seconds) == 1) time->tv_sec += seconds;
    if (file) fclose(file);
    return result;
}
