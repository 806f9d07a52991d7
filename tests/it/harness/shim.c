/* Stands between the server and the C library: ends the process at a chosen call, lets syncs fail or lie, and moves the
 * clock. Only calls on files of the database count.
 *
 *   SHIM_KILL=pwrite64:17       ends the process (SIGKILL) instead of the 17th call of that name
 *   SHIM_KILL=fdatasync:3+      the same right after the call
 *   SHIM_ARMED=FILE             counts only from when this file is there
 *   SHIM_SYNC=fail:3            the 3rd fdatasync or fsync answers EIO, later ones succeed
 *   SHIM_SYNC=lie               every sync answers success and does nothing
 *   SHIM_SYNC=lose:3            the same from the 3rd sync on, and what is changed after the 2nd is thrown away: a disk
 *                               that is full, read-only or broken, and says that all is well
 *   SHIM_READ_ONLY=FILE         while this file is there, writes answer EROFS
 *   SHIM_CLOCK=FILE             wall time is moved by the seconds in this file
 *   SHIM_CLOCKS=FILE            every clock is moved, as if all waits were measured in wall time
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls, syncs;

static int is_database(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, "coscribe.db") != NULL;
}

static int armed(void) {
  static atomic_int there;
  const char *file = getenv("SHIM_ARMED");
  if (!file || there) return 1;
  struct stat status;
  there = stat(file, &status) == 0;
  return there;
}

/* Whether the process is to end at this call, and on which side of it. */
static int ends(const char *name, int fd, int *after) {
  const char *setting = getenv("SHIM_KILL");
  if (!setting) return 0;
  size_t length = strlen(name);
  if (strncmp(setting, name, length) || setting[length] != ':') return 0;
  if (!is_database(fd) || !armed()) return 0;
  char *rest;
  long number = strtol(setting + length + 1, &rest, 10);
  *after = *rest == '+';
  return ++calls == number;
}

static void end(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

#define CALL(name, fd, real)              \
  int after = 0, now = ends(name, fd, &after); \
  if (now && !after) end();               \
  long answer = real;                     \
  if (now) end();                         \
  return answer;

/* Whether what is changed now is thrown away. */
static int loses(int fd) {
  const char *setting = getenv("SHIM_SYNC");
  return setting && !strncmp(setting, "lose:", 5) && is_database(fd) && armed() && syncs + 1 >= atol(setting + 5);
}

/* Whether the file system is read-only now. */
static int read_only(int fd) {
  const char *file = getenv("SHIM_READ_ONLY");
  struct stat status;
  return file && is_database(fd) && stat(file, &status) == 0;
}

static long write_as_told(int fd, const void *bytes, size_t count, off64_t at) {
  if (loses(fd)) return count;
  if (read_only(fd)) {
    errno = EROFS;
    return -1;
  }
  return syscall(SYS_pwrite64, fd, bytes, count, at);
}

static long truncate_as_told(int fd, off64_t length) {
  return loses(fd) ? 0 : syscall(SYS_ftruncate, fd, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  CALL("pwrite64", fd, write_as_told(fd, bytes, count, at))
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  CALL("pwrite64", fd, write_as_told(fd, bytes, count, at))
}

int ftruncate64(int fd, off64_t length) {
  CALL("ftruncate", fd, truncate_as_told(fd, length))
}

int ftruncate(int fd, off_t length) {
  CALL("ftruncate", fd, truncate_as_told(fd, length))
}

static long sync_as_told(int fd, long number) {
  const char *setting = getenv("SHIM_SYNC");
  if (setting && is_database(fd) && armed()) {
    if (!strcmp(setting, "lie")) return 0;
    if (!strncmp(setting, "lose:", 5) && ++syncs >= atol(setting + 5)) return 0;
    if (!strncmp(setting, "fail:", 5) && ++syncs == atol(setting + 5)) {
      errno = EIO;
      return -1;
    }
  }
  return syscall(number, fd);
}

int fdatasync(int fd) {
  CALL("fdatasync", fd, sync_as_told(fd, SYS_fdatasync))
}

int fsync(int fd) {
  CALL("fdatasync", fd, sync_as_told(fd, SYS_fsync))
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int answer = real(clock, now);
  const char *path = getenv("SHIM_CLOCKS");
  if (!path && clock == CLOCK_REALTIME) path = getenv("SHIM_CLOCK");
  if (!path) return answer;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return answer;
  char text[32] = {0};
  if (read(fd, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
  close(fd);
  return answer;
}
