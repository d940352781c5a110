// Preloaded into fairleadd to simulate a slow disk. While the file that SLOW_DISK names exists, each fsync()
// and fdatasync() waits for the number of milliseconds in the file. If the file says "hold", they wait until
// it is removed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wait_for_disk(void) {
  const char* path = getenv("SLOW_DISK");
  for (;;) {
    char text[32] = {0};
    const int fd = path == NULL ? -1 : open(path, O_RDONLY);
    if (fd < 0) return;
    const ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0) return;
    if (strncmp(text, "hold", 4) != 0) {
      usleep((useconds_t)atoi(text) * 1000);
      return;
    }
    usleep(10 * 1000);
  }
}

int fsync(int fd) {
  wait_for_disk();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd) {
  wait_for_disk();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
