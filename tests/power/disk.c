/* A disk that keeps nothing until it is told to, and that can be full: preloaded into a process under test.
 *
 * Before every write or truncation of a file under DISK_FOLDER the old bytes go to DISK_LOG; every sync is noted there too.
 * Whoever then undoes all that came after each file's last sync has what a power cut leaves in the worst case.
 * While the file DISK_FULL exists, nothing can be written: "no space left on device". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

static int is_watched(int fd, char *path) {
  const char *folder = getenv("DISK_FOLDER");
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (folder == NULL || length <= 0) return 0;
  path[length] = 0;
  size_t size = strlen(folder);
  return strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == 0);
}

static void put(const void *data, size_t size) {
  while (size > 0) {
    ssize_t written = syscall(SYS_write, log_fd, data, size);
    if (written <= 0) abort();
    data = (const char *)data + written;
    size -= (size_t)written;
  }
}

static void note(char kind, const char *path, long long offset, size_t size, int fd) {
  char head[PATH_MAX + 96];
  struct stat state;
  char *old = NULL;
  ssize_t held = 0;
  if (log_fd < 0) log_fd = open(getenv("DISK_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fstat(fd, &state) != 0) abort();
  if (size > 0) {
    old = malloc(size);
    held = syscall(SYS_pread64, fd, old, size, offset);
    if (held < 0) {
      /* Opened for writing only: read it by its name. */
      int again = open(path, O_RDONLY | O_CLOEXEC);
      held = again < 0 ? 0 : syscall(SYS_pread64, again, old, size, offset);
      if (again >= 0) close(again);
      if (held < 0) held = 0;
    }
  }
  int length = snprintf(head, sizeof head, "%c\t%s\t%lld\t%zd\t%lld\n", kind, path, offset, held, (long long)state.st_size);
  put(head, (size_t)length);
  if (held > 0) put(old, (size_t)held);
  free(old);
}

static int is_full(void) {
  const char *flag = getenv("DISK_FULL");
  return flag != NULL && access(flag, F_OK) == 0;
}

static ssize_t write_at(int fd, const void *data, size_t size, off64_t offset, int positioned) {
  char path[PATH_MAX];
  if (!is_watched(fd, path)) {
    return positioned ? syscall(SYS_pwrite64, fd, data, size, offset) : syscall(SYS_write, fd, data, size);
  }
  if (is_full()) {
    errno = ENOSPC;
    return -1;
  }
  pthread_mutex_lock(&lock);
  if (!positioned) {
    struct stat state;
    int appends = fcntl(fd, F_GETFL) & O_APPEND;
    offset = appends && fstat(fd, &state) == 0 ? state.st_size : lseek64(fd, 0, SEEK_CUR);
  }
  note('W', path, offset, size, fd);
  ssize_t result = positioned ? syscall(SYS_pwrite64, fd, data, size, offset) : syscall(SYS_write, fd, data, size);
  pthread_mutex_unlock(&lock);
  return result;
}

ssize_t write(int fd, const void *data, size_t size) { return write_at(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return write_at(fd, data, size, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return write_at(fd, data, size, offset, 1); }

static int cut(int fd, off64_t length) {
  char path[PATH_MAX];
  if (is_watched(fd, path)) {
    struct stat state;
    pthread_mutex_lock(&lock);
    if (fstat(fd, &state) == 0) {
      note('W', path, length, state.st_size > length ? (size_t)(state.st_size - length) : 0, fd);
    }
    pthread_mutex_unlock(&lock);
  }
  return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int keep(int fd, long number) {
  char path[PATH_MAX];
  int result = (int)syscall(number, fd);
  if (result == 0 && is_watched(fd, path)) {
    pthread_mutex_lock(&lock);
    note('S', path, 0, 0, fd);
    pthread_mutex_unlock(&lock);
  }
  return result;
}

int fsync(int fd) { return keep(fd, SYS_fsync); }
int fdatasync(int fd) { return keep(fd, SYS_fdatasync); }
